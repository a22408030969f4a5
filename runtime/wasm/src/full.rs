//! The full lane: an event through the whole component, with a WASI around it, on the threads that
//! the host has for guests.
//!
//! A guest may take its time here, up to its deadline, and sleep. It lets other guests go on at every
//! tick, and whatever else Weir does has threads of its own, which the kernel prefers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::instrument::WithSubscriber as _;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre};
use weir_event::{Event, Reason};

use crate::bench::{Bench, refill};
use crate::bindings::{Entry, Failure, Interest, Lowered};
use crate::configure::{self, NotConfigured, Settings, configure};
use crate::fault::{Cause, Fault};
use crate::limits::Instances;
use crate::sandbox::{Occasion, Sandbox};
use crate::stage::StageError;

pub(crate) struct Full<W: Entry> {
    bench: Arc<Bench>,
    template: Template<W>,
    instances: Instances,
    /// What each instance is given; `None` where the component starts with its settings in it.
    settings: Option<Settings>,
    /// Warm instances that no event is in: as many as were at work at one time.
    idle: Mutex<Vec<Live<W>>>,
}

/// An instance that runs.
struct Live<W: Entry> {
    store: Store<Sandbox>,
    _place: OwnedSemaphorePermit,
    guest: W::Guest,
    /// What it said when it was configured just now, if it was.
    interest: Interest,
    events: u32,
}

impl<W: Entry> Full<W> {
    /// The lane of a component. `settings` are given to each instance, where the component does not
    /// start with them in it.
    pub(crate) fn new(
        bench: &Arc<Bench>,
        component: &Component,
        instances: Instances,
        settings: Option<Settings>,
    ) -> Result<Self, StageError> {
        Ok(Self {
            bench: Arc::clone(bench),
            template: Template::new(bench, component)?,
            instances,
            settings,
            idle: Mutex::default(),
        })
    }

    /// Starts an instance: what is wrong shows now, and not at the first event. Gives what it wants
    /// of events, if it said so just now.
    pub(crate) async fn try_out(self: &Arc<Self>) -> Result<Interest, StageError> {
        let digest = self.bench.plugin.digest();
        let occasion = Arc::new(Occasion::configure(digest, &Settings::default()));
        let lane = Arc::clone(self);
        let started = self
            .elsewhere(async move { lane.start(occasion).await.map(|live| live.interest) })
            .await;
        started
            .map_err(NotConfigured::Failed)
            .flatten()
            .map_err(|error| error.into_error(&self.bench))
    }

    /// The plugin's answer, or why there is none.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        event: &Event,
        interest: Interest,
    ) -> Result<Result<W::Answer, Failure>, Fault> {
        let (lane, event) = (Arc::clone(self), event.clone());
        self.elsewhere(async move {
            let mut live = lane.open(&event).await?;
            let deadline = lane.bench.limits.deadline;
            let lowered = Lowered::new(&event, interest);
            // A call that is given up takes its instance with it.
            let call = W::handle(&live.guest, &mut live.store, &lowered);
            let answer = timeout(deadline, call)
                .await
                .map_err(|_| lane.bench.fault(Cause::TooSlow { deadline }))?;
            lane.close(live, answer)
        })
        .await
        .flatten()
    }

    /// Runs on the threads for guests; who stops waiting for it ends it.
    async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Fault> {
        let mut task = JoinSet::new();
        task.spawn_on(
            work.with_current_subscriber(),
            self.bench.plugin.host().guests(),
        );
        let done = task.join_next().await.expect("one was spawned");
        done.map_err(|panicked| self.bench.fault(Cause::Unreadable(Reason::new(panicked))))
    }

    /// An instance that is ready for this event.
    async fn open(&self, event: &Event) -> Result<Live<W>, Fault> {
        let occasion = Arc::new(Occasion::event(event));
        let idle = match self.instances {
            Instances::Fresh | Instances::Auto => None,
            Instances::Warm { .. } => self.idle().pop(),
        };
        let mut live = match idle {
            Some(mut live) => {
                live.store.data_mut().begin(occasion);
                live
            }
            None => match self.start(occasion).await {
                Ok(live) => live,
                Err(NotConfigured::Failed(fault)) => return Err(fault),
                // The same settings were taken when the stage was made.
                Err(NotConfigured::Refused(message)) => {
                    return Err(self.bench.fault(Cause::Reject(Reason::new(message))));
                }
            },
        };
        refill(&mut live.store, self.bench.limits.fuel);
        Ok(live)
    }

    /// A new instance, with its settings in it.
    async fn start(&self, occasion: Arc<Occasion>) -> Result<Live<W>, NotConfigured> {
        let bench = &self.bench;
        let deadline = match &self.settings {
            None => bench.limits.deadline,
            Some(_) => configure::deadline(&bench.limits),
        };
        let place = bench.plugin.host().place(bench.plugin.extent()).await;
        match timeout(deadline, self.start_untimed(place, occasion)).await {
            Ok(started) => started,
            Err(_) => Err(NotConfigured::Failed(
                bench.fault(Cause::TooSlow { deadline }),
            )),
        }
    }

    async fn start_untimed(
        &self,
        place: OwnedSemaphorePermit,
        occasion: Arc<Occasion>,
    ) -> Result<Live<W>, NotConfigured> {
        let bench = &self.bench;
        let first = match &self.settings {
            None => Arc::clone(&occasion),
            Some(settings) => Arc::new(Occasion::configure(bench.plugin.digest(), settings)),
        };
        // Only what takes settings has more fuel and time than an event.
        let fuel = match &self.settings {
            None => bench.limits.fuel,
            Some(_) => configure::fuel(&bench.limits),
        };
        let mut store = bench.store(first, fuel);
        let guest = match self.template.instantiate(&mut store).await {
            Ok((_, guest)) => guest,
            Err(error) => {
                let fault = bench.diagnose(&store, fuel, &error);
                return Err(NotConfigured::Failed(fault));
            }
        };
        let mut interest = Interest::default();
        if let Some(settings) = &self.settings {
            interest = configure::<W>(bench, &mut store, &guest, settings).await?;
            store.data_mut().begin(occasion);
        }
        Ok(Live {
            store,
            _place: place,
            guest,
            interest,
            events: 0,
        })
    }

    /// Ends a call: an instance that failed is thrown away, a warm one goes back.
    fn close(
        &self,
        mut live: Live<W>,
        answer: wasmtime::Result<Result<W::Answer, Failure>>,
    ) -> Result<Result<W::Answer, Failure>, Fault> {
        live.store.data_mut().voice.finish();
        let answer = answer.map_err(|error| {
            self.bench
                .diagnose(&live.store, self.bench.limits.fuel, &error)
        })?;
        live.events += 1;
        if let Instances::Warm { recycle } = self.instances
            && live.events < recycle
            && self.bench.plugin.host().may_wait()
        {
            self.idle().push(live);
        }
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Live<W>>> {
        // An instance is either in its place or not.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A compiled component, linked: instances are made from it.
pub(crate) struct Template<W> {
    pre: InstancePre<Sandbox>,
    entry: W,
}

impl<W: Entry> Template<W> {
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
