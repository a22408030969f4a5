//! The hands of a pipeline: events on their way through its stages, several at a time.
//!
//! Most stages take microseconds, and are done on the spot: to hand such an event to another thread
//! would cost more. Where they usually take longer, each event is a task of its own, and the cores
//! share them. What comes out is the same either way.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::task::JoinSet;
use weir_event::{Message, Reason};

use crate::chain::{Chain, Taken};
use crate::crashes::InHand;
use crate::hydrate::Hydration;
use crate::line::{Processed, Rejection};
use crate::observe::Observer;

/// What an event must usually take for a task of its own: ten times of what that costs.
const WORTH_A_TASK: Duration = Duration::from_micros(100);

pub(super) struct Hands {
    /// How many events are worked at one time at most.
    parallel: usize,
    busy: FuturesUnordered<Work>,
    /// What an event took of late.
    usual: Duration,
}

type Work = Pin<Box<dyn Future<Output = (Done, Option<Duration>)> + Send>>;

/// What an event came to, and the turn that it had.
pub(super) struct Done {
    pub(super) turn: u64,
    pub(super) processed: Processed<Message>,
}

impl Hands {
    pub(super) fn new(parallel: usize) -> Self {
        Self {
            parallel,
            busy: FuturesUnordered::new(),
            usual: Duration::ZERO,
        }
    }

    /// Sends an event on its way; gives what it came to if that is known at once.
    pub(super) fn begin(
        &mut self,
        turn: u64,
        chain: &Arc<Chain>,
        taken: Taken,
        hydration: Option<Hydration>,
        in_hand: InHand,
        observer: &Arc<dyn Observer>,
    ) -> Option<Done> {
        let (chain, observer) = (Arc::clone(chain), Arc::clone(observer));
        let began = Instant::now();
        let finish = async move { chain.finish(taken, hydration, &*observer).await };
        // A fault of our own must not hold up the events that follow either.
        let finish = AssertUnwindSafe(finish).catch_unwind().map(|finished| {
            drop(in_hand);
            finished.unwrap_or_else(|_| Processed::Reject(broken()))
        });
        if self.parallel > 1 && self.usual >= WORTH_A_TASK {
            // Who stops waiting for it ends it.
            let mut task = JoinSet::new();
            task.spawn(async move { (finish.await, began.elapsed()) });
            self.busy.push(Box::pin(async move {
                match task.join_next().await {
                    Some(Ok((processed, took))) => (Done { turn, processed }, Some(took)),
                    // The runtime shuts down.
                    _ => pending().await,
                }
            }));
            return None;
        }
        let mut work: Work =
            Box::pin(finish.map(move |processed| (Done { turn, processed }, None)));
        if let Some((done, _)) = (&mut work).now_or_never() {
            self.took(began.elapsed());
            Some(done)
        } else {
            self.busy.push(work);
            None
        }
    }

    pub(super) fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// The next event that is done; pends for ever if there is none on its way. Cancel-safe.
    pub(super) async fn done(&mut self) -> Done {
        let Some((done, took)) = self.busy.next().await else {
            return pending().await;
        };
        if let Some(took) = took {
            self.took(took);
        }
        done
    }

    /// Ends what is on its way: nobody waits for it any more.
    pub(super) fn drop_all(&mut self) {
        self.busy.clear();
    }

    /// Another chain may take another time.
    pub(super) fn forget(&mut self) {
        self.usual = Duration::ZERO;
    }

    fn took(&mut self, took: Duration) {
        self.usual = (self.usual * 7 + took) / 8;
    }
}

fn broken() -> Rejection {
    Reason::new("Weir itself panicked over this event, as its log says; report it").into()
}
