//! A slave at work: frames are applied one after the other, and those that wait for others set
//! aside meanwhile.
//!
//! A frame says all that an object is, so a later frame of the same object takes the place of one
//! that waits. There is one writer: GeoServer does one write at a time, too.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use futures::FutureExt as _;
use thiserror::Error;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};
use weir_event::{Reason, RestFrame};
use weir_geoserver::Object;

use crate::memory::Key;
use crate::replica::{Applied, ApplyError, Replica};
use crate::{Target, is_body};

/// How many frames may be applied before what was learned is kept and they are confirmed, while
/// others are there already: to keep is to wait for a disk.
const BATCH: usize = 64;

/// Where what the slave's memory learns is kept.
pub trait Keep: Send {
    /// Puts lines on disk: they are found again after a crash.
    fn keep(&mut self, lines: &str) -> io::Result<()>;
}

/// A slave at work.
#[derive(Debug)]
pub struct Slave {
    frames: mpsc::Sender<(u64, Bytes)>,
    settled: Arc<Settlements>,
    tickets: u64,
    /// Ends with this.
    _work: JoinSet<()>,
}

/// What became of a frame.
#[derive(Debug)]
pub struct Settled {
    /// The one that [`Slave::publish`] gave.
    pub ticket: u64,
    pub result: Result<(), Failed>,
}

/// Frames that are settled, until somebody asks. No more than were handed over, and whoever hands over
/// one may not be listening: so this never waits.
#[derive(Debug, Default)]
struct Settlements {
    waiting: Mutex<VecDeque<Settled>>,
    more: Notify,
}

impl Settlements {
    fn add(&self, settled: Settled) {
        self.lock().push_back(settled);
        self.more.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Settled>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a frame was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failed {
    /// The slave is away or busy: the same frame may work later.
    #[error("{0}")]
    Transient(Reason),
    /// It never will.
    #[error("{0}")]
    Permanent(Reason),
}

impl Slave {
    /// Sets to work. At most `window` frames are waiting in line, and one waits for others for
    /// `patience` at most. Must be called within a tokio runtime.
    pub fn start(replica: Replica, keep: Box<dyn Keep>, window: usize, patience: Duration) -> Self {
        let (frames, to_apply) = mpsc::channel(window.max(1));
        let settled = Arc::new(Settlements::default());
        let work = Work {
            replica,
            keep,
            patience,
            settled: Arc::clone(&settled),
            waiting: Vec::new(),
            done: Vec::new(),
        };
        let mut task = JoinSet::new();
        task.spawn(work.run(to_apply));
        Self {
            frames,
            settled,
            tickets: 0,
            _work: task,
        }
    }

    /// Hands over a frame of `geoserver-rest`; gives the ticket under which it is settled.
    pub async fn publish(&mut self, payload: Bytes) -> u64 {
        self.tickets += 1;
        // The task ends with us.
        drop(self.frames.send((self.tickets, payload)).await);
        self.tickets
    }

    /// The next frame that is settled, in any order; pends while there is none. Safe to drop.
    pub async fn settled(&mut self) -> Settled {
        loop {
            let settled = self.settled.lock().pop_front();
            if let Some(settled) = settled {
                return settled;
            }
            self.settled.more.notified().await;
        }
    }
}

/// A frame that waits for something that another one brings.
struct Waiting {
    ticket: u64,
    frame: RestFrame,
    needs: Option<Target>,
    until: Instant,
}

struct Work {
    replica: Replica,
    keep: Box<dyn Keep>,
    patience: Duration,
    settled: Arc<Settlements>,
    waiting: Vec<Waiting>,
    /// Applied, and not confirmed: what was learned of them is not kept yet.
    done: Vec<u64>,
}

impl Work {
    async fn run(mut self, mut frames: mpsc::Receiver<(u64, Bytes)>) {
        loop {
            if self.done.len() >= BATCH || frames.is_empty() {
                self.confirm();
            }
            let soonest = self.waiting.iter().map(|waiting| waiting.until).min();
            let at = soonest.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = sleep_until(at), if soonest.is_some() => self.lose_patience(at).await,
                frame = frames.recv() => {
                    let Some((ticket, payload)) = frame else {
                        return;
                    };
                    if let Err(reason) = self.take(ticket, &payload).await {
                        // Those behind it would meet the same, and come again after it.
                        while let Ok((ticket, _)) = frames.try_recv() {
                            self.fail(ticket, Failed::Transient(reason.clone()));
                        }
                    }
                }
            }
        }
    }

    /// Applies a frame; an error if the slave is away.
    async fn take(&mut self, ticket: u64, payload: &[u8]) -> Result<(), Reason> {
        let frame = match RestFrame::read(payload) {
            Ok(frame) => frame,
            Err(error) => {
                self.fail(ticket, Failed::Permanent(Reason::new(error)));
                return Ok(());
            }
        };
        // What waits and is of the same object is told by this one, and newer.
        let key = Key::of(&frame);
        let (older, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| {
                let is_older_name = frame.previous.as_ref() == Some(&waiting.frame.place);
                Key::of(&waiting.frame) == key || is_older_name && waiting.frame.kind == frame.kind
            });
        self.waiting = waiting;
        self.done
            .extend(older.iter().map(|older: &Waiting| older.ticket));
        let until = Instant::now() + self.patience;
        let Some(written) = self.apply(ticket, frame, until).await? else {
            return Ok(());
        };
        self.bring(written).await
    }

    /// A fault of our own must not hold up what follows.
    async fn applied(&mut self, frame: &RestFrame) -> Result<Applied, ApplyError> {
        let applied = AssertUnwindSafe(self.replica.apply(frame)).catch_unwind();
        let broken = "Weir itself panicked over this frame, as its log says; report it";
        applied
            .await
            .unwrap_or_else(|_| Err(ApplyError::refused(broken)))
    }

    /// Gives what was written; nothing if the frame was set aside, refused, or made no difference.
    async fn apply(
        &mut self,
        ticket: u64,
        frame: RestFrame,
        until: Instant,
    ) -> Result<Option<Target>, Reason> {
        match self.applied(&frame).await {
            Ok(applied) => {
                self.done.push(ticket);
                debug!(object = told(&frame), ?applied, "applied");
                let has_body = is_body(frame.content.as_ref());
                let target = Target::of(&frame.kind, &frame.place, has_body);
                Ok(target.ok().filter(|_| applied == Applied::Written))
            }
            Err(ApplyError::Waits { needs, .. }) => {
                self.waiting.push(Waiting {
                    ticket,
                    frame,
                    needs: needs.map(|needs| *needs),
                    until,
                });
                Ok(None)
            }
            Err(ApplyError::Transient(reason)) => {
                self.fail(ticket, Failed::Transient(reason.clone()));
                Err(reason)
            }
            Err(ApplyError::Refused(reason)) => {
                self.refuse(ticket, &frame, reason);
                Ok(None)
            }
        }
    }

    /// Tries what waits for something that was written now, and what waits for that in its turn.
    async fn bring(&mut self, written: Target) -> Result<(), Reason> {
        let mut brought = vec![written];
        while let Some(written) = brought.pop() {
            let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|waiting| {
                    let needs = waiting.needs.as_ref();
                    needs.is_none_or(|needs| brings(&written, needs))
                });
            self.waiting = waiting;
            let mut ready = ready.into_iter();
            while let Some(next) = ready.next() {
                match self.apply(next.ticket, next.frame, next.until).await {
                    Ok(written) => brought.extend(written),
                    Err(reason) => {
                        self.waiting.extend(ready);
                        return Err(reason);
                    }
                }
            }
        }
        Ok(())
    }

