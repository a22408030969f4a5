//! From an event back into its envelope, or into a new one.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::read::parse_type;
use super::{DIALECT, KNOWN, is_attribute_name, read_object, subject};
use crate::dialect::{EncodeError, Origin, geoserver_cloud, json};
use crate::event::{Body, Event, Object, Pair};

/// The envelope of an event: the one that it came in, where that says something else than the
/// event; a new one around the frame that it came in otherwise.
pub(in crate::dialect) fn write(event: &Event, mut origin: Origin) -> Result<Value, EncodeError> {
    let name = event_type(event)?;
    let frame_dialect = origin.frame_mut().map(|(dialect, ..)| dialect);
    let Origin {
        json, event: was, ..
    } = origin;
    let known = (origin.dialect == DIALECT).then_some(&was);
    let (mut envelope, loose_frame) = match json {
        Value::Object(envelope) if known.is_some() => (envelope, None),
        frame => (Map::new(), Some(frame)),
    };
    if known.is_none() {
        json::set_text(&mut envelope, "specversion", Some("1.0"));
    }
    let said = known.map(|was| context(was, type_name(was)));
    for (index, (name, text)) in context(event, name).into_iter().enumerate() {
        if said.as_ref().is_none_or(|said| said[index].1 != text) {
            json::set_text(&mut envelope, name, text.as_deref());
        }
    }
    if known.is_none() {
        json::set_text(&mut envelope, "datacontenttype", Some("application/json"));
    }
    write_attributes(&mut envelope, known, event)?;

    let mut data = match envelope.get_mut("data").map(Value::take) {
        Some(Value::Object(data)) => data,
        _ => Map::new(),
    };
    // The producer of an envelope may have said less than there is to say once it is changed.
    let said = known.filter(|_| data.contains_key("kind"));
    write_object(&mut data, said.map(|was| &was.subject), &event.subject);
    write_previous(&mut data, event);
    write_references(&mut data, said, event);
    if let Some(dialect) = frame_dialect {
        if let Some(frame) = loose_frame {
            json::set_text(&mut data, "dialect", Some(dialect.as_str()));
            data.insert("frame".to_owned(), frame);
        }
        if let Some(frame) = data.get_mut("frame") {
            dialect.write_frame(frame, &was, event)?;
        }
    } else {
        write_properties(&mut data, &was, event);
        write_body(&mut data, &was, event)?;
    }
    envelope.insert("data".to_owned(), Value::Object(data));
    Ok(Value::Object(envelope))
}

/// The attribute `type` of an event, if its kind and its action can be read out of that again.
fn event_type(event: &Event) -> Result<String, EncodeError> {
    let name = type_name(event);
    match parse_type(&name) {
        Ok((kind, action)) if kind == event.subject.kind && action == event.action => Ok(name),
        _ => {
            let problem = format!(
                "the kind `{}` and the action `{}` would be read as others out of the type of the envelope; neither may be empty, and an action has no dot",
                event.subject.kind, event.action
            );
            Err(EncodeError::unsayable(DIALECT, event, problem))
        }
    }
}

fn type_name(event: &Event) -> String {
    format!("weir.catalog.{}.{}.v1", event.subject.kind, event.action)
}

