//! The two shapes of body in a frame of GeoServer Cloud: a catalog object, and a patch.
//!
//! References of an object are bare ids. A patch is a list of names and new values; each value is
//! a `Literal`, which gives a Java class before the value, and a reference in it is a
//! `ResolvingProxyDto` or, until 2.28, an `InfoReference`. The order of the keys of a `Literal`
//! matters to GeoServer.
//!
//! Reading and writing share one walk, which gives the places: to read what is there, or to set it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{kind_of, properties};
use crate::dialect::{Dialect, EncodeError, json};
use crate::event::{Event, Kind, Object};

/// Which of the two shapes a body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dialect) enum Form {
    Object,
    Patch,
}

impl Form {
    /// The field of a frame that holds it.
    pub(in crate::dialect) fn key(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Patch => "patch",
        }
    }

    /// The media type that a body has in an event.
    pub(in crate::dialect) fn content_type(self) -> &'static str {
        match self {
            Self::Object => "application/json; profile=geoserver-cloud.object",
            Self::Patch => "application/json; profile=geoserver-cloud.patch",
        }
    }

    /// The shape that a media type announces.
    pub(in crate::dialect) fn of(content_type: &str) -> Option<Self> {
        match json::profile(content_type)? {
            "geoserver-cloud.object" => Some(Self::Object),
            "geoserver-cloud.patch" => Some(Self::Patch),
            _ => None,
        }
    }
}

/// Writes into a body what its event says differently from before: the names and the id of the
/// subject, and properties. References are written by who knows all of their places.
pub(in crate::dialect) fn write(
    body: &mut Value,
    form: Form,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    write_subject(body, form, &was.subject, &now.subject);
    if was.properties != now.properties {
        properties::write(body, form, was, now)?;
    }
    Ok(())
}

fn write_subject(body: &mut Value, form: Form, was: &Object, now: &Object) {
    let keys: &[&str] = match was.kind {
        Kind::Namespace => &["name", "prefix"],
        Kind::Settings => &[],
        _ => &["name"],
    };
    let (old, new) = (label(was), label(now));
    match form {
        Form::Object => {
            let Value::Object(object) = body else { return };
            replace(object.get_mut("id"), was.id.as_deref(), now.id.as_deref());
            for key in keys {
                replace(object.get_mut(*key), old, new);
            }
            write_attributes(object.get_mut("attributes"), was, now);
        }
        Form::Patch => {
            for (name, literal) in literals(body) {
                if keys.contains(&name) {
                    replace(literal.get_mut("value"), old, new);
                } else if name == "attributes" {
                    write_attributes(literal.get_mut("value"), was, now);
                }
            }
        }
    }
}

/// The attributes of a feature type say once more which one they belong to.
fn write_attributes(attributes: Option<&mut Value>, was: &Object, now: &Object) {
    if was.id == now.id {
        return;
    }
    let attributes = attributes.and_then(Value::as_array_mut);
    for attribute in attributes.into_iter().flatten() {
        let place = attribute.get_mut("featureType");
        replace(place, was.id.as_deref(), now.id.as_deref());
    }
}

/// What an object calls itself in its own field `name`.
fn label(object: &Object) -> Option<&str> {
    if object.kind.is_named_by_workspace() {
        object.workspace.as_deref()
    } else {
        object.name.as_deref()
    }
}

/// Sets a text where it says `old`.
pub(super) fn replace(place: Option<&mut Value>, old: Option<&str>, new: Option<&str>) {
    if let (Some(place), Some(old), Some(new)) = (place, old, new)
        && old != new
        && place.as_str() == Some(old)
    {
        *place = Value::from(new);
    }
}

/// What the target of a reference is to the subject: a word of the contract, or the name of the
/// property of a patch that has none.
pub(super) type Role = Cow<'static, str>;

/// A place that refers to another object: an id, or an object with an id, a name or both.
pub(super) struct Slot<'a> {
    pub(super) role: Role,
    kind: Kind,
    id: Option<&'a mut Value>,
    name: Option<&'a mut Value>,
    /// Where a frame says the same id once more.
    again: Option<&'a mut Value>,
}

impl<'a> Slot<'a> {
    /// The place of an id.
    pub(super) fn new(role: Role, kind: Kind, id: &'a mut Value) -> Self {
        Self {
            role,
            kind,
            id: Some(id),
            name: None,
            again: None,
        }
    }

    /// Takes the place of another slot as one more that says the same.
    pub(super) fn say_again(&mut self, Self { id, .. }: Self) {
        self.again = id;
    }

