//! What surrounds one instance: its memory limit, its voice, and a WASI with nothing in it whose
//! clock and random numbers follow from the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, async_trait};
use weir_event::Event;

use crate::bindings::host;
use crate::configure::Settings;
use crate::fault::Place;
use crate::limits::Limits;
use crate::plugin::Digest;
use crate::voice::{Mouth, Stream, Voice};

/// How many WASI resources (streams, pollables) a guest may hold. A handful is usual; each takes
/// memory of the host.
const RESOURCES: usize = 256;

/// The most random bytes that a guest gets in one call; they pass through memory of the host.
const RANDOM_BYTES: u64 = 1 << 20;

/// How many entries all tables of a component may have: references to its functions.
const TABLE_ENTRIES: usize = 1 << 20;

/// What an instance is used for: it decides what the guest's clock shows and which random numbers
/// it draws.
#[derive(Debug)]
pub(crate) enum Occasion {
    /// The guest takes its settings. Its clock shows 1970.
    Configure { seed: [u8; 32] },
    /// The guest handles an event. Its clock shows the event's time, and its random numbers follow
    /// from the source and the id: two masters may use the same id.
    Event {
        source: String,
        id: String,
        time: String,
    },
}

impl Occasion {
    pub(crate) fn configure(plugin: Digest, settings: &Settings) -> Self {
        let mut hash = Sha256::new_with_prefix("configure");
        hash.update(plugin.as_bytes());
        settings.digest_into(&mut hash);
        Self::Configure {
            seed: hash.finalize().into(),
        }
    }

    pub(crate) fn event(event: &Event) -> Self {
        Self::Event {
            source: event.source.clone(),
            id: event.id.clone(),
            time: event.time.clone(),
        }
    }

    /// What the log calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Configure { .. } => "configure",
            Self::Event { id, .. } => id,
        }
    }

    fn seed(&self) -> [u8; 32] {
        match self {
            Self::Configure { seed } => *seed,
            // The length keeps apart what would be the same text.
            Self::Event { source, id, .. } => Sha256::new_with_prefix("event")
                .chain_update((source.len() as u64).to_le_bytes())
                .chain_update(source)
                .chain_update(id)
                .finalize()
                .into(),
        }
    }

    /// An event's time that cannot be read shows as 1970.
    fn since_1970(&self) -> Duration {
        match self {
            Self::Configure { .. } => Duration::ZERO,
            Self::Event { time, .. } => {
                let time: jiff::Timestamp = time.parse().unwrap_or_default();
                Duration::try_from(time.as_duration()).unwrap_or_default()
            }
        }
    }
}

/// What the store of an instance holds.
pub(crate) struct Sandbox {
    pub(crate) voice: Voice,
    pub(crate) memory: Memory,
    occasion: Arc<Occasion>,
    elapsed: Elapsed,
    /// Made when the guest first asks for it: most never do.
    wasi: Option<WasiCtx>,
    resources: ResourceTable,
}

impl Sandbox {
    pub(crate) fn new(at: &Arc<Place>, occasion: Arc<Occasion>, limits: &Limits) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        Self {
            voice: Voice::new(Arc::clone(at), Arc::clone(&occasion), limits.log_bytes),
            memory: Memory::new(limits.memory),
            occasion,
            elapsed: Elapsed::default(),
            wasi: None,
            resources,
        }
    }

    /// The instance is used for something else from now on. Resources that the guest holds stay.
    pub(crate) fn begin(&mut self, occasion: Arc<Occasion>) {
        self.voice.begin(Arc::clone(&occasion));
        self.memory.refused = false;
        self.occasion = occasion;
        self.elapsed = Elapsed::default();
        self.wasi = None;
    }

    /// Something to wait for until so many nanoseconds of the call have passed.
    fn wait_until(&mut self, at: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = Deadline {
            elapsed: self.elapsed.clone(),
            at,
        };
        let deadline = self.resources.push(deadline)?;
        subscribe(&mut self.resources, deadline)
    }

    /// True if the guest holds resources of the host: streams, pollables, sockets.
    pub(crate) fn holds_resources(&self) -> bool {
        !self.resources.is_empty()
    }
}

impl host::Host for Sandbox {
    fn log(&mut self, level: host::Level, message: String) {
        self.voice.say(level, &message);
    }
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self
                .wasi
                .get_or_insert_with(|| wasi(&self.occasion, &self.voice)),
            table: &mut self.resources,
        }
    }
}

