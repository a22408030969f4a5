//! Properties: the values of an object that plugins commonly read or replace.
//!
//! They have the names that they have in other dialects, which are those of GeoServer's fields; the
//! interface calls one otherwise. A map is a list of entries, each with its key in `@key` and its
//! value in `$`, or with an object of settings; a list of one stands without brackets, and an empty
//! map is an empty text.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::form::Form;
use super::{DIALECT, shown, xml};
use crate::dialect::{EncodeError, json};
use crate::event::{Event, Kind, Pair};

/// Properties of their own, where they are below the root of a body, and the kinds that have them.
const FIELDS: [(&str, &str, &[Kind]); 12] = [
    ("uri", "uri", &[Kind::Namespace, Kind::Catalog]),
    ("url", "url", &[Kind::CoverageStore]),
    ("capabilitiesURL", "capabilitiesURL", REMOTE),
    ("username", "user", REMOTE),
    ("password", "password", REMOTE),
    ("headerName", "headerName", REMOTE),
    ("headerValue", "headerValue", REMOTE),
    ("authKey", "authKey", REMOTE),
    ("adminUsername", "adminUsername", &[Kind::Global]),
    ("adminPassword", "adminPassword", &[Kind::Global]),
    ("proxyBaseUrl", "proxyBaseUrl", &[Kind::Settings]),
    ("proxyBaseUrl", "settings.proxyBaseUrl", &[Kind::Global]),
];

const REMOTE: &[Kind] = &[Kind::WmsStore, Kind::WmtsStore];

/// The fields of a blob store, which is XML: where its tiles are, and with which secrets.
const BLOB_STORE: [&str; 12] = [
    "baseDirectory",
    "bucket",
    "prefix",
    "endpoint",
    "awsAccessKey",
    "awsSecretKey",
    "proxyUsername",
    "proxyPassword",
    "container",
    "accountName",
    "accountKey",
    "serviceURL",
];

/// Fields whose entries are properties, `connectionParameters.host`.
const MAPS: [&str; 3] = [PARAMETERS, METADATA, VENDOR];

const PARAMETERS: &str = "connectionParameters";

const METADATA: &str = "metadata";

const VENDOR: &str = "vendorParameters";

/// The longest name of an entry that is lifted or added, in bytes: names repeat those of what they
/// lie in.
const MAX_NAME: usize = 512;

/// What becomes of a property.
enum Fate {
    Stays,
    Becomes(String),
    Goes,
}

/// The properties that a frame has places for; of two with one name, the first.
pub(super) fn read(outer: &mut Map<String, Value>, form: Option<Form>, kind: &Kind) -> Vec<Pair> {
    let mut known = HashSet::new();
    let mut properties = Vec::new();
    visit(outer, form, kind, &mut |name, value| {
        if known.insert(name.to_owned()) {
            properties.push(Pair::new(name, value));
        }
        Fate::Stays
    });
    properties
}

/// Writes the properties that were changed, taken out and added.
pub(super) fn write(
    outer: &mut Map<String, Value>,
    form: Option<Form>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let (old, new) = (by_name(&was.properties), by_name(&now.properties));
    let kind = &now.subject.kind;
    visit(
        outer,
        form,
        kind,
        &mut |name, _| match (old.get(name), new.get(name)) {
            (Some(_), None) => Fate::Goes,
            (old, Some(new)) if old != Some(new) => Fate::Becomes((*new).to_owned()),
            _ => Fate::Stays,
        },
    );
    for property in &now.properties {
        if !old.contains_key(property.name.as_str()) {
            add(outer, form, kind, property).map_err(|problem| {
                let name = shown(&property.name);
                EncodeError::body(
                    DIALECT,
                    format!("the property `{name}` was added; {problem}"),
                )
            })?;
        }
    }
    Ok(())
}

fn by_name(properties: &[Pair]) -> HashMap<&str, &str> {
    let pairs = properties.iter();
    pairs
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect()
}

