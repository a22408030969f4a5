//! Reads a plan: the functions mirror the tables of `weir.toml`, key by key. `weir.schema.json` says
//! the same for editors; a test holds the two together.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use weir_event::{Action, CloudVersion, Dialect, Subscription, SubscriptionError};
use weir_wasm::{Instances, Limits};

use super::{
    BusPlan, MasterPlan, Plan, PluginPlan, ProcessLimits, Secret, SinkEnd, SinkPlan, SlavePlan,
    SourcePlan, StagePlan,
};
use crate::file::{Reader, Span, Spanned, Table, advice};
use crate::line::{OnFailure, Policy};

pub(super) fn plan<'a>(reader: &mut Reader<'a>, mut root: Table<'a>, file: &Path) -> Option<Plan> {
    let start = Span { start: 0, end: 0 };
    let state = path(reader, &mut root, "state");
    let state = state.unwrap_or_else(|| reader.directory.join("weir-data"));
    let bus = match root.table(reader, "bus", "[bus]") {
        Some(table) => bus(reader, table),
        None => Some((BusPlan::Embedded(state.join("bus")), start)),
    };
    let broker = match &bus {
        Some((BusPlan::RabbitMq(url), _)) => Some(url.clone()),
        _ => None,
    };
    let limits = root.table(reader, "limits", "[limits]");
    let limits = process_limits(reader, limits);

    let mut names = Names::new("plugin");
    let mut plugins = Vec::new();
    for table in root.tables(reader, "plugin", "[[plugin]]") {
        plugins.extend(plugin(reader, table, &mut names));
    }
    let plugins_known = names.taken;

    let mut names = Names::new("master");
    let mut masters = Vec::new();
    for table in root.tables(reader, "master", "[[master]]") {
        masters.extend(master(
            reader,
            table,
            &mut names,
            &plugins_known,
            broker.as_ref(),
        ));
    }
    let mut names = Names::new("slave");
    let mut slaves = Vec::new();
    for table in root.tables(reader, "slave", "[[slave]]") {
        slaves.extend(slave(
            reader,
            table,
            &mut names,
            &plugins_known,
            broker.as_ref(),
        ));
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

/// The bus, and where its URL stands.
fn bus<'a>(reader: &mut Reader<'a>, mut table: Table<'a>) -> Option<(BusPlan, Span)> {
    let url = table.string(reader, "url");
    table.finish(reader);
    let url = url?;
    let at = url.span;
    let Some(directory) = url.value.strip_prefix("embedded:") else {
        return Some((BusPlan::RabbitMq(amqp_url(reader, url)?), at));
    };
    if directory.is_empty() {
        let hint = "write `embedded:DIR`, or leave [bus] out".to_owned();
        reader.problem(at, "`embedded:` needs a directory", Some(hint));
        return None;
    }
    Some((BusPlan::Embedded(reader.directory.join(directory)), at))
}

fn amqp_url(reader: &mut Reader<'_>, url: Spanned<String>) -> Option<Secret> {
    let host = url
        .value
        .strip_prefix("amqp://")
        .or_else(|| url.value.strip_prefix("amqps://"));
    if host.is_some_and(|host| !host.is_empty()) {
        return Some(Secret::new(url.value));
    }
    // The URL may hold a password: it is not repeated.
    let hint = "such as `amqp://guest:guest@127.0.0.1:5672/%2f`, `amqps://…`; or `embedded:DIR` for the bus";
    reader.problem(
        url.span,
        "this is no URL of a broker",
        Some(hint.to_owned()),
    );
    None
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
    let instances = table.choice(reader, "instances", &modes);
    let instances = instances.unwrap_or_default();
    let recycle_at = table.integer(reader, "recycle", 1..=1_000_000);
    if recycle_at.is_some() && instances != warm {
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
    plugins: &BTreeMap<String, Span>,
    broker: Option<&Secret>,
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
    let source = source.and_then(|table| source_plan(reader, table, broker));
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
        stages,
        route,
        policy,
    })
}

fn slave<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    names: &mut Names,
    plugins: &BTreeMap<String, Span>,
    broker: Option<&Secret>,
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

