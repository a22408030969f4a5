//! Hydration: a hint says that an object changed; what the object is now is asked of the master.
//!
//! Per object, what is fetched later leaves later: several hints are worked at one time, and
//! outcomes leave in the order of their hints, so hints about one object are fetched one after the
//! other, in their order. Hints about one object that wait together are one: the last of them tells
//! what all of them would.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::sleep;
use weir_event::{Action, Event, Kind, Reason, RestFrame};

use crate::ends::Asked;
use crate::observe::{Observation, Observer};

/// The first and the longest pause before a master that is away is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where the objects of a master are read.
#[async_trait]
pub trait Hydrate: Send + Sync {
    /// What a hint comes to: the state of what it is about, in the order in which a slave must have
    /// it; nothing if there is nothing to be read.
    async fn hydrate(&self, hint: &Event) -> Result<Vec<RestFrame>, HydrateFailure>;
}

/// Why the state of an object is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HydrateFailure {
    /// The master is away or busy: it is waited for, without end.
    #[error("{0}")]
    Transient(Reason),
    /// The hint will never come to anything.
    #[error("{0}")]
    Permanent(Reason),
}

/// The master of a pipeline, and the hints that are fetched or wait for it.
pub(crate) struct Hydrator {
    master: Arc<dyn Hydrate>,
    turns: Arc<Mutex<Turns>>,
}

#[derive(Default)]
struct Turns {
    /// The last hint about each object that is not done.
    last: HashMap<Key, Last>,
    /// How many turns were given.
    given: u64,
}

/// What is fetched in turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    workspace: Option<String>,
    name: Option<String>,
}

struct Last {
    done: oneshot::Receiver<()>,
    /// Set when a later hint tells the same.
    is_told: Arc<AtomicBool>,
    number: u64,
    kind: Kind,
    is_removal: bool,
}

/// The turn of one hint.
pub(crate) struct Hydration {
    master: Arc<dyn Hydrate>,
    turns: Arc<Mutex<Turns>>,
    key: Key,
    /// Of all turns, not of those of one object: one that ends late must not be taken for another.
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    is_told: Arc<AtomicBool>,
    /// Tells the next one when it is dropped.
    _done: oneshot::Sender<()>,
}

impl Key {
    fn of(event: &Event) -> Self {
        let subject = &event.subject;
        let kind = match subject.kind {
            // They have one name, and one is read with another.
            Kind::FeatureType
            | Kind::Coverage
            | Kind::WmsLayer
            | Kind::WmtsLayer
            | Kind::Layer
            | Kind::TileLayer
            | Kind::Published => Kind::Published,
            Kind::Namespace => Kind::Workspace,
            ref other => other.clone(),
        };
        Self {
            kind,
            workspace: subject.workspace.clone(),
            name: subject.name.clone(),
        }
    }
}

impl Hydrator {
    pub(crate) fn new(master: Arc<dyn Hydrate>) -> Self {
        Self {
            master,
            turns: Arc::default(),
        }
    }

    /// Gives a hint its turn. To be called in the order of the hints.
    pub(crate) fn turn(&self, hint: &Event, asked: Option<&Asked>) -> Hydration {
        let key = Key::of(hint);
        let (tell, done) = oneshot::channel();
        let is_told = Arc::new(AtomicBool::new(false));
        let mut turns = lock(&self.turns);
        turns.given += 1;
        let number = turns.given;
        let now = Last {
            done,
            is_told: Arc::clone(&is_told),
            number,
            kind: hint.subject.kind.clone(),
            is_removal: hint.action == Action::Removed,
        };
        let before = turns.last.insert(key.clone(), now);
        drop(turns);
        Hydration {
            master: Arc::clone(&self.master),
            turns: Arc::clone(&self.turns),
            key,
            number,
            before: before.map(|before| {
                // What goes to one slave alone does not tell the others; of one name there are several
                // kinds; and only a removal tells one.
                let tells = asked.is_none_or(|asked| asked.slave.is_none())
                    && before.kind == hint.subject.kind
                    && (!before.is_removal || hint.action == Action::Removed);
                before.is_told.store(tells, Ordering::Release);
                before.done
            }),
            is_told,
            _done: tell,
        }
    }
}

