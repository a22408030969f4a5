//! Reads the ends of pipelines: sources and sinks.

use std::path::PathBuf;
use std::time::Duration;

use weir_event::{CloudVersion, Dialect};

use super::bus::Broker;
use super::node::node_plan;
use super::values::{amqp_url, dialect, duration};
use crate::file::{Place, Reader, Table, advice};
use crate::plan::{Secret, SinkEnd, SinkPlan, SourcePlan};

/// Events of GeoServer Cloud that were seen swapped were a millisecond apart.
const WINDOW: Duration = Duration::from_millis(100);

/// Whatever follows a number that never comes waits as long as this.
const LONGEST_WINDOW: Duration = Duration::from_secs(10);

pub(super) fn source_plan<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    broker: &Broker,
    dialect: Option<Dialect>,
) -> Option<SourcePlan> {
    let source = match end_type(reader, &mut table, &["amqp", "file", "stdin"])? {
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
            let is_numbered = dialect.is_none_or(|dialect| dialect == Dialect::GeoServerCloud);
            if !is_numbered {
                let why = "is for the dialect `geoserver-cloud`, whose events have numbers";
                table.refuse(reader, "reorder", why);
            }
            let reorder = table.parsed(reader, "reorder", window);
            let reorder = reorder.unwrap_or(is_numbered.then_some(WINDOW));
            match (url, exchange) {
                (Some(url), Some(exchange)) => Some(SourcePlan::Amqp {
                    url,
                    exchange,
                    keys,
                    reorder,
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

pub(super) fn sink_plan<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    broker: &Broker,
) -> Option<SinkPlan> {
    let place = reader.place(table.at);
    let types = ["amqp", "file", "stdout", "geoserver"];
    let end = end_type(reader, &mut table, &types)?;
    if end == "geoserver" {
        return geoserver_sink(reader, table, place);
    }
    let is_cloud_events = !table.has("dialect") && reader.is_whole(table.at);
    let dialect = match dialect(reader, &mut table) {
        None if is_cloud_events => Some(Dialect::CloudEvents),
        dialect => dialect,
    };
    if dialect.is_some_and(|dialect| dialect != Dialect::GeoServerCloud) {
        let why = "is for the dialect `geoserver-cloud`, whose versions differ";
        table.refuse(reader, "version", why);
    }
    let versions = CloudVersion::ALL.map(|version| (version.as_str(), version));
    let version = table.choice(reader, "version", &versions);
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
        dialect: dialect?,
        version,
        end: end?,
        place,
    })
}

/// For how long a change waits for what it refers to, where nobody says: what belongs together
/// comes within seconds.
const DEPENDENCY_TIMEOUT: Duration = Duration::from_secs(30);

fn geoserver_sink<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    place: Place,
) -> Option<SinkPlan> {
    for key in ["dialect", "version"] {
        let why = "has no meaning here: a GeoServer takes the state of objects, `geoserver-rest`";
        table.refuse(reader, key, why);
    }
    let node = node_plan(reader, &mut table);
    let timeout = table.parsed(reader, "dependency_timeout", duration);
    let bootstrap = table.boolean(reader, "bootstrap");
    table.finish(reader);
    Some(SinkPlan {
        dialect: Dialect::GeoServerRest,
        version: None,
        end: SinkEnd::GeoServer {
            node: node?,
            dependency_timeout: timeout.unwrap_or(DEPENDENCY_TIMEOUT),
            bootstrap: bootstrap.unwrap_or(false),
        },
        place,
    })
}

/// The `type` of a source or sink; after a problem with it the other keys mean nothing.
fn end_type<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    types: &[&'static str],
) -> Option<&'static str> {
    let named = table.string(reader, "type")?;
    let known = types.iter().find(|name| **name == named.value);
    if known.is_none() {
        let message = format!("`type` cannot be `{}`", named.value);
        reader.problem(named.span, message, Some(advice(&named.value, types)));
    }
    known.copied()
}

fn window(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let window = duration(text)?;
    if window > LONGEST_WINDOW {
        return Err("must be ten seconds at most".to_owned());
    }
    Ok(Some(window))
}

fn broker_url<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    broker: &Broker,
) -> Option<Secret> {
    if let Some(url) = table.take("url") {
        let url = reader.string(url)?;
        return amqp_url(reader, url);
    }
    if let Broker::None = broker
        && reader.is_whole(table.at)
    {
        let hint = "add `url = \"amqp://…\"` here, or in [bus]".to_owned();
        let message = "the bus is the embedded one, so this does not say which broker";
        reader.problem(table.at, message, Some(hint));
    }
    match broker {
        Broker::At(url) => Some(url.clone()),
        Broker::None | Broker::Unknown => None,
    }
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

fn required_path<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
) -> Option<PathBuf> {
    let path = table.string(reader, key)?;
    Some(reader.directory.join(path.value))
}