fn subscriptions<'a>(
    reader: &mut Reader<'a>,
    patterns: Vec<toml_span::Value<'a>>,
) -> Vec<Subscription> {
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
    let [_, _, action] = words.as_slice() else {
        let count = words.len();
        return Err(format!(
            "`{pattern}` has {count} words, and a key has three; `#` is any number"
        ));
    };
    if *action == "*" || Action::KNOWN.contains(&Action::from(*action)) {
        return Ok(subscription);
    }
    let actions: Vec<&str> = Action::KNOWN.iter().map(Action::as_str).collect();
    Err(format!(
        "`{action}` is no action; {}",
        advice(action, &actions)
    ))
}

fn source_plan<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    broker: Option<&Secret>,
) -> Option<SourcePlan> {
    let source = match end_type(reader, &mut table, &["amqp", "file", "stdin"], None)? {
        "amqp" => {
            let url = broker_url(reader, &mut table, broker);
            let exchange = short_string(reader, &mut table, "exchange");
            let keys = match table.take("keys") {
                Some(value) => {
                    let values = reader.array(value).unwrap_or_default();
                    values
                        .into_iter()
                        .filter_map(|value| reader.string(value))
                        .map(|key| key.value)
                        .collect()
                }
                None => vec!["#".to_owned()],
            };
            match (url, exchange) {
                (Some(url), Some(exchange)) => Some(SourcePlan::Amqp {
                    url,
                    exchange,
                    keys,
                }),
                _ => None,
            }
        }
        "file" => required_path(reader, &mut table, "path").map(SourcePlan::File),
        _ => Some(SourcePlan::Stdin),
    };
    table.finish(reader);
    source
}

fn sink_plan<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    broker: Option<&Secret>,
) -> Option<SinkPlan> {
    let later = Some((
        "geoserver",
        "the sink `geoserver` is not in this version: use `amqp`, `file` or `stdout`",
    ));
    let place = reader.place(table.at);
    let end = end_type(reader, &mut table, &["amqp", "file", "stdout"], later)?;
    let dialect = dialect(reader, &mut table).unwrap_or(Dialect::CloudEvents);
    let versions = CloudVersion::ALL.map(|version| (version.as_str(), version));
    let version = table.choice(reader, "version", &versions);
    if version.is_some() && dialect != Dialect::GeoServerCloud {
        let hint = "add `dialect = \"geoserver-cloud\"`, or remove `version`".to_owned();
        let message = "`version` is for the dialect `geoserver-cloud`";
        reader.problem(table.at, message, Some(hint));
    }
    let end = match end {
        "amqp" => {
            let url = broker_url(reader, &mut table, broker);
            let exchange = short_string(reader, &mut table, "exchange");
            let mandatory = table.boolean(reader, "mandatory").unwrap_or(true);
            match (url, exchange) {
                (Some(url), Some(exchange)) => Some(SinkEnd::Amqp {
                    url,
                    exchange,
                    mandatory,
                }),
                _ => None,
            }
        }
        "file" => required_path(reader, &mut table, "path").map(SinkEnd::File),
        _ => Some(SinkEnd::Stdout),
    };
    table.finish(reader);
    Some(SinkPlan {
        dialect,
        version,
        end: end?,
        place,
    })
}

/// The `type` of a source or sink; after a problem with it the other keys mean nothing.
fn end_type<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    types: &[&'static str],
    later: Option<(&str, &str)>,
) -> Option<&'static str> {
    let named = table.string(reader, "type")?;
    let known = types.iter().find(|name| **name == named.value);
    if known.is_none() {
        match later {
            Some((name, message)) if name == named.value => {
                reader.problem(named.span, message, None);
            }
            _ => {
                let message = format!("`type` cannot be `{}`", named.value);
                reader.problem(named.span, message, Some(advice(&named.value, types)));
            }
        }
    }
    known.copied()
}

