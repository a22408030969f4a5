//! Counts and logs what happens in a pipeline.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{debug, error, info, trace, warn};
use weir_event::Reason;
use weir_pipeline::observe::{Observation, Observer};
use weir_pipeline::plan::PipelineId;

/// The most reasons for drops that are counted apart: reasons are written by plugins, and could
/// hold anything. A plugin that fills them all takes 200 KiB; a person reads the first twenty.
const MAX_REASONS: usize = 100;

/// The reports of all pipelines: one that starts again goes on with the one that it had.
#[derive(Default)]
pub(crate) struct Reports(Mutex<BTreeMap<PipelineId, Arc<Report>>>);

impl Reports {
    pub(crate) fn of(&self, id: &PipelineId) -> Arc<Report> {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            reports
                .entry(id.clone())
                .or_insert_with(|| Arc::new(Report::new(id))),
        )
    }

    pub(crate) fn counts(&self) -> Vec<(String, Counts)> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports
            .values()
            .map(|report| (report.pipeline.clone(), report.counts()))
            .collect()
    }
}

/// The report of one pipeline.
pub(crate) struct Report {
    pipeline: String,
    counts: Mutex<Counts>,
}

/// What happened since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Deliveries that are done with.
    pub(crate) accepted: u64,
    /// What of them the sink has, and the dead letters.
    pub(crate) outcomes: u64,
    pub(crate) dead: u64,
    /// Events and other messages that went no further, by stage and reason. One that is processed
    /// again is dropped again.
    pub(crate) dropped: BTreeMap<(String, Reason), u64>,
}

impl Report {
    fn new(id: &PipelineId) -> Self {
        Self {
            pipeline: id.to_string(),
            counts: Mutex::default(),
        }
    }

    fn counts(&self) -> Counts {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Counts {
    fn drop(&mut self, by: &str, reason: &Reason) {
        let key = (by.to_owned(), reason.clone());
        let full = self.dropped.len() >= MAX_REASONS && !self.dropped.contains_key(&key);
        let key = if full {
            (by.to_owned(), Reason::new("other reasons"))
        } else {
            key
        };
        *self.dropped.entry(key).or_default() += 1;
    }

    /// Events and messages that were dropped, whatever the reason.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            outcomes,
            dead,
            ..
        } = self;
        let dropped = self.dropped();
        write!(
            f,
            "{accepted} messages in, {outcomes} out, {dropped} dropped, {dead} dead letters"
        )
    }
}

impl Observer for Report {
    fn observe(&self, observation: &Observation<'_>) {
        let pipeline = self.pipeline.as_str();
        match observation {
            Observation::Decoded { event, redelivered } => {
                let (id, action, subject) = (&event.id, &event.action, &event.subject);
                trace!(pipeline, event = id, %action, %subject, redelivered, "event");
            }
            Observation::Hydrated { event } => {
                debug!(pipeline, event = event.id, subject = %event.subject, action = %event.action, "read at the master");
            }
            Observation::Kept { stage, event } => {
                trace!(pipeline, stage, event = event.id, "kept");
            }
            Observation::Transformed { stage, from, into } => {
                let (id, into) = (&from.id, into.len());
                trace!(pipeline, stage, event = id, into, "transformed");
            }
            Observation::Dropped { event, by, reason } => {
                self.count(|counts| counts.drop(by, reason));
                let id = event.map(|event| event.id.as_str());
                debug!(pipeline, by, event = id, %reason, "dropped");
            }
            Observation::Routed {
                stage,
                event,
                slaves,
            } => {
                trace!(pipeline, stage, event = event.id, ?slaves, "routed");
            }
            Observation::Sent { message } => {
                trace!(pipeline, message = message.message_id, "sent");
            }
            Observation::Accepted {
                deliveries,
                outcomes,
                dead,
            } => {
                self.count(|counts| {
                    counts.accepted += *deliveries as u64;
                    counts.outcomes += *outcomes as u64;
                    counts.dead += *dead as u64;
                });
            }
            Observation::Rejected { message, reason } => {
                error!(
                    pipeline,
                    message = message.message_id,
                    %reason,
                    "to the dead letters"
                );
            }
            Observation::Held { reason, pause } => {
                warn!(pipeline, %reason, ?pause, "held, will try again");
            }
            Observation::Paused { reason } => {
                error!(
                    pipeline,
                    %reason, "paused until the configuration or a plugin changes"
                );
            }
            Observation::Restarted => info!(pipeline, "the source starts again"),
            Observation::Swapped => debug!(pipeline, "new chain in service"),
        }
    }
}
