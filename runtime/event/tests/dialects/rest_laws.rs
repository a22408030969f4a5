//! The laws of reading and writing, tried on frames of `geoserver-rest` of every kind.

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use weir_event::{Decoded, Dialect, Event, Kind, Message, Object, RestFrame};

use crate::frames::{frame as frame_of_cloud, name};
use crate::laws::{leaves, texts};
use crate::rest_frames::{frame, plain};
use crate::{SOURCE, decode, message, text};

const REST: Dialect = Dialect::GeoServerRest;
const CANONICAL: Dialect = Dialect::CloudEvents;

/// What a plugin may do to an event.
#[derive(Clone, Debug)]
struct Change {
    suffix: Option<String>,
    name: Option<String>,
    values: Vec<Option<String>>,
    sequence: Option<u64>,
    author: Option<String>,
}

fn change() -> impl Strategy<Value = Change> {
    (
        of(select(vec!["_eu", ".x", " y", "é"])),
        of(name().prop_map(|text| plain(&text))),
        prop::collection::vec(of(name().prop_map(|text| plain(&text))), 6),
        of(any::<u64>()),
        of("[a-z]{1,4}"),
    )
        .prop_map(|(suffix, name, values, sequence, author)| Change {
            suffix: suffix.map(str::to_owned),
            name: name.map(|name| format!("n{name}")),
            values,
            sequence,
            author,
        })
}

impl Change {
    /// Renames all workspaces, the subject and its references, and sets values.
    fn apply(&self, event: &mut Event) {
        event.sequence = self.sequence;
        if let Some(author) = &self.author {
            event.set_attribute("authtype", "user");
            event.set_attribute("authid", author);
        }
        let Event {
            subject,
            previous,
            references,
            properties,
            ..
        } = event;
        let targets = references.iter_mut().map(|reference| &mut reference.target);
        for object in std::iter::once(&mut *subject)
            .chain(&mut *previous)
            .chain(targets)
        {
            if let (Some(workspace), Some(suffix)) = (&mut object.workspace, &self.suffix) {
                workspace.push_str(suffix);
            }
        }
        if let (Some(name), Some(is)) = (&self.name, &mut subject.name) {
            is.clone_from(name);
        }
        for (reference, value) in references.iter_mut().zip(self.values.iter().cycle()) {
            if let (Some(value), Some(name)) = (value, &mut reference.target.name) {
                // Where `*` is any layer, and two rules are one.
                *name = format!("r{}", value.replace('\\', "_"));
            }
        }
        for (property, value) in properties.iter_mut().zip(self.values.iter().cycle()) {
            if let Some(value) = value {
                property.value.clone_from(value);
            }
        }
    }
}

fn payload(dialect: Dialect, event: &Event, document: &weir_event::Document) -> String {
    text(&dialect.encode(event, document.clone()).unwrap()).to_owned()
}

/// An event without its body, in which what was changed is written.
fn bodiless(event: &Event) -> Event {
    Event {
        body: None,
        ..event.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_nobody_changed_leaves_as_it_came(frame in frame()) {
        let frame = frame.to_string();
        let (event, document) = decode(REST, &message(frame.as_str()));
        prop_assert_eq!(&payload(REST, &event, &document), &frame);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(&received, &event);
        prop_assert_eq!(payload(CANONICAL, &received, &document), text(&sent));
        prop_assert_eq!(&payload(REST, &received, &document), &frame);
    }

    #[test]
    fn what_was_changed_is_read_again(frame in frame(), change in change()) {
        let (was, document) = decode(REST, &message(frame.to_string()));
        let mut now = was.clone();
        change.apply(&mut now);
        let written = REST.encode(&now, document.clone()).unwrap();
        let (read, _) = decode(REST, &written);
        prop_assert_eq!(bodiless(&read), bodiless(&now));

        // Nothing else changed, least of all what the master calls the object.
        let after: Value = serde_json::from_str(text(&written)).unwrap();
        prop_assert_eq!(&after["master"], &frame["master"]);
        let (old, new) = (texts(&was), texts(&now));
        let head = ["/sequence", "/author", "/text"];
        let of_body = |leaves: Vec<(String, String)>| -> Vec<_> {
            leaves.into_iter().filter(|(path, _)| !head.contains(&path.as_str())).collect()
        };
        let (before, after) = (of_body(leaves(&frame)), of_body(leaves(&after)));
        prop_assert_eq!(before.len(), after.len());
        for ((path, before), (same_path, after)) in before.into_iter().zip(after) {
            prop_assert!(path == same_path || was.subject.kind == Kind::AccessRules);
            let is_told = old.contains(&before) && new.contains(&after);
            prop_assert!(before == after || is_told, "{path}: {before} became {after}");
        }

        // The same changes, made on the other side of the bus, give the same frame.
        let sent = CANONICAL.encode(&was, document).unwrap();
        let (_, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(payload(REST, &now, &document), text(&written));
    }

    #[test]
    fn the_canonical_dialect_carries_every_change(frame in frame(), first in change(), second in change()) {
        let (mut event, document) = decode(REST, &message(frame.to_string()));
        first.apply(&mut event);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(bodiless(&received), bodiless(&event));
        let mut event = received;
        second.apply(&mut event);
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (received, document) = decode(CANONICAL, &sent);
        prop_assert_eq!(bodiless(&received), bodiless(&event));
        let left = REST.encode(&received, document).unwrap();
        let (mut left, _) = decode(REST, &left);
        left.source.clone_from(&event.source);
        prop_assert_eq!(bodiless(&left), bodiless(&event));
    }

    /// There is no change that panics, whatever a plugin makes of an event.
    #[test]
    fn any_change_is_written_or_refused(frame in frame(), texts in prop::collection::vec(of("[a:/.*\\\\]{0,3}"), 12)) {
        let (mut event, document) = decode(REST, &message(frame.to_string()));
        let mut texts = texts.into_iter().cycle();
        let mut next = || texts.next().unwrap();
        let targets = event.references.iter_mut().map(|reference| &mut reference.target);
        for object in std::iter::once(&mut event.subject).chain(targets) {
            *object = Object { workspace: next(), name: next(), ..object.clone() };
        }
        if let Ok(written) = REST.encode(&event, document) {
            let (read, _) = decode(REST, &written);
            prop_assert_eq!(read.subject, event.subject);
        }
    }

    #[test]
    fn no_json_panics(frame in frame(), path in any::<prop::sample::Index>(), replacement in frame_of_cloud()) {
        // A frame with one member replaced, by anything.
        let leaves = leaves(&frame);
        let (path, _) = path.get(&leaves);
        for cut in 1..=path.matches('/').count() {
            let end = path.match_indices('/').nth(cut).map_or(path.len(), |(at, _)| at);
            let mut broken = frame.clone();
            let Some(place) = broken.pointer_mut(&path[..end]) else { continue };
            *place = if cut % 2 == 0 { replacement.clone() } else { Value::from("1.0") };
            re_encodes(REST, &message(broken.to_string()));
            let made = RestFrame::read(broken.to_string().as_bytes());
            if let Ok(made) = made {
                prop_assert_eq!(RestFrame::read(&made.to_payload()).unwrap(), made);
            }
            let mut envelope = json!({
                "specversion": "1.0", "id": "1", "source": "/x", "type": "weir.catalog.layer.added.v1",
                "data": {"dialect": "geoserver-rest"},
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
