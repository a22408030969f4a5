//! What every fuzz target tries: no bytes make a dialect panic, and an event that was read can be
//! written, in its own dialect and in the canonical one, and be read again.

use weir_event::{CloudVersion, Decoded, Dialect, Event, Message};

/// Tries one payload.
pub fn check(dialect: Dialect, payload: &[u8]) {
    let message = Message {
        payload: payload.to_vec().into(),
        ..Message::default()
    };
    let Ok(Decoded::Event(event, document)) = dialect.decode(&message, "/fuzz") else {
        return;
    };
    for to in [dialect, Dialect::CloudEvents] {
        let sent = to
            .encode(&event, document.clone())
            .expect("what was read can be written");
        assert_eq!(decode(to, &sent), *event);
    }
    for version in CloudVersion::ALL {
        if let Ok(sent) = Dialect::GeoServerCloud.encode_for(version, &event, document.clone())
            && dialect == Dialect::GeoServerCloud
        {
            decode(dialect, &sent);
        }
    }
    let mut changed = event.clone();
    changed.subject.workspace = changed.subject.workspace.map(|_| "fuzz".to_owned());
    for to in [dialect, Dialect::CloudEvents] {
        if let Ok(sent) = to.encode(&changed, document.clone()) {
            decode(to, &sent);
        }
    }
}

fn decode(dialect: Dialect, message: &Message) -> Event {
    match dialect.decode(message, "/fuzz") {
        Ok(Decoded::Event(event, _)) => *event,
        other => panic!("what was written can be read, but: {other:?}"),
    }
}
