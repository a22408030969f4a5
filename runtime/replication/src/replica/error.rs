//! Why a frame could not be applied, by what is to be done about it.

use std::fmt;

use thiserror::Error;
use weir_event::Reason;
use weir_geoserver::{CallError, Failure};

use crate::{Target, TargetError};

/// Why a frame could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The slave is away, busy, or lets nobody in: the same frame may work later, and so may all
    /// others.
    #[error("{0}")]
    Transient(Reason),
    /// The slave lacks something that this frame refers to, or has something that refers to it; a
    /// frame that comes after this one may change that.
    #[error("{reason}")]
    Waits {
        /// What is waited for, where it is known.
        needs: Option<Box<Target>>,
        reason: Reason,
    },
    /// The slave will never take it.
    #[error("{0}")]
    Refused(Reason),
}

impl ApplyError {
    pub(crate) fn refused(reason: impl fmt::Display) -> Self {
        Self::Refused(Reason::new(reason))
    }

    /// The frame refers to what the slave lacks.
    pub(crate) fn needs(target: Target, reason: impl fmt::Display) -> Self {
        Self::Waits {
            needs: Some(Box::new(target)),
            reason: Reason::new(reason),
        }
    }
}

impl From<CallError> for ApplyError {
    fn from(error: CallError) -> Self {
        let reason = Reason::new(&error);
        match error.failure {
            Failure::Transient(_) | Failure::Absent(_) | Failure::Hung(_) => {
                Self::Transient(reason)
            }
            // Somebody has to mend that, and nothing is lost until then.
            Failure::Unauthorized { .. } => Self::Transient(reason),
            Failure::Missing(_) | Failure::Referenced(_) => Self::Waits {
                needs: None,
                reason,
            },
            _ => Self::Refused(reason),
        }
    }
}

impl From<TargetError> for ApplyError {
    fn from(error: TargetError) -> Self {
        Self::refused(error)
    }
}
