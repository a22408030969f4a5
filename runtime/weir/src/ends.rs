//! The ends of pipelines: what [`weir_pipeline::ends`] asks for, on what there is.

mod broker;
mod geoserver;
mod lines;
mod walk;

use std::sync::Arc;

use anyhow::Context as _;
use weir_bus::{Address, AmqpUrl, Bus, BusSettings, Prefetch};
use weir_event::Message;
use weir_pipeline::ends::{Sink, Source};
use weir_pipeline::file::{Place, Problem};
use weir_pipeline::hydrate::Hydrate;
use weir_pipeline::line::Policy;
use weir_pipeline::names::Names;
use weir_pipeline::plan::{
    self, BusPlan, MasterPlan, NodePlan, PipelineId, Plan, Secret, SinkEnd, SlavePlan, SourcePlan,
};
use weir_pipeline::reorder::{self, Reordered};
use weir_pipeline::walked::Walked;

pub(crate) use broker::{BusSink, BusSource};
pub(crate) use geoserver::{AppliedFile, applied, applied_to_write, node};
use geoserver::{GeoServerSink, Reader};
use lines::{LineSink, LineSource};
pub(crate) use walk::Readers;

/// Both ends of a pipeline.
pub(crate) struct Ends {
    pub(crate) source: Box<dyn Source>,
    pub(crate) sink: Box<dyn Sink>,
    /// Where the objects of a master are read.
    pub(crate) hydrate: Option<Arc<dyn Hydrate>>,
}

impl Ends {
    pub(crate) async fn open(
        bus: &Bus,
        plan: &Plan,
        id: &PipelineId,
        readers: &Readers,
    ) -> anyhow::Result<Self> {
        let ends = match id {
            PipelineId::Master(name) => {
                let master = plan.master(name).context("there is no such master")?;
                Self::of_master(bus, plan, master, readers).await
            }
            PipelineId::Slave(name) => {
                let slave = plan.slave(name).context("there is no such slave")?;
                Self::of_slave(bus, plan, slave)
            }
        };
        ends.with_context(|| id.to_string())
    }

    /// From the master's source onto the bus.
    async fn of_master(
        bus: &Bus,
        plan: &Plan,
        master: &MasterPlan,
        readers: &Readers,
    ) -> anyhow::Result<Self> {
        let max_message = plan.limits.message;
        let source: Box<dyn Source> = match &master.source {
            SourcePlan::Amqp {
                url,
                exchange,
                keys,
                reorder,
            } => {
                let mut prefetch = prefetch(&master.policy);
                if reorder.is_some() {
                    // What waits for a number is no longer with the broker, nor in the line.
                    prefetch.messages = prefetch.messages.saturating_add(reorder::MOST);
                }
                let (url, settings) = (amqp_url(url)?, bus_settings(plan));
                let consumer =
                    Bus::foreign(&url, &settings, &master.name, exchange, keys, prefetch);
                let source = Box::new(BusSource::new(consumer));
                match reorder {
                    Some(window) => {
                        let dialect = master.dialect;
                        let sequence = move |message: &Message| dialect.sequence(message);
                        Box::new(Reordered::new(source, Box::new(sequence), *window))
                    }
                    None => source,
                }
            }
            SourcePlan::File(path) => {
                let source = LineSource::open(path, master.dialect, max_message).await;
                Box::new(source.with_context(|| format!("cannot read {}", path.display()))?)
            }
            SourcePlan::Stdin => Box::new(LineSource::stdin(master.dialect, max_message)),
        };
        let sink = Box::new(BusSink(bus.publisher()));
        let Some(rest) = &master.rest else {
            return Ok(Self {
                source,
                sink,
                hydrate: None,
            });
        };
        let (reader, walker) = Reader::new(node(&rest.node)?, master);
        for slave in brought_up(plan) {
            reader
                .walks()
                .want_once(&master.name, &slave.name, &plan.state);
        }
        readers.add(&master.name, reader.walks(), &plan.state);
        let under_way = reader.walks().under_way();
        let source = Walked::new(source, under_way, |asking| walker.run(asking));
        Ok(Self {
            source: Box::new(source),
            sink,
            hydrate: Some(Arc::new(reader)),
        })
    }

    /// From the slave's queue to its sink.
    fn of_slave(bus: &Bus, plan: &Plan, slave: &SlavePlan) -> anyhow::Result<Self> {
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
            SinkEnd::GeoServer {
                node: at,
                dependency_timeout,
                ..
            } => {
                let node = node(at)?;
                Box::new(GeoServerSink::new(node, plan, slave, *dependency_timeout))
            }
        };
        let consumer = bus.slave(&slave.name, prefetch(&slave.policy));
        let source = Box::new(BusSource::new(consumer));
        Ok(Self {
            source,
            sink,
            hydrate: None,
        })
    }
}

/// The slaves that are to be brought up with what masters have.
pub(crate) fn brought_up(plan: &Plan) -> impl Iterator<Item = &SlavePlan> {
    let is_brought_up = |slave: &&SlavePlan| {
        matches!(
            slave.sink.end,
            SinkEnd::GeoServer {
                bootstrap: true,
                ..
            }
        )
    };
    plan.slaves.iter().filter(is_brought_up)
}

