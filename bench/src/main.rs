//! What Weir costs, side by side with what it is compared to, in one run: a table for people, and
//! the same as JSON in `target/bench.json`.
//!
//! Not criterion: half of the figures are about whole processes and a broker, and all of them belong
//! in one table with one way of sampling. A figure is the median of its samples; the lowest stands
//! beside it, since machines are shared.

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

mod cost;
mod events;
mod relay;
mod report;
mod start;

use std::path::Path;

use anyhow::{Context as _, ensure};
use report::Report;

/// What the program has, so that what is measured here is what runs there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let args: Vec<String> = std::env::args().collect();
    if let [_, command, url, queue, exchange] = args.as_slice()
        && command == "bare-relay"
    {
        return runtime.block_on(relay::bare(url, queue, exchange));
    }
    // Without arguments everything; with some, those parts alone.
    let parts = &args[1..];
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let known = ["cost", "start", "relay"];
    ensure!(
        parts.iter().all(|part| known.contains(&part.as_str())),
        "the parts are {}",
        known.join(", ")
    );
    let target = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target")
        .canonicalize()?;
    let plugins = target.join("wasm32-wasip2/plugin");
    let mut report = Report::default();
    runtime.block_on(async {
        if wanted("cost") {
            cost::measure(&plugins, &mut report)
                .await
                .context("the cost of plugins")?;
        }
        if wanted("start") {
            start::measure(&target, &plugins, &mut report)
                .await
                .context("the start")?;
        }
        if !wanted("relay") {
            return anyhow::Ok(());
        }
        if let Ok(url) = std::env::var("WEIR_TEST_AMQP_URL") {
            relay::measure(&url, &target, &plugins, &mut report)
                .await
                .context("relays")?;
        } else {
            println!("skipped: relays need WEIR_TEST_AMQP_URL; `make bench` starts a RabbitMQ");
        }
        anyhow::Ok(())
    })?;
    if !parts.is_empty() {
        return Ok(());
    }
    let path = target.join("bench.json");
    std::fs::write(&path, report.json())?;
    println!("\nThe same as JSON: {}", path.display());
    Ok(())
}
