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
mod pump;
mod topology;
mod upkeep;
mod window;

use std::sync::Arc;

use crate::consumer::Source;
use crate::publisher::Target;
use crate::{AmqpUrl, BusError, BusSettings, Mismatch, Prefetch, State, Subscriptions, Topology};
use consumer::Upkept;
use link::Link;
use topology::{Binding, Exchange, Layout};
use upkeep::Upkeep;

pub(crate) use consumer::Consumer;
pub(crate) use publisher::Publisher;

/// RabbitMQ as the bus. Publishing and consuming have a connection each, as the broker stops
/// reading from a connection that publishes when it is short of memory, and acks must get through.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    settings: Arc<BusSettings>,
    publishing: Arc<Link>,
    consuming: Arc<Link>,
    upkeep: Arc<Upkeep>,
}

impl Broker {
    pub(crate) fn new(url: &AmqpUrl, settings: &BusSettings) -> Self {
        let consuming = Arc::new(Link::new(url, "weir consuming"));
        Self {
            settings: Arc::new(settings.clone()),
            publishing: Arc::new(Link::new(url, "weir publishing")),
            upkeep: Arc::new(Upkeep::new(Arc::clone(&consuming))),
            consuming,
        }
    }

    pub(crate) async fn maintain(&self, topology: &Topology) -> Result<(), BusError> {
        let layout = Layout::bus(&self.settings, &topology.slaves);
        let earlier = Layout::bus(&self.settings, &topology.unwanted(&Subscriptions::new()));
        let slaves = self.settings.slave("");
        let earlier: Vec<_> = earlier
            .bindings()
            .filter(|(queue, _)| queue.starts_with(&slaves))
            .collect();
        if earlier.is_empty() && self.upkeep.keeps(&layout) {
            // It may be that somebody asks because something is wrong.
            self.upkeep.signs().something_is_gone();
            return Ok(());
        }
        self.upkeep.keep(layout, earlier).await
    }

    pub(crate) fn consumer(&self, source: Source, prefetch: Prefetch) -> Consumer {
        let queue = match source {
            Source::Slave(name) => self.settings.slave(&name),
            Source::Dead => self.settings.dead(),
        };
        Consumer::new(
            Arc::clone(&self.consuming),
            queue,
            Upkept::ByBus(self.upkeep.signs()),
            prefetch,
            self.settings.consumer_timeout,
        )
    }

    /// What no queue takes comes back, so that a queue or a binding that is gone shows: the log
    /// takes every event, and the dead letters have a queue that takes them all.
    pub(crate) fn publisher(&self, target: Target) -> Publisher {
        let exchange = Exchange::weir(&match target {
            Target::Events => self.settings.events(),
            Target::Dead => self.settings.dead(),
        });
        let signs = Some(self.upkeep.signs());
        Publisher::new(Arc::clone(&self.publishing), exchange, true, signs)
    }

    pub(crate) async fn preflight(&self, slaves: &[&str]) -> Result<Vec<Mismatch>, BusError> {
        let slaves = slaves.iter().map(|slave| ((*slave).to_owned(), Vec::new()));
        let Layout { exchanges, queues } = Layout::bus(&self.settings, &slaves.collect());
        let mut mismatches = Vec::new();
        for exchange in &exchanges {
            // A mismatch closes the channel, so each check has its own.
            let channel = self.consuming.first_channel().await?;
            mismatches.extend(topology::check_exchange(channel, exchange).await?);
        }
        for queue in &queues {
            let channel = self.consuming.first_channel().await?;
            mismatches.extend(topology::check_queue(channel, queue).await?);
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

pub(crate) fn foreign_consumer(
    address: &AmqpUrl,
    settings: &BusSettings,
    master: &str,
    exchange: &str,
    keys: &[String],
    prefetch: Prefetch,
) -> Consumer {
    let link = Arc::new(Link::new(address, "weir master"));
    let upkeep = Upkept::Here {
        upkeep: Arc::new(Upkeep::new(Arc::clone(&link))),
        layout: Layout::master(settings, master, exchange, keys),
    };
    let queue = settings.master(master);
    Consumer::new(link, queue, upkeep, prefetch, settings.consumer_timeout)
}

pub(crate) fn foreign_publisher(address: &AmqpUrl, exchange: &str, mandatory: bool) -> Publisher {
    let link = Arc::new(Link::new(address, "weir slave"));
    Publisher::new(link, Exchange::foreign(exchange), mandatory, None)
}

pub(crate) async fn unbind(
    address: &AmqpUrl,
    settings: &BusSettings,
    master: &str,
    bindings: &[(String, String)],
) -> Result<(), BusError> {
    let link = Link::new(address, "weir master");
    for (exchange, key) in bindings {
        // An end that does not exist costs the channel.
        let channel = link.first_channel().await?;
        let binding = Binding::new(exchange, key);
        topology::unbind(&channel, &settings.master(master), &binding).await?;
    }
    Ok(())
}

pub(crate) async fn has_exchange(address: &AmqpUrl, exchange: &str) -> Result<bool, BusError> {
    let link = Link::new(address, "weir check");
    let channel = link.first_channel().await?;
    Ok(!topology::is_missing(
        topology::find_exchange(&channel, exchange).await,
    )?)
}
