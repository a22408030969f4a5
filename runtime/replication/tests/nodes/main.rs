//! A master and a slave, each a GeoServer: what the one has, the other gets.

#![expect(
    clippy::unwrap_used,
    reason = "functions that tests share may panic as tests do"
)]

use std::collections::BTreeMap;

use weir_event::{Decoded, Dialect, Message, Object, RestFrame};
use weir_geoserver::{Login, Node, Settings};
use weir_replication::{Applied, ApplyError, Drift, Master, MasterSettings, Memory, Replica};

/// The nodes of `WEIR_TEST_GEOSERVER_URLS`: `http://user:password@host/geoserver`, with commas
/// between them. The first one is read, and the second made like it.
fn real() -> Option<Vec<Node>> {
    let urls = std::env::var("WEIR_TEST_GEOSERVER_URLS").ok()?;
    let nodes = urls.split(',').map(|url| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (login, rest) = rest.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let login = Login::basic(user, password).unwrap();
        let url = format!("{scheme}://{rest}").parse().unwrap();
        Node::new(Settings::new(url, login)).unwrap()
    });
    Some(nodes.collect())
}

/// Everything that a master has; and the names of what it has and cannot read itself, as that of a
/// layer whose table is gone.
async fn everything(master: &Master) -> (Vec<RestFrame>, Vec<String>) {
    let mut walk = master.walk();
    let (mut frames, mut broken) = (Vec::new(), Vec::new());
    while let Some(hint) = walk.next().await.unwrap() {
        match master.hydrate(&hint).await {
            Ok(more) => frames.extend(more),
            Err(error) => {
                println!("{}: {error}", hint.subject);
                let object = &hint.subject;
                let parts = [&object.workspace, &object.name];
                let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
                broken.push(parts.join(":"));
            }
        }
    }
    (frames, broken)
}

/// What was not applied for another reason than what the master cannot read itself; the rest is
/// `broken`, too.
fn without_broken(failed: Vec<(String, ApplyError)>, broken: &mut Vec<String>) -> Vec<String> {
    let mut left = Vec::new();
    for (what, error) in failed {
        let told = error.to_string();
        if is_any(&told, broken) {
            broken.extend(what.split_once(' ').map(|(_, name)| name.to_owned()));
        } else {
            left.push(format!("{what}: {error}"));
        }
    }
    left
}

fn is_any(told: &str, broken: &[String]) -> bool {
    broken.iter().any(|broken| told.contains(broken))
}

/// A frame as a stage that gives each workspace a prefix leaves it.
fn remapped(frame: &RestFrame, prefix: &str) -> RestFrame {
    let message = Message {
        payload: frame.to_payload(),
        ..Message::default()
    };
    let decoded = Dialect::GeoServerRest.decode(&message, "/masters/test");
    let Ok(Decoded::Event(mut event, document)) = decoded else {
        panic!("{}: {decoded:?}", told(frame));
    };
    let rename = |object: &mut Object| {
        if let Some(workspace) = &mut object.workspace {
            workspace.insert_str(0, prefix);
        }
    };
    rename(&mut event.subject);
    event.previous.iter_mut().for_each(rename);
    for reference in &mut event.references {
        rename(&mut reference.target);
    }
    for property in &mut event.properties {
        // Two namespaces of a node have not one URI.
        if matches!(property.name.as_str(), "uri" | "connectionParameters.namespace") {
            property.value.push_str(prefix);
        }
    }
    let message = Dialect::GeoServerRest.encode(&event, document);
    RestFrame::read(&message.unwrap().payload).unwrap()
}

/// What a frame is about, for messages.
fn told(frame: &RestFrame) -> String {
    let place = &frame.place;
    let parts = [&place.workspace, &place.store, &place.name];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    format!("{} {}", frame.kind, parts.join(":"))
}

/// Applies frames in their order; gives how often each result came, and what was not applied.
async fn apply(
    replica: &mut Replica,
    frames: &[RestFrame],
) -> (BTreeMap<String, usize>, Vec<(String, ApplyError)>) {
    let mut counts = BTreeMap::new();
    let mut failed = Vec::new();
    for frame in frames {
        let result = match replica.apply(frame).await {
            Ok(applied) => {
                if applied == Applied::Written {
                    println!("wrote {}", told(frame));
                }
                format!("{applied:?}")
            }
            Err(error) => {
                failed.push((told(frame), error));
                "failed".to_owned()
            }
        };
        *counts.entry(result).or_default() += 1;
    }
    (counts, failed)
}

#[tokio::test]
async fn a_slave_becomes_what_its_master_is() {
    converges(|frame| frame.clone()).await;
}

#[tokio::test]
async fn a_slave_becomes_what_its_master_is_under_other_names() {
    converges(|frame| remapped(frame, "eu_")).await;
}

async fn converges(map: impl Fn(&RestFrame) -> RestFrame) {
    let Some(nodes) = real() else {
        println!("skipped: WEIR_TEST_GEOSERVER_URLS names no GeoServers");
        return;
    };
    let [from, to] = nodes.as_slice() else {
        panic!("two nodes are needed");
    };
    let master = Master::new(from.clone(), MasterSettings::new("/masters/test"));
    let (frames, mut broken) = everything(&master).await;
    let frames: Vec<RestFrame> = frames.iter().map(map).collect();
    for round in 1..=2 {
        let mut replica = Replica::new(to.clone(), Memory::default());
        let (counts, failed) = apply(&mut replica, &frames).await;
        println!("round {round}: {counts:?}");
        assert_eq!(without_broken(failed, &mut broken), [] as [&str; 0]);
        let written = counts.get("Written").copied().unwrap_or_default();
        assert!(round == 1 || written == 0, "{written} objects were written twice");
    }
    let mut replica = Replica::new(to.clone(), Memory::default());
    let mut drifts: Vec<(String, Drift)> = Vec::new();
    for frame in &frames {
        let drift = replica.compare(frame).await.unwrap();
        let told = told(frame);
        drifts.extend(drift.filter(|_| !is_any(&told, &broken)).map(|drift| (told, drift)));
    }
    assert_eq!(drifts, []);
}
