//! CloudEvents: the canonical dialect, CloudEvents 1.0 in JSON.
//!
//! The attributes say what routers and tools need; `data` names the subject and its references
//! with names and ids. An event that came in another dialect has its frame in `data`, unchanged but
//! for what plugins changed: body and properties live there, and the frame can leave again as it
//! came. An event without a frame has `properties` and `body` in `data`.
//!
//! Structured mode is written; binary mode (attributes in `ce-` headers) is read as well.

mod subject;

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::{
    DecodeError, Dialect, EncodeError, Origin, Read, blank, geoserver_cloud, json, read_time,
};
use crate::event::{Action, Body, Event, Kind, Object, Property, Reference};
use crate::message::{HeaderValue, Message};

const DIALECT: Dialect = Dialect::CloudEvents;

pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The attributes that are no extensions of somebody else's. `data` stands with them, for it is a
/// member of the same object.
const KNOWN: [&str; 12] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "sequence",
    "partitionkey",
    "data",
    "data_base64",
];

/// Reads a message, and gives the envelope with it, whatever its mode was.
pub(super) fn read(message: &Message) -> Result<(Value, Read), DecodeError> {
    let mut envelope = Value::Object(envelope(message)?);
    let read = read_envelope(&mut envelope)?;
    Ok((envelope, read))
}

/// True if the payload is the whole envelope, as it is taken to be where nothing says otherwise.
pub(super) fn is_structured(message: &Message) -> bool {
    message.header("ce-specversion").is_none()
        || message
            .content_type
            .as_deref()
            .is_none_or(|is| is.starts_with("application/cloudevents"))
}

fn envelope(message: &Message) -> Result<Map<String, Value>, DecodeError> {
    let content_type = message.content_type.as_deref().unwrap_or(CONTENT_TYPE);
    if content_type.starts_with("application/cloudevents-batch") {
        return Err(DecodeError::Unsupported {
            what: "batches of CloudEvents".to_owned(),
            remedy: "send one event in each message",
        });
    }
    let parsed = json::parse(&message.payload);
    let not_json = |problem| DecodeError::NotJson {
        dialect: DIALECT,
        problem,
    };
    if is_structured(message) {
        return match parsed.map_err(not_json)? {
            Value::Object(envelope) => Ok(envelope),
            _ => Err(DIALECT.invalid("it is JSON, but not an object")),
        };
    }
    let mut envelope: Map<String, Value> = message
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let value = match value {
                HeaderValue::Text(text) => Value::from(text.as_str()),
                HeaderValue::Integer(number) => Value::from(*number),
                HeaderValue::Bool(truth) => Value::from(*truth),
                _ => return None,
            };
            Some((name.strip_prefix("ce-")?.to_owned(), value))
        })
        .collect();
    envelope.insert("datacontenttype".to_owned(), Value::from(content_type));
    if !message.payload.is_empty() {
        envelope.insert("data".to_owned(), parsed.map_err(not_json)?);
    }
    Ok(envelope)
}

fn read_envelope(envelope: &mut Value) -> Result<Read, DecodeError> {
    let Value::Object(envelope) = envelope else {
        return Err(DIALECT.invalid("it is JSON, but not an object"));
    };
    let required = |name: &str| {
        json::text(envelope, name).ok_or_else(|| DIALECT.invalid(format!("it has no `{name}`")))
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(DecodeError::Unsupported {
            what: format!("CloudEvents of version `{version}`"),
            remedy: "send version 1.0",
        });
    }
    let mut event = blank(required("source")?);
    required("id")?.clone_into(&mut event.id);
    let (kind, action) = parse_type(required("type")?)?;
    event.action = action;
    if let Some(time) = json::text(envelope, "time") {
        event.time = read_time(time)
            .ok_or_else(|| DIALECT.invalid(format!("its `time` is `{time}`, no time")))?;
    }
    event.sequence = envelope
        .get("sequence")
        .and_then(json::scalar)
        .and_then(|sequence| sequence.parse().ok());
    event.attributes = envelope
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.clone(), json::scalar(value)?)))
        .collect();
    let named = json::text(envelope, "subject").map(|path| subject::parse(&kind, path));
    event.subject = named.clone().unwrap_or_else(|| Object::of(kind.clone()));
    if envelope.contains_key("data_base64") {
        return Err(DecodeError::Unsupported {
            what: "events whose data is binary".to_owned(),
            remedy: "give it as JSON in `data`",
        });
    }
    match envelope.get_mut("data") {
        None | Some(Value::Null) => {}
        Some(Value::Object(data)) => {
            if let Some(not_catalog) = read_data(&mut event, data, named.is_some())? {
                return Ok(not_catalog);
            }
        }
        Some(_) => return Err(DIALECT.invalid("its `data` is not an object")),
    }
    Ok(Read::Event(event))
}

