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
mod settings;

use std::sync::Arc;

use tokio::sync::Mutex;

pub use address::{Address, AddressError, AmqpUrl};
pub use consumer::{Consumer, Prefetch, Received};
pub use error::{BusError, Mismatch, PublishError};
pub use publisher::{Confirmation, Publisher};
pub use settings::{BusSettings, Subscriptions, Topology};

use consumer::Source;
use publisher::Target;

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
    Embedded {
        store: embedded::Store,
        /// What its slaves subscribe to, as far as it was said to this one.
        kept: Arc<Mutex<Subscriptions>>,
    },
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
    /// The bus at `address`, with settings that suit most.
    pub async fn open(address: &Address) -> Result<Self, BusError> {
        Self::open_with(address, &BusSettings::default()).await
    }

    /// The bus at `address`.
    ///
    /// RabbitMQ is connected to in the background, so this does not fail because it is away. The
    /// embedded bus creates its directory where it is missing; it fails if another process has it.
    pub async fn open_with(address: &Address, settings: &BusSettings) -> Result<Self, BusError> {
        Ok(Self(match address {
            Address::Amqp(url) => Kind::Amqp(amqp::Broker::new(url, settings)),
            Address::Embedded(directory) => {
                let (directory, log_bytes) = (directory.clone(), settings.log_bytes);
                let store = tokio::task::spawn_blocking(move || {
                    embedded::Store::open(&directory, log_bytes)
                });
                Kind::Embedded {
                    store: store
                        .await
                        .map_err(|error| BusError::Store(error.to_string()))??,
                    kept: Arc::default(),
                }
            }
        }))
    }

    /// Has the bus be as the topology says, instead of what it said before, and remain so: what all
    /// slaves share, their queues, and what these take. Bindings that are not wanted any more are
    /// taken away; what is queued stays.
    ///
    /// Returns when everything is so; waits for the broker. An error is something that a person has
    /// to mend; what was before then goes on, also where the caller stops waiting. From then on the
    /// bus sees to it by itself, at each connect and when something turns out to be gone. A binding
    /// that somebody deletes does not show, and is back within 30 s.
    ///
    /// To ask for what is so already is to have it looked at again, and returns at once.
    pub async fn maintain(&self, topology: &Topology) -> Result<(), BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.maintain(topology).await,
            Kind::Embedded { store, kept } => {
                let mut kept = kept.lock().await;
                for (slave, subscriptions) in &topology.slaves {
                    store.attach(slave, subscriptions).await?;
                }
                for (slave, gone) in topology.unwanted(&kept) {
                    store.detach(&slave, &gone).await?;
                }
                kept.clone_from(&topology.slaves);
                Ok(())
            }
        }
    }

    /// The consumer of a slave's queue, which never holds more than `prefetch` unsettled
    /// deliveries. Of several consumers of one queue, in this process or others, one is active and
    /// the others wait.
    pub fn slave(&self, name: &str, prefetch: impl Into<Prefetch>) -> Consumer {
        self.consumer(Source::Slave(name.to_owned()), prefetch.into())
    }

    /// The consumer of the dead letters of all slaves.
    pub fn dead_letters(&self, prefetch: impl Into<Prefetch>) -> Consumer {
        self.consumer(Source::Dead, prefetch.into())
    }

    fn consumer(&self, source: Source, prefetch: Prefetch) -> Consumer {
        match &self.0 {
            Kind::Amqp(broker) => Consumer::amqp(broker.consumer(source, prefetch)),
            Kind::Embedded { store, .. } => Consumer::embedded(store.consumer(&source, prefetch)),
        }
    }

    /// A publisher of events: to every slave that subscribes, and to the log.
    pub fn publisher(&self) -> Publisher {
        self.publisher_to(Target::Events)
    }

    /// A publisher of dead letters. They keep all properties; what would make one expire, or a broker
    /// refuse it, becomes a header: `weir-expiration`, `weir-user-id`, `weir-reply-to`. A dead letter
    /// that cannot be routed is [`PublishError::Unroutable`], and its queue is declared anew.
    pub fn dead(&self) -> Publisher {
        self.publisher_to(Target::Dead).of_dead_letters()
    }

    fn publisher_to(&self, target: Target) -> Publisher {
        match &self.0 {
            Kind::Amqp(broker) => Publisher::amqp(broker.publisher(target)),
            Kind::Embedded { store, .. } => Publisher::embedded(store.publisher(target)),
        }
    }

    /// The messages of somebody else's exchange, through a durable queue of our own
    /// (`weir.master.<master>`) that is bound with each of `keys`, and kept so. The exchange must
    /// exist: [`Consumer::next`] says so, each time that it is called, until it does.
    ///
    /// Opens a connection of its own, and so needs to be called in a tokio runtime.
    pub fn foreign(
        address: &AmqpUrl,
        settings: &BusSettings,
        master: &str,
        exchange: &str,
        keys: &[String],
        prefetch: impl Into<Prefetch>,
    ) -> Consumer {
        let prefetch = prefetch.into();
        Consumer::amqp(amqp::foreign_consumer(
            address, settings, master, exchange, keys, prefetch,
        ))
    }

    /// Takes bindings of a master's queue away, each an exchange and a key, and leaves the queue with
    /// what is in it. Does not wait for a broker that is away.
    pub async fn unbind(
        address: &AmqpUrl,
        settings: &BusSettings,
        master: &str,
        bindings: &[(String, String)],
    ) -> Result<(), BusError> {
        amqp::unbind(address, settings, master, bindings).await
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
    /// AMQP shows neither bindings nor policies nor the `consumer_timeout`.
    /// Unlike the rest of the bus, this does not wait for a broker that is away.
    pub async fn preflight(&self, slaves: &[&str]) -> Result<Vec<Mismatch>, BusError> {
        match &self.0 {
            Kind::Amqp(broker) => broker.preflight(slaves).await,
            Kind::Embedded { .. } => Ok(Vec::new()),
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
            Kind::Embedded { store, .. } => store.state(),
        }
    }
}
