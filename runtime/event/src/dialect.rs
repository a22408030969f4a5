//! Dialects: the wire formats of catalog events.
//!
//! A dialect reads a message into an [`Event`] and keeps the JSON that it read, the [`Document`].
//! Writing goes the other way round than one might think: an event is never turned into JSON as a
//! whole. What a plugin changed is *set in the places of the document that say it*, and everything
//! else stays as it came, so that a field that Weir has never heard of survives. Whatever a format
//! has no place for (GeoServer Cloud refers to objects by id, so a reference has no place for a
//! name) is not written.
//!
//! Numbers keep their digits. Only an exponent has one spelling once something was changed: `1E5`
//! becomes `1e+5`.

mod cloudevents;
mod geonode;
mod geoserver_cloud;
mod geoserver_rest;
mod json;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

pub use self::geoserver_cloud::CloudVersion;
pub use self::geoserver_rest::{RestContent, RestFrame, RestPlace};
use crate::event::{Action, Event, Kind, MAX_ID, Object, Pair};
use crate::message::{HeaderValue, Message};
use crate::routing::RoutingKey;

/// A wire format of catalog events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Weir's canonical one: CloudEvents 1.0 in JSON.
    CloudEvents,
    /// What the pods of GeoServer Cloud tell each other on the Spring Cloud Bus.
    GeoServerCloud,
    /// What the notification module of GeoServer 2 tells GeoNode.
    GeoNode,
    /// What the objects of a GeoServer are, as its REST interface gives them.
    GeoServerRest,
}

/// What a message turned out to be.
#[derive(Debug)]
pub enum Decoded {
    /// A catalog event, and the document that changes to it are written into.
    Event(Box<Event>, Document),
    /// A message that belongs on this bus but says nothing of the catalog; the text names it.
    NotCatalog(String),
}

/// How much of the sender's name is shown of a frame that Weir sent, in characters.
const MAX_ORIGIN: usize = 100;

/// What an event was decoded from. Opaque, and cheap to clone.
#[derive(Clone)]
pub struct Document(Arc<Origin>);

/// The message, the JSON that is in it, and the event that was read from that.
#[derive(Clone)]
struct Origin {
    dialect: Dialect,
    message: Message,
    json: Value,
    event: Event,
}

/// Why a message is no event. The same bytes never become one: there is no use in trying again.
#[derive(Debug, Error)]
pub enum DecodeError {
    #[error("the message is no JSON that can be read as {dialect}: {problem}")]
    NotJson { dialect: Dialect, problem: String },
    #[error("the message is no {dialect} event: {problem}")]
    Invalid { dialect: Dialect, problem: String },
    /// A later version, or somebody else's events.
    #[error("this version of Weir does not read {what}; {remedy}")]
    Unsupported { what: String, remedy: &'static str },
}

/// Why an event cannot be written. The same event never can be.
#[derive(Debug, Error)]
pub enum EncodeError {
    /// A plugin broke the contract on references.
    #[error(
        "{problem}; a plugin may change the target of a reference, but not add, remove or reorder references, nor change their roles"
    )]
    References { problem: String },
    /// A plugin changed the body into something else.
    #[error("the body cannot be written as {dialect}: {problem}")]
    Body { dialect: Dialect, problem: String },
    /// The dialect has no words for this event.
    #[error("{dialect} cannot say `{event}`: {problem}")]
    Unsayable {
        dialect: Dialect,
        event: String,
        problem: String,
    },
}

impl Dialect {
    pub const ALL: [Self; 4] = [
        Self::CloudEvents,
        Self::GeoServerCloud,
        Self::GeoNode,
        Self::GeoServerRest,
    ];

