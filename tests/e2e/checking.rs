//! `weir check` and `weir plugin inspect` know what is wrong before anything starts.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Broker, Site, guest, root};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

const GOOD: &str = r##"
[[plugin]]
name = "drop-kinds"
path = "GUEST(drop-kinds)"

[[slave]]
name = "one"
subscribe = ["#"]
stages = [{ plugin = "drop-kinds", config = { kinds = ["security"] } }]
sink = { type = "stdout" }
"##;

#[test]
fn a_good_configuration_says_what_would_run() {
    let site = Site::new(GOOD);
    let output = site.call(&["check"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("plugin drop-kinds: filter"), "{told}");
    assert!(told.contains("slave one: drop-kinds"), "{told}");
}

#[test]
fn problems_have_their_places_and_their_exit_code() {
    let site = Site::new(&GOOD.replace("subscribe", "subscrib"));
    let output = site.call(&["check"]);
    assert_eq!(code(&output), 3);
    let told = text(&output.stderr);
    assert!(
        told.contains("weir.toml:8:1: [[slave]] has no key `subscrib`"),
        "{told}"
    );
    assert!(told.contains("did you mean `subscribe`?"), "{told}");

    let output = site.call(&["check", "--json"]);
    assert_eq!(code(&output), 3);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][1]["line"], 8, "{report}");
}

#[test]
fn every_plugin_and_its_settings_are_tried() {
    let settings = r#"config = { kinds = ["security"] }"#;
    let site = Site::new(&GOOD.replace(settings, "config = { kind = [] }"));
    let output = site.call(&["check"]);
    assert_eq!(code(&output), 3);
    let told = text(&output.stderr);
    assert!(
        told.contains("weir.toml:9:45: stage `one/drop-kinds`: plugin `drop-kinds`"),
        "{told}"
    );
    assert!(
        told.contains("unknown field `kind`"),
        "the plugin's own words: {told}"
    );

    let site = Site::new(&GOOD.replace("GUEST(drop-kinds)", "GUEST(route-by-workspace)"));
    let told = text(&site.call(&["check"]).stderr);
    assert!(told.contains("router"), "{told}");

    let site = Site::new(&GOOD.replace("GUEST(drop-kinds)", "missing.wasm"));
    let told = text(&site.call(&["check"]).stderr);
    assert!(told.contains("missing.wasm"), "{told}");
    let report: Value = serde_json::from_slice(&site.call(&["check", "--json"]).stdout).unwrap();
    let lines: Vec<&Value> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| &problem["line"])
        .collect();
    assert_eq!(lines, [4, 9], "the plugin, and the stage that needs it");
}

