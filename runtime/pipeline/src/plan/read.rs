//! Reads a plan: the functions mirror the tables of `weir.toml`, key by key. `weir.schema.json` says
//! the same for editors; a test holds the two together.

mod bus;
mod ends;
mod node;
mod values;

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use weir_event::{Action, Kind, Subscription, SubscriptionError};
use weir_wasm::{Instances, Limits};

use super::{
    BusPlan, BusSettings, MasterPlan, Plan, PluginPlan, ProcessLimits, RestPlan, Secret, SinkEnd,
    SlavePlan, SourcePlan, StagePlan,
};
use crate::file::{Reader, Span, Table, Value, advice};
use crate::line::{OnFailure, Policy};

use bus::{Broker, bus};
use ends::{sink_plan, source_plan};
use node::node_plan;
use values::{Names, bytes, dialect, duration, path};

pub(super) fn plan<'a>(reader: &mut Reader<'a>, mut root: Table<'a>, file: &Path) -> Option<Plan> {
    let start = Span::new(0, 0);
    let state = path(reader, &mut root, "state");
    let state = state.unwrap_or_else(|| reader.directory.join("weir-data"));
    let is_embedded = !root.has("bus") && reader.has_every_table();
    let mut bus_settings = BusSettings::default();
    let bus = match root.table(reader, "bus", "[bus]") {
        Some(table) => bus(reader, table, &mut bus_settings),
        None if is_embedded => Some((BusPlan::Embedded(state.join("bus")), start)),
        None => None,
    };
    let broker = match &bus {
        Some((BusPlan::RabbitMq(url), _)) => Broker::At(url.clone()),
        Some((BusPlan::Embedded(_), _)) => Broker::None,
        None => Broker::Unknown,
    };
    let limits = root.table(reader, "limits", "[limits]");
    let limits = process_limits(reader, limits);

    let mut names = Names::new("plugin");
    let mut plugins = Vec::new();
    names.are_all = reader.has_every_table();
    for table in root.tables(reader, "plugin", "[[plugin]]") {
        names.are_all &= reader.is_whole(table.at);
        plugins.extend(plugin(reader, table, &mut names));
    }
    let plugins_known = names;

    let mut names = Names::new("master");
    let mut masters = Vec::new();
    for table in root.tables(reader, "master", "[[master]]") {
        masters.extend(master(reader, table, &mut names, &plugins_known, &broker));
    }
    let mut names = Names::new("slave");
    let mut slaves = Vec::new();
    for table in root.tables(reader, "slave", "[[slave]]") {
        slaves.extend(slave(reader, table, &mut names, &plugins_known, &broker));
    }
    root.finish(reader);
    conflicts(reader, &masters, &slaves);
    if masters.is_empty() && slaves.is_empty() && reader.problems.is_empty() {
        let hint = "add a [[master]] (a pipeline onto the bus) or a [[slave]] (one from it)";
        reader.problem(start, "there is nothing to run", Some(hint.to_owned()));
    }
    let (bus, bus_place) = bus?;
    Some(Plan {
        path: file.to_owned(),
        state,
        bus,
        bus_settings,
        bus_place: reader.place(bus_place),
        limits,
        plugins,
        masters,
        slaves,
    })
}

/// What is right by itself, and not together.
fn conflicts(reader: &mut Reader<'_>, masters: &[MasterPlan], slaves: &[SlavePlan]) {
    let hint = || Some("give it a file of its own".to_owned());
    for (nth, slave) in slaves.iter().enumerate() {
        let SinkEnd::File(sink) = &slave.sink.end else {
            continue;
        };
        let (name, place) = (&slave.name, &slave.sink.place);
        let writes_there = |other: &&SlavePlan| matches!(&other.sink.end, SinkEnd::File(path) if is_same(path, sink));
        if let Some(other) = slaves[..nth].iter().find(writes_there) {
            let message = format!("slaves {} and {name} write to the same file", other.name);
            reader.problem_at(place, message, hint());
        }
        let reads_it = |master: &&MasterPlan| matches!(&master.source, SourcePlan::File(path) if is_same(path, sink));
        if let Some(master) = masters.iter().find(reads_it) {
            let message = format!(
                "slave {name} writes to the file that master {} reads",
                master.name
            );
            reader.problem_at(place, message, hint());
        }
    }
    let readers = masters
        .iter()
        .filter(|master| master.source == SourcePlan::Stdin);
    for master in readers.skip(1) {
        let message = "more than one master reads standard input";
        reader.problem_at(&master.source_place, message, None);
    }
}

