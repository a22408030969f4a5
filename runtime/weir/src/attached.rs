//! Remembers what slaves are subscribed to on the bus: a slave that was taken out of the configuration
//! while Weir was not running would have its queue fill for ever otherwise.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracing::warn;
use weir_event::Subscription;
use weir_pipeline::plan::Plan;

/// What each slave is subscribed to, by its name.
pub(crate) type Subscriptions = BTreeMap<String, Vec<Subscription>>;

/// What a plan has its slaves subscribed to.
pub(crate) fn wanted(plan: &Plan) -> Subscriptions {
    let slaves = plan.slaves.iter();
    slaves
        .map(|slave| (slave.name.clone(), slave.subscribe.clone()))
        .collect()
}

/// Subscriptions on disk. Nothing is lost with the file but the memory of slaves that are gone.
pub(crate) struct Attached {
    path: PathBuf,
    now: Subscriptions,
}

impl Attached {
    pub(crate) fn open(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("attached.json");
        let now = match fs::read(&path) {
            Ok(text) => read(&text).unwrap_or_else(|| {
                let path = path.display();
                warn!("{path} cannot be read; slaves that are gone may still have bound queues");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, now })
    }

    pub(crate) fn get(&self) -> &Subscriptions {
        &self.now
    }

    /// To be called before anything is bound: what is bound is always among what is remembered.
    pub(crate) fn add(&mut self, more: Subscriptions) -> anyhow::Result<()> {
        let mut all = self.now.clone();
        for (slave, patterns) in more {
            let known = all.entry(slave).or_default();
            let new = patterns.iter().filter(|pattern| !known.contains(pattern));
            let new: Vec<Subscription> = new.cloned().collect();
            known.extend(new);
        }
        self.set(all)
    }

    /// To be called when nothing else is bound any more.
    pub(crate) fn set(&mut self, now: Subscriptions) -> anyhow::Result<()> {
        if now == self.now {
            return Ok(());
        }
        self.write(&now)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.now = now;
        Ok(())
    }

    fn write(&self, now: &Subscriptions) -> io::Result<()> {
        let text: BTreeMap<&String, Vec<&str>> = now
            .iter()
            .map(|(slave, patterns)| (slave, patterns.iter().map(Subscription::as_str).collect()))
            .collect();
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&text)?)?;
        file.sync_data()?;
        fs::rename(new, &self.path)
    }
}

fn read(text: &[u8]) -> Option<Subscriptions> {
    let slaves: BTreeMap<String, Vec<String>> = serde_json::from_slice(text).ok()?;
    let parse = |patterns: Vec<String>| -> Option<Vec<Subscription>> {
        patterns
            .iter()
            .map(|pattern| pattern.parse().ok())
            .collect()
    };
    slaves
        .into_iter()
        .map(|(slave, patterns)| Some((slave, parse(patterns)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions(slaves: &[(&str, &[&str])]) -> Subscriptions {
        let parse = |patterns: &[&str]| patterns.iter().map(|text| text.parse().unwrap()).collect();
        slaves
            .iter()
            .map(|(slave, patterns)| ((*slave).to_owned(), parse(patterns)))
            .collect()
    }

    #[test]
    fn what_is_bound_is_remembered_until_it_is_not() {
        let state = tempfile::tempdir().unwrap();
        let mut attached = Attached::open(state.path()).unwrap();
        assert!(attached.get().is_empty());
        attached.add(subscriptions(&[("eu", &["a.#"])])).unwrap();
        let more = subscriptions(&[("eu", &["a.#", "b.#"]), ("us", &["#"])]);
        attached.add(more.clone()).unwrap();
        assert_eq!(Attached::open(state.path()).unwrap().get(), &more);
        let less = subscriptions(&[("us", &["#"])]);
        attached.set(less.clone()).unwrap();
        assert_eq!(Attached::open(state.path()).unwrap().get(), &less);
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("attached.json"), b"{\"eu\": [").unwrap();
        assert!(Attached::open(state.path()).unwrap().get().is_empty());
    }
}
