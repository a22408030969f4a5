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

impl Properties {
    /// Those that are text, by the name that people give them.
    pub fn texts(&self) -> [(&'static str, Option<&str>); 7] {
        [
            ("content encoding", &self.content_encoding),
            ("correlation id", &self.correlation_id),
            ("address for replies", &self.reply_to),
            ("expiration", &self.expiration),
            ("type", &self.kind),
            ("user", &self.user_id),
            ("application id", &self.app_id),
        ]
        .map(|(name, text)| (name, text.as_deref()))
    }
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

    /// What it takes to hold the message, in bytes: its payload, its headers and its other texts.
    pub fn size(&self) -> usize {
        let texts = [self.message_id.as_deref(), self.content_type.as_deref()]
            .into_iter()
            .chain(self.properties.texts().map(|(_, text)| text))
            .flatten();
        self.routing_keys().map(str::len).sum::<usize>()
            + texts.map(str::len).sum::<usize>()
            + self.headers_size()
            + self.payload.len()
    }

    /// The bytes of its headers, as AMQP writes them at most.
    pub fn headers_size(&self) -> usize {
        HeaderValue::table_size(&self.headers)
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

impl HeaderValue {
    /// The bytes that it takes in a header frame at most: its own, and 9 for its kind and a length
    /// or a number.
    pub fn size(&self) -> usize {
        let held = match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.iter().map(Self::size).sum(),
            Self::Table(headers) => Self::table_size(headers),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Double(_)
            | Self::Timestamp(_) => 0,
        };
        9 + held
    }

    fn table_size(headers: &BTreeMap<String, Self>) -> usize {
        let fields = headers
            .iter()
            .map(|(name, value)| 1 + name.len() + value.size());
        4 + fields.sum::<usize>()
    }
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
