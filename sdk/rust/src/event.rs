//! What plugins commonly ask of an event.

use crate::{Event, Interest, Object, Outcome};

impl Event {
    /// The value of a CloudEvents extension attribute, such as `authid`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.value.as_str())
    }

    /// The value of a property of the subject, such as `connectionParameters.host`.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|property| property.name == name)
            .map(|property| property.value.as_str())
    }

    /// Every object that the event speaks of: the subject, what it was called before, and what it
    /// refers to.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let referred = self.references.iter().map(|reference| &reference.target);
        std::iter::once(&self.subject)
            .chain(&self.previous)
            .chain(referred)
    }

    /// As [`Event::objects`], to change them.
    pub fn objects_mut(&mut self) -> impl Iterator<Item = &mut Object> {
        let referred = self
            .references
            .iter_mut()
            .map(|reference| &mut reference.target);
        std::iter::once(&mut self.subject)
            .chain(&mut self.previous)
            .chain(referred)
    }

    /// The workspaces that the event is about: the one that the subject is in, and the one it was in
    /// before a move. Where the catalog itself changed, those that it refers to: the new default
    /// workspace, the workspace of a new default store. A slave that has one of them is concerned.
    pub fn workspaces(&self) -> impl Iterator<Item = &str> {
        let referred = self
            .references
            .iter()
            .filter(|_| self.is_about_the_catalog())
            .map(|reference| &reference.target);
        std::iter::once(&self.subject)
            .chain(&self.previous)
            .chain(referred)
            .filter_map(|object| object.workspace.as_deref())
    }

    /// True for what happened to the catalog as a whole, such as another default workspace.
    fn is_about_the_catalog(&self) -> bool {
        self.subject.kind == "catalog"
    }
}

/// The actions that the contract names. The set is open: others may come.
pub const ACTIONS: [&str; 5] = ["added", "modified", "removed", "reloaded", "reset"];

impl Interest {
    /// Every part of an event: nobody misses what they did not think of.
    pub fn everything() -> Self {
        Self::REFERENCES | Self::PROPERTIES | Self::ATTRIBUTES | Self::BODY
    }

    /// True if every part of `parts` is asked for.
    pub fn includes(self, parts: Self) -> bool {
        self & parts == parts
    }
}

impl From<Event> for Outcome {
    fn from(event: Event) -> Self {
        Self::Replaced(vec![event])
    }
}

impl From<Vec<Event>> for Outcome {
    fn from(events: Vec<Event>) -> Self {
        Self::Replaced(events)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{event, object, pair, reference};

    #[test]
    fn every_object_is_seen_and_can_be_changed() {
        let mut event = event("modified", object("layer", "a", "x"));
        event.previous = Some(object("layer", "b", "x"));
        event.references = vec![
            reference("store", object("datastore", "c", "pg")),
            reference("style", object("style", "", "line")),
        ];
        for object in event.objects_mut() {
            object.workspace = object
                .workspace
                .as_ref()
                .map(|name| format!("{name}{name}"));
        }
        let seen: Vec<_> = event.objects().map(|o| o.workspace.as_deref()).collect();
        assert_eq!(seen, [Some("aa"), Some("bb"), Some("cc"), None]);
        assert_eq!(event.workspaces().collect::<Vec<_>>(), ["aa", "bb"]);
    }

    #[test]
    fn what_happens_to_the_catalog_is_about_what_it_refers_to() {
        let mut event = event("modified", object("catalog", "", "catalog"));
        event.references = vec![reference(
            "default-datastore",
            object("datastore", "a", "pg"),
        )];
        assert_eq!(event.workspaces().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn attributes_and_properties_are_found_by_name() {
        let mut event = event("added", object("datastore", "a", "pg"));
        event.attributes = vec![pair("authid", "anna")];
        event.properties = vec![pair("connectionParameters.host", "db")];
        assert_eq!(event.attribute("authid"), Some("anna"));
        assert_eq!(event.attribute("auth"), None);
        assert_eq!(event.property("connectionParameters.host"), Some("db"));
        assert_eq!(event.property("host"), None);
    }
}
