//! GeoNode: the notifications of GeoServer 2's notification module.
//!
//! A notification is a hint: it names an object, and some of what the object refers to, by bare
//! names. Its encoder misspells `geographicBunds` and runs the names in `styles` together; both are
//! left as they are.

use serde_json::{Map, Value};

use super::geoserver_cloud::store;
use super::{DecodeError, Dialect, EncodeError, Read, blank, json, push_author, read_time};
use crate::event::{Action, Body, Event, Kind, Object, Pair, Reference};

const DIALECT: Dialect = Dialect::GeoNode;

const BODY_TYPE: &str = "application/json; profile=geonode.source";

/// The kind of the events that tell of edited features.
const DATA: &str = "data";

/// Reads a notification; the id of the event stays empty if it has none.
pub(super) fn read(frame: &mut Value, source: &str) -> Result<Read, DecodeError> {
    let outer = frame
        .as_object_mut()
        .ok_or_else(|| DIALECT.invalid("it is JSON, but not an object"))?;
    let mut event = blank(source);
    let catalog = match json::text(outer, "type") {
        Some("Catalog") => true,
        Some("Data") => false,
        Some(other) => {
            return Ok(Read::NotCatalog(format!(
                "a notification of the type `{other}`"
            )));
        }
        None => return Err(DIALECT.invalid("it has no `type`")),
    };
    event.action = match json::text(outer, "action") {
        Some("Add") => Action::Added,
        Some("Remove") => Action::Removed,
        Some("Update" | "None") => Action::Modified,
        None if !catalog => Action::Modified,
        None => return Err(DIALECT.invalid("it has no `action`")),
        Some(other) => {
            return Err(DIALECT.invalid(format!("its `action` is `{other}`, which says nothing")));
        }
    };
    if let Some(id) = json::text(outer, "id") {
        id.clone_into(&mut event.id);
    }
    if let Some(time) = json::text(outer, "timestamp") {
        event.time = read_time(time)
            .ok_or_else(|| DIALECT.invalid(format!("its `timestamp` is `{time}`, no time")))?;
    }
    if let Some(user) = json::text(outer, "user") {
        push_author(&mut event, user);
    }
    if let Some(originator) = json::text(outer, "originator") {
        event.attributes.push(Pair::new("originator", originator));
    }
    let object = outer
        .get_mut("source")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| DIALECT.invalid("it has no object `source`"))?;
    let kind = json::text(object, "type")
        .map(kind_of)
        .ok_or_else(|| DIALECT.invalid("its `source` has no `type`"))?;
    event.subject = Object {
        kind: if catalog {
            kind.clone()
        } else {
            Kind::from(DATA)
        },
        workspace: json::text(object, "workspace").map(str::to_owned),
        name: json::text(object, "name").map(str::to_owned),
        id: json::text(object, "id").map(str::to_owned),
    };
    if event.subject.kind.is_named_by_workspace() {
        event.subject.workspace = event.subject.name.take();
    }
    if let Some(uri) = json::text(object, "namespaceURI") {
        event.properties.push(Pair {
            name: "uri".to_owned(),
            value: uri.to_owned(),
        });
    }
    event.body = Some(Body {
        content_type: BODY_TYPE.to_owned(),
        data: json::compact(&outer["source"]),
    });
    event.references = slots(outer)
        .into_iter()
        .map(|slot| Reference {
            role: slot.role.to_owned(),
            target: slot.target(),
        })
        .collect();
    Ok(Read::Event(event))
}

/// `FeatureTypeInfo` is a feature type.
fn kind_of(class: &str) -> Kind {
    let class = class.to_lowercase();
    Kind::from(class.strip_suffix("info").unwrap_or(&class))
}

/// A place that names another object.
struct Slot<'a> {
    role: &'static str,
    kind: Kind,
    name: &'a mut Value,
}

impl Slot<'_> {
    fn target(&self) -> Object {
        Object {
            name: self.name.as_str().map(str::to_owned),
            ..Object::of(self.kind.clone())
        }
    }
}

/// The places of a notification that name other objects, in its order.
fn slots(outer: &mut Map<String, Value>) -> Vec<Slot<'_>> {
    let class = outer
        .get("source")
        .and_then(|source| source.get("type"))
        .and_then(Value::as_str);
    let store = store(&class.map_or(Kind::Resource, kind_of));
    let mut slots = Vec::new();
    for (key, value) in outer {
        match key.as_str() {
            "source" => source_slots(value, &store, &mut slots),
            // The new style of a layer; the source still has the old one.
            "properties" => {
                push(
                    value.get_mut("defaultStyle"),
                    "default-style",
                    &Kind::Style,
                    &mut slots,
                );
            }
            _ => {}
        }
    }
    slots
}

