//! What a file is, and what keeps it from being a plugin: read from its outline, without compiling.

use thiserror::Error;
use wasmparser::{Parser, Payload};

use crate::extent::{Excess, Extent};
use crate::plugin::{Digest, MAX_BYTES, World};

/// The package of the contract.
pub(crate) const PACKAGE: &str = "weir:plugin";

/// The versions of the contract that this Weir runs: a plugin built against any patch of these.
const RUNS: (&str, &str) = ("0", "2");

/// The packages of WASI 0.2 that standard libraries import; Weir offers them with nothing in them.
const WASI: [&str; 6] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Component,
    CoreModule,
    NotWasm,
}

/// What can be seen of a file from outside.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub kind: Shape,
    /// The world that it targets, if it is one and only one.
    pub world: Option<World>,
    /// The version of the contract that it was built against.
    pub version: Option<String>,
    /// The names of what it imports and exports, in the order of the file.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// In bytes.
    pub size: usize,
    pub digest: Digest,
    /// What an instance of it takes up.
    pub(crate) extent: Extent,
    /// What keeps it from being a plugin; empty if nothing does.
    pub problems: Vec<Problem>,
}

/// Something that keeps a file from being a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    #[error("this is no WebAssembly: give the `.wasm` file that the build made")]
    NotWasm,
    #[error(
        "this is a core module, not a component: build for wasm32-wasip2 or run wasm-tools component new"
    )]
    CoreModule,
    #[error("it has more than {} MiB: build it optimised, and strip it", MAX_BYTES >> 20)]
    TooLarge,
    #[error("the component is damaged: {0}; build it again")]
    Damaged(String),
    #[error(
        "it exports none of {PACKAGE}/filtering, transforming and routing: target one of the worlds filter, transform and router of {PACKAGE}"
    )]
    NoWorld,
    #[error("it exports {}: a plugin targets one world; make a component of each", .0.join(" and "))]
    ManyWorlds(Vec<String>),
    #[error(
        "`{name}` is not a version that this Weir runs ({major}.{minor}.x): build it against that version of {PACKAGE}, or take the Weir that fits it",
        major = RUNS.0,
        minor = RUNS.1
    )]
    Version { name: String },
    #[error(
        "it has {what}, where {most} are the most that a plugin may have: build it without what it does not need"
    )]
    TooMuch { what: String, most: u64 },
    #[error("it imports `{0}`, which Weir does not offer: plugins have no effect but their result")]
    Import(String),
}

/// Looks at a file, whatever it is. Never fails: `problems` says what is wrong.
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut inspection = Inspection {
        kind: shape(bytes),
        world: None,
        version: None,
        imports: Vec::new(),
        exports: Vec::new(),
        size: bytes.len(),
        digest: Digest::of(bytes),
        extent: Extent::default(),
        problems: Vec::new(),
    };
    match inspection.kind {
        Shape::NotWasm => inspection.problems.push(Problem::NotWasm),
        Shape::CoreModule => inspection.problems.push(Problem::CoreModule),
        Shape::Component => {
            if bytes.len() as u64 > MAX_BYTES {
                inspection.problems.push(Problem::TooLarge);
            }
            match outline(bytes, &mut inspection) {
                Ok(()) => judge(&mut inspection),
                Err(error) => inspection
                    .problems
                    .push(Problem::Damaged(error.to_string())),
            }
            match Extent::of(bytes) {
                Ok(Ok(extent)) => inspection.extent = extent,
                Ok(Err(Excess { what, most })) => {
                    let what = format!("too many {what}");
                    inspection.problems.push(Problem::TooMuch { what, most });
                }
                // It is damaged, which was found already.
                Err(_) => {}
            }
        }
    }
    inspection
}

fn shape(bytes: &[u8]) -> Shape {
    if Parser::is_component(bytes) {
        Shape::Component
    } else if Parser::is_core_wasm(bytes) {
        Shape::CoreModule
    } else {
        Shape::NotWasm
    }
}

