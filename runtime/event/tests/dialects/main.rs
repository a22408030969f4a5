//! What the dialects promise: read what others write, change only what was changed.

mod chain;
mod cloudevents;
mod frames;
mod geonode;
mod geoserver_cloud;
mod laws;

use weir_event::{Decoded, Dialect, Document, Event, Message};

const SOURCE: &str = "/masters/test";

fn message(payload: impl Into<Vec<u8>>) -> Message {
    Message {
        payload: payload.into().into(),
        ..Message::default()
    }
}

/// The event and the document in a message that is known to hold one.
fn decode(dialect: Dialect, message: &Message) -> (Event, Document) {
    match dialect.decode(message, SOURCE) {
        Ok(Decoded::Event(event, document)) => (*event, document),
        other => panic!("{dialect} event expected, not {other:?}"),
    }
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}

fn fixture(name: &str) -> String {
    let path = format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The notifications of the fixture, with the title that stands before each.
fn notifications() -> Vec<(String, String)> {
    let fixture = fixture("geonode-notifications.txt");
    let parts = fixture.split("### ").filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (title, json) = part.split_once('\n').unwrap();
            (title.to_owned(), json.trim_end().to_owned())
        })
        .collect()
}