fn source_slots<'a>(source: &'a mut Value, store: &Kind, slots: &mut Vec<Slot<'a>>) {
    for (key, value) in source.as_object_mut().into_iter().flatten() {
        match key.as_str() {
            "store" => push(Some(value), "store", store, slots),
            "defaultStyle" => push(Some(value), "default-style", &Kind::Style, slots),
            "rootLayer" => push(Some(value), "root-layer", &Kind::Layer, slots),
            "rootLayerStyle" => push(Some(value), "root-layer-style", &Kind::Style, slots),
            "layers" => {
                for entry in value.as_array_mut().into_iter().flatten() {
                    for (key, value) in entry.as_object_mut().into_iter().flatten() {
                        match key.as_str() {
                            "name" => push(Some(value), "layer", &Kind::Published, slots),
                            "style" => push(Some(value), "style", &Kind::Style, slots),
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Takes a place in if it holds a name.
fn push<'a>(
    name: Option<&'a mut Value>,
    role: &'static str,
    kind: &Kind,
    slots: &mut Vec<Slot<'a>>,
) {
    if let Some(name) = name
        && name.as_str().is_some_and(|name| !name.is_empty())
    {
        slots.push(Slot {
            role,
            kind: kind.clone(),
            name,
        });
    }
}

/// Sets the places of a notification where `now` differs from `was`.
pub(super) fn write(frame: &mut Value, was: &Event, now: &Event) -> Result<(), EncodeError> {
    let unsayable = |problem: &str| Err(EncodeError::unsayable(DIALECT, now, problem));
    let Value::Object(outer) = frame else {
        return Ok(());
    };
    if now.subject.kind != was.subject.kind {
        return unsayable("the kind of the object cannot be changed in its notifications");
    }
    if now.action != was.action {
        let action = match &now.action {
            Action::Added => "Add",
            Action::Modified => "Update",
            Action::Removed => "Remove",
            _ => return unsayable("it has no words for that"),
        };
        json::set_text(outer, "action", Some(action));
    }
    if now.id != was.id {
        json::set_text(outer, "id", Some(&now.id));
    }
    if now.time != was.time {
        json::set_text(outer, "timestamp", Some(&now.time));
    }
    if now.attribute("authid") != was.attribute("authid") {
        json::set_text(outer, "user", now.attribute("authid"));
    }
    if now.body != was.body {
        let body = now
            .body
            .as_ref()
            .filter(|body| body.content_type == BODY_TYPE);
        let Some(body) = body else {
            return Err(EncodeError::body(
                DIALECT,
                format!("its type must be `{BODY_TYPE}`"),
            ));
        };
        let source = json::parse(&body.data)
            .map_err(|problem| EncodeError::body(DIALECT, format!("it is no JSON: {problem}")))?;
        if !source.is_object() || json::depth(&source) > json::MAX_BODY_DEPTH {
            return Err(EncodeError::body(
                DIALECT,
                "it is no object, or nests too deep",
            ));
        }
        outer.insert("source".to_owned(), source);
    }
    write_references(slots(outer), was, now)?;
    let Some(Value::Object(source)) = outer.get_mut("source") else {
        return Ok(());
    };
    write_subject(source, &was.subject, &now.subject);
    write_properties(source, was, now)
}

fn write_references(slots: Vec<Slot<'_>>, was: &Event, now: &Event) -> Result<(), EncodeError> {
    if was.references == now.references && was.body == now.body {
        return Ok(());
    }
    if slots.len() != now.references.len() || was.references.len() != now.references.len() {
        let (told, found) = (now.references.len(), slots.len());
        let problem = format!("the event has {told} references and its body {found}");
        return Err(EncodeError::References { problem });
    }
    for ((slot, was), now) in slots.into_iter().zip(&was.references).zip(&now.references) {
        if was.target.name != now.target.name {
            let Some(name) = &now.target.name else {
                let problem = format!("the reference `{}` has lost its name", now.role);
                return Err(EncodeError::References { problem });
            };
            *slot.name = Value::from(name.as_str());
        }
    }
    Ok(())
}

fn write_subject(source: &mut Map<String, Value>, was: &Object, now: &Object) {
    let mut set = |key, was: &Option<String>, now: &Option<String>| {
        if was != now {
            json::set_text(source, key, now.as_deref());
        }
    };
    set("id", &was.id, &now.id);
    if now.kind.is_named_by_workspace() {
        set("name", &was.workspace, &now.workspace);
    } else {
        set("name", &was.name, &now.name);
        set("workspace", &was.workspace, &now.workspace);
    }
}

fn write_properties(
    source: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    if was.properties == now.properties {
        return Ok(());
    }
    if let Some(other) = now.properties.iter().find(|property| {
        !was.properties
            .iter()
            .any(|known| known.name == property.name)
    }) {
        let problem = format!("there is no place for the property `{}`", other.name);
        return Err(EncodeError::body(DIALECT, problem));
    }
    let uri = now
        .properties
        .iter()
        .find(|property| property.name == "uri");
    json::set_text(source, "namespaceURI", uri.map(|uri| uri.value.as_str()));
    Ok(())
}