/// The attributes that an event gives, in the order in which they are written.
fn context(event: &Event, type_name: String) -> [(&'static str, Option<String>); 7] {
    let subject = &event.subject;
    [
        ("id", Some(event.id.clone())),
        ("source", Some(event.source.clone())),
        ("type", Some(type_name)),
        ("subject", Some(subject::path(subject))),
        ("time", Some(event.time.clone())),
        (
            "sequence",
            event.sequence.map(|sequence| format!("{sequence:020}")),
        ),
        (
            "partitionkey",
            Some(
                subject
                    .workspace
                    .clone()
                    .unwrap_or_else(|| "_global".to_owned()),
            ),
        ),
    ]
}

fn write_attributes(
    envelope: &mut Map<String, Value>,
    was: Option<&Event>,
    now: &Event,
) -> Result<(), EncodeError> {
    if was.is_some_and(|was| was.attributes == now.attributes) {
        return Ok(());
    }
    let old = by_name(was.map_or(&[], |was| was.attributes.as_slice()));
    let new = by_name(&now.attributes);
    envelope.retain(|name, _| !old.contains_key(name.as_str()) || new.contains_key(name.as_str()));
    for Pair { name, value } in &now.attributes {
        if old.get(name.as_str()) == Some(&value.as_str()) {
            continue;
        }
        if KNOWN.contains(&name.as_str()) || !is_attribute_name(name) {
            let problem = format!(
                "`{name}` cannot be the name of an extension attribute: use lower-case letters and digits, and no name that CloudEvents defines"
            );
            return Err(EncodeError::unsayable(DIALECT, now, problem));
        }
        match envelope.get_mut(name) {
            Some(place) => {
                json::set_scalar(place, value);
            }
            None => json::set_text(envelope, name, Some(value)),
        }
    }
    Ok(())
}

fn by_name(attributes: &[Pair]) -> HashMap<&str, &str> {
    attributes
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect()
}

fn write_object(map: &mut Map<String, Value>, was: Option<&Object>, now: &Object) {
    let fields = |object: &Object| {
        [
            ("kind", Some(object.kind.to_string())),
            ("workspace", object.workspace.clone()),
            ("name", object.name.clone()),
            ("id", object.id.clone()),
        ]
    };
    if was == Some(now) {
        return;
    }
    let old = was.map(fields);
    for (index, (key, text)) in fields(now).into_iter().enumerate() {
        if old.as_ref().is_none_or(|old| old[index].1 != text) {
            json::set_text(map, key, text.as_deref());
        }
    }
}

fn write_previous(data: &mut Map<String, Value>, now: &Event) {
    match (
        &now.previous,
        data.get_mut("previous").and_then(Value::as_object_mut),
    ) {
        (None, None) => {}
        (None, Some(_)) => {
            data.shift_remove("previous");
        }
        (Some(previous), Some(place)) => {
            let said = read_object(place, previous.kind.clone());
            write_object(place, Some(&said), previous);
        }
        (Some(previous), None) => {
            let mut place = Map::new();
            write_object(&mut place, None, previous);
            data.insert("previous".to_owned(), Value::Object(place));
        }
    }
}

fn write_references(data: &mut Map<String, Value>, was: Option<&Event>, now: &Event) {
    let places = data.get_mut("references").and_then(Value::as_array_mut);
    match (was, places) {
        (Some(was), Some(places)) if places.len() == now.references.len() => {
            for ((place, was), now) in places.iter_mut().zip(&was.references).zip(&now.references) {
                if let Value::Object(place) = place {
                    write_object(place, Some(&was.target), &now.target);
                    if was.role != now.role {
                        json::set_text(place, "role", Some(&now.role));
                    }
                }
            }
        }
        (_, places) => {
            if places.is_none() && now.references.is_empty() {
                return;
            }
            let places = now.references.iter().map(|reference| {
                let mut place = Map::new();
                json::set_text(&mut place, "role", Some(&reference.role));
                write_object(&mut place, None, &reference.target);
                Value::Object(place)
            });
            data.insert("references".to_owned(), places.collect());
        }
    }
}

/// The properties of an event without a frame.
fn write_properties(data: &mut Map<String, Value>, was: &Event, now: &Event) {
    if was.properties == now.properties {
        return;
    }
    let mut places = match data.get_mut("properties").map(Value::take) {
        Some(Value::Object(places)) => places,
        _ => Map::new(),
    };
    let old: HashMap<_, _> = was.properties.iter().map(|p| (&p.name, &p.value)).collect();
    let new: HashMap<_, _> = now.properties.iter().map(|p| (&p.name, &p.value)).collect();
    places.retain(|name, _| !old.contains_key(name) || new.contains_key(name));
    for Pair { name, value } in &now.properties {
        if old.get(name) == Some(&value) {
            continue;
        }
        match places.get_mut(name) {
            Some(place) => {
                json::set_scalar(place, value);
            }
            None => json::set_text(&mut places, name, Some(value)),
        }
    }
    data.insert("properties".to_owned(), Value::Object(places));
}

/// The body of an event without a frame. What plugins changed is written into it if it has a shape
/// that is known.
fn write_body(data: &mut Map<String, Value>, was: &Event, now: &Event) -> Result<(), EncodeError> {
    let Some(body) = &now.body else {
        data.shift_remove("body");
        return Ok(());
    };
    if now.body != was.body {
        data.insert("body".to_owned(), body_json(body));
    }
    if let Some(value) = data.get_mut("body").and_then(|body| body.get_mut("json")) {
        geoserver_cloud::write_loose_body(&body.content_type, value, was, now)?;
    }
    Ok(())
}

fn body_json(body: &Body) -> Value {
    let media_type = body
        .content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let value = if media_type == "application/json" || media_type.ends_with("+json") {
        json::parse(&body.data)
            .ok()
            .filter(|value| json::depth(value) <= json::MAX_BODY_DEPTH)
    } else {
        None
    };
    let (key, value) = match (value, std::str::from_utf8(&body.data)) {
        (Some(value), _) => ("json", value),
        (None, Ok(text)) => ("text", Value::from(text)),
        (None, Err(_)) => ("base64", Value::from(BASE64.encode(&body.data))),
    };
    Value::Object(Map::from_iter([
        (
            "contentType".to_owned(),
            Value::from(body.content_type.as_str()),
        ),
        (key.to_owned(), value),
    ]))
}
