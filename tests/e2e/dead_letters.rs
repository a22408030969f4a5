//! What will never work ends in the dead letters, with its reason, and holds up nobody.

use std::fs;

use weir_bus::{Address, Bus, Received};
use weir_event::Message;

use crate::harness::{Broker, Site, eventually, frames, guest};

fn config(bus: &str) -> String {
    format!(
        r##"
{bus}

[[plugin]]
name = "misbehave"
path = "GUEST(misbehave)"

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = {{ type = "stdin" }}

[[slave]]
name = "one"
subscribe = ["#"]
stages = [{{ plugin = "misbehave", config = {{ deed = {{ reject = "not today" }} }} }}]
sink = {{ type = "file", path = "one.jsonl" }}

[[slave]]
name = "two"
subscribe = ["#"]
sink = {{ type = "file", path = "two.jsonl" }}
"##
    )
}

async fn dead_letters(bus: &Bus, count: usize) -> Vec<Message> {
    let mut consumer = bus.dead_letters(100);
    let mut letters = Vec::new();
    while letters.len() < count {
        if let Received::Delivery { message, .. } = consumer.next().await.unwrap() {
            letters.push(message);
        }
    }
    letters
}

async fn check(site: &Site, address: &Address) {
    let mut weir = site.start();
    weir.wait_for_log("running");
    let frame = &frames()[1];
    weir.feed(["this is no frame", frame.as_str()]);
    let good = site.wait_for_lines("two.jsonl", 1);
    weir.wait_for_log("pipeline=\"slave one\"");
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(site.lines("one.jsonl").is_empty());

    let bus = Bus::open(address).await.unwrap();
    let letters = dead_letters(&bus, 2).await;
    let of = |pipeline: &str| {
        letters
            .iter()
            .find(|letter| letter.header("weir-pipeline") == Some(pipeline))
            .unwrap()
    };
    let undecodable = of("master cloud");
    assert_eq!(undecodable.payload, "this is no frame");
    assert!(
        undecodable
            .header("weir-reason")
            .is_some_and(|reason| !reason.is_empty())
    );
    assert_eq!(undecodable.header("weir-stage"), None);

    let rejected = of("slave one");
    assert_eq!(rejected.header("weir-stage"), Some("one/misbehave"));
    let digest = weir_wasm::inspect(&std::fs::read(guest("misbehave")).unwrap()).digest;
    assert_eq!(
        rejected.header("weir-plugin-sha256"),
        Some(digest.to_string().as_str())
    );
    assert!(
        rejected
            .header("weir-reason")
            .is_some_and(|reason| reason.contains("not today"))
    );
    // The original bytes, as they were on the bus.
    assert_eq!(rejected.message_id.as_deref(), good[0]["id"].as_str());
    let payload: serde_json::Value = serde_json::from_slice(&rejected.payload).unwrap();
    assert_eq!(payload, good[0]);
    assert_eq!(rejected.header("ce-id"), good[0]["id"].as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_embedded_bus() {
    let site = Site::new(&config(""));
    check(&site, &Address::Embedded(site.path("weir-data/bus"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq() {
    let Some(broker) = Broker::new() else { return };
    let site = Site::new(&config(&format!("[bus]\nurl = \"{}\"", broker.url)));
    check(&site, &Address::Amqp(broker.url.parse().unwrap())).await;
}

#[test]
fn a_paused_slave_waits_for_a_better_plugin() {
    let pause = r#"on_failure = { action = "pause" }"#;
    let sink = r#"sink = { type = "file", path = "one.jsonl" }"#;
    let config = config("").replace(sink, &format!("{sink}\n{pause}"));
    let site = Site::new(&config);
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed([frames()[1].as_str()]);
    weir.wait_for_log("paused until the configuration or a plugin changes");
    site.wait_for_lines("two.jsonl", 1);
    site.configure(&config.replace("{ reject = \"not today\" }", "\"echo\""));
    assert_eq!(site.wait_for_lines("one.jsonl", 1).len(), 1);
}

/// A plugin that never ends with the event `slow`, and Weir killed meanwhile: to Weir it looks as if
/// the message had ended it.
fn deadly(bus: &str) -> String {
    format!(
        r##"
{bus}

[[plugin]]
name = "misbehave"
path = "GUEST(misbehave)"
limits = {{ deadline = "10m", fuel = 1_000_000_000_000_000 }}

[[master]]
name = "m"
dialect = "cloudevents"
source = {{ type = "stdin" }}

[[slave]]
name = "one"
subscribe = ["#"]
stages = [{{ plugin = "misbehave", config = {{ deed = "dawdle" }} }}]
sink = {{ type = "file", path = "one.jsonl" }}

[[slave]]
name = "two"
subscribe = ["#"]
sink = {{ type = "file", path = "two.jsonl" }}
"##
    )
}

fn event(id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/m","type":"weir.catalog.layer.added.v1","subject":"workspaces/topp/layers/l"}}"#
    )
}

async fn check_deadly(site: &Site, address: &Address) {
    let mut weir = site.start();
    weir.wait_for_log("running");
    let events = ["first", "slow", "third"].map(event);
    weir.feed(events.iter().map(String::as_str));
    site.wait_for_lines("one.jsonl", 1);
    site.wait_for_lines("two.jsonl", 3);
    weir.kill();
    for ends in 1..=3 {
        let weir = site.start();
        // The events beside it are worked, too, and done.
        eventually("only the message that never ends in hand", || {
            let files = fs::read_dir(site.path("weir-data/crashes")).ok()?;
            let sizes = files.map(|file| Some(file.ok()?.metadata().ok()?.len()));
            (sizes.collect::<Option<Vec<_>>>()? == [ends]).then_some(())
        });
        weir.kill();
    }
    let mut weir = site.start();
    weir.wait_for_log("to the dead letters");
    eventually("the third event", || {
        let lines = site.lines("one.jsonl");
        lines.iter().any(|line| line["id"] == "third").then_some(())
    });
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(
        site.lines("one.jsonl")
            .iter()
            .all(|line| line["id"] != "slow")
    );

    let bus = Bus::open(address).await.unwrap();
    let letters = dead_letters(&bus, 1).await;
    assert_eq!(letters[0].message_id.as_deref(), Some("slow"));
    let reason = letters[0].header("weir-reason").unwrap();
    assert!(reason.starts_with("Weir ended 4 times"), "{reason}");
    let left = fs::read_dir(site.path("weir-data/crashes")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_weir_does_not_end_it_for_ever() {
    let site = Site::new(&deadly(""));
    check_deadly(&site, &Address::Embedded(site.path("weir-data/bus"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ends_weir_does_not_end_it_for_ever_on_rabbitmq() {
    let Some(broker) = Broker::new() else { return };
    let site = Site::new(&deadly(&format!("[bus]\nurl = \"{}\"", broker.url)));
    check_deadly(&site, &Address::Amqp(broker.url.parse().unwrap())).await;
}
