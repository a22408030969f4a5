//! Values that occur in more than one table.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use weir_event::Dialect;

use crate::file::{Reader, Spanned, Table};
use crate::plan::Secret;

pub(super) fn dialect<'a>(reader: &mut Reader<'a>, table: &mut Table<'a>) -> Option<Dialect> {
    let choices = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    table.choice(reader, "dialect", &choices)
}

pub(super) fn amqp_url(reader: &mut Reader<'_>, url: Spanned<String>) -> Option<Secret> {
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

pub(super) fn path<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
) -> Option<PathBuf> {
    let path = table.optional_string(reader, key)?;
    Some(reader.directory.join(path.value))
}

/// No duration is longer: one that is may not fit behind the time that a clock shows.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
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

pub(super) fn bytes<'a>(
    reader: &mut Reader<'a>,
    table: &mut Table<'a>,
    key: &'static str,
) -> Option<usize> {
    table.parsed(reader, key, |text| {
        usize::try_from(size(text)?).map_err(|_| "must fit into memory".to_owned())
    })
}

/// A size in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text
        .parse()
        .map_err(|_| format!("`{text}` is no size; write it like `64 MiB`"))?;
    match size.as_u64() {
        0 => Err("must be more than nothing".to_owned()),
        size => Ok(size),
    }
}

/// The names of one sort of table: each is taken once.
pub(super) struct Names {
    what: &'static str,
    pub(super) taken: BTreeSet<String>,
    /// False if there are more, which cannot be read.
    pub(super) are_all: bool,
}

impl Names {
    pub(super) fn new(what: &'static str) -> Self {
        Self {
            what,
            taken: BTreeSet::new(),
            are_all: true,
        }
    }

    /// The `name` of a table. It becomes part of names of queues and files, so it is a plain word.
    pub(super) fn take<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        table: &mut Table<'a>,
    ) -> Option<String> {
        let name = table.string(reader, "name")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let Spanned { value, span } = name;
        if value.is_empty() || value.len() > 64 || !value.chars().all(plain) {
            let message = format!("`{value}` cannot be a name");
            let hint = "up to 64 letters, digits, `-` and `_`".to_owned();
            reader.problem(span, message, Some(hint));
            return None;
        }
        if self.taken.contains(&value) {
            let message = format!("there is a {} `{value}` already", self.what);
            reader.problem(
                span,
                message,
                Some("each needs a name of its own".to_owned()),
            );
            return None;
        }
        self.taken.insert(value.clone());
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
