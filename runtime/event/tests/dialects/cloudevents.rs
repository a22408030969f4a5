//! The canonical dialect: what other producers may send, and what they get back.

use serde_json::{Value, json};
use weir_event::{Action, Dialect, HeaderValue, Kind, Message, Object};

use crate::{SOURCE, decode, message, text};

const CANONICAL: Dialect = Dialect::CloudEvents;

/// An envelope with everything, and with things that Weir does not know.
fn envelope() -> Value {
    json!({
        "specversion": "1.0", "id": "7", "source": "/masters/a", "future": {"is": "kept"},
        "type": "weir.catalog.layer.modified.v1", "subject": "workspaces/topp/layers/states",
        "time": "2026-08-16T20:13:21.123456Z", "datacontenttype": "application/json",
        "sequence": "00000000000000001043", "partitionkey": "topp", "traceparent": "00-1-2-01",
        "sampledrate": 4,
        "data": {
            "kind": "layer", "workspace": "topp", "name": "states", "id": "LayerInfoImpl-77",
            "previous": {"kind": "layer", "workspace": "topp", "name": "usa"},
            "references": [{"role": "resource", "kind": "featuretype", "workspace": "topp", "name": "states", "id": "f1", "hint": 1}],
            "properties": {"url": "file:a"},
            "body": {"contentType": "text/plain", "text": "hello"},
            "note": "kept",
        },
    })
}

#[test]
fn an_envelope_says_all_of_an_event() {
    let (event, document) = decode(CANONICAL, &message(envelope().to_string()));
    assert_eq!(event.source, "/masters/a");
    assert_eq!(event.time, "2026-08-16T20:13:21.123456Z");
    assert_eq!(event.sequence, Some(1043));
    assert_eq!(event.subject.to_string(), "layer topp:states");
    assert_eq!(
        event.previous.as_ref().unwrap().name.as_deref(),
        Some("usa")
    );
    assert_eq!(
        event.references[0].target.to_string(),
        "featuretype topp:states"
    );
    assert_eq!(event.properties[0].value, "file:a");
    assert_eq!(event.attribute("traceparent"), Some("00-1-2-01"));
    assert_eq!(event.attribute("sampledrate"), Some("4"));
    assert_eq!(event.body.as_ref().unwrap().data, "hello");

    let sent = CANONICAL.encode(&event, document).unwrap();
    assert_eq!(text(&sent), envelope().to_string());
    assert_eq!(
        sent.content_type.as_deref(),
        Some("application/cloudevents+json")
    );
    assert_eq!(
        sent.header("ce-type"),
        Some("weir.catalog.layer.modified.v1")
    );
    assert_eq!(sent.header("ce-sampledrate"), Some("4"));
    assert_eq!(sent.header("ce-data"), None);
    assert_eq!(sent.routing_key, "topp.layer.modified");
}

#[test]
fn only_what_changed_is_written() {
    let (mut event, document) = decode(CANONICAL, &message(envelope().to_string()));
    event.subject.workspace = Some("topp_eu".to_owned());
    event.references[0].target.workspace = Some("topp_eu".to_owned());
    event.previous = None;
    event.set_attribute("sampledrate", "5");
    event.set_attribute("causationid", "6");
    event.sequence = None;
    event.properties[0].value = "file:b".to_owned();
    let sent = CANONICAL.encode(&event, document).unwrap();

    let mut expected = envelope();
    expected["subject"] = json!("workspaces/topp_eu/layers/states");
    expected["partitionkey"] = json!("topp_eu");
    expected["sampledrate"] = json!(5);
    expected["data"]["workspace"] = json!("topp_eu");
    expected["data"]["references"][0]["workspace"] = json!("topp_eu");
    expected["data"]["properties"]["url"] = json!("file:b");
    expected["data"]
        .as_object_mut()
        .unwrap()
        .shift_remove("previous");
    expected.as_object_mut().unwrap().shift_remove("sequence");
    let data = expected
        .as_object_mut()
        .unwrap()
        .shift_remove("data")
        .unwrap();
    expected["causationid"] = json!("6");
    expected["data"] = data;
    let sent_value: Value = serde_json::from_str(text(&sent)).unwrap();
    assert_eq!(sent_value, expected);
    assert_eq!(decode(CANONICAL, &sent).0, event);
}

#[test]
fn type_and_subject_are_enough() {
    let json = json!({
        "specversion": "1.0", "id": "1", "source": "/ci", "type": "weir.catalog.tile-layer.removed.v1",
        "subject": "workspaces/topp/tile-layers/tasmania%20roads", "originservice": "ci:1",
    });
    let (event, document) = decode(CANONICAL, &message(json.to_string()));
    assert_eq!(event.subject.to_string(), "tile-layer topp:tasmania roads");
    assert_eq!(event.action, Action::Removed);
    assert_eq!(event.time, "1970-01-01T00:00:00.000Z");
    let frame = Dialect::GeoServerCloud.encode(&event, document).unwrap();
    let (read, _) = decode(Dialect::GeoServerCloud, &frame);
    assert_eq!((read.subject, read.action), (event.subject, event.action));
}