    /// What the place refers to.
    pub(super) fn target(&self) -> Object {
        let text = |place: &Option<&mut Value>| {
            let text = place.as_ref().and_then(|place| place.as_str());
            text.map(str::to_owned)
        };
        let mut target = Object::of(self.kind.clone());
        target.id = text(&self.id);
        if self.kind.is_named_by_workspace() {
            target.workspace = text(&self.name);
        } else {
            target.name = text(&self.name);
        }
        target
    }

    /// Makes the place refer to `now` instead of `was`.
    pub(super) fn set(self, was: &Object, now: &Object) -> Result<(), EncodeError> {
        if was.id.is_some() && now.id.is_none() {
            let problem = format!(
                "the reference `{}` to {now} has lost its id, by which {} refers to objects",
                self.role,
                Dialect::GeoServerCloud
            );
            return Err(EncodeError::References { problem });
        }
        if let Some(id) = now.id.as_deref().filter(|_| was.id != now.id) {
            for place in self.id.into_iter().chain(self.again) {
                *place = Value::from(id);
            }
        }
        replace(self.name, label(was), label(now));
        Ok(())
    }
}

/// The places of a body that refer to other objects, in their order; nulls are none.
pub(super) fn references<'a>(body: &'a mut Value, form: Form, subject: &Kind) -> Vec<Slot<'a>> {
    let mut slots = Vec::new();
    match form {
        Form::Object => {
            let resource = body
                .get("type")
                .and_then(Value::as_str)
                .map_or(Kind::Resource, resource);
            for (key, value) in body.as_object_mut().into_iter().flatten() {
                if key == "layerGroupStyles" {
                    group_styles(value, &mut slots);
                } else if let Some((role, kind)) = role(key, subject, &resource) {
                    collect(value, &Cow::Borrowed(role), &kind, &mut slots);
                }
            }
        }
        Form::Patch => {
            for (name, literal) in literals(body) {
                if name == "layerGroupStyles" {
                    literal
                        .get_mut("value")
                        .into_iter()
                        .for_each(|v| group_styles(v, &mut slots));
                    continue;
                }
                let (role, kind) = match role(name, subject, &Kind::Resource) {
                    Some((role, kind)) => (Cow::Borrowed(role), kind),
                    None => (Cow::Owned(name.to_owned()), Kind::Published),
                };
                proxies(literal, &role, &kind, &mut slots);
            }
        }
    }
    slots
}

/// The role of a field, and the kind of what it refers to.
fn role(key: &str, subject: &Kind, resource: &Kind) -> Option<(&'static str, Kind)> {
    let flat = matches!(
        subject,
        Kind::Service | Kind::Settings | Kind::Global | Kind::Logging
    );
    Some(match key {
        "workspace" => ("workspace", Kind::Workspace),
        _ if flat => return None,
        "namespace" => ("namespace", Kind::Namespace),
        "store" => ("store", store(subject)),
        "resource" => ("resource", resource.clone()),
        "defaultStyle" => ("default-style", Kind::Style),
        "styles" => ("style", Kind::Style),
        "layers" | "publishables" => ("layer", Kind::Published),
        "rootLayer" => ("root-layer", Kind::Layer),
        "rootLayerStyle" => ("root-layer-style", Kind::Style),
        "defaultWorkspace" => ("default-workspace", Kind::Workspace),
        "defaultNamespace" => ("default-namespace", Kind::Namespace),
        "defaultDataStore" => ("default-datastore", Kind::DataStore),
        _ => return None,
    })
}

/// The kind of the store that holds a resource.
pub(in crate::dialect) fn store(resource: &Kind) -> Kind {
    match resource {
        Kind::FeatureType => Kind::DataStore,
        Kind::Coverage => Kind::CoverageStore,
        Kind::WmsLayer => Kind::WmsStore,
        Kind::WmtsLayer => Kind::WmtsStore,
        _ => Kind::Store,
    }
}

/// The kind of the resource behind a layer of this published type.
fn resource(published: &str) -> Kind {
    match published {
        "VECTOR" => Kind::FeatureType,
        "RASTER" => Kind::Coverage,
        "WMS" => Kind::WmsLayer,
        "WMTS" => Kind::WmtsLayer,
        _ => Kind::Resource,
    }
}

/// The named styles of a layer group, each with layers and styles of its own. A patch may have each
/// in a `Literal`.
fn group_styles<'a>(value: &'a mut Value, slots: &mut Vec<Slot<'a>>) {
    for style in value.as_array_mut().into_iter().flatten() {
        let style = if style.get("Literal").is_some() {
            literal_in(style).and_then(|literal| literal.get_mut("value"))
        } else {
            Some(style)
        };
        for (key, value) in style.and_then(Value::as_object_mut).into_iter().flatten() {
            match key.as_str() {
                "layers" => collect(value, &Cow::Borrowed("layer"), &Kind::Published, slots),
                "styles" => collect(value, &Cow::Borrowed("style"), &Kind::Style, slots),
                _ => {}
            }
        }
    }
}