    /// The name in the configuration and in envelopes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::GeoServerCloud => "geoserver-cloud",
            Self::GeoNode => "geonode",
            Self::GeoServerRest => "geoserver-rest",
        }
    }

    /// The number that the master's cluster gave the event of a message, one after the other, where
    /// the dialect has such numbers and the message one of them. Takes a fraction of decoding it.
    pub fn sequence(self, message: &Message) -> Option<u64> {
        match self {
            Self::GeoServerCloud => geoserver_cloud::sequence(&message.payload),
            Self::CloudEvents | Self::GeoNode | Self::GeoServerRest => None,
        }
    }

    /// Reads a message. `source` is the CloudEvents source of events whose dialect carries none,
    /// such as `/masters/cloud`.
    ///
    /// A message without an id gets one that is made from its bytes, and one without a time that of
    /// 1970-01-01, so that the same message is always the same event.
    pub fn decode(self, message: &Message, source: &str) -> Result<Decoded, DecodeError> {
        let (json, read) = if self == Self::CloudEvents {
            cloudevents::read(message)?
        } else {
            let mut frame =
                json::parse(&message.payload).map_err(|problem| DecodeError::NotJson {
                    dialect: self,
                    problem,
                })?;
            if self == Self::GeoServerCloud
                && let Some(origin) = geoserver_cloud::echo_of(&frame)
            {
                // The name is somebody's text: as much of it as tells who it was.
                let origin: String = origin.chars().take(MAX_ORIGIN).collect();
                let what = format!("a frame that Weir itself sent, as `{origin}`");
                return Ok(Decoded::NotCatalog(what));
            }
            let read = self.read_frame(&mut frame, source)?;
            (frame, read)
        };
        let mut event = match read {
            Read::Event(event) => event,
            Read::NotCatalog(what) => return Ok(Decoded::NotCatalog(what)),
        };
        if event.id.len() > MAX_ID {
            let problem = format!(
                "its id has {} bytes, more than the {MAX_ID} that AMQP carries",
                event.id.len()
            );
            return Err(self.invalid(problem));
        }
        if event.id.is_empty() {
            event.id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &message.payload).to_string();
        }
        let origin = Origin {
            dialect: self,
            message: message.clone(),
            json,
            event: (*event).clone(),
        };
        Ok(Decoded::Event(event, Document(Arc::new(origin))))
    }

    /// Writes what the event says into the document that it was decoded from, and gives the message
    /// in this dialect. The payload of an event that nobody changed leaves byte for byte as it came
    /// if it came in this dialect.
    ///
    /// The last clone of a document is written into where it is, others are copied first.
    pub fn encode(self, event: &Event, document: Document) -> Result<Message, EncodeError> {
        self.encode_as(event, document, None)
    }

    /// As [`Dialect::encode`], for nodes of GeoServer Cloud of this version: classes that a patch
    /// names are those of the version, whichever it came from, and patches that GeoServer itself made
    /// unreadable are mended as far as they can be. In other dialects it makes no difference.
    pub fn encode_for(
        self,
        version: CloudVersion,
        event: &Event,
        document: Document,
    ) -> Result<Message, EncodeError> {
        self.encode_as(event, document, Some(version))
    }

    fn encode_as(
        self,
        event: &Event,
        document: Document,
        version: Option<CloudVersion>,
    ) -> Result<Message, EncodeError> {
        let origin = &*document.0;
        if let Some(problem) = event.breaks_references_of(&origin.event) {
            return Err(EncodeError::References { problem });
        }
        let mut keys = RoutingKey::all_of(event)
            .into_iter()
            .map(|key| key.to_string());
        let mut message = Message {
            routing_key: keys.next().unwrap_or_default(),
            also_to: keys.collect(),
            message_id: Some(event.id.clone()),
            ..Message::default()
        };
        if self == origin.dialect {
            message.headers.clone_from(&origin.message.headers);
        }
        let unchanged = self == origin.dialect && *event == origin.event;
        match self {
            Self::CloudEvents if unchanged && !cloudevents::is_structured(&origin.message) => {
                message
                    .content_type
                    .clone_from(&origin.message.content_type);
                message.payload = origin.message.payload.clone();
            }
            Self::CloudEvents => {
                message.content_type = Some(cloudevents::CONTENT_TYPE.to_owned());
                if unchanged {
                    message.payload = origin.message.payload.clone();
                    cloudevents::mirror(&origin.json, &mut message.headers);
                } else {
                    let envelope = cloudevents::write(event, Arc::unwrap_or_clone(document.0))?;
                    message.payload = json::compact(&envelope);
                    cloudevents::mirror(&envelope, &mut message.headers);
                }
            }
            Self::GeoServerCloud | Self::GeoNode | Self::GeoServerRest => {
                message.content_type = Some("application/json".to_owned());
                let version = version.filter(|_| self == Self::GeoServerCloud);
                message.payload = if unchanged && version.is_none() {
                    origin.message.payload.clone()
                } else {
                    self.native_payload(event, Arc::unwrap_or_clone(document.0), version)?
                };
                if self == Self::GeoServerCloud {
                    // Spring's binder goes by this header, beside the property.
                    message.headers.insert(
                        "contentType".to_owned(),
                        HeaderValue::from("application/json"),
                    );
                }
            }
        }
        Ok(message)
    }

    /// The frame of this dialect that the document is or holds, with the event written into it; one
    /// made anew if there is none.
    fn native_payload(
        self,
        event: &Event,
        mut origin: Origin,
        version: Option<CloudVersion>,
    ) -> Result<Bytes, EncodeError> {
        let mut made;
        let frame = match origin.frame_mut() {
            Some((dialect, frame, was)) if dialect == self => {
                self.write_frame(frame, was, event)?;
                frame
            }
            _ if self == Self::GeoServerCloud => {
                made = geoserver_cloud::make(&origin.event, event)?;
                &mut made
            }
            _ => {
                return Err(EncodeError::unsayable(
                    self,
                    event,
                    "the message that it came from holds no frame of that dialect",
                ));
            }
        };
        if let Some(version) = version {
            version.translate(frame);
        }
        Ok(json::compact(frame))
    }

    /// Reads a frame of a dialect other than the canonical one. Its id may be empty.
    fn read_frame(self, frame: &mut Value, source: &str) -> Result<Read, DecodeError> {
        if json::depth(frame) > json::MAX_FRAME_DEPTH {
            return Err(DecodeError::NotJson {
                dialect: self,
                problem: format!("it nests deeper than {} levels", json::MAX_FRAME_DEPTH),
            });
        }
        match self {
            Self::GeoServerCloud => geoserver_cloud::read(frame, source),
            Self::GeoNode => geonode::read(frame, source),
            Self::GeoServerRest => geoserver_rest::read(frame, source),
            Self::CloudEvents => Err(self.invalid("an envelope holds another envelope")),
        }
    }

    /// Sets the places of a native frame where `now` differs from `was`.
    fn write_frame(self, frame: &mut Value, was: &Event, now: &Event) -> Result<(), EncodeError> {
        match self {
            Self::GeoServerCloud => geoserver_cloud::write(frame, was, now),
            Self::GeoNode => geonode::write(frame, was, now),
            Self::GeoServerRest => geoserver_rest::write(frame, was, now),
            Self::CloudEvents => Err(EncodeError::unsayable(
                self,
                now,
                "an envelope holds another envelope",
            )),
        }
    }

    fn invalid(self, problem: impl Into<String>) -> DecodeError {
        DecodeError::Invalid {
            dialect: self,
            problem: problem.into(),
        }
    }
}