#[test]
fn binary_mode_is_read_and_answered_in_kind() {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/ci"),
        ("ce-type", "weir.catalog.style.added.v1"),
        ("ce-traceparent", "00-1"),
        ("x-other", "kept"),
    ];
    let message = Message {
        content_type: Some("application/json".to_owned()),
        headers: headers
            .map(|(name, value)| (name.to_owned(), HeaderValue::from(value)))
            .into(),
        payload: r#"{ "kind": "style", "name": "line" }"#.into(),
        ..Message::default()
    };
    let (mut event, document) = decode(CANONICAL, &message);
    assert_eq!(event.subject.to_string(), "style line");
    assert_eq!(event.attribute("traceparent"), Some("00-1"));
    let sent = CANONICAL.encode(&event, document.clone()).unwrap();
    assert_eq!(
        (&sent.payload, &sent.headers),
        (&message.payload, &message.headers)
    );
    assert_eq!(sent.content_type, message.content_type);

    event.subject.name = Some("dash".to_owned());
    let sent = CANONICAL.encode(&event, document).unwrap();
    assert_eq!(
        sent.content_type.as_deref(),
        Some("application/cloudevents+json")
    );
    assert_eq!(sent.header("x-other"), Some("kept"));
    assert_eq!(decode(CANONICAL, &sent).0, event);
}

#[test]
fn what_is_not_understood_says_why() {
    let error = |key: &str, value: Value| {
        let mut envelope = envelope();
        envelope[key] = value;
        CANONICAL
            .decode(&message(envelope.to_string()), SOURCE)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("specversion", json!("2.0")),
        "this version of Weir does not read CloudEvents of version `2.0`; send version 1.0"
    );
    assert_eq!(
        error("type", json!("weir.catalog.layer.modified.v2")),
        "this version of Weir does not read CloudEvents of the type `weir.catalog.layer.modified.v2`; it reads version v1: use the version of Weir that wrote it"
    );
    assert_eq!(
        error("type", json!("org.example.created")),
        "this version of Weir does not read CloudEvents of the type `org.example.created`; the type of a catalog event is `weir.catalog.<kind>.<action>.v1`"
    );
    assert_eq!(
        error("data", json!([])),
        "the message is no cloudevents event: its `data` is not an object"
    );
    assert_eq!(
        error("data", json!({"dialect": "jms", "frame": {}})),
        "this version of Weir does not read frames of the dialect `jms`; use the version of Weir that wrote the event"
    );
    assert_eq!(
        error("id", json!("")),
        "the message is no cloudevents event: it has no `id`"
    );
}

#[test]
fn a_body_of_any_type_is_carried() {
    let (event, document) = decode(CANONICAL, &message(envelope().to_string()));
    for (content_type, data) in [
        ("application/json", &br#"{"b":1,"a":2.50}"#[..]),
        ("application/vnd.x+json; charset=utf-8", b"[]"),
        ("application/json", b"not json"),
        ("image/png", b"\x89PNG\xff"),
    ] {
        let mut event = event.clone();
        let body = event.body.as_mut().unwrap();
        content_type.clone_into(&mut body.content_type);
        body.data = data.into();
        let sent = CANONICAL.encode(&event, document.clone()).unwrap();
        assert_eq!(decode(CANONICAL, &sent).0, event);
    }
}

#[test]
fn an_attribute_cannot_take_the_place_of_another() {
    let (mut event, document) = decode(CANONICAL, &message(envelope().to_string()));
    event.set_attribute("data", "x");
    let error = CANONICAL.encode(&event, document).unwrap_err().to_string();
    assert!(
        error.contains("`data` cannot be the name of an extension attribute"),
        "{error}"
    );
}

#[test]
fn an_unknown_kind_passes() {
    let mut envelope = envelope();
    envelope["type"] = json!("weir.catalog.map.added.v1");
    envelope["data"]["kind"] = json!("map");
    let (event, _) = decode(CANONICAL, &message(envelope.to_string()));
    assert_eq!(
        event.subject,
        Object {
            kind: Kind::Other("map".to_owned()),
            ..event.subject.clone()
        }
    );
}

#[test]
fn a_type_that_would_be_read_as_another_is_refused() {
    for (kind, action) in [("layer", "a.b"), ("layer", ""), ("", "added")] {
        let (mut event, document) = decode(CANONICAL, &message(envelope().to_string()));
        event.subject.kind = Kind::from(kind);
        event.action = Action::from(action);
        let error = CANONICAL.encode(&event, document).unwrap_err().to_string();
        let expected =
            format!("the kind `{kind}` and the action `{action}` would be read as others");
        assert!(error.contains(&expected), "{error}");
    }
}
