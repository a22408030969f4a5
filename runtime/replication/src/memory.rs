//! What was applied at a slave for which of the master's objects.
//!
//! It saves calls and is no truth: what it does not know is asked for. It must not know what is not
//! so, though: a change of it is kept before the event that made it is confirmed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use weir_event::{Action, Kind, RestContent, RestFrame, RestPlace};

use crate::document::regular;
use crate::is_body;
use crate::replica::said;

/// One of the master's objects, by the master's own names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(String);

impl Key {
    /// The object that a frame is about. The body of a style is one by itself.
    pub(crate) fn of(frame: &RestFrame) -> Self {
        let part = if is_body(frame.content.as_ref()) {
            "body"
        } else {
            ""
        };
        Self::named(frame, part)
    }

    fn named(frame: &RestFrame, part: &str) -> Self {
        let (kind, master) = (&frame.kind, &frame.master);
        let part = if *kind == Kind::Style { part } else { "" };
        // A resource that moves to another store stays itself: its name is its workspace's.
        let (workspace, name) = (&master.workspace, &master.name);
        Self(json!([kind.as_str(), part, workspace, name, frame.source]).to_string())
    }

    /// A frame that says that the object is gone; `None` for what goes with another one.
    fn gone(&self, known: &Known) -> Option<RestFrame> {
        let Ok(Value::Array(parts)) = serde_json::from_str(&self.0) else {
            return None;
        };
        let text = |index: usize| parts.get(index).and_then(Value::as_str);
        if text(1) == Some("body") {
            return None;
        }
        Some(RestFrame {
            kind: Kind::from(text(0)?),
            action: Action::Removed,
            place: known.place.clone(),
            previous: None,
            master: RestPlace {
                workspace: text(2).map(str::to_owned),
                store: known.place.store.clone(),
                name: text(3).map(str::to_owned),
            },
            source: text(4).map(str::to_owned),
            id: format!("gone {}", self.0),
            time: "1970-01-01T00:00:00.000Z".to_owned(),
            sequence: None,
            author: None,
            content: None,
        })
    }

    fn is_of(&self, kind: &Kind) -> bool {
        self.0.starts_with(&format!("[{:?},", kind.as_str()))
    }

    /// The body of a style, by its info.
    pub(crate) fn style_body(frame: &RestFrame) -> Self {
        Self::named(frame, "body")
    }
}

/// What was made of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Of what the frame said.
    pub(crate) digest: String,
    /// What the slave calls it.
    pub(crate) place: RestPlace,
}

/// A digest of all that a frame asks a slave for.
pub(crate) fn digest(frame: &RestFrame) -> String {
    let mut hash = Sha256::new();
    let called = |place: &RestPlace| json!([place.workspace, place.store, place.name]);
    // Under its older name it may still be there, whatever is known of the newer.
    let previous = frame.previous.as_ref().map(called);
    hash.update(json!([called(&frame.place), previous]).to_string());
    match &frame.content {
        None => hash.update("removed"),
        Some(RestContent::Json(body)) => hash.update(regular(body).to_string()),
        Some(RestContent::Text { content_type, text }) => {
            hash.update(content_type);
            match is_tile(&frame.kind).then(|| said(text)) {
                Some(Ok(lines)) => hash.update(lines.join("\n")),
                _ => hash.update(text),
            }
        }
        Some(RestContent::Bytes { data, .. }) => hash.update(data),
        Some(RestContent::Reference { sha256, .. }) => hash.update(sha256),
    }
    format!("{:x}", hash.finalize())
}

/// True for what GeoWebCache has.
fn is_tile(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::TileLayer | Kind::GridSet | Kind::BlobStore | Kind::GwcGlobal | Kind::DiskQuota
    )
}

/// What was applied at one slave.
#[derive(Debug, Default)]
pub struct Memory {
    known: BTreeMap<Key, Known>,
    /// Lines that are not kept yet.
    changes: String,
}

impl Memory {
    /// Takes a line back that [`Memory::changes`] gave; lines come in their order. What is none
    /// is left out: a torn line was not confirmed.
    pub fn restore(&mut self, line: &str) {
        let Ok(Value::Array(line)) = serde_json::from_str(line) else {
            return;
        };
        match line.as_slice() {
            [
                Value::String(key),
                Value::String(digest),
                Value::Object(place),
            ] => {
                let text = |key: &str| place.get(key).and_then(Value::as_str).map(str::to_owned);
                let place = RestPlace {
                    workspace: text("workspace"),
                    store: text("store"),
                    name: text("name"),
                };
                let digest = digest.clone();
                self.known.insert(Key(key.clone()), Known { digest, place });
            }
            [Value::String(key)] => {
                self.known.remove(&Key(key.clone()));
            }
            _ => {}
        }
    }

    /// What has changed and is not kept yet, as lines.
    pub fn changes(&self) -> &str {
        &self.changes
    }

    /// The changes are kept.
    pub fn kept(&mut self) {
        self.changes.clear();
    }