/// A WASI with no files, no network, no environment and no input.
fn wasi(occasion: &Occasion, voice: &Voice) -> WasiCtx {
    let mouth = |stream| Mouth {
        voice: voice.clone(),
        stream,
    };
    let mut random = ChaCha12Rng::from_seed(occasion.seed());
    let mut insecure = ChaCha12Rng::from_rng(&mut random);
    let seed = u128::from(insecure.next_u64()) << 64 | u128::from(insecure.next_u64());
    WasiCtxBuilder::new()
        .stdout(mouth(Stream::Out))
        .stderr(mouth(Stream::Error))
        .wall_clock(WallClock(occasion.since_1970()))
        .secure_random(random)
        .insecure_random(insecure)
        .insecure_random_seed(seed)
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// The time that passes for a guest, in nanoseconds since its call began. It passes by being looked at,
/// a microsecond each time, and by being waited for: who waits in a loop sees it pass, and who sleeps
/// is woken at once. So a call takes the same course whenever it is made, and real time is not part
/// of it.
#[derive(Clone, Debug, Default)]
struct Elapsed(Arc<AtomicU64>);

/// In nanoseconds.
const CLOCK_STEP: u64 = 1_000;

impl Elapsed {
    fn look(&self) -> u64 {
        let before = self.0.load(Ordering::Relaxed);
        self.0
            .store(before.saturating_add(CLOCK_STEP), Ordering::Relaxed);
        before
    }
}

/// A time that a guest waits for.
struct Deadline {
    elapsed: Elapsed,
    at: u64,
}

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        self.elapsed.0.fetch_max(self.at, Ordering::Relaxed);
    }
}

/// In place of WASI's own clock, which would wait in real time.
impl monotonic_clock::Host for Sandbox {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        let start = nanoseconds(self.occasion.since_1970());
        Ok(start.saturating_add(self.elapsed.look()))
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(CLOCK_STEP)
    }

    fn subscribe_instant(
        &mut self,
        when: monotonic_clock::Instant,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let start = nanoseconds(self.occasion.since_1970());
        self.wait_until(when.saturating_sub(start))
    }

    fn subscribe_duration(
        &mut self,
        duration: monotonic_clock::Duration,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.elapsed.look();
        self.wait_until(now.saturating_add(duration))
    }
}

struct WallClock(Duration);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Saturates in the year 2554.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The memory that all linear memories and tables of one component may take together.
pub(crate) struct Memory {
    limit: u64,
    used: u64,
    table_entries: usize,
    /// True once the guest wanted more than it may have.
    pub(crate) refused: bool,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            table_entries: 0,
            refused: false,
        }
    }

    /// Lets the memory grow as it likes: for code that is not the guest's.
    pub(crate) fn lift_limit(&mut self) {
        self.limit = u64::MAX;
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add((desired - current) as u64);
        if used > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let entries = self.table_entries.saturating_add(desired - current);
        if entries > TABLE_ENTRIES || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused = true;
            return Ok(false);
        }
        self.table_entries = entries;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_event::{Action, Kind, Object};

    fn event(id: &str, time: &str) -> Event {
        Event {
            id: id.to_owned(),
            source: "/masters/test".to_owned(),
            time: time.to_owned(),
            sequence: None,
            action: Action::Added,
            subject: Object::of(Kind::Layer),
            previous: None,
            references: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: None,
        }
    }

    #[test]
    fn the_seed_is_that_of_the_source_and_the_id() {
        let seed = |id, time| Occasion::event(&event(id, time)).seed();
        let one = seed("one", "2026-08-16T20:13:21Z");
        assert_eq!(one, seed("one", "2001-01-01T00:00:00Z"));
        assert_ne!(one, seed("two", "2026-08-16T20:13:21Z"));
        let mut other = event("one", "2026-08-16T20:13:21Z");
        other.source = "/masters/other".to_owned();
        assert_ne!(one, Occasion::event(&other).seed());
        assert_ne!(
            one,
            Occasion::configure(Digest::of(b"one"), &Settings::default()).seed()
        );
    }

    #[test]
    fn random_numbers_are_the_same_in_every_release() {
        let occasion = Occasion::event(&event("one", "2026-08-16T20:13:21Z"));
        let mut random = ChaCha12Rng::from_seed(occasion.seed());
        assert_eq!(random.next_u64(), 668_470_600_820_983_744);
    }

    #[test]
    fn the_clock_shows_the_time_of_the_event() {
        let shown = |time| Occasion::event(&event("one", time)).since_1970();
        assert_eq!(
            shown("2026-08-16T20:13:21.5Z"),
            Duration::from_millis(1_786_911_201_500)
        );
        for odd in ["", "yesterday", "1903-01-01T00:00:00Z"] {
            assert_eq!(shown(odd), Duration::ZERO, "{odd}");
        }
    }

    proptest! {
        /// Whatever memories and tables ask for, together they get no more than the limit, and a
        /// refusal is remembered.
        #[test]
        fn memory_stays_below_its_limit(
            limit in 0_u64..1_000_000,
            growths in prop::collection::vec((0_usize..4, 0_usize..300_000), 0..30),
        ) {
            let mut memory = Memory::new(limit);
            let mut sizes = [0_usize; 4];
            for (which, more) in growths {
                let desired = sizes[which] + more;
                let refused_before = memory.refused;
                if memory.memory_growing(sizes[which], desired, None).unwrap() {
                    sizes[which] = desired;
                    prop_assert_eq!(memory.refused, refused_before);
                } else {
                    prop_assert!(memory.refused);
                }
                prop_assert!(sizes.iter().sum::<usize>() as u64 <= limit);
            }
        }
    }
}
