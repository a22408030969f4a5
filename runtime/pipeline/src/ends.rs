//! The two ends of a pipeline. Implementations sit beside what they talk to; tests put in-memory
//! ones here.

use async_trait::async_trait;
use thiserror::Error;
use weir_event::{Message, Reason};

/// A message that we owe a verdict.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The source's name for it; grows from one delivery to the next, until [`Received::Restarted`].
    pub tag: u64,
    /// True if it was delivered before; it may have been handled, too.
    pub redelivered: bool,
    pub message: Message,
    /// Set where nobody sent the message: Weir itself asks for an object of the master, with a hint
    /// of the dialect `geoserver-rest`.
    pub asked: Option<Asked>,
}

/// What is to become of an object that Weir itself asks a master for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// It is for this slave; for all of them where none is named.
    pub slave: Option<String>,
}

/// What a source has to say.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries")]
pub enum Received {
    Delivery(Delivery),
    /// Every delivery that is not accepted yet is void, and comes again.
    Restarted,
    /// There is nothing more, and never will be: the end of a file.
    End,
}

/// Where deliveries come from.
#[async_trait]
pub trait Source: Send {
    /// The next delivery. Must be safe to drop before it is ready. A source that loses its
    /// connection mends it by itself; an error means that it cannot.
    async fn next(&mut self) -> Result<Received, EndError>;

    /// Every delivery up to and including this one is accepted. A tag that is void is ignored:
    /// its message comes again.
    async fn accept_through(&mut self, tag: u64) -> Result<(), EndError>;

    /// Pends until what was handed out is void, as [`Received::Restarted`] says it, without taking a
    /// delivery: for a pipeline that has no room, and must still hear that. A source that may hold
    /// deliveries for a limited time gives them back then. Must be safe to drop before it is ready.
    async fn lost(&mut self) {
        std::future::pending::<()>().await;
    }

    /// Gives back what is not accepted. Dropping a source must do the same.
    async fn close(self: Box<Self>);
}

/// Where outcomes go.
#[async_trait]
pub trait Sink: Send {
    /// Hands a message over and returns the ticket under which [`Sink::confirmed`] will speak of it.
    async fn publish(&mut self, message: Message) -> u64;

    /// The next confirmation, in any order; pends for ever while nothing is in flight. Must be safe
    /// to drop before it is ready.
    async fn confirmed(&mut self) -> Confirmation;
}

/// What became of a message that a sink took.
#[derive(Debug)]
pub struct Confirmation {
    pub ticket: u64,
    pub result: Result<(), SinkFailure>,
}

/// Why a sink did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SinkFailure {
    /// The sink is away, full or not ready: the same message may work later.
    #[error("{0}")]
    Transient(Reason),
    /// This message will never be taken.
    #[error("{0}")]
    Permanent(Reason),
}

/// Why a source cannot go on.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct EndError(pub Reason);
