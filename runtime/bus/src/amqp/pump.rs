//! Takes deliveries from the connection as they come, whether somebody waits for one or not: so
//! what is held can be counted, and what has come to an end is known at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use lapin::Channel;
use lapin::message::Delivery;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a channel may take to be closed: the broker has the deliveries back then.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel that consumes.
pub(super) struct Pump {
    channel: Channel,
    pub(super) deliveries: mpsc::UnboundedReceiver<Delivery>,
    /// Why there will be no further ones. Those that are here already are void, too.
    pub(super) end: oneshot::Receiver<End>,
    held: Arc<AtomicUsize>,
    _task: JoinSet<()>,
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

impl Pump {
    /// Takes deliveries until those that are not accepted have more than `bytes`.
    pub(super) fn new(channel: Channel, mut consumer: lapin::Consumer, bytes: usize) -> Self {
        let (sender, deliveries) = mpsc::unbounded_channel();
        let (over, end) = oneshot::channel();
        let held = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        task.spawn({
            let (channel, held) = (channel.clone(), Arc::clone(&held));
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
                        close(&channel).await;
                        break End::TooMuch { largest };
                    }
                    if sender.send(delivery).is_err() {
                        break End::Cancelled;
                    }
                };
                // Nobody may be left to hear it.
                drop(over.send(end));
            }
        });
        Self {
            channel,
            deliveries,
            end,
            held,
            _task: task,
        }
    }

    /// So many bytes of what it took are accepted.
    pub(super) fn accepted(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// False if the channel is gone, whatever is still to be read from it.
    pub(super) fn lives(&self) -> bool {
        self.channel.status().connected()
    }

    /// Closes the channel; the broker has back what was not accepted.
    pub(super) async fn close(self) {
        close(&self.channel).await;
    }
}

/// Asks for the channel to be closed, which gives everything back at once; lapin by itself would
/// cancel the consumer first, and let another one begin while we still hold deliveries.
impl Drop for Pump {
    fn drop(&mut self) {
        // The first poll sends the request. A channel that is closed already says so.
        drop(self.channel.close(200, "OK".into()).now_or_never());
    }
}

async fn close(channel: &Channel) {
    let closed = timeout(CLOSE_TIMEOUT, channel.close(200, "OK".into()));
    if !matches!(closed.await, Ok(Ok(()))) {
        tracing::debug!("a channel was gone before it was closed");
    }
}
