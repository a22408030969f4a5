//! The sending end, over either bus.

use weir_event::Message;

use crate::{PublishError, amqp, embedded};

/// Where on the bus a publisher sends to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Events,
    Dead,
}

/// Publishes messages, many at a time, each with a ticket, and says what became of each.
#[derive(Debug)]
pub struct Publisher(Kind);

#[derive(Debug)]
enum Kind {
    Amqp(Box<amqp::Publisher>),
    Embedded(embedded::Publisher),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    pub ticket: u64,
    pub result: Result<(), PublishError>,
}

impl Publisher {
    pub(crate) fn amqp(publisher: amqp::Publisher) -> Self {
        Self(Kind::Amqp(Box::new(publisher)))
    }

    pub(crate) fn embedded(publisher: embedded::Publisher) -> Self {
        Self(Kind::Embedded(publisher))
    }

    /// Hands a message over and returns its ticket: 1, 2, 3, … Messages of one publisher keep their
    /// order. Waits only while too many are unconfirmed; never for a broker that is away, as the
    /// ticket then fails with [`PublishError::Unavailable`]. Not cancel-safe: a publish that is cut
    /// off has no ticket, and may or may not have been sent.
    pub async fn publish(&mut self, message: Message) -> u64 {
        match &mut self.0 {
            Kind::Amqp(publisher) => publisher.publish(message).await,
            Kind::Embedded(publisher) => publisher.publish(message).await,
        }
    }

    /// What became of the next ticket, in the order of the tickets. Pends for ever if there is none
    /// to tell about. Cancel-safe.
    pub async fn confirmed(&mut self) -> Confirmation {
        match &mut self.0 {
            Kind::Amqp(publisher) => publisher.confirmed().await,
            Kind::Embedded(publisher) => publisher.confirmed().await,
        }
    }
}
