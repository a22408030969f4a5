//! What is written into frames of `geoserver-rest`, and what is refused.

use serde_json::{Value, json};
use weir_event::{Dialect, Event, Kind, Pair};

use crate::rest::{frame, frames, json, prefixed, remap, written};
use crate::{decode, message};

const REST: Dialect = Dialect::GeoServerRest;
const CANONICAL: Dialect = Dialect::CloudEvents;

fn changed(frame: &str, change: &dyn Fn(&mut Event)) -> Value {
    let (event, document) = decode(REST, &message(frame));
    json(&written(&event, document, change))
}

#[test]
fn a_rename_is_set_in_head_and_body() {
    let frame = frame("featuretype", "rivers");
    let written = changed(&frame, &|event| {
        event.previous = Some(event.subject.clone());
        event.subject.name = Some("streams".to_owned());
        event.references[1].target.name = Some("pg".to_owned());
    });
    assert_eq!(written["name"], "streams");
    assert_eq!(written["store"], "pg");
    assert_eq!(
        written["previous"],
        json!({"workspace": "north", "name": "rivers"})
    );
    let body = &written["body"]["featureType"];
    assert_eq!(body["name"], "streams");
    assert_eq!(body["store"]["name"], "north:pg");
    // It belongs to the data.
    assert_eq!(body["nativeName"], "rivers");
    assert_eq!(written["master"], json(&frame)["master"]);
}

#[test]
fn a_rename_is_set_in_paths_and_in_xml() {
    let rename = |event: &mut Event, name: &str| {
        event.previous = Some(event.subject.clone());
        event.subject.name = Some(name.to_owned());
    };
    let written = changed(&frame("resource", "styles/dot.png"), &|event| {
        rename(event, "styles/icons/dot 2.png");
    });
    assert_eq!(written["name"], "workspaces/north/styles/icons/dot 2.png");
    let previous = json!({"name": "workspaces/north/styles/dot.png"});
    assert_eq!(written["previous"], previous);
    assert_eq!(written["master"], previous);

    for (kind, name, new, expected) in [
        ("gridset", "LabGrid", "A & B", "<name>A &amp; B</name>"),
        ("blobstore", "labblobs", "b", "<id>b</id>"),
        ("tile-layer", "rivers", "b", "<name>north:b</name>"),
        ("tile-layer", "g_single", "b", "<name>b</name>"),
    ] {
        let written = changed(&frame(kind, name), &|event| rename(event, new));
        let text = written["text"].as_str().unwrap();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains(name), "{text}");
    }
}

