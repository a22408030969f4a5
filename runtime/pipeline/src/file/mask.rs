//! What of a file may be shown: everything but secrets.

/// The file without what it may hold of secrets: the user in a URL, and values whose key is called
/// like one. Every character keeps its place.
///
/// The whole is read as TOML, since a value may begin lines above, and each line by itself, since
/// the file may be none; a character is shown if both readings show it.
pub(super) fn masked(text: &str) -> String {
    let mut by_line = text.split_inclusive('\n').flat_map(|line| {
        let masked: Vec<char> = Reading::of(line).chars().collect();
        masked
    });
    let whole = Reading::of(text);
    whole
        .chars()
        .map(|shown| match by_line.next() {
            Some('*') => '*',
            _ => shown,
        })
        .collect()
}

/// A text that is being masked, as far as it was read.
struct Reading {
    shown: String,
    /// The last key, in lower case.
    key: String,
    /// How many brackets and braces are open.
    depth: usize,
}

impl Reading {
    fn of(text: &str) -> String {
        let mut reading = Self {
            shown: String::with_capacity(text.len()),
            key: String::new(),
            depth: 0,
        };
        let mut in_comment = false;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '"' || first == '\'' {
                let quotes = quotes(rest, first, in_comment);
                let inside = &rest[quotes..];
                let (text, after) = inside.split_at(end_of_string(inside, first, quotes));
                reading.shown.push_str(&rest[..quotes]);
                reading.word(text, after.trim_start_matches(first));
                // The quotes at its end, if it has them.
                let end = after.len().min(quotes);
                let end = if after.starts_with(first) { end } else { 0 };
                reading.shown.push_str(&after[..end]);
                rest = &after[end..];
                continue;
            }
            let (word, after) = rest.split_at(end_of_word(rest));
            if !word.is_empty() {
                reading.word(word, after);
                rest = after;
                continue;
            }
            match first {
                '#' => in_comment = true,
                '{' | '[' => reading.depth += 1,
                '}' | ']' => reading.depth = reading.depth.saturating_sub(1),
                '\n' => {
                    in_comment = false;
                    if reading.depth == 0 {
                        reading.key.clear();
                    }
                }
                _ => {}
            }
            reading.shown.push(first);
            rest = &rest[first.len_utf8()..];
        }
        reading.shown
    }

    /// A key, if `=` follows, or a value of the last one.
    fn word(&mut self, word: &str, after: &str) {
        const SECRETS: [&str; 11] = [
            "pass",
            "pwd",
            "privatekey",
            "secret",
            "token",
            "credential",
            "accesskey",
            "apikey",
            "authkey",
            "authorization",
            "headervalue",
        ];
        if after.trim_start_matches([' ', '\t']).starts_with('=') {
            self.key = word.to_ascii_lowercase().replace(['_', '-'], "");
            self.shown.push_str(word);
        } else if SECRETS.iter().any(|secret| self.key.contains(secret)) {
            self.shown.push_str(&stars(word));
        } else {
            self.shown.push_str(&without_user(word));
        }
    }
}

/// How many quotes begin the string: three, if it may run over lines.
fn quotes(text: &str, quote: char, in_comment: bool) -> usize {
    let three = text.chars().take_while(|c| *c == quote).count() >= 3;
    if three && !in_comment { 3 } else { 1 }
}

/// Where the text of a string ends: at its closing quotes; else with the line, or with the file.
fn end_of_string(text: &str, quote: char, quotes: usize) -> usize {
    let mut escaped = false;
    let mut closing = 0;
    for (at, c) in text.char_indices() {
        closing = if c == quote && !escaped {
            closing + 1
        } else {
            0
        };
        if closing == quotes {
            return at + 1 - quotes;
        }
        if c == '\n' && quotes == 1 {
            return at;
        }
        escaped = c == '\\' && !escaped && quote == '"';
    }
    text.len()
}

/// Where a word without quotes ends. A URL without quotes is no TOML, but it may hold a password.
fn end_of_word(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || "=,{}[]\"'#".contains(c);
    let end = text.find(ends).unwrap_or(text.len());
    if !text[..end].contains("://") {
        return end;
    }
    let ends = |c: char| c.is_whitespace() || ",\"'".contains(c);
    text.find(ends).unwrap_or(text.len())
}

/// A URL with stars in place of its user and password.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let at = if user.is_empty() { "" } else { "@" };
    format!("{scheme}://{}{at}{host}", stars(user))
}

fn stars(text: &str) -> String {
    let star = |c: char| if c == '\n' { c } else { '*' };
    text.chars().map(star).collect()
}
