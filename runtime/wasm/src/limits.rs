//! What a plugin may use up. Each limit has a name, a default and the reason for it.

use std::time::Duration;

/// What one call of a plugin may use up. While it takes its settings it has a hundred times the fuel
/// and thirty times the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions, nearly: the same event takes the same fuel on every machine. Ten million is
    /// some ten milliseconds of work, a thousand times what a plugin needs that looks at names and
    /// rewrites them, and still enough to parse a body of a few hundred kilobytes.
    pub fuel: u64,
    /// Wall time, waiting included, with a grain of 10 ms. A backstop for what fuel does not count:
    /// long bulk operations, and sleeping. One second is so far above what fuel allows that a
    /// healthy plugin on a busy machine never meets it.
    pub deadline: Duration,
    /// Bytes of linear memory, all memories of the component together. 64 MiB holds the largest
    /// language runtimes known to us (Python: 20 MiB) with a large event in them.
    pub memory: u64,
    /// How many events a transform may make of one. The largest fan-out that has a use is an event
    /// per workspace or per layer of a group: a hundred. It bounds how much one event may grow.
    pub outcomes: usize,
    /// Bytes of one outcome, all its texts and its body together. 4 MiB is more than a broker should
    /// be given in one message.
    pub outcome_bytes: usize,
    /// Bytes that a plugin may log about one event, its standard output and error included. 4 KiB is
    /// a screenful; what exceeds it is cut off.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 10_000_000,
            deadline: Duration::from_secs(1),
            memory: 64 << 20,
            outcomes: 100,
            outcome_bytes: 4 << 20,
            log_bytes: 4 << 10,
        }
    }
}

/// Which instance of a plugin handles an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Instances {
    /// Fresh, but for a plugin that cannot be pre-initialised: to take its settings for every event
    /// would cost more than the event.
    #[default]
    Auto,
    /// A new one for every event: nothing that a plugin keeps, leaks or breaks outlives its event.
    Fresh,
    /// The same one for many events, for guests that are slow to start. What such a plugin keeps in
    /// its memory is seen by later events: equal events give equal results only if it keeps nothing.
    Warm {
        /// How many events before a new instance takes over, so that leaks stay small.
        recycle: u32,
    },
}

impl Instances {
    /// How many events a warm instance handles where nobody says otherwise: rare enough that the
    /// start of a large guest (1 ms) does not count, often enough that a leak of a whole event of
    /// 64 KiB each time just fits the default memory.
    pub const RECYCLE: u32 = 1000;

    /// The choice for a plugin that starts with its settings in it, or does not.
    pub(crate) fn or_by(self, configured: bool) -> Self {
        match (self, configured) {
            (Self::Auto, true) => Self::Fresh,
            (Self::Auto, false) => Self::Warm {
                recycle: Self::RECYCLE,
            },
            (chosen, _) => chosen,
        }
    }
}
