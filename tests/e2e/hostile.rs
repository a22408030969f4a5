//! Whatever a plugin does, every event is settled: it reaches the sink, or the dead letters with a
//! reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weir_bus::{Address, Bus, Received};

use crate::harness::{Site, eventually, frames};

/// What the plugin of each slave does, and whether its events still reach the sink. (What the host
/// answers to each of many more is the sandbox's own tests' business.)
const DEEDS: [(&str, &str, bool); 5] = [
    ("echo", r#""echo""#, true),
    ("panic", r#""panic""#, false),
    ("flood", "{ flood = 1000 }", false),
    ("retry", r#"{ retry = "not yet" }"#, false),
    ("long", "LONG", false),
];

fn config() -> String {
    let mut config = r#"
[[plugin]]
name = "misbehave"
path = "GUEST(misbehave)"
limits = { deadline = "500ms" }

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = { type = "stdin" }
"#
    .to_owned();
    for (name, deed, _) in DEEDS {
        let long = format!("{{ reject = \"{}\" }}", "very long ".repeat(20_000));
        let deed = if deed == "LONG" { &long } else { deed };
        write!(
            config,
            r##"
[[slave]]
name = "{name}"
subscribe = ["#"]
stages = [{{ plugin = "misbehave", config = {{ deed = {deed} }} }}]
sink = {{ type = "file", path = "{name}.jsonl" }}
on_failure = {{ attempts = 2, backoff_first = "10ms" }}
"##
        )
        .unwrap();
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_settled_whatever_a_plugin_does() {
    let site = Site::new(&config());
    let mut weir = site.start();
    weir.wait_for_log("running");
    let frames = frames();
    let events = &frames[4..7];
    weir.feed(events.iter().map(String::as_str));
    let (good, bad): (Vec<_>, Vec<_>) = DEEDS.into_iter().partition(|(_, _, arrives)| *arrives);
    for (name, ..) in &good {
        site.wait_for_lines(&format!("{name}.jsonl"), events.len());
    }
    let letters = bad.len() * events.len();
    eventually("the dead letters", || {
        let told = weir.log().matches("to the dead letters").count();
        (told >= letters).then_some(())
    });
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");

    let bus = Bus::open(&Address::Embedded(site.path("weir-data/bus")))
        .await
        .unwrap();
    let mut consumer = bus.dead_letters(1000);
    let mut settled: BTreeMap<String, usize> = BTreeMap::new();
    while settled.values().sum::<usize>() < letters {
        if let Received::Delivery { message, .. } = consumer.next().await.unwrap() {
            let reason = message.header("weir-reason").unwrap();
            assert!(!reason.is_empty() && reason.len() <= weir_event::Reason::MAX_BYTES);
            let pipeline = message.header("weir-pipeline").unwrap();
            *settled.entry(pipeline.to_owned()).or_default() += 1;
        }
    }
    for (name, ..) in &bad {
        assert_eq!(settled[&format!("slave {name}")], events.len(), "{name}");
        assert!(site.lines(&format!("{name}.jsonl")).is_empty(), "{name}");
    }
}
