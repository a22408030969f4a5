//! Tables, key by key.

use std::borrow::Cow;
use std::fmt;

use toml::de::{DeTable, DeValue};

use super::{Reader, Span, Spanned, Value};

/// A table that is being read: keys are taken out one by one; what is left at the end is unknown.
pub(crate) struct Table<'a> {
    entries: DeTable<'a>,
    /// Where the table is spoken of when something is missing in it.
    pub(crate) at: Span,
    what: &'static str,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(super) fn new(entries: DeTable<'a>, at: Span, what: &'static str) -> Self {
        Self {
            entries,
            at,
            what,
            known: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.remove(key).map(Value::from)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reports a key that is missing.
    pub(crate) fn require(&self, reader: &mut Reader<'a>, key: &'static str) {
        if !self.has(key) && reader.is_whole(self.at) {
            reader.problem(self.at, format!("{} lacks `{key}`", self.what), None);
        }
    }

    pub(crate) fn required(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
    ) -> Option<Value<'a>> {
        self.require(reader, key);
        self.take(key)
    }

    /// Reports a key that has no meaning here, and says `why`.
    pub(crate) fn refuse(&mut self, reader: &mut Reader<'a>, key: &'static str, why: &str) {
        if let Some(value) = self.take(key) {
            reader.problem(value.span, format!("`{key}` {why}"), None);
        }
    }

    /// A string that must be there.
    pub(crate) fn string(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
    ) -> Option<Spanned<String>> {
        self.required(reader, key)
            .and_then(|value| reader.string(value))
    }

    /// A string that may be there.
    pub(crate) fn optional_string(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
    ) -> Option<Spanned<String>> {
        self.take(key).and_then(|value| reader.string(value))
    }

    /// A string that `parse` understands; its error is the problem.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.optional_string(reader, key)?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(error) => {
                reader.problem(text.span, format!("`{key}`: {error}"), None);
                None
            }
        }
    }

    /// A whole number within `range`.
    pub(crate) fn integer(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let value = self.take(key)?;
        match value.value {
            DeValue::Integer(number) => {
                let number = u64::from_str_radix(number.as_str(), number.radix())
                    .ok()
                    .filter(|number| range.contains(number));
                if number.is_none() {
                    let (least, most) = range.into_inner();
                    let message = format!("`{key}` must be from {least} to {most}");
                    reader.problem(value.span, message, None);
                }
                number
            }
            other => {
                reader.expected("a whole number", &other, value.span);
                None
            }
        }
    }

    pub(crate) fn boolean(&mut self, reader: &mut Reader<'a>, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        match value.value {
            DeValue::Boolean(truth) => Some(truth),
            other => {
                reader.expected("true or false", &other, value.span);
                None
            }
        }
    }

    /// A table that may be there.
    pub(crate) fn table(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
        what: &'static str,
    ) -> Option<Table<'a>> {
        let value = self.take(key)?;
        let at = value.span;
        reader.table(value, at, what)
    }

    /// The tables of `[[key]]`; none if there are none.
    pub(crate) fn tables(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
        what: &'static str,
    ) -> Vec<Table<'a>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let values = reader.array(value).unwrap_or_default();
        values
            .into_iter()
            .filter_map(|value| {
                let at = value.span;
                reader.table(value, at, what)
            })
            .collect()
    }

    /// One word out of several.
    pub(crate) fn choice<T: Clone>(
        &mut self,
        reader: &mut Reader<'a>,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.optional_string(reader, key)?;
        let choice = choices.iter().find(|(name, _)| *name == text.value);
        if choice.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let message = format!("`{key}` cannot be `{}`", text.value);
            reader.problem(text.span, message, Some(advice(&text.value, &names)));
        }
        choice.map(|(_, value)| value.clone())
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self, reader: &mut Reader<'a>) {
        for (key, _) in in_order(self.entries) {
            let message = format!("{} has no key `{}`", self.what, key.value);
            reader.problem(key.span, message, Some(advice(&key.value, &self.known)));
        }
    }
}

/// The entries of a table in the order in which they stand in the file.
pub(super) fn in_order(
    entries: DeTable<'_>,
) -> impl Iterator<Item = (Spanned<Cow<'_, str>>, Value<'_>)> {
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(key, value)| (Spanned::from(key), Value::from(value)))
        .collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    entries.into_iter()
}

/// What could be meant, or all that it could be.
pub(crate) fn advice<S: AsRef<str>>(word: &str, known: &[S]) -> String {
    let near = known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(word, name.as_ref()),
                name.as_ref(),
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => {
            let names: Vec<String> = known
                .iter()
                .map(|name| format!("`{}`", name.as_ref()))
                .collect();
            format!("there is {}", names.join(", "))
        }
    }
}
