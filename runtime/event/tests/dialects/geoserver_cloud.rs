//! What is read from the frames of GeoServer Cloud, and what cannot be written into them.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};
use weir_event::{
    Action, Body, Decoded, Dialect, EncodeError, Event, HeaderValue, Kind, Object, Pair,
};

use crate::{SOURCE, decode, fixture, golden, message, text};

const CLOUD: Dialect = Dialect::GeoServerCloud;

/// The event in a line of the fixture with a frame of every type.
pub(crate) fn every_frame(index: usize) -> Event {
    decode(
        CLOUD,
        &message(
            fixture("geoserver-cloud-every-frame.jsonl")
                .lines()
                .nth(index)
                .unwrap(),
        ),
    )
    .0
}

#[test]
fn every_frame_says_what_happened_to_what() {
    let fixture = fixture("geoserver-cloud-every-frame.jsonl");
    let lines: Vec<String> = fixture
        .lines()
        .map(
            |frame| match CLOUD.decode(&message(frame), SOURCE).unwrap() {
                Decoded::NotCatalog(what) => format!("(no event: {what})"),
                Decoded::Event(event, _) => {
                    let mut line = format!("{} {}", event.subject, event.action);
                    if let Some(previous) = &event.previous {
                        write!(line, ", was {previous}").unwrap();
                    }
                    for reference in &event.references {
                        write!(line, ", {} = {}", reference.role, reference.target).unwrap();
                    }
                    line
                }
            },
        )
        .collect();
    golden("every-frame.txt", &lines);
}

/// Numbers keep all of their digits; the exponent alone has one spelling.
#[test]
fn numbers_keep_their_digits() {
    let frame = r#"{"type":"X","id":"1","n":[0.10,1E5,12345678901234567890.5,-0.0]}"#;
    let (event, document) = decode(CLOUD, &message(frame));
    let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
    assert!(
        text(&sent).contains("[0.10,1e+5,12345678901234567890.5,-0.0]"),
        "{}",
        text(&sent)
    );
}