/// An id, an object with one, or a list of such.
fn collect<'a>(value: &'a mut Value, role: &Role, kind: &Kind, slots: &mut Vec<Slot<'a>>) {
    match value {
        Value::String(id) if !id.is_empty() => {
            slots.push(Slot::new(role.clone(), kind.clone(), value));
        }
        Value::Object(map) if json::text(map, "id").or(json::text(map, "name")).is_some() => {
            collect_object(map, role, kind, slots);
        }
        Value::Array(items) => {
            for item in items {
                collect(item, role, kind, slots);
            }
        }
        _ => {}
    }
}

/// An object that stands where there is an id elsewhere. It may be a whole one, with references of
/// its own: GeoServer writes such into patches of `layerGroupStyles`.
fn collect_object<'a>(
    map: &'a mut Map<String, Value>,
    role: &Role,
    kind: &Kind,
    slots: &mut Vec<Slot<'a>>,
) {
    let class = json::text(map, "@type");
    let told = class.map(|class| kind_of(class.strip_suffix("Info").unwrap_or(class)));
    let is_whole = told.is_some();
    let published = json::text(map, "type");
    let resource = published.map_or(Kind::Resource, resource);
    let kind = told
        .or_else(|| published.map(kind_of))
        .filter(|told| !matches!(told, Kind::Other(_)))
        .unwrap_or_else(|| kind.clone());
    let (mut id, mut name, mut others) = (None, None, Vec::new());
    for (key, value) in map {
        let has_text = value.as_str().is_some_and(|text| !text.is_empty());
        match key.as_str() {
            "id" if has_text => id = Some(value),
            "name" if has_text => name = Some(value),
            key if is_whole => others.push((key, value)),
            _ => {}
        }
    }
    slots.push(Slot {
        role: role.clone(),
        kind: kind.clone(),
        id,
        name,
        again: None,
    });
    for (key, value) in others {
        if key == "layerGroupStyles" {
            group_styles(value, slots);
        } else if let Some((role, target)) = self::role(key, &kind, &resource) {
            // The event's own workspace has that role.
            let role = match role {
                "workspace" | "namespace" => Cow::Owned(format!("{kind}-{role}")),
                role => Cow::Borrowed(role),
            };
            collect(value, &role, &target, slots);
        }
    }
}

/// What the two versions of GeoServer Cloud call the class of a reference.
const REFERENCE_CLASSES: [&str; 2] = [".ResolvingProxyDto", ".InfoReference"];

/// The references in a `Literal`: it is one, it is a list of them, or a list of literals. What is
/// of a class that nobody knows is one if it has the shape of one.
fn proxies<'a>(
    literal: &'a mut Map<String, Value>,
    role: &Role,
    kind: &Kind,
    slots: &mut Vec<Slot<'a>>,
) {
    let is_told = ["type", "contentType"].iter().any(|key| {
        json::text(literal, key)
            .is_some_and(|class| REFERENCE_CLASSES.iter().any(|known| class.ends_with(known)))
    });
    match literal.get_mut("value") {
        Some(value) if is_told => collect(value, role, kind, slots),
        Some(Value::Array(items)) => {
            for item in items {
                if item.get("Literal").is_some() {
                    if let Some(nested) = literal_in(item) {
                        proxies(nested, role, kind, slots);
                    }
                } else if is_reference(item) {
                    collect(item, role, kind, slots);
                }
            }
        }
        Some(value) if is_reference(value) => collect(value, role, kind, slots),
        _ => {}
    }
}

/// True for `{"type":"STYLE","id":"…"}`.
fn is_reference(value: &Value) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    map.len() == 2
        && json::text(map, "id").is_some()
        && json::text(map, "type").is_some_and(|told| !matches!(kind_of(told), Kind::Other(_)))
}

pub(super) fn literal_in(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.get_mut("Literal")?.as_object_mut()
}

pub(super) fn patches(patch: &mut Value) -> Option<&mut Vec<Value>> {
    let patch = if patch.get("Patch").is_some() {
        patch.get_mut("Patch")?
    } else {
        patch
    };
    patch.get_mut("patches")?.as_array_mut()
}

/// The entries of a patch: the name of a property, and the `Literal` that is its new value.
pub(super) fn literals(patch: &mut Value) -> impl Iterator<Item = (&str, &mut Map<String, Value>)> {
    patches(patch).into_iter().flatten().filter_map(|entry| {
        let (mut name, mut literal) = (None, None);
        for (key, value) in entry.as_object_mut()? {
            match key.as_str() {
                "name" => name = value.as_str(),
                "value" => literal = literal_in(value),
                _ => {}
            }
        }
        Some((name?, literal?))
    })
}
