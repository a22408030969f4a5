//! Why a stage had no outcome for an event.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use weir_event::Reason;

use crate::plugin::Digest;

/// An event that a stage could not handle: which stage, which plugin, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("stage `{}`: plugin `{}` ({:.12}) {cause}", at.stage, at.plugin, at.digest)]
pub struct Fault {
    at: Arc<Place>,
    pub cause: Cause,
}

/// A stage and what fills it; part of everything that is said about an event there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) stage: String,
    pub(crate) plugin: String,
    pub(crate) digest: Digest,
}

/// Why there was no outcome: the plugin decided so (the first two), or it did something wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Cause {
    /// The plugin's own words: not now.
    #[error("asks for another try: {0}")]
    Retry(Reason),
    /// The plugin's own words: never.
    #[error("rejects the event: {0}")]
    Reject(Reason),
    /// It crashed. `said` is the end of what it wrote to its standard error meanwhile: the message
    /// of a panic, for instance. Empty if it wrote nothing.
    #[error("crashed: {trap}{}", Said(said))]
    Crashed { trap: String, said: String },
    /// It used up its instructions.
    #[error(
        "ran out of fuel after {fuel} instructions: look for an endless loop, or raise its limit `fuel`"
    )]
    OutOfFuel { fuel: u64 },
    /// It had no result in time. Depends on how busy the machine is, unlike the others.
    #[error("had no result within {} ms: look for what it waits for, or raise its limit `deadline`", deadline.as_millis())]
    TooSlow { deadline: Duration },
    /// It wanted more memory than it may have, and could not do without.
    #[error(
        "ran out of memory: raise its limit `memory` above {memory} bytes{}",
        Said(said)
    )]
    OutOfMemory { memory: u64, said: String },
    /// What it returned cannot be read: a pointer out of bounds, text that is no UTF-8.
    #[error("returned something that cannot be read: {0}")]
    Unreadable(Reason),
    #[error("returned {count} events: its limit `outcomes` is {limit}")]
    TooManyOutcomes { count: usize, limit: usize },
    #[error("returned an event of {bytes} bytes: its limit `outcome_bytes` is {limit}")]
    OutcomeTooLarge { bytes: usize, limit: usize },
    /// An outcome breaks a rule of the contract.
    #[error("returned an event that breaks the contract: {0}")]
    BadOutcome(Reason),
    #[error("chose the slave `{0}`, which is not among those that it was given")]
    UnknownSlave(Reason),
    /// Weir runs as many instances as it can hold; it is not the plugin's doing.
    #[error("found no room for another instance: {0}")]
    NoRoom(Reason),
}

/// What a guest wrote to its standard error, at the end of a message.
struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " (it wrote: {})", self.0)
    }
}

impl Fault {
    pub(crate) fn new(at: &Arc<Place>, cause: Cause) -> Self {
        Self {
            at: Arc::clone(at),
            cause,
        }
    }

    /// The name of the stage.
    pub fn stage(&self) -> &str {
        &self.at.stage
    }

    /// The name of the plugin that fills it.
    pub fn plugin(&self) -> &str {
        &self.at.plugin
    }

    /// The digest of that plugin.
    pub fn digest(&self) -> Digest {
        self.at.digest
    }

    /// True if the same event may fare better another time. Everything but the plugin's own wish, a
    /// lack of time and a lack of room comes out the same each time.
    pub fn is_worth_a_retry(&self) -> bool {
        matches!(
            self.cause,
            Cause::Retry(_) | Cause::TooSlow { .. } | Cause::NoRoom(_)
        )
    }
}
