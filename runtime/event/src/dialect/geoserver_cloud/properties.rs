//! Properties: the values of a catalog object or a patch that plugins commonly read or replace.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::body::{Form, literal_in, literals, patches};
use crate::dialect::{Dialect, EncodeError, json};
use crate::event::{Event, Kind, Pair};

/// Fields that are properties of their own, and the kinds that have them.
const FIELDS: [(&str, &[Kind]); 11] = [
    ("uri", &[Kind::Namespace]),
    ("url", &[Kind::CoverageStore]),
    ("capabilitiesURL", REMOTE),
    ("username", REMOTE),
    ("password", REMOTE),
    ("headerName", REMOTE),
    ("headerValue", REMOTE),
    ("authKey", REMOTE),
    ("adminUsername", &[Kind::Global]),
    ("adminPassword", &[Kind::Global]),
    ("proxyBaseUrl", &[Kind::Settings]),
];

const REMOTE: &[Kind] = &[Kind::WmsStore, Kind::WmtsStore];

/// Fields whose entries are properties, `connectionParameters.host`, at every depth: a store may
/// keep its secrets in an object in its metadata, as those of COG do. Lists are left alone.
const MAPS: [&str; 3] = [PARAMETERS, METADATA, "vendorParameters"];

const PARAMETERS: &str = "connectionParameters";

const METADATA: &str = "metadata";

/// The level between the metadata of an object and their entries; a patch has none.
const METADATA_MAP: &str = "MetadataMap";

/// The longest name of an entry that is lifted or added, in bytes. Names of entries repeat the names of what
/// they lie in, so that a message of many entries in one with a long name would grow without bound.
const MAX_NAME: usize = 512;

/// How much of a name that is refused is shown, in characters.
const MAX_SHOWN: usize = 100;

/// What a patch calls the fields whose names it spells otherwise: it only makes the first letter of
/// `URI` and `URL` small.
const PATCH_NAMES: [(&str, &str); 2] = [("uri", "uRI"), ("url", "uRL")];

/// The name that objects have for what a patch calls `name`.
fn field_name(name: &str) -> &str {
    let spelling = PATCH_NAMES.iter().find(|(_, patch)| *patch == name);
    spelling.map_or(name, |(field, _)| field)
}

fn is_field(name: &str) -> bool {
    FIELDS.iter().any(|(field, _)| *field == name)
}

/// Where the value of a property stands.
enum Place<'a> {
    Plain(&'a mut Value),
    Literal(&'a mut Map<String, Value>),
}

impl<'a> Place<'a> {
    fn of(value: &'a mut Value) -> Option<Self> {
        if value.is_object() {
            let literal = literal_in(value)?;
            json::scalar(literal.get("value")?)?;
            return Some(Self::Literal(literal));
        }
        json::scalar(value)?;
        Some(Self::Plain(value))
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Plain(value) => json::scalar(value),
            Self::Literal(literal) => json::scalar(literal.get("value")?),
        }
    }

    fn set(self, text: &str) {
        match self {
            Self::Plain(value) => {
                json::set_scalar(value, text);
            }
            Self::Literal(literal) => {
                if let Some(value) = literal.get_mut("value")
                    && !json::set_scalar(value, text)
                {
                    json::set_text(literal, "type", Some("java.lang.String"));
                }
            }
        }
    }
}

/// The properties that a body has places for.
pub(super) fn read(body: &mut Value, form: Form) -> Vec<Pair> {
    let mut known = HashSet::new();
    let mut properties = Vec::new();
    for (name, place) in places(body, form) {
        // A patch can say a thing twice, and a dot in a key looks like a level.
        if let Some(value) = place.text()
            && known.insert(name.clone())
        {
            properties.push(Pair {
                name: name.into_owned(),
                value,
            });
        }
    }
    properties
}

fn places(body: &mut Value, form: Form) -> Vec<(Cow<'_, str>, Place<'_>)> {
    let mut places = Vec::new();
    match form {
        Form::Object => {
            for (key, value) in body.as_object_mut().into_iter().flatten() {
                if MAPS.contains(&key.as_str()) {
                    if let Some(map) = entries(value) {
                        leaves(key, map, &mut places);
                    }
                } else if is_field(key)
                    && let Some(place) = Place::of(value)
                {
                    places.push((Cow::Borrowed(key.as_str()), place));
                }
            }
        }
        Form::Patch => {
            for (name, literal) in literals(body) {
                if MAPS.contains(&name) {
                    if let Some(map) = literal.get_mut("value").and_then(entries) {
                        leaves(name, map, &mut places);
                    }
                } else if is_field(field_name(name))
                    && literal.get("value").and_then(json::scalar).is_some()
                {
                    places.push((Cow::Borrowed(field_name(name)), Place::Literal(literal)));
                }
            }
        }
    }
    places
}

