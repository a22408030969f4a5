//! The ends of pipelines: what [`weir_pipeline::ends`] asks for, on what there is.

mod broker;
mod lines;

use anyhow::Context as _;
use weir_bus::{Address, AmqpUrl, Bus};
use weir_pipeline::ends::{Sink, Source};
use weir_pipeline::line::Policy;
use weir_pipeline::names::Names;
use weir_pipeline::plan::{BusPlan, MasterPlan, Plan, Secret, SinkEnd, SlavePlan, SourcePlan};

pub(crate) use broker::{BusSink, BusSource};
use lines::{LineSink, LineSource};

/// Both ends of a pipeline, and the names that it knows.
pub(crate) struct Ends {
    pub(crate) source: Box<dyn Source>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) names: Names,
}

impl Ends {
    /// From the master's source onto the bus.
    pub(crate) async fn of_master(
        bus: &Bus,
        plan: &Plan,
        master: &MasterPlan,
    ) -> anyhow::Result<Self> {
        let max_message = plan.limits.message;
        let source: Box<dyn Source> = match &master.source {
            SourcePlan::Amqp {
                url,
                exchange,
                keys,
            } => {
                let prefetch = prefetch(&master.policy);
                let consumer =
                    Bus::foreign(&amqp_url(url)?, &master.name, exchange, keys, prefetch);
                Box::new(BusSource::new(consumer))
            }
            SourcePlan::File(path) => {
                let source = LineSource::open(path, master.dialect, max_message).await;
                Box::new(source.with_context(|| format!("cannot read {}", path.display()))?)
            }
            SourcePlan::Stdin => Box::new(LineSource::stdin(master.dialect, max_message)),
        };
        let path = plan
            .state
            .join("names")
            .join(format!("{}.jsonl", master.name));
        let names = Names::open(&path)
            .with_context(|| format!("cannot keep names in {}", path.display()))?;
        Ok(Self {
            source,
            sink: Box::new(BusSink(bus.publisher())),
            names,
        })
    }

    /// From the slave's queue to its sink.
    pub(crate) fn of_slave(bus: &Bus, slave: &SlavePlan) -> anyhow::Result<Self> {
        let sink: Box<dyn Sink> = match &slave.sink.end {
            SinkEnd::Amqp {
                url,
                exchange,
                mandatory,
            } => Box::new(BusSink(Bus::foreign_publisher(
                &amqp_url(url)?,
                exchange,
                *mandatory,
            ))),
            SinkEnd::File(path) => {
                let sink = LineSink::append(path);
                Box::new(sink.with_context(|| format!("cannot write {}", path.display()))?)
            }
            SinkEnd::Stdout => Box::new(LineSink::stdout()),
        };
        let consumer = bus.slave(&slave.name, prefetch(&slave.policy));
        Ok(Self {
            source: Box::new(BusSource::new(consumer)),
            sink,
            names: Names::default(),
        })
    }
}

/// As many deliveries as the line takes, so that it never waits for the broker's next one.
fn prefetch(policy: &Policy) -> u16 {
    u16::try_from(policy.capacity).unwrap_or(u16::MAX)
}

fn amqp_url(url: &Secret) -> anyhow::Result<AmqpUrl> {
    Ok(url.reveal().parse()?)
}

pub(crate) fn bus_address(plan: &BusPlan) -> anyhow::Result<Address> {
    Ok(match plan {
        BusPlan::RabbitMq(url) => Address::Amqp(amqp_url(url)?),
        BusPlan::Embedded(directory) => Address::Embedded(directory.clone()),
    })
}
