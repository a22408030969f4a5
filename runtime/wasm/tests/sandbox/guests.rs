//! Where the components are, and what all tests of them need.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use weir_event::{Action, Event, Kind, Object};
use weir_wasm::{
    Fault, Host, HostSettings, Instances, Limits, Outcome, Stage, StageError, Transform,
};

pub(crate) const WARM: Instances = Instances::Warm {
    recycle: Instances::RECYCLE,
};

/// The component of a guest: from the directory `WEIR_GUESTS`, or from where cargo builds it.
pub(crate) fn guest(name: &str) -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/wasm32-wasip2/plugin");
    let directory = env::var_os("WEIR_GUESTS").map_or_else(built, PathBuf::from);
    let path = directory.join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `make guests`",
        path.display()
    );
    path
}

/// One host for all tests, as a process has: it compiles each guest with the same settings once.
pub(crate) fn host() -> Host {
    static HOST: OnceLock<(Host, tempfile::TempDir)> = OnceLock::new();
    let (host, _) = HOST.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        let host = Host::new(HostSettings {
            cache: Some(cache.path().join("cache")),
            ..HostSettings::default()
        });
        (host.unwrap(), cache)
    });
    host.clone()
}

pub(crate) fn event(id: &str) -> Event {
    Event {
        id: id.to_owned(),
        source: "/masters/test".to_owned(),
        time: "2026-08-16T20:13:21.5Z".to_owned(),
        sequence: None,
        action: Action::Added,
        subject: Object {
            workspace: Some("topp".to_owned()),
            name: Some("states".to_owned()),
            ..Object::of(Kind::Layer)
        },
        previous: None,
        references: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    }
}

/// A stage called `test` with this guest in it.
pub(crate) async fn stage(
    host: &Host,
    name: &str,
    settings: &str,
    limits: Limits,
    instances: Instances,
) -> Result<Stage, StageError> {
    host.read(name, &guest(name))
        .unwrap()
        .stage("test", &settings.into(), limits, instances)
        .await
}

/// A transform that does what it should not.
pub(crate) async fn misbehaving(deed: &str, limits: Limits, instances: Instances) -> Transform {
    let settings = format!(r#"{{"deed": {deed}}}"#);
    match stage(&host(), "misbehave", &settings, limits, instances).await {
        Ok(Stage::Transform(stage)) => stage,
        other => panic!("{other:?}"),
    }
}

/// What a transform makes of an event; the event itself where it has nothing to do.
pub(crate) async fn transformed(stage: &Transform, event: &Event) -> Result<Vec<Event>, Fault> {
    Ok(match stage.transform(event).await? {
        Outcome::Unchanged => vec![event.clone()],
        Outcome::Replaced(events) => events,
    })
}

/// All files under a directory, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