impl Document {
    /// The dialect of the native frame that it is or holds; `None` for an event of Weir's own.
    pub fn frame_dialect(&self) -> Option<Dialect> {
        match self.0.dialect {
            Dialect::CloudEvents => cloudevents::frame_dialect(&self.0.json),
            native => Some(native),
        }
    }
}

impl Origin {
    /// The native frame, which is the document itself or lies in its envelope; and the event.
    fn frame_mut(&mut self) -> Option<(Dialect, &mut Value, &Event)> {
        let (dialect, frame) = match self.dialect {
            Dialect::CloudEvents => cloudevents::frame_mut(&mut self.json)?,
            native => (native, &mut self.json),
        };
        Some((dialect, frame, &self.event))
    }
}

/// What a dialect makes of a frame.
enum Read {
    Event(Box<Event>),
    NotCatalog(String),
}

impl EncodeError {
    fn unsayable(dialect: Dialect, event: &Event, problem: impl Into<String>) -> Self {
        let event = format!("{} {}", event.subject, event.action);
        Self::Unsayable {
            dialect,
            event,
            problem: problem.into(),
        }
    }

    fn body(dialect: Dialect, problem: impl Into<String>) -> Self {
        Self::Body {
            dialect,
            problem: problem.into(),
        }
    }
}

/// An event of which only the source is known: where every dialect starts to read.
fn blank(source: &str) -> Box<Event> {
    Box::new(Event {
        id: String::new(),
        source: source.to_owned(),
        time: EPOCH.to_owned(),
        sequence: None,
        action: Action::Modified,
        subject: Object::of(Kind::Catalog),
        previous: None,
        references: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    })
}

/// The time of an event whose message tells none.
const EPOCH: &str = "1970-01-01T00:00:00.000Z";

/// The time that a text tells, in UTC, to the millisecond unless it is finer.
fn read_time(text: &str) -> Option<String> {
    let time: Timestamp = text.parse().ok()?;
    let is_finer = time.subsec_nanosecond() % 1_000_000 != 0;
    Some(if is_finer {
        time.to_string()
    } else {
        format!("{time:.3}")
    })
}

/// The user behind a change, as CloudEvents extension attributes say it.
fn push_author(event: &mut Event, author: &str) {
    event.attributes.push(Pair::new("authtype", "user"));
    event.attributes.push(Pair::new("authid", author));
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

/// A name that no dialect has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no dialect `{0}`; there are `cloudevents`, `geoserver-cloud`, `geonode` and `geoserver-rest`"
)]
pub struct UnknownDialect(String);

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Shows which document it is, and not what is in it: there may be passwords.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("dialect", &self.0.dialect)
            .field("event", &self.0.event.id)
            .finish_non_exhaustive()
    }
}
