//! From an envelope to an event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::{CONTENT_TYPE, DIALECT, KNOWN, dialect_of, is_structured, read_object, subject};
use crate::dialect::{DecodeError, Read, blank, json, read_time};
use crate::event::{Action, Body, Event, Kind, Object, Pair, Reference};
use crate::message::{HeaderValue, Message};

/// Reads a message, and gives the envelope with it, whatever its mode was.
pub(in crate::dialect) fn read(message: &Message) -> Result<(Value, Read), DecodeError> {
    let mut envelope = Value::Object(envelope(message)?);
    let read = read_envelope(&mut envelope)?;
    Ok((envelope, read))
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
        .filter_map(|(name, value)| Some(Pair::new(name, json::scalar(value)?)))
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
                Some(Pair {
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

/// `weir.catalog.<kind>.<action>.v1`
pub(super) fn parse_type(name: &str) -> Result<(Kind, Action), DecodeError> {
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
        .filter(|(kind, action)| !kind.is_empty() && !action.is_empty())
        .map(|(kind, action)| (Kind::from(kind), Action::from(action)))
        .ok_or_else(|| {
            unsupported("it must name a kind and an action: `weir.catalog.layer.added.v1`")
        })
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
