//! Keeps what Weir needs on a broker as it should be, for as long as it is needed.
//!
//! A layout is declared and bound when it is asked for, at each connect, whenever something is found
//! gone, and every [`VERIFY`] besides: that a binding is gone does not show in AMQP, as publishing
//! goes on and is confirmed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::Channel;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::link::{Backoff, Link};
use super::topology::{self, Binding, Exchange, Layout, Queue};
use crate::BusError;

/// How often everything is declared and bound anew: the longest time for which a slave whose binding
/// somebody deleted misses events. It costs two requests for a queue and one for a binding.
const VERIFY: Duration = Duration::from_secs(30);

/// How soon what could not be declared is tried again: somebody may be about to mend it.
const RETRY: Duration = Duration::from_secs(2);

/// Requests that may wait; each of their senders awaits its answer.
const ORDERS: usize = 4;

/// Keeps a layout. Dropping it ends that, and leaves everything as it is.
#[derive(Debug)]
pub(super) struct Upkeep {
    orders: mpsc::Sender<Order>,
    signs: Signs,
    /// What was asked for last, once it held.
    held: Arc<Mutex<Option<Layout>>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Order {
    layout: Layout,
    earlier: Vec<(String, Binding)>,
    held: oneshot::Sender<Result<(), BusError>>,
}

/// How publishers and consumers tell the upkeep that something seems to be gone, and hear from it
/// whether they may publish.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    seen: Arc<Notify>,
    /// Odd while an exchange is being declared anew.
    gate: Arc<AtomicU64>,
}

impl Signs {
    pub(super) fn something_is_gone(&self) {
        self.seen.notify_one();
    }

    /// Changes when an exchange was gone: it has been declared anew, or is about to be, and what is
    /// published before its queues are bound to it finds none of them. `None` during that time.
    /// What was sent under another generation than is found with its confirm was sent in vain.
    pub(super) fn generation(&self) -> Option<u64> {
        let generation = self.gate.load(Ordering::SeqCst);
        generation.is_multiple_of(2).then_some(generation)
    }

