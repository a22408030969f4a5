//! Files: what they are, or, of large ones, only which.

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use weir_event::RestContent;
use weir_geoserver::{DataFile, FilePath};

use super::Master;
use super::error::{HydrateError, there};

/// Media types by the end of a name. GeoServer has its own opinion about some of them.
const MEDIA_TYPES: [(&str, &str); 16] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("ftl", TEXT),
    ("properties", TEXT),
    ("txt", TEXT),
    ("pal", TEXT),
    ("wkt", TEXT),
    ("xml", "application/xml"),
    ("sld", "application/xml"),
    ("json", "application/json"),
    ("css", "text/css"),
];

const TEXT: &str = "text/plain";

impl Master {
    /// A file; `None` if there is none, or a directory in its place.
    pub(super) async fn file(&self, path: &FilePath) -> Result<Option<RestContent>, HydrateError> {
        let file = DataFile::Resource(path.clone());
        let limit = self.settings.digest_bytes;
        let Some(mut download) = there(self.node.download(&file, limit).await)? else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut data = BytesMut::new();
        while let Some(piece) = download.next().await? {
            hash.update(&piece);
            size += piece.len() as u64;
            if size <= self.settings.file_bytes {
                data.extend_from_slice(&piece);
            } else {
                data = BytesMut::new();
            }
        }
        let content_type = media_type(&path.to_string());
        if size > self.settings.file_bytes {
            return Ok(Some(RestContent::Reference {
                content_type: content_type.to_owned(),
                sha256: format!("{:x}", hash.finalize()),
                size,
            }));
        }
        Ok(Some(content(content_type, data.freeze())))
    }
}

/// A content of the form that suits it. What is text stays readable on its way.
pub(super) fn content(content_type: &str, data: Bytes) -> RestContent {
    let content_type = content_type.to_owned();
    match std::str::from_utf8(&data) {
        Ok(text) if !text.contains('\0') => RestContent::Text {
            text: text.to_owned(),
            content_type,
        },
        _ => RestContent::Bytes { content_type, data },
    }
}

fn media_type(path: &str) -> &'static str {
    let (_, end) = path.rsplit_once('.').unwrap_or_default();
    let known = MEDIA_TYPES
        .iter()
        .find(|(known, _)| end.eq_ignore_ascii_case(known));
    known.map_or("application/octet-stream", |(_, media_type)| media_type)
}
