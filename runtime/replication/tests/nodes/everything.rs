//! All that a master has goes to an empty slave.

use serde_json::Value;
use weir_event::{RestContent, RestFrame};
use weir_geoserver::{Login, Node, Settings};
use weir_replication::{ApplyError, Drift, Memory, Replica};
use weir_test_geoserver::GeoServer;

use crate::alike;
use crate::ends::{apply, everything, master, node, remapped, told};
use crate::lab::{Lab, data};

/// The nodes of `WEIR_TEST_GEOSERVER_URLS`: `http://user:password@host/geoserver`, with commas
/// between them. The first one is read, and the second made like it.
fn real() -> Option<[Node; 2]> {
    let urls = std::env::var("WEIR_TEST_GEOSERVER_URLS").ok()?;
    let nodes = urls.split(',').map(|url| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (login, rest) = rest.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let login = Login::basic(user, password).unwrap();
        let url = format!("{scheme}://{rest}").parse().unwrap();
        Node::new(Settings::new(url, login)).unwrap()
    });
    let nodes: Vec<Node> = nodes.collect();
    Some(nodes.try_into().expect("two nodes are needed"))
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

#[tokio::test]
async fn a_real_slave_becomes_what_its_master_is() {
    let Some([from, to]) = real() else {
        eprintln!("skipped: WEIR_TEST_GEOSERVER_URLS is not set");
        return;
    };
    converges(&from, &to, RestFrame::clone).await;
    converges(&from, &to, |frame| remapped(frame, "eu_")).await;
}

#[tokio::test]
async fn a_slave_becomes_what_its_master_is() {
    becomes("").await;
}

#[tokio::test]
async fn a_slave_becomes_what_its_master_is_under_other_names() {
    becomes("eu_").await;
}

/// The catalog that was recorded, at an empty slave.
async fn becomes(prefix: &str) {
    let lab = Lab::build().await;
    let slave = GeoServer::start().await.unwrap();
    for (store, tables) in data() {
        slave.tables(&format!("{prefix}{store}"), tables);
    }
    let from = node(&lab.geoserver);
    converges(&from, &node(&slave), |frame| {
        remapped(&with_secrets(frame), prefix)
    })
    .await;
    assert_eq!(slave.tables_created(), [] as [&str; 0]);
    let mut different = alike::differences(&lab.geoserver.state(), &slave.state(), prefix);
    // Data is not replicated, nor is a file that nobody names.
    different
        .retain(|it| !it.starts_with("resource/data/") && !it.starts_with("resource/styles/fonts"));
    // What the master has not, a walk does not tell: a layer without tiles.
    different.retain(|it| *it != format!("gwc/layers/{prefix}north:poles is left"));
    assert_eq!(different, [] as [&str; 0]);
}

/// As a stage leaves it that knows the passwords.
fn with_secrets(frame: &RestFrame) -> RestFrame {
    let mut frame = frame.clone();
    if let Some(RestContent::Json(body)) = &mut frame.content {
        let passwords = [
            ("/dataStore/connectionParameters/entry", "labpass"),
            ("/wmsStore/password", "cpass"),
        ];
        for (path, password) in passwords {
            let parameters = body.pointer_mut(path).into_iter();
            let secrets = parameters.flat_map(|it| match it {
                Value::Array(entries) => entries
                    .iter_mut()
                    .filter_map(|it| it.get_mut("$"))
                    .collect(),
                password => vec![password],
            });
            let is_cipher =
                |it: &&mut Value| it.as_str().is_some_and(|it| it.starts_with("crypt1:"));
            secrets
                .filter(is_cipher)
                .for_each(|secret| *secret = password.into());
        }
    }
    frame
}

fn has_secret(told: &str) -> bool {
    told.ends_with(":pg") || told.ends_with(":casc")
}

async fn converges(from: &Node, to: &Node, map: impl Fn(&RestFrame) -> RestFrame) {
    let (frames, mut broken) = everything(&master(from.clone())).await;
    let frames: Vec<RestFrame> = frames.iter().map(map).collect();
    for round in 1..=2 {
        let mut replica = Replica::new(to.clone(), Memory::default());
        let (written, failed) = apply(&mut replica, &frames).await;
        assert_eq!(without_broken(failed, &mut broken), [] as [&str; 0]);
        // Nobody can tell whether the passwords of a node are what they should be.
        let twice = written.iter().filter(|told| !has_secret(told));
        let twice: Vec<&String> = twice.filter(|_| round > 1).collect();
        assert_eq!(twice, [] as [&str; 0]);
    }
    let mut replica = Replica::new(to.clone(), Memory::default());
    let mut drifts: Vec<(String, Drift)> = Vec::new();
    for frame in &frames {
        let drift = replica.compare(frame).await.unwrap();
        let told = told(frame);
        drifts.extend(
            drift
                .filter(|_| !is_any(&told, &broken))
                .map(|drift| (told, drift)),
        );
    }
    assert_eq!(drifts, []);
}
