//! Preparing a plugin for a stage: it takes its settings, and is compiled. All that is expensive
//! happens here, once.

use std::sync::Arc;

use tokio::task;

use crate::bench::Bench;
use crate::bindings::{Entry, Interest, interest_from_byte, interest_to_byte};
use crate::configure::{Obstacle, Settings, pre_initialise};
use crate::lean::lean;
use crate::stage::StageError;

/// A plugin that is ready to be started.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// True if instances start with their settings in them; otherwise each has to be given them.
    pub(crate) configured: bool,
    /// What the plugin said that it wants of events, if it is configured.
    pub(crate) interest: Interest,
    /// The compiled component.
    pub(crate) full: Vec<u8>,
    /// Its lean form, compiled, where it has one.
    pub(crate) lean: Option<Vec<u8>>,
}

/// Prepares a plugin, on tokio's blocking threads.
pub(crate) async fn prepare<W: Entry>(
    bench: &Arc<Bench>,
    settings: &Settings,
) -> Result<Prepared, StageError> {
    let (stage, plugin) = (&bench.place.stage, &bench.place.plugin);
    let (component, configured, interest) = match pre_initialise::<W>(bench, settings).await {
        Ok((component, interest)) => (component, true, interest),
        Err(Obstacle::Unable(reason)) => {
            tracing::info!(
                stage,
                plugin,
                reason,
                "plugin takes its settings in every instance, which costs time"
            );
            (bench.plugin.bytes().to_vec(), false, Interest::default())
        }
        Err(Obstacle::Stage(error)) => return Err(error),
    };
    let owned = Arc::clone(bench);
    let compile = move || {
        let engine = owned.plugin.host().engine();
        let full = engine.precompile_component(&component);
        let full = full.map_err(|error| owned.unusable(&format_args!("{error:#}")))?;
        let lean = configured.then(|| lean(&component, W::WORLD, owned.plugin.version()));
        let lean = lean.transpose().unwrap_or_else(|reason| {
            let (stage, plugin) = (&owned.place.stage, &owned.place.plugin);
            tracing::debug!(stage, plugin, %reason, "plugin has no lean form, which costs time");
            None
        });
        // What was made of a sound component is sound; should it not be, the full one is there.
        let lean = lean.and_then(|lean| engine.precompile_component(&lean).ok());
        Ok(Prepared {
            configured,
            interest,
            full,
            lean,
        })
    };
    task::spawn_blocking(compile)
        .await
        .map_err(|panicked| bench.unusable(&panicked))?
}

impl Prepared {
    /// Three bytes that say what it is, the length of `full`, `full`, and `lean`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            u8::from(self.configured),
            interest_to_byte(self.interest),
            u8::from(self.lean.is_some()),
        ];
        bytes.extend((self.full.len() as u64).to_le_bytes());
        bytes.extend(&self.full);
        bytes.extend(self.lean.iter().flatten());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave; `None` if it cannot have been that.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[configured, interest, has_lean], rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (full, lean) = rest.split_at_checked(length)?;
        Some(Self {
            configured: configured == 1,
            interest: interest_from_byte(interest),
            full: full.to_vec(),
            lean: (has_lean == 1).then(|| lean.to_vec()),
        })
    }
}
