//! A slave: made to be what frames say that it should be, with the least writes.
//!
//! For each frame it is looked what there is, compared, and written only what differs. What the
//! [`Memory`] knows to have been applied is not even looked at. Applying a frame twice changes
//! nothing, so whoever is not sure whether it was applied applies it again.
//!
//! A `PUT` keeps what it does not mention, so it says what is to be emptied ([`crate::document`]); a
//! `POST` does not take everything over, so it is looked again after one that may not have.

mod catalog;
mod error;
mod files;
mod references;
mod rename;
mod secrets;
mod styles;
mod tiles;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;
use weir_event::{Action, Kind, RestContent, RestFrame};
use weir_geoserver::{Name, Node, Object, Removal, StoreKind, Workspace};

pub use self::error::ApplyError;
use self::rename::Renamed;
use self::styles::Shadows;
pub(crate) use self::tiles::said;
use crate::memory::{Key, Known, Memory, digest};
use crate::{Target, TargetError, is_body, store_kind};

/// One GeoServer that is written to.
#[derive(Debug)]
pub struct Replica {
    node: Node,
    memory: Memory,
    shadows: Shadows,
    /// What masters were found to have.
    seen: BTreeSet<Key>,
}

/// What a frame came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The same was applied before, or there is nothing in it for a slave: no call was made.
    Known,
    /// The slave is so already.
    Same,
    Written,
}

/// What there is at a slave, beside what is wanted.
enum Look {
    Missing,
    Same,
    /// Where it differs; nowhere, if it only holds secrets of which nobody knows whether they do.
    Differs(Vec<String>),
}

/// What was found at a slave that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is not there.
    Missing,
    /// It is there, and should not be.
    Left,
    /// Where it says something else: `featureType.title`.
    Differs(Vec<String>),
}

impl Replica {
    /// A node, and what is known to have been applied there; without any, everything is looked at.
    pub fn new(node: Node, memory: Memory) -> Self {
        Self {
            node,
            memory,
            shadows: Shadows::default(),
            seen: BTreeSet::new(),
        }
    }

    /// What was learned and is not kept yet: it must be before anything that was applied is
    /// confirmed. See [`Memory::restore`].
    pub fn changes(&self) -> &str {
        self.memory.changes()
    }

    /// What was learned is kept.
    pub fn kept(&mut self) {
        self.memory.kept();
    }

    /// Makes the slave what the frame says.
    pub async fn apply(&mut self, frame: &RestFrame) -> Result<Applied, ApplyError> {
        let Some(frame) = self.in_store(frame).await? else {
            self.forget(frame);
            return Ok(Applied::Known);
        };
        let frame = frame.as_ref();
        let Some(target) = about(frame)? else {
            return Ok(Applied::Known);
        };
        if frame.action == Action::Removed {
            return self.remove(frame, &target).await;
        }
        let key = Key::of(frame);
        if frame.content.is_none() && frame.previous.is_some() {
            return self.rename_only(frame, &key, &target).await;
        }
        let content = content(frame)?;
        let digest = digest(frame);
        let known = self.memory.get(&key);
        if known.is_some_and(|known| known.digest == digest) {
            return Ok(Applied::Known);
        }
        let renamed = self.rename(frame, &key, &target).await?;
        let mut written = self.converge(&target, content).await?;
        match renamed {
            Renamed::No => {}
            Renamed::Yes => written = true,
            Renamed::Left(old) => written |= self.remove_old(&old).await?,
        }
        let place = frame.place.clone();
        self.memory.set(key, Known { digest, place });
        self.shadows.wrote(&target);
        Ok(if written {
            Applied::Written
        } else {
            Applied::Same
        })
    }

