//! What Weir declares on RabbitMQ, and how it finds that something is declared otherwise.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::faults::short;
use super::link::in_time;
use crate::{BusError, DELIVERY_LIMIT, Mismatch};

/// The exchange for events.
pub(super) const EXCHANGE: &str = "weir";
/// The exchange for dead letters, and the queue that takes them all.
pub(super) const DEAD: &str = "weir.dead";
/// The stream that records every event, for replays.
const LOG: &str = "weir.log";

/// How much of the past the log keeps.
const LOG_BYTES: i64 = 10 << 30;
/// The log forgets by whole segments, so they are small against what it keeps.
const LOG_SEGMENT_BYTES: i64 = 100 << 20;

/// A queue as Weir declares it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    arguments: FieldTable,
    pub(super) bindings: Vec<Binding>,
}

#[derive(Clone, Debug)]
pub(super) struct Binding {
    exchange: String,
    key: String,
}

impl Binding {
    pub(super) fn new(exchange: &str, key: &str) -> Self {
        Self {
            exchange: exchange.to_owned(),
            key: key.to_owned(),
        }
    }
}

impl Queue {
    /// The queue of a slave. One of several consumers is active, so that a second Weir takes over
    /// without disturbing the order. Dead-lettering at least once needs `reject-publish`; without a
    /// length limit that never rejects, and a limit would make one slow slave fail the publishing
    /// for all.
    pub(super) fn slave(name: &str) -> Self {
        let mut queue = Self::quorum(&format!("weir.slave.{name}"));
        queue.set("x-single-active-consumer", AMQPValue::Boolean(true));
        queue.set(
            "x-delivery-limit",
            AMQPValue::LongLongInt(DELIVERY_LIMIT.into()),
        );
        queue.set("x-dead-letter-exchange", text(DEAD));
        queue.set("x-dead-letter-strategy", text("at-least-once"));
        queue.set("x-overflow", text("reject-publish"));
        queue
    }

    /// Our own queue on the exchange of a master. The broker may be somebody else's, where there are
    /// no dead letters, and RabbitMQ 4 drops what was delivered twenty times unless told otherwise:
    /// hence a limit that is never reached.
    pub(super) fn master(name: &str) -> Self {
        let mut queue = Self::quorum(&format!("weir.master.{name}"));
        queue.set("x-delivery-limit", AMQPValue::LongLongInt(i32::MAX.into()));
        queue.set("x-single-active-consumer", AMQPValue::Boolean(true));
        queue
    }

    pub(super) fn dead() -> Self {
        let mut queue = Self::quorum(DEAD);
        queue.bindings.push(Binding::new(DEAD, "#"));
        queue
    }

    pub(super) fn log() -> Self {
        let mut queue = Self::of_type(LOG, "stream");
        queue.set("x-max-length-bytes", AMQPValue::LongLongInt(LOG_BYTES));
        queue.set(
            "x-stream-max-segment-size-bytes",
            AMQPValue::LongLongInt(LOG_SEGMENT_BYTES),
        );
        queue.bindings.push(Binding::new(EXCHANGE, "#"));
        queue
    }

    fn quorum(name: &str) -> Self {
        Self::of_type(name, "quorum")
    }

    fn of_type(name: &str, kind: &str) -> Self {
        let mut queue = Self {
            name: name.to_owned(),
            arguments: FieldTable::default(),
            bindings: Vec::new(),
        };
        queue.set("x-queue-type", text(kind));
        queue
    }

    fn set(&mut self, argument: &str, value: AMQPValue) {
        self.arguments.insert(argument.into(), value);
    }

    fn what(&self) -> String {
        format!("queue {}", self.name)
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// An exchange that messages are published to.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) name: String,
    /// It belongs to somebody else: if it exists, it is right as it is.
    foreign: bool,
}

impl Exchange {
    pub(super) fn weir(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            foreign: false,
        }
    }

    pub(super) fn foreign(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            foreign: true,
        }
    }

    /// True if a publisher may have to declare it.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    fn what(&self) -> String {
        format!("exchange {}", self.name)
    }
}

pub(super) async fn declare_exchange(
    channel: &Channel,
    exchange: &Exchange,
) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel.exchange_declare(
        short(&exchange.name)?,
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    in_time(&exchange.what(), declared).await
}

/// Succeeds if the exchange exists, whatever it is like.
pub(super) async fn find_exchange(channel: &Channel, name: &str) -> Result<(), BusError> {
    let options = ExchangeDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let found = channel.exchange_declare(
        short(name)?,
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    in_time(&format!("exchange {name}"), found).await
}

/// Declares a queue and its bindings.
pub(super) async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<(), BusError> {
    declare_only(channel, queue).await?;
    for Binding { exchange, key } in &queue.bindings {
        let bound = channel.queue_bind(
            short(&queue.name)?,
            short(exchange)?,
            short(key)?,
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        in_time(&format!("exchange {exchange}"), bound).await?;
    }
    Ok(())
}

async fn declare_only(channel: &Channel, queue: &Queue) -> Result<(), BusError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel.queue_declare(short(&queue.name)?, options, queue.arguments.clone());
    in_time(&queue.what(), declared).await.map(drop)
}

async fn find_queue(channel: &Channel, queue: &Queue) -> Result<(), BusError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let found = channel.queue_declare(short(&queue.name)?, options, FieldTable::default());
    in_time(&queue.what(), found).await.map(drop)
}

/// Takes bindings away; those that do not exist are no error to the broker.
pub(super) async fn unbind(
    channel: &Channel,
    queue: &Queue,
    bindings: &[Binding],
) -> Result<(), BusError> {
    for Binding { exchange, key } in bindings {
        let unbound = channel.queue_unbind(
            short(&queue.name)?,
            short(exchange)?,
            short(key)?,
            FieldTable::default(),
        );
        in_time(&queue.what(), unbound).await?;
    }
    Ok(())
}

/// Declaring what exists changes nothing, and is how the broker says what differs.
pub(super) async fn check_exchange(
    channel: Channel,
    exchange: &Exchange,
) -> Result<Option<Mismatch>, BusError> {
    if is_missing(find_exchange(&channel, &exchange.name).await)? {
        return Ok(None);
    }
    mismatch(declare_exchange(&channel, exchange).await)
}

/// As [`check_exchange`]; the bindings are not looked at, as AMQP cannot list them.
pub(super) async fn check_queue(
    channel: Channel,
    queue: &Queue,
) -> Result<Option<Mismatch>, BusError> {
    if is_missing(find_queue(&channel, queue).await)? {
        return Ok(None);
    }
    mismatch(declare_only(&channel, queue).await)
}

fn is_missing(found: Result<(), BusError>) -> Result<bool, BusError> {
    match found {
        Ok(()) => Ok(false),
        Err(BusError::Missing(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn mismatch(declared: Result<(), BusError>) -> Result<Option<Mismatch>, BusError> {
    match declared {
        Ok(()) => Ok(None),
        Err(BusError::Mismatch(mismatch)) => Ok(Some(mismatch)),
        Err(error) => Err(error),
    }
}
