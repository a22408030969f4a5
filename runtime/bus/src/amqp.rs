//! The bus on RabbitMQ.
//!
//! Connections are supervised here and not by lapin, whose own recovery hides the outage: a lost
//! connection voids every delivery and every unconfirmed message, and whoever holds them must know.

mod confirms;
mod consumer;
mod faults;
mod headers;
mod link;
mod publisher;
mod topology;

use std::sync::Arc;

use lapin::Channel;
use weir_event::Subscription;

use crate::consumer::Source;
use crate::publisher::Target;
use crate::{AmqpUrl, BusError, Mismatch, State};
use link::{Backoff, Link};
use topology::{Binding, DEAD, EXCHANGE, Exchange, Queue};

pub(crate) use consumer::Consumer;
pub(crate) use publisher::Publisher;

/// RabbitMQ as the bus. Publishing and consuming have a connection each, as the broker stops
/// reading from a connection that publishes when it is short of memory, and acks must get through.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    publishing: Arc<Link>,
    consuming: Arc<Link>,
}

impl Broker {
    pub(crate) fn new(url: &AmqpUrl) -> Self {
        Self {
            publishing: Arc::new(Link::new(url, "weir publishing")),
            consuming: Arc::new(Link::new(url, "weir consuming")),
        }
    }

    pub(crate) async fn declare(&self) -> Result<(), BusError> {
        self.insist(async |channel| {
            topology::declare_exchange(channel, &Exchange::weir(EXCHANGE)).await?;
            topology::declare_exchange(channel, &Exchange::weir(DEAD)).await?;
            for queue in [Queue::log(), Queue::dead()] {
                topology::declare_queue(channel, &queue).await?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn attach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        let mut queue = Queue::slave(slave);
        queue.bindings = bindings(subscriptions);
        self.insist(async |channel| topology::declare_queue(channel, &queue).await)
            .await
    }

    pub(crate) async fn detach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        let queue = Queue::slave(slave);
        let bindings = bindings(subscriptions);
        self.insist(async |channel| topology::unbind(channel, &queue, &bindings).await)
            .await
    }

    /// Works on a fresh channel, again and again until that does not fail for want of a broker.
    async fn insist(
        &self,
        work: impl AsyncFn(&Channel) -> Result<(), BusError>,
    ) -> Result<(), BusError> {
        let mut backoff = Backoff::default();
        loop {
            let attempt = async {
                let channel = self.consuming.wait_for_channel().await?;
                work(&channel).await
            };
            match attempt.await {
                Err(BusError::Unavailable(error)) => {
                    tracing::debug!(error, "declaring again");
                    backoff.pause().await;
                }
                settled => return settled,
            }
        }
    }

    pub(crate) fn consumer(&self, source: Source, prefetch: u16) -> Consumer {
        let queue = match source {
            Source::Slave(name) => Queue::slave(&name),
            Source::Dead => Queue::dead(),
        };
        Consumer::new(Arc::clone(&self.consuming), queue, None, prefetch)
    }

    pub(crate) fn publisher(&self, target: Target) -> Publisher {
        let exchange = Exchange::weir(match target {
            Target::Events => EXCHANGE,
            Target::Dead => DEAD,
        });
        // Nothing is unroutable here: the log takes every event, its queue every dead letter.
        Publisher::new(Arc::clone(&self.publishing), exchange, false)
    }

    pub(crate) async fn preflight(&self, slaves: &[&str]) -> Result<Vec<Mismatch>, BusError> {
        let mut mismatches = Vec::new();
        for exchange in [EXCHANGE, DEAD] {
            // A mismatch closes the channel, so each check has its own.
            let channel = self.consuming.first_channel().await?;
            mismatches.extend(topology::check_exchange(channel, &Exchange::weir(exchange)).await?);
        }
        let queues = [Queue::log(), Queue::dead()];
        for queue in queues
            .into_iter()
            .chain(slaves.iter().map(|slave| Queue::slave(slave)))
        {
            let channel = self.consuming.first_channel().await?;
            mismatches.extend(topology::check_queue(channel, &queue).await?);
        }
        Ok(mismatches)
    }

    /// The worse of the two connections.
    pub(crate) fn state(&self) -> State {
        match self.publishing.state() {
            State::Connected => self.consuming.state(),
            worse => worse,
        }
    }
}

fn bindings(subscriptions: &[Subscription]) -> Vec<Binding> {
    subscriptions
        .iter()
        .map(|subscription| Binding::new(EXCHANGE, subscription.as_str()))
        .collect()
}

pub(crate) fn foreign_consumer(
    address: &AmqpUrl,
    master: &str,
    exchange: &str,
    keys: &[String],
    prefetch: u16,
) -> Consumer {
    let link = Arc::new(Link::new(address, "weir master"));
    let mut queue = Queue::master(master);
    queue.bindings = keys.iter().map(|key| Binding::new(exchange, key)).collect();
    Consumer::new(link, queue, Some(exchange.to_owned()), prefetch)
}

pub(crate) fn foreign_publisher(address: &AmqpUrl, exchange: &str, mandatory: bool) -> Publisher {
    let link = Arc::new(Link::new(address, "weir slave"));
    Publisher::new(link, Exchange::foreign(exchange), mandatory)
}

pub(crate) async fn has_exchange(address: &AmqpUrl, exchange: &str) -> Result<bool, BusError> {
    let link = Link::new(address, "weir check");
    let channel = link.first_channel().await?;
    match topology::find_exchange(&channel, exchange).await {
        Ok(()) => Ok(true),
        Err(BusError::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
