//! Stages: plugins with settings, compiled and linked. Events go through them.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use tokio::task;
use wasmtime::component::Component;
use weir_event::{Event, Reason};

use crate::bench::Bench;
use crate::bindings::{Entry, Failure, Interest, Lowered, filtering, lift, routing, transforming};
use crate::configure::Settings;
use crate::fast::{Fast, Vain};
use crate::fault::{Cause, Fault};
use crate::full::Full;
use crate::limits::{Instances, Limits};
use crate::outcome;
use crate::plugin::Plugin;
use crate::prepare::{Prepared, prepare};

/// A plugin that is ready for events, by the world that it targets.
#[derive(Debug)]
pub enum Stage {
    Filter(Filter),
    Transform(Transform),
    Router(Router),
}

/// Says of an event whether it goes on.
#[derive(Debug)]
pub struct Filter(pub(crate) Slot<filtering::GuestIndices>);

/// Turns an event into none, one or many.
#[derive(Debug)]
pub struct Transform(pub(crate) Slot<transforming::GuestIndices>);

/// Chooses the slaves that an event goes to.
#[derive(Debug)]
pub struct Router(pub(crate) Slot<routing::GuestIndices>);

/// What a filter says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Keep,
    /// The event ends here, for this reason.
    Drop(Reason),
}

/// What a transform makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event goes on as it is.
    Unchanged,
    /// These take its place.
    Replaced(Vec<Event>),
}

/// Why a plugin cannot be used with these settings.
#[derive(Debug, Error)]
pub enum StageError {
    /// In the plugin's own words.
    #[error("stage `{stage}`: plugin `{plugin}` refuses its settings: {message}")]
    Refused {
        stage: String,
        plugin: String,
        message: String,
    },
    /// It failed while it took its settings; the text is that of a [`Fault`].
    #[error("{0} (while it took its settings)")]
    Configure(String),
    /// The component is not sound, or not made for the contract that it names.
    #[error("stage `{stage}`: plugin `{plugin}` cannot be used: {reason}")]
    Unusable {
        stage: String,
        plugin: String,
        reason: String,
    },
}

impl Filter {
    /// Asks the plugin about an event.
    pub async fn filter(&self, event: &Event) -> Result<Judgement, Fault> {
        Ok(match self.0.ask(event).await? {
            filtering::Verdict::Keep => Judgement::Keep,
            filtering::Verdict::Drop(reason) => Judgement::Drop(Reason::new(reason)),
        })
    }
}

impl Transform {
    /// What takes the place of this event: events within the limits, with ids of their own.
    pub async fn transform(&self, event: &Event) -> Result<Outcome, Fault> {
        let outcomes = match self.0.ask(event).await? {
            transforming::Outcome::Unchanged => return Ok(Outcome::Unchanged),
            transforming::Outcome::Replaced(outcomes) => outcomes,
        };
        let outcomes: Vec<Event> = outcomes
            .into_iter()
            .map(|outcome| lift(outcome, event, self.0.interest))
            .collect();
        outcome::check_events(&outcomes, event, &self.0.bench.limits)
            .map_err(|cause| self.0.bench.fault(cause))?;
        Ok(Outcome::Replaced(outcomes))
    }
}

impl Router {
    /// The slaves that the event goes to: some of those in the settings, in their order.
    pub async fn route(&self, event: &Event) -> Result<Vec<String>, Fault> {
        let choice = self.0.ask(event).await?;
        outcome::chosen(&choice, &self.0.slaves).map_err(|cause| self.0.bench.fault(cause))
    }
}

macro_rules! described {
    ($($stage:ident),*) => {
        $(impl $stage {
            /// What the stage is called in logs and faults.
            pub fn name(&self) -> &str {
                &self.0.bench.place.stage
            }

            /// The plugin that fills it.
            pub fn plugin(&self) -> &Plugin {
                &self.0.bench.plugin
            }
        })*

        impl Stage {
            /// What the stage is called in logs and faults.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$stage(stage) => stage.name(),)*
                }
            }

            /// The plugin that fills it.
            pub fn plugin(&self) -> &Plugin {
                match self {
                    $(Self::$stage(stage) => stage.plugin(),)*
                }
            }
        }
    };
}

described!(Filter, Transform, Router);