    /// How the slave differs from what the frame says; `None` if it does not. Writes nothing.
    pub async fn compare(&mut self, frame: &RestFrame) -> Result<Option<Drift>, ApplyError> {
        let Some(frame) = self.in_store(frame).await? else {
            return Ok(None);
        };
        let frame = frame.as_ref();
        let Some(target) = about(frame)? else {
            return Ok(None);
        };
        if frame.action == Action::Removed {
            return Ok(self.is_there(&target).await?.then_some(Drift::Left));
        }
        Ok(match self.look(&target, content(frame)?).await? {
            Look::Missing => Some(Drift::Missing),
            Look::Differs(paths) if !paths.is_empty() => Some(Drift::Differs(paths)),
            // Secrets cannot be compared.
            Look::Same | Look::Differs(_) => None,
        })
    }

    /// The frame with the store of what it is about: of what the master does not have any more, nobody
    /// may know in which store it was. `None` if the slave has no such thing either.
    async fn in_store<'a>(
        &self,
        frame: &'a RestFrame,
    ) -> Result<Option<Cow<'a, RestFrame>>, ApplyError> {
        let last = match &frame.previous {
            Some(previous) if frame.action != Action::Removed => previous,
            _ => &frame.place,
        };
        let kind = resource_kind(&frame.kind);
        let is_unknown = frame.content.is_none() && last.store.is_none();
        let (Some(kind), true, Some(workspace), Some(name)) =
            (kind, is_unknown, &last.workspace, &last.name)
        else {
            return Ok(Some(Cow::Borrowed(frame)));
        };
        let workspace = Workspace::new(workspace.as_str()).map_err(TargetError::from)?;
        let name = Name::new(name.as_str()).map_err(TargetError::from)?;
        match self.node.find(kind, &workspace, &name).await {
            Ok((Object::Resource { store, .. }, _)) => {
                let mut frame = frame.clone();
                let places = [&mut frame.place].into_iter().chain(&mut frame.previous);
                places.for_each(|place| place.store = Some(store.to_string()));
                Ok(Some(Cow::Owned(frame)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The master has what the frame is about, whether the slave is to have it or not.
    pub fn is_at_master(&mut self, frame: &RestFrame) {
        self.seen.insert(Key::of(frame));
    }

    /// What was applied once for some masters, by their sources, and is not there any more, as
    /// removals: when everything that they have was told by [`Replica::is_at_master`].
    pub fn left(&self, sources: &[String]) -> Vec<RestFrame> {
        self.memory.others(&self.seen, sources)
    }

    /// Makes the slave what the frame says, whatever is known to have been applied.
    pub async fn repair(&mut self, frame: &RestFrame) -> Result<Applied, ApplyError> {
        self.memory.doubt(&Key::of(frame));
        self.apply(frame).await
    }

    async fn look(&mut self, target: &Target, content: &RestContent) -> Result<Look, ApplyError> {
        match (target, content) {
            (Target::Object(object), RestContent::Json(body)) => {
                self.look_at_object(object, body).await
            }
            (Target::Tile(tile), RestContent::Text { text, .. }) => {
                self.look_at_tile(tile, text).await
            }
            (Target::StyleBody { scope, name }, content) => {
                self.look_at_style_body(scope, name, content).await
            }
            (Target::File(file), content) => self.look_at_file(file, content).await,
            _ => Err(unusual()),
        }
    }

    /// True if something was written.
    async fn converge(
        &mut self,
        target: &Target,
        content: &RestContent,
    ) -> Result<bool, ApplyError> {
        match (target, content) {
            (Target::Object(object), RestContent::Json(body)) => {
                self.converge_object(object, body).await
            }
            (Target::Tile(tile), RestContent::Text { text, .. }) => {
                self.converge_tile(tile, text).await
            }
            (Target::StyleBody { scope, name }, content) => {
                self.converge_style_body(scope, name, content).await
            }
            (Target::File(file), content) => self.converge_file(file, content).await,
            _ => Err(unusual()),
        }
    }

    async fn is_there(&self, target: &Target) -> Result<bool, ApplyError> {
        let found = match target {
            Target::Object(object) => self.node.get(object).await.map(drop),
            Target::Tile(tile) => self.node.get(tile).await.map(drop),
            Target::StyleBody { scope, name } => {
                let (scope, name) = (scope.clone(), name.clone());
                self.node
                    .get(&Object::Style { scope, name })
                    .await
                    .map(drop)
            }
            Target::File(file) => self.file_is_there(file).await,
        };
        match found {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove(&mut self, frame: &RestFrame, target: &Target) -> Result<Applied, ApplyError> {
        let removed = match target {
            // There is always one; a namespace goes with its workspace, and a body with its style.
            Target::Object(
                Object::DefaultWorkspace | Object::DefaultNamespace | Object::Namespace(_),
            )
            | Target::StyleBody { .. } => return Ok(Applied::Known),
            Target::Object(object) => self.node.remove(object, recursion(object)).await,
            Target::Tile(tile) => self.node.remove(tile, Removal::ALONE).await,
            Target::File(file) => self.node.remove(file, Removal::RECURSIVE).await,
        };
        let applied = match removed {
            Ok(()) => Applied::Written,
            Err(error) if error.is_missing() => Applied::Same,
            // Of some things that are not there, GeoServer says that they are in use.
            Err(error) if !error.is_transient() && !self.is_there(target).await? => Applied::Same,
            Err(error) => return Err(error.into()),
        };
        self.forget(frame);
        if let Target::Object(object) = target
            && recursion(object) == Removal::RECURSIVE
        {
            self.memory.forget_referrers();
        }
        self.shadows.wrote(target);
        Ok(applied)
    }

    /// Forgets an object, and what was in it.
    fn forget(&mut self, frame: &RestFrame) {
        self.memory.forget(&Key::of(frame));
        let place = &frame.place;
        match (&frame.kind, &place.workspace, &place.name) {
            (Kind::Style, ..) => self.memory.forget(&Key::style_body(frame)),
            (Kind::Workspace, Some(workspace), _) => self.memory.forget_workspace(workspace),
            (
                Kind::DataStore | Kind::CoverageStore | Kind::WmsStore | Kind::WmtsStore,
                Some(workspace),
                Some(store),
            ) => self.memory.forget_store(workspace, store),
            (
                Kind::FeatureType | Kind::Coverage | Kind::WmsLayer | Kind::WmtsLayer,
                Some(workspace),
                Some(name),
            ) => self.memory.forget_published(workspace, name),
            _ => {}
        }
    }
}

/// The kind of the store in which a resource lies.
fn resource_kind(kind: &Kind) -> Option<StoreKind> {
    let is_resource = matches!(
        kind,
        Kind::FeatureType | Kind::Coverage | Kind::WmsLayer | Kind::WmtsLayer
    );
    store_kind(kind).filter(|_| is_resource)
}

/// Where a slave has what a frame is about; `None` if it has nothing of the kind to be set.
fn about(frame: &RestFrame) -> Result<Option<Target>, ApplyError> {
    let is_state = frame.content.is_some() || frame.action == Action::Removed;
    // REST can say which workspace is the default one, and of which store nobody can.
    let is_settable = frame.kind != Kind::Catalog
        || matches!(frame.place.name.as_deref(), Some(name) if name != "default-datastore");
    if !is_settable || !is_state && matches!(frame.action, Action::Reloaded | Action::Reset) {
        return Ok(None);
    }
    let has_body = is_body(frame.content.as_ref());
    Ok(Some(Target::of(&frame.kind, &frame.place, has_body)?))
}

fn content(frame: &RestFrame) -> Result<&RestContent, ApplyError> {
    let none = || ApplyError::refused("the frame does not say what the object is now");
    frame.content.as_ref().ok_or_else(none)
}

fn unusual() -> ApplyError {
    ApplyError::refused("the content of the frame is not of the form that its kind has")
}

/// What goes with an object that is removed: what is in it did so at the master.
fn recursion(object: &Object) -> Removal {
    match object {
        Object::Workspace(_) | Object::Store { .. } | Object::Resource { .. } => Removal::RECURSIVE,
        Object::Style { .. } => Removal {
            recurse: false,
            purge: weir_geoserver::Purge::Everything,
        },
        _ => Removal::ALONE,
    }
}

/// A name: the text itself, or what it holds under `name`.
fn name_of(value: &Value) -> Option<&str> {
    value.get("name").unwrap_or(value).as_str()
}