    /// All that is known, as lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.known.iter().map(|(key, known)| line(key, known))
    }

    /// The objects of some masters that were applied and are not among these, as frames that say that
    /// they are gone.
    pub(crate) fn others(&self, seen: &BTreeSet<Key>, sources: &[String]) -> Vec<RestFrame> {
        let others = self.known.iter().filter(|(key, _)| !seen.contains(key));
        let gone = others.filter_map(|(key, known)| key.gone(known));
        gone.filter(|frame| frame.source.as_ref().is_some_and(|it| sources.contains(it)))
            // Files are told by many; a walk does not come by all of them.
            .filter(|frame| !matches!(frame.kind, Kind::Resource | Kind::Catalog))
            .collect()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Known> {
        self.known.get(key)
    }

    pub(crate) fn set(&mut self, key: Key, known: Known) {
        if self.known.get(&key) != Some(&known) {
            self.changes.push_str(&line(&key, &known));
            self.changes.push('\n');
            self.known.insert(key, known);
        }
    }

    /// Whether an object is as it was left is not sure; what it is called is.
    pub(crate) fn doubt(&mut self, key: &Key) {
        if let Some(known) = self.known.get_mut(key) {
            known.digest.clear();
        }
    }

    pub(crate) fn forget(&mut self, key: &Key) {
        if self.known.remove(key).is_some() {
            self.changes.push_str(&json!([key.0]).to_string());
            self.changes.push('\n');
        }
    }

    /// Forgets what was applied anywhere in a workspace of the slave: it went with it, or moved.
    pub(crate) fn forget_workspace(&mut self, workspace: &str) {
        let path = format!("workspaces/{workspace}/");
        self.forget_where(|_, place| {
            let of_path = place.name.as_ref().filter(|_| place.workspace.is_none());
            place.workspace.as_deref() == Some(workspace)
                || of_path.is_some_and(|name| name.starts_with(&path))
        });
    }

    /// Forgets what was applied in a store of the slave, and what came with it.
    pub(crate) fn forget_store(&mut self, workspace: &str, store: &str) {
        let is_within = |place: &RestPlace| {
            place.workspace.as_deref() == Some(workspace) && place.store.as_deref() == Some(store)
        };
        let within = self.known.values().filter(|known| is_within(&known.place));
        let names: Vec<String> = within
            .filter_map(|known| known.place.name.clone())
            .collect();
        for name in names {
            self.forget_published(workspace, &name);
        }
        self.forget_where(|_, place| is_within(place));
    }

    /// Forgets what comes and goes with something that the slave publishes.
    pub(crate) fn forget_published(&mut self, workspace: &str, name: &str) {
        let kinds = [Kind::Layer, Kind::TileLayer];
        self.forget_where(|key, place| {
            kinds.iter().any(|kind| key.is_of(kind))
                && place.workspace.as_deref() == Some(workspace)
                && place.name.as_deref() == Some(name)
        });
    }

    /// Forgets what may refer to something that was removed with all that needs it: it lost that.
    pub(crate) fn forget_referrers(&mut self) {
        self.forget_where(|key, _| key.is_of(&Kind::LayerGroup) || key.is_of(&Kind::Layer));
    }

    /// Forgets what was applied at a place, but for the object that is there now.
    pub(crate) fn forget_at(&mut self, kind: &Kind, at: &RestPlace, but: &Key) {
        self.forget_where(|key, place| key != but && key.is_of(kind) && place == at);
    }

    fn forget_where(&mut self, is_gone: impl Fn(&Key, &RestPlace) -> bool) {
        let gone = self.known.iter();
        let gone = gone.filter(|(key, known)| is_gone(key, &known.place));
        let gone: Vec<Key> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.forget(&key);
        }
    }
}

fn line(key: &Key, known: &Known) -> String {
    let place = &known.place;
    let members = [
        ("workspace", &place.workspace),
        ("store", &place.store),
        ("name", &place.name),
    ];
    let members = members
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), Value::from(text.clone()?))));
    let members: Map<String, Value> = members.collect();
    json!([key.0, known.digest, members]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        let frame = RestFrame::read(
            format!(
                r#"{{"kind":"layer","action":"removed","workspace":"topp","name":"{name}","master":{{"workspace":"topp","name":"{name}"}},"id":"1","time":"2026-01-01T00:00:00Z"}}"#
            )
            .as_bytes(),
        );
        Key::of(&frame.unwrap())
    }

    fn known(workspace: &str, digest: &str) -> Known {
        Known {
            digest: digest.to_owned(),
            place: RestPlace {
                workspace: Some(workspace.to_owned()),
                store: Some("pg".to_owned()),
                name: Some("roads\n".to_owned()),
            },
        }
    }

    #[test]
    fn two_masters_may_call_different_things_the_same() {
        let of = |source: &str| {
            let frame = format!(
                r#"{{"kind":"workspace","action":"modified","workspace":"topp","master":{{"workspace":"topp"}},"source":"{source}","id":"1","time":"2026-01-01T00:00:00Z"}}"#
            );
            Key::of(&RestFrame::read(frame.as_bytes()).unwrap())
        };
        assert_ne!(of("/masters/a"), of("/masters/b"));
        assert_eq!(of("/masters/a"), of("/masters/a"));
    }

    #[test]
    fn what_was_kept_comes_back() {
        let mut memory = Memory::default();
        memory.set(key("a"), known("eu", "1"));
        memory.set(key("b"), known("eu", "1"));
        memory.set(key("a"), known("us", "2"));
        memory.set(key("a"), known("us", "2"));
        memory.forget(&key("b"));
        memory.set(key("c"), known("eu", "3"));
        memory.forget_workspace("eu");
        let lines = memory.changes().to_owned();
        memory.kept();
        assert_eq!(memory.changes(), "");

        let mut again = Memory::default();
        for line in lines.lines().chain(["", "torn", "[\"x", "[1]"]) {
            again.restore(line);
        }
        assert_eq!(again.known, memory.known);
        assert_eq!(again.known.len(), 1);
        assert_eq!(again.lines().count(), 1);
        assert_eq!(again.get(&key("a")), Some(&known("us", "2")));
    }
}
