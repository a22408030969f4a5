//! A publisher whose confirms can be believed.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use lapin::Channel;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use tokio::time::timeout_at;
use weir_event::Message;

use super::confirms::{Confirm, Identity, Ledger};
use super::link::{Link, in_time};
use super::topology::{self, Exchange};
use super::upkeep::Signs;
use super::{faults, headers};
use crate::{BusError, Confirmation, PublishError, WINDOW, WINDOW_BYTES};

/// How long a confirm may take: a quorum queue that elects a leader takes seconds. The broker also
/// stays silent while it is short of memory or disk.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);

/// Why what was sent while an exchange was gone is sent again.
const ANEW: &str = "the exchange was gone, and is declared anew";

type Sending = Pin<Box<dyn Future<Output = (u64, lapin::Result<lapin::Confirmation>)> + Send>>;

pub(crate) struct Publisher {
    link: Arc<Link>,
    exchange: Exchange,
    mandatory: bool,
    /// Those of whoever keeps the exchange, if it is ours.
    signs: Option<Signs>,
    open: Option<Open>,
    /// Messages on their way: written to the socket, then confirmed.
    sending: FuturesUnordered<Sending>,
    ledger: Ledger,
    nudge: Arc<Nudge>,
    waker: Waker,
}

#[derive(Clone)]
struct Open {
    channel: Arc<Channel>,
    exchange: ShortString,
    /// That of the exchange, see [`Signs::generation`].
    generation: u64,
}

impl Publisher {
    pub(super) fn new(
        link: Arc<Link>,
        exchange: Exchange,
        mandatory: bool,
        signs: Option<Signs>,
    ) -> Self {
        let nudge = Arc::new(Nudge::default());
        Self {
            link,
            exchange,
            mandatory,
            signs,
            open: None,
            sending: FuturesUnordered::new(),
            ledger: Ledger::new(),
            waker: Waker::from(Arc::clone(&nudge)),
            nudge,
        }
    }

    pub(crate) async fn publish(&mut self, mut message: Message) -> u64 {
        self.wait_for_room().await;
        if self.mandatory && message.message_id.is_none() {
            // A message that may be returned must be known by something.
            let unique = format!("weir-{:032x}", rand::random::<u128>());
            message.message_id = Some(unique);
        }
        let (routing_key, properties) = match outgoing(&message) {
            Ok(outgoing) => outgoing,
            Err(reason) => return self.ledger.failed(PublishError::TooLarge(reason)),
        };
        let Open {
            channel, exchange, ..
        } = match self.open().await {
            Ok(open) => open,
            Err(BusError::Unavailable(error)) => {
                return self.ledger.failed(PublishError::Unavailable(error));
            }
            Err(error) => {
                return self
                    .ledger
                    .failed(PublishError::Unavailable(error.to_string()));
            }
        };
        let identity = self.identity(&message);
        let ticket = self.ledger.sent(identity, message.payload.len());
        let options = BasicPublishOptions {
            mandatory: self.mandatory,
            ..Default::default()
        };
        self.sending.push(Box::pin(async move {
            let payload = &message.payload;
            let written = channel
                .basic_publish(exchange, routing_key, options, payload, properties)
                .await;
            let confirmed = match written {
                Ok(confirmed) => confirmed.await,
                Err(error) => Err(error),
            };
            (ticket, confirmed)
        }));
        // The first poll hands the message to the connection, which fixes the order.
        poll_fn(|cx| {
            self.collect(cx);
            Poll::Ready(())
        })
        .await;
        ticket
    }

    pub(crate) async fn confirmed(&mut self) -> Confirmation {
        loop {
            if let Some(confirmation) = self.ledger.take() {
                return confirmation;
            }
            self.progress().await;
        }
    }

    fn identity(&self, message: &Message) -> Option<Identity> {
        let id = message.message_id.as_ref().filter(|_| self.mandatory)?;
        Some((id.clone(), message.routing_key.clone()))
    }

    async fn wait_for_room(&mut self) {
        loop {
            let (messages, bytes) = self.ledger.open();
            if messages < WINDOW && bytes < WINDOW_BYTES {
                return;
            }
            self.progress().await;
        }
    }

    /// The channel; a new one where there is none, or where it is gone.
    async fn open(&mut self) -> Result<Open, BusError> {
        if let Some(open) = &self.open {
            if !open.channel.status().connected() {
                self.lost("the connection was lost");
            } else if self.generation() == Some(open.generation) {
                return Ok(open.clone());
            } else {
                self.lost(ANEW);
            }
        }
        let generation = self
            .generation()
            .ok_or_else(|| BusError::Unavailable(ANEW.to_owned()))?;
        let exchange = faults::short(&self.exchange.name)?;
        let mut channel = self.link.first_channel().await?;
        if self.exchange.is_foreign() {
            channel = self.find_or_declare(channel).await?;
        }
        in_time(
            "channel",
            channel.confirm_select(ConfirmSelectOptions::default()),
        )
        .await?;
        let open = Open {
            channel: Arc::new(channel),
            exchange,
            generation,
        };
        self.open = Some(open.clone());
        Ok(open)
    }

