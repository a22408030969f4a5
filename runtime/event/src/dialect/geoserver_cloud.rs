//! GeoServer Cloud: the events of its Spring Cloud Bus.
//!
//! A frame says in its outer `type` whether it is about the catalog (`RemoteGeoServerEvent`, with
//! the event one level down under its name), about GeoWebCache or GeoServer ACL (flat), or Spring's
//! own. Objects are named by `objectName`, with the workspace as a prefix, and refer to each other
//! by bare ids.

mod body;
mod build;
mod names;
mod properties;

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub(super) use self::body::store;
use self::body::{Form, Slot};
use self::names::{old_name, read_name, write_names};
use super::{DecodeError, Dialect, EncodeError, Read, blank, json, push_author};
use crate::event::{Action, Body, Event, Kind, Object, Pair, Reference};

const DIALECT: Dialect = Dialect::GeoServerCloud;

/// The layout of a frame, by its outer `type`.
enum Layout {
    /// `event` holds one object, under the name of the event.
    Catalog,
    Flat(Flat),
    /// Housekeeping of the Spring Cloud Bus.
    Spring,
    Unknown,
}

/// A frame that says everything on its first level.
struct Flat {
    kind: Kind,
    name: FlatName,
}

/// How a flat frame names its subject.
enum FlatName {
    In(&'static str),
    Always(&'static str),
    None,
}

impl Layout {
    fn of(outer_type: &str) -> Self {
        let flat = |kind, name| Self::Flat(Flat { kind, name });
        match outer_type {
            "RemoteGeoServerEvent" => Self::Catalog,
            "RemoteTileLayerEvent" => flat(Kind::TileLayer, FlatName::In("name")),
            "RemoteGridsetEvent" => flat(Kind::GridSet, FlatName::In("gridsetId")),
            "RemoteBlobStoreEvent" => flat(Kind::BlobStore, FlatName::In("blobStoreId")),
            "RemoteConfigChangeEvent" => flat(Kind::from("gwc-global"), FlatName::None),
            "RemoteRuleEvent" => flat(Kind::Security, FlatName::Always("acl-rule")),
            "RemoteAdminRuleEvent" => flat(Kind::Security, FlatName::Always("acl-admin-rule")),
            // RefreshRemoteApplicationEvent, AckRemoteApplicationEvent and their like.
            spring if spring.ends_with("RemoteApplicationEvent") => Self::Spring,
            _ => Self::Unknown,
        }
    }
}

/// Reads a frame; the id of the event stays empty if the frame has none.
pub(super) fn read(frame: &mut Value, source: &str) -> Result<Read, DecodeError> {
    let outer = frame
        .as_object_mut()
        .ok_or_else(|| DIALECT.invalid("it is JSON, but not an object"))?;
    let outer_type = json::text(outer, "type")
        .ok_or_else(|| DIALECT.invalid("it has no `type`"))?
        .to_owned();
    let mut event = blank(source);
    read_base(&mut event, outer);
    for (attribute, field) in SERVICES {
        if let Some(service) = json::text(outer, field) {
            event.attributes.push(Pair::new(attribute, service));
        }
    }
    match Layout::of(&outer_type) {
        Layout::Catalog => {
            let (name, fields) = inner(outer).ok_or_else(|| {
                DIALECT.invalid("its `event` is not one object under the name of the event")
            })?;
            let name = name.to_owned();
            read_base(&mut event, fields);
            event.sequence = fields.get("updateSequence").and_then(Value::as_u64);
            if let Some(author) = json::text(fields, "author") {
                push_author(&mut event, author);
            }
            read_catalog(&mut event, &name, fields)?;
        }
        Layout::Flat(flat) => read_flat(&mut event, flat, outer)?,
        Layout::Unknown => event.subject.kind = Kind::from(outer_type.to_lowercase().as_str()),
        Layout::Spring => {
            return Ok(Read::NotCatalog(format!(
                "{outer_type}, a message of the Spring Cloud Bus"
            )));
        }
    }
    Ok(Read::Event(event))
}

/// Extension attributes and the fields of a frame that they stand for.
const SERVICES: [(&str, &str); 2] = [
    ("originservice", "originService"),
    ("destinationservice", "destinationService"),
];

/// What both levels of a frame may say; the outer one is asked first.
fn read_base(event: &mut Event, fields: &Map<String, Value>) {
    if let Some(id) = json::text(fields, "id").filter(|_| event.id.is_empty()) {
        id.clone_into(&mut event.id);
    }
    if event.time == super::EPOCH
        && let Some(time) = fields.get("timestamp").and_then(Value::as_i64)
        && let Ok(time) = Timestamp::from_millisecond(time)
    {
        event.time = format!("{time:.3}");
    }
}

/// The name and the fields of the event that a frame wraps.
fn inner(outer: &mut Map<String, Value>) -> Option<(&str, &mut Map<String, Value>)> {
    let event = outer
        .get_mut("event")?
        .as_object_mut()
        .filter(|event| event.len() == 1)?;
    let (name, fields) = event.iter_mut().next()?;
    Some((name, fields.as_object_mut()?))
}

/// What an inner event is called, what happened, and the kind of the subject where the name tells.
const EVENTS: [(&str, Action, Option<Kind>); 20] = [
    ("CatalogInfoAdded", Action::Added, None),
    ("CatalogInfoModified", Action::Modified, None),
    ("CatalogInfoRemoved", Action::Removed, None),
    ("DefaultWorkspaceSet", Action::Modified, Some(Kind::Catalog)),
    ("DefaultNamespaceSet", Action::Modified, Some(Kind::Catalog)),
    ("DefaultDataStoreSet", Action::Modified, Some(Kind::Catalog)),
    ("GeoServerInfoSet", Action::Modified, Some(Kind::Global)),
    (
        "GeoServerInfoModified",
        Action::Modified,
        Some(Kind::Global),
    ),
    ("LoggingInfoSet", Action::Modified, Some(Kind::Logging)),
    ("LoggingInfoModified", Action::Modified, Some(Kind::Logging)),
    ("ServiceAdded", Action::Added, Some(Kind::Service)),
    ("ServiceModified", Action::Modified, Some(Kind::Service)),
    ("ServiceInfoRemoved", Action::Removed, Some(Kind::Service)),
    ("SettingsAdded", Action::Added, Some(Kind::Settings)),
    ("SettingsModified", Action::Modified, Some(Kind::Settings)),
    ("SettingsInfoRemoved", Action::Removed, Some(Kind::Settings)),
    ("ReloadEvent", Action::Reloaded, Some(Kind::Catalog)),
    ("ResetEvent", Action::Reset, Some(Kind::Catalog)),
    ("UpdateSequence", Action::Modified, Some(Kind::Catalog)),
    (
        "SecurityConfigChanged",
        Action::Modified,
        Some(Kind::Security),
    ),
];

fn read_catalog(
    event: &mut Event,
    name: &str,
    fields: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    let Some((_, action, usual)) = EVENTS.iter().find(|(known, ..)| *known == name) else {
        event.subject.kind = Kind::from(name.to_lowercase().as_str());
        return Ok(());
    };
    event.action = action.clone();
    event.subject.kind = match (usual, json::text(fields, "objectType")) {
        (Some(kind), _) => kind.clone(),
        (None, Some(object_type)) => kind_of(object_type),
        (None, None) => return Err(DIALECT.invalid(format!("its {name} has no `objectType`"))),
    };
    if name == "UpdateSequence" {
        event.subject.name = Some("update-sequence".to_owned());
    }
    if let Some(name) = json::text(fields, "objectName") {
        read_name(&mut event.subject, name);
    }
    event.subject.id = json::text(fields, "objectId").map(str::to_owned);
    event.previous = old_name(fields, &event.subject).and_then(|old| old.previous);
    if let Some(form) = form(fields)
        && let Some(body) = fields.get_mut(form.key())
    {
        event.properties = properties::read(body, form);
        event.body = Some(Body {
            content_type: form.content_type().to_owned(),
            data: json::compact(body),
        });
    }
    event.references = slots(fields, &event.subject.kind)
        .into_iter()
        .map(|slot| {
            let mut target = slot.target();
            if matches!(&*slot.role, "workspace" | "namespace") && event.subject.workspace.is_some()
            {
                // A bare id, but it can only be the workspace that the subject is in.
                target.workspace.clone_from(&event.subject.workspace);
            }
            Reference {
                role: slot.role.into_owned(),
                target,
            }
        })
        .collect();
    Ok(())
}

fn read_flat(
    event: &mut Event,
    flat: Flat,
    fields: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    event.subject.kind = flat.kind;
    event.action = match json::text(fields, "eventType") {
        Some("CREATED") => Action::Added,
        Some("MODIFIED" | "UPDATED") | None => Action::Modified,
        Some("DELETED") => Action::Removed,
        Some(other) => {
            return Err(
                DIALECT.invalid(format!("its `eventType` is `{other}`, which says nothing"))
            );
        }
    };
    match flat.name {
        FlatName::In(key) => {
            if let Some(name) = json::text(fields, key) {
                read_name(&mut event.subject, name);
            }
            if let Some(old) = json::text(fields, "oldName") {
                let mut previous = Object::of(event.subject.kind.clone());
                read_name(&mut previous, old);
                event.previous = Some(previous).filter(|previous| *previous != event.subject);
            }
        }
        FlatName::Always(name) => event.subject.name = Some(name.to_owned()),
        FlatName::None => {}
    }
    event.references = slots(fields, &event.subject.kind)
        .into_iter()
        .map(|slot| Reference {
            target: slot.target(),
            role: slot.role.into_owned(),
        })
        .collect();
    Ok(())
}

/// The kind that an `objectType`, or the `type` of a proxy, names.
fn kind_of(object_type: &str) -> Kind {
    match object_type {
        "GEOSERVER" => Kind::Global,
        other => Kind::from(other.to_lowercase().as_str()),
    }
}

fn form(fields: &Map<String, Value>) -> Option<Form> {
    [Form::Object, Form::Patch]
        .into_iter()
        .find(|form| fields.contains_key(form.key()))
}

/// Every place of a frame that refers to another object: those of the body in their order, then
/// those beside it. A thing that is said in both is one reference with two places.
fn slots<'a>(fields: &'a mut Map<String, Value>, subject: &Kind) -> Vec<Slot<'a>> {
    let body = form(fields).map(|form| (form, form.key()));
    let (mut slots, mut beside) = (Vec::new(), Vec::new());
    for (key, value) in fields {
        if let Some((form, _)) = body.filter(|(_, name)| key == name) {
            slots = body::references(value, form, subject);
            continue;
        }
        let (role, kind) = match key.as_str() {
            "workspaceId" => ("workspace", Kind::Workspace),
            "newWorkspaceId" => ("default-workspace", Kind::Workspace),
            "newNamespaceId" => ("default-namespace", Kind::Namespace),
            "defaultDataStoreId" => ("default-datastore", Kind::DataStore),
            "publishedId" => ("published", Kind::Published),
            _ => continue,
        };
        if value.as_str().is_some_and(|id| !id.is_empty()) {
            beside.push(Slot::new(Cow::Borrowed(role), kind, value));
        }
    }
    for slot in beside {
        match slots.iter_mut().find(|known| known.role == slot.role) {
            Some(known) => known.say_again(slot),
            None => slots.push(slot),
        }
    }
    slots
}

