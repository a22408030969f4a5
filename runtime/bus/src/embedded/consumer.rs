//! A consumer on the embedded bus.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{OwnedMutexGuard, watch};
use weir_event::Message;

use super::tables::Opened;
use super::writer::Command;
use super::{Inner, tables};
use crate::{BusError, Prefetch, Received};

pub(crate) struct Consumer {
    store: Arc<Inner>,
    queue: String,
    prefetch: Prefetch,
    phase: Phase,
    commits: watch::Receiver<u64>,
    /// Read from the queue, and not yet handed out.
    ahead: VecDeque<(u64, Message)>,
    /// Handed out, and not accepted: the tags, and how large each is.
    unsettled: VecDeque<(u64, usize)>,
    unsettled_bytes: usize,
    /// The last sequence that was read, and up to which the writer knows of that.
    read: u64,
    noted: u64,
    opened: Opened,
}

enum Phase {
    Idle,
    /// Kept here, so that whoever stops waiting for a delivery does not stop the opening.
    Opening(Pin<Box<dyn Future<Output = Result<Open, BusError>> + Send>>),
    Open(OwnedMutexGuard<()>),
}

struct Open {
    /// Makes this the active consumer of its queue.
    active: OwnedMutexGuard<()>,
    opened: Opened,
}

impl Consumer {
    pub(super) fn new(store: Arc<Inner>, queue: String, prefetch: Prefetch) -> Self {
        Self {
            commits: store.commits.clone(),
            store,
            queue,
            prefetch,
            phase: Phase::Idle,
            ahead: VecDeque::new(),
            unsettled: VecDeque::new(),
            unsettled_bytes: 0,
            read: 0,
            noted: 0,
            opened: Opened::default(),
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Received, BusError> {
        self.open().await?;
        loop {
            if self.noted < self.read {
                let (queue, through) = (self.queue.clone(), self.read);
                self.store
                    .send(Command::Delivered { queue, through })
                    .await?;
                self.noted = through;
            }
            if let Some((tag, message)) = self.ahead.pop_front() {
                let size = message.payload.len();
                self.unsettled.push_back((tag, size));
                self.unsettled_bytes += size;
                let redelivered = tag <= self.opened.before;
                let delivery_count = if tag == self.opened.head {
                    self.opened.times
                } else {
                    u32::from(redelivered)
                };
                return Ok(Received::Delivery {
                    tag,
                    redelivered,
                    delivery_count,
                    message,
                });
            }
            let messages = usize::from(self.prefetch.messages.max(1));
            let room = messages.saturating_sub(self.unsettled.len());
            // The message that goes beyond the bound is the last one until others are settled.
            let bytes = self.prefetch.bytes.saturating_sub(self.unsettled_bytes);
            if room == 0 || bytes == 0 && !self.unsettled.is_empty() {
                return pending().await;
            }
            self.commits.borrow_and_update();
            // A read that takes microseconds is not worth a change of threads.
            let read = |database: &_| tables::read(database, &self.queue, self.read, room, bytes);
            match self.store.file.with(read) {
                Ok(messages) => self.ahead.extend(messages.into_iter().flatten()),
                Err(error) => {
                    self.store.send(Command::Prove).await?;
                    return Err(error);
                }
            }
            match self.ahead.back() {
                Some((sequence, _)) => self.read = *sequence,
                // There is nothing, or the file is closed: either way, the writer will tell.
                None => {
                    if self.commits.changed().await.is_err() {
                        return Err(super::gone());
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<(), BusError> {
        loop {
            match &mut self.phase {
                Phase::Open(_) => return Ok(()),
                Phase::Idle => {
                    let (store, queue) = (Arc::clone(&self.store), self.queue.clone());
                    self.phase = Phase::Opening(Box::pin(async move {
                        let active = store.active(&queue).lock_owned().await;
                        let opened = store.ask(|reply| Command::Open { queue, reply }).await?;
                        Ok(Open { active, opened })
                    }));
                }
                Phase::Opening(opening) => match opening.await {
                    Ok(Open { active, opened }) => {
                        self.opened = opened;
                        self.phase = Phase::Open(active);
                    }
                    Err(error) => {
                        self.phase = Phase::Idle;
                        return Err(error);
                    }
                },
            }
        }
    }

    pub(crate) async fn accept_through(&mut self, tag: u64) -> Result<(), BusError> {
        let accepted = self
            .unsettled
            .partition_point(|(unsettled, _)| *unsettled <= tag);
        if accepted == 0 || self.unsettled.back().is_some_and(|(last, _)| tag > *last) {
            tracing::debug!(queue = self.queue, tag, "accepted a void delivery");
            return Ok(());
        }
        let sizes = self.unsettled.drain(..accepted).map(|(_, size)| size);
        self.unsettled_bytes -= sizes.sum::<usize>();
        let queue = self.queue.clone();
        self.store
            .send(Command::Accept {
                queue,
                through: tag,
            })
            .await
    }

    pub(crate) async fn close(self) {
        if let Phase::Open(active) = self.phase {
            let queue = self.queue.clone();
            if let Err(error) = self
                .store
                .ask(|reply| Command::Close { queue, reply })
                .await
            {
                tracing::debug!(queue = self.queue, %error, "closing was not noted");
            }
            drop(active);
        }
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("queue", &self.queue)
            .field("read", &self.read)
            .field("unsettled", &self.unsettled.len())
            .finish_non_exhaustive()
    }
}
