//! Objects of a kind, each with a name in its place.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use serde_json::Value;

use crate::json::Map;

/// What stays the same of an object whatever it is called.
pub(crate) type Id = u64;

/// The place of what is in no workspace.
pub(crate) const GLOBAL: Id = 0;

#[derive(Debug)]
pub(crate) struct Row<T> {
    pub(crate) place: Id,
    pub(crate) name: String,
    created: String,
    modified: Option<String>,
    pub(crate) it: T,
}

impl<T> Row<T> {
    pub(crate) fn touch(&mut self) {
        self.modified = Some(now());
    }

    pub(crate) fn add_dates(&self, document: &mut Map) {
        document.insert("dateCreated".into(), self.created.clone().into());
        if let Some(modified) = &self.modified {
            document.insert("dateModified".into(), Value::String(modified.clone()));
        }
    }
}

pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%d %H:%M:%S.%3f UTC").to_string()
}

#[derive(Debug)]
pub(crate) struct Table<T> {
    rows: BTreeMap<Id, Row<T>>,
    names: BTreeMap<(Id, String), Id>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }
}

impl<T> Table<T> {
    pub(crate) fn add(&mut self, id: Id, place: Id, name: &str, it: T) {
        self.names.insert((place, name.to_owned()), id);
        self.rows.insert(
            id,
            Row {
                place,
                name: name.to_owned(),
                created: now(),
                modified: None,
                it,
            },
        );
    }

    pub(crate) fn find(&self, place: Id, name: &str) -> Option<Id> {
        self.names.get(&(place, name.to_owned())).copied()
    }

    pub(crate) fn has(&self, id: Id) -> bool {
        self.rows.contains_key(&id)
    }

    /// Everything in a place.
    pub(crate) fn of(&self, place: Id) -> Vec<Id> {
        let range = (place, String::new())..(place + 1, String::new());
        self.names.range(range).map(|(_, id)| *id).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &Row<T>)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Id, &mut Row<T>)> {
        self.rows.iter_mut().map(|(id, row)| (*id, row))
    }

    pub(crate) fn rename(&mut self, id: Id, place: Id, name: &str) {
        let row = &mut self[id];
        let old = (row.place, std::mem::replace(&mut row.name, name.to_owned()));
        row.place = place;
        self.names.remove(&old);
        self.names.insert((place, name.to_owned()), id);
    }

    pub(crate) fn remove(&mut self, id: Id) {
        if let Some(row) = self.rows.remove(&id) {
            self.names.remove(&(row.place, row.name));
        }
    }
}

/// An id that something has is that of a row: what has it goes with the row, or lets it go.
impl<T> Index<Id> for Table<T> {
    type Output = Row<T>;

    fn index(&self, id: Id) -> &Row<T> {
        &self.rows[&id]
    }
}

impl<T> IndexMut<Id> for Table<T> {
    fn index_mut(&mut self, id: Id) -> &mut Row<T> {
        self.rows.get_mut(&id).expect("a row for each id")
    }
}
