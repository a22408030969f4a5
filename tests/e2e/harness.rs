//! A Weir of its own for each test: its own directory, its own process, and where it needs a
//! broker, its own virtual host.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a condition may take; machines may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// A built plugin or test guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    let directory = std::env::var_os("WEIR_GUESTS").map_or_else(
        || {
            let weir = Path::new(env!("CARGO_BIN_EXE_weir"));
            weir.ancestors()
                .nth(2)
                .unwrap()
                .join("wasm32-wasip2/plugin")
        },
        PathBuf::from,
    );
    let path = directory.join(format!("{}.wasm", name.replace('-', "_")));
    assert!(
        path.exists(),
        "{} is missing: run `make guests`",
        path.display()
    );
    path
}

pub(crate) fn frames() -> Vec<String> {
    let path = root().join("tests/fixtures/geoserver-cloud-frames.jsonl");
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Waits until the condition gives something.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A directory with a configuration, and the program.
pub(crate) struct Site {
    directory: TempDir,
}

impl Site {
    /// `GUEST(name)` in the configuration stands for the path of a built guest.
    pub(crate) fn new(config: &str) -> Self {
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        site.configure(config);
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the configuration, as editors do: whole.
    pub(crate) fn configure(&self, config: &str) {
        let mut text = String::new();
        let mut rest = config;
        while let Some((before, after)) = rest.split_once("GUEST(") {
            let (name, after) = after.split_once(')').unwrap();
            text.push_str(before);
            text.push_str(guest(name).to_str().unwrap());
            rest = after;
        }
        text.push_str(rest);
        self.replace("weir.toml", text.as_bytes());
    }

    /// Puts a file in place of another one, whole.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, content).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// The lines that a sink has written so far, as JSON.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits for that many lines.
    pub(crate) fn wait_for_lines(&self, name: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} lines in {name}");
        eventually(&what, || {
            Some(self.lines(name)).filter(|lines| lines.len() >= count)
        })
    }

    fn weir(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn call(&self, args: &[&str]) -> Output {
        self.weir().args(args).output().unwrap()
    }

    /// Starts `weir run`.
    pub(crate) fn start(&self) -> Weir<'_> {
        self.start_with("info")
    }

    pub(crate) fn start_with(&self, logs: &str) -> Weir<'_> {
        let log = self.path("weir.log");
        let before = fs::metadata(&log).map_or(0, |metadata| metadata.len());
        let stderr = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        let mut child = self
            .weir()
            .arg("run")
            .env("RUST_LOG", logs)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Weir {
            site: self,
            child,
            stdin,
            log_start: usize::try_from(before).unwrap(),
        }
    }
}

/// A running `weir run`; killed when it is dropped.
pub(crate) struct Weir<'a> {
    site: &'a Site,
    child: Child,
    stdin: Option<ChildStdin>,
    log_start: usize,
}

impl Weir<'_> {
    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.site.path("weir.log")).unwrap();
        String::from_utf8_lossy(&log[self.log_start..]).into_owned()
    }

    pub(crate) fn wait_for_log(&mut self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            let ended = self.child.try_wait().unwrap();
            let log = self.log();
            assert!(
                ended.is_none(),
                "ended with {ended:?} before it logged {text:?}:\n{log}"
            );
            assert!(start.elapsed() < PATIENCE, "did not log {text:?}:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its standard input, for somebody else to write to.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    /// Writes lines to its standard input.
    pub(crate) fn feed<'l>(&mut self, lines: impl IntoIterator<Item = &'l str>) {
        let stdin = self.stdin.as_mut().unwrap();
        for line in lines {
            writeln!(stdin, "{line}").unwrap();
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = self.wait();
        (status, self.log())
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = "the end of weir";
        eventually(what, || self.child.try_wait().unwrap())
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Weir<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A virtual host of its own on the test broker.
pub(crate) struct Broker {
    pub(crate) url: String,
    vhost: String,
}

impl Broker {
    /// `None`, with a word on standard error, if there is no broker to test with.
    pub(crate) fn new() -> Option<Self> {
        let Ok(url) = std::env::var("WEIR_TEST_AMQP_URL") else {
            eprintln!("skipped: WEIR_TEST_AMQP_URL is not set; `make test` starts a RabbitMQ");
            return None;
        };
        let vhost = format!("e2e-{:016x}", rand::random::<u64>());
        let (scheme, rest) = url.split_once("://").unwrap();
        let (server, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
        let login = server.split_once('@').map_or("guest", |(login, _)| login);
        let (user, _) = login.split_once(':').unwrap_or((login, ""));
        Self::ctl(&["add_vhost", &vhost]);
        Self::ctl(&["set_permissions", "-p", &vhost, user, ".*", ".*", ".*"]);
        Some(Self {
            url: format!("{scheme}://{server}/{vhost}"),
            vhost,
        })
    }

    /// The names of the queues that are bound to something but the default exchange.
    pub(crate) fn bindings(&self) -> Vec<String> {
        let columns = ["source_name", "destination_name"];
        let all = Self::ctl(&["list_bindings", "-p", &self.vhost, columns[0], columns[1]]);
        // A queue's binding to the default exchange has no source.
        let bound = all.lines().filter(|line| !line.starts_with('\t'));
        bound
            .filter_map(|line| line.split_once('\t'))
            .map(|(_, queue)| queue.to_owned())
            .collect()
    }

    /// What a queue is bound to: each exchange with a key, but for the default exchange.
    pub(crate) fn keys(&self, queue: &str) -> Vec<String> {
        let columns = ["destination_name", "source_name", "routing_key"];
        let all = ["list_bindings", "-p", &self.vhost];
        let all = Self::ctl(&[&all[..], &columns[..]].concat());
        let mut keys: Vec<String> = all
            .lines()
            .filter_map(|line| {
                let mut columns = line.split('\t');
                let of_queue = columns.next() == Some(queue);
                let (exchange, key) = (columns.next()?, columns.next()?);
                (of_queue && !exchange.is_empty()).then(|| format!("{exchange} {key}"))
            })
            .collect();
        keys.sort();
        keys
    }

    pub(crate) fn delete_queue(&self, queue: &str) {
        Self::ctl(&["delete_queue", "-p", &self.vhost, queue]);
    }

    fn ctl(args: &[&str]) -> String {
        let script = root().join("tests/rabbitmq");
        let output = Command::new(script)
            .arg("ctl")
            .arg("-q")
            .args(args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rabbitmqctl {args:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        Self::ctl(&["delete_vhost", &self.vhost]);
    }
}
