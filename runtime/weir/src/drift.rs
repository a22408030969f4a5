//! `weir drift`: compares slaves with what their masters have, and makes them so if it is asked to.
//!
//! It is the way of a change without the bus in it: read at the master, the master's stages, the
//! slave's stages, and at the end a comparison in the place of a write.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use thiserror::Error;
use weir_event::{Message, RestFrame, RestPlace};
use weir_pipeline::assembly::Plugins;
use weir_pipeline::chain::Chain;
use weir_pipeline::ends::Delivery;
use weir_pipeline::line::Processed;
use weir_pipeline::names::Names;
use weir_pipeline::observe::{Observation, Observer};
use weir_pipeline::plan::{NodePlan, PipelineId, Plan, SinkEnd, SlavePlan};
use weir_replication::{
    ApplyError, Drift, HydrateError, Keep as _, Master, MasterSettings, Replica,
};

use crate::args::DriftArgs;
use crate::config::Config;
use crate::ends::{self, node};
use crate::supervisor::{chains, host};

/// How often what waits for something else is tried again: as deep as groups usually lie in groups.
const ROUNDS: usize = 5;

/// A slave differs, and was not repaired.
#[derive(Debug, Error)]
#[error("{0} objects differ; what was not repaired is said above")]
pub(crate) struct Drifted(usize);

/// What is compared is neither counted nor logged.
struct Blind;

impl Observer for Blind {
    fn observe(&self, _: &Observation<'_>) {}
}

/// A slave that is compared.
struct Compared<'a> {
    plan: &'a SlavePlan,
    chain: Chain,
    replica: Replica,
    /// Where what is repaired is remembered.
    memory: Option<ends::AppliedFile>,
    objects: usize,
    found: Vec<Found>,
}

/// Something that is not as it should be.
struct Found {
    frame: RestFrame,
    drift: Drift,
    /// What became of it, if it was to be repaired.
    repaired: Option<Result<(), String>>,
}

pub(crate) async fn drift(args: DriftArgs) -> anyhow::Result<()> {
    let workshop = crate::log(false, "warn");
    let plan = Config::read(&args.config.path)?.plan()?;
    let slaves = slaves(&plan, args.slave.as_deref())?;
    let masters: Vec<_> = plan
        .masters
        .iter()
        .filter_map(|master| Some((master, master.rest.as_ref()?)))
        .collect();
    if masters.is_empty() {
        bail!("no [[master]] has `rest`: there is nothing to compare with");
    }
    let host = host(&plan, workshop)?;
    let (plugins, problems) = Plugins::read(&host, &plan.plugins);
    plan.fit(problems)?;
    let wanted = |id: &PipelineId| match id {
        PipelineId::Master(name) => masters.iter().any(|(master, _)| master.name == *name),
        PipelineId::Slave(name) => slaves.iter().any(|(slave, _)| slave.name == *name),
    };
    let mut chains = chains(&plugins, &plan, wanted).await?;
    let mut compared = Vec::new();
    for (slave, at) in slaves {
        let id = PipelineId::Slave(slave.name.clone());
        let chain = chains.remove(&id).context("the slave has no chain")?;
        let (known, memory) = if args.repair {
            let (known, file) = ends::applied_to_write(&plan.state, &slave.name)?;
            (known, Some(file))
        } else {
            (ends::applied(&plan.state, &slave.name)?, None)
        };
        compared.push(Compared {
            plan: slave,
            chain,
            replica: Replica::new(node(at)?, known),
            memory,
            objects: 0,
            found: Vec::new(),
        });
    }
    let (mut all_read, mut sources) = (true, Vec::new());
    for (master, rest) in masters {
        let id = PipelineId::Master(master.name.clone());
        let chain = chains.remove(&id).context("the master has no chain")?;
        let settings = MasterSettings::new(format!("/masters/{}", master.name));
        sources.push(settings.source.clone());
        let reader = Master::new(node(&rest.node)?, settings);
        let walked = walk(&reader, &chain, &mut compared).await;
        all_read &= walked.with_context(|| id.to_string())?;
    }
    if !all_read {
        // What a master could not tell today is not gone.
        let told =
            "not everything could be compared, so what slaves have beyond it is not looked for";
        writeln!(std::io::stderr(), "{told}")?;
    }
    for slave in &mut compared {
        let left = if all_read {
            slave.replica.left(&sources)
        } else {
            Vec::new()
        };
        for frame in left {
            slave.compare(frame).await?;
        }
        if args.repair {
            slave.repair().await?;
        }
    }
    report(&compared, args.json)
}

