//! GeoServer's JSON: XML turned into JSON by rules that do not know what a list is.

use serde_json::{Number, Value};

pub(crate) type Map = serde_json::Map<String, Value>;

/// The elements of a list: what `outer` holds under `key`.
pub(crate) fn items(outer: &Value, key: &str) -> Vec<Value> {
    match outer.get(key) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
    }
}

pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The text of a property, unless it is empty.
pub(crate) fn said(of: &Map, key: &str) -> Option<String> {
    text(of.get(key)?).filter(|text| !text.is_empty())
}

/// The name in a reference: `{"name": "a"}`, or `"a"`.
pub(crate) fn name_in(of: &Map, key: &str) -> Option<String> {
    let value = of.get(key)?;
    text(value.get("name").unwrap_or(value)).filter(|name| !name.is_empty())
}

/// A flag, in JSON or as XML has it.
pub(crate) fn flag(of: &Map, key: &str) -> Option<bool> {
    match of.get(key)? {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// True for `""`, `{}` and `null`: what empties a property.
pub(crate) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// A value with its lists as GeoServer writes them: one element stands alone, none are nothing.
pub(crate) fn collapsed(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.len() == 1 => collapsed(&items[0]),
        Value::Array(items) => items.iter().map(collapsed).collect(),
        Value::Object(map) => {
            let kept = map
                .iter()
                .filter(|(_, value)| value.as_array().is_none_or(|items| !items.is_empty()));
            let kept = kept.map(|(key, value)| (key.clone(), collapsed(value)));
            Value::Object(kept.collect())
        }
        other => other.clone(),
    }
}

/// A list in a list's place.
pub(crate) fn listed(mut elements: Vec<Value>) -> Option<Value> {
    match elements.len() {
        0 => None,
        1 => elements.pop(),
        _ => Some(Value::Array(elements)),
    }
}

/// A document as it is sent: a text that looks like a number or a flag has become one, but for
/// the values of entries and for attributes.
pub(crate) fn shown(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let is_kept = key == "$" || key.starts_with('@');
                    let value = if is_kept { value } else { shown(value) };
                    (key, value)
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(shown).collect(),
        Value::String(text) => primitive(text),
        Value::Number(number) => Value::Number(short(&number)),
        other => other,
    }
}

fn primitive(text: String) -> Value {
    let is_number = text
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == text)
        || text
            .parse::<f64>()
            .is_ok_and(|number| number.is_finite() && format!("{number:?}") == text);
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_number => match text.parse() {
            Ok(number) => Value::Number(short(&number)),
            Err(_) => Value::String(text),
        },
        _ => Value::String(text),
    }
}

/// `10.0` is written as `10`.
fn short(number: &Number) -> Number {
    let text = number.to_string();
    let short = text.strip_suffix(".0").and_then(|text| text.parse().ok());
    short.unwrap_or_else(|| number.clone())
}

/// The sides of a box: west, south, east, north.
pub(crate) fn sides(bounds: &Value) -> Option<[f64; 4]> {
    let side = |key| bounds.get(key)?.as_f64();
    Some([side("minx")?, side("miny")?, side("maxx")?, side("maxy")?])
}
