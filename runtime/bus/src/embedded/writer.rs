//! The thread that writes: what waits is one commit.

use std::sync::Arc;
use std::time::SystemTime;

use redb::Database;
use tokio::sync::{mpsc, oneshot, watch};
use weir_event::{Message, Subscription};

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

pub(super) struct Writer {
    pub(super) database: Arc<Database>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) commits: watch::Sender<u64>,
    pub(super) state: watch::Sender<State>,
    pub(super) log_bytes: u64,
}

impl Writer {
    /// Writes until nobody can send commands any more.
    pub(super) fn run(mut self) {
        while let Some(first) = self.commands.blocking_recv() {
            let batch = self.batch(first);
            let written = self.write(&batch);
            self.show(written.as_ref().err());
            match written {
                Ok(outcomes) => {
                    for (command, outcome) in batch.into_iter().zip(outcomes) {
                        command.answer(outcome);
                    }
                    self.commits.send_modify(|commits| *commits += 1);
                }
                Err(error) => batch.into_iter().for_each(|command| command.fail(&error)),
            }
        }
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

    /// Commits the whole batch, or nothing of it.
    fn write(&self, batch: &[Command]) -> Result<Vec<Outcome>, BusError> {
        let transaction = self.database.begin_write().map_err(tables::failed)?;
        let mut change = Change::begin(&transaction)?;
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
    }

    fn show(&self, error: Option<&BusError>) {
        self.state.send_if_modified(|state| match (&*state, error) {
            (State::Connected, Some(error)) => {
                tracing::error!(%error, "nothing can be written");
                let (since, error) = (SystemTime::now(), error.to_string());
                *state = State::Disconnected { since, error };
                true
            }
            (State::Disconnected { .. }, None) => {
                *state = State::Connected;
                true
            }
            _ => false,
        });
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
            Self::Accept { .. } | Self::Delivered { .. } => {}
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
            // What was not accepted comes again.
            Self::Accept { .. } | Self::Delivered { .. } => {}
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
