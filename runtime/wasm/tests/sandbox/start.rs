//! What becomes of a component and its settings before any event, and what is kept for the next
//! start.

use std::fs;
use std::path::Path;

use weir_wasm::{
    Digest, Fault, Host, HostError, HostSettings, Instances, Judgement, Limits, LoadError, Stage,
    StageError, Workshop, World,
};

use crate::guests::{WARM, event, files, guest, host, misbehaving, stage, transformed};

#[tokio::test]
async fn settings_that_the_plugin_refuses_are_an_error_in_its_own_words() {
    let settings = r#"{"deed": {"refuse": "no such workspace: tpop"}}"#;
    let limits = Limits::default();
    let refused = stage(&host(), "misbehave", settings, limits, WARM).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "stage `test`: plugin `misbehave` refuses its settings: no such workspace: tpop"
    );
}

#[tokio::test]
async fn a_plugin_that_fails_on_its_settings_is_an_error() {
    for (deed, expected) in [
        ("panic-early", "(it wrote: thread"),
        ("spin-early", "ran out of fuel"),
    ] {
        let settings = format!(r#"{{"deed": "{deed}"}}"#);
        let error = stage(&host(), "misbehave", &settings, Limits::default(), WARM)
            .await
            .unwrap_err();
        assert!(matches!(error, StageError::Configure(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

/// Such a plugin cannot be pre-initialised: its memory remembers a stream that was opened for it.
#[tokio::test]
async fn a_plugin_that_prints_while_it_takes_its_settings_works() {
    for instances in [Instances::Fresh, WARM] {
        let stage = misbehaving(r#""print-early""#, Limits::default(), instances).await;
        for id in ["one", "two", "three"] {
            assert_eq!(transformed(&stage, &event(id)).await.unwrap(), [event(id)]);
        }
    }
}

#[tokio::test]
async fn a_plugin_says_what_it_is() {
    let plugin = host().read("a router", &guest("misroute")).unwrap();
    assert_eq!(plugin.world(), World::Router);
    assert_eq!(plugin.version(), "0.2.0");
    assert_eq!(plugin.name(), "a router");
    let bytes = fs::read(guest("misroute")).unwrap();
    assert_eq!(plugin.size(), bytes.len());
    assert_eq!(plugin.digest(), Digest::of(&bytes));
    assert!(
        plugin
            .imports()
            .iter()
            .any(|name| name.starts_with("wasi:"))
    );
}

#[test]
fn what_is_no_plugin_is_not_loaded() {
    let host = host();
    let missing = host.read("plugin", Path::new("/nowhere/plugin.wasm"));
    let missing = missing.unwrap_err();
    assert!(matches!(missing, LoadError::Unreadable { .. }), "{missing}");
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("old.wasm");
    fs::write(&module, b"\0asm\x01\0\0\0").unwrap();
    let problem = host.read("plugin", &module).unwrap_err().to_string();
    assert_eq!(
        problem,
        format!(
            "`{}` is no plugin for this Weir: this is a core module, not a component: build for wasm32-wasip2 or run wasm-tools component new",
            module.display()
        )
    );
}

/// The component is whole and was a plugin once; what it exports has other types today.
#[test]
fn a_plugin_of_an_earlier_contract_is_told_its_version_and_what_to_do() {
    let path = guest("outdated");
    let problem = host().read("plugin", &path).unwrap_err().to_string();
    assert_eq!(
        problem,
        format!(
            "`{}` is no plugin for this Weir: `weir:plugin/filtering@0.1.0` is not a version that this Weir runs (0.2.x): build it against that version of weir:plugin, or take the Weir that fits it",
            path.display()
        )
    );
}

/// Its outline is in order, its code is not.
#[tokio::test]
async fn a_damaged_plugin_is_an_error_before_any_event() {
    let mut bytes = fs::read(guest("misjudge")).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle..middle + 64].fill(0xff);
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("damaged.wasm");
    fs::write(&damaged, bytes).unwrap();
    let error = match host().read("damaged", &damaged) {
        Err(error) => error.to_string(),
        Ok(plugin) => plugin
            .stage("test", &"{}".into(), Limits::default(), WARM)
            .await
            .unwrap_err()
            .to_string(),
    };
    assert!(error.contains("damaged"), "{error}");
}

/// Starts a stage on a host of its own, as a new process does, and says what comes of an event.
async fn start(cache: &Path, settings: &str) -> Result<Judgement, Fault> {
    let host = Host::new(HostSettings {
        cache: Some(cache.join("cache")),
        ..HostSettings::default()
    });
    let stage = stage(
        &host.unwrap(),
        "misjudge",
        settings,
        Limits::default(),
        WARM,
    )
    .await;
    let Ok(Stage::Filter(stage)) = stage else {
        panic!("{stage:?}");
    };
    stage.filter(&event("one")).await
}

#[tokio::test]
async fn a_second_start_uses_what_the_first_one_kept() {
    let cache = tempfile::tempdir().unwrap();
    let keep = r#"{"say": "keep"}"#;
    start(cache.path(), keep).await.unwrap();
    let [kept] = &files(cache.path())[..] else {
        panic!("one entry per stage");
    };
    // Another plugin's answer in the place of this one's shows that it is looked at.
    let other = tempfile::tempdir().unwrap();
    let drop = r#"{"say": {"drop": "from the cache"}}"#;
    start(other.path(), drop).await.unwrap();
    fs::copy(&files(other.path())[0], kept).unwrap();
    let judged = start(cache.path(), keep).await.unwrap();
    assert_eq!(
        judged,
        Judgement::Drop(weir_event::Reason::new("from the cache"))
    );
}

#[tokio::test]
async fn a_start_survives_whatever_happens_to_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let keep = r#"{"say": "keep"}"#;
    start(cache.path(), keep).await.unwrap();
    for damage in [
        |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec(),
        |_: &[u8]| Vec::new(),
        |_: &[u8]| b"something else".to_vec(),
    ] {
        for file in files(cache.path()) {
            let whole = fs::read(&file).unwrap();
            fs::write(file, damage(&whole)).unwrap();
        }
        assert_eq!(start(cache.path(), keep).await.unwrap(), Judgement::Keep);
    }
}

#[test]
fn a_cache_directory_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let settings = |name| HostSettings {
        cache: Some(parent.path().join(name)),
        ..HostSettings::default()
    };
    Host::new(settings("new")).unwrap();
    let mode = fs::metadata(parent.path().join("new"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);

    let shared = parent.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o750)).unwrap();
    let refused = Host::new(settings("shared")).err();
    assert!(
        matches!(refused, Some(HostError::CacheNotPrivate(_))),
        "{refused:?}"
    );

    fs::write(parent.path().join("file"), "").unwrap();
    let refused = Host::new(settings("file")).err();
    assert!(
        matches!(refused, Some(HostError::Cache { .. })),
        "{refused:?}"
    );
}

/// What comes of a plugin whose workshop is this script.
async fn prepared_by(script: &str) -> String {
    let host = Host::new(HostSettings {
        cache: None,
        workshop: Some(Workshop {
            program: "/bin/sh".into(),
            arguments: ["-c", script].map(Into::into).to_vec(),
        }),
    });
    let prepared = stage(&host.unwrap(), "misjudge", "{}", Limits::default(), WARM).await;
    prepared.unwrap_err().to_string()
}

#[tokio::test]
async fn a_workshop_that_dies_says_of_what() {
    for (script, reason) in [
        (
            "kill -XCPU $$",
            "preparing it took more than 300 s of processor time",
        ),
        (
            "kill -ABRT $$",
            "preparing it took more than 4096 MiB of memory",
        ),
        (
            "exit 7",
            "the process that was to prepare it ended with exit status: 7",
        ),
        (
            "cat > /dev/null",
            "the process that was to prepare it said nothing",
        ),
        (
            "cat > /dev/null; printf '\\0rubbish'",
            "what was prepared cannot be read",
        ),
    ] {
        assert_eq!(
            prepared_by(script).await,
            format!("stage `test`: plugin `misjudge` cannot be used: {reason}")
        );
    }
}
