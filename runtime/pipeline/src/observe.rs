//! What happens to events, for those who count, log and show it.

use std::time::Duration;

use weir_event::{Event, Message};

/// One thing that happened in a pipeline.
#[derive(Debug)]
pub enum Observation<'a> {
    /// A delivery was decoded.
    Decoded { event: &'a Event, redelivered: bool },
    /// A filter lets an event go on.
    Kept { stage: &'a str, event: &'a Event },
    /// A stage turned an event into others: one that is equal means that it had nothing to do.
    Transformed {
        stage: &'a str,
        from: &'a Event,
        into: &'a [Event],
    },
    /// An event, or a message that is none, goes no further.
    Dropped {
        event: Option<&'a Event>,
        by: &'a str,
        reason: &'a str,
    },
    /// A router chose these slaves.
    Routed {
        stage: &'a str,
        event: &'a Event,
        slaves: &'a [String],
    },
    /// An outcome was handed to the sink; said again if the sink did not take it at first.
    Sent { message: &'a Message },
    /// Deliveries were accepted: the sink has all their outcomes, and the bus their dead letters.
    Accepted {
        deliveries: usize,
        outcomes: usize,
        dead: usize,
    },
    /// A delivery goes to the dead letters; said again if the bus did not take it at first.
    Rejected {
        message: &'a Message,
        reason: &'a str,
    },
    /// The line is held, and tries again after the pause.
    Held { reason: &'a str, pause: Duration },
    /// The line is paused until people change something.
    Paused { reason: &'a str },
    /// The source lost its connection: what was not accepted comes again.
    Restarted,
    /// Events are handled by a new chain from here on.
    Swapped,
}

/// Sees everything that happens in one pipeline, in order. It is called on the way of every event:
/// it must be quick, and must not block.
pub trait Observer: Send + Sync {
    fn observe(&self, observation: &Observation<'_>);
}
