//! JSON as the dialects use it: read leniently, and changed in place, so that what nobody touched
//! keeps its order and its text.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Map, Number, Value};

use super::{Dialect, EncodeError};
use crate::event::Body;

/// What a payload may measure; far above any catalog object, far below what a process can hold.
const MAX_BYTES: usize = 64 << 20;

/// How deep a native frame may nest. An envelope adds two levels, and a parser stops at 127: what
/// one process takes in, the next one must be able to read.
pub(super) const MAX_FRAME_DEPTH: usize = 120;

/// How deep a body may nest, which sits five levels deep in a frame.
pub(super) const MAX_BODY_DEPTH: usize = MAX_FRAME_DEPTH - 5;

/// Parses one JSON document; the error is a phrase for people.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "{} bytes are more than the {MAX_BYTES} that are read",
            bytes.len()
        ));
    }
    // Checked as a whole, which is faster than text by text.
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let text = swap_keys(text, PRIVATE_KEY, SAFE_KEY);
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Parses the JSON of a body that a plugin made for a frame of this dialect.
pub(super) fn parse_body(dialect: Dialect, body: &Body) -> Result<Value, EncodeError> {
    let refuse = |problem| EncodeError::body(dialect, problem);
    let value = parse(&body.data).map_err(|problem| refuse(format!("it is no JSON: {problem}")))?;
    if depth(&value) > MAX_BODY_DEPTH {
        let problem = format!("it nests deeper than {MAX_BODY_DEPTH} levels");
        return Err(refuse(problem));
    }
    Ok(value)
}

/// What the parser gives a number to itself as: an object with this key would be taken for one. It
/// is read, and written again, as another key, which none in a message is taken for.
const PRIVATE_KEY: &str = "\"$serde_json::private::Number";
const SAFE_KEY: &str = "\"$serde_json::private::Numbers";

/// Puts `new` for `old` where a key begins with `old` and only `s` follows, so that swapping back
/// gives the same text, whatever it was.
fn swap_keys<'a>(text: &'a str, old: &str, new: &str) -> Cow<'a, str> {
    // Most messages have no `$` at all, which is found out faster.
    if !text.as_bytes().contains(&b'$') || !text.contains(PRIVATE_KEY) {
        return Cow::Borrowed(text);
    }
    let mut swapped = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find(old) {
        let after = &rest[at + old.len()..];
        let end = after.trim_start_matches('s').strip_prefix('"');
        let is_key = end.is_some_and(|end| end.trim_start().starts_with(':'));
        swapped.push_str(&rest[..at]);
        swapped.push_str(if is_key { new } else { old });
        rest = after;
    }
    swapped.push_str(rest);
    Cow::Owned(swapped)
}

/// The levels of objects and arrays, 0 for a scalar. The parser's own limit bounds the recursion.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

pub(super) fn compact(value: &Value) -> Bytes {
    let text = serde_json::to_string(value).expect("the keys of a JSON value are strings");
    match swap_keys(&text, SAFE_KEY, PRIVATE_KEY) {
        Cow::Borrowed(_) => text.into(),
        Cow::Owned(swapped) => swapped.into(),
    }
}

/// The text at `key`, if there is one; an empty one counts as absent.
pub(super) fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// Sets the text at `key` in place, adds it at the end, or takes it out.
pub(super) fn set_text(map: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    match (text, map.get_mut(key)) {
        (Some(text), Some(place)) => *place = Value::from(text),
        (Some(text), None) => {
            map.insert(key.to_owned(), Value::from(text));
        }
        (None, _) => {
            map.shift_remove(key);
        }
    }
}

/// The text of a string, a number or a boolean.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Replaces a scalar; the new one has the old one's type if the text allows it, and is a string
/// otherwise. True if the type stayed.
pub(super) fn set_scalar(place: &mut Value, text: &str) -> bool {
    let same_type = match place {
        Value::Number(_) => text
            .parse::<Number>()
            .ok()
            .filter(|number| number.to_string() == text)
            .map(Value::from),
        Value::Bool(_) => text.parse::<bool>().ok().map(Value::from),
        _ => Some(Value::from(text)),
    };
    let stays = same_type.is_some();
    *place = same_type.unwrap_or_else(|| Value::from(text));
    stays
}

/// The value of the parameter `profile` of a media type.
pub(super) fn profile(content_type: &str) -> Option<&str> {
    content_type
        .split(';')
        .skip(1)
        .find_map(|parameter| parameter.trim().strip_prefix("profile="))
        .map(|profile| profile.trim_matches('"'))
}
