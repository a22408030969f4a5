//! The main job: a GeoServer Cloud's events reach each slave remapped as that slave wants them, on
//! both buses.

use serde_json::Value;
use tokio::task::JoinHandle;
use weir_bus::{AmqpUrl, Bus, BusSettings, Consumer, Publisher, Received};
use weir_event::{HeaderValue, Message};

use crate::harness::{Broker, Site, eventually, frames};

const PLUGINS: &str = r#"
[[plugin]]
name = "drop-kinds"
path = "GUEST(drop-kinds)"

[[plugin]]
name = "remap-workspaces"
path = "GUEST(remap-workspaces)"
"#;

/// The ids of the frames that concern the workspace `topp`, in order, and those of all that are
/// catalog events.
const TOPP: [&str; 14] = [
    "02", "03", "04", "05", "06", "07", "f0", "09", "0a", "0b", "0c", "0d", "11", "12",
];
const ALL: [&str; 17] = [
    "01", "02", "03", "04", "05", "06", "07", "f0", "09", "0a", "0b", "0c", "0d", "0e", "11", "12",
    "13",
];

fn ids(frames: &[Value]) -> Vec<String> {
    frames
        .iter()
        .map(|frame| frame["id"].as_str().unwrap()[34..].to_owned())
        .collect()
}

/// What a GeoServer Cloud node asks of a frame before it applies it.
fn assert_acceptable(frame: &Value) {
    let text = frame.to_string();
    assert!(
        frame["originService"]
            .as_str()
            .is_some_and(|origin| origin.starts_with("weir:")),
        "{text}"
    );
    assert_eq!(frame["destinationService"], "**", "{text}");
    let Some(event) = frame["event"].as_object() else {
        assert_eq!(frame["type"], "RemoteTileLayerEvent", "{text}");
        return;
    };
    assert_eq!(frame["type"], "RemoteGeoServerEvent", "{text}");
    let (name, inner) = event.iter().next().unwrap();
    if name == "ReloadEvent" {
        return;
    }
    for key in ["objectId", "objectName", "objectType"] {
        assert!(inner[key].is_string(), "{key} of {text}");
    }
    match name.as_str() {
        "CatalogInfoAdded" => {
            assert!(inner["object"]["@type"].is_string() && inner["object"]["id"].is_string());
        }
        "CatalogInfoRemoved" => {}
        _ => {
            assert!(inner["oldName"].is_string(), "{text}");
            for patch in inner["patch"]["Patch"]["patches"].as_array().unwrap() {
                let literal = patch["value"]["Literal"].as_object().unwrap();
                let keys: Vec<&String> = literal.keys().collect();
                let orders: [&[&str]; 3] = [
                    &["type", "value"],
                    &["type", "contentType", "value"],
                    &["value"],
                ];
                assert!(
                    orders.contains(
                        &keys
                            .iter()
                            .map(|key| key.as_str())
                            .collect::<Vec<_>>()
                            .as_slice()
                    )
                );
            }
        }
    }
}

/// Nothing of the workspace's own name is left anywhere in what a slave got, but in its new name.
fn assert_remapped(frames: &[Value], new: &str) {
    for frame in frames {
        let text = frame.to_string().replace(new, "");
        assert!(!text.contains("topp"), "{frame}");
    }
}

#[test]
fn on_the_embedded_bus() {
    let site = Site::new(&format!(
        r##"{PLUGINS}
[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = {{ type = "stdin" }}
stages = [{{ plugin = "drop-kinds", config = {{ kinds = ["security"] }} }}]

[[slave]]
name = "eu"
subscribe = ["topp.#"]
stages = [{{ plugin = "remap-workspaces", config = {{ workspaces = {{ topp = "topp_eu" }} }} }}]
sink = {{ type = "file", path = "eu.jsonl", dialect = "geoserver-cloud" }}

[[slave]]
name = "us"
subscribe = ["#"]
stages = [{{ plugin = "remap-workspaces", config = {{ prefix = "us_" }} }}]
sink = {{ type = "file", path = "us.jsonl", dialect = "geoserver-cloud" }}

[[slave]]
name = "lab"
subscribe = ["other.#"]
sink = {{ type = "file", path = "lab.jsonl" }}
"##
    ));
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed(frames().iter().map(String::as_str));

    let eu = site.wait_for_lines("eu.jsonl", TOPP.len());
    let us = site.wait_for_lines("us.jsonl", ALL.len());
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("19 messages in, 17 out, 2 dropped, 0 dead letters"),
        "{log}"
    );

    assert_eq!(ids(&eu), TOPP);
    assert_eq!(ids(&us), ALL);
    assert_remapped(&eu, "topp_eu");
    assert_remapped(&us, "us_topp");
    for frame in eu.iter().chain(&us) {
        assert_acceptable(frame);
    }
    assert!(site.lines("lab.jsonl").is_empty());
}

