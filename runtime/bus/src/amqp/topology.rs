//! What Weir declares on RabbitMQ, and how it finds that something is declared otherwise.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::faults::short;
use super::link::in_time;
use crate::{BusError, BusSettings, Mismatch, Subscriptions};

/// How much of the past the log keeps.
const LOG_BYTES: u64 = 10 << 30;
/// The log forgets by whole segments, so they are small against what it keeps.
const LOG_SEGMENT_BYTES: u64 = 100 << 20;
/// The smallest log has a few segments.
const LOG_SEGMENTS: u64 = 4;

/// How often a queue has a message back before RabbitMQ gives it up. RabbitMQ counts every return,
/// also those of a network that is cut or of a sink that is away for long, and those say nothing
/// against the message; without a limit, RabbitMQ 4 would have one of twenty. Hence one that is never
/// reached: what to do about a message that brings down its consumer is for Weir to say.
const NO_DELIVERY_LIMIT: i64 = i32::MAX as i64;

/// The names of what Weir declares.
impl BusSettings {
    /// The exchange for events.
    pub(super) fn events(&self) -> String {
        self.prefix.clone()
    }

    /// The exchange for dead letters, and the queue that takes them all.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The stream that records every event, for replays.
    fn log(&self) -> String {
        format!("{}.log", self.prefix)
    }

    pub(super) fn slave(&self, name: &str) -> String {
        format!("{}.slave.{name}", self.prefix)
    }

    pub(super) fn master(&self, name: &str) -> String {
        format!("{}.master.{name}", self.prefix)
    }
}

/// Exchanges and queues that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<Queue>,
}

impl Layout {
    /// The bus, with the queues of these slaves.
    pub(super) fn bus(settings: &BusSettings, slaves: &Subscriptions) -> Self {
        let mut queues = vec![Queue::log(settings), Queue::dead(settings)];
        queues.extend(slaves.iter().map(|(slave, subscriptions)| {
            let mut queue = Queue::slave(settings, slave);
            let bindings = subscriptions
                .iter()
                .map(|subscription| Binding::new(&settings.events(), subscription.as_str()));
            queue.bindings = bindings.collect();
            queue
        }));
        Self {
            exchanges: vec![
                Exchange::weir(&settings.events()),
                Exchange::weir(&settings.dead()),
            ],
            queues,
        }
    }

    /// A queue of our own on somebody else's exchange.
    pub(super) fn master(
        settings: &BusSettings,
        master: &str,
        exchange: &str,
        keys: &[String],
    ) -> Self {
        let mut queue = Queue::master(settings, master);
        queue.bindings = keys.iter().map(|key| Binding::new(exchange, key)).collect();
        Self {
            exchanges: vec![Exchange::foreign(exchange)],
            queues: vec![queue],
        }
    }

    /// Each binding, with the name of its queue.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (String, Binding)> + '_ {
        self.queues.iter().flat_map(|queue| {
            let name = &queue.name;
            queue
                .bindings
                .iter()
                .map(|binding| (name.clone(), binding.clone()))
        })
    }
}

