//! Names for objects that an event knows by id only.
//!
//! Some dialects refer to objects by id, while plugins and other nodes go by names. Every event
//! tells some names; the index remembers them, up to a bound, and fills them in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::event::{Action, Event, Kind, Object};

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
    /// Of a layer, the id of its resource, whose name it has.
    pub resource: Option<String>,
    /// The last move to another workspace.
    pub moved: Option<Moved>,
}

/// Where an object was before a move. Kept with the event that told of it, which may be delivered
/// again when the new place is known already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The id of the event.
    pub event: String,
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

    /// Fills in the names of what the event names by id only, and the place that its subject was
    /// moved from. To be called before [`Index::learn`].
    pub fn resolve(&mut self, event: &mut Event) {
        for reference in &mut event.references {
            let target = &mut reference.target;
            // A whole object in a body says its name, but not where it lies.
            if target.workspace.is_none()
                && let Some(entry) = self.used(target.id.as_deref())
                && (target.name.is_none() || target.name == entry.name)
            {
                target.workspace.clone_from(&entry.workspace);
                target.name.clone_from(&entry.name);
            }
        }
        if event.subject.is_bare_id()
            && let Some(entry) = self.used(event.subject.id.as_deref())
        {
            event.subject.workspace.clone_from(&entry.workspace);
            event.subject.name.clone_from(&entry.name);
        }
        if let Some(previous) = &mut event.previous
            && previous.workspace.is_none()
            && let Some(entry) = self.used(previous.id.as_deref())
        {
            let (workspace, name) = match &entry.moved {
                Some(moved) if moved.event == event.id => (&moved.workspace, &moved.name),
                _ => (&entry.workspace, &entry.name),
            };
            let is_elsewhere = *workspace != event.subject.workspace;
            if is_elsewhere && (previous.name.is_none() || previous.name == *name) {
                previous.workspace.clone_from(workspace);
                previous.name.clone_from(name);
            }
        }
    }

    /// Learns the names that the event tells. Gives back what changed, for the caller to keep:
    /// [`Index::restore`] takes it in again after a restart.
    ///
    /// A removed object stays known: events that are under way may still refer to it.
    pub fn learn(&mut self, event: &Event) -> Vec<Entry> {
        let mut changed = Vec::new();
        let subject = &event.subject;
        // A rename of a workspace begins with its namespace.
        if let (Kind::Workspace | Kind::Namespace, Some(previous)) =
            (&subject.kind, &event.previous)
            && let (Some(old), Some(new)) = (&previous.workspace, &subject.workspace)
            && old != new
        {
            self.rename_workspace(old, new, &mut changed);
        }
        // What an event says of its subject is newer than what it says in passing.
        for reference in &event.references {
            let target = &reference.target;
            let known = target.id.as_deref().and_then(|id| self.known.get(id));
            if target.workspace.is_some() || known.is_none() {
                self.take(Entry::of(target), &mut changed);
            }
        }
        let entry = Entry::of(subject).map(|entry| Entry {
            resource: resource_of(event),
            moved: moved_by(event),
            ..entry
        });
        if self.take(entry, &mut changed) && is_resource(&subject.kind) {
            self.rename_layers(subject, &mut changed);
        }
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
    fn used(&mut self, id: Option<&str>) -> Option<&Entry> {
        let (last, entry) = self.known.get_mut(id?)?;
        self.clock += 1;
        if let Some(id) = self.uses.remove(last) {
            self.uses.insert(self.clock, id);
        }
        *last = self.clock;
        Some(entry)
    }

    /// Takes in what is told of an id. True if it had another name before.
    fn take(&mut self, told: Option<Entry>, changed: &mut Vec<Entry>) -> bool {
        let Some(mut told) = told else {
            return false;
        };
        let mut is_renamed = false;
        if let Some(known) = self.used(Some(&told.id)) {
            is_renamed = (&known.workspace, &known.name) != (&told.workspace, &told.name);
            if is_vague(&told.kind) {
                told.kind = known.kind.clone();
            }
            told.resource = told.resource.or_else(|| known.resource.clone());
            told.moved = told.moved.or_else(|| known.moved.clone());
            if *known == told {
                return false;
            }
        }
        self.restore(told.clone());
        changed.push(told);
        is_renamed
    }

    /// Gives the layers of a resource its name: GeoServer sends no event for them.
    fn rename_layers(&mut self, resource: &Object, changed: &mut Vec<Entry>) {
        for (_, entry) in self.known.values_mut() {
            if entry.resource.is_some()
                && entry.resource == resource.id
                && (&entry.workspace, &entry.name) != (&resource.workspace, &resource.name)
            {
                entry.workspace.clone_from(&resource.workspace);
                entry.name.clone_from(&resource.name);
                changed.push(entry.clone());
            }
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

/// True for the words that stand where a message does not say which of its kinds it means.
fn is_vague(kind: &Kind) -> bool {
    matches!(kind, Kind::Published | Kind::Store | Kind::Resource)
}

fn is_resource(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::FeatureType | Kind::Coverage | Kind::WmsLayer | Kind::WmtsLayer
    )
}

/// The id of the resource of a layer.
fn resource_of(event: &Event) -> Option<String> {
    if event.subject.kind != Kind::Layer {
        return None;
    }
    let resource = event.references.iter().find(|r| r.role == "resource")?;
    resource.target.id.clone()
}

/// The move that an event tells of, if it is known where from.
fn moved_by(event: &Event) -> Option<Moved> {
    let from = event.previous.as_ref()?;
    let is_move = event.action == Action::Modified
        && from.id.is_some()
        && from.name.is_some()
        && from.workspace != event.subject.workspace;
    is_move.then(|| Moved {
        event: event.id.clone(),
        workspace: from.workspace.clone(),
        name: from.name.clone(),
    })
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
            resource: None,
            moved: None,
        })
    }

    /// One line of JSON, without the line feed.
    pub fn to_json_line(&self) -> String {
        let fields = [
            ("id", Some(self.id.as_str())),
            ("kind", Some(self.kind.as_str())),
            ("workspace", self.workspace.as_deref()),
            ("name", self.name.as_deref()),
            ("resource", self.resource.as_deref()),
        ];
        let mut line = texts(fields);
        if let Some(Moved {
            event,
            workspace,
            name,
        }) = &self.moved
        {
            let fields = [
                ("event", Some(event.as_str())),
                ("workspace", workspace.as_deref()),
                ("name", name.as_deref()),
            ];
            line.insert("moved".to_owned(), Value::Object(texts(fields)));
        }
        Value::Object(line).to_string()
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
            resource: text("resource"),
            moved: value.get("moved").and_then(|moved| {
                let text = |key| moved.get(key).and_then(Value::as_str).map(str::to_owned);
                Some(Moved {
                    event: text("event")?,
                    workspace: text("workspace"),
                    name: text("name"),
                })
            }),
        })
    }
}

/// The members that have a text.
fn texts<const N: usize>(fields: [(&str, Option<&str>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text?.into())))
        .collect()
}
