//! What happens to events, for those who count, log and show it.

use std::time::Duration;

use weir_event::{Event, Message, Reason};

/// One thing that happened in a pipeline.
#[derive(Debug)]
pub enum Observation<'a> {
    /// A delivery was decoded.
    Decoded { event: &'a Event, redelivered: bool },
    /// What the event before it is about was read at the master: this is what it is now.
    Hydrated { event: &'a Event },
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
        reason: &'a Reason,
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
        reason: &'a Reason,
    },
    /// The line is held, and tries again after the pause.
    Held { reason: &'a Reason, pause: Duration },
    /// The line is paused until people change something.
    Paused { reason: &'a Reason },
    /// The source lost its deliveries, or gave them back: what was not accepted comes again.
    Restarted,
    /// Events that are decoded from here on are handled by a new chain.
    Swapped,
}

/// Sees everything that happens in one pipeline: what happens to one event in order, and what
/// happens to the line (decoded, sent, accepted, rejected) in the order of the deliveries. What
/// stages say of one event comes between what they say of others that are worked at the same time,
/// from other threads.
///
/// It is called on the way of every event: it must be quick, and must not block.
pub trait Observer: Send + Sync {
    fn observe(&self, observation: &Observation<'_>);
}
