//! The laws of reading and writing, tried on frames of every type.

use std::collections::HashSet;

use proptest::option::of;
use proptest::prelude::*;
use serde_json::Value;
use weir_event::{
    CloudVersion, Decoded, Dialect, Document, Event, HeaderValue, Kind, Message, Object,
};

use crate::frames::{frame, name, workspace};
use crate::{SOURCE, decode, message, text};

const CLOUD: Dialect = Dialect::GeoServerCloud;
const CANONICAL: Dialect = Dialect::CloudEvents;

/// What a plugin may do to an event, each with some probability.
#[derive(Clone, Debug)]
struct Change {
    workspace: Option<String>,
    name: Option<String>,
    previous: Option<String>,
    /// For the subject, and then for each reference.
    ids: Vec<Option<u8>>,
    values: Vec<Option<String>>,
}

fn change() -> impl Strategy<Value = Change> {
    (
        of(workspace()),
        of(name()),
        of(name()),
        prop::collection::vec(of(any::<u8>()), 12),
        prop::collection::vec(of(name()), 6),
    )
        .prop_map(|(workspace, name, previous, ids, values)| Change {
            workspace: workspace.map(|text| format!("w{text}")),
            name: name.map(|text| format!("n{text}")),
            previous: previous.map(|text| format!("p{text}")),
            ids,
            values,
        })
}

impl Change {
    /// Changes what a frame of GeoServer Cloud has places for.
    fn apply(&self, event: &mut Event) {
        let renames =
            event.subject.id.is_some() && event.subject.name.as_deref() != Some("catalog");
        let Event {
            subject,
            previous,
            references,
            properties,
            ..
        } = event;
        let old = subject.workspace.clone();
        if let (Some(workspace), Some(_)) = (&self.workspace, &old) {
            let targets = references.iter_mut().map(|reference| &mut reference.target);
            for object in std::iter::once(&mut *subject)
                .chain(&mut *previous)
                .chain(targets)
            {
                if object.workspace == old {
                    object.workspace = Some(workspace.clone());
                }
            }
        }
        if let (Some(name), Some(is)) = (&self.name, &mut subject.name)
            && renames
            && !matches!(is.as_str(), "geoserver" | "logging")
        {
            let colons = if old.is_some() { ":" } else { "_" };
            *is = name.replace(':', colons);
        }
        if let (Some(name), Some(previous)) = (&self.previous, &mut *previous) {
            let own = previous.kind.is_named_by_workspace();
            let place = if own {
                &mut previous.workspace
            } else {
                &mut previous.name
            };
            if place.is_some() {
                *place = Some(name.replace(':', "_"));
            }
        }
        if subject.kind == Kind::TileLayer {
            // It has the name of what it shows, and has it once.
            for reference in &mut *references {
                reference.target.workspace.clone_from(&subject.workspace);
                reference.target.name.clone_from(&subject.name);
            }
        }
        let mut ids = self.ids.iter().cycle();
        let targets = references.iter_mut().map(|reference| &mut reference.target);
        for object in std::iter::once(&mut *subject).chain(targets) {
            if let (Some(number), Some(id)) = (ids.next().unwrap(), &mut object.id) {
                *id = format!("changed-{number}");
            }
        }
        if let Some(previous) = previous
            && previous.id.is_some()
        {
            previous.id.clone_from(&subject.id);
        }
        for (property, value) in properties.iter_mut().zip(self.values.iter().cycle()) {
            if let Some(value) = value {
                property.value.clone_from(value);
            }
        }
    }

    /// Changes anything, as far as a frame could carry it.
    fn apply_freely(&self, event: &mut Event) {
        self.apply(event);
        let text = |text: &Option<String>| text.as_ref().map(|text| text.replace(':', "_"));
        for (reference, name) in event.references.iter_mut().zip(self.values.iter().cycle()) {
            reference.target.workspace = text(&self.workspace);
            reference.target.name.clone_from(name);
        }
        if let (Some(previous), Some(workspace)) = (&mut event.previous, text(&self.previous)) {
            previous.workspace = Some(workspace);
        }
        event.set_attribute("traceparent", self.name.clone().unwrap_or_default());
        event.sequence = event.sequence.map(|sequence| sequence + 1);
    }
}

