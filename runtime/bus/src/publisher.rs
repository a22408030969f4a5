//! The sending end, over either bus.

use weir_event::{HeaderValue, Message};

use crate::{PublishError, amqp, embedded};

/// Where on the bus a publisher sends to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Events,
    Dead,
}

/// Publishes messages, many at a time, each with a ticket, and says what became of each.
#[derive(Debug)]
pub struct Publisher {
    kind: Kind,
    /// It sends dead letters.
    dead: bool,
}

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
        Self {
            kind: Kind::Amqp(Box::new(publisher)),
            dead: false,
        }
    }

    pub(crate) fn embedded(publisher: embedded::Publisher) -> Self {
        Self {
            kind: Kind::Embedded(publisher),
            dead: false,
        }
    }

    pub(crate) fn of_dead_letters(self) -> Self {
        Self { dead: true, ..self }
    }

    /// Hands a message over and returns its ticket: 1, 2, 3, … Messages of one publisher keep their
    /// order. Waits only while too many are unconfirmed; never for a broker that is away, as the
    /// ticket then fails with [`PublishError::Unavailable`]. Not cancel-safe: a publish that is cut
    /// off has no ticket, and may or may not have been sent.
    pub async fn publish(&mut self, message: Message) -> u64 {
        let message = if self.dead { letter(message) } else { message };
        match &mut self.kind {
            Kind::Amqp(publisher) => publisher.publish(message).await,
            Kind::Embedded(publisher) => publisher.publish(message).await,
        }
    }

    /// What became of the next ticket, in the order of the tickets. Pends for ever if there is none
    /// to tell about. Cancel-safe.
    pub async fn confirmed(&mut self) -> Confirmation {
        match &mut self.kind {
            Kind::Amqp(publisher) => publisher.confirmed().await,
            Kind::Embedded(publisher) => publisher.confirmed().await,
        }
    }
}

/// The address for replies that stands for the connection that sent the message: a broker takes no
/// message with it from another one.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to";

/// Moves to headers what would hinder a dead letter as a property: it must not expire, and a broker
/// refuses what was sent in another user's name.
fn letter(mut message: Message) -> Message {
    let properties = &mut message.properties;
    let direct = |address: &mut String| address == DIRECT_REPLY;
    let moved = [
        ("weir-expiration", properties.expiration.take()),
        ("weir-user-id", properties.user_id.take()),
        ("weir-reply-to", properties.reply_to.take_if(direct)),
    ];
    for (name, value) in moved {
        if let Some(value) = value {
            let value = HeaderValue::Text(value);
            message.headers.insert(name.to_owned(), value);
        }
    }
    message
}
