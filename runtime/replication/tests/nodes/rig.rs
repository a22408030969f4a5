//! A master, a slave, and what is between them: hints that are hydrated, mapped and applied.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use weir_event::{Action, Event, RestFrame};
use weir_geoserver::{Node, Object};
use weir_replication::{Failed, HydrateError, Keep, Master, Memory, Replica, Slave};
use weir_test_geoserver::{Document, GeoServer};

use crate::alike;
use crate::changes::{Change, hint};
use crate::ends::{everything, master, node, remapped, told};

/// More than a test has frames.
const WINDOW: usize = 4096;

/// How often frames are given again to a slave that is away, at most: more often than it is.
const ROUNDS: usize = 100;

pub(crate) struct Rig {
    pub(crate) master: GeoServer,
    pub(crate) slave: GeoServer,
    /// Where the master is changed.
    pub(crate) node: Node,
    from: Master,
    prefix: &'static str,
    patience: Duration,
    work: Slave,
    kept: Kept,
    /// Removals that the slave refused, because something still used what is to go.
    dead: Vec<RestFrame>,
}

/// A disk.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<String>>);

impl Keep for Kept {
    fn keep(&mut self, lines: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(lines);
        Ok(())
    }
}

impl Rig {
    /// Two empty doubles; each workspace has the prefix at the slave.
    pub(crate) async fn new(prefix: &'static str, patience: Duration) -> Self {
        let master_at = GeoServer::start().await.unwrap();
        let slave = GeoServer::start().await.unwrap();
        let kept = Kept::default();
        let work = start(&slave, &kept, patience);
        let node = node(&master_at);
        Self {
            from: master(node.clone()),
            node,
            master: master_at,
            slave,
            prefix,
            patience,
            work,
            kept,
            dead: Vec::new(),
        }
    }

    /// The same, which waits for as long as it takes.
    pub(crate) async fn patient(prefix: &'static str) -> Self {
        Self::new(prefix, Duration::from_millis(200)).await
    }

    /// Makes changes at the master and tells each of them, which all work.
    pub(crate) async fn make(&mut self, changes: &[Change]) {
        for change in changes {
            let hints = change.make(&self.master, &self.node).await;
            assert!(!hints.is_empty(), "the master refuses {change:?}");
            assert_eq!(self.tell(&hints).await, [] as [&str; 0], "{change:?}");
        }
    }

    /// What the slave has.
    pub(crate) async fn at_slave(&self, object: &Object) -> Value {
        node(&self.slave).get(object).await.unwrap()
    }

    /// The stages call workspaces otherwise from now on.
    pub(crate) fn call_workspaces(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Ends what is at work, wherever it is, and begins anew, with what was kept or without.
    pub(crate) fn restart(&mut self, remembers: bool) {
        if !remembers {
            self.kept.0.lock().unwrap().clear();
        }
        self.work = start(&self.slave, &self.kept, self.patience);
    }

    /// What hints come to at the slave, as the pipelines make it.
    pub(crate) async fn frames(&self, hints: &[Event]) -> Vec<RestFrame> {
        let mut frames = Vec::new();
        for hint in hints {
            match self.from.hydrate(hint).await {
                // What is not there any more may have another name.
                Ok(more) => frames.extend(more.into_iter().filter(|frame| {
                    hint.action == Action::Removed || frame.action != Action::Removed
                })),
                Err(HydrateError::Nothing(_)) => {}
                Err(error) => panic!("{}: {error}", hint.subject),
            }
        }
        self.mapped(&frames)
    }

    fn mapped(&self, frames: &[RestFrame]) -> Vec<RestFrame> {
        let frames = frames.iter();
        frames.map(|frame| remapped(frame, self.prefix)).collect()
    }

    /// Gives frames to the slave until each is settled; gives which of them never worked, and why.
    pub(crate) async fn give(&mut self, frames: &[RestFrame]) -> Vec<String> {
        let mut refused = Vec::new();
        let mut left: Vec<&RestFrame> = frames.iter().collect();
        for _ in 0..ROUNDS {
            let (again, more) = self.give_once(&left).await;
            refused.extend(more);
            if again.is_empty() {
                return refused;
            }
            left = again;
            // It is down for one round.
            self.slave.up();
        }
        panic!("{} is never settled", told(left[0]));
    }

    /// Gives which of the frames are to be given again, and which never worked.
    pub(crate) async fn give_once<'a>(
        &mut self,
        frames: &[&'a RestFrame],
    ) -> (Vec<&'a RestFrame>, Vec<String>) {
        let mut tickets = VecDeque::new();
        for frame in frames {
            let payload: Bytes = frame.to_payload();
            tickets.push_back((self.work.publish(payload).await, *frame));
        }
        let (mut again, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..tickets.len() {
            let settled = self.work.settled().await;
            let frame = tickets.iter().find(|(ticket, _)| *ticket == settled.ticket);
            let (ticket, frame) = *frame.unwrap();
            match settled.result {
                Ok(()) => {}
                Err(Failed::Transient(_)) => again.push((ticket, frame)),
                Err(Failed::Permanent(reason)) => {
                    refused.push(reason.to_string());
                    self.dead
                        .extend(Some(frame.clone()).filter(|it| it.action == Action::Removed));
                }
            }
        }
        // In the order in which they were given.
        again.sort_by_key(|(ticket, _)| *ticket);
        (again.into_iter().map(|(_, frame)| frame).collect(), refused)
    }

    /// Hydrates hints and gives what they come to.
    pub(crate) async fn tell(&mut self, hints: &[Event]) -> Vec<String> {
        let frames = self.frames(hints).await;
        self.give(&frames).await
    }

    /// Tells the slave everything that the master has.
    pub(crate) async fn walk(&mut self) -> Vec<String> {
        let (frames, broken) = everything(&self.from).await;
        assert_eq!(broken, [] as [&str; 0]);
        let frames = self.mapped(&frames);
        self.give(&frames).await
    }

    /// Tells again what the slave refused to remove.
    pub(crate) async fn tell_the_dead(&mut self) -> Vec<String> {
        let hints = std::mem::take(&mut self.dead).into_iter().map(|frame| {
            let place = frame.master;
            hint(
                Action::Removed,
                frame.kind,
                place.workspace.as_deref(),
                place.name.as_deref(),
            )
        });
        let hints: Vec<Event> = hints.collect();
        self.tell(&hints).await
    }

    /// How the slave is not what the master is.
    pub(crate) fn differences(&self) -> Vec<String> {
        let (mut master, mut slave) = (self.master.state(), self.slave.state());
        // A graphic is told with the styles beside it that name it.
        let styles = master.clone();
        let is_told = |path: &str| {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let names = |(path, document): (&String, &Document)| match document {
                Document::Bytes(bytes) => {
                    path.rsplit_once('/')
                        .is_some_and(|(within, _)| within == directory)
                        && String::from_utf8_lossy(bytes).contains(name)
                }
                _ => false,
            };
            !name.starts_with("dot-") || styles.iter().any(names)
        };
        master.retain(|path, _| is_told(path));
        slave.retain(|path, _| is_told(&path.replace(&format!("/{}", self.prefix), "/")));
        alike::differences(&master, &slave, self.prefix)
    }
}

fn start(slave: &GeoServer, kept: &Kept, patience: Duration) -> Slave {
    let mut memory = Memory::default();
    for line in kept.0.lock().unwrap().lines() {
        memory.restore(line);
    }
    let replica = Replica::new(node(slave), memory);
    Slave::start(replica, Box::new(kept.clone()), WINDOW, patience)
}