fn payload(dialect: Dialect, event: &Event, document: &Document) -> String {
    text(&dialect.encode(event, document.clone()).unwrap()).to_owned()
}

/// Every leaf of a JSON document with its path, in order.
pub(crate) fn leaves(value: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, path: &str, leaves: &mut Vec<(String, String)>) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    walk(value, &format!("{path}/{key}"), leaves);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, &format!("{path}/{index}"), leaves);
                }
            }
            leaf => leaves.push((
                path.to_owned(),
                leaf.to_string().trim_matches('"').to_owned(),
            )),
        }
    }
    let mut leaves_of = Vec::new();
    walk(value, "", &mut leaves_of);
    leaves_of
}

/// Every text that a frame may have for what an event says.
pub(crate) fn texts(event: &Event) -> HashSet<String> {
    let mut texts: Vec<String> = event.properties.iter().map(|p| p.value.clone()).collect();
    let targets = event.references.iter().map(|reference| &reference.target);
    for object in std::iter::once(&event.subject)
        .chain(&event.previous)
        .chain(targets)
    {
        let Object {
            workspace,
            name,
            id,
            ..
        } = object;
        texts.extend([workspace, name, id].into_iter().flatten().cloned());
        for workspace in [workspace, &event.subject.workspace].into_iter().flatten() {
            texts.extend(name.as_ref().map(|name| format!("{workspace}:{name}")));
        }
    }
    // As they stand in JSON.
    let json = |text: String| Value::from(text).to_string().trim_matches('"').to_owned();
    texts.into_iter().map(json).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_nobody_changed_leaves_as_it_came(frame in frame()) {
        let frame = frame.to_string();
        let (event, document) = decode(CLOUD, &message(frame.as_str()));
        prop_assert_eq!(&payload(CLOUD, &event, &document), &frame);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(&received, &event);
        prop_assert_eq!(payload(CANONICAL, &received, &document), text(&sent));
        prop_assert_eq!(&payload(CLOUD, &received, &document), &frame);
    }

    #[test]
    fn what_was_changed_is_read_again(frame in frame(), change in change()) {
        let (was, document) = decode(CLOUD, &message(frame.to_string()));
        let mut now = was.clone();
        change.apply(&mut now);
        let written = CLOUD.encode(&now, document.clone()).unwrap();
        let (read, _) = decode(CLOUD, &written);
        // The body has the changes in it. What was renamed to its own name was not renamed.
        let place = |object: &Object| (object.workspace.clone(), object.name.clone());
        let previous = now.previous.clone();
        let expected = Event {
            previous: previous.filter(|previous| place(previous) != place(&now.subject)),
            ..now.clone()
        };
        prop_assert_eq!(&Event { body: now.body.clone(), ..read }, &expected);

        // The object says what the frame around it says.
        if let Some(object) = frame.pointer("/event/CatalogInfoAdded/object") {
            let written: Value = serde_json::from_slice(&written.payload).unwrap();
            let written = &written["event"]["CatalogInfoAdded"]["object"];
            prop_assert_eq!(written["id"].as_str(), now.subject.id.as_deref());
            if object.get("name").is_some() {
                let own = now.subject.kind.is_named_by_workspace();
                let name = if own { &now.subject.workspace } else { &now.subject.name };
                prop_assert_eq!(written["name"].as_str(), name.as_deref());
            }
        }

        let (old, new) = (texts(&was), texts(&now));
        let (before, after) =
            (leaves(&frame), leaves(&serde_json::from_slice(&written.payload).unwrap()));
        prop_assert_eq!(before.len(), after.len());
        for ((path, before), (same_path, after)) in before.into_iter().zip(after) {
            prop_assert_eq!(&path, &same_path);
            let is_retyped = before == "java.lang.Integer" && after == "java.lang.String";
            let is_told = old.contains(&before) && new.contains(&after);
            prop_assert!(before == after || is_told || is_retyped, "{path}: {before} became {after}");
        }

        // The same changes, made on the other side of the bus, give the same frame.
        let sent = CANONICAL.encode(&was, document).unwrap();
        let (_, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(payload(CLOUD, &now, &document), text(&written));
    }

    #[test]
    fn the_canonical_dialect_carries_every_change(frame in frame(), first in change(), second in change()) {
        let (mut event, document) = decode(CLOUD, &message(frame.to_string()));
        first.apply_freely(&mut event);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(&Event { body: event.body.clone(), ..received.clone() }, &event);
        let mut event = received;
        second.apply_freely(&mut event);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, _) = decode(CANONICAL, &sent);
        prop_assert_eq!(&Event { body: event.body.clone(), ..received }, &event);
    }

    #[test]
    fn a_version_changes_names_of_classes_only(frame in frame(), change in change()) {
        let (mut event, document) = decode(CLOUD, &message(frame.to_string()));
        change.apply(&mut event);
        for version in CloudVersion::ALL {
            let written = CLOUD.encode_for(version, &event, document.clone()).unwrap();
            let (read, same) = decode(CLOUD, &written);
            prop_assert_eq!(&Event { body: event.body.clone(), ..read.clone() }, &event);
            let again = CLOUD.encode_for(version, &read, same).unwrap();
            prop_assert_eq!(text(&again), text(&written));
        }
    }

    #[test]
    fn an_action_and_a_kind_are_read_as_they_were_or_refused(
        frame in frame(), action in "[a-z.]{0,6}", kind in "[a-z.]{0,6}",
    ) {
        let (mut event, document) = decode(CLOUD, &message(frame.to_string()));
        event.action = action.as_str().into();
        event.subject.kind = kind.as_str().into();
        event.references.clear();
        event.body = None;
        match CANONICAL.encode(&event, document) {
            Ok(sent) => {
                let (read, _) = decode(CANONICAL, &sent);
                prop_assert_eq!((read.action, read.subject.kind), (event.action, event.subject.kind));
            }
            Err(error) => {
                let error = error.to_string();
                let is_of_type = action.contains('.') || action.is_empty() || kind.is_empty();
                prop_assert!(is_of_type || !error.contains("the type of the envelope"), "{error}");
            }
        }
    }

    #[test]
    fn nothing_that_comes_in_panics(bytes in prop::collection::vec(any::<u8>(), 0..64), binary in any::<bool>()) {
        let mut message = message(bytes);
        if binary {
            message.content_type = Some("application/json".to_owned());
            message.headers.insert("ce-specversion".to_owned(), HeaderValue::from("1.0"));
        }
        for dialect in Dialect::ALL {
            drop(dialect.decode(&message, SOURCE));
        }
    }

    #[test]
    fn no_json_panics(frame in frame(), path in any::<prop::sample::Index>(), replacement in frame()) {
        // A frame with one member replaced, by anything.
        let leaves = leaves(&frame);
        let (path, _) = path.get(&leaves);
        for cut in 1..=path.matches('/').count() {
            let end = path.match_indices('/').nth(cut).map_or(path.len(), |(at, _)| at);
            let mut broken = frame.clone();
            let Some(place) = broken.pointer_mut(&path[..end]) else { continue };
            *place = if cut % 2 == 0 { replacement.clone() } else { Value::from("1.0") };
            re_encodes(CLOUD, &message(broken.to_string()));
            let mut envelope = serde_json::json!({
                "specversion": "1.0", "id": "1", "source": "/x", "type": "weir.catalog.layer.added.v1",
                "data": {"dialect": "geoserver-cloud"},
            });
            envelope["data"]["frame"] = broken;
            re_encodes(CANONICAL, &message(envelope.to_string()));
        }
    }
}

/// What can be read can be written in its own dialect, and is the same again.
fn re_encodes(dialect: Dialect, message: &Message) {
    let Ok(Decoded::Event(event, document)) = dialect.decode(message, SOURCE) else {
        return;
    };
    let (again, _) = decode(dialect, &dialect.encode(&event, document).unwrap());
    assert_eq!(*event, again);
}
