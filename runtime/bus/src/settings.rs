//! What may be said about a bus beyond where it is.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_event::Subscription;

/// How Weir uses a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// What the names of its exchanges and queues begin with, so that several clusters share a
    /// virtual host: `PREFIX`, `PREFIX.dead`, `PREFIX.log`, `PREFIX.slave.NAME`,
    /// `PREFIX.master.NAME`. The embedded bus has no need of it.
    pub prefix: String,
    /// How many bytes of the past the log keeps; `None` for what suits the bus: 10 GiB on RabbitMQ,
    /// 256 MiB on the embedded bus.
    pub log_bytes: Option<u64>,
    /// On how many nodes of the broker's cluster a queue lies; `None` leaves it to the broker.
    pub quorum: Option<u16>,
    /// How long the broker lets a consumer hold a delivery, its `consumer_timeout`, which AMQP does
    /// not tell. What is held half as long is given back and taken again.
    pub consumer_timeout: Duration,
}

impl BusSettings {
    /// The prefix where none is set.
    pub const PREFIX: &'static str = "weir";

    /// RabbitMQ's default.
    pub const CONSUMER_TIMEOUT: Duration = Duration::from_mins(30);
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            prefix: Self::PREFIX.to_owned(),
            log_bytes: None,
            quorum: None,
            consumer_timeout: Self::CONSUMER_TIMEOUT,
        }
    }
}

/// What slaves subscribe to, by their names.
pub type Subscriptions = BTreeMap<String, Vec<Subscription>>;

/// What should be on the bus beside what all slaves share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The slaves that there are.
    pub slaves: Subscriptions,
    /// What is bound from earlier and may not be wanted any more; what is in `slaves`, too, stays.
    pub earlier: Subscriptions,
}

impl Topology {
    /// What is not wanted, of what is bound from earlier and of what was wanted `before`.
    pub(crate) fn unwanted(&self, before: &Subscriptions) -> Subscriptions {
        let mut unwanted = Subscriptions::new();
        for (slave, subscriptions) in before.iter().chain(&self.earlier) {
            let wanted = self.slaves.get(slave).map_or(&[][..], Vec::as_slice);
            let gone = subscriptions.iter().filter(|one| !wanted.contains(one));
            unwanted
                .entry(slave.clone())
                .or_default()
                .extend(gone.cloned());
        }
        unwanted
    }
}