/// Reads `data` into an event whose attributes are read. Gives something only if the frame in it
/// turns out to be no event.
fn read_data(
    event: &mut Event,
    data: &mut Map<String, Value>,
    is_named: bool,
) -> Result<Option<Read>, DecodeError> {
    let kind = event.subject.kind.clone();
    let says_subject = data.contains_key("kind");
    if says_subject || !data.contains_key("frame") {
        let told = read_object(data, kind.clone());
        event.subject.workspace = told.workspace.or(event.subject.workspace.take());
        event.subject.name = told.name.or(event.subject.name.take());
        event.subject.id = told.id;
    }
    event.previous = data
        .get("previous")
        .and_then(Value::as_object)
        .map(|previous| read_object(previous, kind.clone()));
    let references = match data.get("references") {
        None => None,
        Some(references) => Some(read_references(references)?),
    };
    if let Some(dialect) = dialect_of(data)? {
        let Some(frame) = data.get_mut("frame") else {
            return Err(DIALECT.invalid("its `data` has a `dialect`, but no `frame`"));
        };
        let native = match dialect.read_frame(frame, &event.source)? {
            Read::Event(native) => *native,
            not_catalog @ Read::NotCatalog(_) => return Ok(Some(not_catalog)),
        };
        if !says_subject {
            if !is_named {
                event.subject = Object {
                    kind,
                    ..native.subject
                };
            }
            event.previous = event.previous.take().or(native.previous);
        }
        event.properties = native.properties;
        event.body = native.body;
        event.references = references.unwrap_or(native.references);
        return Ok(None);
    }
    event.references = references.unwrap_or_default();
    if let Some(Value::Object(properties)) = data.get("properties") {
        event.properties = properties
            .iter()
            .filter_map(|(name, value)| {
                Some(Property {
                    name: name.clone(),
                    value: json::scalar(value)?,
                })
            })
            .collect();
    }
    if let Some(body) = data.get("body") {
        event.body = Some(read_body(body)?);
    }
    Ok(None)
}

fn dialect_of(data: &Map<String, Value>) -> Result<Option<Dialect>, DecodeError> {
    match json::text(data, "dialect") {
        None => Ok(None),
        Some(name) => name
            .parse()
            .map(Some)
            .map_err(|_| DecodeError::Unsupported {
                what: format!("frames of the dialect `{name}`"),
                remedy: "use the version of Weir that wrote the event",
            }),
    }
}

/// The frame that an envelope holds.
pub(super) fn frame(envelope: &Value) -> Option<(Dialect, &Value)> {
    let data = envelope.get("data")?.as_object()?;
    Some((dialect_of(data).ok()??, data.get("frame")?))
}

/// `weir.catalog.<kind>.<action>.v1`
fn parse_type(name: &str) -> Result<(Kind, Action), DecodeError> {
    let unsupported = |remedy| DecodeError::Unsupported {
        what: format!("CloudEvents of the type `{name}`"),
        remedy,
    };
    let rest = name.strip_prefix("weir.catalog.").ok_or_else(|| {
        unsupported("the type of a catalog event is `weir.catalog.<kind>.<action>.v1`")
    })?;
    let (rest, _) = rest
        .rsplit_once('.')
        .filter(|(_, version)| *version == "v1")
        .ok_or_else(|| unsupported("it reads version v1: use the version of Weir that wrote it"))?;
    rest.rsplit_once('.')
        .and_then(|(kind, action)| Some((Kind::from(kind), Action::parse(action)?)))
        .ok_or_else(|| {
            unsupported("its action must be added, modified, removed, reloaded or reset")
        })
}

fn read_object(map: &Map<String, Value>, kind: Kind) -> Object {
    let text = |key| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Object {
        kind,
        workspace: text("workspace"),
        name: text("name"),
        id: text("id"),
    }
}

