//! The two shapes of body in a frame of GeoServer Cloud: a catalog object, and a patch.
//!
//! References of an object are bare ids. A patch is a list of names and new values; each value is
//! a `Literal`, which gives a Java class before the value, and a reference in it is a
//! `ResolvingProxyDto`. The order of the keys of a `Literal` matters to GeoServer.
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
        }
        Form::Patch => {
            for (name, literal) in literals(body) {
                if keys.contains(&name) {
                    replace(literal.get_mut("value"), old, new);
                }
            }
        }
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

/// A place that refers to another object.
pub(super) struct Slot<'a> {
    pub(super) role: Role,
    kind: Kind,
    place: &'a mut Value,
    /// Where a frame says the same thing once more.
    again: Option<&'a mut Value>,
}

impl<'a> Slot<'a> {
    /// `place` must be an id, or an object that has an id or a name.
    pub(super) fn new(role: Role, kind: Kind, place: &'a mut Value) -> Self {
        let told = place.get("type").and_then(Value::as_str).map(kind_of);
        let kind = told
            .filter(|told| !matches!(told, Kind::Other(_)))
            .unwrap_or(kind);
        Self {
            role,
            kind,
            place,
            again: None,
        }
    }

    /// Takes the place of another slot as one more that says the same.
    pub(super) fn say_again(&mut self, Self { place, .. }: Self) {
        self.again = Some(place);
    }

    /// What the place refers to.
    pub(super) fn target(&self) -> Object {
        let mut target = Object::of(self.kind.clone());
        match &*self.place {
            Value::String(id) => target.id = Some(id.clone()),
            Value::Object(map) => {
                target.id = json::text(map, "id").map(str::to_owned);
                let name = json::text(map, "name").map(str::to_owned);
                if self.kind.is_named_by_workspace() {
                    target.workspace = name;
                } else {
                    target.name = name;
                }
            }
            _ => {}
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
        for place in std::iter::once(self.place).chain(self.again) {
            match (place, &now.id) {
                (Value::Object(map), id) => {
                    replace(map.get_mut("id"), was.id.as_deref(), id.as_deref());
                    replace(map.get_mut("name"), label(was), label(now));
                }
                (place, Some(id)) if was.id != now.id => *place = Value::from(id.as_str()),
                _ => {}
            }
        }
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

/// The named styles of a layer group, each with layers and styles of its own.
fn group_styles<'a>(value: &'a mut Value, slots: &mut Vec<Slot<'a>>) {
    for style in value.as_array_mut().into_iter().flatten() {
        for (key, value) in style.as_object_mut().into_iter().flatten() {
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
    let refers = match &*value {
        Value::String(id) => !id.is_empty(),
        Value::Object(map) => json::text(map, "id").or(json::text(map, "name")).is_some(),
        _ => false,
    };
    if refers {
        slots.push(Slot::new(role.clone(), kind.clone(), value));
        return;
    }
    for item in value.as_array_mut().into_iter().flatten() {
        collect(item, role, kind, slots);
    }
}

/// The proxies in a `Literal`: it is one, it is a list of them, or a list of literals.
fn proxies<'a>(
    literal: &'a mut Map<String, Value>,
    role: &Role,
    kind: &Kind,
    slots: &mut Vec<Slot<'a>>,
) {
    let is = |key, class| json::text(literal, key).is_some_and(|name| name.ends_with(class));
    if is("type", "ResolvingProxyDto") || is("contentType", "ResolvingProxyDto") {
        if let Some(value) = literal.get_mut("value") {
            collect(value, role, kind, slots);
        }
    } else if is("contentType", "LiteralDto") {
        for item in literal
            .get_mut("value")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(nested) = literal_in(item) {
                proxies(nested, role, kind, slots);
            }
        }
    }
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