/// The entries of one of [`MAPS`].
fn entries(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.get(METADATA_MAP).is_some_and(Value::is_object) {
        return value.get_mut(METADATA_MAP)?.as_object_mut();
    }
    value.as_object_mut()
}

/// The entries of an object that lies in a map, plain or as the value of a `Literal`.
fn inner_entries(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if value.get("Literal").is_some_and(Value::is_object) {
        return literal_in(value)?.get_mut("value")?.as_object_mut();
    }
    value.as_object_mut()
}

/// Every value in a map that has a text.
fn leaves<'a>(
    prefix: &str,
    map: &'a mut Map<String, Value>,
    places: &mut Vec<(Cow<'a, str>, Place<'a>)>,
) {
    for (key, value) in map {
        if prefix.len() + 1 + key.len() > MAX_NAME {
            continue;
        }
        let name = format!("{prefix}.{key}");
        if is_leaf(value) {
            if let Some(place) = Place::of(value) {
                places.push((Cow::Owned(name), place));
            }
        } else if let Some(map) = inner_entries(value) {
            leaves(&name, map, places);
        }
    }
}

/// True for what has a text: a scalar, or a `Literal` of one.
fn is_leaf(value: &Value) -> bool {
    let value = match value.get("Literal") {
        Some(literal @ Value::Object(_)) => literal.get("value").unwrap_or(&Value::Null),
        _ => value,
    };
    json::scalar(value).is_some()
}

/// Writes the properties that were changed, taken out and added.
pub(super) fn write(
    body: &mut Value,
    form: Form,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let old = by_name(&was.properties);
    let new = by_name(&now.properties);
    for (name, place) in places(body, form) {
        if let Some(value) = new.get(&*name)
            && old.get(&*name) != Some(value)
        {
            place.set(value);
        }
    }
    let removed: HashSet<&str> = was
        .properties
        .iter()
        .map(|property| property.name.as_str())
        .filter(|name| !new.contains_key(name))
        .collect();
    if !removed.is_empty() {
        remove(body, form, &removed);
    }
    for property in &now.properties {
        if !old.contains_key(property.name.as_str()) {
            add(body, form, &now.subject.kind, property)?;
        }
    }
    Ok(())
}

fn by_name(properties: &[Pair]) -> HashMap<&str, &str> {
    properties
        .iter()
        .map(|property| (property.name.as_str(), property.value.as_str()))
        .collect()
}

fn remove(body: &mut Value, form: Form, names: &HashSet<&str>) {
    match form {
        Form::Object => {
            let Value::Object(object) = body else { return };
            for (key, value) in &mut *object {
                if let Some(map) = entries(value).filter(|_| MAPS.contains(&key.as_str())) {
                    remove_leaves(key, map, names);
                }
            }
            object.retain(|key, _| !names.contains(key.as_str()));
        }
        Form::Patch => {
            for (name, literal) in literals(body).filter(|(name, _)| MAPS.contains(name)) {
                if let Some(map) = literal.get_mut("value").and_then(entries) {
                    remove_leaves(name, map, names);
                }
            }
            if let Some(patches) = patches(body) {
                patches.retain(|entry| {
                    let name = entry.get("name").and_then(Value::as_str);
                    !name.is_some_and(|name| names.contains(field_name(name)))
                });
            }
        }
    }
}

fn remove_leaves(prefix: &str, map: &mut Map<String, Value>, names: &HashSet<&str>) {
    map.retain(|key, value| {
        if prefix.len() + 1 + key.len() > MAX_NAME {
            return true;
        }
        let name = format!("{prefix}.{key}");
        if is_leaf(value) {
            return !names.contains(name.as_str());
        }
        if let Some(map) = inner_entries(value) {
            remove_leaves(&name, map, names);
        }
        true
    });
}

/// What a dotted name says of what lies in `key`.
fn below<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    name.strip_prefix(key)?.strip_prefix('.')
}

