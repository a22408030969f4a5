//! Objects that are called otherwise than before: GeoServer renames some of them, with all that
//! refers to them; others are made anew, and the old ones removed.

use serde_json::json;
use tracing::warn;
use weir_event::{RestFrame, RestPlace};
use weir_geoserver::{Object, Removal, StoreKind};

use super::{Applied, ApplyError, Replica, recursion};
use crate::memory::Key;
use crate::{Target, is_body};

/// What became of an object under its older name.
pub(super) enum Renamed {
    /// There is none.
    No,
    /// It has the new name, and all else as it was.
    Yes,
    /// It is to be removed when the new one is made.
    Left(Target),
}

impl Replica {
    /// Renames what the slave has under an older name.
    ///
    /// Which name that is, the frame says; or the memory, if the stages call it otherwise now.
    pub(super) async fn rename(
        &mut self,
        frame: &RestFrame,
        key: &Key,
        target: &Target,
    ) -> Result<Renamed, ApplyError> {
        let is_older = |place: &&RestPlace| **place != frame.place;
        let known = self.memory.get(key).map(|known| &known.place);
        let said = || frame.previous.as_ref().filter(is_older);
        let previous = known.filter(is_older).or_else(said).cloned();
        let (Some(previous), false) = (previous, is_body(frame.content.as_ref())) else {
            return Ok(Renamed::No);
        };
        self.memory.forget_at(&frame.kind, &previous, key);
        let is_namespace = matches!(target, Target::Object(Object::Namespace(_)));
        let target = renamable(target.clone());
        let previous = renamable(Target::of(&frame.kind, &previous, false)?);
        // It follows its resource.
        let follows = matches!(target, Target::Object(Object::Layer { .. }));
        if previous == target || follows || !self.is_there(&previous).await? {
            return Ok(Renamed::No);
        }
        if let (Target::Object(old), Target::Object(new)) = (&previous, &target)
            && let Some(document) = renaming(old, new)
            && !self.is_there(&target).await?
        {
            self.node.change(old, &document).await?;
            if let Object::Workspace(workspace) = old {
                self.memory.forget_workspace(workspace.as_str());
            }
            return Ok(Renamed::Yes);
        }
        // What is left of a namespace is removed with the frame of the workspace.
        Ok(if is_namespace {
            Renamed::No
        } else {
            Renamed::Left(previous)
        })
    }

    /// Does no more than that: what the object is now, a later frame says, by a later name.
    pub(super) async fn rename_only(
        &mut self,
        frame: &RestFrame,
        key: &Key,
        target: &Target,
    ) -> Result<Applied, ApplyError> {
        let written = match self.rename(frame, key, target).await? {
            Renamed::No => false,
            Renamed::Yes => true,
            Renamed::Left(old) => self.remove_old(&old).await?,
        };
        self.memory.forget(key);
        self.shadows.wrote(target);
        Ok(if written {
            Applied::Written
        } else {
            Applied::Same
        })
    }

    /// Removes what Weir once made under another name. What is in use stays, and is told.
    pub(super) async fn remove_old(&mut self, old: &Target) -> Result<bool, ApplyError> {
        let removed = match old {
            // What is in a store or a workspace is not made anew with it.
            Target::Object(object @ (Object::Store { .. } | Object::Workspace(_))) => {
                self.node.remove(object, Removal::ALONE).await
            }
            Target::Object(object) => {
                self.memory.forget_referrers();
                self.node.remove(object, recursion(object)).await
            }
            Target::Tile(tile) => self.node.remove(tile, Removal::ALONE).await,
            Target::File(file) => self.node.remove(file, Removal::ALONE).await,
            Target::StyleBody { .. } => return Ok(false),
        };
        match removed {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => {
                warn!(%error, "what was renamed is still there under its old name");
                Ok(false)
            }
        }
    }
}

/// A namespace, which comes first, is renamed with its workspace: made by itself it would make
/// another one.
fn renamable(target: Target) -> Target {
    match target {
        Target::Object(Object::Namespace(name)) => Target::Object(Object::Workspace(name)),
        other => other,
    }
}

/// What renames an object where it is; `None` if GeoServer cannot.
fn renaming(old: &Object, new: &Object) -> Option<serde_json::Value> {
    let (root, name) = match (old, new) {
        (Object::Workspace(_), Object::Workspace(name)) => ("workspace", name.as_str()),
        (
            Object::Store {
                kind, workspace, ..
            },
            Object::Store {
                workspace: into,
                name,
                ..
            },
        ) if workspace == into => match kind {
            StoreKind::Data => ("dataStore", name.as_str()),
            StoreKind::Coverage => ("coverageStore", name.as_str()),
            StoreKind::Wms | StoreKind::Wmts => return None,
        },
        (
            Object::Resource {
                kind,
                workspace,
                store,
                ..
            },
            Object::Resource {
                workspace: into,
                store: into_store,
                name,
                ..
            },
        ) if (workspace, store) == (into, into_store) => match kind {
            StoreKind::Data => ("featureType", name.as_str()),
            StoreKind::Coverage => ("coverage", name.as_str()),
            StoreKind::Wms => ("wmsLayer", name.as_str()),
            StoreKind::Wmts => ("wmtsLayer", name.as_str()),
        },
        (
            Object::Style { scope, .. },
            Object::Style {
                scope: into, name, ..
            },
        ) if scope == into => ("style", name.as_str()),
        _ => return None,
    };
    Some(json!({ root: { "name": name } }))
}