impl Hydration {
    /// What the hint comes to, when those before it about the same object have been fetched. Waits
    /// for a master that is away.
    pub(crate) async fn states(
        mut self,
        hint: &Event,
        observer: &dyn Observer,
    ) -> Result<Vec<RestFrame>, Reason> {
        if let Some(before) = self.before.take() {
            // It ends without a word, as well.
            drop(before.await);
        }
        // What an object was called before a rename only this hint knows.
        if hint.previous.is_none() && self.is_told.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let mut pause = FIRST_PAUSE;
        loop {
            match self.master.hydrate(hint).await {
                Ok(mut frames) => {
                    // What is not there any more was removed or has another name, and a hint that
                    // says which is still to come: to remove it now would tear what was renamed out
                    // of everything that refers to it.
                    if hint.action != Action::Removed {
                        frames.retain(|frame| frame.action != Action::Removed);
                    }
                    return Ok(frames);
                }
                Err(HydrateFailure::Permanent(reason)) => return Err(reason),
                Err(HydrateFailure::Transient(reason)) => {
                    let reason = &reason;
                    observer.observe(&Observation::Held { reason, pause });
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

impl Drop for Hydration {
    fn drop(&mut self) {
        let mut turns = lock(&self.turns);
        let last = turns.last.get(&self.key);
        if last.is_some_and(|last| last.number == self.number) {
            turns.last.remove(&self.key);
        }
    }
}

fn lock(turns: &Mutex<Turns>) -> MutexGuard<'_, Turns> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use weir_event::Object;

    use super::*;

    struct Nothing;

    #[async_trait]
    impl Hydrate for Nothing {
        async fn hydrate(&self, _: &Event) -> Result<Vec<RestFrame>, HydrateFailure> {
            Ok(Vec::new())
        }
    }

    fn hint(kind: Kind, action: Action) -> Event {
        Event {
            id: "1".to_owned(),
            source: "/masters/m".to_owned(),
            time: "2026-01-01T00:00:00Z".to_owned(),
            sequence: None,
            action,
            subject: Object {
                workspace: Some("topp".to_owned()),
                name: Some("roads".to_owned()),
                ..Object::of(kind)
            },
            previous: None,
            references: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: None,
        }
    }

    /// Whether the later of two hints tells what the earlier one would.
    fn tells(earlier: &Event, later: &Event, asked: Option<&str>) -> bool {
        let hydrator = Hydrator::new(Arc::new(Nothing));
        let first = hydrator.turn(earlier, None);
        let asked = asked.map(|slave| Asked {
            slave: Some(slave.to_owned()),
        });
        let second = hydrator.turn(later, asked.as_ref());
        assert!(second.before.is_some(), "they are fetched in turn");
        first.is_told.load(Ordering::Acquire)
    }

    #[test]
    fn a_hint_tells_only_what_its_own_states_say() {
        use Action::{Modified, Removed};
        let layer = |action| hint(Kind::Layer, action);
        let feature_type = |action| hint(Kind::FeatureType, action);
        assert!(tells(&layer(Modified), &layer(Modified), None));
        assert!(tells(&layer(Modified), &layer(Removed), None));
        assert!(!tells(&layer(Removed), &layer(Modified), None));
        assert!(!tells(&feature_type(Modified), &layer(Modified), None));
        assert!(!tells(&layer(Modified), &layer(Modified), Some("eu")));
    }

    #[test]
    fn what_is_done_is_forgotten() {
        let hydrator = Hydrator::new(Arc::new(Nothing));
        let hint = hint(Kind::Layer, Action::Modified);
        let (first, second) = (hydrator.turn(&hint, None), hydrator.turn(&hint, None));
        drop(second);
        let third = hydrator.turn(&hint, None);
        drop(first);
        assert_eq!(lock(&hydrator.turns).last.len(), 1, "the third is not done");
        drop(third);
        assert!(lock(&hydrator.turns).last.is_empty());
    }
}
