//! What plugins commonly ask of an event.

use crate::{Action, Event, Object};

impl Event {
    /// The value of a CloudEvents extension attribute, such as `authid`.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
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

    /// The workspaces that the subject is in and, after a move, was in: a slave that has the one
    /// or the other is concerned.
    pub fn workspaces(&self) -> impl Iterator<Item = &str> {
        let before = self.previous.iter();
        std::iter::once(&self.subject)
            .chain(before)
            .filter_map(|object| object.workspace.as_deref())
    }
}

impl Action {
    /// Every action, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::Added,
        Self::Modified,
        Self::Removed,
        Self::Reloaded,
        Self::Reset,
    ];

    /// The action's name in the contract, such as `added`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Removed => "removed",
            Self::Reloaded => "reloaded",
            Self::Reset => "reset",
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Action;
    use crate::testing::{event, object, property, reference};

    #[test]
    fn every_object_is_seen_and_can_be_changed() {
        let mut event = event(Action::Modified, object("layer", "a", "x"));
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
    fn attributes_and_properties_are_found_by_name() {
        let mut event = event(Action::Added, object("datastore", "a", "pg"));
        event.attributes = vec![("authid".to_owned(), "anna".to_owned())];
        event.properties = vec![property("connectionParameters.host", "db")];
        assert_eq!(event.attribute("authid"), Some("anna"));
        assert_eq!(event.attribute("auth"), None);
        assert_eq!(event.property("connectionParameters.host"), Some("db"));
        assert_eq!(event.property("host"), None);
    }
}