#[test]
fn the_base_of_an_event_is_read() {
    let event = every_frame(1);
    assert_eq!(event.id, "11111111-0000-4000-8000-000000000002");
    assert_eq!(event.source, SOURCE);
    assert_eq!(event.time, "2026-09-21T14:13:22.000Z");
    assert_eq!(event.sequence, Some(502));
    let attributes = [
        ("originservice", "rest:10.1.0.4:8080"),
        ("destinationservice", "**"),
        ("authtype", "user"),
        ("authid", "maria"),
    ];
    assert_eq!(
        event.attributes,
        attributes.map(|(name, value)| Pair::new(name, value))
    );
    let body = event.body.unwrap();
    assert_eq!(
        body.content_type,
        "application/json; profile=geoserver-cloud.object"
    );
    assert!(
        body.data
            .starts_with(br#"{"@type":"WorkspaceInfo","id":"WorkspaceInfoImpl-w1""#)
    );
}

/// Changes a frame of the fixture, and gives back its body.
pub(crate) fn changed(index: usize, change: impl Fn(&mut Event)) -> Result<Value, EncodeError> {
    let fixture = fixture("geoserver-cloud-every-frame.jsonl");
    let (mut event, document) = decode(CLOUD, &message(fixture.lines().nth(index).unwrap()));
    change(&mut event);
    let frame: Value = serde_json::from_str(text(&CLOUD.encode(&event, document)?)).unwrap();
    let (_, fields) = frame["event"].as_object().unwrap().iter().next().unwrap();
    Ok(fields.clone())
}

pub(crate) fn set(event: &mut Event, name: &str, value: &str) {
    let property = event
        .properties
        .iter_mut()
        .find(|property| property.name == name)
        .unwrap();
    value.clone_into(&mut property.value);
}

#[test]
fn a_thing_that_is_said_twice_is_written_twice() {
    let fields = changed(20, |event| {
        assert_eq!(event.references.len(), 1);
        event.references[0].target.id = Some("WorkspaceInfoImpl-other".to_owned());
    });
    let fields = fields.unwrap();
    assert_eq!(fields["newWorkspaceId"], "WorkspaceInfoImpl-other");
    let literal = &fields["patch"]["Patch"]["patches"][0]["value"]["Literal"];
    assert_eq!(literal["value"]["id"], "WorkspaceInfoImpl-other");
}

#[test]
fn an_old_name_is_written_as_it_came() {
    let rename = |event: &mut Event| {
        event.subject.name = Some("renamed".to_owned());
    };
    // Prefixed, and the same as the name: it follows.
    let fields = changed(14, rename).unwrap();
    assert_eq!(
        (&fields["objectName"], &fields["oldName"]),
        (&json!("harbour:renamed"), &json!("harbour:renamed"))
    );
    // Bare, and another one: it stays.
    let fields = changed(18, rename).unwrap();
    assert_eq!(
        (&fields["objectName"], &fields["oldName"]),
        (&json!("renamed"), &json!("pier_line"))
    );
    let fields = changed(18, |event| event.previous = None).unwrap();
    assert_eq!(fields["oldName"], "pier_line2");
    // A rename of a plugin's own is written as GeoServer Cloud writes renames.
    let fields = changed(14, |event| {
        event.previous = Some(event.subject.clone());
        rename(event);
    });
    assert_eq!(fields.unwrap()["oldName"], "overview");
}

#[test]
fn a_new_body_takes_the_places_of_the_event() {
    let fields = changed(1, |event| {
        event.subject.workspace = Some("quay".to_owned());
        let data = r#"{"id":"WorkspaceInfoImpl-w1","isolated":true,"name":"harbour"}"#;
        event.body.as_mut().unwrap().data = Bytes::from_static(data.as_bytes());
    });
    let fields = fields.unwrap();
    assert_eq!(fields["objectName"], "quay");
    let expected = json!({"id": "WorkspaceInfoImpl-w1", "isolated": true, "name": "quay"});
    assert_eq!(fields["object"].to_string(), expected.to_string());
}

#[test]
fn what_cannot_be_written_is_an_error_that_says_why() {
    let error = |index, change: fn(&mut Event)| changed(index, change).unwrap_err().to_string();
    let contract = "a plugin may change the target of a reference, but not add, remove or reorder references, nor change their roles";
    assert_eq!(
        error(7, |event| drop(event.references.pop())),
        format!("the reference `store` to datastore #DataStoreInfoImpl-d1 is missing; {contract}")
    );
    assert_eq!(
        error(7, |event| event.references.reverse()),
        format!(
            "where the reference `namespace` to namespace harbour was, there is `store` to datastore #DataStoreInfoImpl-d1; {contract}"
        )
    );
    assert_eq!(
        error(7, |event| event.references[1].target.id = None),
        format!(
            "the reference `store` to datastore has lost its id, by which geoserver-cloud refers to objects; {contract}"
        )
    );
    assert_eq!(
        error(7, |event| event.body.as_mut().unwrap().data =
            Bytes::from_static(b"{}")),
        format!("the event has 2 references and its body 0; {contract}")
    );
    assert_eq!(
        error(7, |event| event.body = None),
        "the body cannot be written as geoserver-cloud: it was removed; leave the body, or drop the event"
    );
    assert_eq!(
        error(3, |event| event.properties.push(Pair {
            name: "title".to_owned(),
            value: "x".to_owned()
        })),
        "the body cannot be written as geoserver-cloud: the property `title` was added; a datastore has no such property"
    );
    assert_eq!(
        error(7, |event| event.subject.id = None),
        "geoserver-cloud cannot say `featuretype harbour:piers added`: it has lost its id, by which that dialect refers to objects"
    );
    assert_eq!(
        error(7, |event| event.subject.name = None),
        "geoserver-cloud cannot say `featuretype harbour added`: it has lost its name"
    );
    assert_eq!(
        error(7, |event| event.subject.workspace = Some("a:b".to_owned())),
        "geoserver-cloud cannot say `featuretype a:b:piers added`: `a:b` cannot be a prefix: use a workspace without colon"
    );
}

#[test]
fn another_action_is_another_frame() {
    let fields = changed(7, |event| event.action = Action::Removed).unwrap();
    assert_eq!(fields["objectName"], "harbour:piers");
    assert_eq!(fields["objectType"], "FEATURETYPE");
    assert_eq!(fields.get("object"), None);
}

#[test]
fn spring_is_told_the_content_type() {
    let (event, document) = decode(
        CLOUD,
        &message(
            fixture("geoserver-cloud-frames.jsonl")
                .lines()
                .next()
                .unwrap(),
        ),
    );
    let sent = CLOUD.encode(&event, document).unwrap();
    assert_eq!(sent.content_type.as_deref(), Some("application/json"));
    assert_eq!(
        sent.headers["contentType"],
        HeaderValue::from("application/json")
    );
    assert_eq!(sent.message_id.as_deref(), Some(event.id.as_str()));
    assert_eq!(sent.routing_key, "_global.catalog.modified");
}

#[test]
fn a_frame_without_id_and_time_is_always_the_same_event() {
    let frame = r#"{"type":"RemoteGeoServerEvent","event":{"ReloadEvent":{"timestamp":0}}}"#;
    let (event, _) = decode(CLOUD, &message(frame));
    assert_eq!(event.id, "357089f0-6dbf-5785-b7da-aa1a93485c44");
    assert_eq!(event.time, "1970-01-01T00:00:00.000Z");
    assert_eq!(event.subject, Object::of(Kind::Catalog));
}

#[test]
fn what_is_no_frame_says_why() {
    let error = |payload: &str| {
        CLOUD
            .decode(&message(payload), SOURCE)
            .unwrap_err()
            .to_string()
    };
    assert!(
        error("<xml/>").starts_with("the message is no JSON that can be read as geoserver-cloud: ")
    );
    assert_eq!(
        error("[]"),
        "the message is no geoserver-cloud event: it is JSON, but not an object"
    );
    assert_eq!(
        error("{}"),
        "the message is no geoserver-cloud event: it has no `type`"
    );
    assert_eq!(
        error(r#"{"type":"RemoteGeoServerEvent","event":{}}"#),
        "the message is no geoserver-cloud event: its `event` is not one object under the name of the event"
    );
    assert_eq!(
        error(r#"{"type":"RemoteGridsetEvent","eventType":"FADED"}"#),
        "the message is no geoserver-cloud event: its `eventType` is `FADED`, which says nothing"
    );
    let deep = format!(
        r#"{{"type":"X","y":{}{}}}"#,
        "[".repeat(121),
        "]".repeat(121)
    );
    assert!(error(&deep).contains("nests deeper than 120 levels"));
    let huge = " ".repeat((64 << 20) + 1);
    assert!(error(&huge).ends_with("67108865 bytes are more than the 67108864 that are read"));
    let deeper = "[".repeat(100_000);
    assert!(error(&deeper).contains("recursion limit"));
}

#[test]
fn what_fits_into_a_frame_fits_onto_the_bus() {
    let deep = format!(
        r#"{{"type":"X","id":"1","y":{}{}}}"#,
        "[".repeat(119),
        "]".repeat(119)
    );
    let (event, document) = decode(CLOUD, &message(deep));
    let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
    assert_eq!(decode(Dialect::CloudEvents, &sent).0, event);
}

#[test]
fn a_document_does_not_show_its_secrets() {
    let fixture = fixture("geoserver-cloud-every-frame.jsonl");
    let (_, document) = decode(CLOUD, &message(fixture.lines().nth(3).unwrap()));
    assert!(!format!("{document:?}").contains("an-example-only"));
}

#[test]
fn a_whole_object_of_any_origin_becomes_a_frame() {
    let envelope = json!({
        "specversion": "1.0", "id": "1", "source": "/snapshot", "type": "weir.catalog.style.added.v1",
        "time": "2026-09-21T14:13:22Z",
        "data": {
            "kind": "style", "workspace": "topp", "name": "line", "id": "StyleInfoImpl-1",
            "references": [{"role": "workspace", "kind": "workspace", "workspace": "topp", "id": "w1"}],
            "body": {
                "contentType": "application/json; profile=geoserver-cloud.object",
                "json": {"@type": "StyleInfo", "id": "StyleInfoImpl-1", "name": "line", "workspace": "w1"},
            },
        },
    });
    let (mut event, document) = decode(Dialect::CloudEvents, &message(envelope.to_string()));
    event.subject.name = Some("dash".to_owned());
    event.set_attribute("originservice", "snapshot:1");
    event.references[0].target.id = Some("w2".to_owned());
    let frame = CLOUD.encode(&event, document).unwrap();
    let (read, _) = decode(CLOUD, &frame);
    assert_eq!(read.subject, event.subject);
    let data = br#"{"@type":"StyleInfo","id":"StyleInfoImpl-1","name":"dash","workspace":"w2"}"#;
    let content_type = "application/json; profile=geoserver-cloud.object".to_owned();
    assert_eq!(
        read.body,
        Some(Body {
            content_type,
            data: Bytes::from_static(data)
        })
    );
}

#[test]
fn an_echo_is_no_event() {
    let frame = r#"{"type":"RemoteGridsetEvent","originService":"weir:eu:0","gridsetId":"g"}"#;
    let what = match CLOUD.decode(&message(frame), SOURCE) {
        Ok(Decoded::NotCatalog(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what, "a frame that Weir itself sent, as `weir:eu:0`");
    let long = frame.replace("eu", &"x".repeat(100_000));
    let long = CLOUD.decode(&message(long), SOURCE);
    assert!(matches!(long, Ok(Decoded::NotCatalog(what)) if what.len() < 200));
    // Only the sender's name is looked at, and all of it that counts.
    let frame = frame.replace("weir:eu:0", "weird:eu:0");
    decode(CLOUD, &message(frame));
}

/// Weir's own frames are those that it makes anew, and those that go to a slave.
#[test]
fn what_weir_makes_anew_is_an_echo_where_it_is_read_again() {
    let envelope = json!({"specversion": "1.0", "id": "1", "source": "/ci",
        "type": "weir.catalog.gridset.removed.v1", "subject": "gridsets/g"});
    let (event, document) = decode(Dialect::CloudEvents, &message(envelope.to_string()));
    let sent = CLOUD.encode(&event, document).unwrap();
    let read = CLOUD.decode(&sent, SOURCE);
    assert!(matches!(read, Ok(Decoded::NotCatalog(_))), "{read:?}");
}

/// The parser's own mark for a number is a text like any other in a message.
#[test]
fn a_text_that_looks_like_the_mark_of_a_number_survives() {
    let mark = "$serde_json::private::Number";
    for odd in [
        json!({"a": mark}),
        json!([{mark: "12"}, {"x": 1, mark: 12}]),
        json!({format!("{mark}s"): {mark: "no number"}, format!("{mark}ss"): mark}),
        json!({format!("a\"{mark}"): {format!("{mark}x"): "1"}}),
    ] {
        let frame = json!({"type": "X", "id": "1", "n": odd}).to_string();
        let (event, document) = decode(CLOUD, &message(frame.as_str()));
        let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
        let (received, document) = decode(Dialect::CloudEvents, &sent);
        assert_eq!(received, event);
        let left = CLOUD.encode(&received, document).unwrap();
        assert_eq!(text(&left), frame);
    }
}

#[test]
fn an_id_that_amqp_cannot_carry_is_refused() {
    let id = "x".repeat(256);
    let error = |dialect: Dialect, message| dialect.decode(&message, SOURCE).unwrap_err();
    let expected = "its id has 256 bytes, more than the 255 that AMQP carries";
    let frame = json!({"type": "X", "id": id}).to_string();
    let error = [
        error(CLOUD, message(frame)),
        error(
            Dialect::GeoNode,
            message(
                json!({"type": "Catalog", "action": "Add", "id": id, "source": {"type": "LayerInfo"}})
                    .to_string(),
            ),
        ),
        error(
            Dialect::CloudEvents,
            message(
                json!({"specversion": "1.0", "id": id, "source": "/x", "type": "weir.catalog.layer.added.v1"})
                    .to_string(),
            ),
        ),
    ];
    for error in error.map(|error| error.to_string()) {
        assert!(error.ends_with(expected), "{error}");
    }
    let frame = json!({"type": "X", "id": "x".repeat(255)}).to_string();
    decode(CLOUD, &message(frame));
}
