//! The receiving end, over either bus.

use weir_event::Message;

use crate::{BusError, amqp, embedded};

/// Where a consumer takes its deliveries from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Slave(String),
    Dead,
}

/// How much a consumer holds that is not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefetch {
    /// The most deliveries; 0 is 1.
    pub messages: u16,
    /// The most bytes of payload, beside one message that may be of any size. RabbitMQ knows no such
    /// bound: what goes beyond it is given back to the broker, and fewer messages are asked for until
    /// they are small again.
    pub bytes: usize,
}

impl Prefetch {
    /// Enough for 256 messages of 128 KiB, and little beside what one large message needs.
    const BYTES: usize = 32 << 20;
}

impl From<u16> for Prefetch {
    /// That many messages, of 32 MiB altogether.
    fn from(messages: u16) -> Self {
        Self {
            messages,
            bytes: Self::BYTES,
        }
    }
}

/// Takes the messages of one queue, in order. Dropping it gives back what is not accepted.
#[derive(Debug)]
pub struct Consumer(Kind);

#[derive(Debug)]
enum Kind {
    Amqp(Box<amqp::Consumer>),
    Embedded(Box<embedded::Consumer>),
}

/// What a [`Consumer`] hands out.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries")]
pub enum Received {
    Delivery {
        /// Grows from delivery to delivery, and is never given twice by the same consumer.
        tag: u64,
        /// The message may have been delivered before.
        redelivered: bool,
        /// How often, at least, it was handed out before and not accepted. Each time counts, also
        /// those of a connection that was cut and of a stop: a high count by itself says nothing
        /// against the message.
        delivery_count: u32,
        message: Message,
    },
    /// The connection was lost, or deliveries were given back: every one that is not accepted is void,
    /// and comes again.
    Restarted,
}

impl Consumer {
    pub(crate) fn amqp(consumer: amqp::Consumer) -> Self {
        Self(Kind::Amqp(Box::new(consumer)))
    }

    pub(crate) fn embedded(consumer: embedded::Consumer) -> Self {
        Self(Kind::Embedded(Box::new(consumer)))
    }

    /// The next delivery; waits for one, and for the broker, as long as it takes. Pends while as
    /// many deliveries as the prefetch are unsettled. Cancel-safe.
    ///
    /// An error is something that a person has to mend, such as a queue that does not exist. To
    /// call again is to try again, after a pause.
    pub async fn next(&mut self) -> Result<Received, BusError> {
        match &mut self.0 {
            Kind::Amqp(consumer) => consumer.next().await,
            Kind::Embedded(consumer) => consumer.next().await,
        }
    }

    /// Accepts every delivery up to and including `tag`: they will not come again. A tag that is
    /// void, because of a lost connection or because it is accepted already, is ignored.
    pub async fn accept_through(&mut self, tag: u64) -> Result<(), BusError> {
        match &mut self.0 {
            Kind::Amqp(consumer) => consumer.accept_through(tag).await,
            Kind::Embedded(consumer) => consumer.accept_through(tag).await,
        }
    }

    /// Pends until every delivery that is not accepted is void, without taking another one; the next
    /// one then is the first of them. Cancel-safe.
    pub async fn lost(&mut self) {
        match &mut self.0 {
            Kind::Amqp(consumer) => consumer.lost().await,
            // The store and its consumers live in one process.
            Kind::Embedded(_) => std::future::pending().await,
        }
    }

    /// Gives back, in order, whatever is not accepted.
    pub async fn close(self) {
        match self.0 {
            Kind::Amqp(consumer) => consumer.close().await,
            Kind::Embedded(consumer) => consumer.close().await,
        }
    }
}
