//! The workshop: a process of its own in which a plugin is prepared.
//!
//! A component can be made so that compiling it takes hours or all memory, in code that is not ours
//! and heeds no limit. So that happens in a child of this process, whose memory and time the kernel
//! limits, and which is gone afterwards. It is given the component and its settings on the standard
//! input, and answers with the prepared plugin, or with what is wrong, on the standard output.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::bench::Bench;
use crate::bindings::{filtering, routing, transforming};
use crate::configure::Settings;
use crate::host::Host;
use crate::limits::Limits;
use crate::plugin::{Plugin, World};
use crate::prepare::{Prepared, prepare};
use crate::stage::StageError;

/// The memory that preparing a plugin may take, in bytes. A Python plugin of 18 MiB takes one and a
/// half GiB.
const MEMORY: u64 = 4 << 30;

/// The processor time that it may take. That Python plugin takes a minute in a release build.
const PROCESSOR: Duration = Duration::from_mins(5);

/// The time that it may take on the clock: the same, on a machine that is busy with other things.
const TIME: Duration = Duration::from_mins(10);

/// The largest answer that is read: a prepared plugin of the largest size.
const ANSWER: u64 = 2 << 30;

/// How a child answers: with the first byte.
const PREPARED: u8 = 0;
const REFUSED: u8 = 1;
const FAILED: u8 = 2;
const UNUSABLE: u8 = 3;

/// A program that calls [`serve`](Self::serve) when it is called with these arguments.
#[derive(Clone, Debug)]
pub struct Workshop {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
}

impl Workshop {
    /// Prepares a plugin in a child process.
    pub(crate) async fn prepare(
        &self,
        bench: &Bench,
        settings: &Settings,
    ) -> Result<Prepared, StageError> {
        let Ok(answer) = timeout(TIME, self.answer(bench, settings)).await else {
            let reason = format!("preparing it took more than {} s", TIME.as_secs());
            return Err(bench.unusable(&reason));
        };
        let answer = answer.map_err(|error| bench.unusable(&error))?;
        let Some((kind, told)) = answer.split_first() else {
            return Err(bench.unusable(&"the process that was to prepare it said nothing"));
        };
        let text = || String::from_utf8_lossy(told).into_owned();
        Err(match *kind {
            PREPARED => {
                let damaged = || bench.unusable(&"what was prepared cannot be read");
                return Prepared::from_bytes(told).ok_or_else(damaged);
            }
            REFUSED => bench.refused(text()),
            FAILED => StageError::Configure(text()),
            _ => bench.unusable(&text()),
        })
    }

    async fn answer(&self, bench: &Bench, settings: &Settings) -> io::Result<Vec<u8>> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It logs what the plugin says, as this process does.
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().expect("it is piped");
        let mut output = child.stdout.take().expect("it is piped").take(ANSWER);
        let order = order(bench, settings);
        let give = async move {
            input.write_all(order.as_bytes()).await?;
            input.write_all(bench.plugin.bytes()).await
        };
        let mut answer = Vec::new();
        // A child that ends early closes its input; how it ended says more.
        let (given, taken) = tokio::join!(give, output.read_to_end(&mut answer));
        let status = child.wait().await?;
        if !status.success() {
            return Err(io::Error::other(ending(status)));
        }
        given.and(taken)?;
        Ok(answer)
    }

    /// What the child does: to be called by the program, once, in a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the input is not what a parent gives, or the output cannot be written.
    pub async fn serve() -> io::Result<()> {
        limit_this_process()?;
        let mut input = Vec::new();
        io::stdin().lock().read_to_end(&mut input)?;
        let answer = serve(&input).await?;
        let mut output = io::stdout().lock();
        output.write_all(&answer)?;
        output.flush()
    }
}

/// What a child that prepared nothing came to.
fn ending(status: ExitStatus) -> String {
    const ABORTED: i32 = 6;
    const KILLED: i32 = 9;
    const OUT_OF_TIME: i32 = 24;
    match status.signal() {
        Some(ABORTED) => format!("preparing it took more than {} MiB of memory", MEMORY >> 20),
        Some(KILLED | OUT_OF_TIME) => format!(
            "preparing it took more than {} s of processor time",
            PROCESSOR.as_secs()
        ),
        _ => format!("the process that was to prepare it ended with {status}"),
    }
}

fn limit_this_process() -> io::Result<()> {
    let limit = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    // Not the address space: wasmtime reserves far more of it than it uses.
    setrlimit(Resource::Data, limit(MEMORY))?;
    setrlimit(Resource::Cpu, limit(PROCESSOR.as_secs()))?;
    setrlimit(Resource::Core, limit(0))?;
    Ok(())
}

/// The line before the component. Limits are in the units of their names.
fn order(bench: &Bench, settings: &Settings) -> String {
    let limits = &bench.limits;
    let order = json!({
        "stage": bench.place.stage,
        "plugin": bench.place.plugin,
        "config": settings.config,
        "slaves": settings.slaves,
        "fuel": limits.fuel,
        "deadline_ms": u64::try_from(limits.deadline.as_millis()).unwrap_or(u64::MAX),
        "memory": limits.memory,
        "log_bytes": limits.log_bytes,
    });
    format!("{order}\n")
}

async fn serve(input: &[u8]) -> io::Result<Vec<u8>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = input.iter().position(|byte| *byte == b'\n');
    let (order, component) = end
        .and_then(|end| Some((input.get(..end)?, input.get(end + 1..)?)))
        .ok_or_else(|| invalid("there is no order"))?;
    let order: Value = serde_json::from_slice(order)?;
    let text = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| order[name].as_u64().ok_or_else(|| invalid(name));
    let limits = Limits {
        fuel: number("fuel")?,
        deadline: Duration::from_millis(number("deadline_ms")?),
        memory: number("memory")?,
        log_bytes: usize::try_from(number("log_bytes")?).unwrap_or(usize::MAX),
        ..Limits::default()
    };
    let slaves = order["slaves"].as_array().into_iter().flatten();
    let settings = Settings {
        config: text("config"),
        slaves: slaves
            .filter_map(|slave| slave.as_str().map(str::to_owned))
            .collect(),
    };
    let host = Host::for_preparing().map_err(io::Error::other)?;
    let plugin = Plugin::from_bytes(&host, &text("plugin"), Path::new(""), component.to_vec())
        .map_err(io::Error::other)?;
    let bench = Arc::new(Bench::new(&text("stage"), &plugin, limits));
    let prepared = match plugin.world() {
        World::Filter => prepare::<filtering::GuestIndices>(&bench, &settings).await,
        World::Transform => prepare::<transforming::GuestIndices>(&bench, &settings).await,
        World::Router => prepare::<routing::GuestIndices>(&bench, &settings).await,
    };
    let (kind, told) = match prepared {
        Ok(prepared) => (PREPARED, prepared.to_bytes()),
        Err(StageError::Refused { message, .. }) => (REFUSED, message.into_bytes()),
        Err(StageError::Configure(told)) => (FAILED, told.into_bytes()),
        Err(StageError::Unusable { reason, .. }) => (UNUSABLE, reason.into_bytes()),
    };
    Ok([vec![kind], told].concat())
}
