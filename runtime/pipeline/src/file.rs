//! Reads `weir.toml`: values with their places, and problems that say where and what to do.
//!
//! Every problem is collected, none stops the reading, so that people see all of them at once. The
//! tables and keys themselves are spelt out in [`crate::plan`].

use std::fmt;
use std::path::{Path, PathBuf};

use toml_span::value::{Key, Table as TomlTable, Value, ValueInner};

/// Where a value stands in the file, in bytes.
pub(crate) use toml_span::Span;

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
    fn new(text: &str, span: Span) -> Self {
        let start = floor(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor(text, span.end).clamp(start, line_end);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            excerpt: (
                masked(text[line_start..line_end].trim_end()),
                text[start..end].chars().count().max(1),
            ),
        }
    }
}

/// A line of the file without what it may hold of secrets: the user in a URL, and strings whose key
/// is called like one. As wide as the line itself.
fn masked(line: &str) -> String {
    const SECRETS: [&str; 5] = ["passw", "secret", "token", "credential", "accesskey"];
    let mut shown = String::with_capacity(line.len());
    // The last key, and the last word, which is one if `=` follows.
    let (mut key, mut word) = (String::new(), String::new());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (text, after) = rest[1..].split_at(closing_quote(&rest[1..], first));
            shown.push(first);
            if after
                .get(1..)
                .is_some_and(|next| next.trim_start().starts_with('='))
            {
                text.clone_into(&mut word);
                shown.push_str(text);
            } else if SECRETS.iter().any(|secret| key.contains(secret)) {
                shown.extend(text.chars().map(|_| '*'));
            } else {
                shown.push_str(&without_user(text));
            }
            // The quote at its end, if it has one.
            let end = after.chars().next().map_or(0, char::len_utf8);
            shown.push_str(&after[..end]);
            rest = &after[end..];
            continue;
        }
        match first {
            '=' => key = std::mem::take(&mut word).to_ascii_lowercase(),
            ',' | '{' | '}' | '[' | ']' => word.clear(),
            _ => word.push(first),
        }
        shown.push(first);
        rest = &rest[first.len_utf8()..];
    }
    shown
}

/// Where a string ends: at its closing quote, or with the line.
fn closing_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return at;
        }
        escaped = c == '\\' && !escaped && quote == '"';
    }
    text.len()
}

/// A URL with stars in place of its user and password.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let at = if user.is_empty() { "" } else { "@" };
    let stars = "*".repeat(user.chars().count());
    format!("{scheme}://{stars}{at}{host}")
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
    pub(crate) text: &'a str,
    /// What relative paths are relative to: the directory of the file.
    pub(crate) directory: &'a Path,
    pub(crate) surroundings: &'a dyn Surroundings,
    /// What came from there so far.
    pub(crate) substituted: Vec<String>,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// The file as a table; `None` if it is not TOML.
    pub(crate) fn root(&mut self) -> Option<Table<'a>> {
        match toml_span::parse(self.text) {
            Ok(value) => {
                let span = value.span;
                self.table(value, span, "the file")
            }
            Err(error) => {
                let hint = "this is no TOML; what follows it was not looked at".to_owned();
                self.problem(error.span, error.to_string(), Some(hint));
                None
            }
        }
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
        self.problems.push(Problem {
            hint,
            ..Problem::at(place, message)
        });
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        Place::new(self.text, span)
    }

    /// `at` is where the table is spoken of when something is missing in it.
    pub(crate) fn table(
        &mut self,
        mut value: Value<'a>,
        at: Span,
        what: &'static str,
    ) -> Option<Table<'a>> {
        match value.take() {
            ValueInner::Table(entries) => Some(Table {
                entries,
                at,
                what,
                known: Vec::new(),
            }),
            other => {
                self.expected("a table", &other, value.span);
                None
            }
        }
    }

    pub(crate) fn array(&mut self, mut value: Value<'a>) -> Option<Vec<Value<'a>>> {
        match value.take() {
            ValueInner::Array(values) => Some(values),
            other => {
                self.expected("an array", &other, value.span);
                None
            }
        }
    }

    /// A string with what it names put in.
    pub(crate) fn string(&mut self, mut value: Value<'a>) -> Option<Spanned<String>> {
        match value.take() {
            ValueInner::String(text) => {
                let substituted = self.substitute(&text, value.span)?;
                Some(Spanned {
                    value: substituted,
                    span: value.span,
                })
            }
            other => {
                self.expected("a string", &other, value.span);
                None
            }
        }
    }

    fn expected(&mut self, expected: &str, found: &ValueInner<'_>, span: Span) {
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
    pub(crate) fn json(&mut self, mut value: Value<'a>) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        Some(match value.take() {
            ValueInner::String(text) => Json::String(self.substitute(&text, value.span)?),
            ValueInner::Integer(number) => Json::from(number),
            ValueInner::Float(number) if number.is_finite() => Json::from(number),
            ValueInner::Float(_) => {
                self.problem(value.span, "JSON has no `inf` and no `nan`", None);
                return None;
            }
            ValueInner::Boolean(truth) => Json::Bool(truth),
            ValueInner::Array(values) => {
                let values: Vec<_> = values.into_iter().map(|value| self.json(value)).collect();
                Json::Array(values.into_iter().collect::<Option<_>>()?)
            }
            ValueInner::Table(entries) => {
                let entries: Vec<_> = in_order(entries)
                    .map(|(key, value)| Some((key.name.into_owned(), self.json(value)?)))
                    .collect();
                Json::Object(entries.into_iter().collect::<Option<_>>()?)
            }
        })
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A table that is being read: keys are taken out one by one; what is left at the end is unknown.
pub(crate) struct Table<'a> {
    entries: TomlTable<'a>,
    /// Where the table is spoken of when something is missing in it.
    pub(crate) at: Span,
    what: &'static str,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        self.entries.remove(key)
    }

    /// Reports a key that is missing.
    pub(crate) fn require(&self, reader: &mut Reader<'a>, key: &'static str) {
        if !self.entries.contains_key(key) {
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
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::Integer(number) => {
                let number = u64::try_from(number)
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
        let mut value = self.take(key)?;
        match value.take() {
            ValueInner::Boolean(truth) => Some(truth),
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
            let message = format!("{} has no key `{}`", self.what, key.name);
            reader.problem(key.span, message, Some(advice(&key.name, &self.known)));
        }
    }
}

/// The entries of a table in the order in which they stand in the file.
fn in_order(entries: TomlTable<'_>) -> impl Iterator<Item = (Key<'_>, Value<'_>)> {
    let mut entries: Vec<_> = entries.into_iter().collect();
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