fn broker_url<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    broker: Option<&Secret>,
) -> Option<Secret> {
    if let Some(url) = table.take("url") {
        let url = reader.string(url)?;
        return amqp_url(reader, url);
    }
    if broker.is_none() {
        let hint = "add `url = \"amqp://…\"` here, or in [bus]".to_owned();
        let message = "the bus is the embedded one, so this does not say which broker";
        reader.problem(table.at, message, Some(hint));
    }
    broker.cloned()
}

fn short_string<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
) -> Option<String> {
    let text = table.string(reader, key)?;
    if text.value.is_empty() || text.value.len() > 255 {
        let message = format!("`{key}` must be from 1 to 255 bytes long");
        reader.problem(text.span, message, None);
        return None;
    }
    Some(text.value)
}

fn stages<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    owner: &str,
    plugins: &BTreeMap<String, Span>,
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
    plugins: &BTreeMap<String, Span>,
) -> Option<StagePlan> {
    let mut at = table.at;
    let plugin = table.string(reader, "plugin");
    let name = table.optional_string(reader, "name");
    let known = reader.substituted.len();
    let settings = match table.take("config") {
        Some(value) if value.as_table().is_some() => {
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
    if !plugins.contains_key(&plugin.value) {
        let known: Vec<&String> = plugins.keys().collect();
        let message = format!("there is no [[plugin]] named `{}`", plugin.value);
        reader.problem(plugin.span, message, Some(advice(&plugin.value, &known)));
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

fn policy<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Policy {
    let mut policy = Policy::default();
    if let Some(in_flight) = table.integer(reader, "in_flight", 1..=2000) {
        policy.capacity = usize::try_from(in_flight).unwrap_or(policy.capacity);
    }
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

fn dialect<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<Dialect> {
    let choices = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    table.choice(reader, "dialect", &choices)
}

fn path<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, key: &'static str) -> Option<PathBuf> {
    let path = table.optional_string(reader, key)?;
    Some(reader.directory.join(path.value))
}

fn required_path<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
) -> Option<PathBuf> {
    let path = table.string(reader, key)?;
    Some(reader.directory.join(path.value))
}

/// No duration is longer: one that is may not fit behind the time that a clock shows.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is no duration; write it like `30s` or `500ms`"))?;
    if duration.is_zero() {
        Err("must be more than nothing".to_owned())
    } else if duration > LONGEST {
        Err("must be less than ten years".to_owned())
    } else {
        Ok(duration)
    }
}

fn bytes<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>, key: &'static str) -> Option<usize> {
    table.parsed(reader, key, |text| {
        let size: bytesize::ByteSize = text
            .parse()
            .map_err(|_| format!("`{text}` is no size; write it like `64 MiB`"))?;
        match usize::try_from(size.as_u64()) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err("must be more than nothing and fit into memory".to_owned()),
        }
    })
}

/// The names of one sort of table: each is taken once.
struct Names {
    what: &'static str,
    taken: BTreeMap<String, Span>,
}

impl Names {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            taken: BTreeMap::new(),
        }
    }

    /// The `name` of a table. It becomes part of names of queues and files, so it is a plain word.
    fn take<'a>(&mut self, reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<String> {
        let name = table.string(reader, "name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let Spanned { value, span } = name;
        if value.is_empty() || value.len() > 64 || !value.chars().all(plain) {
            let message = format!("`{value}` cannot be a name");
            let hint = "up to 64 letters, digits, `-` and `_`".to_owned();
            reader.problem(span, message, Some(hint));
            return None;
        }
        if self.taken.contains_key(&value) {
            let message = format!("there is a {} `{value}` already", self.what);
            reader.problem(
                span,
                message,
                Some("each needs a name of its own".to_owned()),
            );
            return None;
        }
        self.taken.insert(value.clone(), span);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_fits_behind_every_clock() {
        assert_eq!(duration("9 years").map(|long| long < LONGEST), Ok(true));
        for absurd in ["11 years", "1000000000 years", "500000000000 years"] {
            let told = duration(absurd).unwrap_err();
            assert!(told.contains("ten years"), "{absurd}: {told}");
        }
        // More than a duration itself holds.
        assert!(duration("99999999999999999999 years").is_err());
    }
}
