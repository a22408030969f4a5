//! XML as far as it takes to find texts in it and to set them: GeoWebCache's objects and the bodies
//! of styles travel as they are, and only a name in them becomes another one.
//!
//! Entities that a document defines itself are not known here; a text with one is not read.

use std::fmt::Write as _;
use std::ops::Range;

/// How deep elements may lie in each other.
const MAX_DEPTH: usize = 100;

/// The longest name of an element or attribute that is looked at, in bytes.
const MAX_NAME: usize = 200;

/// What a text was found to hold.
pub(super) struct Scan<T> {
    pub(super) leaves: Vec<Leaf<T>>,
    /// Why it was not read to its end.
    pub(super) problem: Option<String>,
}

/// A text: that of an element without others in it, or that of an attribute.
pub(super) struct Leaf<T> {
    /// What its path means to who asked.
    pub(super) means: T,
    /// Where the text stands, as it is written.
    pub(super) span: Range<usize>,
}

impl<T> Leaf<T> {
    /// What the text says, without the space around it.
    pub(super) fn value(&self, text: &str) -> Option<String> {
        let raw = text.get(self.span.clone())?;
        let raw = raw
            .strip_prefix("<![CDATA[")
            .and_then(|raw| raw.strip_suffix("]]>"))
            .map_or_else(|| unescape(raw), |raw| Some(raw.to_owned()));
        raw.filter(|value| !value.contains("]]>"))
    }
}

/// An element that is not closed yet.
struct Open<'a> {
    name: &'a str,
    /// The length of the path up to it.
    above: usize,
    content: usize,
    is_leaf: bool,
}

/// Finds the texts of a document whose paths mean something, in its order. A path is the names from
/// the root on, without prefixes, with dots between them; that of an attribute ends in `@` and its
/// name. Paths repeat one another, so none is kept.
pub(super) fn scan<T>(text: &str, meaning: impl Fn(&str) -> Option<T>) -> Scan<T> {
    let mut leaves = Vec::new();
    let problem = scan_into(text, &meaning, &mut leaves).err();
    Scan { leaves, problem }
}

fn scan_into<T>(
    text: &str,
    meaning: &impl Fn(&str) -> Option<T>,
    leaves: &mut Vec<Leaf<T>>,
) -> Result<(), String> {
    let mut path = String::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    let mut is_empty = true;
    while let Some(start) = text[at..].find('<').map(|found| at + found) {
        let after = |end: &str, what: &str| {
            let found = text[start..].find(end);
            found
                .map(|found| start + found + end.len())
                .ok_or_else(|| format!("{what} is never closed"))
        };
        let rest = &text[start..];
        if rest.starts_with("<!--") {
            at = after("-->", "a comment")?;
        } else if rest.starts_with("<![CDATA[") {
            at = after("]]>", "a CDATA section")?;
        } else if rest.starts_with("<?") {
            at = after("?>", "a processing instruction")?;
        } else if rest.starts_with("<!") {
            at = after(">", "a declaration")?;
            if text[start..at].contains('[') {
                at = after("]", "a declaration")?;
                at += text[at..]
                    .find('>')
                    .ok_or("a declaration is never closed")?
                    + 1;
            }
        } else if let Some(name) = rest.strip_prefix("</") {
            let end = after(">", "a tag")?;
            let name = name[..end - start - 3].trim_end();
            let Some(element) = open.pop().filter(|element| element.name == name) else {
                return Err(format!("`{}` is closed, and not open", super::shown(name)));
            };
            if element.is_leaf
                && let Some(means) = meaning(&path)
            {
                let span = trimmed(text, element.content..start);
                leaves.push(Leaf { means, span });
            }
            path.truncate(element.above);
            at = end;
        } else {
            let (name, end) = start_tag(text, start)?;
            is_empty = false;
            if let Some(parent) = open.last_mut() {
                parent.is_leaf = false;
            }
            let above = path.len();
            push(&mut path, local(name));
            let inside = start + 1 + name.len()..end - 1;
            attributes(text, inside, &mut path, meaning, leaves)?;
            if text[..end - 1].ends_with('/') {
                path.truncate(above);
            } else if open.len() < MAX_DEPTH {
                open.push(Open {
                    name,
                    above,
                    content: end,
                    is_leaf: true,
                });
            } else {
                return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
            }
            at = end;
        }
    }
    match open.last() {
        Some(element) => Err(format!("`{}` is never closed", super::shown(element.name))),
        None if is_empty => Err("there is no element in it".to_owned()),
        None => Ok(()),
    }
}

/// The name of a start tag, and where the tag ends. A `>` within quotes does not end it.
fn start_tag(text: &str, start: usize) -> Result<(&str, usize), String> {
    let tag = &text[start + 1..];
    let mut quote = None;
    let end = tag
        .char_indices()
        .find(|(_, c)| match quote {
            Some(open) => {
                if *c == open {
                    quote = None;
                }
                false
            }
            None if matches!(c, '"' | '\'') => {
                quote = Some(*c);
                false
            }
            None => *c == '>',
        })
        .map(|(end, _)| end)
        .ok_or("a tag is never closed")?;
    let name = tag[..end]
        .split(|c: char| c.is_whitespace() || c == '/')
        .next();
    match name.unwrap_or_default() {
        "" => Err("a tag has no name".to_owned()),
        name if name.len() > MAX_NAME => Err(format!(
            "an element has a name of more than {MAX_NAME} bytes"
        )),
        name => Ok((name, start + 1 + end + 1)),
    }
}