/// True if both lead to the same file, as far as it can be told without looking.
fn is_same(one: &Path, other: &Path) -> bool {
    let plain = |path: &Path| {
        let mut plain = PathBuf::new();
        for component in std::path::absolute(path)
            .as_deref()
            .unwrap_or(path)
            .components()
        {
            match component {
                Component::ParentDir => drop(plain.pop()),
                component => plain.push(component),
            }
        }
        plain
    };
    plain(one) == plain(other)
}

fn process_limits<'a>(reader: &mut Reader<'a>, table: Option<Table<'a>>) -> ProcessLimits {
    let mut limits = ProcessLimits {
        message: 16 << 20,
        drain: Duration::from_secs(30),
    };
    if let Some(mut table) = table {
        if let Some(size) = bytes(reader, &mut table, "message") {
            limits.message = size;
        }
        if let Some(drain) = table.parsed(reader, "drain", duration) {
            limits.drain = drain;
        }
        table.finish(reader);
    }
    limits
}

fn plugin<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    names: &mut Names,
) -> Option<PluginPlan> {
    let name = names.take(reader, &mut table);
    let file = table.string(reader, "path");
    let at = file.as_ref().map_or(table.at, |file| file.span);
    let sha256 = table.optional_string(reader, "sha256");
    let sha256 = sha256.and_then(|digest| {
        let text = digest.value.to_ascii_lowercase();
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(text);
        }
        let hint = "`weir plugin inspect FILE` prints it".to_owned();
        let message = "`sha256` must be 64 hexadecimal digits";
        reader.problem(digest.span, message, Some(hint));
        None
    });
    let warm = Instances::Warm {
        recycle: Instances::RECYCLE,
    };
    let modes = [
        ("auto", Instances::Auto),
        ("fresh", Instances::Fresh),
        ("warm", warm),
    ];
    // What is wrong with `instances` was said: it may have meant any.
    let may_be_warm = table.has("instances") || !reader.is_whole(table.at);
    let mode = table.choice(reader, "instances", &modes);
    let instances = mode.unwrap_or_default();
    let recycle_at = table.integer(reader, "recycle", 1..=1_000_000);
    let is_not_warm = mode.map_or(!may_be_warm, |mode| mode != warm);
    if recycle_at.is_some() && is_not_warm {
        let hint = "add `instances = \"warm\"`, or remove `recycle`".to_owned();
        reader.problem(table.at, "`recycle` is for warm instances", Some(hint));
    }
    let recycle = recycle_at
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(Instances::RECYCLE);
    let limits = table.table(reader, "limits", "[plugin.limits]");
    let limits = plugin_limits(reader, limits);
    table.finish(reader);
    Some(PluginPlan {
        name: name?,
        path: reader.directory.join(file?.value),
        sha256,
        limits,
        instances: match instances {
            Instances::Warm { .. } => Instances::Warm { recycle },
            Instances::Auto | Instances::Fresh => instances,
        },
        place: reader.place(at),
    })
}

fn plugin_limits<'a>(reader: &mut Reader<'a>, table: Option<Table<'a>>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut table) = table else {
        return limits;
    };
    if let Some(fuel) = table.integer(reader, "fuel", 1..=u64::MAX / 2) {
        limits.fuel = fuel;
    }
    if let Some(deadline) = table.parsed(reader, "deadline", duration) {
        limits.deadline = deadline;
    }
    if let Some(memory) = bytes(reader, &mut table, "memory") {
        limits.memory = memory as u64;
    }
    if let Some(outcomes) = table.integer(reader, "outcomes", 1..=100_000) {
        limits.outcomes = usize::try_from(outcomes).unwrap_or(usize::MAX);
    }
    if let Some(size) = bytes(reader, &mut table, "outcome_bytes") {
        limits.outcome_bytes = size;
    }
    if let Some(size) = bytes(reader, &mut table, "log_bytes") {
        limits.log_bytes = size;
    }
    table.finish(reader);
    limits
}

