//! A message: bytes, properties and headers as a broker has them.

use std::collections::BTreeMap;

use bytes::Bytes;

/// A message, wherever it comes from or goes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub routing_key: String,
    /// Further routing keys: a topic exchange routes by all of them, and still gives each queue one
    /// copy (AMQP's header `CC`).
    pub also_to: Vec<String>,
    /// The AMQP `message-id`; Weir sets it to the event's id.
    pub message_id: Option<String>,
    /// The media type of `payload`.
    pub content_type: Option<String>,
    /// What else the sender said; Weir only passes it on.
    pub properties: Properties,
    pub headers: BTreeMap<String, HeaderValue>,
    pub payload: Bytes,
}

/// The properties of AMQP that Weir has no use for itself. A dead letter keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    pub content_encoding: Option<String>,
    pub priority: Option<u8>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    /// How long the message is to be kept, in milliseconds, as text.
    pub expiration: Option<String>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// AMQP's `type`.
    pub kind: Option<String>,
    /// Who sent it: a broker takes a message only with the name of the user that sends it.
    pub user_id: Option<String>,
    pub app_id: Option<String>,
}

impl Message {
    /// Every key that the message is routed by.
    pub fn routing_keys(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.routing_key)
            .chain(&self.also_to)
            .map(String::as_str)
    }

    /// The text of a header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.headers.get(name) {
            Some(HeaderValue::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The value of a header: the field types of AMQP 0-9-1, so that a header that only passes through
/// keeps its type.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderValue {
    Null,
    Bool(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Bytes(Bytes),
    /// Seconds since 1970.
    Timestamp(u64),
    List(Vec<HeaderValue>),
    Table(BTreeMap<String, HeaderValue>),
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
