//! What lapin reports, in the words of this crate.

use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;

use crate::{BusError, Mismatch};

/// A text as AMQP's short string, which is where all names and keys go.
pub(super) fn short(text: &str) -> Result<ShortString, BusError> {
    ShortString::try_new(text).map_err(|_| BusError::Name(text.to_owned()))
}

/// What an error means that came from asking for `what` (`queue weir.slave.eu`).
pub(super) fn fault(what: &str, error: &lapin::Error) -> BusError {
    let ErrorKind::ProtocolError(protocol) = error.kind() else {
        return BusError::Unavailable(error.to_string());
    };
    let text = protocol.get_message().to_string();
    match protocol.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            BusError::Missing(format!("the {what} does not exist on the broker"))
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => BusError::Mismatch(Mismatch {
            what: what.to_owned(),
            difference: difference(&text),
        }),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => BusError::Refused(text),
        _ => BusError::Unavailable(text),
    }
}

/// True if the broker closed the channel because an exchange does not exist.
pub(super) fn is_missing(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(protocol)
        if *protocol.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}

/// The part of RabbitMQ's message that says which argument differs, and how:
/// `PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'weir' in vhost '/': received
/// 'topic' but current is 'fanout'`.
fn difference(text: &str) -> String {
    let argument = text.split_once("inequivalent arg ").and_then(|(_, rest)| {
        let (argument, rest) = rest.split_once(" for ")?;
        let (_, values) = rest.split_once(": ")?;
        Some(format!("{argument}: {values}"))
    });
    argument.unwrap_or_else(|| text.to_owned())
}

/// True if the broker closed the channel over a message that is larger than it takes.
pub(super) fn oversize(error: &lapin::Error) -> Option<usize> {
    let ErrorKind::ProtocolError(protocol) = error.kind() else {
        return None;
    };
    let text = protocol.get_message().to_string();
    let (_, rest) = text.split_once("message size ")?;
    let (size, rest) = rest.split_once(' ')?;
    if rest.starts_with("is larger than") {
        size.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::protocol::AMQPError;

    fn error(text: &str) -> lapin::Error {
        let kind = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
        ErrorKind::ProtocolError(AMQPError::new(kind, text.into())).into()
    }

    #[test]
    fn a_mismatch_names_the_queue_and_the_argument() {
        let told = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'weir.dead' in vhost '/': received 'true' but current is 'false'";
        assert_eq!(
            fault("queue weir.dead", &error(told)).to_string(),
            "the queue weir.dead exists and is declared otherwise ('durable': received 'true' but \
             current is 'false'); delete it once it is empty, and Weir declares it anew: what is \
             in it can be moved away with RabbitMQ's shovel"
        );
    }

    #[test]
    fn an_oversize_message_is_known_by_its_size() {
        let told = "PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728";
        assert_eq!(oversize(&error(told)), Some(134_217_729));
        assert_eq!(
            oversize(&error("PRECONDITION_FAILED - unknown delivery tag 7")),
            None
        );
    }
}
