//! CloudEvents: the canonical dialect, CloudEvents 1.0 in JSON.
//!
//! The attributes say what routers and tools need; `data` names the subject and its references
//! with names and ids. An event that came in another dialect has its frame in `data`, unchanged but
//! for what plugins changed: body and properties live there, and the frame can leave again as it
//! came. An event without a frame has `properties` and `body` in `data`.
//!
//! Structured mode is written; binary mode (attributes in `ce-` headers) is read as well.

mod read;
mod subject;
mod write;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(super) use self::read::read;
pub(super) use self::write::write;
use super::{DecodeError, Dialect, json};
use crate::event::{Kind, Object};
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

/// True if the payload is the whole envelope, as it is taken to be where nothing says otherwise.
pub(super) fn is_structured(message: &Message) -> bool {
    message.header("ce-specversion").is_none()
        || message
            .content_type
            .as_deref()
            .is_none_or(|is| is.starts_with("application/cloudevents"))
}

/// The frame that an envelope holds.
pub(super) fn frame_mut(envelope: &mut Value) -> Option<(Dialect, &mut Value)> {
    let data = envelope.get_mut("data")?.as_object_mut()?;
    Some((dialect_of(data).ok()??, data.get_mut("frame")?))
}

/// The dialect of the frame that an envelope holds.
pub(super) fn frame_dialect(envelope: &Value) -> Option<Dialect> {
    let data = envelope.get("data")?.as_object()?;
    dialect_of(data)
        .ok()?
        .filter(|_| data.contains_key("frame"))
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

/// CloudEvents allows no other names, and a header has at most 255 bytes.
fn is_attribute_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
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