/// The slaves that are GeoServers, or the one that is named.
fn slaves<'a>(
    plan: &'a Plan,
    named: Option<&str>,
) -> anyhow::Result<Vec<(&'a SlavePlan, &'a NodePlan)>> {
    let mut slaves = Vec::new();
    for slave in &plan.slaves {
        if let SinkEnd::GeoServer { node, .. } = &slave.sink.end
            && named.is_none_or(|named| slave.name == named)
        {
            slaves.push((slave, node));
        }
    }
    match named {
        Some(named) if slaves.is_empty() => {
            bail!("there is no [[slave]] `{named}` whose sink is a GeoServer")
        }
        None if slaves.is_empty() => bail!("no [[slave]] has a GeoServer for a sink"),
        _ => Ok(slaves),
    }
}

/// Compares all that a master has with all slaves; false if some of it could not be.
async fn walk(master: &Master, chain: &Chain, slaves: &mut [Compared<'_>]) -> anyhow::Result<bool> {
    let mut walk = master.walk();
    let mut is_whole = true;
    loop {
        let hint = match walk.next().await {
            Ok(Some(hint)) => hint,
            Ok(None) => return Ok(is_whole),
            Err(error @ HydrateError::Transient(_)) => return Err(error.into()),
            Err(error) => {
                writeln!(std::io::stderr(), "not compared: {error}")?;
                is_whole = false;
                continue;
            }
        };
        let subject = &hint.subject;
        let frames = match master.hydrate(&hint).await {
            Ok(frames) => frames,
            Err(HydrateError::Nothing(_)) => continue,
            // The master cannot tell it itself, as a feature type whose table is gone.
            Err(HydrateError::Permanent(reason)) => {
                writeln!(std::io::stderr(), "not compared: {subject}: {reason}")?;
                is_whole = false;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for slave in slaves.iter_mut() {
            for frame in &frames {
                slave.replica.is_at_master(frame);
            }
        }
        let messages = match chain.tell(frames, &Blind).await {
            Processed::Outcomes { messages, .. } => messages,
            Processed::Retry(reason) => bail!("{subject}: {reason}"),
            Processed::Reject(rejection) => {
                let reason = rejection.reason;
                writeln!(std::io::stderr(), "not compared: {subject}: {reason}")?;
                is_whole = false;
                continue;
            }
        };
        for message in messages {
            for slave in slaves.iter_mut() {
                is_whole &= slave.take(&message).await?;
            }
        }
    }
}

impl Compared<'_> {
    /// Compares what a message on the bus comes to at the slave; false if it cannot be.
    async fn take(&mut self, message: &Message) -> anyhow::Result<bool> {
        let delivery = Delivery {
            tag: 0,
            redelivered: false,
            message: message.clone(),
            asked: None,
        };
        let slave = &self.plan.name;
        let mut names = Names::default();
        let messages = match self.chain.process(&delivery, &mut names, &Blind).await {
            Processed::Outcomes { messages, .. } => messages,
            Processed::Retry(reason) => bail!("slave {slave}: {reason}"),
            Processed::Reject(rejection) => {
                let reason = rejection.reason;
                writeln!(std::io::stderr(), "slave {slave}: not compared: {reason}")?;
                return Ok(false);
            }
        };
        let mut is_whole = true;
        for message in messages {
            is_whole &= self.compare(RestFrame::read(&message.payload)?).await?;
        }
        Ok(is_whole)
    }

    /// False if the slave cannot tell what it has.
    async fn compare(&mut self, frame: RestFrame) -> anyhow::Result<bool> {
        self.objects += 1;
        let (slave, what) = (&self.plan.name, told(&frame.kind, &frame.place));
        match self.replica.compare(&frame).await {
            Ok(None) => Ok(true),
            Ok(Some(drift)) => {
                self.found.push(Found {
                    frame,
                    drift,
                    repaired: None,
                });
                Ok(true)
            }
            Err(ApplyError::Transient(reason)) => bail!("slave {slave}: {what}: {reason}"),
            Err(error) => {
                writeln!(
                    std::io::stderr(),
                    "slave {slave}: not compared: {what}: {error}"
                )?;
                Ok(false)
            }
        }
    }

    /// Makes the slave so; what waits for something else is tried again when that was repaired.
    async fn repair(&mut self) -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            let mut written = false;
            for found in &mut self.found {
                if let Some(Ok(())) = found.repaired {
                    continue;
                }
                let repaired = self.replica.repair(&found.frame).await;
                if let Some(memory) = &mut self.memory {
                    memory.keep(self.replica.changes())?;
                    self.replica.kept();
                }
                written |= repaired.is_ok();
                found.repaired = Some(repaired.map(drop).map_err(|error| error.to_string()));
            }
            if !written {
                break;
            }
        }
        Ok(())
    }
}

