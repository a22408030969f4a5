//! The bus: what carries events from masters to slaves.
//!
//! It is RabbitMQ, or, in a single process with nothing installed, an embedded store with the same
//! promises; [`Bus`] is either, and everything that it hands out behaves alike on both.
//!
//! - Whatever a [`Publisher`] has confirmed survives a crash of any process.
//! - A queue per slave keeps what its subscriptions match, in order, whether the slave runs or not.
//! - A [`Consumer`] that goes away without accepting gives its deliveries back, in order.
//! - The broker may come and go: consumers and publishers reconnect by themselves, for ever.
//!
//! This is the only crate that knows lapin and redb.

mod address;
mod amqp;
mod consumer;
mod embedded;
mod error;
mod publisher;

use weir_event::Subscription;

pub use address::{Address, AddressError, AmqpUrl};
pub use consumer::{Consumer, Received};
pub use error::{BusError, Mismatch, PublishError};
pub use publisher::{Confirmation, Publisher};

use consumer::Source;
use publisher::Target;

/// How often a message may be handed out without being accepted before it goes to the dead letters.
/// Weir itself retries without giving a delivery back, so only a crash (or a kill) counts: fifty of
/// them in a row at the same message say that the message is the cause.
const DELIVERY_LIMIT: u32 = 50;

/// How many messages of a [`Publisher`] may be unconfirmed: enough that the wait for the disk is
/// shared by many, few enough to be held in memory.
const WINDOW: usize = 1000;

/// How many bytes of payload a [`Publisher`] may have unconfirmed; one message may always go.
const WINDOW_BYTES: usize = 32 << 20;

/// The bus. Cheap to clone; clones share its connections.
#[derive(Clone, Debug)]
pub struct Bus(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Amqp(amqp::Broker),
    Embedded(embedded::Store),
}

/// How the bus is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Connected,
    /// The broker is short of memory or disk and takes no messages; what is queued still comes.
    Blocked {
        reason: String,
    },
    /// There is no connection; Weir keeps trying.
    Disconnected {
        since: std::time::SystemTime,
        error: String,
    },
}

impl Bus {
    /// The bus at `address`.
    ///
    /// RabbitMQ is connected to in the background, so this does not fail because it is away. The
    /// embedded bus creates its directory where it is missing; it fails if another process has it.
    pub async fn open(address: &Address) -> Result<Self, BusError> {
        Ok(Self(match address {
            Address::Amqp(url) => Kind::Amqp(amqp::Broker::new(url)),
            Address::Embedded(directory) => {
                let directory = directory.clone();
                let store = tokio::task::spawn_blocking(move || embedded::Store::open(&directory));
                Kind::Embedded(
                    store
                        .await
                        .map_err(|error| BusError::Store(error.to_string()))??,
                )
            }
        }))
    }

    /// Declares what all slaves share: the exchange, the log, the dead letters. Waits until the
    /// broker is there.
    pub async fn declare(&self) -> Result<(), BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.declare().await,
            Kind::Embedded(_) => Ok(()),
        }
    }

    /// Declares the queue of a slave, and has it take what any of the subscriptions matches, from
    /// now on. Needs what [`declare`](Self::declare) declares; waits until the broker is there.
    pub async fn attach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.attach(slave, subscriptions).await,
            Kind::Embedded(store) => store.attach(slave, subscriptions).await,
        }
    }

    /// Ends the given subscriptions of a slave; what is queued stays.
    pub async fn detach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.detach(slave, subscriptions).await,
            Kind::Embedded(store) => store.detach(slave, subscriptions).await,
        }
    }

    /// The consumer of a slave's queue, which never holds more than `prefetch` unsettled
    /// deliveries. Of several consumers of one queue, in this process or others, one is active and
    /// the others wait.
    pub fn slave(&self, name: &str, prefetch: u16) -> Consumer {
        self.consumer(Source::Slave(name.to_owned()), prefetch)
    }

    /// The consumer of the dead letters of all slaves.
    pub fn dead_letters(&self, prefetch: u16) -> Consumer {
        self.consumer(Source::Dead, prefetch)
    }

    fn consumer(&self, source: Source, prefetch: u16) -> Consumer {
        match &self.0 {
            Kind::Amqp(broker) => Consumer::amqp(broker.consumer(source, prefetch)),
            Kind::Embedded(store) => Consumer::embedded(store.consumer(&source, prefetch)),
        }
    }

    /// A publisher of events: to every slave that subscribes, and to the log.
    pub fn publisher(&self) -> Publisher {
        self.publisher_to(Target::Events)
    }

    /// A publisher of dead letters.
    pub fn dead(&self) -> Publisher {
        self.publisher_to(Target::Dead)
    }

    fn publisher_to(&self, target: Target) -> Publisher {
        match &self.0 {
            Kind::Amqp(broker) => Publisher::amqp(broker.publisher(target)),
            Kind::Embedded(store) => Publisher::embedded(store.publisher(target)),
        }
    }

    /// The messages of somebody else's exchange, through a durable queue of our own
    /// (`weir.master.<master>`) that is bound with each of `keys`. The exchange must exist:
    /// [`Consumer::next`] says so, each time that it is called, until it does.
    ///
    /// Opens a connection of its own, and so needs to be called in a tokio runtime.
    pub fn foreign(
        address: &AmqpUrl,
        master: &str,
        exchange: &str,
        keys: &[String],
        prefetch: u16,
    ) -> Consumer {
        Consumer::amqp(amqp::foreign_consumer(
            address, master, exchange, keys, prefetch,
        ))
    }

    /// A publisher to a slave's own exchange, which is declared (durable, topic) where it is
    /// missing. If `mandatory`, a message that no queue takes is [`PublishError::Unroutable`];
    /// otherwise it is gone. A mandatory message without an id is given one, to be known by.
    ///
    /// Opens a connection of its own, and so needs to be called in a tokio runtime.
    pub fn foreign_publisher(address: &AmqpUrl, exchange: &str, mandatory: bool) -> Publisher {
        Publisher::amqp(amqp::foreign_publisher(address, exchange, mandatory))
    }

    /// What exists on the bus and is not as Weir would have declared it, for the given slaves and
    /// for what all share. Changes nothing; what is missing is no mismatch, as it will be declared.
    /// Unlike the rest of the bus, this does not wait for a broker that is away.
    pub async fn preflight(&self, slaves: &[&str]) -> Result<Vec<Mismatch>, BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.preflight(slaves).await,
            Kind::Embedded(_) => Ok(Vec::new()),
        }
    }

    /// True if somebody else's exchange is there. Like [`preflight`](Self::preflight), this does not
    /// wait for a broker that is away.
    pub async fn has_exchange(address: &AmqpUrl, exchange: &str) -> Result<bool, BusError> {
        amqp::has_exchange(address, exchange).await
    }

    pub fn state(&self) -> State {
        match &self.0 {
            Kind::Amqp(broker) => broker.state(),
            Kind::Embedded(store) => store.state(),
        }
    }
}
