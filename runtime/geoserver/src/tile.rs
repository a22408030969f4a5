//! What GeoWebCache has, whose interface takes back XML only.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use weir_event::Reason;

use crate::Name;
use crate::address::{Address, Asked, Found, Removal};
use crate::encoding::part;

/// An object of GeoWebCache, whose document is XML. JSON of it loses what it cannot say, and is
/// mostly refused when it is sent back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileObject {
    /// What is cached of a layer or of a layer group: `ws:layer`, or the bare name of a global group.
    Layer(Name),
    GridSet(Name),
    BlobStore(Name),
    /// `gwc-global`
    Settings,
    DiskQuota,
}

impl TileObject {
    fn place(&self) -> String {
        let named = |directory, name: &Name| format!("{directory}/{}", part(name.as_str()));
        let place = match self {
            Self::Layer(name) => named("layers", name),
            Self::GridSet(name) => named("gridsets", name),
            Self::BlobStore(name) => named("blobstores", name),
            Self::Settings => "global".to_owned(),
            Self::DiskQuota => "diskquota".to_owned(),
        };
        format!("/gwc/rest/{place}.xml")
    }

    fn is_only_one(&self) -> bool {
        matches!(self, Self::Settings | Self::DiskQuota)
    }
}

impl Asked for TileObject {
    fn read(&self) -> String {
        self.place()
    }

    fn accept(&self) -> Option<&'static str> {
        None
    }

    fn create(&self) -> Option<(Method, String)> {
        (!self.is_only_one()).then(|| (Method::PUT, self.place()))
    }

    fn change(&self) -> Option<String> {
        Some(self.place())
    }

    fn remove(&self, _: Removal) -> Option<String> {
        (!self.is_only_one()).then(|| self.place())
    }
}

impl Address for TileObject {
    type Document = String;

    fn encode(&self, document: &String) -> (&'static str, Bytes) {
        let media_type = if document.is_ascii() {
            "text/xml"
        } else {
            "text/xml; charset=utf-8"
        };
        (media_type, document.clone().into())
    }

    fn decode(&self, _: &HeaderMap, body: Bytes) -> Found<String> {
        match String::from_utf8(body.into()) {
            Ok(text) if text.trim_start().starts_with('<') => Found::It(text),
            _ => Found::Unreadable(Reason::new("this is no XML")),
        }
    }
}
