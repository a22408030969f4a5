//! Lean components: the one core module of a plugin that handles events, without anything around it.
//!
//! A component is made of several core modules (a Rust plugin of three) and imports some twenty
//! functions of WASI, hardly ever called: a panic writes its message, a plugin logs. Wiring all that
//! up is most of the cost of a fresh instance. In a lean component, functions that the main module
//! imports are replaced by ones that trap. A call that meets one of them, or goes wrong in any other
//! way, is made again in the full component: calls have no effect but their result, so nothing is
//! lost by it.
//!
//! It is made of a pre-initialised component, whose modules have nothing left to do at their start.

use std::fmt;

use thiserror::Error;
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{CodeSection, ExportSection, Function, FunctionSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::plugin::World;

/// The contract, as the repository has it.
const CONTRACT: &str = include_str!("../../../wit/plugin.wit");

/// The version that stands in it.
const VERSION: &str = "0.2.0";

/// Why there is no lean form of a component. It runs as it is then.
#[derive(Debug, Error)]
pub(crate) enum NotLean {
    #[error("it has {0} core modules that export its interface, and not one")]
    NotOneModule(usize),
    /// Modules that are linked with each other share memories and tables.
    #[error("its main module shares `{0}` with others")]
    Shares(String),
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] wasmparser::BinaryReaderError),
    #[error("it cannot be written anew: {0}")]
    Unwritable(String),
}

/// The lean form of a pre-initialised component, built against this version of the contract.
pub(crate) fn lean(component: &[u8], world: World, version: &str) -> Result<Vec<u8>, NotLean> {
    let interface = world.export(version);
    let mut module = isolate(main_module(component, &interface)?, &interface)?;
    let mut resolve = Resolve::default();
    let contract = CONTRACT.replace(VERSION, version);
    resolve
        .push_str("plugin.wit", &contract)
        .map_err(unwritable)?;
    let world = format!("package weir:lean; world lean {{ export {interface}; }}");
    let packages = resolve.push_str("lean.wit", &world).map_err(unwritable)?;
    let world = resolve
        .select_world(&[packages], None)
        .map_err(unwritable)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(unwritable)?;
    let mut encoder = ComponentEncoder::default()
        .module(&module)
        .map_err(unwritable)?;
    encoder.encode().map_err(unwritable)
}

fn unwritable(error: impl fmt::Display) -> NotLean {
    NotLean::Unwritable(format!("{error:#}"))
}

/// The core module that exports the functions of the interface.
fn main_module<'a>(component: &'a [u8], interface: &str) -> Result<&'a [u8], NotLean> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let Payload::ModuleSection {
            unchecked_range, ..
        } = payload?
        else {
            continue;
        };
        let module = &component[unchecked_range];
        if exports(module, interface)? {
            found.push(module);
        }
    }
    match found[..] {
        [module] => Ok(module),
        _ => Err(NotLean::NotOneModule(found.len())),
    }
}

fn exports(module: &[u8], interface: &str) -> Result<bool, NotLean> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(section) = payload? {
            for export in section {
                if is_of_interface(export?.name, interface) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// True for `weir:plugin/filtering@0.2.0#filter`.
fn is_of_interface(export: &str, interface: &str) -> bool {
    export
        .strip_prefix(interface)
        .is_some_and(|rest| rest.starts_with('#'))
}

/// The module with functions of its own, which trap, in the place of those that it imports. Imported
/// functions come first among all of them, so every index stays as it is.
fn isolate(module: &[u8], interface: &str) -> Result<Vec<u8>, NotLean> {
    let mut into = Module::new();
    // The types of the functions that were imported.
    let mut stubs: Vec<u32> = Vec::new();
    let mut bodies = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(ty) | TypeRef::FuncExact(ty) => stubs.push(ty),
                        _ => {
                            let shared = format!("{}.{}", import.module, import.name);
                            return Err(NotLean::Shares(shared));
                        }
                    }
                }
            }
            Payload::FunctionSection(section) => {
                let mut functions = FunctionSection::new();
                for ty in &stubs {
                    functions.function(*ty);
                }
                for ty in section {
                    functions.function(ty?);
                }
                into.section(&functions);
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section {
                    let export = export?;
                    if is_kept(export.name, export.kind, interface) {
                        RoundtripReencoder
                            .parse_export(&mut exports, export)
                            .map_err(unwritable)?;
                    }
                }
                into.section(&exports);
            }
            Payload::CodeSectionStart { range, .. } => {
                let mut code = CodeSection::new();
                for _ in &stubs {
                    let mut stub = Function::new([]);
                    stub.instructions().unreachable().end();
                    code.function(&stub);
                }
                bodies = Some((code, range.end));
            }
            Payload::CodeSectionEntry(body) => {
                if let Some((code, _)) = &mut bodies {
                    code.raw(&module[body.range()]);
                }
            }
            // Whatever runs at the start has run; names and the like are of no use.
            Payload::StartSection { .. } | Payload::CustomSection(_) => {}
            other => {
                if let Some((code, _)) = bodies.take() {
                    into.section(&code);
                }
                if let Some((id, range)) = other.as_section() {
                    let data = &module[range];
                    into.section(&RawSection { id, data });
                }
            }
        }
    }
    if let Some((code, _)) = bodies {
        into.section(&code);
    }
    Ok(into.finish())
}

/// What the canonical ABI needs of a module.
fn is_kept(name: &str, kind: ExternalKind, interface: &str) -> bool {
    let called = name.strip_prefix("cabi_post_").unwrap_or(name);
    match kind {
        ExternalKind::Memory => name == "memory",
        ExternalKind::Func => name == "cabi_realloc" || is_of_interface(called, interface),
        _ => false,
    }
}
