//! The time that a stop leaves.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A stop that leaves more time than can be added up leaves a year.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Tells of a stop, and of the end of the time that it leaves.
pub(super) struct Stop {
    token: CancellationToken,
    drain: Duration,
    /// Once a stop was asked for.
    deadline: Option<Instant>,
}

/// The time is over.
#[derive(Debug)]
pub(super) struct Over;

impl Stop {
    pub(super) fn new(token: CancellationToken, drain: Duration) -> Self {
        Self {
            token,
            drain,
            deadline: None,
        }
    }

    /// True if a stop was heard.
    pub(super) fn is_asked(&self) -> bool {
        self.deadline.is_some()
    }

    /// An error if the time is over.
    pub(super) fn check(&self) -> Result<(), Over> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Over),
            _ => Ok(()),
        }
    }

    /// Waits for a stop, or where there was one, for the end of its time. Cancel-safe.
    pub(super) async fn heard(&mut self) -> Result<(), Over> {
        if let Some(deadline) = self.deadline {
            sleep_until(deadline).await;
            return Err(Over);
        }
        self.token.cancelled().await;
        self.deadline = Some(Instant::now() + self.drain.min(LONGEST));
        Ok(())
    }

    /// Waits for something that may hang, as long as there is time.
    pub(super) async fn in_time<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Over> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                heard = self.heard() => heard?,
            }
        }
    }
}
