//! `weir plugin inspect`.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::json;
use weir_wasm::Shape;

use crate::args::InspectArgs;
use crate::config::Unfit;

/// Prints what a file is; fails if it is no plugin.
pub(crate) fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.file)
        .with_context(|| format!("cannot read {}", args.file.display()))?;
    let inspection = weir_wasm::inspect(&bytes);
    let kind = match inspection.kind {
        Shape::Component => "component",
        Shape::CoreModule => "core module",
        Shape::NotWasm => "not WebAssembly",
    };
    let world = inspection.world.map(weir_wasm::World::as_str);
    let digest = inspection.digest.to_string();
    let problems: Vec<String> = inspection
        .problems
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let report = json!({
            "file": args.file,
            "kind": kind,
            "world": world,
            "version": inspection.version,
            "size": inspection.size,
            "sha256": digest,
            "imports": inspection.imports,
            "exports": inspection.exports,
            "problems": problems,
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "file     {}", args.file.display())?;
        writeln!(out, "kind     {kind}")?;
        writeln!(out, "world    {}", world.unwrap_or("none"))?;
        writeln!(
            out,
            "version  {}",
            inspection.version.as_deref().unwrap_or("none")
        )?;
        writeln!(out, "size     {} bytes", inspection.size)?;
        writeln!(out, "sha256   {digest}")?;
        list(&mut out, "problems", &problems)?;
        list(&mut out, "exports ", &inspection.exports)?;
        let offered = |import: &String| {
            if import.starts_with("wasi:") {
                format!("{import} (offered with nothing in it)")
            } else {
                import.clone()
            }
        };
        let imports: Vec<String> = inspection.imports.iter().map(offered).collect();
        list(&mut out, "imports ", &imports)?;
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Unfit("this is no plugin".to_owned()).into())
    }
}

fn list(out: &mut impl std::io::Write, title: &str, items: &[String]) -> std::io::Result<()> {
    let first = items.first().map_or("none", String::as_str);
    writeln!(out, "{title} {first}")?;
    for item in items.iter().skip(1) {
        writeln!(out, "         {item}")?;
    }
    Ok(())
}
