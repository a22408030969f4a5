//! Access rules of layers: a map from `workspace.layer.mode` to roles. The keys are the places. A
//! dot within a name stands there as `\.`, and `*` is any workspace or any layer.

use serde_json::{Map, Value};

use super::DIALECT;
use super::places::Visitor;
use crate::dialect::EncodeError;
use crate::event::{Kind, Object};

const ANY: &str = "*";

/// Visits the keys, in their order.
pub(super) fn visit(
    rules: &mut Map<String, Value>,
    visitor: &mut dyn Visitor,
) -> Result<(), EncodeError> {
    let mut changed = false;
    let mut keys = Vec::with_capacity(rules.len());
    for key in rules.keys() {
        let new = visit_key(key, visitor)?;
        changed |= new.is_some();
        keys.push(new.unwrap_or_else(|| key.clone()));
    }
    if !changed {
        return Ok(());
    }
    let was = std::mem::take(rules);
    for (key, (_, roles)) in keys.into_iter().zip(was) {
        if rules.contains_key(&key) {
            let problem = format!("two of its rules would be `{}`", super::shown(&key));
            return Err(EncodeError::body(DIALECT, problem));
        }
        rules.insert(key, roles);
    }
    Ok(())
}

fn visit_key(key: &str, visitor: &mut dyn Visitor) -> Result<Option<String>, EncodeError> {
    let Some((role, said)) = read(key) else {
        return Ok(None);
    };
    let Some(new) = visitor.refers(role, said)? else {
        return Ok(None);
    };
    let layer = (role == "workspace").then_some(ANY);
    let names = [new.workspace.as_deref(), new.name.as_deref().or(layer)];
    let mode = split(key).pop().unwrap_or_default();
    let parts: Vec<String> = names
        .into_iter()
        .flatten()
        .chain([mode.as_str()])
        .map(|part| part.replace('.', "\\."))
        .collect();
    let key = parts.join(".");
    match read(&key) {
        Some((same, read))
            if same == role && read.workspace == new.workspace && read.name == new.name =>
        {
            Ok(Some(key))
        }
        _ => Err(EncodeError::References {
            problem: format!("the reference `{role}` is to {new}, which no access rule can name"),
        }),
    }
}

/// What a key refers to.
fn read(key: &str) -> Option<(&'static str, Object)> {
    let parts = split(key);
    let texts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (role, kind, workspace, name) = match texts[..] {
        [ANY | "", ..] | [_, "", _] => return None,
        [workspace, ANY, _] => ("workspace", Kind::Workspace, Some(workspace), None),
        [workspace, layer, _] => ("layer", Kind::Published, Some(workspace), Some(layer)),
        // A group in no workspace.
        [group, _] => ("layer", Kind::LayerGroup, None, Some(group)),
        _ => return None,
    };
    let object = Object {
        workspace: workspace.map(str::to_owned),
        name: name.map(str::to_owned),
        ..Object::of(kind)
    };
    Some((role, object))
}

/// The parts of a key, without escapes.
fn split(key: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '.' => parts.push(std::mem::take(&mut part)),
            '\\' if characters.next_if_eq(&'.').is_some() => part.push('.'),
            other => part.push(other),
        }
    }
    parts.push(part);
    parts
}
