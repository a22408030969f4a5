//! One hop over RabbitMQ: a slave's queue -> filter, remap -> the slave's exchange, against a bare
//! lapin relay, RabbitMQ's own shovel and a Node relay; and the two hops from a master.
//!
//! All queues are quorum queues, all messages persistent and confirmed. Every contender starts with
//! the same full queue; the time runs from its first message on the other side to its last one.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use weir_bus::{AmqpUrl, Bus, BusSettings, Topology};
use weir_event::Message;

use crate::events;
use crate::report::{Report, median_and_lowest};

const MESSAGES: u32 = 20_000;
const ROUNDS: usize = 3;
const PREFETCH: u16 = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contender {
    Bare,
    Weir,
    /// With warm instances of the plugins instead of fresh ones.
    Warm,
    Shovel,
    Node,
    /// From the master's exchange by way of the bus.
    TwoHops,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare lapin relay",
            Self::Weir => "weir: filter, remap",
            Self::Warm => "weir: the same, warm",
            Self::Shovel => "rabbitmq shovel",
            Self::Node => "node amqplib relay",
            Self::TwoHops => "weir: master -> bus -> slave",
        }
    }
}

/// What one run gave.
struct Run {
    per_second: f64,
    relay_cpu: f64,
    broker_cpu: f64,
}

pub(crate) async fn measure(
    url: &str,
    target: &Path,
    plugins: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let lab = Lab::new(url, target, plugins).await?;
    let mut contenders = vec![
        Contender::Bare,
        Contender::Weir,
        Contender::Warm,
        Contender::Shovel,
        Contender::TwoHops,
    ];
    match node_modules(target) {
        Ok(()) => contenders.insert(4, Contender::Node),
        Err(error) => println!("\nskipped: the node relay: {error:#}"),
    }
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    // In turn, so that a slow minute of the machine hits them all.
    for round in 0..ROUNDS {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            println!("round {} of {ROUNDS}: {}", round + 1, contender.name());
            runs.push(
                lab.run(*contender)
                    .await
                    .with_context(|| contender.name())?,
            );
        }
    }
    let median = |runs: &[Run], figure: fn(&Run) -> f64| {
        median_and_lowest(runs.iter().map(figure).collect()).0
    };
    let bare = median(&runs[0], |run| run.per_second);
    let rows: Vec<(String, Vec<f64>)> = contenders
        .iter()
        .zip(&runs)
        .map(|(contender, runs)| {
            let per_second = median(runs, |run| run.per_second);
            let relay = median(runs, |run| run.relay_cpu);
            let broker = median(runs, |run| run.broker_cpu);
            (
                contender.name().to_owned(),
                vec![per_second, per_second / bare, relay, broker],
            )
        })
        .collect();
    let columns = ["messages/s", "of bare", "relay µs CPU", "broker µs CPU"];
    report.table(
        "Relays over quorum queues, 20,000 messages of 1 KiB",
        &columns,
        &rows,
    );
    Ok(())
}

struct Lab<'a> {
    url: &'a str,
    target: &'a Path,
    plugins: &'a Path,
    broker: u32,
    /// Compiled plugins are kept from run to run: to compile is not to relay.
    state: tempfile::TempDir,
    connection: Connection,
    channel: Channel,
}

