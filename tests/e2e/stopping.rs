//! Stopping in good order, and not at all in good order: nothing that was taken is lost.

use std::collections::BTreeSet;

use crate::harness::{Broker, Site, frames};

const CONFIG: &str = r##"
[[plugin]]
name = "remap-workspaces"
path = "GUEST(remap-workspaces)"

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = { type = "stdin" }

[[slave]]
name = "one"
subscribe = ["#"]
stages = [{ plugin = "remap-workspaces", config = { prefix = "a_" } }]
sink = { type = "file", path = "one.jsonl" }
"##;

/// A slave whose broker nobody runs.
const AWAY: &str = r##"
[[slave]]
name = "away"
subscribe = ["#"]
sink = { type = "amqp", url = "amqp://127.0.0.1:1", exchange = "nowhere" }
"##;

fn workspace(number: usize) -> String {
    let id = format!("{number:012}");
    frames()[1]
        .replace("topp", &format!("w{number}"))
        .replace("000000000002", &id)
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_says_what_was_done() {
    let site = Site::new(CONFIG);
    let mut weir = site.start();
    weir.wait_for_log("running");
    let lines: Vec<String> = (0..200).map(workspace).collect();
    weir.feed(lines.iter().map(String::as_str));
    site.wait_for_lines("one.jsonl", 1);
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("stopping") && log.contains("slave one") && log.contains("messages in"),
        "{log}"
    );
}

#[test]
fn what_a_slave_did_not_get_comes_after_the_next_start() {
    let away = format!("{CONFIG}{AWAY}");
    let site = Site::new(&away);
    let mut weir = site.start();
    weir.wait_for_log("running");
    let lines: Vec<String> = (0..50).map(workspace).collect();
    weir.feed(lines.iter().map(String::as_str));
    site.wait_for_lines("one.jsonl", 50);
    // The slave that is away holds its own line, not the other's; and it does not hold up a stop.
    weir.wait_for_log("held, will try again");
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("given_back"), "{log}");

    let back = AWAY.replace(
        r#"{ type = "amqp", url = "amqp://127.0.0.1:1", exchange = "nowhere" }"#,
        r#"{ type = "file", path = "away.jsonl" }"#,
    );
    site.configure(&format!("{CONFIG}{back}"));
    let mut weir = site.start();
    weir.wait_for_log("running");
    let late = site.wait_for_lines("away.jsonl", 50);
    let names: Vec<&str> = late
        .iter()
        .map(|line| line["data"]["workspace"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..50).map(|number| format!("w{number}")).collect();
    assert_eq!(names, expected);
    assert_eq!(
        site.lines("one.jsonl").len(),
        50,
        "nothing again for who had it"
    );
}

#[test]
fn killed_again_and_again_it_loses_nothing_that_it_took() {
    let site = Site::new(CONFIG);
    let lines: Vec<String> = (0..300).map(workspace).collect();
    for round in 0..3 {
        let mut weir = site.start();
        weir.wait_for_log("running");
        // Standard input is read anew each time: what a killed Weir had not taken is fed again.
        weir.feed(lines[round * 100..].iter().take(200).map(String::as_str));
        site.wait_for_lines("one.jsonl", round * 100 + 120);
        weir.kill();
    }
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed(lines[200..].iter().map(String::as_str));
    crate::harness::eventually("all of them", || {
        let lines = site.lines("one.jsonl");
        let names: BTreeSet<&str> = lines
            .iter()
            .map(|line| line["data"]["workspace"].as_str().unwrap())
            .collect();
        (names.len() == 300).then_some(())
    });
    drop(weir);
}

/// What a broker sends back is whole in the hands of the client library, which would log it.
#[test]
fn a_message_that_comes_back_is_held_and_not_shown() {
    let Some(broker) = Broker::new() else { return };
    let site = Site::new(&format!(
        r##"
[bus]
url = "{}"

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = {{ type = "stdin" }}

[[slave]]
name = "eu"
subscribe = ["#"]
sink = {{ type = "amqp", exchange = "eu", dialect = "geoserver-cloud" }}
"##,
        broker.url
    ));
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed(frames().iter().map(String::as_str));
    weir.wait_for_log("no queue takes messages");
    let (_, log) = weir.stop();
    assert!(
        !log.contains("BasicReturn") && !log.contains("data: ["),
        "{log}"
    );
}
