//! A master that is read: against a server that answers what GeoServer was recorded to answer.

#![expect(
    clippy::unwrap_used,
    reason = "functions that tests share may panic as tests do"
)]

mod any;
mod faults;
mod files;
mod hints;
mod order;
mod real;
#[path = "../../../geoserver/tests/rest/recordings.rs"]
mod recordings;
mod removals;
#[allow(dead_code, reason = "the tests of the client need more of it")]
#[path = "../../../geoserver/tests/rest/server.rs"]
mod server;
mod world;

use weir_event::{Action, Event, Kind, Object, RestFrame};
use weir_geoserver::{Login, Node, Settings};
use weir_replication::{HydrateError, Master, MasterSettings};

fn settings() -> MasterSettings {
    MasterSettings {
        file_bytes: 1000,
        digest_bytes: 5000,
        ..MasterSettings::new("/masters/test")
    }
}

fn master(url: &str) -> Master {
    let login = Login::basic("admin", "geoserver").unwrap();
    let node = Node::new(Settings::new(url.parse().unwrap(), login)).unwrap();
    Master::new(node, settings())
}

fn object(kind: Kind, workspace: Option<&str>, name: Option<&str>) -> Object {
    Object {
        workspace: workspace.map(str::to_owned),
        name: name.map(str::to_owned),
        ..Object::of(kind)
    }
}

fn hint(action: Action, subject: Object) -> Event {
    Event {
        id: "hint".to_owned(),
        source: "/masters/test".to_owned(),
        time: "2026-11-25T18:00:00.000Z".to_owned(),
        sequence: Some(7),
        action,
        subject,
        previous: None,
        references: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    }
}

fn modified(kind: Kind, workspace: &str, name: &str) -> Event {
    hint(Action::Modified, object(kind, Some(workspace), Some(name)))
}

/// What frames are about: `modified layer north:rivers`.
fn briefly(frames: &[RestFrame]) -> Vec<String> {
    let brief = |frame: &RestFrame| {
        let place = &frame.place;
        let parts = [&place.workspace, &place.store, &place.name];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        let what = format!("{} {} {}", frame.action, frame.kind, parts.join(":"));
        what.trim_end().to_owned()
    };
    frames.iter().map(brief).collect()
}

/// The same, or why there are none, without the port of the server.
fn told(answer: Result<Vec<RestFrame>, HydrateError>, url: &str) -> Vec<String> {
    match answer {
        Ok(frames) => briefly(&frames),
        Err(error) => vec![format!("{error:?}").replace(url, "…")],
    }
}

/// Compares lines with a file of golden ones; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, lines: &[String]) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let is = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &is).unwrap();
    }
    let should = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == should,
        "{path} differs; look with UPDATE_GOLDEN=1 and git diff"
    );
}