/// A node's queue on an exchange of its own, as GeoServer Cloud's nodes have one.
fn node(url: &AmqpUrl, exchange: &str) -> Consumer {
    Bus::foreign(
        url,
        &BusSettings::default(),
        &format!("node-{exchange}"),
        exchange,
        &["#".to_owned()],
        100,
    )
}

async fn publish(publisher: &mut Publisher, frames: &[String]) {
    for frame in frames {
        let headers = [(
            "contentType".to_owned(),
            HeaderValue::from("application/json"),
        )];
        let message = Message {
            routing_key: "geoserver".to_owned(),
            content_type: Some("application/json".to_owned()),
            headers: headers.into(),
            payload: frame.clone().into(),
            ..Message::default()
        };
        publisher.publish(message).await;
    }
    for _ in frames {
        publisher.confirmed().await.result.unwrap();
    }
}

/// Takes that many frames, in the background: a consumer binds its queue when it is asked for them.
fn receive(mut consumer: Consumer, count: usize) -> JoinHandle<Vec<(Message, Value)>> {
    tokio::spawn(async move {
        let mut received = Vec::new();
        while received.len() < count {
            if let Received::Delivery { tag, message, .. } = consumer.next().await.unwrap() {
                let frame = serde_json::from_slice(&message.payload).unwrap();
                received.push((message, frame));
                consumer.accept_through(tag).await.unwrap();
            }
        }
        received
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rabbitmq() {
    let Some(broker) = Broker::new() else { return };
    let url: AmqpUrl = broker.url.parse().unwrap();
    // The master's exchange, made by whoever is there first; and the slaves' own.
    let mut cloud = Bus::foreign_publisher(&url, "geoserver", false);
    publish(&mut cloud, &["{}".to_owned()]).await;
    for exchange in ["eu", "us", "lab"] {
        publish(
            &mut Bus::foreign_publisher(&url, exchange, false),
            &["{}".to_owned()],
        )
        .await;
    }
    let eu = receive(node(&url, "eu"), TOPP.len());
    let us = receive(node(&url, "us"), ALL.len() + 1);
    let lab = receive(node(&url, "lab"), 1);
    let sink = |exchange: &str| {
        format!(
            r#"sink = {{ type = "amqp", exchange = "{exchange}", dialect = "geoserver-cloud" }}"#
        )
    };
    let site = Site::new(&format!(
        r##"{PLUGINS}
[bus]
url = "{}"

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = {{ type = "amqp", exchange = "geoserver" }}
stages = [{{ plugin = "drop-kinds", config = {{ kinds = ["security"] }} }}]

[[slave]]
name = "eu"
subscribe = ["topp.#"]
stages = [{{ plugin = "remap-workspaces", config = {{ workspaces = {{ topp = "topp_eu" }} }} }}]
{}

[[slave]]
name = "us"
subscribe = ["#"]
stages = [{{ plugin = "remap-workspaces", config = {{ prefix = "us_" }} }}]
{}

[[slave]]
name = "lab"
subscribe = ["other.#"]
{}
"##,
        broker.url,
        sink("eu"),
        sink("us"),
        sink("lab"),
    ));
    let mut weir = site.start();
    weir.wait_for_log("running");

    // An event for the lab, last, shows that nothing came to it before.
    let mut sent = frames();
    let other = sent[1]
        .replace("topp", "other")
        .replace("000000000002", "0000000000ff");
    sent.push(other);
    // Two of them arrive swapped, as it happens.
    sent.swap(3, 4);
    // Queues bind themselves when they are there. What is sent to the master before is not ours; and
    // what leaves before its node is bound is held and sent again, which is another story.
    eventually("the queues", || {
        let bound = broker.bindings();
        let queues = ["cloud", "node-eu", "node-us", "node-lab"];
        queues
            .iter()
            .all(|queue| bound.contains(&format!("weir.master.{queue}")))
            .then_some(())
    });
    publish(&mut cloud, &sent).await;

    let split = |received: Vec<(Message, Value)>| -> (Vec<Message>, Vec<Value>) {
        received.into_iter().unzip()
    };
    let (messages, eu) = split(eu.await.unwrap());
    let (_, us) = split(us.await.unwrap());
    let (_, lab) = split(lab.await.unwrap());

    assert_eq!(ids(&eu), TOPP);
    let mut all = ALL.to_vec();
    all.push("ff");
    assert_eq!(ids(&us), all);
    assert_eq!(ids(&lab), ["ff"]);
    assert_remapped(&eu, "topp_eu");
    assert_remapped(&us, "us_topp");
    for frame in eu.iter().chain(&us).chain(&lab) {
        assert_acceptable(frame);
    }
    for (message, frame) in messages.iter().zip(&eu) {
        assert_eq!(message.content_type.as_deref(), Some("application/json"));
        assert_eq!(message.message_id.as_deref(), frame["id"].as_str());
    }
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
}
