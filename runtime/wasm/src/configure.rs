//! How a plugin takes its settings: once, before any event. Its memory is kept as it is afterwards,
//! in a new component that starts from there.
//!
//! Not every component can be kept like that. One that cannot takes its settings in each instance,
//! which costs time but changes nothing else: its clock and its random numbers are the same each
//! time it does.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task;
use tokio::time::timeout;
use wasmtime::Store;
use wasmtime::component::Component;
use wasmtime_wizer::{WasmtimeWizerComponent, Wizer};

use crate::bindings::Entry;
use crate::fault::Cause;
use crate::limits::Limits;
use crate::sandbox::{Occasion, Sandbox};
use crate::stage::{Bench, StageError, Template};

/// How much more fuel and time than for an event the guest has while it takes its settings: language
/// runtimes start here, and tables are computed that save time later.
const MORE_FUEL: u64 = 100;
const MORE_TIME: u32 = 30;

/// The longest message of a plugin about its settings that is passed on, in bytes.
const MESSAGE_BYTES: usize = 4096;

/// Why there is no pre-initialised component.
pub(crate) enum Obstacle {
    /// The component is not made for it; the reason says how.
    Unable(String),
    /// The plugin cannot be used with these settings at all.
    Stage(StageError),
}

/// The component after it took its settings. Works on one of tokio's blocking threads.
pub(crate) async fn pre_initialise<W: Entry>(
    bench: &Arc<Bench>,
    settings: &str,
) -> Result<Vec<u8>, Obstacle> {
    let (bench, settings) = (Arc::clone(bench), settings.to_owned());
    let runtime = Handle::current();
    let work = move || runtime.block_on(snapshot::<W>(&bench, &settings));
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        // Wizer has cases that it meets with a panic; they are no worse than the others.
        Err(panicked) => Err(Obstacle::Unable(panicked.to_string())),
    }
}

async fn snapshot<W: Entry>(bench: &Bench, settings: &str) -> Result<Vec<u8>, Obstacle> {
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
            .map_err(|error| StageError::Configure(bench.diagnose(&store, fuel, &error)))?;
        configure::<W>(bench, &mut store, &guest, settings).await?;
        Ok(instance)
    };
    let too_slow = |_| StageError::Configure(bench.fault(Cause::TooSlow { deadline }));
    let instance = timeout(deadline, started)
        .await
        .map_err(too_slow)
        .flatten()
        .map_err(Obstacle::Stage)?;
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
    let mut access = WasmtimeWizerComponent {
        store: &mut store,
        instance,
    };
    wizer
        .snapshot_component(&context, &mut access)
        .await
        .map_err(unable)
}

/// The fuel that an instance has until it is ready for events.
pub(crate) fn fuel(limits: &Limits) -> u64 {
    limits.fuel.saturating_mul(MORE_FUEL)
}

/// The time that it may take until then.
pub(crate) fn deadline(limits: &Limits) -> Duration {
    limits.deadline.saturating_mul(MORE_TIME)
}

/// Gives an instance its settings.
pub(crate) async fn configure<W: Entry>(
    bench: &Bench,
    store: &mut Store<Sandbox>,
    guest: &W::Guest,
    settings: &str,
) -> Result<(), StageError> {
    let answer = W::configure(guest, store, settings).await;
    store.data_mut().voice.finish();
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(mut message)) => {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            Err(StageError::Refused {
                stage: bench.place.stage.clone(),
                plugin: bench.place.plugin.clone(),
                message,
            })
        }
        Err(error) => {
            let fault = bench.diagnose(store, fuel(&bench.limits), &error);
            Err(StageError::Configure(fault))
        }
    }
}