/// Says what was found; an error if a slave still differs.
fn report(slaves: &[Compared<'_>], as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let mut differ = 0;
    let mut all = Vec::new();
    for slave in slaves {
        let (name, objects, found) = (&slave.plan.name, slave.objects, &slave.found);
        let open = found
            .iter()
            .filter(|it| !matches!(it.repaired, Some(Ok(()))));
        differ += open.count();
        if as_json {
            let found: Vec<Value> = found.iter().map(Found::json).collect();
            all.push(json!({ "slave": name, "compared": objects, "differ": found }));
            continue;
        }
        let count = found.len();
        writeln!(out, "slave {name}: {count} of {objects} objects differ")?;
        for found in found {
            writeln!(out, "  {}", found.told())?;
        }
    }
    if as_json {
        writeln!(out, "{:#}", json!({ "slaves": all }))?;
    }
    if differ > 0 {
        return Err(Drifted(differ).into());
    }
    Ok(())
}

impl Found {
    /// In the words of the master, and in those of the slave where they are others.
    fn told(&self) -> String {
        let RestFrame {
            kind,
            place,
            master,
            ..
        } = &self.frame;
        let mut name = told(kind, master);
        if place != master {
            name = format!("{name}, which is {} at the slave", told(kind, place));
        }
        let drift = match &self.drift {
            Drift::Missing => "missing at the slave".to_owned(),
            Drift::Left => "still at the slave, and not at the master".to_owned(),
            Drift::Differs(paths) => format!("differs in {}", paths.join(", ")),
        };
        let repaired = match &self.repaired {
            None => String::new(),
            Some(Ok(())) => "; repaired".to_owned(),
            Some(Err(error)) => format!("; not repaired: {error}"),
        };
        format!("{name}: {drift}{repaired}")
    }

    fn json(&self) -> Value {
        let frame = &self.frame;
        let (drift, paths) = match &self.drift {
            Drift::Missing => ("missing", None),
            Drift::Left => ("left", None),
            Drift::Differs(paths) => ("differs", Some(paths)),
        };
        let repaired = match &self.repaired {
            None => Value::Null,
            Some(Ok(())) => true.into(),
            Some(Err(error)) => json!({ "failed": error }),
        };
        json!({
            "kind": frame.kind.as_str(),
            "master": place(&frame.master),
            "slave": place(&frame.place),
            "drift": drift,
            "paths": paths,
            "repaired": repaired,
        })
    }
}

fn place(place: &RestPlace) -> Value {
    json!({ "workspace": place.workspace, "store": place.store, "name": place.name })
}

/// What an object is called: `layer topp:states`.
fn told(kind: &weir_event::Kind, place: &RestPlace) -> String {
    let parts = [&place.workspace, &place.name];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    format!("{kind} {}", parts.join(":")).trim_end().to_owned()
}