#[test]
fn files_are_looked_at() {
    let sink = r#"sink = { type = "stdout" }"#;
    for (path, error) in [
        ("weir-data", "is a directory"),
        ("weir.toml/out", "not a directory"),
    ] {
        let file = format!(r#"sink = {{ type = "file", path = "{path}" }}"#);
        let site = Site::new(&GOOD.replace(sink, &file));
        std::fs::create_dir(site.path("weir-data")).unwrap();
        let output = site.call(&["check"]);
        let told = text(&output.stderr);
        assert_eq!(code(&output), 3, "{told}");
        assert!(told.contains("weir.toml:10:8: cannot write"), "{told}");
        assert!(told.contains(error), "{told}");
    }
    assert_eq!(code(&Site::new(GOOD).call(&["check"])), 0);
}

/// Plugins quote what they do not understand.
#[test]
fn a_secret_in_settings_is_not_shown() {
    let settings = r#"config = { kinds = ["security"] }"#;
    let site = Site::new(&GOOD.replace(settings, r#"config = { kinds = "${file:secret}" }"#));
    site.replace("secret", b"hunter2\n");
    let told = text(&site.call(&["check"]).stderr);
    assert!(told.contains("invalid type: string \"***\""), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn the_broker_is_tried_unless_told_otherwise() {
    let nobody = "[bus]\nurl = \"amqp://weir:hunter2@127.0.0.1:1\"\n";
    let site = Site::new(&format!("{nobody}{GOOD}"));
    let output = site.call(&["check"]);
    assert_ne!(code(&output), 0);
    let told = text(&output.stderr);
    assert!(told.contains("broker"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    assert_eq!(code(&site.call(&["check", "--offline"])), 0);

    let Some(broker) = Broker::new() else { return };
    let site = Site::new(&format!("[bus]\nurl = \"{}\"\n{GOOD}", broker.url));
    let output = site.call(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(code(&output), 0, "{told}");
    assert!(
        !told.contains("ERROR"),
        "what is not there yet is no fault: {told}"
    );

    // A master has to wait for an exchange that is not there, and a slave makes it.
    let master = r#"
[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = { type = "amqp", exchange = "geoserver" }
"#;
    let stdout = r#"sink = { type = "stdout" }"#;
    let sink = r#"sink = { type = "amqp", exchange = "eu" }"#;
    let config = GOOD.replace(stdout, sink);
    let bus = format!("[bus]\nurl = \"{}\"\n", broker.url);
    let output = Site::new(&format!("{bus}{config}{master}")).call(&["check"]);
    let told = text(&output.stdout);
    assert!(
        told.contains("waits for the exchange `geoserver`"),
        "{told}"
    );
    assert!(!told.contains("`eu`"), "{told}");

    // Brokers of sources and sinks are tried as well.
    let elsewhere = sink.replace("exchange", r#"url = "amqp://127.0.0.1:1", exchange"#);
    let output = Site::new(&GOOD.replace(stdout, &elsewhere)).call(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(code(&output), 3, "{told}");
    assert!(
        told.contains("weir.toml:10:8: the broker is not available"),
        "{told}"
    );
}

#[test]
fn the_schema_is_json() {
    let site = Site::new("");
    let schema: Value = serde_json::from_slice(&site.call(&["check", "--schema"]).stdout).unwrap();
    assert_eq!(schema["title"], "weir.toml");
}

/// The smallest pipeline of each plugin is a right one.
#[test]
fn the_pipelines_of_the_plugins_are_right() {
    let mut checked = 0;
    for entry in std::fs::read_dir(root().join("plugins")).unwrap() {
        let folder = entry.unwrap().path();
        let pipeline = std::fs::read_to_string(folder.join("pipeline.toml")).unwrap();
        let directory = guest("drop-kinds")
            .parent()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let fixtures = root().join("tests/fixtures");
        let pipeline = pipeline
            .replace("../../target/wasm32-wasip2/plugin", &directory)
            .replace("../../tests/fixtures", fixtures.to_str().unwrap());
        let site = Site::new(&pipeline);
        let output = site.call(&["check"]);
        assert_eq!(
            code(&output),
            0,
            "{}: {}",
            folder.display(),
            text(&output.stderr)
        );
        checked += 1;
    }
    assert!(checked >= 6);
}

/// So is the one in the README.
#[test]
fn the_pipeline_of_the_readme_is_right() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (pipeline, _) = rest.split_once("```").unwrap();
    let plugin = "target/wasm32-wasip2/plugin/remap_workspaces.wasm";
    assert!(pipeline.contains(plugin));
    let site = Site::new(&pipeline.replace(plugin, "GUEST(remap-workspaces)"));
    let output = site.call(&["check", "--offline"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn inspect_says_what_a_component_is() {
    let site = Site::new("");
    let path = guest("remap-workspaces");
    let output = site.call(&["plugin", "inspect", path.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    let told = text(&output.stdout);
    for expected in [
        "world    transform",
        "version  0.2.0",
        "sha256   ",
        "weir:plugin/transforming@0.2.0",
    ] {
        assert!(told.contains(expected), "{expected} in {told}");
    }

    site.replace("core.wasm", b"\0asm\x01\0\0\0");
    let output = site.call(&["plugin", "inspect", "core.wasm", "--json"]);
    assert_eq!(code(&output), 3);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kind"], "core module");
    assert!(
        report["problems"][0]
            .as_str()
            .unwrap()
            .contains("wasm32-wasip2"),
        "{report}"
    );
}