/// Sets the places of a frame where `now` differs from `was`.
pub(super) fn write(frame: &mut Value, was: &Event, now: &Event) -> Result<(), EncodeError> {
    if now.action != was.action || now.subject.kind != was.subject.kind {
        // Another action is another frame.
        *frame = build(was, now)?;
        return Ok(());
    }
    let unsayable = |problem: String| EncodeError::unsayable(DIALECT, now, problem);
    let Value::Object(outer) = frame else {
        return Ok(());
    };
    let layout = json::text(outer, "type").map_or(Layout::Unknown, Layout::of);
    write_base(outer, was, now, true)?;
    for (attribute, field) in SERVICES {
        if now.attribute(attribute) != was.attribute(attribute) {
            json::set_text(outer, field, now.attribute(attribute));
        }
    }
    let names = match layout {
        Layout::Catalog => Some("objectName"),
        Layout::Flat(Flat {
            name: FlatName::In(key),
            ..
        }) => Some(key),
        _ => None,
    };
    let catalog = matches!(layout, Layout::Catalog);
    let fields = match inner(outer) {
        Some((_, fields)) if catalog => {
            write_base(fields, was, now, false)?;
            fields
        }
        _ => outer,
    };
    if let Some(key) = names {
        write_names(fields, key, was, now).map_err(unsayable)?;
    }
    if now.body != was.body {
        replace_body(fields, was, now)?;
    }
    write_places(fields, was, now)
}