/// Adds a property that its kind may have, such as one that was taken out elsewhere on the way.
fn add(body: &mut Value, form: Form, kind: &Kind, property: &Pair) -> Result<(), EncodeError> {
    let refuse = |problem: String| {
        let name: String = property.name.chars().take(MAX_SHOWN).collect();
        Err(EncodeError::body(
            Dialect::GeoServerCloud,
            format!("the property `{name}` was added; {problem}"),
        ))
    };
    if property.name.len() > MAX_NAME {
        return refuse(format!("its name has more than {MAX_NAME} bytes"));
    }
    if !may_have(kind, &property.name) {
        return refuse(format!("a {kind} has no such property"));
    }
    let Some((field, key)) = in_map(&property.name) else {
        set_field(body, form, property);
        return Ok(());
    };
    if form == Form::Object
        && let Value::Object(object) = &mut *body
        && !object.get(field).is_some_and(Value::is_object)
    {
        let empty = if field == METADATA {
            json!({METADATA_MAP: {}})
        } else {
            json!({})
        };
        object.insert(field.to_owned(), empty);
    }
    match maps(body, form, field).into_iter().next() {
        Some(map) => {
            let plain = form == Form::Object && field != METADATA;
            add_leaf(map, key, &property.value, plain);
            Ok(())
        }
        // GeoServer replaces the whole map by that of a patch: one entry alone would wipe the others.
        None => refuse(format!("the event has no {field}")),
    }
}

fn may_have(kind: &Kind, name: &str) -> bool {
    match in_map(name) {
        Some((PARAMETERS, _)) => matches!(
            kind,
            Kind::DataStore | Kind::CoverageStore | Kind::WmsStore | Kind::WmtsStore
        ),
        Some((METADATA, _)) => *kind != Kind::Catalog,
        Some(_) => *kind == Kind::WmsLayer,
        None => FIELDS
            .iter()
            .any(|(field, kinds)| *field == name && kinds.contains(kind)),
    }
}

fn set_field(body: &mut Value, form: Form, property: &Pair) {
    let name = property.name.as_str();
    match (form, body) {
        (Form::Object, Value::Object(object)) => {
            json::set_text(object, name, Some(&property.value));
        }
        (Form::Patch, body) => {
            let spelling = PATCH_NAMES.iter().find(|(field, _)| *field == name);
            let name = spelling.map_or(name, |(_, patch)| patch);
            let entry = json!({"name": name, "value": literal_of(&property.value)});
            if let Some(patches) = patches(body) {
                patches.push(entry);
                return;
            }
            // An empty patch has no list.
            let patch = match body.get_mut("Patch") {
                Some(Value::Object(patch)) => patch,
                _ => match body {
                    Value::Object(patch) => patch,
                    _ => return,
                },
            };
            patch.insert("patches".to_owned(), json!([entry]));
        }
        (Form::Object, _) => {}
    }
}

fn literal_of(text: &str) -> Value {
    json!({"Literal": {"type": "java.lang.String", "value": text}})
}

/// Adds an entry to a map, or to the object in it that the name begins with.
fn add_leaf(map: &mut Map<String, Value>, name: &str, text: &str, plain: bool) {
    let inside = name
        .match_indices('.')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(key, _)| {
            map.get(*key)
                .is_some_and(|value| value.is_object() && !is_leaf(value))
        });
    if let Some((key, rest)) = inside
        && let Some(inner) = map.get_mut(key).and_then(inner_entries)
    {
        // The fields of an object are plain, the entries of a map are not.
        let plain = !inner.values().any(|value| value.get("Literal").is_some());
        return add_leaf(inner, rest, text, plain);
    }
    let value = if plain {
        Value::from(text)
    } else {
        literal_of(text)
    };
    map.insert(name.to_owned(), value);
}

/// The map that a property lies in, and its name there.
fn in_map(name: &str) -> Option<(&'static str, &str)> {
    MAPS.into_iter()
        .find_map(|field| Some((field, below(name, field)?)))
}

fn maps<'a>(body: &'a mut Value, form: Form, field: &str) -> Vec<&'a mut Map<String, Value>> {
    match form {
        Form::Object => body.get_mut(field).and_then(entries).into_iter().collect(),
        Form::Patch => literals(body)
            .filter(|(name, _)| *name == field)
            .filter_map(|(_, literal)| entries(literal.get_mut("value")?))
            .collect(),
    }
}
