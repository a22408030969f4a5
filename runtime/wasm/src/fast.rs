//! The fast lane: an event through the lean component (see `lean`), on the thread that asks.
//!
//! There is nothing to wait for in a lean component, so its calls are plain ones, without a stack of
//! their own and without a timer. They have until the next tick of the host's clock, ten
//! milliseconds at most. What is not answered then, or not well, is asked again in the full lane.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Component, ComponentExportIndex, Func, InstancePre, Linker, TypedFunc};
use wasmtime::{Store, Trap};

use crate::bench::{Bench, refill};
use crate::bindings::{Entry, EventParam, Failure, Lowered};
use crate::limits::Instances;
use crate::sandbox::Memory;

/// How many calls in a row may be in vain before the lane is closed: a plugin that needs the full
/// component for every event would be called twice each time.
const IN_VAIN: u32 = 3;

/// What a call answers.
type Answer<W> = Result<<W as Entry>::Answer, Failure>;

pub(crate) struct Fast<W: Entry> {
    bench: Arc<Bench>,
    template: InstancePre<Memory>,
    handle: ComponentExportIndex,
    instances: Instances,
    /// Instances that wait for their next event, where they are warm: as many as were at work at
    /// one time.
    idle: Mutex<Vec<Warm>>,
    in_vain: AtomicU32,
    world: PhantomData<fn() -> W>,
}

struct Warm {
    store: Store<Memory>,
    _place: OwnedSemaphorePermit,
    handle: Func,
    events: u32,
}

/// Why there is no answer.
pub(crate) enum Vain {
    /// The plugin ran out of fuel, as it would in the full lane.
    OutOfFuel,
    /// The full lane may know better.
    Otherwise,
}

impl<W: Entry> Fast<W> {
    /// The lane of a lean component. Fails if it does not export what the contract says.
    pub(crate) fn new(
        bench: &Arc<Bench>,
        component: &Component,
        instances: Instances,
    ) -> wasmtime::Result<Self> {
        let engine = bench.plugin.host().engine();
        let template = Linker::new(engine).instantiate_pre(component)?;
        let missing = || wasmtime::format_err!("it does not export the function of its world");
        let interface = W::WORLD.export(bench.plugin.version());
        let (_, interface) = component
            .get_export(None, interface.as_str())
            .ok_or_else(missing)?;
        let (_, handle) = component
            .get_export(Some(&interface), W::FUNCTION)
            .ok_or_else(missing)?;
        let lane = Self {
            bench: Arc::clone(bench),
            template,
            handle,
            instances,
            idle: Mutex::default(),
            in_vain: AtomicU32::new(0),
            world: PhantomData,
        };
        let no_place = || wasmtime::format_err!("there is no place for an instance");
        let place = bench.plugin.host().place_now().ok_or_else(no_place)?;
        let Warm { store, handle, .. } = lane.start(place)?;
        handle.typed::<(EventParam<'static>,), (Answer<W>,)>(&store)?;
        Ok(lane)
    }

    /// The plugin's answer; `None` if the lane is closed, or there is no place for an instance just
    /// now, which the full lane waits for.
    pub(crate) fn ask(&self, event: &Lowered<'_>) -> Option<Result<Answer<W>, Vain>> {
        if self.in_vain.load(Ordering::Relaxed) >= IN_VAIN {
            return None;
        }
        let idle = match self.instances {
            Instances::Fresh | Instances::Auto => None,
            Instances::Warm { .. } => self.idle().pop(),
        };
        let answer = if let Some(warm) = idle {
            self.call(warm, event)
        } else {
            let place = self.bench.plugin.host().place_now()?;
            self.start(place).and_then(|new| self.call(new, event))
        };
        match &answer {
            Ok(_) => self.in_vain.store(0, Ordering::Relaxed),
            Err(_) => {
                self.in_vain.fetch_add(1, Ordering::Relaxed);
            }
        }
        let vain = |error: wasmtime::Error| match error.downcast_ref() {
            Some(Trap::OutOfFuel) => Vain::OutOfFuel,
            _ => Vain::Otherwise,
        };
        Some(answer.map_err(vain))
    }

    fn call(&self, mut warm: Warm, event: &Lowered<'_>) -> wasmtime::Result<Answer<W>> {
        refill(&mut warm.store, self.bench.limits.fuel);
        #[expect(unsafe_code, reason = "a check of types costs a tenth of a call")]
        // SAFETY: `new` found that this export of this component has these types; it is the same
        // one in every instance.
        let handle =
            unsafe { TypedFunc::<(EventParam<'_>,), (Answer<W>,)>::new_unchecked(warm.handle) };
        let (answer,) = handle.call(&mut warm.store, (event.event(),))?;
        warm.events += 1;
        if let Instances::Warm { recycle } = self.instances
            && warm.events < recycle
            && self.bench.plugin.host().may_wait()
        {
            self.idle().push(warm);
        }
        Ok(answer)
    }

    fn start(&self, place: OwnedSemaphorePermit) -> wasmtime::Result<Warm> {
        let mut store = self.bench.lean_store();
        // What has a start function is no lean component, so this is for wasmtime's own code.
        refill(&mut store, self.bench.limits.fuel);
        let instance = self.template.instantiate(&mut store)?;
        let handle = instance.get_func(&mut store, self.handle);
        let handle = handle.ok_or_else(|| wasmtime::format_err!("the function is gone"))?;
        Ok(Warm {
            store,
            _place: place,
            handle,
            events: 0,
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Warm>> {
        // An instance is either in its place or not.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
