//! The text of a file, what in it is no TOML, and what can be read in spite of that.
//!
//! The crate `toml` goes on after most errors by itself. Three it does not survive: a line without
//! `=`, a header without its bracket, and a value that is never closed. Those lines are taken out,
//! and what remains is read again.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue, Error};

use super::mask::masked;
use super::{Span, floor};

/// How many places are taken out of a file before it counts as no TOML at all: more than anybody
/// mends at one go, and each costs a pass over the file.
const MOST_TAKEN_OUT: usize = 32;

/// The text of a file.
pub(crate) struct Source<'a> {
    pub(super) text: &'a str,
    /// The text with stars for secrets.
    pub(super) shown: String,
    /// The text with spaces for what keeps the rest from being read.
    readable: String,
    /// What is no TOML, one a line.
    pub(super) faults: Vec<Fault>,
    /// The lines of those, counted from 1.
    lines: BTreeSet<usize>,
    /// Where tables begin that have a header.
    headers: Vec<usize>,
    /// False if tables are missing, and nobody can say which.
    pub(super) has_every_table: bool,
}

/// Something that is no TOML.
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let mut source = Self {
            text,
            shown: masked(text),
            readable: text.to_owned(),
            faults: Vec::new(),
            lines: BTreeSet::new(),
            headers: Vec::new(),
            has_every_table: true,
        };
        for _ in 0..MOST_TAKEN_OUT {
            if source.is_read() {
                return source;
            }
        }
        source.has_every_table = false;
        source.take_out(Span::new(0, text.len()));
        source.one_fault_a_line();
        if let Some(last) = source.faults.last_mut() {
            last.hint = Some("too much here is no TOML; the rest was not looked at".to_owned());
        }
        source
    }

    /// What can be read.
    pub(super) fn root(&self) -> DeTable<'_> {
        DeTable::parse_recoverable(&self.readable).0.into_inner()
    }

    /// True if something in the table, which is spoken of `at` this place, is no TOML: then nobody
    /// can say what it lacks.
    pub(super) fn is_broken(&self, at: Span) -> bool {
        let end = if self.text[at.start..].starts_with('{') {
            at.end
        } else {
            // It ends where the next one begins.
            let next = self.headers.iter().find(|header| **header > at.start);
            next.copied().unwrap_or(self.text.len())
        };
        let mut faults = self.faults.iter();
        faults.any(|fault| (at.start..=end).contains(&fault.span.start))
    }

    /// True if something on this line, counted from 1, is no TOML.
    pub(super) fn is_fault(&self, line: usize) -> bool {
        self.lines.contains(&line)
    }

    /// Reads the text. False if something had to be taken out.
    fn is_read(&mut self) -> bool {
        let (root, mut errors) = DeTable::parse_recoverable(&self.readable);
        let mut outline = Outline::default();
        outline.table(&self.readable, root.get_ref());
        // An error without a place is about keys nested too deeply, and ends the reading.
        self.has_every_table &= errors.iter().all(|error| error.span().is_some());
        errors.sort_by_key(|error| place(&self.readable, error).start);
        let fatal = errors.iter().find_map(|error| {
            let (fault, region) = outline.fatal(&self.readable, error, &errors)?;
            Some((fault, region, is_header(line(&self.readable, region.start))))
        });
        let told = errors.iter().map(|error| told(&self.readable, error));
        let told: Vec<Fault> = told.collect();
        drop(root);
        if let Some((fault, region, hides_table)) = fatal
            && self.take_out(region)
        {
            self.faults.push(fault);
            self.has_every_table &= !hides_table;
            return false;
        }
        self.faults.extend(told);
        self.headers = outline.headers;
        self.one_fault_a_line();
        true
    }

    /// False if nothing was there.
    fn take_out(&mut self, region: Span) -> bool {
        let blank = |c: char| match c {
            '\n' | '\r' => c.to_string(),
            c => " ".repeat(c.len_utf8()),
        };
        let blank: String = self.readable[region.start..region.end]
            .chars()
            .map(blank)
            .collect();
        let differs = self.readable[region.start..region.end] != blank;
        self.readable
            .replace_range(region.start..region.end, &blank);
        differs
    }

    /// What follows the first fault on a line follows from it.
    fn one_fault_a_line(&mut self) {
        self.faults.sort_by_key(|fault| fault.span.start);
        let (mut at, mut line) = (0, 1);
        let mut faults = BTreeMap::new();
        for fault in self.faults.drain(..) {
            let start = floor(self.text, fault.span.start);
            line += self.text[at..start].matches('\n').count();
            at = start;
            faults.entry(line).or_insert(fault);
        }
        self.lines = faults.keys().copied().collect();
        self.faults = faults.into_values().collect();
    }
}

/// Where the parts of a file are, as far as the file as a whole is concerned.
#[derive(Default)]
struct Outline {
    headers: Vec<usize>,
    /// Where headers end that are whole.
    header_ends: Vec<usize>,
    values: Vec<Entry>,
}

/// A key and its value, which may have values in it.
struct Entry {
    key: usize,
    value: Span,
}

