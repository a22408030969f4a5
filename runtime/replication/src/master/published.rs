//! What a store publishes, with how it is shown.

use tracing::debug;
use weir_event::{Kind, RestContent};
use weir_geoserver::Object;

use super::about::About;
use super::error::{HydrateError, there};
use super::frames::State;
use super::{Master, Nothing};
use crate::Target;

impl Master {
    /// A feature type, a coverage or a cascaded layer, then the layer that shows it, and where it was
    /// renamed, what is cached of that.
    pub(super) async fn published(&self, about: About) -> Result<Vec<State>, HydrateError> {
        let layer = about.as_kind(Kind::Layer);
        let tiles = about.as_kind(Kind::TileLayer);
        let (resource, shown, cached) = tokio::try_join!(
            self.look_up(&about),
            async { self.read(&layer.target()?).await },
            async {
                match about.previous {
                    Some(_) => self.read(&tiles.target()?).await,
                    None => Ok(None),
                }
            },
        )?;
        let Some((store, content)) = resource else {
            // A slave that removes it removes its layer as well.
            return Ok(vec![about.state(None)]);
        };
        if shown.is_none() {
            debug!(place = ?layer.place, "there is no layer of what a store publishes");
        }
        let state = about.in_store(Some(&store)).state(Some(content));
        let beside = [(layer, shown), (tiles, cached)];
        let beside = beside
            .into_iter()
            .filter(|(_, content)| content.is_some())
            .map(|(about, content)| about.state(content));
        Ok([state].into_iter().chain(beside).collect())
    }

    /// What a store publishes, and the store. Where the hint knows none, or it has moved, it is looked
    /// for in the workspace.
    async fn look_up(&self, about: &About) -> Result<Option<(String, RestContent)>, HydrateError> {
        if let Some(store) = &about.place.store
            && let Some(content) = self.read(&about.target()?).await?
        {
            return Ok(Some((store.clone(), content)));
        }
        let Target::Object(Object::Resource {
            kind,
            workspace,
            name,
            ..
        }) = about.in_store(Some("any")).target()?
        else {
            return Err(Nothing::Elsewhere.into());
        };
        let found = there(self.node.find(kind, &workspace, &name).await)?;
        Ok(found.and_then(|(object, document)| match object {
            Object::Resource { store, .. } => {
                Some((store.to_string(), RestContent::Json(document)))
            }
            _ => None,
        }))
    }
}
