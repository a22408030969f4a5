//! A frame as those see it who make one or apply one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::form::Form;
use super::{DIALECT, paths, shown};
use crate::dialect::{DecodeError, json, read_time};
use crate::event::{Action, Kind, Object};

/// The state of one object, as a frame of `geoserver-rest` says it.
#[derive(Clone, Debug, PartialEq)]
pub struct RestFrame {
    pub kind: Kind,
    pub action: Action,
    /// What the object is called.
    pub place: RestPlace,
    /// What it was called before a rename or a move.
    pub previous: Option<RestPlace>,
    /// What the master calls it, whatever stages made of the name.
    pub master: RestPlace,
    /// Which master that is, by its CloudEvents source; two may call different things the same.
    pub source: Option<String>,
    /// Of the event, not of the object.
    pub id: String,
    /// RFC 3339 in UTC.
    pub time: String,
    pub sequence: Option<u64>,
    pub author: Option<String>,
    /// `None` where the object is removed, or where all that is known is that it was renamed.
    pub content: Option<RestContent>,
}

/// What an object is called. A resource has its path for a name, and no workspace beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RestPlace {
    pub workspace: Option<String>,
    pub store: Option<String>,
    pub name: Option<String>,
}

/// What an object is.
#[derive(Clone, PartialEq)]
pub enum RestContent {
    /// As the interface gives it, with its root: `{"layer":{…}}`.
    Json(Value),
    Text {
        content_type: String,
        text: String,
    },
    Bytes {
        content_type: String,
        data: Bytes,
    },
    /// A file that is too large to come along.
    Reference {
        content_type: String,
        /// Of its bytes, in lower-case hexadecimal digits.
        sha256: String,
        size: u64,
    },
}

impl RestFrame {
    /// Reads a frame, as [`crate::Dialect::encode`] writes it.
    pub fn read(payload: &[u8]) -> Result<Self, DecodeError> {
        let frame = json::parse(payload).map_err(|problem| DecodeError::NotJson {
            dialect: DIALECT,
            problem,
        })?;
        let Value::Object(mut outer) = frame else {
            return Err(DIALECT.invalid("it is JSON, but not an object"));
        };
        let head = Self::head(&outer).map_err(|problem| DIALECT.invalid(problem))?;
        let form = Form::of(&outer, &head.kind).map_err(|problem| DIALECT.invalid(problem))?;
        let content = form.and_then(|form| RestContent::take(&mut outer, form));
        Ok(Self { content, ..head })
    }

    /// Reads all but the content.
    pub(super) fn head(outer: &Map<String, Value>) -> Result<Self, String> {
        let kind = Kind::from(required(outer, "kind")?);
        let action = required(outer, "action")?;
        if action.contains('.') {
            // The type of a CloudEvent could not be taken apart again.
            return Err(format!(
                "its `action` is `{}`; an action has no dot",
                shown(action)
            ));
        }
        let time = required(outer, "time")?;
        let head = Self {
            action: Action::from(action),
            place: RestPlace::of(outer, "the frame")?,
            previous: match outer.get("previous") {
                None | Some(Value::Null) => None,
                Some(previous) => Some(RestPlace::within(previous, "previous")?),
            },
            master: outer
                .get("master")
                .ok_or_else(|| "it has no `master`, what the master calls the object".to_owned())
                .and_then(|master| RestPlace::within(master, "master"))?,
            source: json::text(outer, "source").map(str::to_owned),
            id: required(outer, "id")?.to_owned(),
            time: read_time(time)
                .ok_or_else(|| format!("its `time` is `{}`, no time", shown(time)))?,
            sequence: match outer.get("sequence") {
                None | Some(Value::Null) => None,
                Some(sequence) => Some(
                    sequence
                        .as_u64()
                        .ok_or("its `sequence` is no whole number from 0 on")?,
                ),
            },
            author: json::text(outer, "author").map(str::to_owned),
            content: None,
            kind,
        };
        // A slave makes paths of each of them.
        for place in [&head.place, &head.master]
            .into_iter()
            .chain(&head.previous)
        {
            place.object(&head.kind)?;
        }
        Ok(head)
    }

