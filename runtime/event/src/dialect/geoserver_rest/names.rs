//! How a content names things: with the workspace as a prefix, bare, or with it beside the name.

use serde_json::{Map, Value};

use crate::dialect::{EncodeError, json};
use crate::event::{Kind, Object};

/// A name. GeoServer writes one that looks like a number as a number.
pub(super) fn name_in(value: &Value) -> Option<String> {
    json::scalar(value).filter(|name| !name.is_empty())
}

/// The kind that a reference tells: `"@class": "featureType"`.
pub(super) fn told(map: &Map<String, Value>) -> Option<Kind> {
    ["@type", "@class"]
        .iter()
        .find_map(|key| json::text(map, key))
        .map(|told| Kind::from(told.to_lowercase().as_str()))
        .filter(super::is_known)
}

/// The workspace beside a name: a text, or an object with a name of its own.
pub(super) fn beside(map: &Map<String, Value>) -> Option<String> {
    let workspace = map.get("workspace")?;
    name_in(workspace.get("name").unwrap_or(workspace))
}

/// What a name means. A prefix counts more than the workspace beside it, as it does for GeoServer.
pub(super) fn read(name: &str, beside: Option<String>, kind: Kind) -> Object {
    let mut object = Object::of(kind);
    if object.kind.is_named_by_workspace() {
        object.workspace = Some(name.to_owned());
        return object;
    }
    match name.split_once(':') {
        Some((workspace, name)) if !workspace.is_empty() && !name.is_empty() => {
            object.workspace = Some(workspace.to_owned());
            object.name = Some(name.to_owned());
        }
        _ => {
            object.workspace = beside;
            object.name = Some(name.to_owned());
        }
    }
    object
}

/// Has an object with a name refer to something else.
pub(super) fn set(
    map: &mut Map<String, Value>,
    said: &str,
    role: &str,
    new: &Object,
) -> Result<(), EncodeError> {
    let is_bare = new.workspace.is_none() || !said.contains(':') && map.contains_key("workspace");
    let name = if is_bare && !new.kind.is_named_by_workspace() {
        let name = name_of(role, new)?;
        check_bare(role, new, name)?;
        name.to_owned()
    } else {
        join(role, new)?
    };
    if let Some(place) = map.get_mut("name") {
        json::set_scalar(place, &name);
    }
    match (map.get_mut("workspace"), &new.workspace) {
        (Some(Value::Object(beside)), Some(workspace)) => {
            json::set_text(beside, "name", Some(workspace));
        }
        (Some(place), Some(workspace)) => {
            json::set_scalar(place, workspace);
        }
        (Some(_), None) => {
            map.shift_remove("workspace");
        }
        (None, _) => {}
    }
    Ok(())
}

/// A name with its prefix, if it has one. The inverse of [`read`].
pub(super) fn join(role: &str, object: &Object) -> Result<String, EncodeError> {
    let lost = || EncodeError::References {
        problem: format!("the reference `{role}` has lost its workspace"),
    };
    if object.kind.is_named_by_workspace() {
        let workspace = object.workspace.clone().filter(|name| !name.is_empty());
        return workspace.ok_or_else(lost);
    }
    let name = name_of(role, object)?;
    match &object.workspace {
        Some(workspace) if workspace.is_empty() || workspace.contains(':') => {
            Err(EncodeError::References {
                problem: format!(
                    "the reference `{role}` is to {object}, and `{}` cannot be a prefix",
                    super::shown(workspace)
                ),
            })
        }
        Some(workspace) => Ok(format!("{workspace}:{name}")),
        None => {
            check_bare(role, object, name)?;
            Ok(name.to_owned())
        }
    }
}

/// The name of what a reference is to.
pub(super) fn name_of<'a>(role: &str, object: &'a Object) -> Result<&'a str, EncodeError> {
    let name = object.name.as_deref().filter(|name| !name.is_empty());
    name.ok_or_else(|| EncodeError::References {
        problem: format!("the reference `{role}` has lost its name"),
    })
}

fn check_bare(role: &str, object: &Object, name: &str) -> Result<(), EncodeError> {
    let bare = read(name, None, object.kind.clone());
    if bare.workspace.is_none() {
        return Ok(());
    }
    Err(EncodeError::References {
        problem: format!(
            "the name of the reference `{role}` would be read as a prefixed one: `{}`",
            super::shown(name)
        ),
    })
}
