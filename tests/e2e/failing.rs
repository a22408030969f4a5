//! What fails stays with the pipeline that it is about: it is told, tried again, and the others go on.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Site, frames};

/// Two masters with files, which are read again when their pipeline starts again.
const CONFIG: &str = r##"
[limits]
drain = "2s"

[[master]]
name = "bad"
dialect = "geoserver-cloud"
source = { type = "file", path = "bad-in.jsonl" }

[[master]]
name = "good"
dialect = "geoserver-cloud"
source = { type = "stdin" }

[[slave]]
name = "one"
subscribe = ["#"]
sink = { type = "file", path = "one.jsonl" }
"##;

fn workspace(name: &str) -> String {
    frames()[1]
        .replace("topp", name)
        .replace("000000000002", &format!("{name:0>12}"))
}

#[test]
fn a_master_whose_names_cannot_be_kept_starts_again_alone() {
    let site = Site::new(CONFIG);
    fs::write(site.path("bad-in.jsonl"), workspace("bad") + "\n").unwrap();
    // A directory in the place of the file: nothing can be kept in it.
    let blocker = site.path("weir-data/names/bad.jsonl");
    fs::create_dir_all(&blocker).unwrap();
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.wait_for_log("failed, will start again");
    assert!(weir.log().contains("cannot keep names"), "{}", weir.log());
    weir.feed([workspace("good").as_str()]);
    let lines = site.wait_for_lines("one.jsonl", 1);
    assert_eq!(lines[0]["data"]["workspace"], "good");

    fs::remove_dir(&blocker).unwrap();
    let lines = site.wait_for_lines("one.jsonl", 2);
    assert_eq!(lines[1]["data"]["workspace"], "bad");
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    let told = log.matches("failed, will start again").count();
    assert_eq!(told, 1, "the same reason is told once:\n{log}");
}

#[test]
fn a_sink_on_a_full_disk_holds_its_own_slave_only() {
    let full = r##"
[[slave]]
name = "full"
subscribe = ["#"]
sink = { type = "file", path = "/dev/full" }
"##;
    let site = Site::new(&format!("{CONFIG}{full}"));
    fs::write(site.path("bad-in.jsonl"), "").unwrap();
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed([workspace("first").as_str(), workspace("second").as_str()]);
    site.wait_for_lines("one.jsonl", 2);
    weir.wait_for_log("held, will try again");
    weir.feed([workspace("third").as_str()]);
    site.wait_for_lines("one.jsonl", 3);
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
}

/// Sinks at brokers that take a connection and then say nothing, as behind a firewall that drops.
#[test]
fn a_stop_takes_a_drain_however_many_brokers_are_silent() {
    let silent: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let mut config = CONFIG.to_owned();
    for (number, listener) in silent.iter().enumerate() {
        let address = listener.local_addr().unwrap();
        let slave = format!(
            r##"
[[slave]]
name = "silent-{number}"
subscribe = ["#"]
sink = {{ type = "amqp", url = "amqp://{address}", exchange = "nowhere" }}
"##
        );
        config.push_str(&slave);
    }
    let site = Site::new(&config);
    fs::write(site.path("bad-in.jsonl"), "").unwrap();
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed([workspace("first").as_str()]);
    site.wait_for_lines("one.jsonl", 1);
    let started = Instant::now();
    let (status, log) = weir.stop();
    let took = started.elapsed();
    assert!(status.success(), "{log}");
    // The drain, what closing may take beyond it, and a busy machine.
    assert!(took < Duration::from_secs(2 + 2 + 2), "{took:?}\n{log}");
}

/// The broker of the bus never answers: neither a start nor a stop waits for it.
#[test]
fn a_silent_bus_keeps_no_stop_waiting() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let site = Site::new(&format!("[bus]\nurl = \"amqp://{address}\"\n{CONFIG}"));
    fs::write(site.path("bad-in.jsonl"), "").unwrap();
    let mut weir = site.start();
    weir.wait_for_log("waiting for the broker");
    let started = Instant::now();
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(started.elapsed() < Duration::from_secs(4), "{log}");
}
