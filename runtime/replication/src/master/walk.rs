//! All that a master has, object by object.

use std::collections::VecDeque;

use jiff::Timestamp;
use tracing::warn;
use weir_event::{Action, Event, Reference, RestFrame};
use weir_geoserver::{Collection, Node};

use super::about::About;
use super::error::{HydrateError, there};
use super::frames;
use super::step::{Listed, Step};

/// How many directories are looked into for templates and the like: each feature type has one, so a
/// catalog of 100,000 has room.
const MAX_DIRECTORIES: usize = 200_000;

/// Every object of a master, in the order of dependencies: a slave that is given one after the other
/// has what each of them needs.
///
/// One store's names are held at a time, and no bodies. What is made or removed meanwhile may be told
/// or not: whoever walks hears of it by an event.
#[derive(Debug)]
pub struct Walk {
    node: Node,
    source: String,
    started: Timestamp,
    /// The next ones first.
    ready: VecDeque<Listed>,
    /// The next one last.
    steps: Vec<Step>,
    told: u64,
    /// About how many layers there are, and how many that stores publish were told.
    layers: Option<u64>,
    published: u64,
    directories: usize,
}

impl Walk {
    pub(super) fn new(node: Node, source: String) -> Self {
        let mut steps = Step::first();
        steps.reverse();
        Self {
            node,
            source,
            started: Timestamp::now(),
            ready: VecDeque::new(),
            steps,
            told: 0,
            layers: None,
            published: 0,
            directories: 0,
        }
    }

    /// The hint of the next object; `None` when all were told.
    ///
    /// After an error the walk goes on with the next call: [`HydrateError::Transient`] where it was,
    /// and else without what could not be listed. Safe to drop.
    pub async fn next(&mut self) -> Result<Option<Event>, HydrateError> {
        if self.layers.is_none() {
            // It is for the estimate alone.
            let tiles = match there(self.node.list(&Collection::TileLayers).await) {
                Err(error @ HydrateError::Transient(_)) => return Err(error),
                tiles => tiles.ok().flatten(),
            };
            self.layers = Some(tiles.map_or(0, |names| names.len() as u64));
        }
        loop {
            if let Some(listed) = self.ready.pop_front() {
                self.told += 1;
                self.published += u64::from(listed.store.is_some());
                return Ok(Some(self.hint(listed)));
            }
            let Some(step) = self.steps.last() else {
                return Ok(None);
            };
            let found = match step.take(&self.node).await {
                Ok(found) => found,
                Err(error) => {
                    if !matches!(error, HydrateError::Transient(_)) {
                        self.steps.pop();
                    }
                    return Err(error);
                }
            };
            self.steps.pop();
            self.ready.extend(found.objects);
            self.go_on_with(found.then);
        }
    }

    fn go_on_with(&mut self, then: Vec<Step>) {
        for step in then.into_iter().rev() {
            if matches!(step, Step::Directory(_)) {
                if self.directories == MAX_DIRECTORIES {
                    warn!("more than {MAX_DIRECTORIES} directories: what is in others is not told");
                }
                self.directories += 1;
                if self.directories > MAX_DIRECTORIES {
                    continue;
                }
            }
            self.steps.push(step);
        }
    }

    /// A hint as a frame that says no state: decoded, it is the hint again.
    pub fn frame(hint: &Event) -> Result<RestFrame, HydrateError> {
        let about = About::of(hint)?;
        Ok(frames::hint(hint, about))
    }

    /// How many objects were told.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// About how many are still to come: exact only where they are listed already.
    pub fn to_come(&self) -> u64 {
        let layers = self.layers.unwrap_or_default();
        let (mut tiles, mut published) = (0, 0);
        for step in &self.steps {
            match step {
                Step::TileLayers => tiles = layers,
                Step::Stores(..) | Step::Resources(..) => {
                    published = layers.saturating_sub(self.published);
                }
                Step::Workspaces => (tiles, published) = (layers, layers),
                _ => {}
            }
        }
        self.ready.len() as u64 + self.steps.len() as u64 + tiles + published
    }

    fn hint(&self, listed: Listed) -> Event {
        let store = listed.store.map(|target| Reference {
            role: "store".to_owned(),
            target,
        });
        Event {
            id: format!("walk-{}-{}", self.started.as_millisecond(), self.told),
            source: self.source.clone(),
            time: format!("{:.3}", Timestamp::now()),
            sequence: None,
            action: Action::Modified,
            subject: listed.object,
            previous: None,
            references: store.into_iter().collect(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: None,
        }
    }
}
