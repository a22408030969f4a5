//! The loop of one pipeline: it carries out what the [`Line`] decides, between a source and a sink.

mod stop;
mod work;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use weir_event::Message;

use self::stop::{Over, Stop};
use self::work::{Done, Hands};
use crate::chain::Chain;
use crate::crashes::{Crashes, InHand, Verdict};
use crate::ends::{Confirmation, Delivery, EndError, Received, Sink, Source};
use crate::hydrate::{Hydrate, Hydrator};
use crate::letter::dead_letter;
use crate::line::{Line, Notice, Policy, Processed, Rejection, Settled, Step};
use crate::names::Names;
use crate::observe::{Observation, Observer};

/// How long a source may take to give back what is not accepted, when all is over: to drop it does
/// the same, only less in order.
const CLOSE: Duration = Duration::from_secs(3);

/// One pipeline, ready to run.
pub struct Pipeline {
    pub name: String,
    pub source: Box<dyn Source>,
    pub sink: Box<dyn Sink>,
    /// Where the objects of a master are read, if they are.
    pub hydrate: Option<Arc<dyn Hydrate>>,
    /// Where dead letters go.
    pub dead: Box<dyn Sink>,
    /// The chain in service. A new one takes over between two events.
    pub chain: watch::Receiver<Arc<Chain>>,
    pub names: Names,
    pub crashes: Crashes,
    pub policy: Policy,
    pub observer: Arc<dyn Observer>,
}

/// What a pipeline did when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Deliveries that go back to the source, because their outcomes were not confirmed in time.
    pub given_back: usize,
}

