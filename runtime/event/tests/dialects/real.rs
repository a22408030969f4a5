//! Real frames of both versions of GeoServer Cloud: `tests/fixtures/README.md` says whose.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::Value;
use weir_event::{CloudVersion, Dialect, Document, Event, Index, Object, Pair};

use crate::laws::{leaves, texts};
use crate::{decode, golden, message, text};

const CLOUD: Dialect = Dialect::GeoServerCloud;
const CANONICAL: Dialect = Dialect::CloudEvents;

/// What stands in the frames of either version for a class that no node has.
const PROXY: &str = "jdk.proxy2.$Proxy";

fn frames(version: CloudVersion) -> Vec<String> {
    let path = format!(
        "{}/tests/fixtures/frames-{version}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let frames: Vec<_> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(frames.len(), 202);
    frames
}

/// Every event of a version as a master sends it on, in order: named by one index.
fn events(version: CloudVersion) -> Vec<(String, Event, Document)> {
    let mut index = Index::default();
    frames(version)
        .into_iter()
        .map(|frame| {
            let (mut event, document) = decode(CLOUD, &message(frame.as_str()));
            index.resolve(&mut event);
            index.learn(&event);
            (frame, event, document)
        })
        .collect()
}

/// The event in a line, counted from 1 as the fixture's readers do.
fn line(version: CloudVersion, number: usize) -> (Event, Document) {
    let (_, event, document) = events(version).swap_remove(number - 1);
    (event, document)
}

fn objects(event: &mut Event) -> impl Iterator<Item = &mut Object> {
    let targets = event.references.iter_mut().map(|r| &mut r.target);
    std::iter::once(&mut event.subject)
        .chain(&mut event.previous)
        .chain(targets)
}

fn remap(event: &mut Event) {
    for object in objects(event) {
        if let Some(workspace) = &mut object.workspace {
            workspace.push_str("_eu");
        }
    }
}

fn mint(event: &mut Event) {
    for object in objects(event) {
        if let Some(id) = &mut object.id {
            id.insert_str(0, "eu-");
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A frame as it is written: `E36` becomes `e+36`, in one number of each version.
fn one_spelling(frame: &str) -> String {
    json(frame).to_string()
}

#[test]
fn what_nobody_changed_leaves_as_it_came() {
    for version in CloudVersion::ALL {
        for (frame, event, document) in events(version) {
            let sent = CANONICAL.encode(&event, document).unwrap();
            let (received, document) = decode(CANONICAL, &sent);
            assert_eq!(received, event);
            let again = CANONICAL.encode(&received, document.clone()).unwrap();
            assert_eq!(text(&again), text(&sent));
            let left = CLOUD.encode(&received, document).unwrap();
            assert_eq!(text(&left), one_spelling(&frame));
            // Without a bus on the way, nothing is written anew.
            let (event, document) = decode(CLOUD, &message(frame.as_str()));
            let left = CLOUD.encode(&event, document).unwrap();
            assert_eq!(text(&left), frame);
        }
    }
}

#[test]
fn the_number_of_a_frame_is_that_of_its_event() {
    for version in CloudVersion::ALL {
        let mut numbered = 0;
        for (frame, event, _) in events(version) {
            let sequence = CLOUD.sequence(&message(frame.as_str()));
            assert_eq!(sequence, event.sequence, "{frame}");
            numbered += usize::from(sequence.is_some());
        }
        assert_eq!(numbered, 186);
    }
    for no_frame in ["", "[]", r#"{"event":1}"#, r#"{"event":{"A":{},"B":{}}}"#] {
        assert_eq!(CLOUD.sequence(&message(no_frame)), None);
    }
}

#[test]
fn every_frame_says_what_happened_to_what() {
    for version in CloudVersion::ALL {
        let lines: Vec<String> = events(version)
            .into_iter()
            .map(|(_, event, _)| {
                let mut line = format!("{} {}", event.subject, event.action);
                if let Some(previous) = &event.previous {
                    write!(line, ", was {previous}").unwrap();
                }
                for reference in &event.references {
                    write!(line, ", {} = {}", reference.role, reference.target).unwrap();
                }
                for property in &event.properties {
                    write!(line, ", {}", property.name).unwrap();
                }
                for odd in ["nochange", "unreadable"] {
                    if let Some(value) = event.attribute(odd) {
                        write!(line, ", {odd}: {value}").unwrap();
                    }
                }
                line
            })
            .collect();
        golden(&format!("real-{version}.txt"), &lines);
    }
}

/// A remap reaches every place, touches nothing else, and is there when the frame is read again.
#[test]
fn a_remap_reaches_every_place() {
    for version in CloudVersion::ALL {
        let mut left = Vec::new();
        let mut index = Index::default();
        for (frame, was, document) in events(version) {
            let mut now = was.clone();
            remap(&mut now);
            let written = CLOUD.encode(&now, document.clone()).unwrap();
            let (mut read, same) = decode(CLOUD, &written);
            index.resolve(&mut read);
            index.learn(&read);
            for object in objects(&mut read) {
                assert!(
                    object.workspace.as_ref().is_none_or(|w| w.ends_with("_eu")),
                    "{object} remains in {}",
                    text(&written)
                );
            }
            assert_eq!(read.subject, now.subject);
            assert_eq!(read.previous, now.previous);

            let (old, new) = (texts(&was), texts(&now));
            let before = leaves(&json(&frame));
            let after = leaves(&json(text(&written)));
            assert_eq!(before.len(), after.len());
            for ((path, before), (same_path, after)) in before.into_iter().zip(after) {
                assert_eq!(path, same_path);
                let is_told = old.contains(&before) && new.contains(&after);
                assert!(
                    before == after || is_told,
                    "{path}: {before} became {after} in {frame}"
                );
            }

            let again = CLOUD.encode(&read, same).unwrap();
            assert_eq!(text(&again), text(&written), "nothing changed");
            // The same on the other side of the bus.
            let sent = CANONICAL.encode(&was, document).unwrap();
            let (mut received, document) = decode(CANONICAL, &sent);
            remap(&mut received);
            let there = CLOUD.encode(&received, document).unwrap();
            assert_eq!(text(&there), text(&written));
            if text(&written) != frame {
                left.push(text(&written).to_owned());
            }
        }
        golden(&format!("real-remapped-{version}.jsonl"), &left);
    }
}

/// Attributes of feature types, tile layers and the whole objects in styles of groups included.
#[test]
fn new_ids_reach_every_place() {
    for version in CloudVersion::ALL {
        let mut ids = HashSet::new();
        for (_, mut event, _) in events(version) {
            ids.extend(objects(&mut event).filter_map(|object| object.id.clone()));
        }
        // There is one of each in every GeoServer.
        for singleton in ["catalog", "geoserver", "logging"] {
            ids.remove(singleton);
        }
        for (frame, mut event, document) in events(version) {
            let places = leaves(&json(&frame))
                .iter()
                .filter(|(_, leaf)| ids.contains(leaf))
                .count();
            mint(&mut event);
            let written = CLOUD.encode(&event, document).unwrap();
            let written = leaves(&json(text(&written)));
            for (path, leaf) in &written {
                assert!(!ids.contains(leaf), "{leaf} remains at {path} of {frame}");
            }
            let minted = written
                .iter()
                .filter(|(_, leaf)| leaf.strip_prefix("eu-").is_some_and(|id| ids.contains(id)));
            assert_eq!(minted.count(), places, "{frame}");
        }
    }
}

#[test]
fn each_version_reads_what_comes_from_the_other() {
    let [old, new] = CloudVersion::ALL;
    for (from, to) in [(old, new), (new, old)] {
        let foreign = if from == old {
            ["dto.InfoReference", "dto.Literal\""]
        } else {
            ["dto.ResolvingProxyDto", "dto.LiteralDto"]
        };
        let mut translated = Vec::new();
        for (frame, event, document) in events(from) {
            let sent = CLOUD.encode_for(to, &event, document.clone()).unwrap();
            assert!(!foreign.iter().any(|class| text(&sent).contains(class)));
            assert!(!text(&sent).contains(PROXY));
            let own = CLOUD.encode_for(from, &event, document).unwrap();
            let frame = one_spelling(&frame);
            if !frame.contains(PROXY) {
                assert_eq!(text(&own), frame, "a version reads its own frames");
                let (event, document) = decode(CLOUD, &sent);
                let back = CLOUD.encode_for(from, &event, document).unwrap();
                assert_eq!(text(&back), frame);
            }
            if text(&sent) != frame {
                translated.push(text(&sent).to_owned());
            }
        }
        golden(&format!("real-{from}-for-{to}.jsonl"), &translated);
    }
}

/// The frames of both versions say the same.
#[test]
fn versions_are_read_alike() {
    let [old, new] = CloudVersion::ALL;
    let roles = |version| -> Vec<Vec<String>> {
        // Each has an order of its own within a frame.
        let roles = |event: &Event| {
            let mut roles: Vec<_> = event.references.iter().map(|r| r.role.clone()).collect();
            roles.sort();
            roles
        };
        let mut all: Vec<_> = events(version).iter().map(|(_, e, _)| roles(e)).collect();
        all.sort();
        all
    };
    assert_eq!(roles(old), roles(new));
}

#[test]
fn a_patch_that_no_node_can_read_is_mended_or_made_smaller() {
    let version = CloudVersion::V2_28;
    let (event, document) = line(version, 83);
    assert_eq!(event.attribute("unreadable"), Some("attribution"));
    let sent = CLOUD.encode_for(version, &event, document).unwrap();
    let literal = r#"{"Literal":{"type":"org.geoserver.catalog.impl.AttributionInfoImpl","value":{"title":"them","logoWidth":0,"logoHeight":0}}}"#;
    assert!(text(&sent).contains(literal), "{}", text(&sent));

    let frame = frames(version)[82].replace(r#""attribution""#, r#""novel""#);
    let (event, document) = decode(CLOUD, &message(frame));
    let sent = CLOUD.encode_for(version, &event, document).unwrap();
    assert!(!text(&sent).contains("novel"));
    assert!(text(&sent).contains("dateModified"));
}

#[test]
fn a_patch_that_changes_nothing_says_so() {
    let version = CloudVersion::V2_28;
    let nothing: Vec<_> = events(version)
        .iter()
        .enumerate()
        .filter(|(_, (_, event, _))| event.attribute("nochange") == Some("true"))
        .map(|(index, _)| index + 1)
        .collect();
    for number in [31, 63, 87, 116, 121] {
        assert!(nothing.contains(&number), "{number} in {nothing:?}");
    }
    assert!(!nothing.contains(&61));
}

#[test]
fn a_move_says_where_from_even_when_it_is_told_again() {
    let version = CloudVersion::V2_28;
    let mut index = Index::default();
    for (number, frame) in frames(version).into_iter().enumerate() {
        let (mut event, _) = decode(CLOUD, &message(frame.as_str()));
        index.resolve(&mut event);
        index.learn(&event);
        let expected = match number + 1 {
            61 => "style capitals",
            136 => "datastore topp:pg",
            _ => continue,
        };
        let previous = event.previous.as_ref().unwrap();
        assert_eq!(previous.to_string(), expected);
        let mut restored = Index::default();
        for entry in index.entries() {
            let line = entry.to_json_line();
            restored.restore(weir_event::index::Entry::from_json_line(&line).unwrap());
        }
        let (mut again, _) = decode(CLOUD, &message(frame));
        restored.resolve(&mut again);
        assert_eq!(again, event);
    }
}

/// By the index and the routing keys together.
#[test]
fn an_event_reaches_every_workspace_that_it_concerns() {
    let version = CloudVersion::V2_28;
    let keys = |number| {
        let (event, document) = line(version, number);
        let sent = CANONICAL.encode(&event, document).unwrap();
        (sent.routing_key, sent.also_to)
    };
    let expect = |number, key: &str, also: &[&str]| {
        let also: Vec<_> = also.iter().map(ToString::to_string).collect();
        assert_eq!(keys(number), (key.to_owned(), also));
    };
    expect(136, "sf.datastore.modified", &["topp.datastore.modified"]);
    expect(61, "topp.style.modified", &["_global.style.modified"]);
    expect(62, "_global.style.modified", &["topp.style.modified"]);
    expect(138, "sfx.namespace.modified", &["sf.namespace.modified"]);
    expect(24, "_global.catalog.modified", &["topp.catalog.modified"]);
    expect(31, "sf.workspace.modified", &[]);
}

fn property<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let found = event.properties.iter().find(|p| p.name == name);
    found.map(|p| p.value.as_str())
}

#[test]
fn patches_spell_uris_and_urls_in_their_own_way() {
    let mut seen = Vec::new();
    for version in CloudVersion::ALL {
        for (frame, mut event, document) in events(version) {
            for (name, patch) in [("uri", r#""name":"uRI""#), ("url", r#""name":"uRL""#)] {
                if !frame.contains(patch) {
                    continue;
                }
                assert!(property(&event, name).is_some(), "{frame}");
                event.properties = vec![Pair::new(name, "file:new")];
                let sent = CLOUD.encode(&event, document.clone()).unwrap();
                assert!(text(&sent).contains(r#""value":"file:new""#));
                event.properties.clear();
                let sent = CLOUD.encode(&event, document.clone()).unwrap();
                assert!(!text(&sent).contains(patch));
                seen.push(name);
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, ["uri", "url"]);
}

/// Every property that is lifted can be taken out by one Weir and set again by the next.
#[test]
fn what_was_taken_out_can_be_set_again() {
    for version in CloudVersion::ALL {
        for (frame, was, document) in events(version) {
            if was.properties.is_empty() {
                continue;
            }
            let mut event = was.clone();
            event.properties.clear();
            let sent = CANONICAL.encode(&event, document).unwrap();
            let (mut received, document) = decode(CANONICAL, &sent);
            assert_eq!(received.properties, [], "{frame}");
            received.properties.clone_from(&was.properties);
            let left = CLOUD.encode(&received, document).unwrap();
            let (read, _) = decode(CLOUD, &left);
            let mut properties = read.properties;
            let mut expected = was.properties;
            properties.sort_by(|a, b| a.name.cmp(&b.name));
            expected.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!(properties, expected, "{frame}");
        }
    }
}
