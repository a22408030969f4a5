//! Routing keys, `<workspace or _global>.<kind>.<action>`, and the patterns that slaves subscribe to.
//!
//! Both are words with dots between them, as AMQP's topic exchanges have it. A name may hold any
//! character, so a word is escaped: what is not a letter, a digit, `-` or `_` becomes `~` and two
//! hexadecimal digits for each byte of its UTF-8. A pattern is written with the same escapes, and
//! with `*` for one word and `#` for any number of them.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use crate::event::{Event, Kind};

/// The word that stands where an event has no workspace.
const GLOBAL: &str = "_global";

/// AMQP carries a routing key in a short string.
const MAX_BYTES: usize = 255;

/// The most routing keys of one event: a move has two, and an event about the defaults of the
/// catalog refers to three workspaces at most. What exceeds it is somebody's invention, and must
/// not fill the headers of a message.
const MAX_KEYS: usize = 8;

/// The routing key of an event on the exchange `weir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingKey(String);

impl RoutingKey {
    /// `topp.featuretype.added`; `_global.style.modified` for an event of no workspace. A key that
    /// would exceed AMQP's 255 bytes has its workspace cut off: at most one broad pattern matches
    /// it more or less, and the event itself stays whole.
    pub fn of(event: &Event) -> Self {
        Self::in_workspace(event, event.subject.workspace.as_deref())
    }

    /// Every routing key of an event, each once, that of [`RoutingKey::of`] first. An event concerns
    /// more than one workspace when it takes an object out of another one, and when it is about the
    /// catalog and refers to what lies in workspaces: its default workspace, a default store. At
    /// most eight; more workspaces than that are left out.
    pub fn all_of(event: &Event) -> Vec<Self> {
        // Known by id only, an object lies who knows where.
        let from = event.previous.as_ref().filter(|from| !from.is_bare_id());
        let of_catalog = event
            .references
            .iter()
            .filter(|_| event.subject.kind == Kind::Catalog)
            .map(|reference| &reference.target)
            .filter(|target| target.workspace.is_some());
        let mut keys = vec![Self::of(event)];
        for object in from.into_iter().chain(of_catalog) {
            if keys.len() == MAX_KEYS {
                break;
            }
            let key = Self::in_workspace(event, object.workspace.as_deref());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn in_workspace(event: &Event, workspace: Option<&str>) -> Self {
        let kind = escape(event.subject.kind.as_str());
        let tail = format!(".{kind}.{}", escape(event.action.as_str()));
        let mut key = match workspace {
            None => GLOBAL.to_owned(),
            // A workspace of that very name must not be taken for the absence of one.
            Some(GLOBAL) => "~5fglobal".to_owned(),
            Some(workspace) => escape(workspace),
        };
        key.truncate(MAX_BYTES.saturating_sub(tail.len()));
        key.push_str(&tail);
        key.truncate(MAX_BYTES);
        Self(key)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn escape(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "~{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    escaped
}

/// A pattern of routing keys that a slave subscribes to: `topp.#`, `_global.style.*`, `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscription(String);

/// Why a text is no subscription.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubscriptionError {
    #[error(
        "a subscription is words with dots between them, such as `topp.#`; `{0}` has an empty word"
    )]
    EmptyWord(String),
    #[error("`*` and `#` stand for whole words; in `{0}` one is part of a word (is `.` missing?)")]
    PartialWildcard(String),
    #[error(
        "in `{pattern}`, `{character}` needs its escape: `{escaped}` (routing keys hold letters, digits, `-`, `_`)"
    )]
    Unescaped {
        pattern: String,
        character: char,
        escaped: String,
    },
    #[error("`{0}` is longer than the 255 bytes that AMQP allows")]
    TooLong(String),
}

impl FromStr for Subscription {
    type Err = SubscriptionError;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        if pattern.len() > MAX_BYTES {
            return Err(SubscriptionError::TooLong(pattern.to_owned()));
        }
        for word in pattern.split('.') {
            match word {
                "" => return Err(SubscriptionError::EmptyWord(pattern.to_owned())),
                "*" | "#" => {}
                _ if word.contains(['*', '#']) => {
                    return Err(SubscriptionError::PartialWildcard(pattern.to_owned()));
                }
                _ => {
                    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "-_~".contains(*c));
                    if let Some(character) = word.chars().find(odd) {
                        return Err(SubscriptionError::Unescaped {
                            pattern: pattern.to_owned(),
                            character,
                            escaped: escape(&character.to_string()),
                        });
                    }
                }
            }
        }
        Ok(Self(pattern.to_owned()))
    }
}

impl Subscription {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if a topic exchange would hand a message with this routing key to a queue that is bound
    /// with this pattern.
    pub fn matches(&self, routing_key: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('.').collect();
        let words: Vec<&str> = routing_key.split('.').collect();
        matches(&pattern, &words)
    }
}