impl Outline {
    fn table(&mut self, text: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let span = Span::from(value.span());
            match value.get_ref() {
                DeValue::Table(table) if !text[span.start..].starts_with('{') => {
                    self.header(text, span);
                    self.table(text, table);
                }
                DeValue::Array(tables)
                    if tables
                        .first()
                        .is_some_and(|first| first.span() == value.span()) =>
                {
                    for table in tables {
                        self.header(text, table.span().into());
                        if let DeValue::Table(table) = table.get_ref() {
                            self.table(text, table);
                        }
                    }
                }
                _ => self.values.push(Entry {
                    key: key.span().start,
                    value: span,
                }),
            }
        }
        self.headers.sort_unstable();
    }

    fn header(&mut self, text: &str, span: Span) {
        if text[span.start..].starts_with('[') {
            self.headers.push(span.start);
            if text[..span.end].ends_with(']') {
                self.header_ends.push(span.end);
            }
        }
    }

    /// What to say and what to take out, if the parser does not find its way back after this error.
    fn fatal(&self, text: &str, error: &Error, errors: &[Error]) -> Option<(Fault, Span)> {
        let at = place(text, error).start;
        let inside = |entry: &&Entry| (entry.value.start..=entry.value.end).contains(&at);
        if let Some(entry) = self.values.iter().find(inside) {
            let end = never_closed(text, entry.value, errors)?;
            let start = entry.value.start;
            let is_long = ["\"\"\"", "'''"]
                .iter()
                .any(|quotes| text[start..].starts_with(quotes));
            let opening = Span::new(start, start + if is_long { 3 } else { 1 });
            let line = text[..end].matches('\n').count() + 1;
            let fault = Fault {
                span: opening,
                message: format!("`{}` is never closed", &text[opening.start..opening.end]),
                hint: Some(format!("close it before line {line}")),
            };
            return Some((fault, Span::new(line_start(text, entry.key), end)));
        }
        let start = line_start(text, at);
        let end = start + line(text, start).len();
        let this_line = start..=end;
        let is_duplicate = ["duplicate key", "cannot extend"]
            .iter()
            .any(|message| error.message().starts_with(message));
        let has_value = |entry: &Entry| {
            this_line.contains(&entry.value.start) || this_line.contains(&entry.value.end)
        };
        if is_duplicate
            || self.values.iter().any(has_value)
            || self.header_ends.iter().any(|end| this_line.contains(end))
        {
            return None;
        }
        let region = if is_header(line(text, start)) {
            // Nobody knows which table what follows belongs to.
            let next = lines_from(text, end).find(|start| is_header(line(text, *start)));
            Span::new(start, next.unwrap_or(text.len()))
        } else {
            Span::new(start, end)
        };
        Some((told(text, error), region))
    }
}

/// If the value runs over what follows it: where that begins.
fn never_closed(text: &str, value: Span, errors: &[Error]) -> Option<usize> {
    let within = || lines_from(text, value.start).take_while(|start| *start <= value.end);
    let to_the_end = errors.iter().any(|error| {
        let message = error.message();
        place(text, error).start == value.end
            && (message.starts_with("unclosed") || message.starts_with("invalid multi-line"))
    });
    if !to_the_end && !within().any(|start| is_header(line(text, start))) {
        return None;
    }
    within().find(|start| {
        let line = line(text, *start);
        is_header(line) || is_assignment(line)
    })
}

/// What an error says, in words of ours where those of the parser mislead.
fn told(text: &str, error: &Error) -> Fault {
    let span = place(text, error);
    let meant = &text[span.start..span.end];
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    let is_word = meant.starts_with(char::is_alphabetic);
    let (message, hint) = match what {
        "string values must be quoted" if meant.is_empty() => ("a value is missing".into(), None),
        "string values must be quoted" | "invalid boolean" | "invalid float" if is_word => {
            let hint = "write `\"…\"` if this is a string";
            ("a string must be in quotes".into(), Some(hint.to_owned()))
        }
        "duplicate key" => (format!("there is a `{meant}` already"), None),
        what => match expected.filter(|expected| *expected != "nothing") {
            Some(expected) => (format!("{what}, expected {expected}"), None),
            None => (what.to_owned(), None),
        },
    };
    Fault {
        span,
        message,
        hint,
    }
}

/// Where the parser says that it is; the beginning where it does not say.
fn place(text: &str, error: &Error) -> Span {
    let span = error.span().unwrap_or_default();
    let start = floor(text, span.start);
    Span::new(start, floor(text, span.end).max(start))
}

/// The beginning of the line that holds `at`.
fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line_feed| line_feed + 1)
}

/// The line that begins at `start`, without its end.
fn line(text: &str, start: usize) -> &str {
    text[start..].lines().next().unwrap_or("")
}

/// Where the lines after that of `at` begin.
fn lines_from(text: &str, at: usize) -> impl Iterator<Item = usize> {
    text[at..]
        .match_indices('\n')
        .map(move |(line_feed, _)| at + line_feed + 1)
}

/// True for `[name]` and `[[name]]`, closed or not, at the beginning of a line.
fn is_header(line: &str) -> bool {
    let name = line.trim_start_matches('[');
    name.len() < line.len()
        && name.trim_start().starts_with(is_of_key)
        && !name.contains([',', '='])
}

/// True for `key = …` at the beginning of a line.
fn is_assignment(line: &str) -> bool {
    let rest = line.trim_start_matches(|c| is_of_key(c) || c == '.');
    rest.len() < line.len() && rest.trim_start().starts_with('=')
}

fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}
