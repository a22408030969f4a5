//! How frames name objects: with the workspace as a prefix, and, in `oldName`, mostly without it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::body;
use crate::dialect::json;
use crate::event::{Event, Kind, Object};

/// True for the kinds whose name is not prefixed, whatever colons are in it.
fn is_global(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Catalog
            | Kind::Global
            | Kind::Logging
            | Kind::Security
            | Kind::GridSet
            | Kind::BlobStore
    )
}

/// Takes a name as frames write it apart: `topp:states`, or a bare one.
pub(super) fn read_name(object: &mut Object, name: &str) {
    if object.kind.is_named_by_workspace() {
        object.workspace = Some(name.to_owned());
    } else if let Some((workspace, name)) = name.split_once(':')
        && !is_global(&object.kind)
    {
        object.workspace = Some(workspace.to_owned());
        object.name = Some(name.to_owned());
    } else {
        object.name = Some(name.to_owned());
    }
}

/// The name as frames write it; `None` if the object has none. The inverse of [`read_name`].
pub(super) fn join_name(object: &Object) -> Result<Option<Cow<'_, str>>, String> {
    if object.kind.is_named_by_workspace() {
        return Ok(object.workspace.as_deref().map(Cow::Borrowed));
    }
    match (object.workspace.as_deref(), object.name.as_deref()) {
        (_, None) => Ok(None),
        (Some(_), _) if is_global(&object.kind) => {
            Err(format!("a {} lies in no workspace", object.kind))
        }
        (Some(workspace), _) if workspace.is_empty() || workspace.contains(':') => Err(format!(
            "`{workspace}` cannot be a prefix: use a workspace without colon"
        )),
        (Some(workspace), Some(name)) => Ok(Some(Cow::Owned(format!("{workspace}:{name}")))),
        (None, Some(name)) if name.contains(':') && !is_global(&object.kind) => Err(format!(
            "without workspace, the name `{name}` would be read as a prefixed one"
        )),
        (None, Some(name)) => Ok(Some(Cow::Borrowed(name))),
    }
}

/// What a frame about a modified object says of its old name. It is prefixed and the same as
/// `objectName` when the name did not change, and bare when it did. Frames that this crate wrote
/// may be prefixed in both cases.
pub(super) struct OldName {
    prefixed: bool,
    pub(super) previous: Option<Object>,
}

pub(super) fn old_name(fields: &Map<String, Value>, subject: &Object) -> Option<OldName> {
    let old = json::text(fields, "oldName")?;
    if subject.kind.is_named_by_workspace() || is_global(&subject.kind) {
        let mut previous = Object::of(subject.kind.clone());
        read_name(&mut previous, old);
        let same = previous.workspace == subject.workspace && previous.name == subject.name;
        return Some(OldName {
            prefixed: true,
            previous: Some(previous).filter(|_| !same),
        });
    }
    let prefix = subject.workspace.as_deref();
    let rest = prefix.and_then(|prefix| old.strip_prefix(prefix)?.strip_prefix(':'));
    let name = rest.unwrap_or(old);
    let previous = (subject.name.as_deref() != Some(name)).then(|| Object {
        workspace: subject.workspace.clone(),
        name: Some(name.to_owned()),
        ..Object::of(subject.kind.clone())
    });
    Some(OldName {
        prefixed: rest.is_some(),
        previous,
    })
}

/// Sets the names of a frame, of which the one at `key` is the subject's; the error is a phrase for
/// people.
pub(super) fn write_names(
    fields: &mut Map<String, Value>,
    key: &str,
    was: &Event,
    now: &Event,
) -> Result<(), String> {
    let subject = &was.subject;
    let old_form = old_name(fields, subject);
    if subject.id.is_some() && now.subject.id.is_none() && fields.contains_key("objectId") {
        return Err("it has lost its id, by which that dialect refers to objects".to_owned());
    }
    body::replace(
        fields.get_mut("objectId"),
        subject.id.as_deref(),
        now.subject.id.as_deref(),
    );
    let renamed = now.subject.name != subject.name || now.subject.workspace != subject.workspace;
    if !renamed && now.previous == was.previous {
        return Ok(());
    }
    let name = join_name(&now.subject)?;
    // A frame that names its subject by id only has no place for a name.
    if renamed && fields.contains_key(key) {
        if name.is_none() {
            return Err("it has lost its name".to_owned());
        }
        json::set_text(fields, key, name.as_deref());
    }
    let is_flat = key != "objectName";
    // Only the old name has a place. That of an object which was moved alone is the present one.
    let previous = now.previous.as_ref().filter(|previous| {
        is_flat
            || previous.kind.is_named_by_workspace()
            || previous.name.is_some() && previous.name != now.subject.name
    });
    let old = match previous {
        Some(previous) if is_flat => join_name(previous)?.map(Cow::into_owned),
        Some(previous) => {
            let prefixed = was.previous.is_some() && old_form.is_some_and(|old| old.prefixed);
            bare_or_prefixed(previous, &now.subject, prefixed)?
        }
        None if !fields.contains_key("oldName") => return Ok(()),
        None if is_flat || old_form.is_some_and(|old| old.prefixed) => name.map(Cow::into_owned),
        None => now.subject.name.clone(),
    };
    if let Some(old) = old {
        json::set_text(fields, "oldName", Some(&old));
    }
    Ok(())
}

/// An old name; it has no workspace of its own, only, at most, the subject's as a prefix.
fn bare_or_prefixed(
    previous: &Object,
    subject: &Object,
    prefixed: bool,
) -> Result<Option<String>, String> {
    let Some(name) = &previous.name else {
        return Ok(join_name(previous)?.map(Cow::into_owned));
    };
    // A bare name that begins like a prefixed one would be read as that.
    let ambiguous = subject.workspace.as_deref().is_some_and(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(':'))
    });
    if !prefixed && !ambiguous {
        return Ok(Some(name.clone()));
    }
    let there = Object {
        workspace: subject.workspace.clone(),
        ..previous.clone()
    };
    Ok(join_name(&there)?.map(Cow::into_owned))
}