    /// The message of such a frame, to be decoded as any other.
    pub fn to_payload(&self) -> Bytes {
        let mut outer = Map::new();
        let mut set = |key: &str, text: Option<&str>| json::set_text(&mut outer, key, text);
        set("kind", Some(self.kind.as_str()));
        set("action", Some(self.action.as_str()));
        outer.extend(self.place.members());
        if let Some(previous) = &self.previous {
            outer.insert("previous".to_owned(), Value::Object(previous.members()));
        }
        outer.insert("master".to_owned(), Value::Object(self.master.members()));
        json::set_text(&mut outer, "source", self.source.as_deref());
        json::set_text(&mut outer, "id", Some(&self.id));
        json::set_text(&mut outer, "time", Some(&self.time));
        if let Some(sequence) = self.sequence {
            outer.insert("sequence".to_owned(), sequence.into());
        }
        json::set_text(&mut outer, "author", self.author.as_deref());
        if let Some(content) = &self.content {
            content.put(&mut outer);
        }
        json::compact(&Value::Object(outer))
    }
}

fn required<'a>(outer: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    match outer.get(key) {
        None => Err(format!("it has no `{key}`")),
        Some(_) => {
            json::text(outer, key).ok_or_else(|| format!("its `{key}` is no text, or an empty one"))
        }
    }
}

impl RestPlace {
    fn of(map: &Map<String, Value>, of: &str) -> Result<Self, String> {
        let text = |key: &str| match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(format!("the `{key}` of {of} is no text, or an empty one")),
        };
        Ok(Self {
            workspace: text("workspace")?,
            store: text("store")?,
            name: text("name")?,
        })
    }

    fn within(value: &Value, key: &str) -> Result<Self, String> {
        let map = value
            .as_object()
            .ok_or_else(|| format!("its `{key}` is not an object"))?;
        Self::of(map, &format!("`{key}`"))
    }

    /// What an event calls it.
    pub(super) fn object(&self, kind: &Kind) -> Result<Object, String> {
        let mut object = Object {
            workspace: self.workspace.clone(),
            name: self.name.clone(),
            ..Object::of(kind.clone())
        };
        if *kind == Kind::Resource {
            let path = self
                .name
                .as_deref()
                .ok_or("a resource has no `name`, which is its path")?;
            if self.workspace.is_some() {
                return Err("a resource has a `workspace`, which its path says alone".to_owned());
            }
            let (workspace, name) = paths::read(path)?;
            object.workspace = workspace.map(str::to_owned);
            object.name = Some(name.to_owned());
        } else if kind.is_named_by_workspace() && self.name.is_some() {
            return Err(format!("a {kind} has a `name`; it is named by `workspace`"));
        }
        Ok(object)
    }

    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        json::set_text(&mut members, "workspace", self.workspace.as_deref());
        json::set_text(&mut members, "store", self.store.as_deref());
        json::set_text(&mut members, "name", self.name.as_deref());
        members
    }
}

impl RestContent {
    /// Takes a content that was checked out of its frame.
    fn take(outer: &mut Map<String, Value>, form: Form) -> Option<Self> {
        let content = outer.shift_remove(form.key())?;
        let content_type = json::text(outer, "contentType")?.to_owned();
        Some(match (form, content) {
            (Form::Json, body) => Self::Json(body),
            (Form::Text, Value::String(text)) => Self::Text { content_type, text },
            (Form::Base64, Value::String(text)) => Self::Bytes {
                content_type,
                data: BASE64.decode(text).ok()?.into(),
            },
            (Form::Reference, reference) => Self::Reference {
                content_type,
                sha256: reference.get("sha256")?.as_str()?.to_owned(),
                size: reference.get("size")?.as_u64()?,
            },
            _ => return None,
        })
    }

    fn put(&self, outer: &mut Map<String, Value>) {
        let (form, content_type, content) = match self {
            Self::Json(body) => (Form::Json, "application/json", body.clone()),
            Self::Text { content_type, text } => {
                (Form::Text, content_type.as_str(), text.as_str().into())
            }
            Self::Bytes { content_type, data } => (
                Form::Base64,
                content_type.as_str(),
                BASE64.encode(data).into(),
            ),
            Self::Reference {
                content_type,
                sha256,
                size,
            } => (
                Form::Reference,
                content_type.as_str(),
                json!({"sha256": sha256, "size": size}),
            ),
        };
        json::set_text(outer, "contentType", Some(content_type));
        outer.insert(form.key().to_owned(), content);
    }
}

/// Shows what it is, and not what is in it: there may be passwords.
impl std::fmt::Debug for RestContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json(…)",
            Self::Text { .. } => "Text(…)",
            Self::Bytes { .. } => "Bytes(…)",
            Self::Reference { .. } => "Reference(…)",
        })
    }
}
