//! Stages: plugins with settings, compiled and linked. Events go through them.

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::task;
use tokio::time::timeout;
use wasmtime::component::{Component, Instance, InstancePre};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use weir_event::Event;

use crate::bindings::{Entry, Failure, Interest, Lowered, filtering, lift, routing, transforming};
use crate::configure::{self, Obstacle, Settings, configure, pre_initialise};
use crate::fault::{Cause, Fault, Place};
use crate::images::{Image, Key};
use crate::limits::{Instances, Limits};
use crate::outcome;
use crate::plugin::Plugin;
use crate::sandbox::{Occasion, Sandbox};

/// The longest reason of a plugin that is passed on, in bytes: it ends up in headers and logs.
const REASON_BYTES: usize = 1024;

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
    Drop(String),
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
    /// It failed while it took its settings.
    #[error("{0} (while it took its settings)")]
    Configure(Fault),
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
        let mut live = self.0.open(event).await?;
        let call = async {
            let event = Lowered::new(event, self.0.interest);
            let answer = live.guest.call_filter(&mut live.store, event.event()).await;
            self.0.close(live, answer)
        };
        Ok(match self.0.in_time(call).await? {
            filtering::Verdict::Keep => Judgement::Keep,
            filtering::Verdict::Drop(reason) => Judgement::Drop(shorten(reason)),
        })
    }
}

impl Transform {
    /// What takes the place of this event: events within the limits, with ids of their own.
    pub async fn transform(&self, event: &Event) -> Result<Outcome, Fault> {
        let mut live = self.0.open(event).await?;
        let call = async {
            let event = Lowered::new(event, self.0.interest);
            let answer = live
                .guest
                .call_transform(&mut live.store, event.event())
                .await;
            self.0.close(live, answer)
        };
        let outcomes = match self.0.in_time(call).await? {
            transforming::Outcome::Unchanged => return Ok(Outcome::Unchanged),
            transforming::Outcome::Replaced(outcomes) => outcomes,
        };
        let outcomes: Vec<Event> = outcomes
            .into_iter()
            .map(|outcome| lift(outcome, event, self.0.interest))
            .collect();
        outcome::check_events(&outcomes, &self.0.bench.limits)
            .map_err(|cause| self.0.bench.fault(cause))?;
        Ok(Outcome::Replaced(outcomes))
    }
}