/// Fills in the imports and exports of the component itself, not of those nested in it.
fn outline(bytes: &[u8], into: &mut Inspection) -> wasmparser::Result<()> {
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    into.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    into.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Finds the world, and everything that does not fit.
fn judge(inspection: &mut Inspection) {
    let mut worlds = Vec::new();
    for export in &inspection.exports {
        let (package, interface, version) = parts(export);
        let known = World::ALL
            .into_iter()
            .find(|world| world.interface() == interface);
        if let (PACKAGE, Some(world)) = (package, known) {
            worlds.push((world, version, export));
        }
    }
    match worlds.as_slice() {
        [] => inspection.problems.push(Problem::NoWorld),
        [(world, version, name)] => {
            inspection.world = Some(*world);
            inspection.version = Some((*version).to_owned());
            if !runs(version) {
                let name = (*name).clone();
                inspection.problems.push(Problem::Version { name });
            }
        }
        many => {
            let names = many.iter().map(|(_, _, name)| (*name).clone()).collect();
            inspection.problems.push(Problem::ManyWorlds(names));
        }
    }
    for import in &inspection.imports {
        let (package, interface, version) = parts(import);
        let problem = match (package, interface) {
            // Interfaces that hold types only are imported by name as well.
            (PACKAGE, "host" | "catalog") if runs(version) => continue,
            // Said already of what it exports.
            (PACKAGE, _) if inspection.version.as_deref() == Some(version) && !runs(version) => {
                continue;
            }
            (PACKAGE, _) => Problem::Version {
                name: import.clone(),
            },
            _ if WASI.contains(&package) && version.starts_with("0.2.") => continue,
            _ => Problem::Import(import.clone()),
        };
        inspection.problems.push(problem);
    }
}

/// `weir:plugin/host@0.2.0` is `weir:plugin`, `host` and `0.2.0`; what is missing is empty.
fn parts(name: &str) -> (&str, &str, &str) {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = path.split_once('/').unwrap_or((path, ""));
    (package, interface, version)
}

/// Same major version, and the same minor one while that is 0.
fn runs(version: &str) -> bool {
    let mut numbers = version.splitn(3, '.');
    (numbers.next(), numbers.next()) == (Some(RUNS.0), Some(RUNS.1)) && numbers.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    /// A component that exports and imports empty instances with these names.
    fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
        let mut bytes = COMPONENT.to_vec();
        let name = |name: &str| {
            let mut coded = vec![0, u8::try_from(name.len()).unwrap()];
            coded.extend(name.bytes());
            coded
        };
        let mut section = |id: u8, items: Vec<Vec<u8>>| {
            let body: Vec<u8> = items.concat();
            let mut size = body.len() + 1;
            bytes.push(id);
            while size >= 128 {
                bytes.push(u8::try_from(size & 127).unwrap() | 128);
                size >>= 7;
            }
            bytes.push(u8::try_from(size).unwrap());
            bytes.push(u8::try_from(items.len()).unwrap());
            bytes.extend(body);
        };
        // An empty instance type, and imports of it.
        section(7, vec![vec![0x42, 0]]);
        let import = |import: &&str| [name(import), vec![5, 0]].concat();
        section(10, imports.iter().map(import).collect());
        // An empty instance, and exports of it.
        section(5, vec![vec![1, 0]]);
        let export = |export: &&str| [name(export), vec![5, 0, 0]].concat();
        section(11, exports.iter().map(export).collect());
        bytes
    }

    fn problems(imports: &[&str], exports: &[&str]) -> Vec<String> {
        inspect(&component(imports, exports))
            .problems
            .iter()
            .map(Problem::to_string)
            .collect()
    }

    #[test]
    fn a_plugin_of_any_patch_of_the_version_has_no_problems() {
        let imports = ["weir:plugin/host@0.2.0", "wasi:cli/stderr@0.2.6"];
        let exports = [
            "weir:plugin/transforming@0.2.7",
            "something:else/whole@3.0.0",
        ];
        let found = inspect(&component(&imports, &exports));
        assert_eq!(found.problems, []);
        assert_eq!(found.world, Some(World::Transform));
        assert_eq!(found.version.as_deref(), Some("0.2.7"));
        assert_eq!(found.imports, imports);
        assert_eq!(found.exports, exports);
    }

    #[test]
    fn what_is_no_component_says_what_it_is() {
        assert_eq!(inspect(b"#!/bin/sh").problems, [Problem::NotWasm]);
        assert_eq!(inspect(b"").kind, Shape::NotWasm);
        let module = inspect(b"\0asm\x01\0\0\0");
        assert_eq!(module.kind, Shape::CoreModule);
        assert_eq!(
            module.problems[0].to_string(),
            "this is a core module, not a component: build for wasm32-wasip2 or run wasm-tools component new"
        );
    }

    #[test]
    fn a_plugin_targets_one_world() {
        assert_eq!(inspect(COMPONENT).problems, [Problem::NoWorld]);
        let both = ["weir:plugin/filtering@0.2.0", "weir:plugin/routing@0.2.0"];
        assert_eq!(
            problems(&[], &both),
            [
                "it exports weir:plugin/filtering@0.2.0 and weir:plugin/routing@0.2.0: a plugin targets one world; make a component of each"
            ]
        );
    }

    #[test]
    fn another_version_is_named_with_those_that_run() {
        for version in ["0.1.0", "1.2.0", "0.20.0", "0.2"] {
            let export = format!("weir:plugin/filtering@{version}");
            assert_eq!(
                problems(&[], &[&export]),
                [format!(
                    "`{export}` is not a version that this Weir runs (0.2.x): build it against that version of weir:plugin, or take the Weir that fits it"
                )]
            );
        }
    }

    #[test]
    fn every_import_that_is_not_offered_is_named() {
        let exports = ["weir:plugin/filtering@0.2.0"];
        let imports = [
            "wasi:http/types@0.2.0",
            "wasi:io/poll@0.3.0",
            "weir:plugin/host@0.1.0",
            "env",
        ];
        let found = inspect(&component(&imports, &exports)).problems;
        assert_eq!(found.len(), imports.len(), "{found:?}");
    }

    #[test]
    fn a_damaged_component_is_a_problem() {
        let whole = component(&["wasi:cli/stderr@0.2.6"], &["weir:plugin/filtering@0.2.0"]);
        let cut = &whole[..whole.len() - 3];
        let found = inspect(cut).problems;
        assert!(
            matches!(found.as_slice(), [Problem::Damaged(_)]),
            "{found:?}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [COMPONENT, &tail].concat();
            let found = inspect(&bytes);
            prop_assert_eq!(found.size, bytes.len());
            prop_assert!(!found.problems.is_empty());
        }
    }
}
