//! What can go wrong with a call, by what the caller does about it.

use std::time::Duration;

use thiserror::Error;
use weir_event::Reason;

/// A call that did not do what it should have.
///
/// Shows neither the password nor the token of the node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: {failure}")]
pub struct CallError {
    /// `PUT https://host/geoserver/rest/layers/ws:name`
    pub call: Reason,
    pub failure: Failure,
}

/// What an answer, or none, means. The words are GeoServer's own where it has said something.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// There is no such object. This is sure: whoever answered is a GeoServer.
    #[error("there is no such object: {0}")]
    Missing(Reason),
    /// There is one already, or another one that has the same name or URI.
    #[error("it exists already: {0}")]
    Exists(Reason),
    /// It is in use, is not empty, or is one that GeoServer keeps.
    #[error("it is in use, or not empty: {0}")]
    Referenced(Reason),
    /// To remove this global style would remove the one of that name in the default workspace.
    #[error(
        "GeoServer would remove the style of this name in the default workspace `{0}` instead; make another workspace the default one first"
    )]
    Shadowed(String),
    /// GeoServer does not want it so, and will not later either.
    #[error("GeoServer refuses (status {status}): {words}")]
    Refused { status: u16, words: Reason },
    /// The interface has no such call.
    #[error("the REST interface of GeoServer has no call for this")]
    NoSuchCall,
    /// The name cannot stand in a URL of GeoServer, which would take it for another one.
    #[error(
        "a file or a tile layer with `{0}` in its name cannot be asked for: in its URL, GeoServer takes that for something else"
    )]
    Unsayable(&'static str),
    /// The user may not do this, or is not known.
    #[error(
        "the login is refused, or lacks the role of an administrator (status {status}): {words}"
    )]
    Unauthorized { status: u16, words: Reason },
    /// The connection failed, or GeoServer is busy or starting: worth another try. What was sent may
    /// have been done.
    #[error("it cannot be reached now: {0}")]
    Transient(Reason),
    /// Somebody answers, and it is no GeoServer: one that is being deployed, or a wrong URL.
    #[error(
        "what answers is no GeoServer: {0}; the URL of the node should end with the path of GeoServer, as in `https://host/geoserver`"
    )]
    Absent(Reason),
    /// No answer, or no more of it. What was sent may have been done, or be done later.
    #[error("no answer within {}", seconds(*.0))]
    Hung(Duration),
    /// There is more than the caller wants to have.
    #[error("it is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// What was to be sent could not be read.
    #[error("what was to be sent broke off: {0}")]
    Source(Reason),
    /// An answer that means nothing we know.
    #[error("an answer that Weir does not understand (status {status}): {words}")]
    Unexpected { status: u16, words: Reason },
}

impl Failure {
    /// True for what may go away by itself, with the node.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Absent(_) | Self::Hung(_))
    }
}

impl CallError {
    /// True if there is no such object.
    pub fn is_missing(&self) -> bool {
        matches!(self.failure, Failure::Missing(_))
    }

    /// True for what may go away by itself, with the node.
    pub fn is_transient(&self) -> bool {
        self.failure.is_transient()
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
