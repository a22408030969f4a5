//! A style: the graphics that it names, what is said about it, and its body.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tracing::{debug, warn};
use weir_event::{Kind, RestContent, RestPlace};
use weir_geoserver::{FilePath, Object, Scope, Settings, shape};

use super::about::About;
use super::error::HydrateError;
use super::frames::State;
use super::{Master, files, graphics};
use crate::{Target, style_media_type};

/// How many graphics of one style are told: a large map has some dozens of icons, each by its style.
const MAX_GRAPHICS: usize = 100;

impl Master {
    /// The files that a style needs first, and its body after its info: it is put in the file that
    /// the info names.
    pub(super) async fn style(&self, about: About) -> Result<Vec<State>, HydrateError> {
        let target = about.target()?;
        let Target::Object(Object::Style { scope, .. }) = &target else {
            return Ok(Vec::new());
        };
        let Some(RestContent::Json(info)) = self.read(&target).await? else {
            return Ok(vec![about.state(None)]);
        };
        let body = self.body(scope, &info).await?;
        let mut states = self
            .graphics(graphics_of(scope, &info, body.as_ref()))
            .await?;
        states.push(about.clone().state(Some(RestContent::Json(info))));
        if body.is_some() {
            states.push(about.state(body));
        }
        Ok(states)
    }

    /// The body of a style, of the media type of its language.
    async fn body(&self, scope: &Scope, info: &Value) -> Result<Option<RestContent>, HydrateError> {
        let text = |path| info.pointer(path).and_then(shape::text).unwrap_or_default();
        let format = text("/style/format");
        let Some(media_type) = style_media_type(&format, &text("/style/languageVersion/version"))
        else {
            debug!(%format, "a style of a format that Weir does not know has no body to be told");
            return Ok(None);
        };
        let path = FilePath::of_style(scope, &text("/style/filename"))?;
        Ok(match self.file(&path).await? {
            Some(RestContent::Text { text, .. }) => Some(files::content(media_type, text.into())),
            Some(RestContent::Bytes { data, .. }) => Some(files::content(media_type, data)),
            Some(RestContent::Reference { size, .. }) => {
                return Err(HydrateError::permanent(format_args!(
                    "the body of the style, `{path}`, has {size} bytes, more than come along"
                )));
            }
            Some(RestContent::Json(_)) | None => {
                debug!(%path, "the body of a style is not there");
                None
            }
        })
    }

    /// The graphics that there are. One that is not hurts nobody who did not see it before.
    async fn graphics(&self, paths: Vec<FilePath>) -> Result<Vec<State>, HydrateError> {
        let read = paths.into_iter().map(async |path| {
            let content = match self.file(&path).await {
                Ok(Some(content)) => content,
                Ok(None) => {
                    debug!(%path, "a graphic that a style names is not there");
                    return Ok(None);
                }
                Err(HydrateError::Permanent(reason)) => {
                    warn!(%path, %reason, "a graphic that a style names cannot be read");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            Ok(Some(State {
                kind: Kind::Resource,
                place: RestPlace {
                    name: Some(path.to_string()),
                    ..RestPlace::default()
                },
                previous: None,
                content: Some(content),
            }))
        });
        stream::iter(read)
            .buffered(Settings::MAX_READERS)
            .try_filter_map(|state| async { Ok(state) })
            .try_collect()
            .await
    }
}

/// Where the graphics of a style are: those that its body names, and its legend.
fn graphics_of(scope: &Scope, info: &Value, body: Option<&RestContent>) -> Vec<FilePath> {
    let Some(filename) = info.pointer("/style/filename").and_then(Value::as_str) else {
        return Vec::new();
    };
    let mut named = match body {
        Some(RestContent::Text { content_type, text }) => graphics::named(content_type, text),
        _ => Vec::new(),
    };
    let legend = info.pointer("/style/legend/onlineResource");
    named.extend(legend.and_then(Value::as_str).map(str::to_owned));
    let mut known = BTreeSet::new();
    let paths = named
        .iter()
        .filter_map(|href| graphics::path(scope, filename, href));
    let mut paths: Vec<_> = paths.filter(|path| known.insert(path.clone())).collect();
    if paths.len() > MAX_GRAPHICS {
        warn!(
            filename,
            count = paths.len(),
            "a style names more graphics than are told"
        );
        paths.truncate(MAX_GRAPHICS);
    }
    paths
}
