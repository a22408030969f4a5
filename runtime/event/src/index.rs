//! Names for objects that an event knows by id only.
//!
//! Some dialects refer to objects by id, while plugins and other nodes go by names. Every event
//! tells some names; the index remembers them, up to a bound, and fills them in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::event::{Event, Kind, Object};

/// What ids are called. Bounded: beyond its capacity it forgets what was not used for longest.
#[derive(Debug)]
pub struct Index {
    capacity: usize,
    /// The last use of each id, and what is known of it.
    known: HashMap<Arc<str>, (u64, Entry)>,
    /// The same ids by their last use, the oldest first.
    uses: BTreeMap<u64, Arc<str>>,
    /// Counts uses.
    clock: u64,
}

/// What one id is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub kind: Kind,
    pub workspace: Option<String>,
    pub name: Option<String>,
}

/// Why a line is no entry.
#[derive(Debug, Error)]
pub enum EntryError {
    #[error("an entry of the index is one line of JSON: {0}")]
    NotJson(String),
    #[error("an entry of the index has texts `id` and `kind`; this line lacks `{0}`")]
    Incomplete(&'static str),
}

impl Index {
    /// An index of at most `capacity` ids.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            known: HashMap::new(),
            uses: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Fills in the names of what the event names by id only.
    pub fn resolve(&mut self, event: &mut Event) {
        let targets = event
            .references
            .iter_mut()
            .map(|reference| &mut reference.target);
        for object in std::iter::once(&mut event.subject).chain(targets) {
            if object.is_bare_id()
                && let Some(id) = &object.id
                && let Some(entry) = self.used(id)
            {
                object.workspace.clone_from(&entry.workspace);
                object.name.clone_from(&entry.name);
            }
        }
    }

    /// Learns the names that the event tells. Gives back what changed, for the caller to keep:
    /// [`Index::restore`] takes it in again after a restart.
    ///
    /// A removed object stays known: events that are under way may still refer to it.
    pub fn learn(&mut self, event: &Event) -> Vec<Entry> {
        let mut changed = Vec::new();
        if let (Kind::Workspace, Some(previous)) = (&event.subject.kind, &event.previous)
            && let (Some(old), Some(new)) = (&previous.workspace, &event.subject.workspace)
            && old != new
        {
            self.rename_workspace(old, new, &mut changed);
        }
        // What an event says of its subject is newer than what it says in passing.
        for reference in &event.references {
            let target = &reference.target;
            let known = target.id.as_deref().and_then(|id| self.known.get(id));
            if target.workspace.is_some() || known.is_none() {
                self.take(target, &mut changed);
            }
        }
        self.take(&event.subject, &mut changed);
        changed
    }

    /// Puts back what was kept, as the most recent use.
    pub fn restore(&mut self, entry: Entry) {
        let id: Arc<str> = entry.id.as_str().into();
        self.clock += 1;
        if let Some((last, _)) = self.known.insert(id.clone(), (self.clock, entry)) {
            self.uses.remove(&last);
        }
        self.uses.insert(self.clock, id);
        while self.known.len() > self.capacity
            && let Some((_, oldest)) = self.uses.pop_first()
        {
            self.known.remove(&oldest);
        }
    }

    /// All that is known, the oldest use first: restored in this order, it is the same index.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.uses
            .values()
            .filter_map(|id| self.known.get(id))
            .map(|(_, entry)| entry.clone())
    }

    /// The entry of an id, which counts as a use of it.
    fn used(&mut self, id: &str) -> Option<&Entry> {
        let (last, entry) = self.known.get_mut(id)?;
        self.clock += 1;
        if let Some(id) = self.uses.remove(last) {
            self.uses.insert(self.clock, id);
        }
        *last = self.clock;
        Some(entry)
    }

    fn take(&mut self, object: &Object, changed: &mut Vec<Entry>) {
        let Some(entry) = Entry::of(object) else {
            return;
        };
        if self.used(&entry.id) != Some(&entry) {
            self.restore(entry.clone());
            changed.push(entry);
        }
    }

    fn rename_workspace(&mut self, old: &str, new: &str, changed: &mut Vec<Entry>) {
        for (_, entry) in self.known.values_mut() {
            if entry.workspace.as_deref() == Some(old) {
                entry.workspace = Some(new.to_owned());
                changed.push(entry.clone());
            }
        }
    }
}

impl Default for Index {
    /// Room for 100 000 ids.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl Entry {
    /// What there is to learn from an object: an id with a name. The singletons have the same id on
    /// every node, and no names worth remembering.
    fn of(object: &Object) -> Option<Self> {
        let is_singleton = matches!(object.kind, Kind::Catalog | Kind::Global | Kind::Logging);
        let is_named = if object.kind.is_named_by_workspace() {
            object.workspace.is_some()
        } else {
            object.name.is_some()
        };
        if is_singleton || !is_named {
            return None;
        }
        Some(Self {
            id: object.id.clone()?,
            kind: object.kind.clone(),
            workspace: object.workspace.clone(),
            name: object.name.clone(),
        })
    }

    /// One line of JSON, without the line feed.
    pub fn to_json_line(&self) -> String {
        let fields = [
            ("id", Some(self.id.as_str())),
            ("kind", Some(self.kind.as_str())),
            ("workspace", self.workspace.as_deref()),
            ("name", self.name.as_deref()),
        ];
        let present = fields
            .into_iter()
            .filter_map(|(key, text)| Some((key.to_owned(), text?.into())));
        Value::Object(present.collect()).to_string()
    }

    /// Reads what [`Entry::to_json_line`] wrote.
    pub fn from_json_line(line: &str) -> Result<Self, EntryError> {
        let value: Value =
            serde_json::from_str(line).map_err(|error| EntryError::NotJson(error.to_string()))?;
        let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            id: text("id").ok_or(EntryError::Incomplete("id"))?,
            kind: text("kind")
                .ok_or(EntryError::Incomplete("kind"))?
                .as_str()
                .into(),
            workspace: text("workspace"),
            name: text("name"),
        })
    }
}