fn attributes<T>(
    text: &str,
    span: Range<usize>,
    path: &mut String,
    meaning: &impl Fn(&str) -> Option<T>,
    leaves: &mut Vec<Leaf<T>>,
) -> Result<(), String> {
    let mut at = span.start;
    while let Some(equals) = text[at..span.end].find('=').map(|found| at + found) {
        let name = local(text[at..equals].trim());
        let value = text[equals + 1..span.end].trim_start();
        let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(format!(
                "the attribute `{}` has no value in quotes",
                super::shown(name)
            ));
        };
        let start = span.end - value.len() + 1;
        let Some(length) = text[start..span.end].find(quote) else {
            return Err(format!(
                "the attribute `{}` is never closed",
                super::shown(name)
            ));
        };
        if name.len() <= MAX_NAME {
            let above = path.len();
            push(path, "@");
            path.push_str(name);
            if let Some(means) = meaning(path) {
                let span = start..start + length;
                leaves.push(Leaf { means, span });
            }
            path.truncate(above);
        }
        at = start + length + 1;
    }
    Ok(())
}

fn push(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let raw = &text[span.clone()];
    let start = span.start + (raw.len() - raw.trim_start().len());
    start..start + raw.trim().len()
}

/// The text with other texts in some places, which follow one another.
pub(super) fn edit(text: &str, edits: Vec<(Range<usize>, String)>) -> String {
    let mut edited = String::with_capacity(text.len() + 64);
    let mut at = 0;
    for (span, new) in edits {
        edited.push_str(&text[at..span.start]);
        escape(&mut edited, &new);
        at = span.end;
    }
    edited.push_str(&text[at..]);
    edited
}

/// The text with one more element at the end of its root; `None` if it has no end.
pub(super) fn append(text: &str, name: &str, value: &str) -> Option<String> {
    let end = text.rfind("</")?;
    let mut element = format!("<{name}>");
    escape(&mut element, value);
    write!(element, "</{name}>").ok()?;
    Some([&text[..end], &element, &text[end..]].concat())
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            other => text.push(other),
        }
    }
}

/// What an escaped text says; `None` if there is a tag in it, or an entity that is not known.
fn unescape(raw: &str) -> Option<String> {
    if raw.contains('<') {
        return None;
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        value.push_str(before);
        let (entity, after) = after.split_once(';')?;
        value.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = after;
    }
    value.push_str(rest);
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(text: &str) -> Vec<(String, Option<String>)> {
        let scan = scan(text, |path| Some(path.to_owned()));
        assert_eq!(scan.problem, None, "{text}");
        scan.leaves
            .into_iter()
            .map(|leaf| {
                let value = leaf.value(text);
                (leaf.means, value)
            })
            .collect()
    }

    #[test]
    fn texts_are_found_by_their_path() {
        let text = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e "x">]>
<!-- <a> --><s:a xmlns:s="u" s:q='1>2'><b> x &amp; y&#33; </b><b/><c><![CDATA[<z>]]></c><d>&e;</d></s:a>"#;
        let expected = [
            ("a.@s", Some("u")),
            ("a.@q", Some("1>2")),
            ("a.b", Some("x & y!")),
            ("a.c", Some("<z>")),
            ("a.d", None),
        ];
        let expected = expected.map(|(path, value)| (path.to_owned(), value.map(str::to_owned)));
        assert_eq!(texts(text), expected);
    }

    fn problem(text: &str) -> Option<String> {
        scan(text, |_| None::<()>).problem
    }

    #[test]
    fn what_is_no_xml_says_why() {
        for (text, expected) in [
            ("", "there is no element in it"),
            ("text", "there is no element in it"),
            ("<a>", "`a` is never closed"),
            ("<a", "a tag is never closed"),
            ("<a></b>", "`b` is closed, and not open"),
            ("</a>", "`a` is closed, and not open"),
            ("<>", "a tag has no name"),
            ("<a b=c/>", "the attribute `b` has no value in quotes"),
            ("<!-- ", "a comment is never closed"),
        ] {
            assert_eq!(problem(text).as_deref(), Some(expected), "{text}");
        }
        assert!(problem(&"<a>".repeat(1000)).is_some());
        let long = problem(&format!("<{}>", "a".repeat(100_000)));
        assert!(long.unwrap().len() < 100);
    }

    proptest! {
        #[test]
        fn what_was_set_is_read(value in "[a-z&<>\"'é]{1,9}", other in "[a-z]{1,9}") {
            let text = "<r><a>1</a><b q=\"2\"/></r>";
            let leaves = scan(text, |_| Some(())).leaves;
            let spans: Vec<_> = leaves.iter().map(|leaf| leaf.span.clone()).collect();
            let new = spans.into_iter().map(|span| (span, value.clone())).collect();
            let edited = append(&edit(text, new), "c", &other).unwrap();
            let read: Vec<_> = texts(&edited).into_iter().filter_map(|(_, value)| value).collect();
            prop_assert_eq!(read, [value.clone(), value, other]);
        }

        #[test]
        fn nothing_panics(text in "[<>/!\\[\\]a=\"'? \\-:&;#x]{0,40}") {
            for leaf in scan(&text, |_| Some(())).leaves {
                drop(leaf.value(&text));
            }
        }
    }
}