/// The frame of an event that did not come in one, with what plugins changed written into its body.
pub(super) fn build(was: &Event, now: &Event) -> Result<Value, EncodeError> {
    let mut frame = build::frame(now)?;
    if let Some((_, fields)) = frame.as_object_mut().and_then(inner)
        && form(fields).is_some()
    {
        write_places(fields, was, now)?;
    }
    Ok(frame)
}

/// Writes what plugins changed into a body that lies in no frame. A body of another shape than
/// GeoServer Cloud's has no places.
pub(super) fn write_loose_body(
    content_type: &str,
    value: &mut Value,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let Some(form) = Form::of(content_type) else {
        return Ok(());
    };
    write_references(body::references(value, form, &now.subject.kind), was, now)?;
    body::write(value, form, was, now)
}

/// Writes what both levels of a frame may say. What is new goes where readers look first: the id
/// on the outer level, the rest on the inner one.
fn write_base(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
    is_outer: bool,
) -> Result<(), EncodeError> {
    if now.id != was.id && (is_outer || fields.contains_key("id")) {
        json::set_text(fields, "id", Some(&now.id));
    }
    if now.time != was.time && (is_outer || fields.contains_key("timestamp")) {
        fields.insert("timestamp".to_owned(), Value::from(milliseconds(now)?));
    }
    if is_outer {
        return Ok(());
    }
    match now.sequence.filter(|_| now.sequence != was.sequence) {
        Some(sequence) => {
            fields.insert("updateSequence".to_owned(), Value::from(sequence));
        }
        None if was.sequence.is_some() && now.sequence.is_none() => {
            fields.shift_remove("updateSequence");
        }
        None => {}
    }
    if now.attribute("authid") != was.attribute("authid") {
        json::set_text(fields, "author", now.attribute("authid"));
    }
    Ok(())
}

