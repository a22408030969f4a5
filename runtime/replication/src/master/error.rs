//! Why a hint did not come to frames.

use thiserror::Error;
use weir_event::Reason;
use weir_geoserver::{CallError, Failure, NameError};

use crate::TargetError;

/// Why a hint did not come to frames.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HydrateError {
    /// The master is away, busy, or lets nobody in: the same hint may work later, and so may all
    /// others.
    #[error("{0}")]
    Transient(Reason),
    /// The master has what cannot be read, or the hint names what cannot be there.
    #[error("{0}")]
    Permanent(Reason),
    /// There is nothing to be told of it.
    #[error("{0}")]
    Nothing(#[from] Nothing),
}

/// Why nothing is told of what a hint is about. Few enough to be counted each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Nothing {
    #[error("the REST interface has nothing of this kind")]
    Elsewhere,
    #[error("only the id of the object is known, and the REST interface goes by names")]
    OnlyId,
    #[error("it is about everything, and no single object")]
    Everything,
    #[error("the master has none, and there is none to be removed")]
    Absent,
    #[error("it is a directory, and files are told one by one")]
    Directory,
}

impl HydrateError {
    pub(super) fn permanent(reason: impl std::fmt::Display) -> Self {
        Self::Permanent(Reason::new(reason))
    }
}

impl From<CallError> for HydrateError {
    fn from(error: CallError) -> Self {
        let reason = Reason::new(&error);
        // A login that is refused: somebody has to mend that, and nothing is lost until then.
        let may_pass =
            error.failure.is_transient() || matches!(error.failure, Failure::Unauthorized { .. });
        if may_pass {
            Self::Transient(reason)
        } else {
            Self::Permanent(reason)
        }
    }
}

impl From<TargetError> for HydrateError {
    fn from(error: TargetError) -> Self {
        Self::permanent(error)
    }
}

impl From<NameError> for HydrateError {
    fn from(error: NameError) -> Self {
        Self::permanent(error)
    }
}

/// What was found; `None` where the master has no such object.
pub(super) fn there<T>(answer: Result<T, CallError>) -> Result<Option<T>, HydrateError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
