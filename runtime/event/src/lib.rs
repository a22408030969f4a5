//! Weir's words and wire formats: what an event is, and how each dialect writes it.
//!
//! Pure: no async, no input or output, no clock. Bytes come in, values go out.
//!
//! - [`Message`]: bytes, properties and headers as a broker has them.
//! - [`Event`]: what happened (an action) to what (a subject), what it refers to, and the body.
//! - [`Dialect`]: a wire format of catalog events; decodes messages into events and writes what
//!   plugins changed back into the message that the event came from.
//! - [`RestFrame`]: the state of one object, for those who fetch it from a GeoServer or apply it.
//! - [`CloudVersion`]: which nodes of GeoServer Cloud a frame is written for.
//! - [`Reason`]: why something was not done, in words that have a bound.
//! - [`Index`]: names for the objects that a dialect knows by id only.
//! - [`RoutingKey`] and [`Subscription`]: what goes where on a topic exchange.
//!
//! None of these types is serde: each dialect says itself what its wire format is.

mod event;
mod message;
mod reason;
mod routing;

pub mod dialect;
pub mod index;

pub use dialect::{
    CloudVersion, DecodeError, Decoded, Dialect, Document, EncodeError, RestContent, RestFrame,
    RestPlace,
};
pub use event::{Action, Body, Event, Kind, MAX_ID, Object, Pair, Reference};
pub use index::Index;
pub use message::{HeaderValue, Message, Properties};
pub use reason::Reason;
pub use routing::{RoutingKey, Subscription, SubscriptionError};