    /// That of the exchange; one that we do not keep has only one.
    fn generation(&self) -> Option<u64> {
        self.signs.as_ref().map_or(Some(0), Signs::generation)
    }

    /// True if the exchange was gone after the channel was opened.
    fn is_stale(&self) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| self.generation() != Some(open.generation))
    }

    /// An exchange that exists is taken as it is, of whatever type.
    async fn find_or_declare(&mut self, channel: Channel) -> Result<Channel, BusError> {
        match topology::find_exchange(&channel, &self.exchange.name).await {
            Ok(()) => Ok(channel),
            Err(BusError::Missing(_)) => {
                // Not to find it cost the channel.
                let channel = self.link.first_channel().await?;
                topology::declare_exchange(&channel, &self.exchange).await?;
                Ok(channel)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until something is decided; for ever, if nothing is open.
    async fn progress(&mut self) {
        let before = self.ledger.open();
        let oldest = self.ledger.oldest();
        let decided = poll_fn(|cx| {
            self.collect(cx);
            if self.ledger.open() == before {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let Some(oldest) = oldest else {
            return decided.await;
        };
        let deadline = tokio::time::Instant::from_std(oldest + CONFIRM_TIMEOUT);
        if timeout_at(deadline, decided).await.is_err() {
            let seconds = CONFIRM_TIMEOUT.as_secs();
            self.lost(&format!("it did not confirm a message within {seconds} s"));
        }
    }

    /// Tells the ledger of every confirm that is there.
    fn collect(&mut self, cx: &Context<'_>) {
        self.nudge.task.register(cx.waker());
        let waker = self.waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            match self.sending.poll_next_unpin(&mut cx) {
                // Looked at after the confirm is there: what was routed while the exchange had no
                // queues is confirmed later than that was known.
                Poll::Ready(Some((_, Ok(_)))) if self.is_stale() => self.lost(ANEW),
                Poll::Ready(Some((ticket, Ok(confirmation)))) => {
                    let confirm = confirm(confirmation);
                    if confirm.returned.is_some() {
                        self.something_is_gone();
                    }
                    if self.ledger.confirmed(ticket, confirm).is_err() {
                        self.lost("it returned a message that was not sent");
                    }
                }
                Poll::Ready(Some((_, Err(error)))) => self.broken(&error),
                Poll::Ready(None) => break,
                // A stream that pauses to let others work says so like one that has nothing; only
                // the latter leaves us without a nudge. The ledger needs to know all there is.
                Poll::Pending => {
                    if !self.nudge.woken.swap(false, Ordering::AcqRel) {
                        break;
                    }
                }
            }
        }
        self.ledger.drained();
    }

    fn something_is_gone(&self) {
        if let Some(signs) = &self.signs {
            signs.something_is_gone();
        }
    }

    fn broken(&mut self, error: &lapin::Error) {
        if faults::is_missing(error) {
            self.something_is_gone();
        }
        let Some(size) = faults::oversize(error) else {
            return self.lost(&error.to_string());
        };
        self.reset();
        self.ledger.fail_all(|each| {
            if each == size {
                PublishError::TooLarge(format!("the broker takes no message of {size} bytes"))
            } else {
                PublishError::Unavailable("a larger message broke the channel".to_owned())
            }
        });
    }

    fn lost(&mut self, error: &str) {
        self.reset();
        self.ledger
            .fail_all(|_| PublishError::Unavailable(error.to_owned()));
    }

    fn reset(&mut self) {
        self.open = None;
        self.sending.clear();
    }
}

fn outgoing(message: &Message) -> Result<(ShortString, lapin::BasicProperties), String> {
    let routing_key = headers::short("its routing key", &message.routing_key)?;
    Ok((routing_key, headers::properties(message)?))
}

fn confirm(confirmation: lapin::Confirmation) -> Confirm {
    let ack = confirmation.is_ack();
    let returned = confirmation.take_message().map(|returned| {
        let id = returned.delivery.properties.message_id().as_ref();
        (
            id.map(ToString::to_string).unwrap_or_default(),
            returned.delivery.routing_key.into(),
        )
    });
    Confirm { ack, returned }
}

/// Passes a wake-up on to the task, and remembers that there was one.
#[derive(Debug, Default)]
struct Nudge {
    woken: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("exchange", &self.exchange.name)
            .field("open", &self.ledger.open())
            .finish_non_exhaustive()
    }
}
