//! A consumer that survives its connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::faults::short;
use super::headers;
use super::link::{Backoff, Link, in_time};
use super::topology::{self, Queue};
use crate::{BusError, Received};

/// How long [`Consumer::close`] waits for the broker to have the deliveries back.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Consumer {
    link: Arc<Link>,
    queue: Queue,
    /// Somebody else's exchange that must exist, and that our own queue is bound to.
    exchange: Option<String>,
    prefetch: u16,
    phase: Phase,
    /// Added to the tags of the channel, which begin at 1 on each channel, so that ours grow.
    base: u64,
    backoff: Backoff,
    /// The last tag that was handed out, and the last that was accepted.
    delivered: u64,
    accepted: u64,
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
    pub(super) fn new(
        link: Arc<Link>,
        queue: Queue,
        exchange: Option<String>,
        prefetch: u16,
    ) -> Self {
        Self {
            link,
            queue,
            exchange,
            // To AMQP, 0 is no bound at all.
            prefetch: prefetch.max(1),
            phase: Phase::Idle,
            base: 0,
            backoff: Backoff::default(),
            delivered: 0,
            accepted: 0,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Received, BusError> {
        loop {
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
                        match error {
                            BusError::Unavailable(error) => {
                                tracing::debug!(queue = self.queue.name, error, "cannot consume");
                            }
                            error => return Err(error),
                        }
                    }
                },
                Phase::Open(open) => {
                    return Ok(match open.deliveries.next().await {
                        Some(Ok(delivery)) => {
                            let tag = self.base + delivery.delivery_tag;
                            self.delivered = tag;
                            let redelivered = delivery.redelivered;
                            let message = headers::message(delivery);
                            Received::Delivery {
                                tag,
                                redelivered,
                                message,
                            }
                        }
                        // A stream that ends is a failure, too: the broker cancels a consumer
                        // whose queue is deleted or whose node goes down.
                        end => {
                            let error = end.and_then(Result::err).map(|error| error.to_string());
                            self.lost(error.as_deref().unwrap_or("the broker ended the consumer"));
                            Received::Restarted
                        }
                    });
                }
            }
        }
    }

    fn lost(&mut self, error: &str) {
        tracing::warn!(
            queue = self.queue.name,
            error,
            unsettled = self.delivered - self.accepted,
            "consuming broke off"
        );
        self.base = self.delivered;
        self.accepted = self.delivered;
        self.phase = Phase::Idle;
    }

    /// Begins to open, after a pause.
    fn open(&mut self, pause: Duration) {
        let link = Arc::clone(&self.link);
        let queue = self.queue.clone();
        let exchange = self.exchange.clone();
        let prefetch = self.prefetch;
        self.phase = Phase::Opening(Box::pin(async move {
            tokio::time::sleep(pause).await;
            open(&link, &queue, exchange.as_deref(), prefetch).await
        }));
    }

    pub(crate) async fn accept_through(&mut self, tag: u64) -> Result<(), BusError> {
        let Phase::Open(open) = &self.phase else {
            tracing::debug!(
                queue = self.queue.name,
                tag,
                "accepted too late; it comes again"
            );
            return Ok(());
        };
        // To acknowledge a tag twice costs the channel.
        if tag <= self.accepted || tag > self.delivered {
            tracing::debug!(queue = self.queue.name, tag, "accepted a void delivery");
            return Ok(());
        }
        self.accepted = tag;
        let options = BasicAckOptions { multiple: true };
        if let Err(error) = open.channel.basic_ack(tag - self.base, options).await {
            // The channel is gone, as `next` is about to tell.
            tracing::debug!(queue = self.queue.name, %error, "accepted too late; it comes again");
        }
        Ok(())
    }

    pub(crate) async fn close(self) {
        if let Phase::Open(open) = self.phase {
            let closed = tokio::time::timeout(CLOSE_TIMEOUT, open.channel.close(200, "OK".into()));
            if !matches!(closed.await, Ok(Ok(()))) {
                tracing::debug!(
                    queue = self.queue.name,
                    "the channel was gone before it was closed"
                );
            }
        }
    }
}

async fn open(
    link: &Link,
    queue: &Queue,
    exchange: Option<&str>,
    prefetch: u16,
) -> Result<Open, BusError> {
    let channel = link.wait_for_channel().await?;
    let what = format!("queue {}", queue.name);
    if let Some(exchange) = exchange {
        topology::find_exchange(&channel, exchange).await?;
        topology::declare_queue(&channel, queue).await?;
    }
    // Each channel begins without a bound. On a quorum queue it is per consumer.
    in_time(
        &what,
        channel.basic_qos(prefetch, BasicQosOptions { global: false }),
    )
    .await?;
    let consumed = channel.basic_consume(
        short(&queue.name)?,
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let deliveries = in_time(&what, consumed).await?;
    tracing::debug!(queue = queue.name, prefetch, "consuming");
    Ok(Open {
        channel,
        deliveries,
    })
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue.name)
            .field("delivered", &self.delivered)
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
