//! What becomes of what, read in both directions.

use std::collections::BTreeMap;

/// A table from old to new that also knows what a new one was made of: both lookups cost the same,
/// however long the table is.
#[derive(Debug, Default)]
pub(crate) struct Table {
    forward: BTreeMap<String, String>,
    /// The first in the alphabet, where several become the same.
    backward: BTreeMap<String, String>,
}

impl Table {
    pub(crate) fn new(forward: BTreeMap<String, String>) -> Self {
        let mut backward = BTreeMap::new();
        for (old, new) in forward.iter().rev() {
            backward.insert(new.clone(), old.clone());
        }
        Self { forward, backward }
    }

    /// What becomes of `old`.
    pub(crate) fn new_of(&self, old: &str) -> Option<&str> {
        self.forward.get(old).map(String::as_str)
    }

    /// What becomes `new`.
    pub(crate) fn old_of(&self, new: &str) -> Option<&str> {
        self.backward.get(new).map(String::as_str)
    }
}
