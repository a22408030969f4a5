//! How a change is taken over: what it does not mention stays, and what it empties becomes what
//! GeoServer makes of nothing.

use serde_json::{Value, json};

use crate::json::{Map, collapsed, flag, says_nothing};

/// What nothing becomes.
enum Emptied {
    Absent,
    Text,
    Kept,
    Zeros(Value),
}

fn emptied(key: &str, now: Option<&Value>) -> Emptied {
    match key {
        "keywords"
        | "metadata"
        | "metadataLinks"
        | "dataLinks"
        | "responseSRS"
        | "requestSRS"
        | "identifiers"
        | "authorityURLs"
        | "connectionParameters"
        | "disabledServices"
        | "parameters"
        | "layerGroupStyles" => Emptied::Absent,
        // A list of a service, a text of a resource.
        "srs" if now.is_some_and(Value::is_object) => Emptied::Absent,
        "internationalTitle" | "internationalAbstract" | "attributes" | "mode" | "format" => {
            Emptied::Kept
        }
        "nativeBoundingBox" | "latLonBoundingBox" | "bounds" => {
            Emptied::Zeros(json!({"minx": 0, "maxx": 0, "miny": 0, "maxy": 0}))
        }
        "attribution" => Emptied::Zeros(json!({"logoWidth": 0, "logoHeight": 0})),
        "legend" => Emptied::Zeros(json!({"width": 0, "height": 0})),
        "watermark" => Emptied::Zeros(json!({"enabled": false, "transparency": 0})),
        "queryable" | "opaque" | "enabled" | "advertised" => Emptied::Zeros(false.into()),
        _ => match now {
            Some(Value::Bool(_)) => Emptied::Zeros(false.into()),
            Some(Value::Number(_)) => Emptied::Zeros(0.into()),
            Some(Value::Object(_) | Value::Array(_)) => Emptied::Absent,
            _ => Emptied::Text,
        },
    }
}

/// Takes over what is given. `known` are the properties that there are, others are dropped
/// silently; none are all.
pub(crate) fn merge(into: &mut Map, given: &Map, known: &[&str]) {
    for (key, value) in given {
        if !known.is_empty() && !known.contains(&key.as_str()) {
            continue;
        }
        // It is no way to empty a list.
        if value.as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let value = collapsed(value);
        if says_nothing(&value) {
            // `{"entry": []}`
            let was_list = given[key].as_object().is_some_and(|map| !map.is_empty());
            match emptied(key, into.get(key)) {
                Emptied::Text if was_list => {}
                Emptied::Absent => {
                    into.shift_remove(key);
                }
                Emptied::Text => {
                    into.insert(key.clone(), "".into());
                }
                Emptied::Kept => {}
                Emptied::Zeros(zeros) => {
                    into.insert(key.clone(), zeros);
                }
            }
            continue;
        }
        into.insert(key.clone(), whole(key, value, given));
    }
}

/// A value with what GeoServer adds to it.
fn whole(key: &str, mut value: Value, given: &Map) -> Value {
    match (key, &mut value) {
        ("attribution", Value::Object(attribution)) => {
            default(attribution, "logoWidth", 0);
            default(attribution, "logoHeight", 0);
        }
        ("watermark", Value::Object(watermark)) => {
            watermark.shift_remove("URL");
        }
        // XML has it as a text.
        (_, Value::String(text)) if text == "true" || text == "false" => {
            return flag(given, key).map_or(value, Value::Bool);
        }
        _ => {}
    }
    value
}

pub(crate) fn default(map: &mut Map, key: &str, value: impl Into<Value>) {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), value.into());
    }
}

/// Puts what is known first and in GeoServer's order.
pub(crate) fn ordered(body: &Map, known: &[&str]) -> Map {
    let pairs = known.iter().filter_map(|key| {
        let value = body.get(*key)?;
        Some(((*key).to_owned(), value.clone()))
    });
    pairs.collect()
}
