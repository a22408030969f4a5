//! The content of a frame: in which form it is, and whether it is as it should be.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::{places, shown, xml};
use crate::dialect::json;
use crate::event::Kind;

/// Which member of a frame holds its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Text,
    Base64,
    Reference,
}

impl Form {
    const ALL: [Self; 4] = [Self::Json, Self::Text, Self::Base64, Self::Reference];

    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Json => "body",
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Reference => "reference",
        }
    }

    /// The form of the content of a frame that was read before.
    pub(super) fn in_frame(outer: &Map<String, Value>) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|form| outer.contains_key(form.key()))
    }

    /// The form of a frame's content, which is as it should be; the error says what is not.
    pub(super) fn of(outer: &Map<String, Value>, kind: &Kind) -> Result<Option<Self>, String> {
        let mut forms = Self::ALL
            .into_iter()
            .filter(|form| outer.contains_key(form.key()));
        let Some(form) = forms.next() else {
            return Ok(None);
        };
        if let Some(other) = forms.next() {
            return Err(format!(
                "it has both `{}` and `{}`; a frame has one content",
                form.key(),
                other.key()
            ));
        }
        let content_type = json::text(outer, "contentType").ok_or_else(|| {
            format!(
                "it has no `contentType`, the media type of its `{}`",
                form.key()
            )
        })?;
        form.check(&outer[form.key()], content_type, kind)?;
        Ok(Some(form))
    }

    fn check(self, content: &Value, content_type: &str, kind: &Kind) -> Result<(), String> {
        if let Some(other) = usual(kind).filter(|usual| !usual.contains(&self)) {
            let usual: Vec<_> = other.iter().map(|form| form.key()).collect();
            return Err(format!(
                "it has a `{}`; what a {kind} is, is said in `{}`",
                self.key(),
                usual.join("` or `")
            ));
        }
        match self {
            Self::Json => {
                let media_type = content_type.split(';').next().unwrap_or_default().trim();
                if media_type != "application/json" {
                    return Err(format!(
                        "its `body` is JSON, and its `contentType` is `{}`",
                        shown(content_type)
                    ));
                }
                let body = content.as_object().ok_or("its `body` is not an object")?;
                check_root(body, kind)
            }
            Self::Text => {
                let text = content.as_str().ok_or("its `text` is none")?;
                match xml::scan(text, |_| None::<()>).problem {
                    Some(problem) if is_xml_only(kind) => {
                        Err(format!("its `text` is no XML: {problem}"))
                    }
                    _ => Ok(()),
                }
            }
            Self::Base64 => {
                let text = content.as_str().ok_or("its `base64` is no text")?;
                match BASE64.decode(text) {
                    Ok(_) => Ok(()),
                    Err(error) => Err(format!("its `base64` is none: {error}")),
                }
            }
            Self::Reference => {
                let digest = content.get("sha256").and_then(Value::as_str);
                let is_digest = digest.is_some_and(|digest| {
                    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                    digest.len() == 64 && digest.bytes().all(is_digit)
                });
                if !is_digest {
                    return Err(
                        "the `sha256` of its `reference` is not 64 lower-case hexadecimal digits"
                            .to_owned(),
                    );
                }
                let size = content.get("size").and_then(Value::as_u64);
                size.map(|_| ())
                    .ok_or_else(|| "the `size` of its `reference` is no number of bytes".to_owned())
            }
        }
    }
}

/// Kinds that GeoWebCache gives and takes as XML only.
fn is_xml_only(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::TileLayer | Kind::GridSet | Kind::BlobStore | Kind::GwcGlobal | Kind::DiskQuota
    )
}

/// In which forms a kind comes; `None` if in any.
fn usual(kind: &Kind) -> Option<&'static [Form]> {
    match kind {
        Kind::Style => Some(&[Form::Json, Form::Text, Form::Base64]),
        Kind::Resource => Some(&[Form::Text, Form::Base64, Form::Reference]),
        kind if is_xml_only(kind) => Some(&[Form::Text]),
        kind if super::is_known(kind) => Some(&[Form::Json]),
        _ => None,
    }
}

/// A body has one root, and the kind tells which.
fn check_root(body: &Map<String, Value>, kind: &Kind) -> Result<(), String> {
    let roots = places::roots(kind);
    if roots.is_empty() {
        return Ok(());
    }
    let found = body.keys().next().map_or("nothing", String::as_str);
    let is_root = roots.iter().any(|root| *root == "*" || *root == found);
    if body.len() != 1 || !is_root {
        return Err(format!(
            "the `body` of a {kind} has the root `{}` and nothing beside it; this one begins with `{}`",
            roots.join("` or `"),
            shown(found)
        ));
    }
    Ok(())
}
