//! Slaves come and go, and pipelines change, while events flow; a configuration that is wrong
//! changes nothing.

use serde_json::Value;
use weir_bus::Bus;
use weir_event::Message;

use crate::harness::{Broker, Site, eventually, frames};

const MASTER: &str = r#"
[[plugin]]
name = "remap-workspaces"
path = "GUEST(remap-workspaces)"

[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = { type = "stdin" }
"#;

fn slave(name: &str, subscribe: &str, prefix: &str) -> String {
    format!(
        r#"
[[slave]]
name = "{name}"
subscribe = ["{subscribe}"]
stages = [{{ plugin = "remap-workspaces", config = {{ prefix = "{prefix}" }} }}]
sink = {{ type = "file", path = "{name}.jsonl" }}
"#
    )
}

/// A workspace is added, with an id of its own.
fn workspace(name: &str) -> String {
    frames()[1]
        .replace("topp", name)
        .replace("000000000002", &format!("{name:0>12}"))
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["data"]["workspace"].as_str().unwrap())
        .collect()
}

#[test]
fn slaves_are_attached_changed_and_detached() {
    let site = Site::new(&format!("{MASTER}{}", slave("one", "#", "a_")));
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed([workspace("w1").as_str()]);
    site.wait_for_lines("one.jsonl", 1);

    // Attached: gets what comes from now on. The other one goes on undisturbed.
    site.configure(&format!(
        "{MASTER}{}{}",
        slave("one", "#", "a_"),
        slave("two", "w3.#", "b_")
    ));
    weir.wait_for_log("attached");
    weir.wait_for_log("the new configuration is in service");
    weir.feed([workspace("w2").as_str(), workspace("w3").as_str()]);
    assert_eq!(
        names(&site.wait_for_lines("one.jsonl", 3)),
        ["a_w1", "a_w2", "a_w3"]
    );
    assert_eq!(names(&site.wait_for_lines("two.jsonl", 1)), ["b_w3"]);

    // Changed: other settings and another subscription, by SIGHUP as well as by the watch.
    site.configure(&format!(
        "{MASTER}{}{}",
        slave("one", "#", "c_"),
        slave("two", "w4.#", "b_")
    ));
    weir.signal("HUP");
    eventually("the second change", || {
        (weir
            .log()
            .matches("the new configuration is in service")
            .count()
            >= 2)
            .then_some(())
    });
    weir.feed([workspace("w3").as_str(), workspace("w4").as_str()]);
    assert_eq!(
        names(&site.wait_for_lines("one.jsonl", 5))[3..],
        ["c_w3", "c_w4"]
    );
    assert_eq!(
        names(&site.wait_for_lines("two.jsonl", 2)),
        ["b_w3", "b_w4"]
    );

    // Detached: the other one goes on.
    site.configure(&format!("{MASTER}{}", slave("one", "#", "c_")));
    weir.wait_for_log("detached");
    weir.feed([workspace("w4").as_str(), workspace("w5").as_str()]);
    assert_eq!(
        names(&site.wait_for_lines("one.jsonl", 7))[5..],
        ["c_w4", "c_w5"]
    );
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert_eq!(site.lines("two.jsonl").len(), 2);
}

/// Its queue would fill for ever otherwise.
#[test]
fn a_slave_that_is_taken_out_while_weir_is_down_is_detached_at_the_next_start() {
    let Some(broker) = Broker::new() else { return };
    let bus = format!("[bus]\nurl = \"{}\"\n", broker.url);
    let both = [slave("one", "#", "a_"), slave("two", "#", "b_")].concat();
    let site = Site::new(&format!("{bus}{MASTER}{both}"));
    let mut weir = site.start();
    weir.wait_for_log("running");
    assert!(broker.bindings().contains(&"weir.slave.two".to_owned()));
    weir.stop();

    site.configure(&format!("{bus}{MASTER}{}", slave("one", "#", "a_")));
    let mut weir = site.start();
    weir.wait_for_log("running");
    let bindings = broker.bindings();
    assert!(
        bindings.contains(&"weir.slave.one".to_owned()),
        "{bindings:?}"
    );
    assert!(
        !bindings.contains(&"weir.slave.two".to_owned()),
        "{bindings:?}"
    );
    let (_, log) = weir.stop();
    assert!(log.contains("detached"), "{log}");
}

/// Somebody else's broker would fill with what nobody reads otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_takes_from_an_exchange_only_what_it_reads() {
    let Some(broker) = Broker::new() else { return };
    let url = broker.url.parse().unwrap();
    let mut cloud = Bus::foreign_publisher(&url, "geoserver", false);
    cloud.publish(Message::default()).await;
    cloud.confirmed().await.result.unwrap();
    let bus = format!("[bus]\nurl = \"{}\"\n", broker.url);
    let slave = slave("one", "#", "a_");
    let master = |keys: &str| {
        let source = format!(r#"{{ type = "amqp", exchange = "geoserver", keys = [{keys}] }}"#);
        let master = MASTER.replace(r#"{ type = "stdin" }"#, &source);
        format!("{bus}{master}{slave}")
    };
    let site = Site::new(&master(r#""a", "b""#));
    let mut weir = site.start();
    let keys = |expected: &[&str]| {
        eventually("the bindings", || {
            let keys = broker.keys("weir.master.cloud");
            (keys == expected).then_some(())
        });
    };
    keys(&["geoserver a", "geoserver b"]);
    // Changed while Weir runs, and while it does not.
    site.configure(&master(r#""b""#));
    keys(&["geoserver b"]);
    weir.stop();
    site.configure(&master(r#""c""#));
    weir = site.start();
    keys(&["geoserver c"]);
    // Taken out.
    let stages = MASTER.split("[[master]]").next().unwrap();
    site.configure(&format!("{bus}{stages}{slave}"));
    keys(&[]);
    weir.wait_for_log("its queue is off the exchange");
}

/// What is deleted on the broker is back, and the log says so.
#[test]
fn a_queue_that_is_deleted_is_back_after_a_signal() {
    let Some(broker) = Broker::new() else { return };
    let bus = format!("[bus]\nurl = \"{}\"\n", broker.url);
    let site = Site::new(&format!("{bus}{MASTER}{}", slave("one", "#", "a_")));
    let mut weir = site.start();
    weir.wait_for_log("running");
    broker.delete_queue("weir.log");
    weir.signal("HUP");
    weir.wait_for_log("the queue weir.log was gone, and is declared anew");
    assert!(broker.bindings().contains(&"weir.log".to_owned()));
    weir.feed([workspace("w1").as_str()]);
    site.wait_for_lines("one.jsonl", 1);
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let site = Site::new(&format!("{MASTER}{}", slave("one", "#", "a_")));
    let mut weir = site.start();
    weir.wait_for_log("running");
    site.configure(&format!("{MASTER}{}", slave("one", "bad#", "b_")));
    weir.wait_for_log("`*` and `#` stand for whole words");
    site.configure(&format!("{MASTER}{}", slave("one", "#", "")).replace("prefix", "prefixx"));
    weir.wait_for_log("prefixx");
    weir.feed([workspace("w1").as_str()]);
    assert_eq!(names(&site.wait_for_lines("one.jsonl", 1)), ["a_w1"]);
    let log = weir.log();
    assert_eq!(
        log.matches("the configuration stays as it was").count(),
        2,
        "{log}"
    );
}
