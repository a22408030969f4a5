//! The names of objects that a dialect knows by id only, kept across restarts.
//!
//! What is learned is appended to a file, one JSON line for each entry, and put on disk before the
//! delivery that taught it is accepted. A torn last line, from a crash, is left out when the file
//! is read: its delivery was not accepted, and comes again.

use std::io;
use std::path::Path;

use weir_event::index::Entry;
use weir_event::{Event, Index};

use crate::disk::Journal;

/// An [`Index`] with a file behind it.
#[derive(Debug, Default)]
pub struct Names {
    index: Index,
    journal: Option<Journal>,
    /// Learned, and not in the file yet.
    pending: String,
}

impl Names {
    /// Names that are kept in this file, which is made if it is not there.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut index = Index::default();
        let mut journal = Journal::open(path, |line| {
            if let Ok(entry) = Entry::from_json_line(line) {
                index.restore(entry);
            }
        })?;
        journal.compact(index.entries().map(|entry| entry.to_json_line()))?;
        Ok(Self {
            index,
            journal: Some(journal),
            pending: String::new(),
        })
    }

    /// Fills in the names that the event lacks, and learns those that it tells.
    pub fn apply(&mut self, event: &mut Event) {
        self.index.resolve(event);
        for entry in self.index.learn(event) {
            if self.journal.is_some() {
                self.pending.push_str(&entry.to_json_line());
                self.pending.push('\n');
            }
        }
    }

    /// Puts on disk what was learned since the last time.
    pub fn keep(&mut self) -> io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        if !self.pending.is_empty() {
            journal.append(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use weir_event::{Action, Kind, Object, Reference};

    use super::*;

    fn event(subject: Object, references: Vec<Object>) -> Event {
        Event {
            id: "1".to_owned(),
            source: "/masters/m".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            sequence: None,
            action: Action::Added,
            subject,
            previous: None,
            references: references
                .into_iter()
                .map(|target| Reference {
                    role: "default-style".to_owned(),
                    target,
                })
                .collect(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: None,
        }
    }

    fn style(workspace: Option<&str>, name: Option<&str>) -> Object {
        Object {
            kind: Kind::Style,
            workspace: workspace.map(str::to_owned),
            name: name.map(str::to_owned),
            id: Some("StyleInfoImpl-5".to_owned()),
        }
    }

    fn layer() -> Object {
        Object {
            name: Some("states".to_owned()),
            ..Object::of(Kind::Layer)
        }
    }

    #[test]
    fn names_outlive_a_restart_and_a_torn_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names/cloud.jsonl");
        let mut names = Names::open(&path).unwrap();
        names.apply(&mut event(
            style(Some("topp"), Some("population")),
            Vec::new(),
        ));
        names.keep().unwrap();
        drop(names);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":\"torn").unwrap();

        for _ in 0..2 {
            let mut names = Names::open(&path).unwrap();
            let mut event = event(layer(), vec![style(None, None)]);
            names.apply(&mut event);
            assert_eq!(
                event.references[0].target,
                style(Some("topp"), Some("population"))
            );
        }
    }

    #[test]
    fn a_journal_of_repetitions_is_rewritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names.jsonl");
        let mut names = Names::open(&path).unwrap();
        for round in 0..50 {
            let name = format!("style-{round}");
            names.apply(&mut event(style(Some("topp"), Some(&name)), Vec::new()));
            names.keep().unwrap();
        }
        drop(names);
        let long = std::fs::metadata(&path).unwrap().len();
        drop(Names::open(&path).unwrap());
        let short = std::fs::metadata(&path).unwrap().len();
        assert!(short * 10 < long, "{short} of {long} bytes");
    }
}