#[test]
fn a_removal_says_what_was_removed_from_which_store() {
    let removed = frames()
        .into_iter()
        .find(|frame| frame.contains(r#""removed""#));
    let written = changed(&removed.unwrap(), &|event| {
        assert_eq!(event.sequence, Some(1043));
        assert_eq!(event.attribute("authid"), Some("admin"));
        remap(event, &prefixed);
        event.references[0].target.name = Some("pg".to_owned());
        event.sequence = None;
    });
    let expected = json!({
        "kind": "featuretype", "action": "removed", "workspace": "eu_north", "store": "pg",
        "name": "rivers", "master": {"workspace": "north", "store": "props", "name": "rivers"},
        "id": written["id"], "time": written["time"], "author": "admin",
    });
    assert_eq!(written, expected);
}

#[test]
fn a_style_may_move_into_a_workspace_and_out_of_it() {
    let frame = frame("layer", "rivers");
    let written = changed(&frame, &|event| {
        for reference in &mut event.references {
            let target = &mut reference.target;
            if target.kind == Kind::Style {
                target.workspace = match target.workspace {
                    None => Some("south".to_owned()),
                    Some(_) => None,
                };
            }
        }
    });
    let layer = &written["body"]["layer"];
    assert_eq!(layer["defaultStyle"]["name"], "g_line");
    assert_eq!(layer["defaultStyle"].get("workspace"), None);
    assert_eq!(layer["styles"]["style"][0]["name"], "south:se_line");
    assert_eq!(layer["styles"]["style"][2]["name"], "w_viabody");
}

#[test]
fn a_workspace_beside_a_bare_name_counts_and_stays_there() {
    let frame = json!({
        "kind": "layer", "action": "modified", "workspace": "topp", "name": "states", "master": {},
        "id": "1", "time": "2026-11-25T18:00:00Z", "contentType": "application/json",
        "body": {"layer": {"name": "states", "defaultStyle": {"name": "pop", "workspace": "topp"}}},
    });
    let written = changed(&frame.to_string(), &|event| {
        assert_eq!(event.references[0].target.to_string(), "style topp:pop");
        remap(event, &prefixed);
    });
    let expected = json!({"name": "pop", "workspace": "eu_topp"});
    assert_eq!(written["body"]["layer"]["defaultStyle"], expected);
}

#[test]
fn a_name_that_looks_like_a_number_is_one() {
    let frame = json!({
        "kind": "datastore", "action": "modified", "workspace": "2026", "name": "7", "master": {},
        "id": "1", "time": "2026-11-25T18:00:00Z", "contentType": "application/json",
        "body": {"dataStore": {"name": 7, "workspace": {"name": 2026}}},
    });
    let written = changed(&frame.to_string(), &|event| {
        event.subject.name = Some("8".to_owned());
        remap(event, &prefixed);
    });
    let expected = json!({"name": 8, "workspace": {"name": "eu_2026"}});
    assert_eq!(written["body"]["dataStore"], expected);
}

#[test]
fn what_a_plugin_took_out_can_be_set_again() {
    for frame in frames() {
        let (was, document) = decode(REST, &message(frame.as_str()));
        if was.properties.is_empty() {
            continue;
        }
        let mut event = was.clone();
        event.properties.clear();
        let sent = CANONICAL.encode(&event, document).unwrap();
        let (mut received, document) = decode(CANONICAL, &sent);
        assert_eq!(received.properties, [], "{frame}");
        received.properties.clone_from(&was.properties);
        let left = REST.encode(&received, document).unwrap();
        let (mut read, _) = decode(REST, &left);
        let mut expected = was.properties;
        for properties in [&mut read.properties, &mut expected] {
            properties.sort_by(|a, b| a.name.cmp(&b.name));
        }
        assert_eq!(read.properties, expected, "{frame}");
    }
}

#[test]
fn properties_are_changed_taken_out_and_added() {
    let set = |event: &mut Event, name: &str, value: &str| {
        let known = event.properties.iter_mut().find(|p| p.name == name);
        known.unwrap().value = value.to_owned();
    };
    let written = changed(&frame("datastore", "pg"), &|event| {
        set(event, "connectionParameters.passwd", "a & b");
        event.properties.retain(|p| !p.name.ends_with(".schema"));
        event
            .properties
            .push(Pair::new("connectionParameters.ssl", "true"));
    });
    let entries = &written["body"]["dataStore"]["connectionParameters"]["entry"];
    let entries: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(entries.len(), 9);
    assert_eq!(entries[0], r#"{"@key":"database","$":"labdb"}"#);
    assert_eq!(entries[2], r#"{"@key":"passwd","$":"a & b"}"#);
    assert_eq!(entries[8], r#"{"@key":"ssl","$":"true"}"#);

    let written = changed(&frame("wmsstore", "casc"), &|event| {
        set(event, "username", "me");
        event
            .properties
            .retain(|p| p.name != "metadata.useConnectionPooling");
    });
    assert_eq!(written["body"]["wmsStore"]["user"], "me");
    assert_eq!(written["body"]["wmsStore"]["metadata"], "");

    let written = changed(&frame("blobstore", "cloud"), &|event| {
        set(event, "awsSecretKey", "a & <b>");
    });
    let text = written["text"].as_str().unwrap();
    assert!(
        text.contains("<awsSecretKey>a &amp; &lt;b&gt;</awsSecretKey>"),
        "{text}"
    );
}

#[test]
fn a_plugin_may_write_another_body() {
    let frame = frame("style", "w_res");
    let written = changed(&frame, &|event| {
        event.body.as_mut().unwrap().data = "<StyledLayerDescriptor/>".into();
        event.references.clear();
    });
    assert_eq!(written["text"], "<StyledLayerDescriptor/>");
    let (mut event, document) = decode(REST, &message(self::frame("layer", "rivers")));
    event.body.as_mut().unwrap().data = r#"{"layer":{"name":"rivers"}}"#.into();
    let error = |event: &Event| {
        REST.encode(event, document.clone())
            .unwrap_err()
            .to_string()
    };
    assert!(
        error(&event).starts_with("the event has 6 references and its body 0;"),
        "{}",
        error(&event)
    );
    event.body.as_mut().unwrap().data = r#"{"style":{}}"#.into();
    assert_eq!(
        error(&event),
        "the body cannot be written as geoserver-rest: the `body` of a layer has the root `layer` and nothing beside it; this one begins with `style`"
    );
    event.body = None;
    assert_eq!(
        error(&event),
        "the body cannot be written as geoserver-rest: it was removed; leave the body, or drop the event"
    );
}

#[test]
fn what_cannot_be_said_is_refused() {
    let error = |kind: &str, name: &str, change: &dyn Fn(&mut Event)| {
        let (mut event, document) = decode(REST, &message(frame(kind, name)));
        change(&mut event);
        REST.encode(&event, document).unwrap_err().to_string()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        error("layer", "rivers", &|event| event.subject.kind = Kind::Style),
        "geoserver-rest cannot say `style north:rivers modified`: the kind of an object cannot be changed, for its body is one of that kind"
    );
    assert_eq!(
        error("resource", "styles/dot.png", &|event| event.subject.name =
            text("../../etc/passwd")),
        "geoserver-rest cannot say `resource north:../../etc/passwd added`: `workspaces/north/../../etc/passwd` is no path of a resource: segments with `/` between them, none of them empty, `.` or `..`, no `\\`, at most 4096 bytes"
    );
    assert!(
        error("layer", "rivers", &|event| event.references[1]
            .target
            .workspace = text("a:b"))
        .contains("`a:b` cannot be a prefix")
    );
    let rules = json!({
        "kind": "access-rules", "action": "modified", "master": {}, "id": "1",
        "time": "2026-11-25T18:00:00Z", "contentType": "application/json",
        "body": {"a.x.r": "ROLE_A", "b.x.r": "ROLE_B"},
    });
    let (mut event, document) = decode(REST, &message(rules.to_string()));
    remap(&mut event, &|_| "b".to_owned());
    assert_eq!(
        REST.encode(&event, document).unwrap_err().to_string(),
        "the body cannot be written as geoserver-rest: two of its rules would be `b.x.r`"
    );
}