/// A stage of one world: the lanes that events can take through its plugin.
pub(crate) struct Slot<W: Entry> {
    bench: Arc<Bench>,
    /// What the plugin wants of events.
    interest: Interest,
    /// The slaves that a router may choose.
    slaves: Vec<String>,
    fast: Option<Fast<W>>,
    full: Arc<Full<W>>,
}

impl<W: Entry> Slot<W> {
    pub(crate) async fn new(
        plugin: &Plugin,
        name: &str,
        settings: &Settings,
        limits: Limits,
        instances: Instances,
    ) -> Result<Self, StageError> {
        let bench = Arc::new(Bench::new(name, plugin, limits));
        let host = plugin.host();
        let key = host
            .cache()
            .map(|cache| cache.key(plugin.digest(), settings, bench.limits.memory));
        if let Some(key) = key.clone() {
            let host = host.clone();
            let load = move || host.cache()?.load(&key);
            let kept = task::spawn_blocking(load).await.ok().flatten();
            // Whatever is wrong with what was kept, it is made anew.
            if let Some(kept) = kept
                && let Ok(slot) = Self::from_prepared(&bench, &kept, settings, instances).await
            {
                return Ok(slot);
            }
        }
        tracing::info!(stage = name, plugin = plugin.name(), "compiling");
        let prepared = match host.workshop() {
            Some(workshop) => workshop.prepare(&bench, settings).await?,
            None => prepare::<W>(&bench, settings).await?,
        };
        let slot = Self::from_prepared(&bench, &prepared, settings, instances).await?;
        if let Some(key) = key {
            let host = host.clone();
            let store = move || {
                if let Some(cache) = host.cache() {
                    cache.store(&key, &prepared);
                }
            };
            task::spawn_blocking(store).await.unwrap_or_default();
        }
        Ok(slot)
    }

    async fn from_prepared(
        bench: &Arc<Bench>,
        prepared: &Prepared,
        settings: &Settings,
        instances: Instances,
    ) -> Result<Self, StageError> {
        let unusable = |error: wasmtime::Error| bench.unusable(&format_args!("{error:#}"));
        let load = |code: &[u8]| {
            let engine = bench.plugin.host().engine();
            #[expect(unsafe_code, reason = "compiled code cannot be loaded otherwise")]
            // SAFETY: the code was compiled by this program: just now, or when it was put into the
            // cache, which is sealed, and whose directory only Weir's user can write to.
            unsafe {
                Component::deserialize(engine, code)
            }
        };
        let instances = instances.or_by(prepared.configured);
        let given = (!prepared.configured).then(|| settings.clone());
        let full = load(&prepared.full).map_err(unusable)?;
        let full = Arc::new(Full::new(bench, &full, instances, given)?);
        let said = full.try_out().await?;
        let fast = match &prepared.lean {
            None => None,
            Some(lean) => {
                let lean = load(lean).map_err(unusable)?;
                Some(Fast::new(bench, &lean, instances).map_err(unusable)?)
            }
        };
        Ok(Self {
            bench: Arc::clone(bench),
            interest: if prepared.configured {
                prepared.interest
            } else {
                said
            },
            slaves: settings.slaves.clone(),
            fast,
            full,
        })
    }

    /// What the plugin says to this event.
    async fn ask(&self, event: &Event) -> Result<W::Answer, Fault> {
        let answer = match self.ask_fast(event) {
            Some(Ok(answer)) => answer,
            Some(Err(Vain::OutOfFuel)) => {
                let fuel = self.bench.limits.fuel;
                return Err(self.bench.fault(Cause::OutOfFuel { fuel }));
            }
            Some(Err(Vain::Otherwise)) | None => self.full.ask(event, self.interest).await?,
        };
        answer.map_err(|failure| {
            self.bench.fault(match failure {
                Failure::Retry(reason) => Cause::Retry(Reason::new(reason)),
                Failure::Reject(reason) => Cause::Reject(Reason::new(reason)),
            })
        })
    }

    fn ask_fast(&self, event: &Event) -> Option<Result<Result<W::Answer, Failure>, Vain>> {
        let fast = self.fast.as_ref()?;
        fast.ask(&Lowered::new(event, self.interest))
    }
}

impl<W: Entry> fmt::Debug for Slot<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("place", &self.bench.place)
            .field("limits", &self.bench.limits)
            .finish_non_exhaustive()
    }
}
