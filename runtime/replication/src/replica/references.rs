//! What objects refer to, which a slave must have before them.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_geoserver::{Name, Object, Scope, Workspace, shape};

use super::{ApplyError, Replica, name_of};
use crate::Target;
use crate::document::root;

impl Replica {
    /// GeoServer leaves out, without a word, what it does not find: a layer of a group, a style of
    /// a layer. So what is not referred to yet is looked for first.
    pub(super) async fn check_references(
        &self,
        object: &Object,
        want: &Value,
        have: &Value,
    ) -> Result<(), ApplyError> {
        let before = references(object, have);
        for target in references(object, want).difference(&before) {
            let mut is_there = self.is_there(&Target::Object(target.clone())).await?;
            // Either may stand there, where a frame does not say which.
            if let (false, Object::Layer { workspace, name }) = (is_there, target) {
                let group = Object::LayerGroup {
                    scope: Scope::Workspace(workspace.clone()),
                    name: name.clone(),
                };
                is_there = self.is_there(&Target::Object(group)).await?;
            }
            if !is_there {
                return Err(ApplyError::needs(
                    Target::Object(target.clone()),
                    format_args!("it refers to the {}, which the slave lacks", told(target)),
                ));
            }
        }
        Ok(())
    }
}

/// The layers, groups and styles that a layer or a group refers to.
fn references(object: &Object, document: &Value) -> BTreeSet<Object> {
    let mut found = BTreeSet::new();
    let Some((_, members)) = root(document) else {
        return found;
    };
    let get = |key: &str| members.get(key).unwrap_or(&Value::Null);
    match object {
        Object::Layer { .. } => {
            found.extend(style(get("defaultStyle")));
            found.extend(
                shape::items(get("styles"), "style")
                    .iter()
                    .filter_map(style),
            );
        }
        Object::LayerGroup { .. } => {
            let mut group = |published: &Value, styles: &Value| {
                let published = shape::items(published, "published");
                found.extend(published.iter().filter_map(publishable));
                found.extend(shape::items(styles, "style").iter().filter_map(style));
            };
            group(get("publishables"), get("styles"));
            for of_style in shape::items(get("layerGroupStyles"), "LayerGroupStyle") {
                let get = |key: &str| of_style.get(key).unwrap_or(&Value::Null);
                group(get("layers"), get("styles"));
            }
            found.extend(publishable(get("rootLayer")));
            found.extend(style(get("rootLayerStyle")));
        }
        Object::DefaultWorkspace => {
            let workspace = name_of(get("name")).and_then(|name| Workspace::new(name).ok());
            found.extend(workspace.map(Object::Workspace));
        }
        _ => {}
    }
    found
}

fn style(value: &Value) -> Option<Object> {
    let name = value.get("name")?.as_str()?;
    let (scope, name) = scoped(name)?;
    Some(Object::Style { scope, name })
}

fn publishable(value: &Value) -> Option<Object> {
    let (scope, name) = scoped(value.get("name")?.as_str()?)?;
    let is_group = value.get("@type").and_then(Value::as_str) == Some("layerGroup");
    Some(match scope {
        Scope::Workspace(workspace) if !is_group => Object::Layer { workspace, name },
        scope => Object::LayerGroup { scope, name },
    })
}

fn scoped(name: &str) -> Option<(Scope, Name)> {
    Some(match name.split_once(':') {
        Some((workspace, name)) => (
            Scope::Workspace(Workspace::new(workspace).ok()?),
            Name::new(name).ok()?,
        ),
        None => (Scope::Global, Name::new(name).ok()?),
    })
}

/// What an object is called in a message.
fn told(object: &Object) -> String {
    let within = |scope: &Scope, name: &Name| match scope {
        Scope::Global => name.to_string(),
        Scope::Workspace(workspace) => format!("{workspace}:{name}"),
    };
    match object {
        Object::Workspace(workspace) => format!("workspace {workspace}"),
        Object::Layer { workspace, name } => format!("layer {workspace}:{name}"),
        Object::LayerGroup { scope, name } => format!("layer group {}", within(scope, name)),
        Object::Style { scope, name } => format!("style {}", within(scope, name)),
        other => format!("{other:?}"),
    }
}
