//! A master: what it has is read, and told as frames.
//!
//! A hint says that something changed; a frame says what it is now. So the name of the object is all
//! that is taken from a hint, with what the interface does not tell: who changed it, what it was
//! called before, and passwords in plain text.
//!
//! A [`Walk`] gives a hint for every object that there is.

mod about;
mod error;
mod files;
mod frames;
mod graphics;
mod groups;
mod published;
mod secrets;
mod step;
mod style;
mod tree;
mod walk;

use futures::future::try_join_all;
use weir_event::{Event, Kind, RestContent, RestFrame};
use weir_geoserver::{DataFile, Node};

use self::about::{About, is_published};
use self::error::there;
pub use self::error::{HydrateError, Nothing};
use self::frames::{State, frames};
pub use self::walk::Walk;
use crate::Target;

/// One GeoServer that is read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Master {
    node: Node,
    settings: MasterSettings,
}

/// How a master is read.
#[derive(Clone, Debug)]
pub struct MasterSettings {
    /// The CloudEvents source of the hints of a walk, such as `/masters/main`.
    pub source: String,
    /// The largest file that comes along, in bytes. Of a larger one only the digest and the size do.
    pub file_bytes: u64,
    /// The largest file that is read at all, for its digest, in bytes.
    pub digest_bytes: u64,
}

impl MasterSettings {
    /// The settings that suit most: a graphic or a template comes along, and data does not.
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            file_bytes: 1 << 20,
            // Some seconds in a local network; nothing that a style needs is larger.
            digest_bytes: 1 << 30,
        }
    }
}

impl Master {
    pub fn new(node: Node, settings: MasterSettings) -> Self {
        Self { node, settings }
    }

    /// What a hint comes to: the state of what it is about, as frames in the order in which a slave
    /// must have them. What is not there is a frame that says so.
    ///
    /// What a hint asks for is read at once, as far as the node reads at a time. Equal hints give
    /// frames of equal ids.
    pub async fn hydrate(&self, hint: &Event) -> Result<Vec<RestFrame>, HydrateError> {
        let about = About::of(hint)?;
        let states = match about.kind {
            Kind::Workspace => self.workspace(about).await?,
            ref kind if is_published(kind) => self.published(about).await?,
            Kind::Style => self.style(about).await?,
            Kind::Store => self.store(&about).await?,
            Kind::Resource => vec![self.resource(about).await?],
            _ => vec![self.single(about).await?],
        };
        let frames = frames(hint, &self.settings.source, states);
        Ok(frames
            .into_iter()
            .map(|frame| secrets::carry(frame, hint))
            .collect())
    }

    /// Every object of the master, in the order of dependencies, as hints to be hydrated.
    pub fn walk(&self) -> Walk {
        Walk::new(self.node.clone(), self.settings.source.clone())
    }

    /// What is at a place; `None` if nothing is.
    async fn read(&self, target: &Target) -> Result<Option<RestContent>, HydrateError> {
        match target {
            Target::Object(object) => {
                let document = there(self.node.get(object).await)?;
                Ok(document.map(RestContent::Json))
            }
            Target::Tile(tile) => {
                let content_type = "application/xml".to_owned();
                let text = there(self.node.get(tile).await)?;
                Ok(text.map(|text| RestContent::Text { content_type, text }))
            }
            Target::File(DataFile::Resource(path)) => self.file(path).await,
            // None of these is what a frame is about by itself.
            Target::File(DataFile::Template { .. }) | Target::StyleBody { .. } => Ok(None),
        }
    }

    /// What is one frame.
    async fn single(&self, about: About) -> Result<State, HydrateError> {
        let content = self.read(&about.target()?).await?;
        if content.is_none() && about.stays() {
            return Err(Nothing::Absent.into());
        }
        Ok(about.state(content))
    }

    /// The namespace first: made by itself, a workspace gets one of another URI.
    async fn workspace(&self, about: About) -> Result<Vec<State>, HydrateError> {
        let namespace = about.as_kind(Kind::Namespace);
        let (uri, content) = tokio::try_join!(self.single(namespace), async {
            self.read(&about.target()?).await
        })?;
        let mut states = Vec::new();
        if content.is_some() && uri.content.is_some() {
            states.push(uri);
        }
        states.push(about.state(content));
        Ok(states)
    }

    /// A store of which the kind is not known. There is one of a name in a workspace.
    async fn store(&self, about: &About) -> Result<Vec<State>, HydrateError> {
        let kinds = [
            Kind::DataStore,
            Kind::CoverageStore,
            Kind::WmsStore,
            Kind::WmtsStore,
        ];
        let read = kinds.map(|kind| self.single(about.as_kind(kind)));
        let mut states = try_join_all(read).await?;
        if states.iter().any(|state| state.content.is_some()) {
            states.retain(|state| state.content.is_some());
        }
        Ok(states)
    }

    async fn resource(&self, about: About) -> Result<State, HydrateError> {
        let target = about.target()?;
        let content = self.read(&target).await?;
        if content.is_none()
            && let Target::File(DataFile::Resource(path)) = &target
            && there(self.node.metadata(path).await)?.is_some_and(|it| it.is_directory)
        {
            // A slave that removed it would remove all that is in it.
            return Err(Nothing::Directory.into());
        }
        Ok(about.state(content))
    }
}
