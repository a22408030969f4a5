//! Passwords that an event knows and the interface hides.

use tracing::debug;
use weir_event::{Decoded, Dialect, Event, Message, RestContent, RestFrame};

/// How a text begins that only the node that wrote it can read.
const CIPHER: &str = "crypt1:";

/// Puts the passwords that a hint knows in plain text where the master has told cipher text of the
/// same property.
pub(super) fn carry(frame: RestFrame, hint: &Event) -> RestFrame {
    let has_cipher = matches!(&frame.content, Some(RestContent::Json(body)) if {
        let known = hint.properties.iter().any(|property| !property.value.is_empty());
        known && frame.kind == hint.subject.kind && body.to_string().contains(CIPHER)
    });
    if !has_cipher {
        return frame;
    }
    carried(&frame, hint).unwrap_or(frame)
}

/// `None` if there was nothing to be put, or the frame has no place for it.
fn carried(frame: &RestFrame, hint: &Event) -> Option<RestFrame> {
    let message = Message {
        payload: frame.to_payload(),
        ..Message::default()
    };
    // The dialect knows where the properties are.
    let (mut event, document) = match Dialect::GeoServerRest.decode(&message, &hint.source) {
        Ok(Decoded::Event(event, document)) => (event, document),
        Ok(Decoded::NotCatalog(_)) => return None,
        Err(error) => {
            debug!(%error, "no password of the event is carried over");
            return None;
        }
    };
    let mut is_changed = false;
    for property in &mut event.properties {
        let known = hint.properties.iter().find(|it| it.name == property.name);
        if let Some(known) = known
            && property.value.starts_with(CIPHER)
            && !known.value.starts_with(CIPHER)
            && !known.value.is_empty()
        {
            property.value.clone_from(&known.value);
            is_changed = true;
        }
    }
    if !is_changed {
        return None;
    }
    match Dialect::GeoServerRest.encode(&event, document) {
        Ok(message) => RestFrame::read(&message.payload).ok(),
        Err(error) => {
            debug!(%error, "no password of the event is carried over");
            None
        }
    }
}
