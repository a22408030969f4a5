//! A new plugin takes over between two events; a broken one never does.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::{Site, eventually, guest};

const CONFIG: &str = r##"
[[plugin]]
name = "stamp"
path = "stamp.wasm"

[[master]]
name = "m"
dialect = "geoserver-cloud"
source = { type = "stdin" }
stages = [
  { plugin = "stamp", name = "first", config = { attribute = "first" } },
  { plugin = "stamp", name = "second", config = { attribute = "second" } },
]

[[slave]]
name = "all"
subscribe = ["#"]
sink = { type = "file", path = "all.jsonl" }
"##;

/// The guest `stamp` with another version in its bytes.
fn version(number: usize) -> Vec<u8> {
    let mut bytes = fs::read(guest("stamp")).unwrap();
    let marker = b"STAMP-00000000";
    let places: Vec<usize> = (0..bytes.len() - marker.len())
        .filter(|at| bytes[*at..].starts_with(marker))
        .collect();
    assert_eq!(places.len(), 1, "the version stands once in the component");
    let text = format!("STAMP-{number:08}");
    bytes[places[0]..places[0] + text.len()].copy_from_slice(text.as_bytes());
    bytes
}

/// A style is modified, again and again.
fn event(number: usize) -> String {
    format!(
        r#"{{"type":"RemoteGeoServerEvent","originService":"rest:1","destinationService":"**","id":"e{number}","timestamp":1786900001000,"event":{{"CatalogInfoRemoved":{{"updateSequence":{number},"objectId":"StyleInfoImpl-{number}","objectName":"topp:s{number}","objectType":"STYLE"}}}}}}"#
    )
}

/// Feeds events one after the other, from a thread of its own, until it is told to end; gives how
/// many it were.
fn feed(mut stdin: ChildStdin, end: Arc<AtomicBool>) -> JoinHandle<usize> {
    thread::spawn(move || {
        let mut sent = 0;
        while !end.load(Ordering::Relaxed) {
            writeln!(stdin, "{}", event(sent)).unwrap();
            sent += 1;
            // A few hundred a second: swaps meet events, and the test ends in reasonable time.
            thread::sleep(Duration::from_millis(2));
        }
        sent
    })
}

#[test]
fn fifty_swaps_under_load_lose_reorder_and_mix_nothing() {
    let site = Site::new(CONFIG);
    site.replace("stamp.wasm", &version(0));
    let mut weir = site.start();
    weir.wait_for_log("running");
    let end = Arc::new(AtomicBool::new(false));
    let feeder = feed(weir.stdin(), Arc::clone(&end));
    site.wait_for_lines("all.jsonl", 1);

    let filter = fs::read(guest("drop-kinds")).unwrap();
    // A transform, but its settings are others.
    let refusing = fs::read(guest("remap-workspaces")).unwrap();
    let (mut good, mut broken) = (0, 0);
    for swap in 1..=50 {
        let whole = version(swap);
        match swap % 5 {
            1 => site.replace("stamp.wasm", &whole[..whole.len() / 2]),
            2 => site.replace("stamp.wasm", format!("no component {swap}").as_bytes()),
            3 => site.replace("stamp.wasm", &filter),
            4 => site.replace("stamp.wasm", &refusing),
            _ => {
                site.replace("stamp.wasm", &whole);
                good += 1;
                let stamp = format!("STAMP-{swap:08}");
                eventually(&stamp, || {
                    let last = site.lines("all.jsonl").pop()?;
                    (last["first"] == stamp).then_some(())
                });
                continue;
            }
        }
        broken += 1;
        eventually("the refusal", || {
            let told = weir
                .log()
                .matches("the old version stays in service")
                .count();
            (told == broken).then_some(())
        });
    }
    end.store(true, Ordering::Relaxed);
    let total = feeder.join().unwrap();
    let lines = site.wait_for_lines("all.jsonl", total);
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");

    assert_eq!((good, broken), (10, 40));
    assert_eq!(lines.len(), total, "nothing twice");
    let mut versions = BTreeSet::new();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(line["id"], format!("e{number}"), "in order");
        assert_eq!(
            line["first"], line["second"],
            "handled wholly by one version: {line}"
        );
        versions.insert(line["first"].as_str().unwrap().to_owned());
    }
    assert_eq!(versions.len(), 11, "{versions:?}");
    let told = log.matches("the old version stays in service").count();
    assert_eq!(told, broken, "one error each:\n{log}");
}

#[test]
fn a_wrong_configuration_holds_up_no_swap() {
    let site = Site::new(CONFIG);
    site.replace("stamp.wasm", &version(0));
    let mut weir = site.start();
    weir.wait_for_log("running");
    site.configure(&CONFIG.replace("subscribe", "subscrib"));
    weir.wait_for_log("the configuration stays as it was");
    site.replace("stamp.wasm", &version(1));
    weir.wait_for_log("swapped");
    weir.feed([event(0).as_str()]);
    let lines = site.wait_for_lines("all.jsonl", 1);
    assert_eq!(lines[0]["first"], "STAMP-00000001");
}

/// Weir goes on without the file, and would not start again: people should know.
#[test]
fn a_plugin_whose_file_is_gone_is_told_once_and_goes_on() {
    let site = Site::new(CONFIG);
    site.replace("stamp.wasm", &version(0));
    let mut weir = site.start();
    weir.wait_for_log("running");
    fs::remove_file(site.path("stamp.wasm")).unwrap();
    weir.wait_for_log("stamp.wasm is gone");
    weir.feed([event(0).as_str()]);
    site.wait_for_lines("all.jsonl", 1);
    site.replace("stamp.wasm", &version(0));
    weir.wait_for_log("the file is in service");
    let (_, log) = weir.stop();
    assert_eq!(log.matches("is gone").count(), 1, "{log}");
}

#[test]
fn a_pinned_plugin_changes_only_with_its_pin() {
    let site = Site::new(CONFIG);
    site.replace("stamp.wasm", &version(0));
    let inspected = site.call(&["plugin", "inspect", "--json", "stamp.wasm"]);
    let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    let pin = inspected["sha256"].as_str().unwrap();
    let path = "path = \"stamp.wasm\"";
    site.configure(&CONFIG.replace(path, &format!("{path}\nsha256 = \"{pin}\"")));
    let mut weir = site.start();
    weir.wait_for_log("running");
    site.replace("stamp.wasm", &version(1));
    weir.wait_for_log("the configuration pins");
    weir.feed([event(0).as_str()]);
    assert_eq!(
        site.wait_for_lines("all.jsonl", 1)[0]["first"],
        "STAMP-00000000"
    );
}