impl<'a> Lab<'a> {
    async fn new(url: &'a str, target: &'a Path, plugins: &'a Path) -> anyhow::Result<Self> {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok(Self {
            url,
            target,
            plugins,
            broker: broker()?,
            state: tempfile::tempdir()?,
            connection,
            channel,
        })
    }

    async fn run(&self, contender: Contender) -> anyhow::Result<Run> {
        let source = match contender {
            Contender::TwoHops => "weir.master.bench",
            _ => "weir.slave.bench",
        };
        for queue in ["weir.master.bench", "weir.slave.bench", "bench.out"] {
            self.channel
                .queue_delete(queue.into(), QueueDeleteOptions::default())
                .await?;
        }
        self.declare_out().await?;
        let site = tempfile::tempdir()?;
        self.fill(contender).await?;

        let broker_before = cpu(self.broker)?;
        let mut process = self.start(contender, source, site.path())?;
        self.wait_for(1).await?;
        let (started, first) = (Instant::now(), self.depth("bench.out").await?);
        self.wait_for(MESSAGES).await?;
        let elapsed = started.elapsed().as_secs_f64();
        let relay_cpu = match &process {
            Some(process) => cpu(process.id())?,
            None => 0.0,
        };
        let broker_cpu = cpu(self.broker)? - broker_before;
        Self::end(contender, process.as_mut())?;
        Ok(Run {
            per_second: f64::from(MESSAGES - first) / elapsed,
            relay_cpu: relay_cpu * 1e6 / f64::from(MESSAGES),
            broker_cpu: broker_cpu * 1e6 / f64::from(MESSAGES),
        })
    }

    async fn declare_out(&self) -> anyhow::Result<()> {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        for exchange in ["bench.out", "bench.in"] {
            self.channel
                .exchange_declare(
                    exchange.into(),
                    ExchangeKind::Topic,
                    durable,
                    FieldTable::default(),
                )
                .await?;
        }
        let mut arguments = FieldTable::default();
        arguments.insert(
            "x-queue-type".into(),
            AMQPValue::LongString("quorum".into()),
        );
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        self.channel
            .queue_declare("bench.out".into(), options, arguments)
            .await?;
        self.channel
            .queue_bind(
                "bench.out".into(),
                "bench.out".into(),
                "#".into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(())
    }

    /// Fills the source queue: through the bus for the slave, through an exchange for the master.
    async fn fill(&self, contender: Contender) -> anyhow::Result<()> {
        let url: AmqpUrl = self.url.parse()?;
        let mut publisher = if contender == Contender::TwoHops {
            // Whoever asks the queue of the master for a delivery has it declared and bound.
            let (settings, keys) = (BusSettings::default(), ["#".to_owned()]);
            let mut consumer = Bus::foreign(&url, &settings, "bench", "bench.in", &keys, 1);
            tokio::time::timeout(Duration::from_secs(2), consumer.next())
                .await
                .ok();
            consumer.close().await;
            Bus::foreign_publisher(&url, "bench.in", true)
        } else {
            let bus = Bus::open(&weir_bus::Address::Amqp(url.clone())).await?;
            let slaves = [("bench".to_owned(), vec!["topp.#".parse()?])];
            let topology = Topology {
                slaves: slaves.into(),
                ..Topology::default()
            };
            bus.maintain(&topology).await?;
            bus.publisher()
        };
        let mut open = 0;
        for number in 0..MESSAGES {
            let frame = events::frame(u64::from(number), 1 << 10);
            let message = if contender == Contender::TwoHops {
                Message {
                    content_type: Some("application/json".to_owned()),
                    routing_key: "geoserver".to_owned(),
                    payload: frame.into(),
                    ..Message::default()
                }
            } else {
                events::canonical(&frame)
            };
            publisher.publish(message).await;
            open += 1;
            while open > 500 {
                publisher.confirmed().await.result?;
                open -= 1;
            }
        }
        for _ in 0..open {
            publisher.confirmed().await.result?;
        }
        Ok(())
    }

    fn start(
        &self,
        contender: Contender,
        source: &str,
        site: &Path,
    ) -> anyhow::Result<Option<Child>> {
        let mut command = match contender {
            Contender::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["bare-relay", self.url, source, "bench.out"]);
                command
            }
            Contender::Node => {
                let mut command = Command::new("node");
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/relay.js");
                command.arg(script).args([self.url, source, "bench.out"]);
                command.env("NODE_PATH", self.target.join("bench-node/node_modules"));
                command
            }
            Contender::Weir | Contender::Warm | Contender::TwoHops => {
                fs::write(site.join("weir.toml"), self.config(contender))?;
                let mut command = Command::new(self.target.join("release/weir"));
                command.arg("run").current_dir(site).stdin(Stdio::null());
                command.stderr(fs::File::create(site.join("weir.log"))?);
                command
            }
            Contender::Shovel => {
                let definition = serde_json::json!({
                    "src-protocol": "amqp091", "src-uri": "amqp://", "src-queue": source,
                    "dest-protocol": "amqp091", "dest-uri": "amqp://", "dest-exchange": "bench.out",
                    "src-prefetch-count": PREFETCH, "ack-mode": "on-confirm",
                });
                ctl(&["set_parameter", "shovel", "bench", &definition.to_string()])?;
                return Ok(None);
            }
        };
        Ok(Some(command.spawn()?))
    }

    fn end(contender: Contender, process: Option<&mut Child>) -> anyhow::Result<()> {
        if contender == Contender::Shovel {
            ctl(&["clear_parameter", "shovel", "bench"])?;
        }
        if let Some(process) = process {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    fn config(&self, contender: Contender) -> String {
        let path = |name: &str| self.plugins.join(name).display().to_string();
        let instances = match contender {
            Contender::Warm => "warm",
            _ => "fresh",
        };
        let master = r#"
[[master]]
name = "bench"
dialect = "geoserver-cloud"
source = { type = "amqp", exchange = "bench.in" }
"#;
        format!(
            r#"
state = "{}"

[bus]
url = "{}"

[[plugin]]
name = "drop-kinds"
path = "{}"
instances = "{instances}"

[[plugin]]
name = "remap-workspaces"
path = "{}"
instances = "{instances}"
{}
[[slave]]
name = "bench"
subscribe = ["topp.#"]
stages = [
  {{ plugin = "drop-kinds", config = {{ kinds = ["security"] }} }},
  {{ plugin = "remap-workspaces", config = {{ workspaces = {{ topp = "topp_eu" }} }} }},
]
sink = {{ type = "amqp", exchange = "bench.out", dialect = "geoserver-cloud" }}
"#,
            self.state.path().display(),
            self.url,
            path("drop_kinds.wasm"),
            path("remap_workspaces.wasm"),
            match contender {
                Contender::TwoHops => master,
                _ => "",
            },
        )
    }

    async fn depth(&self, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        // A queue that is missing costs the channel: each look has its own.
        let channel = self.connection.create_channel().await?;
        let queue = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await?;
        let depth = queue.message_count();
        channel.close(200, "".into()).await?;
        Ok(depth)
    }

    async fn wait_for(&self, messages: u32) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let depth = self.depth("bench.out").await?;
            if depth >= messages {
                return Ok(());
            }
            ensure!(
                started.elapsed() < Duration::from_mins(2),
                "only {depth} arrived"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What Weir is measured against: consume, publish with confirms in flight, acknowledge in order,
/// many at a time, and nothing else.
pub(crate) async fn bare(url: &str, queue: &str, exchange: &str) -> anyhow::Result<()> {
    let consuming = Connection::connect(url, ConnectionProperties::default()).await?;
    let publishing = Connection::connect(url, ConnectionProperties::default()).await?;
    let source = consuming.create_channel().await?;
    let target = publishing.create_channel().await?;
    source
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    target
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let mut deliveries = source
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let mut confirms = FuturesOrdered::new();
    let mut unacked = 0;
    loop {
        tokio::select! {
            Some(delivery) = deliveries.next() => {
                let delivery = delivery?;
                let confirm = target
                    .basic_publish(
                        exchange.into(),
                        delivery.routing_key.clone(),
                        BasicPublishOptions { mandatory: true, ..Default::default() },
                        &delivery.data,
                        delivery.properties.clone(),
                    )
                    .await?;
                let tag = delivery.delivery_tag;
                confirms.push_back(async move { confirm.await.map(|_| tag) });
            }
            Some(tag) = confirms.next(), if !confirms.is_empty() => {
                let tag = tag?;
                unacked += 1;
                if unacked >= PREFETCH / 4 || confirms.is_empty() {
                    source.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
                    unacked = 0;
                }
            }
        }
    }
}

/// The process of the broker that `tests/rabbitmq` runs.
fn broker() -> anyhow::Result<u32> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let directory = fs::read_to_string(root.join("target/rabbitmq/path"))
        .context("the broker is not that of tests/rabbitmq, so its CPU cannot be read")?;
    let id = fs::read_to_string(Path::new(directory.trim()).join("pid"))?;
    Ok(id.trim().parse()?)
}

fn ctl(args: &[&str]) -> anyhow::Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/rabbitmq");
    let status = Command::new(script)
        .arg("ctl")
        .arg("-q")
        .args(args)
        .status()?;
    ensure!(status.success(), "rabbitmqctl {args:?} failed");
    Ok(())
}

/// Seconds of CPU that a process has used, all its threads together.
fn cpu(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in parentheses, may hold anything; the 14th and 15th fields are user and system time.
    let (_, fields) = stat.rsplit_once(") ").context("no name in stat")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// Installs what the node relay needs, once.
fn node_modules(target: &Path) -> anyhow::Result<()> {
    let directory = target.join("bench-node");
    if directory.join("node_modules/amqplib").exists() {
        return Ok(());
    }
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("package.json"), "{}")?;
    let status = Command::new("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "amqplib@0.10",
        ])
        .current_dir(&directory)
        .status()
        .context("npm cannot be run")?;
    ensure!(status.success(), "npm could not install amqplib");
    Ok(())
}
