//! Files: what lies in the data directory, and templates.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use weir_event::Reason;

use crate::address::{Address, Asked, Found, Removal};
use crate::encoding::part;
use crate::object::{in_store, in_workspace};
use crate::{FilePath, Name, StoreKind, Workspace, shape};

/// Something whose document is bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataFile {
    /// A file in the data directory, which GeoServer calls a resource.
    Resource(FilePath),
    /// A Freemarker template, `header.ftl`.
    Template { place: TemplatePlace, name: Name },
}

/// What a template is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplatePlace {
    Everything,
    Workspace(Workspace),
    Store {
        kind: StoreKind,
        workspace: Workspace,
        name: Name,
    },
    Resource {
        kind: StoreKind,
        workspace: Workspace,
        store: Name,
        name: Name,
    },
}

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: Name,
    /// False for what is certainly no directory. A listing shows a directory as it shows a file of
    /// JSON: [`Node::metadata`](crate::Node::metadata) knows.
    pub may_be_directory: bool,
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub is_directory: bool,
    /// When it was changed, to the millisecond, as GeoServer writes it: to be compared with what it
    /// was, and with nothing else.
    pub modified: String,
}

pub(crate) fn resource_path(path: Option<&FilePath>) -> String {
    let mut whole = "/rest/resource".to_owned();
    for name in path.iter().flat_map(|path| path.parts()) {
        whole.push('/');
        whole.push_str(&part(name));
    }
    whole
}

pub(crate) fn templates(place: &TemplatePlace) -> String {
    let above = match place {
        TemplatePlace::Everything => "/rest".to_owned(),
        TemplatePlace::Workspace(workspace) => in_workspace(workspace),
        TemplatePlace::Store {
            kind,
            workspace,
            name,
        } => in_store(*kind, workspace, name),
        TemplatePlace::Resource {
            kind,
            workspace,
            store,
            name,
        } => format!(
            "{}/{}/{}",
            in_store(*kind, workspace, store),
            kind.resources(),
            part(name.as_str())
        ),
    };
    format!("{above}/templates")
}

impl DataFile {
    /// What is sent as it is: GeoServer takes files of any type, and templates as text.
    pub(crate) fn media_type(&self) -> &'static str {
        match self {
            Self::Resource(_) => "application/octet-stream",
            Self::Template { .. } => "text/plain",
        }
    }

    pub(crate) fn place(&self) -> String {
        match self {
            Self::Resource(path) => resource_path(Some(path)),
            Self::Template { place, name } => {
                format!("{}/{}", templates(place), part(name.as_str()))
            }
        }
    }
}

/// True where GeoServer has answered with the page of a directory, and not with a file.
pub(crate) fn is_directory(headers: &HeaderMap) -> bool {
    headers
        .get("resource-type")
        .is_some_and(|kind| kind == "directory")
}

impl Asked for DataFile {
    fn read(&self) -> String {
        self.place()
    }

    fn accept(&self) -> Option<&'static str> {
        None
    }

    fn create(&self) -> Option<(Method, String)> {
        Some((Method::PUT, self.place()))
    }

    fn change(&self) -> Option<String> {
        Some(self.place())
    }

    fn remove(&self, _: Removal) -> Option<String> {
        Some(self.place())
    }

    fn maybe_directory(&self) -> Option<&FilePath> {
        match self {
            Self::Resource(path) => Some(path),
            Self::Template { .. } => None,
        }
    }
}

impl Address for DataFile {
    type Document = Bytes;

    fn encode(&self, document: &Bytes) -> (&'static str, Bytes) {
        (self.media_type(), document.clone())
    }

    fn decode(&self, headers: &HeaderMap, body: Bytes) -> Found<Bytes> {
        if is_directory(headers) {
            return Found::NotIt("there is a directory of this name");
        }
        Found::It(body)
    }
}

/// What a listing says.
pub(crate) fn entries(document: &Value) -> Result<Vec<Entry>, Reason> {
    let directory = document
        .get("ResourceDirectory")
        .ok_or_else(|| Reason::new("this is no listing of a directory"))?;
    let none = Value::Null;
    let children = shape::items(directory.get("children").unwrap_or(&none), "child");
    let entry = |child: &Value| {
        let name = child.get("name").and_then(shape::text);
        let name = name.ok_or_else(|| Reason::new("something in the directory has no name"))?;
        let name = Name::new(name).map_err(Reason::new)?;
        let media_type = child.pointer("/link/type").and_then(Value::as_str);
        Ok(Entry {
            name,
            may_be_directory: media_type.is_none_or(|it| it == "application/json"),
        })
    };
    children.iter().map(entry).collect()
}

/// What is said of a file; `None` where there is none, which GeoServer says with 200.
pub(crate) fn metadata(document: &Value) -> Result<Option<Metadata>, Reason> {
    let told = document
        .get("ResourceMetadata")
        .ok_or_else(|| Reason::new("this says nothing of a file"))?;
    let text = |key| told.get(key).and_then(Value::as_str);
    let is_directory = match text("type") {
        Some("directory") => true,
        Some("resource") => false,
        Some("undefined") => return Ok(None),
        other => {
            return Err(Reason::new(format_args!("a file is of the type {other:?}")));
        }
    };
    Ok(Some(Metadata {
        is_directory,
        modified: text("lastModified").unwrap_or_default().to_owned(),
    }))
}
