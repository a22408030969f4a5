//! Takes deliveries from the connection as they come, whether somebody waits for one or not: so
//! what is held can be counted, and what has come to an end is known at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::message::Delivery;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How long a channel may take to be closed: the broker has the deliveries back then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The same, of one whose broker pushed too much: all that is under way comes first.
const DRAIN_TIMEOUT: Duration = Duration::from_mins(1);

/// A channel that is closed with this.
pub(super) struct Closing(Channel);

/// A channel that consumes.
pub(super) struct Pump {
    channel: Closing,
    pub(super) deliveries: mpsc::Receiver<(Instant, Delivery)>,
    /// Why there will be no further ones. Those that are here already are void, too.
    pub(super) end: oneshot::Receiver<End>,
    held: Arc<AtomicUsize>,
    task: JoinSet<()>,
}

/// Why a channel has no further deliveries.
pub(super) enum End {
    /// The broker ended the consumer: its queue was deleted, or its node goes down.
    Cancelled,
    Failed(lapin::Error),
    /// The deliveries that are not accepted had more bytes than they may, the largest of them this
    /// many. The broker has them back.
    TooMuch {
        largest: usize,
    },
}

impl Closing {
    pub(super) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.0
    }
}

/// Asks for the channel to be closed, which gives everything back at once; lapin by itself would
/// cancel the consumer first, and let another one begin while we still hold deliveries. And where
/// nobody waits for its consumer any more, it would keep what is pushed to it.
impl Drop for Closing {
    fn drop(&mut self) {
        // The first poll sends the request. A channel that is closed already says so.
        drop(self.0.close(200, "OK".into()).now_or_never());
    }
}

impl Pump {
    /// Takes deliveries, of which `messages` at most are not accepted, until these have more than
    /// `bytes`.
    pub(super) fn new(
        channel: Closing,
        mut consumer: lapin::Consumer,
        messages: u16,
        bytes: usize,
    ) -> Self {
        // The broker pushes no more before some are accepted, which were handed out.
        let (sender, deliveries) = mpsc::channel(usize::from(messages));
        let (over, end) = oneshot::channel();
        let held = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn({
            let (channel, held) = (channel.0.clone(), Arc::clone(&held));
            async move {
                let mut largest = 0;
                let end = loop {
                    let delivery = match consumer.next().await {
                        Some(Ok(delivery)) => delivery,
                        Some(Err(error)) => break End::Failed(error),
                        None => break End::Cancelled,
                    };
                    let size = delivery.data.len();
                    largest = largest.max(size);
                    if held.fetch_add(size, Ordering::Relaxed) + size > bytes {
                        break End::TooMuch { largest };
                    }
                    if sender.send((Instant::now(), delivery)).await.is_err() {
                        return;
                    }
                };
                let is_too_much = matches!(end, End::TooMuch { .. });
                // Nobody may be left to hear it.
                drop(over.send(end));
                if is_too_much {
                    give_back(&channel, consumer).await;
                }
            }
        });
        Self {
            channel,
            deliveries,
            end,
            held,
            task,
        }
    }

    /// So many bytes of what it took are accepted.
    pub(super) fn accepted(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel.0
    }

    /// After [`End::TooMuch`]: waits until the broker has the deliveries back.
    pub(super) async fn drain(mut self) {
        self.deliveries.close();
        while self.deliveries.recv().await.is_some() {}
        drop(self.task.join_next().await);
    }

    /// Closes the channel; the broker has back what was not accepted.
    pub(super) async fn close(self) {
        close(&self.channel.0).await;
    }
}

/// Closes the channel of a broker that goes on to push what it has sent on its way already: that is
/// let go as it comes, or lapin would keep it.
async fn give_back(channel: &Channel, mut consumer: lapin::Consumer) {
    let mut closed = pin!(timeout(DRAIN_TIMEOUT, channel.close(200, "OK".into())));
    loop {
        tokio::select! {
            _ = &mut closed => return,
            Some(_) = consumer.next() => {}
        }
    }
}

async fn close(channel: &Channel) {
    let closed = timeout(CLOSE_TIMEOUT, channel.close(200, "OK".into()));
    if !matches!(closed.await, Ok(Ok(()))) {
        tracing::debug!("a channel was gone before it was closed");
    }
}
