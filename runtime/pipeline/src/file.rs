//! Reads `weir.toml`: values with their places, and problems that say where and what to do.
//!
//! Every problem is collected, none stops the reading, so that people see all of them at once. The
//! tables and keys themselves are spelt out in [`crate::plan`].

mod mask;
mod source;
mod table;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

pub(crate) use source::Source;
pub(crate) use table::{Table, advice};

use table::in_order;

/// Where a value stands in the file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self::new(range.start, range.end)
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

impl<T> From<toml::Spanned<T>> for Spanned<T> {
    fn from(spanned: toml::Spanned<T>) -> Self {
        let span = spanned.span().into();
        Self {
            value: spanned.into_inner(),
            span,
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug)]
pub struct Problem {
    pub place: Place,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    pub fn at(place: &Place, message: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            message: message.into(),
            hint: None,
        }
    }
}

/// Where something stands in the file. What was read there keeps its place, for what turns out to be
/// wrong with it later.
#[derive(Clone)]
pub struct Place {
    /// Counted from 1; the column in characters.
    pub line: usize,
    pub column: usize,
    /// The line of the file, and how many of its characters from `column` on are meant.
    excerpt: (String, usize),
}

/// Places make no difference: who adds a comment to a file has not changed what stands below it.
impl PartialEq for Place {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Place {
    fn new(source: &Source<'_>, span: Span) -> Self {
        let text = source.text;
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor(text, span.end).clamp(start, line_end);
        let above = text[..start].matches('\n').count();
        let excerpt = source.shown.split('\n').nth(above).unwrap_or("");
        Self {
            line: above + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: (
                excerpt.trim_end().to_owned(),
                text[start..end].chars().count().max(1),
            ),
        }
    }
}

/// Of a string, what is between its quotes.
fn without_quotes(text: &str, span: Span) -> Span {
    let meant = text.get(span.start..span.end).unwrap_or("");
    let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| {
        let inside = meant.strip_prefix(quotes);
        inside.is_some_and(|inside| inside.ends_with(quotes))
    });
    let length = quotes.map_or(0, str::len);
    Span::new(span.start + length, span.end - length)
}

/// The boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// Everything that is wrong with one file, from its top to its end. Shown, it is what people read on
/// a terminal.
#[derive(Clone, Debug)]
pub struct Problems {
    pub path: PathBuf,
    pub problems: Vec<Problem>,
}

impl Problems {
    pub fn new(path: PathBuf, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
        Self { path, problems }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            let Problem {
                place,
                message,
                hint,
            } = problem;
            let Place {
                line,
                column,
                excerpt: (excerpt, width),
            } = place;
            let gutter = line.to_string().len();
            writeln!(f, "{}:{line}:{column}: {message}", self.path.display())?;
            if !excerpt.is_empty() {
                writeln!(f, "{line} | {excerpt}")?;
                let indent = column - 1;
                writeln!(f, "{:gutter$} | {:indent$}{}", "", "", "^".repeat(*width))?;
            }
            if let Some(hint) = hint {
                writeln!(f, "{:gutter$} = {hint}", "")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// What stands outside the file and is named in it: `${NAME}` and `${file:PATH}`.
pub trait Surroundings {
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file that holds one secret; a line feed at its end does not count.
    fn file(&self, path: &Path) -> Result<String, String>;
}

/// Reads values and collects problems.
pub(crate) struct Reader<'a> {
    source: &'a Source<'a>,
    /// What relative paths are relative to: the directory of the file.
    pub(crate) directory: &'a Path,
    surroundings: &'a dyn Surroundings,
    /// What came from there so far.
    pub(crate) substituted: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        source: &'a Source<'a>,
        directory: &'a Path,
        surroundings: &'a dyn Surroundings,
    ) -> Self {
        let problem = |fault: &source::Fault| Problem {
            place: Place::new(source, fault.span),
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        };
        Self {
            source,
            directory,
            surroundings,
            substituted: Vec::new(),
            problems: source.faults.iter().map(problem).collect(),
        }
    }

    /// The file as a table: what of it is TOML.
    pub(crate) fn root(&self) -> Table<'a> {
        Table::new(self.source.root(), Span::new(0, 0), "the file")
    }

    /// False if something in the table is no TOML: it may lack what it has in truth.
    pub(crate) fn is_whole(&self, at: Span) -> bool {
        !self.source.is_broken(at)
    }

    /// False if tables are missing, and nobody can say which.
    pub(crate) fn has_every_table(&self) -> bool {
        self.source.has_every_table
    }

