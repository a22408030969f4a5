//! CPU per event: through each kind of plugin, fresh and warm, against the same logic in native
//! Rust; and through a slave's whole chain.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use weir_event::Event;
use weir_pipeline::assembly::Plugins;
use weir_pipeline::ends::Delivery;
use weir_pipeline::file::Surroundings;
use weir_pipeline::line::Processed;
use weir_pipeline::names::Names;
use weir_pipeline::observe::{Observation, Observer};
use weir_pipeline::plan::{PipelineId, Plan};
use weir_plugin::{Filter as _, Router as _, Transform as _, from_settings};
use weir_wasm::{Host, HostSettings, Instances, Limits, Settings, Stage};

use crate::events;
use crate::report::{Report, median_and_lowest};

const SIZES: [(&str, usize); 2] = [("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];
const FILTER: &str = r#"{"kinds":["security"]}"#;
const FILTER_WORKSPACES: &str = r#"{"include":["topp"]}"#;
const REMAP: &str = r#"{"workspaces":{"topp":"topp_eu"}}"#;
const ROUTE: &str = r#"{"routes":[{"workspaces":["topp"],"slaves":["eu"]}]}"#;

const SLAVES: [&str; 2] = ["eu", "us"];

/// Samples of about 20 ms each.
const SAMPLES: usize = 31;
const SAMPLE: Duration = Duration::from_millis(20);

/// Microseconds per call: median and lowest.
async fn time(mut call: impl AsyncFnMut()) -> (f64, f64) {
    let mut rounds = 1_u32;
    loop {
        let start = Instant::now();
        for _ in 0..rounds {
            call().await;
        }
        if start.elapsed() > SAMPLE {
            break;
        }
        rounds *= 2;
    }
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..rounds {
            call().await;
        }
        samples.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    median_and_lowest(samples)
}

pub(crate) async fn measure(plugins: &Path, report: &mut Report) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let host = Host::new(HostSettings {
        cache: Some(cache.path().join("cache")),
        ..HostSettings::default()
    })?;
    let mut rows = Vec::new();
    let sized = SIZES.map(|(size, bytes)| (size, events::decode(&events::frame(1, bytes)).0));
    // What a call costs by itself: every text of an event costs an allocation in the guest.
    for (size, event) in [("bare", events::bare())].into_iter().chain(sized) {
        for (name, file, settings) in [
            ("filter drop-kinds", "drop_kinds", FILTER),
            (
                "filter filter-workspaces",
                "filter_workspaces",
                FILTER_WORKSPACES,
            ),
            ("transform remap-workspaces", "remap_workspaces", REMAP),
            ("router route-by-workspace", "route_by_workspace", ROUTE),
        ] {
            let path = plugins.join(format!("{file}.wasm"));
            let plugin = host.read(file, &path).context("run `make plugins` first")?;
            let native = native(name, &event)?;
            let mut figures = vec![native.0];
            for instances in [
                Instances::Warm {
                    recycle: Instances::RECYCLE,
                },
                Instances::Fresh,
            ] {
                let limits = Limits {
                    fuel: 1_000_000_000,
                    ..Limits::default()
                };
                let settings = Settings {
                    config: settings.to_owned(),
                    slaves: SLAVES.map(str::to_owned).to_vec(),
                };
                let stage = plugin.stage(name, &settings, limits, instances).await?;
                let (median, lowest) = time(async || run(&stage, &event).await).await;
                figures.extend([median, lowest]);
            }
            rows.push((format!("{name}, {size}"), figures));
        }
    }
    let columns = ["native", "warm", "warm, lowest", "fresh", "fresh, lowest"];
    report.table("A plugin, µs per event", &columns, &rows);
    chain(plugins, cache.path(), report).await
}

async fn run(stage: &Stage, event: &Event) {
    let outcome = match stage {
        Stage::Filter(filter) => filter
            .filter(event)
            .await
            .map(|judgement| drop(black_box(judgement))),
        Stage::Transform(transform) => transform
            .transform(event)
            .await
            .map(|events| drop(black_box(events))),
        Stage::Router(router) => router
            .route(event)
            .await
            .map(|chosen| drop(black_box(chosen))),
    };
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}

/// The same logic, compiled for this machine, with the copy of the event that a call makes.
fn native(name: &str, event: &Event) -> anyhow::Result<(f64, f64)> {
    let event = native_event(event);
    let refused = |reason: String| anyhow::anyhow!(reason);
    let mut call: Box<dyn FnMut()> = match name {
        "filter drop-kinds" => {
            let plugin: drop_kinds::DropKinds = from_settings(FILTER).map_err(refused)?;
            Box::new(move || drop(black_box(plugin.filter(black_box(&event.clone())))))
        }
        "filter filter-workspaces" => {
            let plugin: filter_workspaces::FilterWorkspaces =
                from_settings(FILTER_WORKSPACES).map_err(refused)?;
            Box::new(move || drop(black_box(plugin.filter(black_box(&event.clone())))))
        }
        "transform remap-workspaces" => {
            let plugin: remap_workspaces::RemapWorkspaces =
                from_settings(REMAP).map_err(refused)?;
            Box::new(move || drop(black_box(plugin.transform(black_box(event.clone())))))
        }
        "router route-by-workspace" => {
            let plugin: route_by_workspace::RouteByWorkspace =
                from_settings(ROUTE).map_err(refused)?;
            let slaves = SLAVES.map(str::to_owned);
            Box::new(move || drop(black_box(plugin.route(black_box(&event.clone()), &slaves))))
        }
        _ => bail!("no native `{name}`"),
    };
    let rounds = 2_000;
    let mut samples = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..rounds {
            call();
        }
        samples.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    Ok(median_and_lowest(samples))
}

fn native_event(event: &Event) -> weir_plugin::Event {
    let object = |object: &weir_event::Object| weir_plugin::Object {
        kind: object.kind.to_string(),
        workspace: object.workspace.clone(),
        name: object.name.clone(),
        id: object.id.clone(),
    };
    let pair = |pair: &weir_event::Pair| weir_plugin::Pair {
        name: pair.name.clone(),
        value: pair.value.clone(),
    };
    weir_plugin::Event {
        id: event.id.clone(),
        source: event.source.clone(),
        time: event.time.clone(),
        sequence: event.sequence,
        action: event.action.to_string(),
        subject: object(&event.subject),
        previous: event.previous.as_ref().map(object),
        references: event
            .references
            .iter()
            .map(|reference| weir_plugin::Reference {
                role: reference.role.clone(),
                target: object(&reference.target),
            })
            .collect(),
        properties: event.properties.iter().map(pair).collect(),
        attributes: event.attributes.iter().map(pair).collect(),
        body: event.body.as_ref().map(|body| weir_plugin::Body {
            content_type: body.content_type.clone(),
            data: body.data.to_vec(),
        }),
    }
}

struct Blind;

impl Observer for Blind {
    fn observe(&self, _observation: &Observation<'_>) {}
}

impl Surroundings for Blind {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, _path: &Path) -> Result<String, String> {
        Err("there are no files here".to_owned())
    }
}

/// A slave with a filter and a remap; `{}` is where the keys of the plugins go.
fn pipeline(plugins: &Path, instances: &str) -> String {
    let path = |name: &str| plugins.join(name).display().to_string();
    format!(
        r##"
[[plugin]]
name = "drop-kinds"
path = "{}"
instances = "{instances}"

[[plugin]]
name = "remap-workspaces"
path = "{}"
instances = "{instances}"

[[slave]]
name = "eu"
subscribe = ["#"]
stages = [
  {{ plugin = "drop-kinds", config = {FILTER_TOML} }},
  {{ plugin = "remap-workspaces", config = {{ workspaces = {{ topp = "topp_eu" }} }} }},
]
sink = {{ type = "stdout", dialect = "geoserver-cloud" }}
"##,
        path("drop_kinds.wasm"),
        path("remap_workspaces.wasm"),
    )
}

const FILTER_TOML: &str = r#"{ kinds = ["security"] }"#;

async fn chain(plugins: &Path, cache: &Path, report: &mut Report) -> anyhow::Result<()> {
    let host = Host::new(HostSettings {
        cache: Some(cache.join("cache")),
        ..HostSettings::default()
    })?;
    let mut rows = Vec::new();
    for (size, bytes) in SIZES {
        let message = events::canonical(&events::frame(1, bytes));
        let mut figures = Vec::new();
        for instances in ["warm", "fresh"] {
            let plan = Plan::read(
                Path::new("bench.toml"),
                &pipeline(plugins, instances),
                &Blind,
            )?;
            let (loaded, problems) = Plugins::read(&host, &plan.plugins);
            plan.fit(problems)?;
            let id = PipelineId::Slave("eu".to_owned());
            let Ok(chain) = loaded.chain(&plan, &id).await else {
                bail!("the chain cannot be")
            };
            let delivery = Delivery {
                tag: 0,
                redelivered: false,
                message: message.clone(),
                asked: None,
            };
            let (median, lowest) = time(async || {
                let mut names = Names::default();
                match chain.process(&delivery, &mut names, &Blind).await {
                    Processed::Outcomes { messages, .. } => {
                        assert_eq!(black_box(messages).len(), 1);
                    }
                    other => panic!("{other:?}"),
                }
            })
            .await;
            figures.extend([median, lowest]);
        }
        rows.push((format!("decode, filter, remap, encode, {size}"), figures));
    }
    let columns = ["warm", "warm, lowest", "fresh", "fresh, lowest"];
    report.table("A slave's whole chain, µs per event", &columns, &rows);
    Ok(())
}
