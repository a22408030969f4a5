//! Events for the tests of plugins.

use crate::{Event, Object, Pair, Reference};

/// An object with a name in a workspace, and without an id. Where `workspace` or `name` is empty,
/// the object has none.
pub fn object(kind: &str, workspace: &str, name: &str) -> Object {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Object {
        kind: kind.to_owned(),
        workspace: given(workspace),
        name: given(name),
        id: None,
    }
}

/// A reference of `role` to `target`.
pub fn reference(role: &str, target: Object) -> Reference {
    Reference {
        role: role.to_owned(),
        target,
    }
}

/// A property of the subject, or an attribute of the event.
pub fn pair(name: &str, value: &str) -> Pair {
    Pair {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// An event about `subject` that says nothing else; a test fills in what it is about.
pub fn event(action: &str, subject: Object) -> Event {
    Event {
        id: "1".to_owned(),
        source: "/masters/test".to_owned(),
        time: "2026-01-01T00:00:00.000Z".to_owned(),
        sequence: None,
        action: action.to_owned(),
        subject,
        previous: None,
        references: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    }
}
