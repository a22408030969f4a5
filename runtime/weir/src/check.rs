//! `weir check`: everything that can be known before anything starts.

use std::io::Write as _;

use serde_json::json;
use weir_bus::{Bus, Mismatch};
use weir_pipeline::assembly::Plugins;
use weir_pipeline::file::{Problem, Problems};
use weir_pipeline::plan::{BusPlan, PipelineId, Plan, SCHEMA, Secret};
use weir_wasm::Workshop;

use crate::args::CheckArgs;
use crate::config::{Config, Unfit};
use crate::ends::{amqp_url, bus_address, bus_settings, foreign, node, nodes, wrong_files};
use crate::supervisor::{chains, host};

/// What a check cannot know.
const UNSEEN: &str = "  not seen over AMQP: bindings (`weir run` makes them, and again every 30 s); policies on `weir.*` that let messages expire or limit a queue (`rabbitmqctl list_policies`); a `consumer_timeout` of less than 30 minutes";

pub(crate) async fn check(args: CheckArgs) -> anyhow::Result<()> {
    if args.schema {
        std::io::stdout().write_all(SCHEMA.as_bytes())?;
        return Ok(());
    }
    // Large plugins take their time at first: what is compiled is told meanwhile.
    let workshop = crate::log(false, "info");
    let result = look(&args, workshop).await;
    if args.json {
        let (problems, summary) = match &result {
            Ok(summary) => (Vec::new(), Some(summary.clone())),
            Err(error) => (problems(error), None),
        };
        let report = json!({ "ok": result.is_ok(), "problems": problems, "summary": summary });
        writeln!(std::io::stdout(), "{report:#}")?;
        return result
            .map(drop)
            .map_err(|_| Unfit("see the problems above".to_owned()).into());
    }
    writeln!(std::io::stdout(), "{}", result?)?;
    Ok(())
}

fn problems(error: &anyhow::Error) -> Vec<serde_json::Value> {
    match error.downcast_ref::<Problems>() {
        Some(found) => found
            .problems
            .iter()
            .map(|problem| {
                json!({
                    "file": found.path,
                    "line": problem.place.line,
                    "column": problem.place.column,
                    "message": problem.message,
                    "hint": problem.hint,
                })
            })
            .collect(),
        None => vec![json!({ "message": format!("{error:#}") })],
    }
}

/// Checks the file, and if that is right everything that it names; says what would run.
async fn look(args: &CheckArgs, workshop: Workshop) -> anyhow::Result<String> {
    let plan = Config::read(&args.config.path)?.plan()?;
    let host = host(&plan, workshop)?;
    let (plugins, mut found) = Plugins::read(&host, &plan.plugins);
    if let Err(more) = chains(&plugins, &plan, |_| true).await {
        found.extend(more.problems);
    }
    found.extend(wrong_files(&plan));
    let mut waits = Vec::new();
    if !args.offline {
        let (problems, missing) = try_brokers(&plan).await;
        found.extend(problems);
        waits = missing;
        let (problems, told) = try_nodes(&plan).await;
        found.extend(problems);
        waits.extend(told);
    }
    plan.fit(found)?;
    let bus = match (&plan.bus, args.offline) {
        (BusPlan::Embedded(_), _) => "embedded bus",
        (BusPlan::RabbitMq(_), true) => "RabbitMQ (not tried)",
        (BusPlan::RabbitMq(_), false) => "RabbitMQ",
    };
    let mut lines = summary(&plan, &plugins, bus);
    lines.extend(waits);
    if matches!(plan.bus, BusPlan::RabbitMq(_)) && !args.offline {
        lines.push(UNSEEN.to_owned());
    }
    Ok(lines.join("\n"))
}

/// Tries every broker that the plan names; says what is wrong, and what masters have to wait for.
async fn try_brokers(plan: &Plan) -> (Vec<Problem>, Vec<String>) {
    let (mut found, mut waits) = (Vec::new(), Vec::new());
    let mut away: Option<&Secret> = None;
    if let BusPlan::RabbitMq(url) = &plan.bus {
        let told = match preflight(plan).await {
            Ok(mismatches) => mismatches.iter().map(ToString::to_string).collect(),
            Err(error) => {
                away = Some(url);
                vec![format!("{error:#}")]
            }
        };
        let told = told.into_iter();
        found.extend(told.map(|told| Problem::at(&plan.bus_place, told)));
    }
    for end in foreign(plan).filter(|end| Some(end.url) != away) {
        let there = async {
            let url = amqp_url(end.url)?;
            anyhow::Ok(Bus::has_exchange(&url, end.exchange).await?)
        };
        match (there.await, &end.pipeline) {
            (Err(error), _) => found.push(Problem::at(end.place, format!("{error:#}"))),
            (Ok(false), PipelineId::Master(_)) => waits.push(format!(
                "  {} waits for the exchange `{}`, which is not there yet: what is published before the queue of the master is bound to it is lost",
                end.pipeline, end.exchange
            )),
            // That of a slave is made.
            (Ok(_), _) => {}
        }
    }
    (found, waits)
}

/// Asks every GeoServer that the plan names which version it is; says what is wrong, and what they
/// are.
async fn try_nodes(plan: &Plan) -> (Vec<Problem>, Vec<String>) {
    let (mut found, mut told) = (Vec::new(), Vec::new());
    for named in nodes(plan) {
        let version = async {
            let node = node(named.node)?;
            anyhow::Ok(node.version().await?.to_string())
        };
        match version.await {
            Ok(version) => told.push(format!(
                "  {}: GeoServer {version} at {}",
                named.pipeline, named.node.url
            )),
            Err(error) => found.push(Problem::at(named.place, format!("{error:#}"))),
        }
    }
    (found, told)
}

/// What is otherwise on the broker than Weir wants it.
async fn preflight(plan: &Plan) -> anyhow::Result<Vec<Mismatch>> {
    let bus = Bus::open_with(&bus_address(&plan.bus)?, &bus_settings(plan)).await?;
    let slaves: Vec<&str> = plan
        .slaves
        .iter()
        .map(|slave| slave.name.as_str())
        .collect();
    Ok(bus.preflight(&slaves).await?)
}

fn summary(plan: &Plan, plugins: &Plugins, bus: &str) -> Vec<String> {
    let mut lines = vec![format!(
        "the configuration is right; it would run on: {bus}"
    )];
    for (plugin_plan, plugin) in plugins.iter() {
        let (name, world, digest) = (&plugin_plan.name, plugin.world().as_str(), plugin.digest());
        lines.push(format!("  plugin {name}: {world}, {digest:.12}"));
    }
    for id in plan.pipelines() {
        let stages: Vec<&str> = plan
            .stages(&id)
            .map(|stage| stage.plugin.as_str())
            .collect();
        let stages = if stages.is_empty() {
            "no stages".to_owned()
        } else {
            stages.join(" -> ")
        };
        lines.push(format!("  {id}: {stages}"));
    }
    lines
}
