//! What the dialects promise: read what others write, change only what was changed.

#![expect(
    clippy::unwrap_used,
    reason = "functions that tests share may panic as tests do"
)]

mod chain;
mod cloudevents;
mod frames;
mod geonode;
mod geoserver_cloud;
mod laws;
mod properties;
mod real;
mod rest;
mod rest_changes;
mod rest_frames;
mod rest_laws;

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

/// Compares lines with a file of this folder; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, lines: &[String]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let is = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, is).unwrap();
        return;
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        !recorded.is_empty(),
        "{path} is missing: UPDATE_GOLDEN=1 writes it"
    );
    for (number, (is, recorded)) in is.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(is, recorded, "line {} of {path}", number + 1);
    }
    assert_eq!(
        is.lines().count(),
        recorded.lines().count(),
        "lines of {path}"
    );
}
