//! The thread that writes: what waits is one commit.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use weir_event::{Message, Subscription};

use super::file::File;
use super::tables::{Change, Opened};
use super::{record, tables};
use crate::publisher::Target;
use crate::{BusError, Confirmation, PublishError, State};

/// How many commands, and how many bytes of payload, go into one commit. The first sets the price
/// of a commit against the wait for it; the second bounds what is held twice in memory.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 8 << 20;

/// The largest message that the store takes, as on RabbitMQ 4.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

type Reply<T> = oneshot::Sender<Result<T, BusError>>;

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all publish a message")]
pub(super) enum Command {
    Publish {
        target: Target,
        ticket: u64,
        message: Message,
        reply: mpsc::Sender<Confirmation>,
    },
    Accept {
        queue: String,
        through: u64,
    },
    Delivered {
        queue: String,
        through: u64,
    },
    Attach {
        queue: String,
        subscriptions: Vec<Subscription>,
        reply: Reply<()>,
    },
    Detach {
        queue: String,
        subscriptions: Vec<Subscription>,
        reply: Reply<()>,
    },
    /// Opens a queue for a consumer; the answer is up to where it was handed out before.
    Open {
        queue: String,
        reply: Reply<Opened>,
    },
    Close {
        queue: String,
        reply: Reply<()>,
    },
    /// Writes nothing, which shows whether it could. Who cannot read sends it, since a file that
    /// failed has to be opened anew.
    Prove,
}

/// What a command came to, apart from failures of the store, which are the same for all.
enum Outcome {
    Done,
    /// The queue is open, and was handed out up to here.
    Opened(Opened),
    /// The message cannot be kept, for this reason.
    TooLarge(String),
    Missing(BusError),
}

/// The first pause before the file is opened anew, and the longest: opening reads all of a file that
/// was not closed in peace, and a disk that is full stays so for minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Starts the thread.
pub(super) fn spawn(writer: Writer) -> std::io::Result<JoinHandle<()>> {
    // Of its own, so that it goes on to the end whatever becomes of everybody else's.
    let clock = runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    std::thread::Builder::new()
        .name("weir-bus".to_owned())
        .spawn(move || clock.block_on(writer.run()))
}

pub(super) struct Writer {
    file: Arc<File>,
    commands: mpsc::Receiver<Command>,
    commits: watch::Sender<u64>,
    state: watch::Sender<State>,
    log_bytes: u64,
    /// What nobody sends again, from batches that failed.
    owed: Owed,
    /// After a failure, until something is written again.
    failure: Option<Failure>,
}

struct Failure {
    error: BusError,
    /// When the file is opened anew.
    again: Instant,
    pause: Duration,
}

/// Up to where each queue was accepted and handed out.
#[derive(Default)]
struct Owed {
    accepted: BTreeMap<String, u64>,
    delivered: BTreeMap<String, u64>,
}

impl Writer {
    pub(super) fn new(
        file: Arc<File>,
        commands: mpsc::Receiver<Command>,
        commits: watch::Sender<u64>,
        state: watch::Sender<State>,
        log_bytes: u64,
    ) -> Self {
        Self {
            file,
            commands,
            commits,
            state,
            log_bytes,
            owed: Owed::default(),
            failure: None,
        }
    }

    /// Writes until nobody can send commands any more.
    async fn run(mut self) {
        loop {
            let first = match &self.failure {
                None => self.commands.recv().await,
                Some(failure) => {
                    let Ok(first) = timeout_at(failure.again, self.commands.recv()).await else {
                        self.recover();
                        continue;
                    };
                    first
                }
            };
            let Some(first) = first else { return };
            let batch = self.batch(first);
            let written = match &self.failure {
                None => self.attempt(&batch),
                // Nobody is kept waiting by a disk that is full.
                Some(failure) => Err(failure.error.clone()),
            };
            match written {
                Ok(outcomes) => {
                    for (command, outcome) in batch.into_iter().zip(outcomes) {
                        command.answer(outcome);
                    }
                    self.commits.send_modify(|commits| *commits += 1);
                }
                Err(error) => {
                    self.owed.add(&batch);
                    for command in batch {
                        command.fail(&error);
                    }
                }
            }
        }
    }

    /// Opens the file anew, and proves that it can be written.
    fn recover(&mut self) {
        let recovered = self.file.reopen().and_then(|()| self.attempt(&[]));
        match recovered {
            Ok(_) => {
                self.failure = None;
                self.state.send_replace(State::Connected);
                tracing::info!("the store of the embedded bus can be written again");
                // Who found the file closed looks again.
                self.commits.send_modify(|commits| *commits += 1);
            }
            Err(error) => self.failed(error),
        }
    }

