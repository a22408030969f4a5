//! A consumer that survives its connection.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, sleep};

use super::faults::short;
use super::headers;
use super::link::{Backoff, Link, in_time};
use super::topology::Layout;
use super::upkeep::{Signs, Upkeep};
use crate::{BusError, Received};

/// How long [`Consumer::close`] waits for the broker to have the deliveries back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a consumer that takes no delivery looks whether its channel is still there.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) struct Consumer {
    link: Arc<Link>,
    /// The name of the queue.
    queue: String,
    upkeep: Upkept,
    prefetch: u16,
    phase: Phase,
    /// When each delivery was handed out that is not accepted.
    unsettled: VecDeque<Instant>,
    /// How long a delivery may be held before it is given back and taken again.
    at_most: Duration,
    /// Added to the tags of the channel, which begin at 1 on each channel, so that ours grow.
    base: u64,
    backoff: Backoff,
    /// The last tag that was handed out, and the last that was accepted.
    delivered: u64,
    accepted: u64,
}

/// Who sees to it that the queue is there.
#[derive(Clone)]
pub(super) enum Upkept {
    /// The bus, which hears from us if it is not.
    ByBus(Signs),
    /// This consumer, on somebody else's broker.
    Here { upkeep: Arc<Upkeep>, layout: Layout },
}

enum Phase {
    Idle,
    /// Kept here, so that whoever stops waiting for a delivery does not stop the opening.
    Opening(Pin<Box<dyn Future<Output = Result<Open, BusError>> + Send>>),
    Open(Box<Open>),
}

struct Open {
    channel: Channel,
    deliveries: lapin::Consumer,
}

/// Asks for the channel to be closed, which gives everything back at once; lapin by itself would
/// cancel the consumer first, and let another one begin while we still hold deliveries.
impl Drop for Open {
    fn drop(&mut self) {
        // The first poll sends the request. A channel that is closed already says so.
        drop(self.channel.close(200, "OK".into()).now_or_never());
    }
}