    /// Tries for the last time what has waited long enough.
    async fn lose_patience(&mut self, now: Instant) {
        let (over, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.until <= now);
        self.waiting = waiting;
        for Waiting { ticket, frame, .. } in over {
            match self.applied(&frame).await {
                Ok(_) => self.done.push(ticket),
                Err(ApplyError::Waits { reason, .. }) => {
                    let waited = self.patience.as_secs();
                    let reason =
                        format_args!("{reason}, and that did not change within {waited} s");
                    self.refuse(ticket, &frame, reason);
                }
                Err(ApplyError::Transient(reason)) => {
                    self.fail(ticket, Failed::Transient(reason));
                }
                Err(ApplyError::Refused(reason)) => self.refuse(ticket, &frame, reason),
            }
        }
    }

    /// Confirms what was applied, when what was learned of it is on disk.
    fn confirm(&mut self) {
        if self.done.is_empty() {
            return;
        }
        let lines = self.replica.changes();
        let kept = if lines.is_empty() {
            Ok(())
        } else {
            self.keep.keep(lines)
        };
        if kept.is_ok() {
            self.replica.kept();
        }
        let result = kept.map_err(|error| {
            warn!(%error, "what was applied at the slave cannot be kept");
            Failed::Transient(Reason::new(format_args!(
                "what was applied at the slave cannot be kept: {error}"
            )))
        });
        for ticket in std::mem::take(&mut self.done) {
            let result = result.clone();
            self.settled.add(Settled { ticket, result });
        }
    }

    /// It never will be applied: says of what, too.
    fn refuse(&self, ticket: u64, frame: &RestFrame, reason: impl fmt::Display) {
        let reason = Reason::new(format_args!("{}: {reason}", told(frame)));
        self.fail(ticket, Failed::Permanent(reason));
    }

    fn fail(&self, ticket: u64, failed: Failed) {
        let result = Err(failed);
        self.settled.add(Settled { ticket, result });
    }
}

/// What a frame is about, as the slave calls it: `layer topp:states`.
fn told(frame: &RestFrame) -> String {
    let parts = [&frame.place.workspace, &frame.place.name];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    format!("{} {}", frame.kind, parts.join(":"))
}

/// True if a slave that has got the one may have what was needed.
fn brings(written: &Target, needs: &Target) -> bool {
    match (written, needs) {
        // A layer comes with its resource.
        (
            Target::Object(Object::Resource {
                workspace, name, ..
            }),
            Target::Object(Object::Layer {
                workspace: within,
                name: wanted,
            }),
        ) => workspace == within && name == wanted,
        // A workspace comes with its namespace.
        (Target::Object(Object::Namespace(one)), Target::Object(Object::Workspace(other))) => {
            one == other
        }
        // Where a frame does not say which, either may be meant.
        (
            Target::Object(Object::LayerGroup { name, .. }),
            Target::Object(Object::Layer { name: wanted, .. }),
        ) => name == wanted,
        _ => written == needs,
    }
}