impl Router {
    /// The slaves that the event goes to: some of those in the settings, in their order.
    pub async fn route(&self, event: &Event) -> Result<Vec<String>, Fault> {
        let mut live = self.0.open(event).await?;
        let call = async {
            let event = Lowered::new(event, self.0.interest);
            let answer = live.guest.call_route(&mut live.store, event.event()).await;
            self.0.close(live, answer)
        };
        let choice = self.0.in_time(call).await?;
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

/// A stage of one world: what instances are made from, and the warm one where there is one.
pub(crate) struct Slot<W: Entry> {
    pub(crate) bench: Arc<Bench>,
    template: Template<W>,
    instances: Instances,
    /// What the plugin wants of events.
    interest: Interest,
    /// The slaves that a router may choose.
    slaves: Vec<String>,
    /// What each instance is given; `None` where the component starts with its settings in it.
    settings: Option<Settings>,
    /// The warm instance, while no event is in it.
    idle: Mutex<Option<Live<W>>>,
}

/// An instance that runs.
pub(crate) struct Live<W: Entry> {
    pub(crate) store: Store<Sandbox>,
    pub(crate) guest: W::Guest,
    /// What it said when it was configured just now, if it was.
    interest: Interest,
    events: u32,
}

impl<W: Entry> Slot<W> {
    pub(crate) async fn new(
        plugin: &Plugin,
        name: &str,
        settings: &Settings,
        limits: Limits,
        instances: Instances,
    ) -> Result<Self, StageError> {
        let bench = Arc::new(Bench {
            place: Arc::new(Place {
                stage: name.to_owned(),
                plugin: plugin.name().to_owned(),
                digest: plugin.digest(),
            }),
            plugin: plugin.clone(),
            limits,
        });
        let slaves = settings.slaves.clone();
        let key = Key::new(plugin.digest(), settings);
        // Whatever is wrong with an image that was kept, a new one is made.
        if let Some(image) = bench.load(key.clone()).await
            && let Ok(slot) = Self::from_image(&bench, image, slaves.clone(), instances).await
        {
            return Ok(slot);
        }
        tracing::info!(stage = name, plugin = plugin.name(), "compiling");
        match pre_initialise::<W>(&bench, settings).await {
            Ok(image) => {
                let image = bench.store_image(key, image).await;
                Self::from_image(&bench, image, slaves, instances).await
            }
            Err(Obstacle::Unable(reason)) => {
                tracing::info!(
                    stage = name,
                    plugin = plugin.name(),
                    reason,
                    "plugin takes its settings in every instance, which costs time"
                );
                let mut slot = Self {
                    template: Template::compile(&bench, plugin.bytes().to_vec()).await?,
                    bench,
                    instances,
                    interest: Interest::default(),
                    slaves,
                    settings: Some(settings.clone()),
                    idle: Mutex::new(None),
                };
                slot.interest = slot.try_out().await?;
                Ok(slot)
            }
            Err(Obstacle::Stage(error)) => Err(error),
        }
    }

    /// A slot whose instances start with their settings in them.
    async fn from_image(
        bench: &Arc<Bench>,
        image: Image,
        slaves: Vec<String>,
        instances: Instances,
    ) -> Result<Self, StageError> {
        let slot = Self {
            bench: Arc::clone(bench),
            template: Template::compile(bench, image.component).await?,
            instances,
            interest: image.interest,
            slaves,
            settings: None,
            idle: Mutex::new(None),
        };
        slot.try_out().await?;
        Ok(slot)
    }

    /// Starts an instance: what is wrong shows now, and not at the first event. Gives what it wants
    /// of events, if it said so just now.
    async fn try_out(&self) -> Result<Interest, StageError> {
        let digest = self.bench.plugin.digest();
        let occasion = Occasion::configure(digest, &Settings::default());
        let live = self.start(Arc::new(occasion)).await?;
        Ok(live.interest)
    }

    /// An instance that is ready for this event.
    pub(crate) async fn open(&self, event: &Event) -> Result<Live<W>, Fault> {
        let occasion = Arc::new(Occasion::event(event));
        let idle = match self.instances {
            Instances::Fresh => None,
            Instances::Warm { .. } => self.idle().take(),
        };
        let mut live = match idle {
            Some(mut live) => {
                live.store.data_mut().begin(occasion);
                live
            }
            None => match self.start(occasion).await {
                Ok(live) => live,
                Err(StageError::Configure(fault)) => return Err(fault),
                // The same settings were taken when the stage was made.
                Err(other) => return Err(self.bench.fault(Cause::Unreadable(other.to_string()))),
            },
        };
        refill(&mut live.store, self.bench.limits.fuel);
        Ok(live)
    }

    /// A new instance, with its settings in it.
    async fn start(&self, occasion: Arc<Occasion>) -> Result<Live<W>, StageError> {
        let bench = &self.bench;
        let deadline = match &self.settings {
            None => bench.limits.deadline,
            Some(_) => configure::deadline(&bench.limits),
        };
        match timeout(deadline, self.start_untimed(occasion)).await {
            Ok(started) => started,
            Err(_) => Err(StageError::Configure(
                bench.fault(Cause::TooSlow { deadline }),
            )),
        }
    }

    async fn start_untimed(&self, occasion: Arc<Occasion>) -> Result<Live<W>, StageError> {
        let bench = &self.bench;
        let first = match &self.settings {
            None => Arc::clone(&occasion),
            Some(settings) => Arc::new(Occasion::configure(bench.plugin.digest(), settings)),
        };
        let fuel = configure::fuel(&bench.limits);
        let mut store = bench.store(first, fuel);
        let guest = match self.template.instantiate(&mut store).await {
            Ok((_, guest)) => guest,
            Err(error) => {
                let fault = bench.diagnose(&store, fuel, &error);
                return Err(StageError::Configure(fault));
            }
        };
        let mut interest = Interest::default();
        if let Some(settings) = &self.settings {
            interest = configure::<W>(bench, &mut store, &guest, settings).await?;
            store.data_mut().begin(occasion);
        }
        Ok(Live {
            store,
            guest,
            interest,
            events: 0,
        })
    }

    /// Ends a call: an instance that failed is thrown away, a warm one goes back.
    pub(crate) fn close<R>(
        &self,
        mut live: Live<W>,
        answer: wasmtime::Result<Result<R, Failure>>,
    ) -> Result<R, Fault> {
        live.store.data_mut().voice.finish();
        let answer = answer.map_err(|error| {
            self.bench
                .diagnose(&live.store, self.bench.limits.fuel, &error)
        })?;
        live.events += 1;
        if let Instances::Warm { recycle } = self.instances
            && live.events < recycle
        {
            *self.idle() = Some(live);
        }
        answer.map_err(|failure| {
            self.bench.fault(match failure {
                Failure::Retry(reason) => Cause::Retry(shorten(reason)),
                Failure::Reject(reason) => Cause::Reject(shorten(reason)),
            })
        })
    }

    /// Waits for a call no longer than the deadline. A call that is given up takes its instance with
    /// it.
    pub(crate) async fn in_time<R>(
        &self,
        call: impl Future<Output = Result<R, Fault>>,
    ) -> Result<R, Fault> {
        let deadline = self.bench.limits.deadline;
        match timeout(deadline, call).await {
            Ok(answer) => answer,
            Err(_) => Err(self.bench.fault(Cause::TooSlow { deadline })),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Live<W>>> {
        // An instance is either in its place or not.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Entry> std::fmt::Debug for Slot<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("place", &self.bench.place)
            .field("limits", &self.bench.limits)
            .field("instances", &self.instances)
            .finish_non_exhaustive()
    }
}

/// A compiled component, linked: instances are made from it.
pub(crate) struct Template<W> {
    pre: InstancePre<Sandbox>,
    entry: W,
}

impl<W: Entry> Template<W> {
    /// Compiles a component, on one of tokio's blocking threads, and links it.
    pub(crate) async fn compile(bench: &Bench, bytes: Vec<u8>) -> Result<Self, StageError> {
        let engine = bench.plugin.host().engine().clone();
        let component = task::spawn_blocking(move || Component::new(&engine, bytes))
            .await
            .map_err(|panicked| bench.unusable(&panicked))?
            .map_err(|error| bench.unusable(&format_args!("{error:#}")))?;
        Self::new(bench, &component)
    }

    pub(crate) fn new(bench: &Bench, component: &Component) -> Result<Self, StageError> {
        let unusable = |error: wasmtime::Error| bench.unusable(&format_args!("{error:#}"));
        let linker = bench.plugin.host().linker();
        let pre = linker.instantiate_pre(component).map_err(unusable)?;
        let entry = W::find(&pre).map_err(unusable)?;
        Ok(Self { pre, entry })
    }

    pub(crate) async fn instantiate(
        &self,
        store: &mut Store<Sandbox>,
    ) -> wasmtime::Result<(Instance, W::Guest)> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let guest = self.entry.enter(store, &instance)?;
        Ok((instance, guest))
    }
}

/// What a stage is made of before it is compiled: it makes stores, and tells what went wrong in them.
pub(crate) struct Bench {
    pub(crate) place: Arc<Place>,
    pub(crate) plugin: Plugin,
    pub(crate) limits: Limits,
}

impl Bench {
    pub(crate) fn store(&self, occasion: Arc<Occasion>, fuel: u64) -> Store<Sandbox> {
        let sandbox = Sandbox::new(&self.place, occasion, &self.limits);
        let mut store = Store::new(self.plugin.host().engine(), sandbox);
        store.limiter(|sandbox| &mut sandbox.memory);
        // A result is copied out of the guest's memory, and cannot rightly be larger than that. One
        // that names the same bytes many times would be.
        store.set_hostcall_fuel(usize::try_from(self.limits.memory).unwrap_or(usize::MAX));
        // At every tick the guest lets other tasks go on, and its deadline is looked at.
        store.epoch_deadline_async_yield_and_update(1);
        refill(&mut store, fuel);
        store
    }

    pub(crate) fn fault(&self, cause: Cause) -> Fault {
        Fault::new(&self.place, cause)
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> StageError {
        StageError::Unusable {
            stage: self.place.stage.clone(),
            plugin: self.place.plugin.clone(),
            reason: reason.to_string(),
        }
    }

    /// What an error that wasmtime gave means for the plugin.
    pub(crate) fn diagnose(
        &self,
        store: &Store<Sandbox>,
        fuel: u64,
        error: &wasmtime::Error,
    ) -> Fault {
        let sandbox = store.data();
        let said = sandbox.voice.said();
        let trap = error.downcast_ref::<Trap>();
        self.fault(if trap == Some(&Trap::OutOfFuel) {
            Cause::OutOfFuel { fuel }
        } else if let Some(full) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            Cause::NoRoom(full.to_string())
        } else if sandbox.memory.refused {
            let memory = self.limits.memory;
            Cause::OutOfMemory { memory, said }
        } else if let Some(trap) = trap {
            let trap = trap.to_string();
            Cause::Crashed { trap, said }
        } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
            let trap = exit.to_string();
            Cause::Crashed { trap, said }
        } else {
            Cause::Unreadable(format!("{error:#}"))
        })
    }

    async fn load(self: &Arc<Self>, key: Key) -> Option<Image> {
        let bench = Arc::clone(self);
        let read = move || bench.plugin.host().images()?.load(&key);
        task::spawn_blocking(read).await.ok()?
    }

    /// Keeps an image for the next start, and hands it back.
    async fn store_image(self: &Arc<Self>, key: Key, image: Image) -> Image {
        let Some(_) = self.plugin.host().images() else {
            return image;
        };
        let bench = Arc::clone(self);
        let write = move || {
            if let Some(images) = bench.plugin.host().images() {
                images.store(&key, &image);
            }
            image
        };
        let written = task::spawn_blocking(write).await;
        written.expect("nothing in it panics, and nobody cancels it")
    }
}

fn refill(store: &mut Store<Sandbox>, fuel: u64) {
    store.set_fuel(fuel).expect("the engine counts fuel");
    store.set_epoch_deadline(1);
}

fn shorten(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES));
    reason
}
