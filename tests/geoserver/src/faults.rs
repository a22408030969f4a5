//! What goes wrong with which call.

use std::time::Duration;

/// When a fault strikes: a write whose answer is lost may have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing has been done.
    Before,
    /// All has been done, and nobody is told.
    After,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is not done, and this is the answer.
    Status(u16),
    /// There is never an answer.
    Hang(Moment),
    /// The connection is closed without an answer.
    Cut(Moment),
}

/// The faults to come, each by how many calls are made before it.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) slowness: Duration,
    coming: Vec<(u64, Fault)>,
}

impl Faults {
    /// The `nth` call from now on, 1 being the next one, goes wrong.
    pub(crate) fn add(&mut self, nth: u64, fault: Fault) {
        self.coming.push((nth.max(1), fault));
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// A call comes: what goes wrong with it.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        for (left, _) in &mut self.coming {
            *left -= 1;
        }
        let due = self.coming.iter().position(|(left, _)| *left == 0)?;
        let (_, fault) = self.coming.swap_remove(due);
        self.coming.retain(|(left, _)| *left > 0);
        Some(fault)
    }
}