    /// Commits the whole batch, or nothing of it. After a failure the file is closed.
    fn attempt(&mut self, batch: &[Command]) -> Result<Vec<Outcome>, BusError> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write(batch)));
        let written = written.unwrap_or_else(|_| {
            // What it was about is told already, by whatever hears of panics.
            Err(BusError::Store("its writer panicked".to_owned()))
        });
        match &written {
            Ok(_) => self.owed = Owed::default(),
            Err(error) => self.failed(error.clone()),
        }
        written
    }

    fn failed(&mut self, error: BusError) {
        self.file.close();
        let pause = match &self.failure {
            None => FIRST_PAUSE,
            Some(failure) => (failure.pause * 2).min(LONGEST_PAUSE),
        };
        if self.failure.is_none() {
            tracing::error!(%error, "nothing can be written, will keep trying");
            let (since, error) = (SystemTime::now(), error.to_string());
            self.state
                .send_replace(State::Disconnected { since, error });
        }
        self.failure = Some(Failure {
            error,
            again: Instant::now() + pause,
            pause,
        });
    }

    fn batch(&mut self, first: Command) -> Vec<Command> {
        let mut bytes = first.size();
        let mut batch = vec![first];
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Ok(command) = self.commands.try_recv()
        {
            bytes += command.size();
            batch.push(command);
        }
        batch
    }

    fn write(&self, batch: &[Command]) -> Result<Vec<Outcome>, BusError> {
        let written = self.file.with(|database| {
            let transaction = database.begin_write().map_err(tables::failed)?;
            let mut change = Change::begin(&transaction)?;
            self.owed.apply(&mut change)?;
            let mut outcomes = Vec::with_capacity(batch.len());
            for command in batch {
                outcomes.push(match command.apply(&mut change, self.log_bytes) {
                    Err(missing @ BusError::Missing(_)) => Outcome::Missing(missing),
                    applied => applied?,
                });
            }
            change.finish()?;
            transaction.commit().map_err(tables::failed)?;
            Ok(outcomes)
        })?;
        written.ok_or_else(|| BusError::Store("it is closed".to_owned()))
    }
}

impl Owed {
    /// Remembers what is in a batch that failed, and in nobody's hands any more.
    fn add(&mut self, batch: &[Command]) {
        for command in batch {
            let (owed, queue, through) = match command {
                Command::Accept { queue, through } => (&mut self.accepted, queue, *through),
                Command::Delivered { queue, through } => (&mut self.delivered, queue, *through),
                _ => continue,
            };
            let known = owed.entry(queue.clone()).or_default();
            *known = through.max(*known);
        }
    }

    fn apply(&self, change: &mut Change<'_>) -> Result<(), BusError> {
        for (queue, through) in &self.delivered {
            match change.delivered(queue, *through) {
                Ok(()) | Err(BusError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        for (queue, through) in &self.accepted {
            change.accept(queue, *through)?;
        }
        Ok(())
    }
}

impl Command {
    fn size(&self) -> usize {
        match self {
            Self::Publish { message, .. } => message.payload.len(),
            _ => 0,
        }
    }

    fn apply(&self, change: &mut Change<'_>, log_bytes: u64) -> Result<Outcome, BusError> {
        match self {
            Self::Publish {
                target, message, ..
            } => {
                if let Some(reason) = too_large(message) {
                    return Ok(Outcome::TooLarge(reason));
                }
                match target {
                    Target::Events => change.publish(message, log_bytes)?,
                    Target::Dead => change.bury(message)?,
                }
            }
            Self::Accept { queue, through } => change.accept(queue, *through)?,
            Self::Delivered { queue, through } => change.delivered(queue, *through)?,
            Self::Attach {
                queue,
                subscriptions,
                ..
            } => change.attach(queue, subscriptions)?,
            Self::Detach {
                queue,
                subscriptions,
                ..
            } => change.detach(queue, subscriptions)?,
            Self::Open { queue, .. } => return change.open(queue).map(Outcome::Opened),
            Self::Close { queue, .. } => change.close(queue)?,
            Self::Prove => {}
        }
        Ok(Outcome::Done)
    }

    /// Tells whoever sent the command what it came to, if they still listen.
    fn answer(self, outcome: Outcome) {
        match self {
            Self::Publish { ticket, reply, .. } => confirm(
                &reply,
                ticket,
                match outcome {
                    Outcome::TooLarge(reason) => Err(PublishError::TooLarge(reason)),
                    _ => Ok(()),
                },
            ),
            Self::Open { reply, .. } => {
                let opened = match outcome {
                    Outcome::Missing(error) => Err(error),
                    Outcome::Opened(delivered) => Ok(delivered),
                    _ => Ok(Opened::default()),
                };
                drop(reply.send(opened));
            }
            Self::Attach { reply, .. } | Self::Detach { reply, .. } | Self::Close { reply, .. } => {
                drop(reply.send(Ok(())));
            }
            Self::Accept { .. } | Self::Delivered { .. } | Self::Prove => {}
        }
    }

    /// Tells whoever sent the command that the store failed.
    fn fail(self, error: &BusError) {
        match self {
            Self::Publish { ticket, reply, .. } => {
                confirm(
                    &reply,
                    ticket,
                    Err(PublishError::Unavailable(error.to_string())),
                );
            }
            Self::Open { reply, .. } => drop(reply.send(Err(error.clone()))),
            Self::Attach { reply, .. } | Self::Detach { reply, .. } | Self::Close { reply, .. } => {
                drop(reply.send(Err(error.clone())));
            }
            // They are owed.
            Self::Accept { .. } | Self::Delivered { .. } | Self::Prove => {}
        }
    }
}

/// There is always room: a publisher has no more tickets open than its channel holds.
fn confirm(reply: &mpsc::Sender<Confirmation>, ticket: u64, result: Result<(), PublishError>) {
    if let Err(mpsc::error::TrySendError::Full(_)) = reply.try_send(Confirmation { ticket, result })
    {
        tracing::error!(ticket, "a confirmation found no room");
    }
}

fn too_large(message: &Message) -> Option<String> {
    let size = message.payload.len();
    if size > MAX_MESSAGE_BYTES {
        return Some(format!(
            "it has {size} bytes, and {MAX_MESSAGE_BYTES} is the most"
        ));
    }
    record::is_too_deep(message).then(|| "its headers lie too deep in each other".to_owned())
}
