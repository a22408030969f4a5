//! What is read from the notifications for GeoNode, and written into them.

use std::fmt::Write as _;

use serde_json::Value;
use weir_event::{Action, Dialect, Event, Pair};

use crate::{SOURCE, decode, message, notifications, text};

const GEONODE: Dialect = Dialect::GeoNode;

fn notification(title: &str) -> String {
    let all = notifications();
    all.into_iter().find(|(known, _)| known == title).unwrap().1
}

#[test]
fn a_notification_says_what_happened_to_what() {
    let read: Vec<String> = notifications()
        .iter()
        .map(|(_, json)| {
            let (event, _) = decode(GEONODE, &message(json.as_str()));
            let mut line = format!("{} {}", event.subject, event.action);
            for reference in &event.references {
                write!(line, ", {} = {}", reference.role, reference.target).unwrap();
            }
            line
        })
        .collect();
    assert_eq!(
        read,
        [
            "workspace topp added",
            "namespace topp added",
            "store topp:pg added",
            "featuretype topp:roads added, store = datastore pg",
            "layer topp:roads modified, default-style = style line, default-style = style point",
            "layergroup base removed, layer = published roads, style = style line",
            "data topp:roads modified, store = datastore pg",
        ]
    );
}

#[test]
fn who_and_when_are_read() {
    let (event, _) = decode(GEONODE, &message(notification("namespace add")));
    assert_eq!(event.id, "-4b09309b:1a2030b0bb1:-7ff7");
    assert_eq!(event.source, SOURCE);
    assert_eq!(event.time, "2026-11-22T11:36:00.000Z");
    let attributes = [
        ("authtype", "user"),
        ("authid", "admin"),
        ("originator", "127.0.0.1"),
    ];
    assert_eq!(
        event.attributes,
        attributes.map(|(name, value)| Pair::new(name, value))
    );
    let uri = Pair {
        name: "uri".to_owned(),
        value: "http://www.openplans.org/topp".to_owned(),
    };
    assert_eq!(event.properties, [uri]);
}

fn changed(title: &str, change: impl Fn(&mut Event)) -> Value {
    let (mut event, document) = decode(GEONODE, &message(notification(title)));
    change(&mut event);
    serde_json::from_str(text(&GEONODE.encode(&event, document).unwrap())).unwrap()
}

#[test]
fn changes_are_set_in_their_places() {
    let json = changed("layer update", |event| {
        event.subject.workspace = Some("eu".to_owned());
        event.references[1].target.name = Some("dot".to_owned());
        event.action = Action::Removed;
    });
    assert_eq!(json["source"]["workspace"], "eu");
    assert_eq!(json["source"]["defaultStyle"], "line");
    assert_eq!(json["properties"]["defaultStyle"], "dot");
    assert_eq!(json["action"], "Remove");
    let json = changed("namespace add", |event| {
        event.subject.workspace = Some("eu".to_owned());
        event.properties[0].value = "http://eu".to_owned();
    });
    assert_eq!(json["source"]["name"], "eu");
    assert_eq!(json["source"]["namespaceURI"], "http://eu");
    let json = changed("layergroup remove", |event| {
        event.subject.workspace = Some("eu".to_owned());
    });
    assert_eq!(json["source"]["workspace"], "eu");
}

#[test]
fn what_is_no_notification_says_why() {
    let error = |payload: &str| {
        GEONODE
            .decode(&message(payload), SOURCE)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("{}"),
        "the message is no geonode event: it has no `type`"
    );
    assert_eq!(
        error(r#"{"type":"Catalog","action":"Add"}"#),
        "the message is no geonode event: it has no object `source`"
    );
    assert_eq!(
        error(r#"{"type":"Catalog","action":"Add","timestamp":"noon","source":{}}"#),
        "the message is no geonode event: its `timestamp` is `noon`, no time"
    );
}
