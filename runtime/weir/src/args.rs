//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Weir decides what flows on between GeoServers, where to, and how much: it takes catalog events
/// from the bus, runs them through WebAssembly plugins, and hands them to each slave as that slave
/// needs them.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 all went well; 1 something failed while it ran; 2 the command line is wrong;
3 what was looked at is not fit: the configuration, a plugin, the broker that `check` tries;
4 `drift` has found that a slave differs, and it differs still.

Logs go to standard error; RUST_LOG chooses how much (`RUST_LOG=weir=debug` shows why each
event was dropped).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pipelines of a configuration
    ///
    /// Follows changes: edit the file, or put a new plugin in place of an old one, and Weir takes it
    /// over between two events. SIGHUP has it look at once. SIGTERM and SIGINT stop it when what is in
    /// flight is settled; a second one stops it at once, and what was in flight comes again.
    Run(RunArgs),
    /// Check a configuration: the file, what it names, every plugin with its settings, the brokers
    Check(CheckArgs),
    /// Compare GeoServers that are slaves with what their masters have
    ///
    /// Reads every object of every master with `rest`, takes it through the stages as `weir run` would,
    /// and compares it with what the slave has. Nothing is written, unless `--repair` is given. What
    /// cannot be compared, as passwords, is left out.
    Drift(DriftArgs),
    /// The main job with recorded events on the embedded bus; needs nothing installed
    Demo(DemoArgs),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Prepare a plugin, given on the standard input, within limits; Weir calls this by itself
    #[command(hide = true)]
    PreparePlugin(PreparePluginArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// The configuration
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        default_value = "weir.toml",
        env = "WEIR_CONFIG"
    )]
    pub(crate) path: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Write logs as JSON, one object a line
    #[arg(long)]
    pub(crate) log_json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PreparePluginArgs {
    /// How much to log where `RUST_LOG` says nothing
    #[arg(long, default_value = "info")]
    pub(crate) log: String,
    /// Write logs as JSON
    #[arg(long)]
    pub(crate) log_json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Leave the brokers out
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print the JSON schema of the configuration, for editors, and do nothing else
    #[arg(long)]
    pub(crate) schema: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DriftArgs {
    /// The slave; all whose sink is a GeoServer, if none is named
    pub(crate) slave: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Make the slaves so; not while `weir run` writes to them
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print what differs as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Where the plugins are
    #[arg(
        long,
        value_name = "DIR",
        default_value = "target/wasm32-wasip2/plugin"
    )]
    pub(crate) plugins: PathBuf,
    /// Where the demo puts its configuration and what the slaves got
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Say what a component is: its world and version, imports, size, SHA-256, and what is wrong
    Inspect(InspectArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// The component
    pub(crate) file: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