    pub(crate) fn problem(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        let place = self.place(span);
        self.problem_at(&place, message, hint);
    }

    pub(crate) fn problem_at(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        // What else is wrong on a line that is no TOML may follow from that.
        if self.source.is_fault(place.line) {
            return;
        }
        self.problems.push(Problem {
            hint,
            ..Problem::at(place, message)
        });
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        Place::new(self.source, without_quotes(self.source.text, span))
    }

    /// `at` is where the table is spoken of when something is missing in it.
    pub(crate) fn table(
        &mut self,
        value: Value<'a>,
        at: Span,
        what: &'static str,
    ) -> Option<Table<'a>> {
        match value.value {
            DeValue::Table(entries) => Some(Table::new(entries, at, what)),
            other => {
                self.expected("a table", &other, value.span);
                None
            }
        }
    }

    pub(crate) fn array(&mut self, value: Value<'a>) -> Option<Vec<Value<'a>>> {
        match value.value {
            DeValue::Array(values) => Some(values.into_iter().map(Value::from).collect()),
            other => {
                self.expected("an array", &other, value.span);
                None
            }
        }
    }

    /// A string with what it names put in.
    pub(crate) fn string(&mut self, value: Value<'a>) -> Option<Spanned<String>> {
        let span = value.span;
        match value.value {
            DeValue::String(text) => {
                let value = self.substitute(&text, span)?;
                Some(Spanned { value, span })
            }
            other => {
                self.expected("a string", &other, span);
                None
            }
        }
    }

    fn expected(&mut self, expected: &str, found: &DeValue<'_>, span: Span) {
        let found = found.type_str();
        self.problem(span, format!("expected {expected}, found {found}"), None);
    }

    /// `${NAME}` is a variable of the environment, `${file:PATH}` the content of a file, `$${` is
    /// `${` itself.
    fn substitute(&mut self, text: &str, span: Span) -> Option<String> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                result.push_str(&rest[..at]);
                result.pop();
                result.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            result.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                let hint = "write `$${` where `${` itself is meant".to_owned();
                self.problem(span, "`${` without `}`", Some(hint));
                return None;
            };
            let name = &rest[at + 2..at + end];
            let value = self.look_up(name, span)?;
            result.push_str(&value);
            self.substituted.push(value);
            rest = &rest[at + end + 1..];
        }
        result.push_str(rest);
        Some(result)
    }

    fn look_up(&mut self, name: &str, span: Span) -> Option<String> {
        if let Some(path) = name.strip_prefix("file:") {
            match self.surroundings.file(&self.directory.join(path)) {
                Ok(content) => return Some(content.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => self.problem(span, format!("cannot read `{path}`: {error}"), None),
            }
            return None;
        }
        let value = self.surroundings.variable(name);
        if value.is_none() {
            let hint = "set it where Weir is started, or write `$${` where `${` itself is meant";
            self.problem(
                span,
                format!("the environment has no variable `{name}`"),
                Some(hint.to_owned()),
            );
        }
        value
    }

    /// Any value as JSON: the settings of a stage.
    pub(crate) fn json(&mut self, value: Value<'a>) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        let span = value.span;
        Some(match value.value {
            DeValue::String(text) => Json::String(self.substitute(&text, span)?),
            DeValue::Integer(number) => {
                let digits = number.as_str();
                let Ok(number) = i64::from_str_radix(digits, number.radix()) else {
                    let hint = "write it as a string, if the plugin takes one".to_owned();
                    self.problem(span, "the number is too large", Some(hint));
                    return None;
                };
                Json::from(number)
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Json::from(number),
                _ => {
                    self.problem(span, "JSON has no `inf` and no `nan`", None);
                    return None;
                }
            },
            DeValue::Boolean(truth) => Json::Bool(truth),
            DeValue::Datetime(_) => {
                let hint = "write it as a string, in quotes".to_owned();
                self.problem(span, "JSON has no dates and times", Some(hint));
                return None;
            }
            DeValue::Array(values) => {
                let values: Vec<_> = values
                    .into_iter()
                    .map(|value| self.json(value.into()))
                    .collect();
                Json::Array(values.into_iter().collect::<Option<_>>()?)
            }
            DeValue::Table(entries) => {
                let entries: Vec<_> = in_order(entries)
                    .map(|(key, value)| Some((key.value.into_owned(), self.json(value)?)))
                    .collect();
                Json::Object(entries.into_iter().collect::<Option<_>>()?)
            }
        })
    }
}
