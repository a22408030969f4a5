//! How a plugin takes its settings: once, before any event. Its memory is kept as it is afterwards,
//! in a new component that starts from there.
//!
//! Not every component can be kept like that. One that cannot takes its settings in each instance,
//! which costs time but changes nothing else: its clock and its random numbers are the same each
//! time it does.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::task;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::bench::Bench;
use crate::bindings::{Entry, Interest};
use crate::fault::{Cause, Fault};
use crate::full::Template;
use crate::limits::Limits;
use crate::sandbox::{Occasion, Sandbox};
use crate::stage::StageError;

/// How much more fuel and time than for an event the guest has while it takes its settings: language
/// runtimes start here, and tables are computed that save time later.
const MORE_FUEL: u64 = 100;
const MORE_TIME: u32 = 30;

/// The longest message of a plugin about its settings that is passed on, in bytes.
const MESSAGE_BYTES: usize = 4096;

/// What a plugin is configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The `config` table of the stage, as JSON.
    pub config: String,
    /// The slaves that a router may choose; other plugins are not told.
    pub slaves: Vec<String>,
}

impl Settings {
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    pub(crate) fn slaves(&self) -> Vec<&str> {
        self.slaves.iter().map(String::as_str).collect()
    }

    pub(crate) fn digest_into(&self, hash: &mut Sha256) {
        for text in std::iter::once(&self.config).chain(&self.slaves) {
            // The length keeps apart what would be the same text.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
}

/// For plugins that are no routers.
impl From<&str> for Settings {
    fn from(config: &str) -> Self {
        Self {
            config: config.to_owned(),
            slaves: Vec::new(),
        }
    }
}

/// Why a plugin did not take its settings.
pub(crate) enum NotConfigured {
    /// In its own words.
    Refused(String),
    Failed(Fault),
}

impl NotConfigured {
    pub(crate) fn into_error(self, bench: &Bench) -> StageError {
        match self {
            Self::Refused(message) => bench.refused(message),
            Self::Failed(fault) => StageError::Configure(fault.to_string()),
        }
    }
}

/// Why there is no pre-initialised component.
pub(crate) enum Obstacle {
    /// The component is not made for it; the reason says how.
    Unable(String),
    /// The plugin cannot be used with these settings at all.
    Stage(StageError),
}

/// The component after it took its settings, and what it wants of events. Works on one of tokio's
/// blocking threads.
pub(crate) async fn pre_initialise<W: Entry>(
    bench: &Arc<Bench>,
    settings: &Settings,
) -> Result<(Vec<u8>, Interest), Obstacle> {
    let (bench, settings) = (Arc::clone(bench), settings.clone());
    let runtime = Handle::current();
    let work = move || runtime.block_on(snapshot::<W>(&bench, &settings));
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        // Wizer has cases that it meets with a panic; they are no worse than the others.
        Err(panicked) => Err(Obstacle::Unable(panicked.to_string())),
    }
}

async fn snapshot<W: Entry>(
    bench: &Bench,
    settings: &Settings,
) -> Result<(Vec<u8>, Interest), Obstacle> {
    let unable = |error: wasmtime::Error| Obstacle::Unable(format!("{error:#}"));
    let wizer = Wizer::new();
    let (context, instrumented) = wizer
        .instrument_component(bench.plugin.bytes())
        .map_err(unable)?;
    let component = Component::new(bench.plugin.host().engine(), instrumented).map_err(unable)?;
    let template = Template::<W>::new(bench, &component).map_err(Obstacle::Stage)?;

    let occasion = Occasion::configure(bench.plugin.digest(), settings);
    let fuel = fuel(&bench.limits);
    let deadline = deadline(&bench.limits);
    let mut store = bench.store(Arc::new(occasion), fuel);
    let started = async {
        let (instance, guest) = template
            .instantiate(&mut store)
            .await
            .map_err(|error| NotConfigured::Failed(bench.diagnose(&store, fuel, &error)))?;
        let interest = configure::<W>(bench, &mut store, &guest, settings).await?;
        Ok((instance, interest))
    };
    let too_slow = |_| NotConfigured::Failed(bench.fault(Cause::TooSlow { deadline }));
    let (instance, interest) = timeout(deadline, started)
        .await
        .map_err(too_slow)
        .flatten()
        .map_err(|error| Obstacle::Stage(error.into_error(bench)))?;
    if store.data().holds_resources() {
        // The guest's memory has their numbers in it, and a new instance would not have them.
        return Err(Obstacle::Unable(
            "it opened a stream while it took its settings: it printed something, for instance"
                .to_owned(),
        ));
    }

    // What runs from here on is Wizer's own code in the guest's memory, which grows by a page.
    store.data_mut().memory.lift_limit();
    store.set_fuel(u64::MAX).map_err(unable)?;
    let mut access = Access {
        store: &mut store,
        instance,
    };
    let component = wizer.snapshot_component(&context, &mut access).await;
    Ok((component.map_err(unable)?, interest))
}

/// How Wizer reads the state of an instance: through functions that it put into the component. It
/// brings this itself, together with half of wasmtime's features that nothing else here needs.
struct Access<'a> {
    store: &'a mut Store<Sandbox>,
    instance: Instance,
}

impl Access<'_> {
    /// Panics if the function is not there or traps, as Wizer's own access does: whoever runs this
    /// takes a panic for an obstacle.
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, name: &str) -> R {
        let mut export = |parent: Option<&_>, name: &str| {
            let found = self.instance.get_export(&mut *self.store, parent, name);
            found.expect("Wizer put it there").1
        };
        let interface = export(None, interface);
        let function = export(Some(&interface), name);
        let function = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *self.store, function)
            .expect("Wizer gave it this type");
        let answer = function.call_async(&mut *self.store, ()).await;
        answer.expect("it only reads").0
    }
}

impl ComponentInstanceState for Access<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.call(instance, func).await;
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).await.to_bits()
    }
}

/// The fuel that an instance has until it is ready for events.
pub(crate) fn fuel(limits: &Limits) -> u64 {
    limits.fuel.saturating_mul(MORE_FUEL)
}

/// The time that it may take until then.
pub(crate) fn deadline(limits: &Limits) -> Duration {
    limits.deadline.saturating_mul(MORE_TIME)
}

/// Gives an instance its settings; it says what it wants of events.
pub(crate) async fn configure<W: Entry>(
    bench: &Bench,
    store: &mut Store<Sandbox>,
    guest: &W::Guest,
    settings: &Settings,
) -> Result<Interest, NotConfigured> {
    let answer = W::configure(guest, store, settings).await;
    store.data_mut().voice.finish();
    match answer {
        Ok(Ok(interest)) => Ok(interest),
        Ok(Err(mut message)) => {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            Err(NotConfigured::Refused(message))
        }
        Err(error) => {
            let fault = bench.diagnose(store, fuel(&bench.limits), &error);
            Err(NotConfigured::Failed(fault))
        }
    }
}
