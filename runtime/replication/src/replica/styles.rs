//! Styles: their bodies, and how to refer to one of two that have the same name.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use weir_event::RestContent;
use weir_geoserver::{
    Collection, DataFile, FilePath, Name, Object, Scope, StyleFormat, Workspace, shape,
};

use super::{ApplyError, Look, Replica, name_of};
use crate::document::root_mut;
use crate::{Target, style_format};

/// For how long it is believed which styles the default workspace has. Weir's own writes are known;
/// this is for those of others.
const BELIEVED: Duration = Duration::from_secs(10);

/// The styles of the default workspace, behind which GeoServer does not find the global ones of the
/// same name.
#[derive(Debug, Default)]
pub(super) struct Shadows(Option<(Instant, BTreeSet<String>)>);

impl Shadows {
    /// After a write, what was known may not be so any more.
    pub(super) fn wrote(&mut self, target: &Target) {
        let is_safe = !matches!(
            target,
            Target::Object(Object::Style { .. } | Object::DefaultWorkspace | Object::Workspace(_))
        );
        if !is_safe {
            self.0 = None;
        }
    }
}

impl Replica {
    async fn shadows(&mut self) -> Result<&BTreeSet<String>, ApplyError> {
        let is_old = |(when, _): &(Instant, BTreeSet<String>)| when.elapsed() >= BELIEVED;
        if self.shadows.0.as_ref().is_none_or(is_old) {
            let default = match self.node.get(&Object::DefaultWorkspace).await {
                Ok(document) => document
                    .get("workspace")
                    .and_then(name_of)
                    .map(str::to_owned),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error.into()),
            };
            let styles = match default.and_then(|name| Workspace::new(name).ok()) {
                Some(workspace) => {
                    let scope = Scope::Workspace(workspace);
                    let styles = self.node.list(&Collection::Styles(scope)).await?;
                    styles.into_iter().collect()
                }
                None => BTreeSet::new(),
            };
            self.shadows.0 = Some((Instant::now(), styles));
        }
        let known = self.shadows.0.as_ref();
        known
            .map(|(_, styles)| styles)
            .ok_or_else(|| ApplyError::refused("no styles are known"))
    }

    /// Has a layer or a group refer to global styles by their ids where the default workspace has
    /// one of the same name: a bare name would mean that one.
    pub(super) async fn tell_styles_apart(
        &mut self,
        object: &Object,
        document: &mut Value,
    ) -> Result<(), ApplyError> {
        if !matches!(object, Object::Layer { .. } | Object::LayerGroup { .. }) {
            return Ok(());
        }
        let Some((_, members)) = root_mut(document) else {
            return Ok(());
        };
        let mut places: Vec<&mut Value> = Vec::new();
        for (key, value) in members.iter_mut() {
            match key.as_str() {
                "defaultStyle" | "rootLayerStyle" => places.push(value),
                "styles" => places.extend(shape::items_mut(value, "style").into_iter().flatten()),
                "layerGroupStyles" => {
                    let of_styles = shape::items_mut(value, "LayerGroupStyle");
                    for of_style in of_styles.into_iter().flatten() {
                        if let Some(styles) = of_style.get_mut("styles") {
                            places.extend(shape::items_mut(styles, "style").into_iter().flatten());
                        }
                    }
                }
                _ => {}
            }
        }
        for place in places {
            let Some(name) = place.get("name").and_then(Value::as_str) else {
                continue;
            };
            if name.contains(':') || !self.shadows().await?.contains(name) {
                continue;
            }
            let name = Name::new(name).map_err(ApplyError::refused)?;
            *place = json!({ "id": self.style_id(&name).await? });
        }
        Ok(())
    }

    /// The id of a global style, from where GeoServer keeps it: its interface does not tell.
    async fn style_id(&self, name: &Name) -> Result<String, ApplyError> {
        let path = FilePath::of_style(&Scope::Global, &format!("{name}.xml"));
        let file = DataFile::Resource(path.map_err(ApplyError::refused)?);
        let bytes = self.node.get(&file).await?;
        let text = String::from_utf8_lossy(&bytes);
        let id = text
            .split_once("<id>")
            .and_then(|(_, rest)| rest.split_once("</id>"))
            .map(|(id, _)| id.trim().to_owned());
        id.ok_or_else(|| {
            ApplyError::refused(format_args!(
                "the default workspace has a style `{name}` too, and the slave does not tell the id \
                 of the global one"
            ))
        })
    }

    pub(super) async fn look_at_style_body(
        &mut self,
        scope: &Scope,
        name: &Name,
        content: &RestContent,
    ) -> Result<Look, ApplyError> {
        let (_, want) = style_body(content)?;
        let style = Object::Style {
            scope: scope.clone(),
            name: name.clone(),
        };
        let info = match self.node.get(&style).await {
            Ok(info) => info,
            Err(error) if error.is_missing() => return Ok(Look::Missing),
            Err(error) => return Err(error.into()),
        };
        let filename = info.pointer("/style/filename").and_then(Value::as_str);
        let path = filename.map(|filename| FilePath::of_style(scope, filename));
        let Some(Ok(path)) = path else {
            return Ok(Look::Differs(vec!["body".to_owned()]));
        };
        match self.node.get(&DataFile::Resource(path)).await {
            Ok(have) if have == want => Ok(Look::Same),
            Ok(_) => Ok(Look::Differs(vec!["body".to_owned()])),
            Err(error) if error.is_missing() => Ok(Look::Differs(vec!["body".to_owned()])),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn converge_style_body(
        &mut self,
        scope: &Scope,
        name: &Name,
        content: &RestContent,
    ) -> Result<bool, ApplyError> {
        match self.look_at_style_body(scope, name, content).await? {
            Look::Same => Ok(false),
            Look::Missing => {
                let style = Object::Style {
                    scope: scope.clone(),
                    name: name.clone(),
                };
                let reason = "the slave has no style that this is the body of";
                Err(ApplyError::needs(Target::Object(style), reason))
            }
            Look::Differs(_) => {
                let (format, body) = style_body(content)?;
                self.node
                    .change_style_body(scope, name, format, body)
                    .await?;
                Ok(true)
            }
        }
    }
}

fn style_body(content: &RestContent) -> Result<(StyleFormat, Bytes), ApplyError> {
    let (content_type, body) = match content {
        RestContent::Text { content_type, text } => {
            (content_type, Bytes::copy_from_slice(text.as_bytes()))
        }
        RestContent::Bytes { content_type, data } => (content_type, data.clone()),
        RestContent::Json(_) | RestContent::Reference { .. } => {
            return Err(ApplyError::refused("the body of a style is text"));
        }
    };
    let unknown = || {
        ApplyError::refused(format_args!(
            "`{content_type}` is no language of styles that GeoServer knows"
        ))
    };
    Ok((style_format(content_type).ok_or_else(unknown)?, body))
}