fn master<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    names: &mut Names,
    plugins: &Names,
    broker: &Broker,
) -> Option<MasterPlan> {
    let name = names.take(reader, &mut table);
    let owner = name.clone().unwrap_or_default();
    table.require(reader, "dialect");
    let dialect = dialect(reader, &mut table);
    let source = table.required(reader, "source").and_then(|value| {
        let at = value.span;
        reader.table(value, at, "source")
    });
    let source_place = source.as_ref().map(|table| reader.place(table.at));
    let source = source.and_then(|table| source_plan(reader, table, broker, dialect));
    let rest = table.table(reader, "rest", "rest").map(|mut table| {
        let place = reader.place(table.at);
        let node = node_plan(reader, &mut table);
        table.finish(reader);
        node.map(|node| RestPlan { node, place })
    });
    let stages = stages(reader, &mut table, &owner, plugins);
    let route = table.table(reader, "route", "route");
    let route = route.and_then(|table| stage(reader, table, &owner, plugins));
    let policy = policy(reader, &mut table);
    table.finish(reader);
    Some(MasterPlan {
        name: name?,
        dialect: dialect?,
        source: source?,
        source_place: source_place?,
        // What is wrong with it was said.
        rest: match rest {
            Some(rest) => Some(rest?),
            None => None,
        },
        stages,
        route,
        policy,
    })
}

fn slave<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    names: &mut Names,
    plugins: &Names,
    broker: &Broker,
) -> Option<SlavePlan> {
    let name = names.take(reader, &mut table);
    let owner = name.clone().unwrap_or_default();
    let subscribe = table.required(reader, "subscribe").and_then(|value| {
        let at = value.span;
        let patterns = reader.array(value)?;
        if patterns.is_empty() {
            let hint = "`[\"#\"]` is everything".to_owned();
            reader.problem(
                at,
                "`subscribe` is empty: the slave would get nothing",
                Some(hint),
            );
        }
        Some(subscriptions(reader, patterns))
    });
    let stages = stages(reader, &mut table, &owner, plugins);
    let sink = table.required(reader, "sink").and_then(|value| {
        let at = value.span;
        reader.table(value, at, "sink")
    });
    let sink = sink.and_then(|table| sink_plan(reader, table, broker));
    let policy = policy(reader, &mut table);
    table.finish(reader);
    Some(SlavePlan {
        name: name?,
        subscribe: subscribe?,
        stages,
        sink: sink?,
        policy,
    })
}

fn subscriptions<'a>(reader: &mut Reader<'a>, patterns: Vec<Value<'a>>) -> Vec<Subscription> {
    let mut subscriptions = Vec::new();
    for pattern in patterns {
        let Some(pattern) = reader.string(pattern) else {
            continue;
        };
        let known = |error: SubscriptionError| error.to_string();
        let parsed = pattern.value.parse().map_err(known);
        match parsed.and_then(|subscription| matching(subscription, &pattern.value)) {
            Ok(subscription) => subscriptions.push(subscription),
            Err(message) => {
                let hint = "keys are `<workspace or _global>.<kind>.<action>`".to_owned();
                reader.problem(pattern.span, message, Some(hint));
            }
        }
    }
    subscriptions
}

