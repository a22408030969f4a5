//! Recorded exchanges.

use std::path::Path;

#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) note: String,
    pub(crate) accept: String,
    pub(crate) media_type: String,
    pub(crate) body: String,
    pub(crate) status: u16,
    /// What it was told of the answer.
    pub(crate) headers: String,
    pub(crate) answer: String,
}

impl Exchange {
    /// The same body was recorded under another path.
    pub(crate) fn is_without_body(&self) -> bool {
        self.headers.contains("application/json") && self.answer.is_empty()
    }

    /// The double shows no XML of the catalog, and no bodies were kept of pages.
    pub(crate) fn is_covered(&self) -> bool {
        let path = self.target.split('?').next().unwrap_or_default();
        let is_catalog = !path.contains("/gwc/") && !path.contains("/resource");
        let is_xml = path.rsplit_once('.').is_some_and(|(_, it)| it == "xml")
            || self.accept == "application/xml";
        let is_page = self.note.contains("left out")
            || self.target.contains("format=xml")
            || (self.headers.contains("text/html") && self.status == 200);
        // Files were written at other times.
        let is_dated = self.note.contains("If-Modified-Since");
        let is_bare = self.note.contains("no Accept");
        !(is_dated || is_page || is_bare || is_catalog && is_xml)
    }
}

pub(crate) fn read(kind: &str) -> Vec<Exchange> {
    // Tests of other crates read them, too.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/geoserver/fixtures");
    let bytes = std::fs::read(fixtures.join(format!("{kind}.md"))).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE"];
    let is_start = |line: &&str| {
        let rest = line.strip_prefix("## ");
        rest.is_some_and(|rest| {
            methods
                .iter()
                .any(|it| rest.starts_with(&format!("{it} /")))
        })
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| is_start(line));
    let starts: Vec<usize> = starts.map(|(index, _)| index).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| exchange(&lines[*start..end]))
        .collect()
}

fn exchange(lines: &[&str]) -> Exchange {
    let title = lines[0].strip_prefix("## ").unwrap();
    let (call, note) = title.split_once("  — ").unwrap_or((title, ""));
    let (method, target) = call.split_once(' ').unwrap();
    let arrow = lines
        .iter()
        .rposition(|line| line.starts_with("→ **"))
        .unwrap();
    let (asked, answered) = (&lines[1..arrow], &lines[arrow..]);
    let quoted = |lines: &[&str], start: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_default().trim_matches('`').to_owned()
    };
    Exchange {
        method: method.to_owned(),
        target: target.trim().to_owned(),
        note: note.to_owned(),
        accept: quoted(asked, "Accept: "),
        media_type: quoted(asked, "Request Content-Type: "),
        body: block(asked),
        status: answered[0][6..9].trim_matches('*').parse().unwrap(),
        headers: answered[0].to_owned(),
        answer: block(&answered[1..]),
    }
}

/// What stands between fences.
fn block(lines: &[&str]) -> String {
    let is_fence = |line: &&str| line.starts_with("```");
    let start = lines.iter().position(is_fence);
    let end = lines.iter().rposition(|line| line.starts_with("```"));
    match (start, end) {
        (Some(start), Some(end)) if start < end => lines[start + 1..end].join("\n"),
        _ => String::new(),
    }
}
