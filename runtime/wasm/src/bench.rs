//! What a stage is made of before it is compiled: it makes stores, and tells what went wrong in them.

use std::fmt;
use std::sync::Arc;

use wasmtime::{PoolConcurrencyLimitError, Store, Trap};
use wasmtime_wasi::I32Exit;
use weir_event::Reason;

use crate::fault::{Cause, Fault, Place};
use crate::limits::Limits;
use crate::plugin::Plugin;
use crate::sandbox::{Memory, Occasion, Sandbox};
use crate::stage::StageError;

/// The largest answer of a lean component, in bytes, nearly: nothing interrupts the copying of it. A
/// larger one is given again in the full lane.
const LEAN_ANSWER: usize = 1 << 20;

/// A plugin at its place, with its limits.
pub(crate) struct Bench {
    pub(crate) place: Arc<Place>,
    pub(crate) plugin: Plugin,
    pub(crate) limits: Limits,
}

impl Bench {
    pub(crate) fn new(stage: &str, plugin: &Plugin, limits: Limits) -> Self {
        Self {
            place: Arc::new(Place {
                stage: stage.to_owned(),
                plugin: plugin.name().to_owned(),
                digest: plugin.digest(),
            }),
            plugin: plugin.clone(),
            limits,
        }
    }

    /// A store for the full component, which has everything that plugins may import around it. At
    /// every tick the guest lets other tasks go on, and its deadline is looked at.
    pub(crate) fn store(&self, occasion: Arc<Occasion>, fuel: u64) -> Store<Sandbox> {
        let sandbox = Sandbox::new(&self.place, occasion, &self.limits);
        let mut store = self.limited(sandbox, |sandbox| &mut sandbox.memory);
        store.epoch_deadline_async_yield_and_update(1);
        refill(&mut store, fuel);
        store
    }

    /// A store for the lean component: nothing but memory, and no time beyond the next tick.
    pub(crate) fn lean_store(&self) -> Store<Memory> {
        let mut store = self.limited(Memory::new(self.limits.memory), |memory| memory);
        store.epoch_deadline_trap();
        store.set_hostcall_fuel(LEAN_ANSWER);
        store
    }

    fn limited<T: Send + 'static>(
        &self,
        data: T,
        memory: impl FnMut(&mut T) -> &mut Memory + Send + Sync + 'static,
    ) -> Store<T> {
        let mut memory = memory;
        let mut store = Store::new(self.plugin.host().engine(), data);
        store.limiter(move |data| memory(data));
        // A result is copied out of the guest's memory, and cannot rightly be larger than that. One
        // that names the same bytes many times would be.
        store.set_hostcall_fuel(usize::try_from(self.limits.memory).unwrap_or(usize::MAX));
        store
    }

    pub(crate) fn fault(&self, cause: Cause) -> Fault {
        Fault::new(&self.place, cause)
    }

    pub(crate) fn refused(&self, message: String) -> StageError {
        StageError::Refused {
            stage: self.place.stage.clone(),
            plugin: self.place.plugin.clone(),
            message,
        }
    }

    pub(crate) fn unusable(&self, reason: &dyn fmt::Display) -> StageError {
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
            Cause::NoRoom(Reason::new(full))
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
            Cause::Unreadable(Reason::new(format_args!("{error:#}")))
        })
    }
}

/// Gives a guest its fuel for one call, and time until the next tick.
pub(crate) fn refill<T>(store: &mut Store<T>, fuel: u64) {
    store.set_fuel(fuel).expect("the engine counts fuel");
    store.set_epoch_deadline(1);
}
