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
mod version;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) use self::body::store;
use self::body::{Form, Slot, literals};
use self::names::{old_name, read_name};
pub use self::version::CloudVersion;
pub(super) use self::write::{make, write, write_loose_body};
use super::{DecodeError, Dialect, Read, blank, json, push_author};
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
            "RemoteConfigChangeEvent" => flat(Kind::GwcGlobal, FlatName::None),
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

/// The `updateSequence` of the event that a frame wraps.
pub(super) fn sequence(frame: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Frame {
        event: BTreeMap<String, Inner>,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "updateSequence")]
        update_sequence: Option<u64>,
    }
    let Frame { event } = serde_json::from_slice(frame).ok()?;
    let mut inner = event.into_values();
    inner.next()?.update_sequence.filter(|_| inner.len() == 0)
}

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
        if name.is_empty() {
            return Err(DIALECT.invalid("its event has no name"));
        }
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
        if form == Form::Patch {
            read_move(event, body);
            read_oddities(event, body);
        }
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

/// A patch that gives a new workspace is a move. The frame names the new place only, and the old
/// name as if it were in that: what the subject was before is known by its id.
fn read_move(event: &mut Event, patch: &mut Value) {
    let subject = &event.subject;
    let has_place = matches!(
        subject.kind,
        Kind::DataStore
            | Kind::CoverageStore
            | Kind::WmsStore
            | Kind::WmtsStore
            | Kind::FeatureType
            | Kind::Coverage
            | Kind::WmsLayer
            | Kind::WmtsLayer
            | Kind::LayerGroup
            | Kind::Style
    );
    if has_place
        && subject.id.is_some()
        && literals(patch).any(|(name, _)| matches!(name, "workspace" | "namespace"))
    {
        event.previous = Some(Object {
            name: event.previous.take().and_then(|previous| previous.name),
            id: subject.id.clone(),
            ..Object::of(subject.kind.clone())
        });
    }
}

/// Says in attributes what is odd about a patch. Such an event goes on all the same.
///
/// A patch that changes nothing, but for a date, comes of every save without a change. It also comes
/// of changes that GeoServer does not see, because a page of its edited something in place: nodes
/// over a database then have caches to evict, and who reads the object anew finds the change. So it
/// is for a plugin to drop what has the attribute `nochange`, where a storm of them costs too much.
///
/// What no node can read is a change nevertheless; `unreadable` names the property.
fn read_oddities(event: &mut Event, patch: &mut Value) {
    let renames = event.previous.is_some();
    if !renames && literals(patch).all(|(name, _)| name == "dateModified") {
        event.attributes.push(Pair::new("nochange", "true"));
    }
    if let Some(property) = version::unreadable(patch)
        && property.len() <= MAX_NAMED
    {
        event.attributes.push(Pair::new("unreadable", property));
    }
}

/// The longest name of a property that is named in an attribute: longer ones are nobody's.
const MAX_NAMED: usize = 200;

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
        .map(|slot| {
            let mut target = slot.target();
            if event.subject.kind == Kind::TileLayer && slot.role == "published" {
                // A bare id, but a tile layer has the name of what it shows.
                target.workspace.clone_from(&event.subject.workspace);
                target.name.clone_from(&event.subject.name);
            }
            Reference {
                role: slot.role.into_owned(),
                target,
            }
        })
        .collect();
    Ok(())
}

/// What Weir puts before the name of what it sends from, in `originService`.
const SENT_BY_WEIR: &str = "weir:";

/// Who sent a frame, if a Weir did: this one or another that writes to the exchange it came from.
///
/// Such a frame is an echo. It was on a bus of Weir's before, so that another slave of that bus can
/// have it from there, or another Weir in the dialect `cloudevents`. A chain of Weirs over the
/// exchanges of clusters is not told from a circle: each puts its own name in.
pub(super) fn echo_of(frame: &Value) -> Option<&str> {
    let origin = frame.get("originService")?.as_str()?;
    origin.starts_with(SENT_BY_WEIR).then_some(origin)
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