/// A queue as Weir declares it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Queue {
    pub(super) name: String,
    arguments: FieldTable,
    pub(super) bindings: Vec<Binding>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) exchange: String,
    pub(super) key: String,
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
    /// without disturbing the order. Should a policy limit its length, then what is oldest goes to
    /// the dead letters: a queue that refused messages would fail the publishing for all slaves. An
    /// argument wins against a policy, so no policy can make it refuse them.
    pub(super) fn slave(settings: &BusSettings, name: &str) -> Self {
        let mut queue = Self::quorum(settings, settings.slave(name));
        queue.set("x-single-active-consumer", AMQPValue::Boolean(true));
        queue.set("x-dead-letter-exchange", text(&settings.dead()));
        queue.set("x-overflow", text("drop-head"));
        queue
    }

    /// Our own queue on the exchange of a master, on a broker that may be somebody else's.
    pub(super) fn master(settings: &BusSettings, name: &str) -> Self {
        let mut queue = Self::quorum(settings, settings.master(name));
        queue.set("x-single-active-consumer", AMQPValue::Boolean(true));
        queue
    }

    /// Should a policy limit its length, then it refuses what is more, and whoever has a dead letter
    /// keeps it.
    pub(super) fn dead(settings: &BusSettings) -> Self {
        let mut queue = Self::quorum(settings, settings.dead());
        queue.set("x-overflow", text("reject-publish"));
        queue.bindings.push(Binding::new(&settings.dead(), "#"));
        queue
    }

    pub(super) fn log(settings: &BusSettings) -> Self {
        let mut queue = Self::of_type(settings, settings.log(), "stream");
        let bytes = settings.log_bytes.unwrap_or(LOG_BYTES);
        let segment = (bytes / LOG_SEGMENTS).clamp(1, LOG_SEGMENT_BYTES);
        queue.set("x-max-length-bytes", number(bytes));
        queue.set("x-stream-max-segment-size-bytes", number(segment));
        queue.bindings.push(Binding::new(&settings.events(), "#"));
        queue
    }

    fn quorum(settings: &BusSettings, name: String) -> Self {
        let mut queue = Self::of_type(settings, name, "quorum");
        let limit = AMQPValue::LongLongInt(NO_DELIVERY_LIMIT);
        queue.set("x-delivery-limit", limit);
        queue
    }

    fn of_type(settings: &BusSettings, name: String, kind: &str) -> Self {
        let mut queue = Self {
            name,
            arguments: FieldTable::default(),
            bindings: Vec::new(),
        };
        queue.set("x-queue-type", text(kind));
        if let Some(nodes) = settings.quorum {
            let argument = if kind == "stream" {
                "x-initial-cluster-size"
            } else {
                "x-quorum-initial-group-size"
            };
            queue.set(argument, number(nodes.into()));
        }
        queue
    }

    fn set(&mut self, argument: &str, value: AMQPValue) {
        self.arguments.insert(argument.into(), value);
    }

    pub(super) fn what(&self) -> String {
        format!("queue {}", self.name)
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX))
}

/// An exchange that messages are published to.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    pub(super) fn what(&self) -> String {
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

/// Declaring what exists changes nothing, and is how the broker says what differs.
pub(super) async fn declare_queue(channel: &Channel, queue: &Queue) -> Result<(), BusError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let declared = channel.queue_declare(short(&queue.name)?, options, queue.arguments.clone());
    in_time(&queue.what(), declared).await.map(drop)
}

/// Succeeds if the queue exists, whatever it is like.
pub(super) async fn find_queue(channel: &Channel, queue: &Queue) -> Result<(), BusError> {
    let options = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let found = channel.queue_declare(short(&queue.name)?, options, FieldTable::default());
    in_time(&queue.what(), found).await.map(drop)
}

/// Makes a binding; one that exists is no error to the broker.
pub(super) async fn bind(
    channel: &Channel,
    queue: &str,
    binding: &Binding,
) -> Result<(), BusError> {
    let bound = channel.queue_bind(
        short(queue)?,
        short(&binding.exchange)?,
        short(&binding.key)?,
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    // Of the two ends, the queue has just been declared.
    in_time(&format!("exchange {}", binding.exchange), bound).await
}

/// Takes a binding away; one that does not exist is no error to the broker, nor is it one here if
/// an end of it does not.
pub(super) async fn unbind(
    channel: &Channel,
    queue: &str,
    binding: &Binding,
) -> Result<(), BusError> {
    let unbound = channel.queue_unbind(
        short(queue)?,
        short(&binding.exchange)?,
        short(&binding.key)?,
        FieldTable::default(),
    );
    match in_time(&format!("queue {queue}"), unbound).await {
        Err(BusError::Missing(_)) => Ok(()),
        unbound => unbound,
    }
}

/// What is otherwise about an exchange that exists.
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
    mismatch(declare_queue(&channel, queue).await)
}

pub(super) fn is_missing(found: Result<(), BusError>) -> Result<bool, BusError> {
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