/// The subscription, unless no key of ours can ever match it.
fn matching(subscription: Subscription, pattern: &str) -> Result<Subscription, String> {
    let words: Vec<&str> = pattern.split('.').collect();
    if words.contains(&"#") {
        return Ok(subscription);
    }
    let [_, kind, action] = words.as_slice() else {
        let count = words.len();
        return Err(format!(
            "`{pattern}` has {count} words, and a key has three; `#` is any number"
        ));
    };
    let kinds: Vec<&str> = Kind::KNOWN.iter().map(Kind::as_str).collect();
    // Kinds are open words; one that is nearly one that Weir knows is a slip.
    let slip = Some(advice(kind, &kinds)).filter(|advice| advice.starts_with("did you mean"));
    if *kind != "*"
        && !kinds.contains(kind)
        && let Some(advice) = slip
    {
        return Err(format!("no event is of the kind `{kind}`; {advice}"));
    }
    if *action == "*" || Action::KNOWN.contains(&Action::from(*action)) {
        return Ok(subscription);
    }
    let actions: Vec<&str> = Action::KNOWN.iter().map(Action::as_str).collect();
    Err(format!(
        "`{action}` is no action; {}",
        advice(action, &actions)
    ))
}

fn stages<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    owner: &str,
    plugins: &Names,
) -> Vec<StagePlan> {
    let mut stages: Vec<StagePlan> = Vec::new();
    for table in table.tables(reader, "stages", "a stage") {
        let at = table.at;
        let Some(stage) = stage(reader, table, owner, plugins) else {
            continue;
        };
        if stages.iter().any(|other| other.name == stage.name) {
            let message = format!("there is a stage `{}` already", stage.name);
            let hint = "give one of them a `name` of its own".to_owned();
            reader.problem(at, message, Some(hint));
        }
        stages.push(stage);
    }
    stages
}

fn stage<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    owner: &str,
    plugins: &Names,
) -> Option<StagePlan> {
    let mut at = table.at;
    let plugin = table.string(reader, "plugin");
    let name = table.optional_string(reader, "name");
    let known = reader.substituted.len();
    let settings = match table.take("config") {
        Some(value) if value.value.is_table() => {
            at = value.span;
            reader.json(value)
        }
        Some(value) => {
            reader.problem(value.span, "`config` must be a table", None);
            None
        }
        None => Some(serde_json::Value::Object(serde_json::Map::new())),
    };
    table.finish(reader);
    let plugin = plugin?;
    if !plugins.taken.contains(&plugin.value) {
        if plugins.are_all {
            let known: Vec<&String> = plugins.taken.iter().collect();
            let message = format!("there is no [[plugin]] named `{}`", plugin.value);
            reader.problem(plugin.span, message, Some(advice(&plugin.value, &known)));
        }
        return None;
    }
    let name = name.map_or_else(|| plugin.value.clone(), |name| name.value);
    Some(StagePlan {
        name: format!("{owner}/{name}"),
        plugin: plugin.value,
        settings: Secret::new(settings?.to_string()),
        secrets: reader.substituted.drain(known..).map(Secret::new).collect(),
        place: reader.place(at),
    })
}

/// The most deliveries of one pipeline that are worked at one time: beyond that many cores the order
/// in which outcomes leave, not work, is what a pipeline waits for.
const MOST_PARALLEL: u64 = 64;

fn policy<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Policy {
    let mut policy = Policy::default();
    if let Some(in_flight) = table.integer(reader, "in_flight", 1..=2000) {
        policy.capacity = usize::try_from(in_flight).unwrap_or(policy.capacity);
    }
    if let Some(size) = bytes(reader, table, "in_flight_bytes") {
        policy.bytes = size;
    }
    let parallel = table.integer(reader, "parallel", 1..=MOST_PARALLEL);
    policy.parallel = parallel.and_then(|parallel| usize::try_from(parallel).ok());
    let Some(mut on_failure) = table.table(reader, "on_failure", "on_failure") else {
        return policy;
    };
    let actions = [
        ("dead-letter", OnFailure::DeadLetter),
        ("pause", OnFailure::Pause),
    ];
    if let Some(action) = on_failure.choice(reader, "action", &actions) {
        policy.on_failure = action;
    }
    if let Some(attempts) = on_failure.integer(reader, "attempts", 1..=1_000_000) {
        policy.attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    }
    if let Some(first) = on_failure.parsed(reader, "backoff_first", duration) {
        policy.backoff_first = first;
    }
    if let Some(cap) = on_failure.parsed(reader, "backoff_cap", duration) {
        policy.backoff_cap = cap;
    }
    on_failure.finish(reader);
    policy
}
