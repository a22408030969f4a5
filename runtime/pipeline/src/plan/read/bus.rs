//! Reads where the bus is and how it is used.

use super::values::{amqp_url, duration, size};
use crate::file::{Reader, Span, Table};
use crate::plan::{BusPlan, BusSettings, Secret};

/// The bus, and where its URL stands.
pub(super) fn bus<'a>(
    reader: &mut Reader<'a>,
    mut table: Table<'a>,
    settings: &mut BusSettings,
) -> Option<(BusPlan, Span)> {
    let url = table.string(reader, "url");
    if let Some(prefix) = table.parsed(reader, "prefix", prefix) {
        settings.prefix = prefix;
    }
    let most = u64::from(BusSettings::LARGEST_QUORUM);
    let quorum = table.integer(reader, "quorum", 1..=most);
    settings.quorum = quorum.and_then(|nodes| u16::try_from(nodes).ok());
    if let Some(mut log) = table.table(reader, "log", "log") {
        settings.log_bytes = log.parsed(reader, "bytes", size);
        log.finish(reader);
    }
    if let Some(timeout) = table.parsed(reader, "consumer_timeout", duration) {
        settings.consumer_timeout = timeout;
    }
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

/// The broker of the bus, which sources and sinks share unless they name another.
pub(super) enum Broker {
    At(Secret),
    /// The bus is the embedded one.
    None,
    /// What the file says about the bus cannot be read.
    Unknown,
}

fn prefix(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let most = BusSettings::LONGEST_PREFIX;
    if text.is_empty() || text.len() > most || !text.chars().all(plain) {
        return Err(format!(
            "`{text}` cannot begin the names of queues; write up to {most} letters, digits, `-`, `_` and `.`"
        ));
    }
    Ok(text.to_owned())
}
