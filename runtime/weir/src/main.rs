//! Weir: catalog events of GeoServer clusters, through WebAssembly plugins.
//!
//! The binary wires the crates together: it alone reads the command line and the environment, sets
//! up logs, hears signals, and exits.

mod args;
mod attached;
mod check;
mod config;
mod demo;
mod drift;
mod ends;
mod inspect;
mod kept;
mod report;
mod signals;
mod supervisor;
mod watcher;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use tracing::info;
use tracing_subscriber::EnvFilter;
use weir_pipeline::file::Problems;

use args::{Args, Command, PluginCommand, RunArgs};
use config::{Config, Unfit};
use drift::Drifted;
use report::Reports;
use signals::Signals;
use supervisor::Supervisor;
use weir_wasm::Workshop;

/// Events are many small allocations that do not live long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let result = runtime.block_on(async {
        match args.command {
            Command::Run(args) => run(args).await,
            Command::Check(args) => check::check(args).await,
            Command::Drift(args) => drift::drift(args).await,
            Command::Demo(args) => demo::demo(args).await,
            Command::Plugin(PluginCommand::Inspect(args)) => inspect::inspect(&args),
            Command::PreparePlugin(args) => {
                log(args.log_json, &args.log);
                Ok(Workshop::serve().await?)
            }
        }
    });
    // Everything in it was stopped by now, but for a reader of standard input, which nothing
    // interrupts, and for what still tries to connect, which takes its end for a fault of its own.
    std::mem::forget(runtime);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    let workshop = log(args.log_json, "info");
    let mut signals = Signals::new()?;
    let reports = Arc::new(Reports::default());
    let observers = Arc::clone(&reports);
    let start = Supervisor::start(
        Config::read(&args.config.path)?,
        workshop,
        Arc::new(move |id: &_| observers.of(id)),
    );
    let supervisor = tokio::select! {
        supervisor = start => supervisor?,
        () = signals.stop() => {
            info!("stopped before it was running");
            return Ok(());
        }
    };
    supervisor.run(signals, std::future::pending()).await;
    for (pipeline, counts) in reports.counts() {
        info!(pipeline, "{counts}");
        for ((by, reason), count) in counts.dropped {
            info!(pipeline, count, by, %reason, "dropped");
        }
    }
    Ok(())
}

/// Logs to standard error, so that standard output is free for what a pipeline or command writes.
///
/// lapin is heard only where it is asked for by name: it logs whole messages, which may hold
/// passwords, and calls errors what Weir handles.
///
/// Gives the workshop for plugins: this program, which logs in the same way there.
fn log(json: bool, default: &str) -> Workshop {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(format!("lapin=off,{wanted}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("lapin=off,{default}")));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        logs.json().init();
    } else {
        logs.with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init();
    }
    let mut arguments = ["prepare-plugin", "--log", default]
        .map(OsString::from)
        .to_vec();
    if json {
        arguments.push("--log-json".into());
    }
    Workshop {
        // The program that runs, even if another one was put in its place meanwhile.
        program: "/proc/self/exe".into(),
        arguments,
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell if this fails.
    drop(match error.downcast_ref::<Problems>() {
        Some(problems) => write!(stderr, "{problems}"),
        None => writeln!(stderr, "weir: {error:#}"),
    });
    if error.is::<Problems>() || error.is::<Unfit>() {
        ExitCode::from(3)
    } else if error.is::<Drifted>() {
        ExitCode::from(4)
    } else {
        ExitCode::from(1)
    }
}
