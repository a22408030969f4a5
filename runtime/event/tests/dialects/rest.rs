//! Frames of `geoserver-rest`: `tests/fixtures/geoserver-rest/README.md` says where their contents
//! come from.

use std::fmt::Write as _;

use serde_json::{Value, json};
use weir_event::{Action, Dialect, Document, Event, Object, Pair, RestContent, RestFrame};

use crate::laws::leaves;
use crate::{SOURCE, decode, golden, message, text};

const REST: Dialect = Dialect::GeoServerRest;
const CANONICAL: Dialect = Dialect::CloudEvents;

fn fixture(name: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/tests/fixtures/geoserver-rest/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn frames() -> Vec<String> {
    ["recorded.jsonl", "made.jsonl"]
        .iter()
        .flat_map(|name| fixture(name).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The frame that was written for such an object; of a style, its info.
pub(crate) fn frame(kind: &str, name: &str) -> String {
    let found = frames().into_iter().find(|frame| {
        let (event, _) = decode(REST, &message(frame.as_str()));
        event.subject.kind.as_str() == kind && event.subject.name.as_deref() == Some(name)
    });
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn objects(event: &mut Event) -> impl Iterator<Item = &mut Object> {
    let targets = event.references.iter_mut().map(|r| &mut r.target);
    std::iter::once(&mut event.subject)
        .chain(&mut event.previous)
        .chain(targets)
}

/// Does what the plugin that remaps workspaces does.
pub(crate) fn remap(event: &mut Event, new_of: &dyn Fn(&str) -> String) {
    for object in objects(event) {
        if let Some(workspace) = &mut object.workspace {
            *workspace = new_of(workspace);
        }
    }
    for property in &mut event.properties {
        if matches!(
            property.name.as_str(),
            "uri" | "connectionParameters.namespace"
        ) {
            for old in WORKSPACES {
                if says(&property.value, old) {
                    property.value = property.value.replace(old, &new_of(old));
                    break;
                }
            }
        }
    }
}

const WORKSPACES: [&str; 6] = ["north", "south", "quiet", "twin", "byns", "høst felt"];

/// True if the name stands in a text as a word of its own.
fn says(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !text[..at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word)
    })
}

fn north_eu(workspace: &str) -> String {
    match workspace {
        "north" => "north_eu".to_owned(),
        other => other.to_owned(),
    }
}

pub(crate) fn prefixed(workspace: &str) -> String {
    format!("eu_{workspace}")
}

/// Where the name of a workspace may stay: the master's own name, links into the interface, and what
/// a policy decides about and no remap: addresses that people gave, and paths of data.
fn is_kept(path: &str, leaf: &str) -> bool {
    const POLICY: [&str; 4] = [
        "/wmsStore/capabilitiesURL",
        "/settings/onlineResource",
        "/settings/proxyBaseUrl",
        "/dataStore/connectionParameters/entry/1/$",
    ];
    let is_link = leaf.starts_with("https://maps.lab.test/geoserver/rest/");
    path.starts_with("/master/") || is_link || POLICY.iter().any(|end| path.ends_with(end))
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A change on this side of the bus, and the same on the other.
pub(crate) fn written(was: &Event, document: Document, change: &dyn Fn(&mut Event)) -> String {
    let mut now = was.clone();
    change(&mut now);
    let here = REST.encode(&now, document.clone()).unwrap();
    let sent = CANONICAL.encode(was, document).unwrap();
    let (mut received, document) = decode(CANONICAL, &sent);
    assert_eq!(received, *was);
    change(&mut received);
    let there = REST.encode(&received, document).unwrap();
    assert_eq!(text(&there), text(&here));
    // Or changed first, and sent then.
    let (was, document) = decode(REST, &message(text(&here)));
    assert_eq!(
        Event {
            body: None,
            ..was.clone()
        },
        Event { body: None, ..now }
    );
    let sent = CANONICAL.encode(&was, document).unwrap();
    let (received, document) = decode(CANONICAL, &sent);
    let left = REST.encode(&received, document).unwrap();
    assert_eq!(text(&left), text(&here));
    text(&here).to_owned()
}

#[test]
fn what_nobody_changed_leaves_as_it_came() {
    for frame in frames() {
        let (event, document) = decode(REST, &message(frame.as_str()));
        assert_eq!(event.source, SOURCE);
        assert_eq!(text(&REST.encode(&event, document.clone()).unwrap()), frame);
        assert_eq!(written(&event, document, &|_| ()), frame);
    }
}

#[test]
fn every_frame_says_what_an_object_is() {
    let lines: Vec<String> = frames()
        .iter()
        .map(|frame| {
            let (event, _) = decode(REST, &message(frame.as_str()));
            let mut line = format!("{} {}", event.subject, event.action);
            if let Some(previous) = &event.previous {
                write!(line, ", was {previous}").unwrap();
            }
            for reference in &event.references {
                write!(line, ", {} = {}", reference.role, reference.target).unwrap();
            }
            for Pair { name, value } in &event.properties {
                write!(line, ", {name}: {value}").unwrap();
            }
            if let Some(body) = &event.body {
                write!(line, ", {} of {} bytes", body.content_type, body.data.len()).unwrap();
            }
            line
        })
        .collect();
    golden("rest-events.txt", &lines);
}

/// After a remap, nothing but free text holds the old name.
#[test]
fn a_remap_reaches_every_place() {
    let remaps: [fn(&str) -> String; 2] = [north_eu, prefixed];
    let names = ["rest-remapped.jsonl", "rest-prefixed.jsonl"];
    for (new_of, name) in remaps.into_iter().zip(names) {
        let mut left = Vec::new();
        for frame in frames() {
            let (was, document) = decode(REST, &message(frame.as_str()));
            let written = written(&was, document, &|event| remap(event, &new_of));
            for (path, leaf) in leaves(&json(&written)) {
                for old in WORKSPACES.iter().filter(|old| new_of(old) != **old) {
                    assert!(
                        !says(&leaf, old) && !says(&path, old) || is_kept(&path, &leaf),
                        "{path} says {leaf}"
                    );
                }
            }
            let (before, after) = (leaves(&json(&frame)), leaves(&json(&written)));
            assert_eq!(before.len(), after.len());
            if written != frame {
                left.push(written);
            }
        }
        golden(name, &left);
    }
}

/// Every place that the scan of the recordings found, one by one.
#[test]
fn no_place_of_the_list_is_forgotten() {
    let frames: Vec<_> = frames()
        .into_iter()
        .map(|frame| {
            let (was, document) = decode(REST, &message(frame.as_str()));
            let written = written(&was, document, &|event| remap(event, &north_eu));
            let pair = |frame: &str| leaves(&json(frame));
            (was.subject.kind.to_string(), pair(&frame), pair(&written))
        })
        .collect();
    let mut checked = 0;
    for line in fixture("places.txt").lines() {
        let [kind, place, form, said] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let expected = match form {
            // Links are no data; other values are what a policy decides about.
            "href" | "other" => said.to_owned(),
            _ => said.replace("north", "north_eu"),
        };
        let mut found = 0;
        for (_, before, after) in frames.iter().filter(|(of, ..)| of == kind) {
            for ((path, before), (_, after)) in before.iter().zip(after) {
                if is_at(path, place) && before == said {
                    assert_eq!(*after, expected, "{line}");
                    found += 1;
                }
            }
        }
        assert!(found > 0, "no frame has the place {line}");
        checked += 1;
    }
    assert_eq!(checked, 53);
}

/// True if a leaf's path is that of the list, where `[]` is any element.
fn is_at(path: &str, place: &str) -> bool {
    let Some(path) = path.strip_prefix("/body") else {
        return false;
    };
    let mut shown = String::new();
    for name in path.split('/').skip(1) {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            shown.push_str("[]");
        } else {
            write!(shown, ".{name}").unwrap();
        }
    }
    shown == place
}

#[test]
fn a_frame_is_made_and_read_by_its_fields() {
    for frame in frames() {
        let made = RestFrame::read(frame.as_bytes()).unwrap();
        let payload = made.to_payload();
        assert_eq!(RestFrame::read(&payload).unwrap(), made);
        let (event, _) = decode(REST, &message(frame.as_str()));
        let (again, _) = decode(REST, &message(payload.to_vec()));
        assert_eq!(again, event);
    }
    let made = RestFrame::read(frame("resource", "styles/dot.png").as_bytes()).unwrap();
    let Some(RestContent::Bytes { content_type, data }) = made.content else {
        panic!("bytes expected");
    };
    assert_eq!(
        (content_type.as_str(), &data[1..4]),
        ("image/png", &b"PNG"[..])
    );
}

#[test]
fn an_object_is_no_frame_of_geoserver_cloud() {
    let (event, document) = decode(REST, &message(frame("featuretype", "rivers")));
    assert_eq!(event.action, Action::Modified);
    let error = Dialect::GeoServerCloud
        .encode(&event, document)
        .unwrap_err();
    assert!(
        error.to_string().contains("does not carry the object"),
        "{error}"
    );
}

#[test]
fn what_is_no_frame_says_why() {
    let whole = json!({
        "kind": "layer", "action": "modified", "workspace": "topp", "name": "states",
        "master": {"workspace": "topp", "name": "states"}, "id": "1", "time": "2026-11-25T18:00:00Z",
        "contentType": "application/json", "body": {"layer": {"name": "states"}},
    });
    let error = |change: Value| {
        let mut frame = whole.clone();
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                frame.as_object_mut().unwrap().shift_remove(key);
            } else {
                frame[key] = value.clone();
            }
        }
        let error = REST
            .decode(&message(frame.to_string()), SOURCE)
            .unwrap_err();
        let error = error.to_string();
        assert!(error.len() < 500, "{error}");
        let prefix = "the message is no geoserver-rest event: ";
        error.strip_prefix(prefix).unwrap_or(&error).to_owned()
    };
    let long = "x".repeat(100_000);
    let digits = "0".repeat(64);
    let lines: Vec<String> = [
        json!({"kind": null}),
        json!({"action": ""}),
        json!({"action": "a.b"}),
        json!({"id": 7}),
        json!({"time": "noon"}),
        json!({"time": long}),
        json!({"master": null}),
        json!({"master": "topp:states"}),
        json!({"master": {"name": 1}}),
        json!({"previous": []}),
        json!({"workspace": {}}),
        json!({"sequence": -1}),
        json!({"contentType": null}),
        json!({"contentType": "text/html"}),
        json!({"body": []}),
        json!({"body": {"style": {}}}),
        json!({"body": {"layer": {}, "style": {}}}),
        json!({"body": {long.clone(): {}}}),
        json!({"text": "<layer/>"}),
        json!({"body": null, "text": "<layer/>"}),
        json!({"kind": "workspace"}),
        json!({"kind": "tile-layer"}),
        json!({"kind": "tile-layer", "body": null, "text": "no XML"}),
        json!({"kind": "gridset", "body": null, "text": format!("<{long}>")}),
        json!({"kind": "resource", "body": null, "text": ""}),
        json!({"kind": "resource", "workspace": null, "name": "a/../../b"}),
        json!({"kind": "resource", "workspace": null, "name": "a", "body": null, "master": {"name": "a"}, "base64": "?"}),
        json!({"kind": "resource", "workspace": null, "name": "a", "body": null, "master": {"name": "../a"}}),
        json!({"kind": "resource", "workspace": null, "name": "a", "body": null, "master": {"name": "a"}, "reference": {"sha256": "0"}}),
        json!({"kind": "resource", "workspace": null, "name": "a", "body": null, "master": {"name": "a"}, "reference": {"sha256": digits}}),
    ]
    .into_iter()
    .map(error)
    .collect();
    golden("rest-errors.txt", &lines);
    let error = REST.decode(&message("[]"), SOURCE).unwrap_err().to_string();
    assert_eq!(
        error,
        "the message is no geoserver-rest event: it is JSON, but not an object"
    );
}