fn visit(
    outer: &mut Map<String, Value>,
    form: Option<Form>,
    kind: &Kind,
    look: &mut dyn FnMut(&str, &str) -> Fate,
) {
    match (form, form.and_then(|form| outer.get_mut(form.key()))) {
        (Some(Form::Json), Some(body)) => {
            if let Some(object) = root(body) {
                visit_object(object, kind, look);
            }
        }
        (Some(Form::Text), Some(Value::String(text))) if *kind == Kind::BlobStore => {
            visit_xml(text, look);
        }
        _ => {}
    }
}

/// The object that a body is about.
fn root(body: &mut Value) -> Option<&mut Map<String, Value>> {
    let (_, object) = body.as_object_mut()?.iter_mut().next()?;
    object.as_object_mut()
}

fn visit_object(
    object: &mut Map<String, Value>,
    kind: &Kind,
    look: &mut dyn FnMut(&str, &str) -> Fate,
) {
    for (name, path, _) in FIELDS.iter().filter(|(_, _, kinds)| kinds.contains(kind)) {
        if let Some((map, key)) = below(object, path)
            && let Some(value) = map.get_mut(key)
            && !look_at(name, value, look)
        {
            map.shift_remove(key);
        }
    }
    for field in MAPS {
        if let Some(map) = object.get_mut(field) {
            visit_map(field, map, look);
        }
    }
}

/// The object that the last name of a path lies in, and that name.
fn below<'a, 'p>(
    mut map: &'a mut Map<String, Value>,
    path: &'p str,
) -> Option<(&'a mut Map<String, Value>, &'p str)> {
    let mut names = path.split('.');
    let last = names.next_back()?;
    for name in names {
        map = map.get_mut(name)?.as_object_mut()?;
    }
    Some((map, last))
}

/// Looks at a value; false if it is to go. What has no text stays.
fn look_at(name: &str, value: &mut Value, look: &mut dyn FnMut(&str, &str) -> Fate) -> bool {
    let Some(text) = json::scalar(value) else {
        return true;
    };
    match look(name, &text) {
        Fate::Stays => {}
        Fate::Becomes(new) => {
            json::set_scalar(value, &new);
        }
        Fate::Goes => return false,
    }
    true
}

fn visit_map(field: &str, map: &mut Value, look: &mut dyn FnMut(&str, &str) -> Fate) {
    let mut visit = |entry: &mut Value| match entry {
        Value::Object(entry) => visit_entry(field, entry, look),
        _ => true,
    };
    let is_emptied = match map.get_mut("entry") {
        Some(Value::Array(entries)) => {
            let had = !entries.is_empty();
            entries.retain_mut(visit);
            had && entries.is_empty()
        }
        Some(entry) => !visit(entry),
        None => false,
    };
    if is_emptied {
        // What GeoServer writes itself; it ignores an empty list.
        *map = Value::from("");
    }
}

/// Looks at the value of an entry, or at all that is in an object there; false if it is to go.
fn visit_entry(
    field: &str,
    entry: &mut Map<String, Value>,
    look: &mut dyn FnMut(&str, &str) -> Fate,
) -> bool {
    let Some(key) = entry.get("@key").and_then(json::scalar) else {
        return true;
    };
    let Some(name) = longer(field, &key) else {
        return true;
    };
    if let Some(value) = entry.get_mut("$") {
        return look_at(&name, value, look);
    }
    visit_nested(&name, entry, look);
    true
}

fn visit_nested(
    prefix: &str,
    map: &mut Map<String, Value>,
    look: &mut dyn FnMut(&str, &str) -> Fate,
) {
    map.retain(|key, value| {
        let Some(name) = longer(prefix, key).filter(|_| !key.starts_with('@')) else {
            return true;
        };
        match value {
            Value::Object(map) => visit_nested(&name, map, look),
            value => return look_at(&name, value, look),
        }
        true
    });
}

fn longer(prefix: &str, key: &str) -> Option<String> {
    (prefix.len() + 1 + key.len() <= MAX_NAME).then(|| format!("{prefix}.{key}"))
}