impl fmt::Display for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Greedy matching with one point of return, so that a hostile pattern costs at most
/// pattern × words steps.
fn matches(pattern: &[&str], words: &[&str]) -> bool {
    let (mut p, mut w) = (0, 0);
    let mut hash: Option<(usize, usize)> = None;
    while w < words.len() {
        match pattern.get(p) {
            Some(&"#") => {
                hash = Some((p, w));
                p += 1;
            }
            Some(&word) if word == "*" || word == words[w] => {
                p += 1;
                w += 1;
            }
            _ => match hash {
                Some((at, taken)) => {
                    hash = Some((at, taken + 1));
                    p = at + 1;
                    w = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|word| *word == "#")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Action, Object, Reference};

    fn check(pattern: &str, key: &str, expected: bool) {
        let subscription: Subscription = pattern.parse().unwrap();
        assert_eq!(
            subscription.matches(key),
            expected,
            "{pattern} against {key}"
        );
    }

    #[test]
    fn patterns_match_as_a_topic_exchange_does() {
        check("#", "topp.layer.added", true);
        check("topp.#", "topp.layer.added", true);
        check("topp.#", "topp", true);
        check("topp.#", "toppx.layer.added", false);
        check("topp.*", "topp.layer.added", false);
        check("*.layer.*", "topp.layer.added", true);
        check("#.added", "topp.layer.added", true);
        check("#.layer.#", "topp.layer.added", true);
        check("#.layer.#.removed", "topp.layer.added", false);
        check("_global.style.*", "_global.style.removed", true);
        check("topp.layer.added", "topp.layer.added", true);
        check("topp.layer", "topp.layer.added", false);
    }

    #[test]
    fn a_hostile_pattern_stays_cheap() {
        let pattern = format!("{}x", "#.".repeat(100));
        check(&pattern, &format!("{}y", "a.".repeat(1000)), false);
    }

    #[test]
    fn what_is_no_pattern_says_why() {
        let error = |pattern: &str| pattern.parse::<Subscription>().unwrap_err().to_string();
        assert!(error("topp..x").contains("empty word"));
        assert!(error("topp#").contains("whole words"));
        assert!(error("my ws.#").contains("`~20`"));
        assert!(error(&"x".repeat(300)).contains("255"));
    }

    #[test]
    fn odd_names_stay_one_word() {
        assert_eq!(escape("v1.2 søk"), "v1~2e2~20s~c3~b8k");
    }

    fn event(kind: Kind, workspace: Option<&str>) -> Event {
        let subject = Object {
            workspace: workspace.map(str::to_owned),
            ..Object::of(kind)
        };
        Event {
            id: "1".to_owned(),
            source: "/test".to_owned(),
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            sequence: None,
            action: Action::Modified,
            subject,
            previous: None,
            references: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: None,
        }
    }

    fn keys(event: &Event) -> Vec<String> {
        let keys = RoutingKey::all_of(event);
        keys.iter().map(ToString::to_string).collect()
    }

    fn refers_to(event: &mut Event, workspace: Option<&str>) {
        let target = Object {
            workspace: workspace.map(str::to_owned),
            ..Object::of(Kind::DataStore)
        };
        let role = "default-datastore".to_owned();
        event.references.push(Reference { role, target });
    }

    #[test]
    fn a_move_reaches_the_workspace_that_it_leaves() {
        let mut moved = event(Kind::DataStore, Some("eu"));
        moved.previous = Some(event(Kind::DataStore, Some("topp")).subject);
        assert_eq!(
            keys(&moved),
            ["eu.datastore.modified", "topp.datastore.modified"]
        );
        moved.previous = Some(moved.subject.clone());
        assert_eq!(keys(&moved), ["eu.datastore.modified"]);
        let mut unknown = Object::of(Kind::DataStore);
        unknown.id = Some("d1".to_owned());
        moved.previous = Some(unknown.clone());
        assert_eq!(keys(&moved), ["eu.datastore.modified"]);
        unknown.name = Some("pg".to_owned());
        moved.previous = Some(unknown);
        assert_eq!(
            keys(&moved),
            ["eu.datastore.modified", "_global.datastore.modified"]
        );
    }

    #[test]
    fn what_the_catalog_refers_to_is_reached() {
        let mut catalog = event(Kind::Catalog, None);
        for workspace in [Some("topp"), None, Some("topp"), Some("a.b")] {
            refers_to(&mut catalog, workspace);
        }
        assert_eq!(
            keys(&catalog),
            [
                "_global.catalog.modified",
                "topp.catalog.modified",
                "a~2eb.catalog.modified"
            ]
        );
        let mut group = event(Kind::LayerGroup, None);
        refers_to(&mut group, Some("topp"));
        assert_eq!(keys(&group), ["_global.layergroup.modified"]);
    }

    #[test]
    fn keys_are_bounded_and_each_is_three_words() {
        let mut catalog = event(Kind::Catalog, None);
        catalog.action = Action::from("a.b #");
        for number in 0..100 {
            refers_to(&mut catalog, Some(&format!("{number}")));
        }
        let keys = keys(&catalog);
        assert_eq!(keys.len(), MAX_KEYS);
        for key in keys {
            assert_eq!(key.split('.').count(), 3, "{key}");
        }
    }
}
