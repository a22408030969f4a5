//! The host: one engine for the whole process, set up once, with everything that plugins may import.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;

use crate::bindings;
use crate::cache::Cache;
use crate::extent::{self, Extent};
use crate::plugin::{LoadError, Plugin};
use crate::sandbox::Sandbox;
use crate::workshop::Workshop;

/// How often running guests let go of the thread. Often enough that other tasks on it go on, and
/// that deadlines are kept to a few ticks; rare enough to cost nothing.
const TICK: Duration = Duration::from_millis(10);

/// How many instances may live at one time: those of warm stages, and one for each event that is just
/// being handled. It reserves address space (4 GiB each, so that memory accesses need no bounds
/// checks), not memory.
const PLACES: u32 = 1000;

/// How many core instances and tables come with each place, besides one memory: a Rust guest has
/// three or four. A component of more takes up several places.
const CORE_INSTANCES: u32 = 8;
const TABLES: u32 = 8;

/// Places that warm instances leave free while no event is in them: events that are just being
/// handled always find some.
const KEPT_FREE: usize = 250;

/// How much of an instance's memory is cleared in place, rather than given back to the kernel, for
/// the next one. Holds all that a small guest touches; giving pages back and faulting them in again
/// is two thirds of the cost of a fresh instance.
const KEEP_RESIDENT: usize = 2 << 20;

/// How much lower the priority of guests is that take their time, as `nice` counts.
const NICENESS: i32 = 5;

/// How a [`Host`] is set up.
#[derive(Clone, Debug, Default)]
pub struct HostSettings {
    /// The directory that keeps compiled code between runs; created, for this user alone, where it
    /// does not exist. Whoever can write to it can run code as Weir. `None` compiles every time.
    pub cache: Option<PathBuf>,
    /// Where plugins are prepared. `None` does it in this process, which a hostile plugin can then
    /// have compile for ever: for tests, and for plugins that are trusted.
    pub workshop: Option<Workshop>,
}

/// Why there is no host.
#[derive(Debug, Error)]
pub enum HostError {
    #[error("the cache directory `{}` cannot be used: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },
    #[error(
        "the cache directory `{}` is open to others, who could read settings or run code as Weir: close it to them (chmod 700), or choose another directory",
        .0.display()
    )]
    CacheNotPrivate(PathBuf),
    #[error(
        "the cache directory `{}` belongs to another user, who could run code as Weir: choose another directory",
        .0.display()
    )]
    CacheOfAnother(PathBuf),
    #[error("wasmtime cannot be set up: {0}")]
    Engine(String),
}

/// Runs plugins. One for the whole process; clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<Sandbox>,
    cache: Option<Cache>,
    workshop: Option<Workshop>,
    places: Arc<Semaphore>,
    /// Where guests run that take their time. Never dropped but with the process or by
    /// [`Drop`].
    guests: Option<Runtime>,
}

impl Host {
    /// A host that only prepares plugins: without a pool, whose address space it could not use.
    pub(crate) fn for_preparing() -> Result<Self, HostError> {
        let engine = Engine::new(&config());
        let engine = engine.map_err(|error| HostError::Engine(format!("{error:#}")))?;
        Self::with_engine(engine, HostSettings::default())
    }