/// The names that a pipeline knows: a master keeps those that it learns.
pub(crate) fn names(plan: &Plan, id: &PipelineId) -> anyhow::Result<Names> {
    let PipelineId::Master(name) = id else {
        return Ok(Names::default());
    };
    let path = plan.state.join("names").join(format!("{name}.jsonl"));
    Names::open(&path).with_context(|| format!("cannot keep names in {}", path.display()))
}

/// What is wrong with the files of a plan, as far as it shows before anything is opened.
pub(crate) fn wrong_files(plan: &Plan) -> Vec<Problem> {
    let sources = plan.masters.iter().filter_map(|master| {
        let SourcePlan::File(path) = &master.source else {
            return None;
        };
        let error = std::fs::File::open(path).err()?;
        let message = format!("cannot read {}: {error}", path.display());
        Some(Problem::at(&master.source_place, message))
    });
    let sinks = plan.slaves.iter().filter_map(|slave| {
        let SinkEnd::File(path) = &slave.sink.end else {
            return None;
        };
        let error = LineSink::check(path).err()?;
        let message = format!("cannot write {}: {error}", path.display());
        Some(Problem::at(&slave.sink.place, message))
    });
    sources.chain(sinks).collect()
}

/// An exchange of somebody else's that a plan names, and where.
pub(crate) struct Foreign<'a> {
    pub(crate) pipeline: PipelineId,
    pub(crate) url: &'a Secret,
    pub(crate) exchange: &'a str,
    pub(crate) place: &'a Place,
}

/// The exchanges that masters read from, and those that slaves write to.
pub(crate) fn foreign(plan: &Plan) -> impl Iterator<Item = Foreign<'_>> {
    let masters = plan.masters.iter().filter_map(|master| {
        let SourcePlan::Amqp { url, exchange, .. } = &master.source else {
            return None;
        };
        Some(Foreign {
            pipeline: PipelineId::Master(master.name.clone()),
            url,
            exchange,
            place: &master.source_place,
        })
    });
    let slaves = plan.slaves.iter().filter_map(|slave| {
        let SinkEnd::Amqp { url, exchange, .. } = &slave.sink.end else {
            return None;
        };
        Some(Foreign {
            pipeline: PipelineId::Slave(slave.name.clone()),
            url,
            exchange,
            place: &slave.sink.place,
        })
    });
    masters.chain(slaves)
}

/// A GeoServer that a plan names, and where.
pub(crate) struct Named<'a> {
    pub(crate) pipeline: PipelineId,
    pub(crate) node: &'a NodePlan,
    pub(crate) place: &'a Place,
}

/// The GeoServers that masters read from, and those that slaves write to.
pub(crate) fn nodes(plan: &Plan) -> impl Iterator<Item = Named<'_>> {
    let masters = plan.masters.iter().filter_map(|master| {
        let rest = master.rest.as_ref()?;
        Some(Named {
            pipeline: PipelineId::Master(master.name.clone()),
            node: &rest.node,
            place: &rest.place,
        })
    });
    let slaves = plan.slaves.iter().filter_map(|slave| {
        let SinkEnd::GeoServer { node, .. } = &slave.sink.end else {
            return None;
        };
        Some(Named {
            pipeline: PipelineId::Slave(slave.name.clone()),
            node,
            place: &slave.sink.place,
        })
    });
    masters.chain(slaves)
}

/// What is wrong with the URLs of a plan; only their reader can tell.
pub(crate) fn wrong_urls(plan: &Plan) -> Vec<Problem> {
    let bus = bus_address(&plan.bus).err();
    let bus = bus.map(|error| (error, &plan.bus_place));
    let foreign = foreign(plan).filter_map(|end| Some((amqp_url(end.url).err()?, end.place)));
    let nodes = nodes(plan).filter_map(|named| Some((node(named.node).err()?, named.place)));
    bus.into_iter()
        .chain(foreign)
        .chain(nodes)
        .map(|(error, place)| Problem::at(place, format!("{error:#}")))
        .collect()
}

/// As much as the line takes, so that it never waits for the broker's next delivery.
fn prefetch(policy: &Policy) -> Prefetch {
    Prefetch {
        messages: u16::try_from(policy.capacity).unwrap_or(u16::MAX),
        bytes: policy.bytes,
    }
}

pub(crate) fn amqp_url(url: &Secret) -> anyhow::Result<AmqpUrl> {
    Ok(url.reveal().parse()?)
}

pub(crate) fn bus_address(plan: &BusPlan) -> anyhow::Result<Address> {
    Ok(match plan {
        BusPlan::RabbitMq(url) => Address::Amqp(amqp_url(url)?),
        BusPlan::Embedded(directory) => Address::Embedded(directory.clone()),
    })
}

/// How the plan wants brokers used.
pub(crate) fn bus_settings(plan: &Plan) -> BusSettings {
    // By name, so that a setting that is added is not forgotten here.
    let plan::BusSettings {
        prefix,
        log_bytes,
        quorum,
        consumer_timeout,
    } = plan.bus_settings.clone();
    BusSettings {
        prefix,
        log_bytes,
        quorum,
        consumer_timeout,
    }
}
