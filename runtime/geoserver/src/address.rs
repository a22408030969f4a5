//! What can be asked for, and how one asks for it.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use weir_event::Reason;

use crate::{FilePath, Name, Object};

/// Something at a node that has a document: an [`Object`](crate::Object), a
/// [`TileObject`](crate::TileObject) or a [`DataFile`](crate::DataFile).
pub trait Address: Asked {
    /// What is read and written there.
    type Document: Send;

    #[doc(hidden)]
    fn encode(&self, document: &Self::Document) -> (&'static str, Bytes);

    /// What an answer of 200 says.
    #[doc(hidden)]
    fn decode(&self, headers: &HeaderMap, body: Bytes) -> Found<Self::Document>;
}

/// The part of an [`Address`] that is nobody's business but this crate's. Paths begin after the base
/// of the node, with `/rest` or `/gwc/rest`; `None` where the interface has no such call.
pub trait Asked: Sync {
    fn read(&self) -> String;
    /// What the document should come as, where the path does not say so.
    fn accept(&self) -> Option<&'static str>;
    fn create(&self) -> Option<(Method, String)>;
    fn change(&self) -> Option<String>;
    fn remove(&self, removal: Removal) -> Option<String>;

    /// What has to be there before this is created: without it, GeoServer writes to something else.
    fn needs(&self) -> Option<Object> {
        None
    }

    /// What has to be there before this is changed or removed, for the same reason.
    fn stands(&self) -> Option<Object> {
        None
    }

    /// What this is in, where GeoServer stumbles over its absence even when it is only asked.
    fn within(&self) -> Option<Object> {
        None
    }

    /// The name of a style that is in no workspace. To remove one, GeoServer looks into the default
    /// workspace first.
    fn global_style(&self) -> Option<&Name> {
        None
    }

    /// The path of a file that may be a directory, which GeoServer removes with all that is in it.
    fn maybe_directory(&self) -> Option<&FilePath> {
        None
    }
}

/// What an answer of 200 says.
#[derive(Debug)]
pub enum Found<D> {
    It(D),
    /// GeoServer has shown something else in its place.
    NotIt(&'static str),
    Unreadable(Reason),
}

/// How much goes with an object that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// What is in it, and what is made of it: the files of a directory, the layers of a store.
    /// Without, what is in use or not empty is [`Referenced`](crate::Failure::Referenced).
    pub recurse: bool,
    /// Which files go as well, of a coverage store or a style.
    pub purge: Purge,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purge {
    #[default]
    Nothing,
    /// What GeoServer has made itself: the index of a mosaic.
    Metadata,
    /// The data of a coverage store, the file of a style.
    Everything,
}

impl Removal {
    pub const ALONE: Self = Self {
        recurse: false,
        purge: Purge::Nothing,
    };
    pub const RECURSIVE: Self = Self {
        recurse: true,
        purge: Purge::Nothing,
    };

    /// A path with what there is to say about the removal.
    pub(crate) fn of(self, path: &str, purge: Option<&str>) -> String {
        let mut said = Vec::new();
        if self.recurse {
            said.push("recurse=true".to_owned());
        }
        if let Some(purge) = purge {
            said.push(format!("purge={purge}"));
        }
        match said.as_slice() {
            [] => path.to_owned(),
            said => format!("{path}?{}", said.join("&")),
        }
    }
}
