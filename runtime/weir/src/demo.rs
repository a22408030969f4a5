//! `weir demo`: the main job, with recorded events, on the embedded bus.

mod exhibit;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::timeout;

use crate::args::DemoArgs;
use crate::config::Config;
use crate::signals::Signals;
use crate::supervisor::Supervisor;
use exhibit::Exhibit;

const CONFIG: &str = include_str!("../demo/weir.toml");
const FRAMES: &str = include_str!("../../../tests/fixtures/geoserver-cloud-frames.jsonl");

/// A demo that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let workshop = crate::log(false, "warn");
    let config = prepare(&args.directory, &args.plugins)?;
    let started = Instant::now();
    let config = Config::read(&config)?;
    let exhibit = Arc::new(Exhibit::new(config.plan()?, FRAMES.lines().count()));
    let show = Arc::clone(&exhibit);
    let supervisor =
        Supervisor::start(config, workshop, Arc::new(move |id: &_| show.observer(id))).await?;
    let ready = started.elapsed();
    let complete = async {
        // What is not there in time shows as missing.
        drop(timeout(PATIENCE, exhibit.complete()).await);
    };
    supervisor.run(Signals::new()?, complete).await;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{exhibit}")?;
    let directory = args.directory.display();
    let weir = std::env::current_exe()?;
    let weir = weir.display();
    writeln!(
        out,
        "What each slave got, byte for byte: {directory}/eu.jsonl, us.jsonl, lab.jsonl"
    )?;
    writeln!(
        out,
        "What ran: {directory}/weir.toml (try: {weir} run --config {directory}/weir.toml)"
    )?;
    let took = started.elapsed().saturating_sub(ready);
    writeln!(
        out,
        "Ready in {} ms, all done {} ms later.",
        ready.as_millis(),
        took.as_millis()
    )?;
    if exhibit.is_complete() {
        Ok(())
    } else {
        bail!("not everything arrived within {PATIENCE:?}")
    }
}

/// Puts the configuration and the recorded events into the directory, and removes what an earlier
/// demo left there; compiled plugins stay.
fn prepare(directory: &Path, plugins: &Path) -> anyhow::Result<std::path::PathBuf> {
    let plugins = plugins.canonicalize().with_context(|| {
        format!(
            "no plugins in {} (`make plugins` builds them)",
            plugins.display()
        )
    })?;
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("weir.toml");
    let plugins = plugins
        .to_str()
        .context("the path of the plugins is not UTF-8")?;
    let config = CONFIG.replace("PLUGINS", plugins);
    // Nobody's own files are overwritten; a demo that was edited is kept beside the new one.
    if let Ok(before) = std::fs::read_to_string(&path) {
        if before.lines().next() != CONFIG.lines().next() {
            let path = path.display();
            bail!("{path} is not the demo's: choose another directory with --directory");
        }
        if before != config {
            std::fs::rename(&path, path.with_extension("toml.before"))?;
        }
    }
    for left in [
        "eu.jsonl",
        "us.jsonl",
        "lab.jsonl",
        "state/bus",
        "state/names",
    ] {
        let left = directory.join(left);
        let removed = if left.is_dir() {
            std::fs::remove_dir_all(&left)
        } else if left.exists() {
            std::fs::remove_file(&left)
        } else {
            Ok(())
        };
        removed.with_context(|| format!("cannot remove {}", left.display()))?;
    }
    std::fs::write(&path, config)?;
    std::fs::write(directory.join("frames.jsonl"), FRAMES)?;
    Ok(path)
}
