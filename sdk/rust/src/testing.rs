//! Events for the tests of plugins.

use crate::{Event, Failure, Interest, Object, Outcome, Pair, Reference, Transform};

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

/// An event as a plugin with this interest sees it: what it did not ask for is empty.
pub fn seen(event: &Event, interest: Interest) -> Event {
    let mut seen = event.clone();
    if !interest.includes(Interest::REFERENCES) {
        seen.references.clear();
    }
    if !interest.includes(Interest::PROPERTIES) {
        seen.properties.clear();
    }
    if !interest.includes(Interest::ATTRIBUTES) {
        seen.attributes.clear();
    }
    if !interest.includes(Interest::BODY) {
        seen.body = None;
    }
    seen
}

/// What takes the place of an event, as Weir has it: the plugin sees what it asked for, and the
/// rest stays as it was.
///
/// # Errors
///
/// The plugin's own.
pub fn transformed(plugin: &impl Transform, event: &Event) -> Result<Vec<Event>, Failure> {
    let interest = plugin.interest();
    let mut events = match plugin.transform(seen(event, interest))? {
        Outcome::Unchanged => return Ok(vec![event.clone()]),
        Outcome::Replaced(events) => events,
    };
    for made in &mut events {
        if !interest.includes(Interest::REFERENCES) {
            made.references.clone_from(&event.references);
        }
        if !interest.includes(Interest::PROPERTIES) {
            made.properties.clone_from(&event.properties);
        }
        if !interest.includes(Interest::ATTRIBUTES) {
            made.attributes.clone_from(&event.attributes);
        }
        if !interest.includes(Interest::BODY) {
            made.body.clone_from(&event.body);
        }
    }
    Ok(events)
}
