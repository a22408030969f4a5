//! Invariants of the code base that a machine can check: who depends on whom, under which licences,
//! and with which features.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, whatever cannot be is a failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// By package of the workspace: what its own code depends on, for more than its tests.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: Vec<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .filter(|package| members.contains(&package["id"].as_str().unwrap()))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let names = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (
                package["name"].as_str().unwrap().to_owned(),
                names.collect(),
            )
        })
        .collect()
}

#[test]
fn one_place_knows_each_thing() {
    let dependencies = dependencies(&metadata());
    // The benchmark compares with a bare lapin relay; no host crate is behind it.
    let wrappers = [
        ("lapin", &["weir-bus", "weir-bench"][..]),
        ("redb", &["weir-bus"]),
        // What reads XML to compare it; the double of GeoServer answers with some.
        ("roxmltree", &["weir-replication", "weir-test-geoserver"]),
        ("reqwest", &["weir-geoserver"]),
        ("rustls", &["weir-geoserver"]),
        ("wasmtime", &["weir-wasm"]),
        ("wasmtime-wasi", &["weir-wasm"]),
        ("wasmtime-wizer", &["weir-wasm"]),
        ("toml", &["weir-pipeline"]),
        ("notify", &["weir"]),
        ("clap", &["weir"]),
        ("anyhow", &["weir", "weir-bench"]),
    ];
    for (known, knowers) in wrappers {
        let found: BTreeSet<&str> = dependencies
            .iter()
            .filter(|(_, names)| names.contains(known))
            .map(|(package, _)| package.as_str())
            .collect();
        assert_eq!(
            found,
            knowers.iter().copied().collect(),
            "who depends on {known}"
        );
    }
}

#[test]
fn dependency_runs_one_way() {
    let dependencies = dependencies(&metadata());
    let plugins: BTreeSet<String> = std::fs::read_dir(root().join("plugins"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let allowed = [
        ("weir-event", &[][..]),
        ("weir-bus", &["weir-event"]),
        ("weir-geoserver", &["weir-event"]),
        ("weir-wasm", &["weir-event"]),
        ("weir-pipeline", &["weir-event", "weir-wasm"]),
        ("weir-replication", &["weir-event", "weir-geoserver"]),
        (
            "weir",
            &[
                "weir-bus",
                "weir-event",
                "weir-geoserver",
                "weir-pipeline",
                "weir-replication",
                "weir-wasm",
            ],
        ),
    ];
    for (package, own) in allowed {
        let names = &dependencies[package];
        let found: BTreeSet<&str> = names
            .iter()
            .filter(|name| name.starts_with("weir") || plugins.contains(*name))
            .map(String::as_str)
            .collect();
        assert_eq!(
            found,
            own.iter().copied().collect(),
            "what {package} depends on"
        );
    }
}

#[test]
fn licences_are_ones_that_we_may_ship() {
    const ALLOWED: [&str; 14] = [
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CDLA-Permissive-2.0",
        "ISC",
        "MIT",
        "MIT-0",
        "Unicode-3.0",
        "Unlicense",
        "Zlib",
        "0BSD",
    ];
    let metadata = metadata();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let expression = package["license"].as_str().unwrap_or("none");
        // SPDX, as far as it occurs: `A OR B`, `(A OR B) AND C`, and the old `A/B`.
        let allowed = expression.split(" AND ").all(|all| {
            let any = all.trim_matches(['(', ')', ' ']).replace('/', " OR ");
            any.split(" OR ")
                .any(|one| ALLOWED.contains(&one.trim_matches(['(', ')', ' '])))
        });
        if !allowed {
            refused.push(format!("{}: {expression}", package["name"]));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// By what is compiled, and for what: the sets of features with which it is.
type Features = BTreeMap<String, BTreeSet<String>>;

/// What a build of `targets` compiles. The flag is unstable, and tells what nothing else tells.
fn compiled(targets: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--unit-graph",
            "-Z",
            "unstable-options",
        ])
        .args(targets)
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut compiled = Features::new();
    for unit in graph["units"].as_array().unwrap() {
        let target = &unit["target"];
        let what = format!(
            "{} {} {} {} {}",
            unit["pkg_id"], target["kind"], target["name"], unit["mode"], unit["platform"]
        );
        let how = format!("{} {}", unit["features"], unit["profile"]);
        compiled.entry(what).or_default().insert(how);
    }
    compiled
}

/// What `make bench`, `make demo` or `cargo build --workspace` compiled is not compiled again for the
/// program by itself, the other way round neither. Wasmtime alone takes minutes.
#[test]
fn targets_share_what_they_compile() {
    let program = compiled(&["-p", "weir"]);
    assert!(program.keys().any(|what| what.contains("wasmtime")));
    for targets in [
        &["--workspace", "--bin", "weir"][..],
        &["-p", "weir", "-p", "weir-bench"],
    ] {
        let others = compiled(targets);
        let differs: Vec<&String> = program
            .iter()
            .filter(|(what, how)| others.get(*what) != Some(how))
            .map(|(what, _)| what)
            .collect();
        assert!(
            differs.is_empty(),
            "{targets:?} compiles these with other features: {differs:#?}"
        );
    }
}