    fn shut(&self) {
        if self.generation().is_some() {
            self.gate.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn open(&self) {
        if self.generation().is_none() {
            self.gate.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Upkeep {
    pub(super) fn new(link: Arc<Link>) -> Self {
        let (orders, waiting) = mpsc::channel(ORDERS);
        let (signs, held) = (Signs::default(), Arc::default());
        let keeper = Keeper {
            hands: Hands {
                link,
                channel: None,
            },
            signs: signs.clone(),
            held: Arc::clone(&held),
            layout: Layout::default(),
            unwanted: Vec::new(),
            there: BTreeSet::new(),
            told: BTreeSet::new(),
        };
        let task = tokio::spawn(keeper.run(waiting)).abort_handle();
        Self {
            orders,
            signs,
            held,
            task,
        }
    }

    pub(super) fn signs(&self) -> Signs {
        self.signs.clone()
    }

    /// Has this layout kept instead of the one before, and its bindings instead of those and of the
    /// `earlier` ones. Returns when it holds; waits for the broker. With an error, and where the
    /// caller stops waiting, the one before is kept on.
    pub(super) async fn keep(
        &self,
        layout: Layout,
        earlier: Vec<(String, Binding)>,
    ) -> Result<(), BusError> {
        let (held, answer) = oneshot::channel();
        let order = Order {
            layout,
            earlier,
            held,
        };
        let gone = || BusError::Unavailable("nothing declares any more".to_owned());
        self.orders.send(order).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// True if this is what is kept, and held when it was asked for.
    pub(super) fn keeps(&self, layout: &Layout) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref() == Some(layout)
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Keeper {
    hands: Hands,
    signs: Signs,
    held: Arc<Mutex<Option<Layout>>>,
    layout: Layout,
    /// Bindings that are to go, and may be there.
    unwanted: Vec<(String, Binding)>,
    /// What was seen on the broker: it is worth a word if that is gone.
    there: BTreeSet<String>,
    /// The errors of the last round.
    told: BTreeSet<String>,
}

impl Keeper {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut arrivals = self.hands.link.arrivals();
        loop {
            let pause = if self.told.is_empty() { VERIFY } else { RETRY };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                () = arrivals.next() => self.look_after().await,
                () = self.signs.seen.notified() => self.look_after().await,
                () = sleep(pause) => self.look_after().await,
            }
        }
    }

    async fn carry_out(&mut self, order: Order) {
        let Order {
            layout,
            earlier,
            mut held,
        } = order;
        let before = std::mem::replace(&mut self.layout, layout.clone());
        self.unwant(before.bindings().chain(earlier).collect());
        let settled = tokio::select! {
            settled = self.insist() => settled,
            () = held.closed() => Err(BusError::Unavailable("nobody waits for it".to_owned())),
        };
        if settled.is_ok() {
            let mut now = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            *now = Some(layout);
        } else {
            self.hands.channel = None;
            self.layout = before;
            if self.layout == Layout::default() {
                // What is bound may be from earlier, and is none of our business now.
                self.unwanted.clear();
            } else {
                // What was bound for it goes with the next round.
                self.unwant(layout.bindings().collect());
                self.signs.something_is_gone();
            }
        }
        // Who does not wait any more has no use for it.
        drop(held.send(settled));
    }

    /// Notes bindings that may be there and are to go, unless they are wanted.
    fn unwant(&mut self, more: Vec<(String, Binding)>) {
        self.unwanted.extend(more);
        let wanted: Vec<_> = self.layout.bindings().collect();
        self.unwanted.retain(|binding| !wanted.contains(binding));
    }

    /// Works until that does not fail for want of a broker.
    async fn insist(&mut self) -> Result<(), BusError> {
        let mut backoff = Backoff::default();
        loop {
            self.hands.link.wait_until_up().await?;
            let error = match self.round().await {
                Ok(errors) => match errors.into_iter().next() {
                    None => return Ok(()),
                    Some(error) => return Err(error),
                },
                Err(error) => error,
            };
            tracing::debug!(%error, "declaring again");
            backoff.pause().await;
        }
    }

    /// A round that nobody waits for. What is wrong is told once.
    async fn look_after(&mut self) {
        if self.layout == Layout::default() && self.unwanted.is_empty() {
            return;
        }
        let errors = match self.round().await {
            Ok(errors) => errors,
            // The next connection, or the next time, is another chance.
            Err(error) => return tracing::debug!(%error, "cannot look after the broker"),
        };
        let errors: BTreeSet<String> = errors.iter().map(ToString::to_string).collect();
        for error in errors.difference(&self.told) {
            tracing::error!(error, "the broker is not as it has to be; trying again");
        }
        if errors.is_empty() && !self.told.is_empty() {
            tracing::info!("the broker is again as it has to be");
        }
        self.told = errors;
    }

    /// Makes everything as it should be, as far as that goes; gives what does not. An error says
    /// that the broker went away meanwhile.
    async fn round(&mut self) -> Result<Vec<BusError>, BusError> {
        let mut errors = Vec::new();
        let layout = self.layout.clone();
        for exchange in &layout.exchanges {
            errors.extend(failure(self.exchange(exchange).await)?);
        }
        for queue in &layout.queues {
            errors.extend(failure(self.queue(queue).await)?);
        }
        while let Some((queue, binding)) = self.unwanted.last() {
            let channel = self.hands.channel().await?;
            match failure(topology::unbind(&channel, queue, binding).await)? {
                None => drop(self.unwanted.pop()),
                Some(error) => {
                    errors.push(error);
                    break;
                }
            }
        }
        self.signs.open();
        Ok(errors)
    }

    async fn exchange(&mut self, exchange: &Exchange) -> Result<(), BusError> {
        let what = exchange.what();
        let channel = self.hands.channel().await?;
        let found = topology::find_exchange(&channel, &exchange.name).await;
        if exchange.is_foreign() {
            return found;
        }
        let missing = topology::is_missing(found)?;
        if missing {
            // Before it is there: nobody is to publish to it before its queues are bound to it.
            self.signs.shut();
        }
        // One that was just found is not declared again: should it go in between, that would make it
        // with the gate open.
        if missing || !self.there.contains(&what) {
            let channel = self.hands.channel().await?;
            topology::declare_exchange(&channel, exchange).await?;
            if !self.there.insert(what) {
                tracing::warn!("the {} was gone, and is declared anew", exchange.what());
            }
        }
        Ok(())
    }

    async fn queue(&mut self, queue: &Queue) -> Result<(), BusError> {
        let what = queue.what();
        let channel = self.hands.channel().await?;
        let missing = topology::is_missing(topology::find_queue(&channel, queue).await)?;
        let channel = self.hands.channel().await?;
        topology::declare_queue(&channel, queue).await?;
        if !self.there.insert(what) && missing {
            tracing::warn!(
                "the {} was gone, and is declared anew: what was in it, and what was published meanwhile, is lost to it",
                queue.what()
            );
        }
        for binding in &queue.bindings {
            topology::bind(&channel, &queue.name, binding).await?;
        }
        Ok(())
    }
}

/// Tells what is wrong from a broker that is away.
fn failure(result: Result<(), BusError>) -> Result<Option<BusError>, BusError> {
    match result {
        Ok(()) => Ok(None),
        Err(error @ BusError::Unavailable(_)) => Err(error),
        Err(error) => Ok(Some(error)),
    }
}

/// A channel to declare on. An error costs it, so there is another when it is needed.
struct Hands {
    link: Arc<Link>,
    channel: Option<Channel>,
}

impl Hands {
    async fn channel(&mut self) -> Result<Channel, BusError> {
        if let Some(channel) = self
            .channel
            .take_if(|channel| !channel.status().connected())
        {
            drop(channel);
        }
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let channel = self.link.first_channel().await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }
}
