//! How long `weir run` takes to be ready with five plugins, and how much memory it takes with ten
//! stages under load.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::events;
use crate::report::{Report, median_and_lowest};

const EVENTS: usize = 20_000;

pub(crate) async fn measure(
    target: &Path,
    plugins: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let site = tempfile::tempdir()?;
    let frames: Vec<String> = (0..EVENTS as u64)
        .map(|number| events::frame(number, 1 << 10))
        .collect();
    fs::write(site.path().join("frames.jsonl"), frames.join("\n"))?;
    fs::write(site.path().join("weir.toml"), config(plugins))?;

    let mut memory = Vec::new();
    for (nth, what) in ["that compiles its plugins", "with a warm cache"]
        .into_iter()
        .enumerate()
    {
        let (mut weir, _) = start(target, site.path()).await?;
        wait_for_lines(&site.path().join("out.jsonl"), EVENTS * (nth + 1)).await?;
        memory.push((format!("weir run {what}"), vec![peak_memory(weir.id())?]));
        weir.kill()?;
        weir.wait()?;
    }
    report.table(
        "Memory with ten stages, 20,000 events of 1 KiB on the embedded bus",
        &["peak MiB"],
        &memory,
    );

    // From now on there is nothing to do but to start.
    fs::write(site.path().join("frames.jsonl"), "")?;
    let mut starts = Vec::new();
    for _ in 0..5 {
        let (mut weir, ready) = start(target, site.path()).await?;
        starts.push(ready.as_secs_f64() * 1e3);
        weir.kill()?;
        weir.wait()?;
    }
    let (median, lowest) = median_and_lowest(starts);
    let rows = [(
        "weir run, five plugins, ten stages, warm cache".to_owned(),
        vec![median, lowest],
    )];
    report.table(
        "Start, ms until it is running",
        &["median", "lowest"],
        &rows,
    );
    Ok(())
}

fn config(plugins: &Path) -> String {
    let names = [
        "drop-kinds",
        "filter-workspaces",
        "redact-secrets",
        "remap-workspaces",
        "override-store",
    ];
    let plugins: Vec<String> = names
        .iter()
        .map(|name| {
            let file = plugins.join(format!("{}.wasm", name.replace('-', "_")));
            format!(
                "[[plugin]]\nname = \"{name}\"\npath = \"{}\"\n\n",
                file.display()
            )
        })
        .collect();
    let plugins = plugins.concat();
    let stages = r#"
  { plugin = "drop-kinds", config = { kinds = ["security"] } },
  { plugin = "filter-workspaces", config = { include = ["*"] } },
  { plugin = "redact-secrets" },
  { plugin = "remap-workspaces", config = { prefix = "a_" } },
  { plugin = "override-store", config = { stores = { "a:b" = { host = "c" } } } },
"#;
    format!(
        r##"{plugins}
[[master]]
name = "m"
dialect = "geoserver-cloud"
source = {{ type = "file", path = "frames.jsonl" }}
stages = [{stages}]

[[slave]]
name = "s"
subscribe = ["#"]
stages = [{stages}]
sink = {{ type = "file", path = "out.jsonl" }}
"##
    )
}

async fn start(target: &Path, site: &Path) -> anyhow::Result<(Child, Duration)> {
    let log = site.join("weir.log");
    let started = Instant::now();
    let weir = Command::new(target.join("release/weir"))
        .arg("run")
        .current_dir(site)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .spawn()
        .context("run `cargo build --release -p weir` first")?;
    while !fs::read_to_string(&log)?.contains("running") {
        ensure!(
            started.elapsed() < Duration::from_mins(1),
            "weir does not start: see its log"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok((weir, started.elapsed()))
}

async fn wait_for_lines(path: &Path, expected: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let lines = fs::read_to_string(path)
            .unwrap_or_default()
            .matches('\n')
            .count();
        if lines >= expected {
            return Ok(());
        }
        ensure!(
            started.elapsed() < Duration::from_mins(2),
            "only {lines} events arrived"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The most memory that a process has held, in MiB.
fn peak_memory(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .context("no VmHWM")?;
    let kilobytes: f64 = line
        .split_whitespace()
        .nth(1)
        .context("no figure")?
        .parse()?;
    Ok(kilobytes / 1024.0)
}
