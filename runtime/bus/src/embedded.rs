//! The bus of a single process: one file, with the promises of the bus on RabbitMQ.
//!
//! One thread writes. It takes what waits, commits it as one, and only then answers: the wait for
//! the disk is shared by all that published or accepted meanwhile. Consumers read for themselves.

mod consumer;
mod file;
mod publisher;
mod record;
mod tables;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};
use weir_event::Subscription;

use crate::consumer::Source;
use crate::publisher::Target;
use crate::{BusError, Prefetch, State};
use file::File;
use writer::{Command, Writer};

pub(crate) use consumer::Consumer;
pub(crate) use publisher::Publisher;

/// The queue of the dead letters.
const DEAD: &str = "weir.dead";

/// How much of the past the log keeps, in bytes.
const LOG_BYTES: u64 = 256 << 20;

/// How many commands may wait for the writer. The messages in them are bounded by bytes as well, by
/// what each publisher may have unconfirmed.
const COMMANDS: usize = 256;

/// An open store. Clones share it; the last one to go waits until everything is written.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<File>,
    /// `None` once the store is being closed, which is how the writer ends.
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<()>>,
    /// Changes with every commit, and when the file was opened anew.
    commits: watch::Receiver<u64>,
    state: watch::Receiver<State>,
    /// Held by the active consumer of each queue.
    active: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Store {
    pub(crate) fn open(directory: &Path, log_bytes: Option<u64>) -> Result<Self, BusError> {
        Self::open_with_log(directory, log_bytes.unwrap_or(LOG_BYTES))
    }

    fn open_with_log(directory: &Path, log_bytes: u64) -> Result<Self, BusError> {
        let file = Arc::new(File::open(directory)?);
        let (commands, waiting) = mpsc::channel(COMMANDS);
        let (commits_sender, commits) = watch::channel(0);
        let (state_sender, state) = watch::channel(State::Connected);
        let writer = Writer::new(
            Arc::clone(&file),
            waiting,
            commits_sender,
            state_sender,
            log_bytes,
        );
        let writer = writer::spawn(writer)
            .map_err(|error| BusError::Store(format!("cannot start its writer: {error}")))?;
        Ok(Self(Arc::new(Inner {
            file,
            commands: Some(commands),
            writer: Some(writer),
            commits,
            state,
            active: Mutex::default(),
        })))
    }

    pub(crate) async fn attach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        let (queue, subscriptions) = (slave_queue(slave), subscriptions.to_vec());
        self.0
            .ask(|reply| Command::Attach {
                queue,
                subscriptions,
                reply,
            })
            .await
    }

    pub(crate) async fn detach(
        &self,
        slave: &str,
        subscriptions: &[Subscription],
    ) -> Result<(), BusError> {
        let (queue, subscriptions) = (slave_queue(slave), subscriptions.to_vec());
        self.0
            .ask(|reply| Command::Detach {
                queue,
                subscriptions,
                reply,
            })
            .await
    }

    pub(crate) fn consumer(&self, source: &Source, prefetch: Prefetch) -> Consumer {
        let queue = match source {
            Source::Slave(name) => slave_queue(name),
            Source::Dead => DEAD.to_owned(),
        };
        Consumer::new(Arc::clone(&self.0), queue, prefetch)
    }

    pub(crate) fn publisher(&self, target: Target) -> Publisher {
        Publisher::new(Arc::clone(&self.0), target)
    }

    pub(crate) fn state(&self) -> State {
        self.0.state.borrow().clone()
    }
}

impl Inner {
    async fn send(&self, command: Command) -> Result<(), BusError> {
        let sent = match &self.commands {
            Some(commands) => commands.send(command).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(gone()) }
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, BusError>>) -> Command,
    ) -> Result<T, BusError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// What the active consumer of a queue holds.
    fn active(&self, queue: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(active.entry(queue.to_owned()).or_default())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the embedded bus panicked");
        }
    }
}

fn slave_queue(name: &str) -> String {
    format!("weir.slave.{name}")
}

fn gone() -> BusError {
    BusError::Store("its writer has ended; start anew".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_event::Message;

    #[tokio::test]
    async fn the_log_forgets_the_oldest_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open_with_log(directory.path(), 10_000).unwrap();
        let mut publisher = store.publisher(Target::Events);
        for number in 0..100_u32 {
            let payload = number.to_le_bytes().repeat(100).into();
            publisher
                .publish(Message {
                    payload,
                    ..Message::default()
                })
                .await;
        }
        for _ in 0..100 {
            publisher.confirmed().await.result.unwrap();
        }
        let log = store.0.file.with(tables::read_log).unwrap().unwrap();
        let kept: Vec<u64> = log.iter().map(|(sequence, _)| *sequence).collect();
        let bytes: usize = log.iter().map(|(_, message)| message.payload.len()).sum();
        assert!(bytes <= 10_000 && bytes > 5_000, "{bytes}");
        assert_eq!(kept, (101 - kept.len() as u64..=100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn closing_in_peace_does_not_count_as_a_delivery() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), None).unwrap();
        store.attach("eu", &["#".parse().unwrap()]).await.unwrap();
        let mut publisher = store.publisher(Target::Events);
        publisher.publish(Message::default()).await;
        publisher.confirmed().await.result.unwrap();
        for _ in 0..10 {
            let mut consumer = store.consumer(&Source::Slave("eu".to_owned()), 1.into());
            assert!(matches!(
                consumer.next().await,
                Ok(crate::Received::Delivery {
                    delivery_count: 0,
                    ..
                })
            ));
            consumer.close().await;
        }
    }
}