fn milliseconds(event: &Event) -> Result<i64, EncodeError> {
    let time: Timestamp = event.time.parse().map_err(|_| {
        let problem = format!("its time `{}` is not of the form of RFC 3339", event.time);
        EncodeError::unsayable(DIALECT, event, problem)
    })?;
    Ok(time.as_millisecond())
}

fn replace_body(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let refuse = |problem| Err(EncodeError::body(DIALECT, problem));
    let Some(body) = &now.body else {
        return refuse("it was removed; leave the body, or drop the event".to_owned());
    };
    let Some(form) = form(fields).filter(|_| was.body.is_some()) else {
        return refuse(format!("{} {} has none", now.subject, now.action));
    };
    if Form::of(&body.content_type) != Some(form) {
        let (is, must) = (&body.content_type, form.content_type());
        return refuse(format!("its type is `{is}` and must be `{must}`"));
    }
    let value = parse_body(body)?;
    fields.insert(form.key().to_owned(), value);
    Ok(())
}

/// The JSON of a body that a plugin made.
fn parse_body(body: &Body) -> Result<Value, EncodeError> {
    let value = json::parse(&body.data)
        .map_err(|problem| EncodeError::body(DIALECT, format!("it is no JSON: {problem}")))?;
    if json::depth(&value) > json::MAX_BODY_DEPTH {
        let problem = format!("it nests deeper than {} levels", json::MAX_BODY_DEPTH);
        return Err(EncodeError::body(DIALECT, problem));
    }
    Ok(value)
}

/// Writes what the places in and beside the body say differently.
fn write_places(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    write_references(slots(fields, &now.subject.kind), was, now)?;
    match form(fields) {
        Some(form) => match fields.get_mut(form.key()) {
            Some(body) => body::write(body, form, was, now),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

fn write_references(slots: Vec<Slot<'_>>, was: &Event, now: &Event) -> Result<(), EncodeError> {
    let same_body = was.body == now.body;
    if same_body && (was.references == now.references || slots.is_empty()) {
        return Ok(());
    }
    if slots.len() != now.references.len() {
        let problem = format!(
            "the event has {} references and its body {}",
            now.references.len(),
            slots.len()
        );
        return Err(EncodeError::References { problem });
    }
    let same_references = was.references.len() == now.references.len();
    for (index, (slot, now)) in slots.into_iter().zip(&now.references).enumerate() {
        // In a body with other references, what was there before is what the body says now.
        let was = match was.references.get(index) {
            Some(was) if same_references => was.target.clone(),
            _ => slot.target(),
        };
        if was != now.target {
            slot.set(&was, &now.target)?;
        }
    }
    Ok(())
}