    /// Sets wasmtime up, and starts the thread that interrupts guests; it ends with the host.
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        let engine = engine().map_err(HostError::Engine)?;
        Self::with_engine(engine, settings)
    }

    fn with_engine(engine: Engine, settings: HostSettings) -> Result<Self, HostError> {
        let mut compatible = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut compatible);
        let cache = settings
            .cache
            .map(|directory| Cache::open(&directory, compatible.finish()))
            .transpose()?;
        let guests = guest_threads().map_err(|error| HostError::Engine(error.to_string()))?;
        let linker = linker(&engine).map_err(|error| HostError::Engine(format!("{error:#}")))?;
        let ticked = engine.weak();
        thread::Builder::new()
            .name("weir-epoch".to_owned())
            .spawn(move || tick(&ticked))
            .map_err(|error| HostError::Engine(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            engine,
            linker,
            cache,
            workshop: settings.workshop,
            places: Arc::new(Semaphore::new(PLACES as usize)),
            guests: Some(guests),
        })))
    }

    /// Reads a component and checks that it is a plugin that this Weir runs. Does not compile yet.
    ///
    /// `name` is what the plugin is called in logs and faults.
    pub fn read(&self, name: &str, path: &Path) -> Result<Plugin, LoadError> {
        Plugin::read(self, name, path)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn linker(&self) -> &Linker<Sandbox> {
        &self.0.linker
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.0.cache.as_ref()
    }

    pub(crate) fn workshop(&self) -> Option<&Workshop> {
        self.0.workshop.as_ref()
    }

    /// A place for an instance of this extent, when there is one: to wait for it is nobody's fault,
    /// and no time of the event's.
    pub(crate) async fn place(&self, extent: Extent) -> OwnedSemaphorePermit {
        let places = extent.places(CORE_INSTANCES, TABLES).min(PLACES);
        let place = Arc::clone(&self.0.places).acquire_many_owned(places).await;
        place.expect("it is never closed")
    }

    /// A place for a lean instance, if there is one at once.
    pub(crate) fn place_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).try_acquire_owned().ok()
    }

    /// True if there are places enough for an instance to wait for its next event.
    pub(crate) fn may_wait(&self) -> bool {
        self.0.places.available_permits() > KEPT_FREE
    }

    /// Where guests run that take their time.
    pub(crate) fn guests(&self) -> &Handle {
        let guests = self.0.guests.as_ref();
        guests
            .expect("it is there until the host is dropped")
            .handle()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Waiting for its threads, as a runtime does when it is dropped, is forbidden in a task.
        if let Some(guests) = self.guests.take() {
            guests.shutdown_background();
        }
    }
}

/// Threads of their own for guests: while they hog every one of them, whatever else Weir does finds a
/// processor, for the kernel prefers it.
fn guest_threads() -> io::Result<Runtime> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("weir-guests")
        .on_thread_start(|| {
            let lowered = rustix::process::nice(NICENESS);
            if let Err(error) = lowered {
                tracing::debug!(%error, "guests have the same priority as everything else");
            }
        })
        .enable_time()
        .build()
}

fn tick(engine: &EngineWeak) {
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        thread::sleep(TICK);
    }
}

/// An engine that draws instances from a pool or, where the address space is too small for one (some
/// containers limit it), makes each anew.
fn engine() -> Result<Engine, String> {
    let explain = |error: wasmtime::Error| format!("{error:#}");
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    Engine::new(&config).or_else(|error| {
        tracing::info!(
            error = format!("{error:#}"),
            "no pool of instances: each is made anew, at about three times the cost"
        );
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config).map_err(explain)
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config
        // Instructions are counted, so that a budget means the same on every machine.
        .consume_fuel(true)
        // And time is watched, for what takes long and counts as few instructions.
        .epoch_interruption(true)
        // Equal events give equal results on every processor.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // The contract is synchronous; the machinery for more costs 0.3 to 0.9 µs a call.
        .concurrency_support(false)
        // Guests are stripped; a trap is told by its kind and by what the guest wrote.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(PLACES)
        .total_memories(PLACES)
        .total_stacks(PLACES)
        .total_core_instances(PLACES * CORE_INSTANCES)
        .total_tables(PLACES * TABLES)
        .max_core_instances_per_component(extent::CORE_INSTANCES)
        .max_memories_per_component(extent::MEMORIES)
        .max_tables_per_component(extent::TABLES);
    // Clearing in place pays only where the kernel says which pages were touched (Linux 6.7).
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(KEEP_RESIDENT);
    }
    pool
}

/// Everything that a plugin may import: Weir's own interface, and a WASI with nothing in it, which
/// the standard libraries of most languages want.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Sandbox>> {
    let mut linker = Linker::new(engine);
    bindings::host::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox)?;
    // The synchronous flavour blocks the thread, which a tokio runtime forbids.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    // Its clock waits in real time.
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |sandbox| sandbox)?;
    Ok(linker)
}
