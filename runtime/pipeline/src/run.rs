//! The loop of one pipeline: it carries out what the [`Line`] decides, between a source and a sink.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use weir_event::{HeaderValue, Message};

use crate::chain::Chain;
use crate::ends::{Confirmation, Delivery, EndError, Received, Sink, Source};
use crate::line::{Line, Notice, Policy, Reason, Settled, Step};
use crate::names::Names;
use crate::observe::{Observation, Observer};

/// One pipeline, ready to run.
pub struct Pipeline {
    pub name: String,
    pub source: Box<dyn Source>,
    pub sink: Box<dyn Sink>,
    /// Where dead letters go.
    pub dead: Box<dyn Sink>,
    /// The chain in service. A new one takes over between two events.
    pub chain: watch::Receiver<Arc<Chain>>,
    pub names: Names,
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

impl Pipeline {
    /// Runs until `stop` is cancelled or the source ends. What is in flight then has `drain` to be
    /// confirmed; what is not goes back to the source.
    pub async fn run(self, stop: CancellationToken, drain: Duration) -> Result<Stopped, RunError> {
        let Self {
            name,
            source,
            sink,
            dead,
            mut chain,
            names,
            policy,
            observer,
        } = self;
        let seed = name.bytes().fold(0, |seed: u64, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        // Accepting one by one would cost the broker half of its throughput; accepting only when
        // the line is full would leave the source without work meanwhile.
        let batch = policy.capacity.div_ceil(4);
        let line = Line::new(policy, seed);
        let started = Instant::now();
        let mut engine = Engine {
            source,
            sink,
            dead,
            names,
            line,
            observer,
            started,
            pipeline: name,
            taken: 0,
        };
        let mut deadline: Option<Instant> = None;
        let mut ended = false;
        loop {
            if chain.has_changed().unwrap_or(false) {
                engine.observer.observe(&Observation::Swapped);
                engine.line.resume();
            }
            let current = Arc::clone(&chain.borrow_and_update());
            let wake = engine.work(&current, deadline).await;
            if engine.catch_up() {
                continue;
            }
            let open = deadline.is_none() && !ended;
            if open
                && engine.line.has_room()
                && engine.taken < batch
                && let Some(received) = engine.source.next().now_or_never()
            {
                ended = engine.receive(received?);
                continue;
            }
            // Makes room in the line, so that what follows asks the line again.
            engine.accept().await?;
            if engine.line.is_empty() && !open {
                break;
            }
            // Who waits for a sink to come back, or for people, does not keep a stop waiting.
            let idle = wake.is_some() || engine.line.is_paused();
            if deadline.is_some() && idle && engine.line.in_flight() == 0 {
                break;
            }
            let takes = open && engine.line.has_room();
            tokio::select! {
                confirmation = engine.sink.confirmed() => engine.confirmed(confirmation),
                confirmation = engine.dead.confirmed() => engine.buried(confirmation),
                received = engine.source.next(), if takes => ended = engine.receive(received?),
                () = sleep_until(wake.unwrap_or(started)), if wake.is_some() => {}
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + drain);
                }
                () = sleep_until(deadline.unwrap_or(started)), if deadline.is_some() => break,
                // Seen at the top of the loop, like a change that comes at any other time.
                Ok(()) = chain.changed() => chain.mark_changed(),
            }
        }
        engine.accept().await?;
        let stopped = Stopped {
            given_back: engine.line.len(),
        };
        engine.source.close().await;
        Ok(stopped)
    }
}

/// What the loop works with.
struct Engine {
    source: Box<dyn Source>,
    sink: Box<dyn Sink>,
    dead: Box<dyn Sink>,
    names: Names,
    line: Line<Delivery, Message>,
    observer: Arc<dyn Observer>,
    started: Instant,
    pipeline: String,
    /// Deliveries taken since the last time that some were accepted.
    taken: usize,
}

impl Engine {
    /// Does all that the line wants done now; gives the time at which it wants something again.
    async fn work(&mut self, chain: &Chain, deadline: Option<Instant>) -> Option<Instant> {
        while deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let now = self.started.elapsed();
            match self.line.next(now) {
                Step::Process(Delivery {
                    message,
                    redelivered,
                    ..
                }) => {
                    let (names, observer) = (&mut self.names, &*self.observer);
                    let processed = chain.process(message, *redelivered, names, observer).await;
                    let notice = self.line.processed(now, processed);
                    self.tell(notice.as_ref());
                }
                Step::Publish(message) => {
                    self.observer.observe(&Observation::Sent { message });
                    let ticket = self.sink.publish(message.clone()).await;
                    self.line.sent(ticket);
                }
                Step::Bury {
                    delivery,
                    reason,
                    cut,
                } => {
                    let (message, reason_text) = (&delivery.message, &reason.text);
                    self.observer.observe(&Observation::Rejected {
                        message,
                        reason: reason_text,
                    });
                    let letter = dead_letter(&delivery.message, reason, cut, &self.pipeline);
                    let ticket = self.dead.publish(letter).await;
                    self.line.buried(ticket);
                }
                Step::WaitUntil(then) => return Some(self.started + then),
                Step::Wait => return None,
            }
        }
        None
    }

    /// Hears every confirmation that is there already; true if there was one.
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
        heard
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
                self.line.received(delivery);
            }
            Received::Restarted => {
                self.line.restarted();
                self.observer.observe(&Observation::Restarted);
            }
            Received::End => return true,
        }
        false
    }

    /// Accepts what can be accepted: what was learned from it is on disk first.
    async fn accept(&mut self) -> Result<(), RunError> {
        self.taken = 0;
        let Some(Settled {
            last,
            deliveries,
            outcomes,
            dead,
        }) = self.line.accept()
        else {
            return Ok(());
        };
        self.names.keep()?;
        self.source.accept_through(last.tag).await?;
        self.observer.observe(&Observation::Accepted {
            deliveries,
            outcomes,
            dead,
        });
        Ok(())
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

/// What is left of a message that the bus does not take whole, in bytes.
const CUT_LETTER: usize = 64 << 10;

/// The message as it came, with headers that say what became of it, in place of those from an
/// earlier death. One that is cut has the beginning of its payload, and its size as a header.
fn dead_letter(message: &Message, reason: &Reason, cut: bool, pipeline: &str) -> Message {
    let mut letter = message.clone();
    letter.headers.retain(|name, _| !name.starts_with("weir-"));
    if cut {
        letter.headers.clear();
        letter.payload.truncate(CUT_LETTER);
    }
    let mut header = |name: &str, value: &str| {
        let value = HeaderValue::Text(value.to_owned());
        letter.headers.insert(name.to_owned(), value);
    };
    header("weir-pipeline", pipeline);
    header("weir-reason", &reason.text);
    if let Some((stage, digest)) = &reason.stage {
        header("weir-stage", stage);
        header("weir-plugin-sha256", digest);
    }
    if cut {
        header("weir-original-size", &message.payload.len().to_string());
    }
    letter
}