fn read_references(value: &Value) -> Result<Vec<Reference>, DecodeError> {
    let invalid =
        || DIALECT.invalid("its `references` are not a list of objects with `role` and `kind`");
    value
        .as_array()
        .ok_or_else(invalid)?
        .iter()
        .map(|entry| {
            let entry = entry.as_object().ok_or_else(invalid)?;
            let role = entry
                .get("role")
                .and_then(Value::as_str)
                .ok_or_else(invalid)?;
            let kind = entry
                .get("kind")
                .and_then(Value::as_str)
                .ok_or_else(invalid)?;
            Ok(Reference {
                role: role.to_owned(),
                target: read_object(entry, Kind::from(kind)),
            })
        })
        .collect()
}

fn read_body(body: &Value) -> Result<Body, DecodeError> {
    let invalid = || {
        DIALECT.invalid("its `body` is not a `contentType` with one of `json`, `text` and `base64`")
    };
    let body = body.as_object().ok_or_else(invalid)?;
    let content_type = body
        .get("contentType")
        .and_then(Value::as_str)
        .ok_or_else(invalid)?;
    let text = |key| body.get(key).and_then(Value::as_str);
    let data = if let Some(value) = body.get("json") {
        json::compact(value)
    } else if let Some(text) = text("text") {
        text.to_owned().into()
    } else {
        let encoded = text("base64").ok_or_else(invalid)?;
        BASE64
            .decode(encoded)
            .map_err(|_| DIALECT.invalid("the `base64` of its `body` is none"))?
            .into()
    };
    Ok(Body {
        content_type: content_type.to_owned(),
        data,
    })
}

/// The envelope of an event: the one that it came in, where that says something else than the
/// event; a new one around the frame that it came in otherwise.
pub(super) fn write(event: &Event, origin: &Origin) -> Result<Value, EncodeError> {
    let was = &origin.event;
    let known = (origin.dialect == DIALECT).then_some(was);
    let mut envelope = match &origin.json {
        Value::Object(envelope) if known.is_some() => envelope.clone(),
        _ => Map::new(),
    };
    if known.is_none() {
        json::set_text(&mut envelope, "specversion", Some("1.0"));
    }
    for (index, (name, text)) in context(event).into_iter().enumerate() {
        if known.is_none_or(|was| context(was)[index].1 != text) {
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
    if let Some((dialect, frame)) = origin.frame() {
        if known.is_none() {
            json::set_text(&mut data, "dialect", Some(dialect.as_str()));
            data.insert("frame".to_owned(), frame.clone());
        }
        if let Some(frame) = data.get_mut("frame") {
            dialect.write_frame(frame, was, event)?;
        }
    } else {
        write_properties(&mut data, was, event);
        write_body(&mut data, was, event)?;
    }
    envelope.insert("data".to_owned(), Value::Object(data));
    Ok(Value::Object(envelope))
}

/// The attributes that an event gives, in the order in which they are written.
fn context(event: &Event) -> [(&'static str, Option<String>); 7] {
    let subject = &event.subject;
    [
        ("id", Some(event.id.clone())),
        ("source", Some(event.source.clone())),
        (
            "type",
            Some(format!("weir.catalog.{}.{}.v1", subject.kind, event.action)),
        ),
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
    for (name, value) in &now.attributes {
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

fn by_name(attributes: &[(String, String)]) -> HashMap<&str, &str> {
    attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// CloudEvents allows no other names, and a header has at most 255 bytes.
fn is_attribute_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
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
    let old: BTreeMap<_, _> = was.properties.iter().map(|p| (&p.name, &p.value)).collect();
    let new: BTreeMap<_, _> = now.properties.iter().map(|p| (&p.name, &p.value)).collect();
    places.retain(|name, _| !old.contains_key(name) || new.contains_key(name));
    for Property { name, value } in &now.properties {
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

/// Mirrors the attributes of an envelope as `ce-` headers, for brokers and tools that look at
/// headers only.
pub(super) fn mirror(envelope: &Value, headers: &mut BTreeMap<String, HeaderValue>) {
    headers.retain(|name, _| !name.starts_with("ce-"));
    for (name, value) in envelope.as_object().into_iter().flatten() {
        if is_attribute_name(name)
            && name != "data"
            && let Some(text) = json::scalar(value)
        {
            headers.insert(format!("ce-{name}"), HeaderValue::Text(text));
        }
    }
}