impl Consumer {
    /// Takes from a queue of a broker that lets a delivery be held for `timeout`.
    pub(super) fn new(
        link: Arc<Link>,
        queue: String,
        upkeep: Upkept,
        prefetch: u16,
        timeout: Duration,
    ) -> Self {
        Self {
            link,
            queue,
            upkeep,
            // To AMQP, 0 is no bound at all.
            prefetch: prefetch.max(1),
            phase: Phase::Idle,
            unsettled: VecDeque::new(),
            at_most: timeout / 2,
            base: 0,
            backoff: Backoff::default(),
            delivered: 0,
            accepted: 0,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Received, BusError> {
        loop {
            let left = self.left();
            match &mut self.phase {
                Phase::Idle => self.open(Duration::ZERO),
                Phase::Opening(opening) => match opening.await {
                    Ok(open) => {
                        self.backoff = Backoff::default();
                        self.phase = Phase::Open(Box::new(open));
                    }
                    Err(error) => {
                        let pause = self.backoff.next();
                        self.open(pause);
                        if matches!(error, BusError::Missing(_)) {
                            self.queue_is_gone();
                        }
                        match error {
                            BusError::Unavailable(error) => {
                                tracing::debug!(queue = self.queue, error, "cannot consume");
                            }
                            error => return Err(error),
                        }
                    }
                },
                // What a dead channel still had for us is void.
                Phase::Open(open) if !open.lives() => {
                    self.broke_off("the channel was closed");
                    return Ok(Received::Restarted);
                }
                Phase::Open(open) => {
                    let overdue = async {
                        match left {
                            Some(left) => sleep(left).await,
                            None => pending().await,
                        }
                    };
                    let next = tokio::select! {
                        next = open.deliveries.next() => next,
                        () = overdue => {
                            self.give_back();
                            return Ok(Received::Restarted);
                        }
                    };
                    return Ok(match next {
                        Some(Ok(delivery)) => {
                            let tag = self.base + delivery.delivery_tag;
                            self.delivered = tag;
                            self.unsettled.push_back(Instant::now());
                            let redelivered = delivery.redelivered;
                            let (message, delivery_count) = headers::message(delivery);
                            Received::Delivery {
                                tag,
                                redelivered,
                                delivery_count,
                                message,
                            }
                        }
                        // A stream that ends is a failure, too: the broker cancels a consumer
                        // whose queue is deleted or whose node goes down.
                        end => {
                            if end.is_none() {
                                self.queue_is_gone();
                            }
                            let error = end.and_then(Result::err).map(|error| error.to_string());
                            self.broke_off(
                                error.as_deref().unwrap_or("the broker ended the consumer"),
                            );
                            Received::Restarted
                        }
                    });
                }
            }
        }
    }

    fn queue_is_gone(&self) {
        if let Upkept::ByBus(signs) = &self.upkeep {
            signs.something_is_gone();
        }
    }

    /// Lets go of deliveries that are held for long, before the broker takes them away with an
    /// error; they come again at once.
    fn give_back(&mut self) {
        tracing::info!(
            queue = self.queue,
            unsettled = self.unsettled.len(),
            "deliveries that are held for long are given back and taken again"
        );
        self.void();
    }

    /// Pends until what was handed out is void, without taking another delivery.
    pub(crate) async fn lost(&mut self) {
        loop {
            match &self.phase {
                Phase::Open(open) if !open.lives() => {
                    return self.broke_off("the channel was closed");
                }
                Phase::Open(_) => match self.left() {
                    Some(Duration::ZERO) => return self.give_back(),
                    left => sleep(left.unwrap_or(LOOK).min(LOOK)).await,
                },
                // Where there is no channel, nothing is handed out.
                Phase::Idle | Phase::Opening(_) => pending().await,
            }
        }
    }

    /// How long the oldest delivery that is handed out may still be held.
    fn left(&self) -> Option<Duration> {
        let since = self.unsettled.front()?;
        Some(self.at_most.saturating_sub(since.elapsed()))
    }

    fn broke_off(&mut self, error: &str) {
        tracing::warn!(
            queue = self.queue,
            error,
            unsettled = self.unsettled.len(),
            "consuming broke off"
        );
        self.void();
    }

    fn void(&mut self) {
        self.base = self.delivered;
        self.accepted = self.delivered;
        self.unsettled.clear();
        self.phase = Phase::Idle;
    }

    /// Begins to open, after a pause.
    fn open(&mut self, pause: Duration) {
        let link = Arc::clone(&self.link);
        let queue = self.queue.clone();
        let upkeep = self.upkeep.clone();
        let prefetch = self.prefetch;
        self.phase = Phase::Opening(Box::pin(async move {
            tokio::time::sleep(pause).await;
            open(&link, &queue, upkeep, prefetch).await
        }));
    }

    pub(crate) async fn accept_through(&mut self, tag: u64) -> Result<(), BusError> {
        let Phase::Open(open) = &self.phase else {
            tracing::debug!(queue = self.queue, tag, "accepted too late; it comes again");
            return Ok(());
        };
        // To acknowledge a tag twice costs the channel.
        if tag <= self.accepted || tag > self.delivered {
            tracing::debug!(queue = self.queue, tag, "accepted a void delivery");
            return Ok(());
        }
        let accepted = usize::try_from(tag - self.accepted).unwrap_or(usize::MAX);
        self.unsettled.drain(..accepted.min(self.unsettled.len()));
        self.accepted = tag;
        let options = BasicAckOptions { multiple: true };
        if let Err(error) = open.channel.basic_ack(tag - self.base, options).await {
            // The channel is gone, as `next` is about to tell.
            tracing::debug!(queue = self.queue, %error, "accepted too late; it comes again");
        }
        Ok(())
    }

    pub(crate) async fn close(self) {
        if let Phase::Open(open) = self.phase {
            let closed = tokio::time::timeout(CLOSE_TIMEOUT, open.channel.close(200, "OK".into()));
            if !matches!(closed.await, Ok(Ok(()))) {
                tracing::debug!(
                    queue = self.queue,
                    "the channel was gone before it was closed"
                );
            }
        }
    }
}

impl Open {
    /// False if the channel is gone, whatever is still to be read from it.
    fn lives(&self) -> bool {
        self.channel.status().connected()
    }
}

async fn open(link: &Link, queue: &str, upkeep: Upkept, prefetch: u16) -> Result<Open, BusError> {
    if let Upkept::Here { upkeep, layout } = upkeep {
        upkeep.keep(layout, Vec::new()).await?;
    }
    let channel = link.wait_for_channel().await?;
    let what = format!("queue {queue}");
    // Each channel begins without a bound. On a quorum queue it is per consumer.
    in_time(
        &what,
        channel.basic_qos(prefetch, BasicQosOptions { global: false }),
    )
    .await?;
    let consumed = channel.basic_consume(
        short(queue)?,
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let deliveries = in_time(&what, consumed).await?;
    tracing::debug!(queue, prefetch, "consuming");
    Ok(Open {
        channel,
        deliveries,
    })
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue)
            .field("delivered", &self.delivered)
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