/// Why a pipeline ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("source: {0}")]
    Source(#[from] EndError),
    #[error("what was learned about names cannot be kept: {0}")]
    Names(#[from] std::io::Error),
}

/// Why the loop ends.
enum End {
    Over,
    Failed(RunError),
}

impl From<Over> for End {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl From<EndError> for End {
    fn from(error: EndError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Pipeline {
    /// Runs until `stop` is cancelled or the source ends. What is in flight then has `drain` to be
    /// confirmed; what is not goes back to the source. Whatever hangs by then is let go.
    pub async fn run(self, stop: CancellationToken, drain: Duration) -> Result<Stopped, RunError> {
        let Self {
            name,
            source,
            sink,
            hydrate,
            dead,
            chain,
            names,
            crashes,
            mut policy,
            observer,
        } = self;
        let seed = name.bytes().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let parallel = *policy.parallel.get_or_insert_with(cores);
        let mut engine = Engine {
            source,
            sink,
            hydrator: hydrate.map(Hydrator::new),
            dead,
            names,
            crashes,
            // Accepting one by one would cost the broker half of its throughput; accepting only
            // when the line is full would leave the source without work meanwhile.
            batch: policy.capacity.div_ceil(4),
            line: Line::new(policy, seed),
            hands: Hands::new(parallel),
            observer,
            stop: Stop::new(stop, drain),
            started: Instant::now(),
            pipeline: name,
            taken: 0,
        };
        let ended = engine.run(chain).await;
        // What was confirmed at the last moment is accepted, if that does not take time.
        let accepted = match ended {
            Ok(()) | Err(End::Over) => engine.accept().await.map(drop),
            failed => failed,
        };
        if let Err(End::Failed(error)) = accepted {
            return Err(error);
        }
        let stopped = Stopped {
            given_back: engine.line.len(),
        };
        drop(timeout(CLOSE, engine.source.close()).await);
        Ok(stopped)
    }
}

/// What the loop works with.
struct Engine {
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    hydrator: Option<Hydrator>,
    dead: Box<dyn Sink>,
    names: Names,
    crashes: Crashes,
    line: Line<Delivery, Message>,
    hands: Hands,
    observer: Arc<dyn Observer>,
    stop: Stop,
    started: Instant,
    pipeline: String,
    /// Deliveries taken since the last time that some were accepted.
    taken: usize,
    /// How many of them are accepted at one time, if they can be.
    batch: usize,
}

impl Engine {
    async fn run(&mut self, mut chain: watch::Receiver<Arc<Chain>>) -> Result<(), End> {
        let mut ended = false;
        loop {
            if chain.has_changed().unwrap_or(false) {
                self.observer.observe(&Observation::Swapped);
                self.line.resume();
                self.hands.forget();
                self.forget_lost(ended);
            }
            let current = Arc::clone(&chain.borrow_and_update());
            let wake = self.work(&current).await?;
            if self.catch_up() {
                continue;
            }
            let open = !self.stop.is_asked() && !ended;
            if open
                && self.line.has_room()
                && self.taken < self.batch
                && let Some(received) = self.source.next().now_or_never()
            {
                ended = self.receive(received?);
                continue;
            }
            // Makes room, by bytes as well: the line may want more now.
            if self.accept().await? {
                continue;
            }
            if self.line.is_empty() && !open {
                return Ok(());
            }
            // Who waits for a sink to come back, or for people, does not keep a stop waiting.
            let idle = wake.is_some() || self.line.is_paused();
            if self.stop.is_asked() && idle && self.line.in_flight() == 0 {
                return Ok(());
            }
            let takes = open && self.line.has_room();
            tokio::select! {
                confirmation = self.sink.confirmed() => self.confirmed(confirmation),
                confirmation = self.dead.confirmed() => self.buried(confirmation),
                done = self.hands.done(), if self.hands.are_busy() => self.processed(done),
                received = listen(&mut *self.source, takes), if !ended => {
                    ended = self.receive(received?);
                }
                () = sleep_until(wake.unwrap_or(self.started)), if wake.is_some() => {
                    self.forget_lost(ended);
                }
                over = self.stop.heard() => over?,
                // Seen at the top of the loop, like a change that comes at any other time.
                Ok(()) = chain.changed() => chain.mark_changed(),
            }
        }
    }

    /// Does all that the line wants done now; gives the time at which it wants something again.
    async fn work(&mut self, chain: &Arc<Chain>) -> Result<Option<Instant>, Over> {
        loop {
            self.stop.check()?;
            let now = self.started.elapsed();
            match self.line.next(now) {
                Step::Process { turn, delivery } => {
                    let mut before = Vec::new();
                    let in_hand = if delivery.redelivered {
                        let verdict = self.crashes.take_up(&self.pipeline, &delivery.message);
                        let (crashes, hands, stop) =
                            (&self.crashes, &mut self.hands, &mut self.stop);
                        in_hand(verdict, crashes, hands, stop, &mut before).await?
                    } else {
                        Ok(InHand::default())
                    };
                    let processed = match in_hand {
                        Err(rejection) => Err(Processed::Reject(rejection)),
                        Ok(in_hand) => chain
                            .take(delivery, &mut self.names, &*self.observer)
                            .map(|taken| (taken, in_hand)),
                    };
                    let done = match processed {
                        Ok((taken, in_hand)) => {
                            let hydrator = self.hydrator.as_ref();
                            let hydration = hydrator.map(|hydrator| {
                                hydrator.turn(taken.event(), delivery.asked.as_ref())
                            });
                            self.hands
                                .begin(turn, chain, taken, hydration, in_hand, &self.observer)
                        }
                        Err(processed) => Some(Done { turn, processed }),
                    };
                    for done in before.into_iter().chain(done) {
                        self.processed(done);
                    }
                }
                Step::Publish(message) => {
                    self.observer.observe(&Observation::Sent { message });
                    let published = self.sink.publish(message.clone());
                    let ticket = self.stop.in_time(published).await?;
                    self.line.sent(ticket);
                }
                Step::Bury {
                    delivery,
                    rejection,
                    cut,
                } => {
                    let (message, reason) = (&delivery.message, &rejection.reason);
                    self.observer
                        .observe(&Observation::Rejected { message, reason });
                    let letter = dead_letter(message, rejection, cut, &self.pipeline);
                    let ticket = self.stop.in_time(self.dead.publish(letter)).await?;
                    self.line.buried(ticket);
                }
                Step::WaitUntil(then) => return Ok(Some(self.started + then)),
                Step::Wait => return Ok(None),
            }
        }
    }

    /// Hears everything that is known already; true if there was something.
    fn catch_up(&mut self) -> bool {
        let mut heard = false;
        while let Some(confirmation) = self.sink.confirmed().now_or_never() {
            self.confirmed(confirmation);
            heard = true;
        }
        while let Some(confirmation) = self.dead.confirmed().now_or_never() {
            self.buried(confirmation);
            heard = true;
        }
        while self.hands.are_busy()
            && let Some(done) = self.hands.done().now_or_never()
        {
            self.processed(done);
            heard = true;
        }
        heard
    }

    fn processed(&mut self, Done { turn, processed }: Done) {
        let notice = self.line.processed(self.started.elapsed(), turn, processed);
        self.tell(notice.as_ref());
    }

    fn confirmed(&mut self, Confirmation { ticket, result }: Confirmation) {
        let notice = self.line.confirmed(self.started.elapsed(), ticket, result);
        self.tell(notice.as_ref());
    }

    fn buried(&mut self, Confirmation { ticket, result }: Confirmation) {
        let notice = self
            .line
            .bury_confirmed(self.started.elapsed(), ticket, result);
        self.tell(notice.as_ref());
    }

    /// True if the source is at its end.
    fn receive(&mut self, received: Received) -> bool {
        match received {
            Received::Delivery(delivery) => {
                self.taken += 1;
                let bytes = delivery.message.size();
                self.line.received(delivery, bytes);
            }
            Received::Restarted => self.restarted(),
            Received::End => return true,
        }
        false
    }

    /// After a wait: what the source has lost meanwhile must not be sent.
    fn forget_lost(&mut self, ended: bool) {
        if !ended && self.source.lost().now_or_never().is_some() {
            self.restarted();
        }
    }

    /// What is on the line comes again.
    fn restarted(&mut self) {
        self.line.restarted();
        self.hands.drop_all();
        self.taken = 0;
        self.observer.observe(&Observation::Restarted);
    }

    /// Accepts what can be accepted, if there is any: what was learned from it is on disk first.
    async fn accept(&mut self) -> Result<bool, End> {
        self.taken = 0;
        let Some(Settled {
            last,
            deliveries,
            outcomes,
            dead,
        }) = self.line.accept()
        else {
            return Ok(false);
        };
        self.names.keep()?;
        let accepted = self.source.accept_through(last.tag);
        self.stop.in_time(accepted).await??;
        self.observer.observe(&Observation::Accepted {
            deliveries,
            outcomes,
            dead,
        });
        Ok(true)
    }

    fn tell(&self, notice: Option<&Notice>) {
        match notice {
            Some(Notice::Held { pause, reason }) => {
                self.observer.observe(&Observation::Held {
                    reason,
                    pause: *pause,
                });
            }
            Some(Notice::Paused { reason }) => {
                self.observer.observe(&Observation::Paused { reason });
            }
            None => {}
        }
    }
}

/// What a verdict says: the message in hand, once it may be worked. What had to be done `before` is
/// added there.
async fn in_hand(
    verdict: Verdict,
    crashes: &Crashes,
    hands: &mut Hands,
    stop: &mut Stop,
    before: &mut Vec<Done>,
) -> Result<Result<InHand, Rejection>, Over> {
    match verdict {
        Verdict::Free(in_hand) => Ok(Ok(in_hand)),
        Verdict::Alone(suspect) => {
            // Another one that is alone may be in our own hands.
            while hands.are_busy() {
                before.push(stop.in_time(hands.done()).await?);
            }
            Ok(Ok(stop.in_time(crashes.alone(suspect)).await?))
        }
        Verdict::Reject(rejection) => Ok(Err(rejection)),
    }
}

/// What the source says; of deliveries only where one is taken.
async fn listen(source: &mut dyn Source, takes: bool) -> Result<Received, EndError> {
    if takes {
        return source.next().await;
    }
    source.lost().await;
    Ok(Received::Restarted)
}