fn visit_xml(text: &mut String, look: &mut dyn FnMut(&str, &str) -> Fate) {
    let mut edits = Vec::new();
    let meaning = |path: &str| {
        let (_, name) = path.split_once('.')?;
        BLOB_STORE.into_iter().find(|known| *known == name)
    };
    for leaf in xml::scan(text, meaning).leaves {
        if let Some(value) = leaf.value(text) {
            match look(leaf.means, &value) {
                Fate::Stays => {}
                Fate::Becomes(new) => edits.push((leaf.span, new)),
                Fate::Goes => {
                    // With its tags.
                    let start = text[..leaf.span.start].rfind('<');
                    let end = text[leaf.span.end..].find('>');
                    if let (Some(start), Some(end)) = (start, end) {
                        edits.push((start..leaf.span.end + end + 1, String::new()));
                    }
                }
            }
        }
    }
    if !edits.is_empty() {
        *text = xml::edit(text, edits);
    }
}

/// Adds a property that its kind may have, such as one that was taken out elsewhere on the way.
fn add(
    outer: &mut Map<String, Value>,
    form: Option<Form>,
    kind: &Kind,
    property: &Pair,
) -> Result<(), String> {
    let Pair { name, value } = property;
    if name.len() > MAX_NAME {
        return Err(format!("its name has more than {MAX_NAME} bytes"));
    }
    if !may_have(kind, name) {
        return Err(format!("a {kind} has no such property"));
    }
    match (form, form.and_then(|form| outer.get_mut(form.key()))) {
        (Some(Form::Json), Some(body)) => {
            let object = root(body).ok_or("the body is no object")?;
            add_to_object(object, kind, name, value)
        }
        (Some(Form::Text), Some(Value::String(text))) => {
            *text = xml::append(text, name, value).ok_or("the body is no XML")?;
            Ok(())
        }
        _ => Err("the event has no body".to_owned()),
    }
}

fn may_have(kind: &Kind, name: &str) -> bool {
    let is_store = matches!(
        kind,
        Kind::DataStore | Kind::CoverageStore | Kind::WmsStore | Kind::WmtsStore
    );
    match in_map(name) {
        Some((PARAMETERS, _)) => is_store,
        Some((METADATA, _)) => super::is_known(kind) && *kind != Kind::Catalog,
        Some(_) => *kind == Kind::WmsLayer,
        None if *kind == Kind::BlobStore => BLOB_STORE.contains(&name),
        None => field(kind, name).is_some(),
    }
}

/// The path of a property of its own.
fn field(kind: &Kind, name: &str) -> Option<&'static str> {
    let mut fields = FIELDS.iter();
    fields
        .find(|(field, _, kinds)| *field == name && kinds.contains(kind))
        .map(|(_, path, _)| *path)
}

/// The map that a property lies in, and its name there.
fn in_map(name: &str) -> Option<(&'static str, &str)> {
    MAPS.into_iter()
        .find_map(|field| Some((field, name.strip_prefix(field)?.strip_prefix('.')?)))
}

fn add_to_object(
    object: &mut Map<String, Value>,
    kind: &Kind,
    name: &str,
    value: &str,
) -> Result<(), String> {
    let Some((field, key)) = in_map(name) else {
        let path = field(kind, name).ok_or("it has no place")?;
        let (map, key) = below(object, path).ok_or("the body has no place for it")?;
        json::set_text(map, key, Some(value));
        return Ok(());
    };
    let map = object.entry(field).or_insert_with(|| Value::from(""));
    if !map.is_object() {
        *map = json!({"entry": []});
    }
    let entries = match map.get_mut("entry") {
        Some(Value::Array(entries)) => entries,
        Some(one) => {
            let first = Some(one.take()).filter(Value::is_object);
            *one = Value::Array(first.into_iter().collect());
            one.as_array_mut().ok_or("it has no place")?
        }
        None => {
            map["entry"] = json!([]);
            map["entry"].as_array_mut().ok_or("it has no place")?
        }
    };
    // A setting in an object that is the value of an entry.
    for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
        let above = entry.get("@key").and_then(json::scalar);
        let rest = above
            .as_deref()
            .and_then(|above| key.strip_prefix(above)?.strip_prefix('.'));
        if let Some(rest) = rest.filter(|_| !entry.contains_key("$"))
            && let Some((map, last)) = below(entry, rest)
        {
            json::set_text(map, last, Some(value));
            return Ok(());
        }
    }
    entries.push(json!({"@key": key, "$": value}));
    Ok(())
}
