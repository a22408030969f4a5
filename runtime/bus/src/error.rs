//! What can go wrong on the bus, by what the caller does about it.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BusError {
    /// No connection, or it broke: try again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// What is there is not what Weir needs: somebody has to decide.
    #[error("{0}")]
    Mismatch(Mismatch),
    /// A queue or an exchange that should exist does not.
    #[error("{0}")]
    Missing(String),
    #[error("`{0}` is longer than the 255 bytes that AMQP allows for a name or a key; shorten it")]
    Name(String),
    /// The broker refuses; the user of the bus URL lacks a permission.
    #[error(
        "the broker refuses: {0}; give the user of the URL the permissions to configure, write and read what begins with the prefix of the bus, `weir` where none is set"
    )]
    Refused(String),
    /// Another process has the embedded bus.
    #[error("the embedded bus in {} is in use by {owner}; stop it, or give this one another directory", .directory.display())]
    InUse { directory: PathBuf, owner: String },
    /// The store of the embedded bus cannot be read or written.
    #[error("the store of the embedded bus failed: {0}")]
    Store(String),
}

/// Something on the broker that is not as Weir would have declared it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// `queue weir.slave.eu`
    pub what: String,
    /// As the broker tells it.
    pub difference: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the {} exists and is declared otherwise ({}); delete it once it is empty, and Weir declares it anew: what is in it can be moved away with RabbitMQ's shovel",
            self.what, self.difference
        )
    }
}

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// The connection or the broker is in trouble: worth another try. The message may have arrived.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// No queue takes messages with this key.
    #[error("no queue takes messages with the routing key `{0}`; bind one to the exchange")]
    Unroutable(String),
    /// The broker took the message and then said no: a queue is full, or could not keep it.
    #[error("the broker refused the message: {0}")]
    Refused(String),
    /// The message as it is cannot be sent, ever.
    #[error("the message cannot be sent: {0}")]
    TooLarge(String),
}
