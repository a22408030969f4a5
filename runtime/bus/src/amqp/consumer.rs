//! A consumer that survives its connection.

use std::collections::VecDeque;
use std::fmt;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::{Instant, sleep};

use super::faults::short;
use super::headers;
use super::link::{Backoff, Link, in_time, within};
use super::pump::{Closing, End, Pump};
use super::topology::Layout;
use super::upkeep::{Signs, Upkeep};
use super::window::Window;
use crate::{BusError, Prefetch, Received};

/// How long a broker may take to begin: RabbitMQ 3.10 took nine seconds before a queue of 4 GiB.
const CONSUME_TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) struct Consumer {
    link: Arc<Link>,
    /// The name of the queue.
    queue: String,
    upkeep: Upkept,
    window: Window,
    phase: Phase,
    unsettled: VecDeque<Unsettled>,
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
    Opening(Pin<Box<dyn Future<Output = Result<Pump, BusError>> + Send>>),
    Open(Box<Pump>),
}

/// A delivery that is handed out and not accepted.
struct Unsettled {
    /// When it came.
    since: Instant,
    size: usize,
}

impl Consumer {
    /// Takes from a queue of a broker that lets a delivery be held for `timeout`.
    pub(super) fn new(
        link: Arc<Link>,
        queue: String,
        upkeep: Upkept,
        prefetch: Prefetch,
        timeout: Duration,
    ) -> Self {
        Self {
            link,
            queue,
            upkeep,
            window: Window::new(prefetch),
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
            // Not before all is accepted: otherwise what was sent already would be sent again.
            let widens = self.window.can_widen();
            match &mut self.phase {
                Phase::Idle => self.open(ready(())),
                Phase::Opening(opening) => match opening.await {
                    Ok(pump) => {
                        self.backoff = Backoff::default();
                        self.phase = Phase::Open(Box::new(pump));
                    }
                    Err(error) => {
                        let pause = self.backoff.next();
                        self.open(sleep(pause));
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
                Phase::Open(_) if widens && self.unsettled.is_empty() => {
                    self.window.widen();
                    self.void();
                }
                Phase::Open(pump) => {
                    tokio::select! {
                        biased;
                        end = &mut pump.end => {
                            self.ended(end.ok());
                            return Ok(Received::Restarted);
                        }
                        Some((since, delivery)) = pump.deliveries.recv(), if !widens => {
                            return Ok(self.received(since, delivery));
                        }
                        () = overdue(left) => {
                            self.give_back();
                            return Ok(Received::Restarted);
                        }
                    }
                }
            }
        }
    }

    fn received(&mut self, since: Instant, delivery: Delivery) -> Received {
        let size = delivery.data.len();
        self.window.came(size);
        let tag = self.base + delivery.delivery_tag;
        self.delivered = tag;
        self.unsettled.push_back(Unsettled { since, size });
        let redelivered = delivery.redelivered;
        let (message, delivery_count) = headers::message(delivery);
        Received::Delivery {
            tag,
            redelivered,
            delivery_count,
            message,
        }
    }

    /// There are no further deliveries on this channel, and those that there were are void.
    fn ended(&mut self, end: Option<End>) {
        match end {
            Some(End::TooMuch { largest }) => {
                self.window.narrow(largest);
                tracing::info!(
                    queue = self.queue,
                    largest,
                    prefetch = self.window.messages(),
                    "large messages: their deliveries are given back, and fewer taken at one time"
                );
                let phase = std::mem::replace(&mut self.phase, Phase::Idle);
                self.void();
                self.open(async {
                    if let Phase::Open(pump) = phase {
                        pump.drain().await;
                    }
                });
            }
            Some(End::Failed(error)) => self.broke_off(&error.to_string()),
            Some(End::Cancelled) | None => {
                self.queue_is_gone();
                self.broke_off("the broker ended the consumer");
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
        let left = self.left();
        // Where there is no channel, nothing is handed out.
        let Phase::Open(pump) = &mut self.phase else {
            return pending().await;
        };
        tokio::select! {
            biased;
            end = &mut pump.end => self.ended(end.ok()),
            () = overdue(left) => self.give_back(),
        }
    }

    /// How long the oldest delivery that is handed out may still be held.
    fn left(&self) -> Option<Duration> {
        let oldest = self.unsettled.front()?;
        Some(self.at_most.saturating_sub(oldest.since.elapsed()))
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

    /// Begins to open, once that is over.
    fn open(&mut self, first: impl Future<Output = ()> + Send + 'static) {
        let link = Arc::clone(&self.link);
        let queue = self.queue.clone();
        let upkeep = self.upkeep.clone();
        let (prefetch, bytes) = (self.window.messages(), self.window.bytes());
        self.phase = Phase::Opening(Box::pin(async move {
            first.await;
            open(&link, &queue, upkeep, prefetch, bytes).await
        }));
    }

    pub(crate) async fn accept_through(&mut self, tag: u64) -> Result<(), BusError> {
        let Phase::Open(pump) = &self.phase else {
            tracing::debug!(queue = self.queue, tag, "accepted too late; it comes again");
            return Ok(());
        };
        // To acknowledge a tag twice costs the channel.
        if tag <= self.accepted || tag > self.delivered {
            tracing::debug!(queue = self.queue, tag, "accepted a void delivery");
            return Ok(());
        }
        let accepted = usize::try_from(tag - self.accepted).unwrap_or(usize::MAX);
        let accepted = self.unsettled.drain(..accepted.min(self.unsettled.len()));
        pump.accepted(accepted.map(|delivery| delivery.size).sum());
        self.accepted = tag;
        let options = BasicAckOptions { multiple: true };
        if let Err(error) = pump.channel().basic_ack(tag - self.base, options).await {
            // The channel is gone, as `next` is about to tell.
            tracing::debug!(queue = self.queue, %error, "accepted too late; it comes again");
        }
        Ok(())
    }

    pub(crate) async fn close(self) {
        if let Phase::Open(pump) = self.phase {
            pump.close().await;
        }
    }
}

/// The time is over that a delivery may be held.
async fn overdue(left: Option<Duration>) {
    match left {
        // A sleep is never over when it is asked for the first time.
        Some(Duration::ZERO) => {}
        Some(left) => sleep(left).await,
        None => pending().await,
    }
}

async fn open(
    link: &Link,
    queue: &str,
    upkeep: Upkept,
    prefetch: u16,
    bytes: usize,
) -> Result<Pump, BusError> {
    if let Upkept::Here { upkeep, layout } = upkeep {
        upkeep.keep(layout, Vec::new()).await?;
    }
    let closing = Closing::new(link.wait_for_channel().await?);
    let channel = closing.channel();
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
    let deliveries = within(CONSUME_TIMEOUT, &what, consumed).await?;
    tracing::debug!(queue, prefetch, "consuming");
    Ok(Pump::new(closing, deliveries, prefetch, bytes))
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
