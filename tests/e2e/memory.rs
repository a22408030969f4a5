//! What is held in memory has a bound, however much waits outside.

use std::fs;

use weir_bus::{AmqpUrl, Bus, Publisher};
use weir_event::Message;

use crate::harness::{Broker, Site, eventually};

/// A gibibyte, far more than is held. (It is no more with 256 of them, of which the broker itself has
/// to hold too much for a test.)
const MESSAGES: usize = 64;
const SIZE: usize = 16 << 20;

/// 64 MiB in flight, the copies that decoding and encoding the event at work take (more of them with
/// more cores, so it is one here), what is being sent, and what lapin has read and nobody has let go
/// of yet: 210 to 320 MiB were seen, and over 1 GiB when nothing was let go.
const BOUND: usize = MESSAGES * SIZE / 2;

fn config(url: &str) -> String {
    format!(
        r#"
[bus]
url = "{url}"
prefix = "north"
log = {{ bytes = "64 MiB" }}

[[master]]
name = "large"
dialect = "cloudevents"
source = {{ type = "amqp", exchange = "large" }}
parallel = 1

[[slave]]
name = "one"
subscribe = ["last.#"]
sink = {{ type = "file", path = "one.jsonl" }}
"#
    )
}

fn event(id: usize, workspace: &str, size: usize) -> Message {
    let start = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/m","type":"weir.catalog.layer.added.v1","subject":"workspaces/{workspace}/layers/l","data":{{"body":{{"contentType":"text/plain","text":""#
    );
    let mut payload = start.into_bytes();
    payload.resize(size.saturating_sub(4).max(payload.len()), b'x');
    payload.extend_from_slice(br#""}}}"#);
    Message {
        payload: payload.into(),
        content_type: Some("application/cloudevents+json".to_owned()),
        ..Message::default()
    }
}

async fn publish(publisher: &mut Publisher, message: Message) {
    publisher.publish(message).await;
    publisher.confirmed().await.result.unwrap();
}

/// The most memory that a process ever had, in bytes.
fn peak(id: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kibibytes = line.split_whitespace().nth(1).unwrap();
    kibibytes.parse::<usize>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_do_not_pile_up() {
    let Some(broker) = Broker::new() else { return };
    let url: AmqpUrl = broker.url.parse().unwrap();
    let mut master = Bus::foreign_publisher(&url, "large", false);
    publish(&mut master, event(0, "first", 0)).await;

    let site = Site::new(&config(&broker.url));
    let weir = site.start();
    eventually("the queue", || {
        let bound = broker.bindings();
        bound
            .contains(&"north.master.large".to_owned())
            .then_some(())
    });
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    for id in 1..=MESSAGES {
        publish(&mut master, event(id, "large", SIZE)).await;
    }
    publish(&mut master, event(MESSAGES + 1, "last", 0)).await;

    let mut weir = site.start();
    weir.wait_for_log("running");
    let before = peak(weir.id());
    site.wait_for_lines("one.jsonl", 1);
    let held = peak(weir.id()) - before;
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("dead letters\""), "{log}");
    assert!(held < BOUND, "{} MiB of {} MiB", held >> 20, BOUND >> 20);
    eprintln!("{} MiB held, {} MiB before", held >> 20, before >> 20);
}
