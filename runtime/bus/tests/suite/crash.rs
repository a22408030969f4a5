//! The embedded bus and the death of its process.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use weir_bus::{Address, Bus, BusError};

use crate::support::{Fixture, attach, message, take};

/// Tells a test that it is the child, and where the store is.
const STORE: &str = "WEIR_TEST_CRASH_STORE";

#[tokio::test]
async fn what_was_confirmed_survives_a_kill() {
    let store = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::publishes_until_it_is_killed",
            "--nocapture",
        ])
        .env(STORE, store.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut confirmed = 0;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // What the child said before it died counts, too.
    for line in lines.map_while(Result::ok) {
        if let Some(ticket) = line.strip_prefix("confirmed ") {
            confirmed = ticket.parse().unwrap();
            if confirmed == 300 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(confirmed >= 300, "the child ended by itself");

    let bus = Bus::open(&Address::Embedded(store.path().to_owned()))
        .await
        .unwrap();
    let mut consumer = bus.slave("eu", 100);
    for number in 1..=confirmed {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), number.to_string());
        consumer.accept_through(taken.tag).await.unwrap();
    }
}

/// The child of the test above; by itself it has nothing to show.
#[tokio::test]
async fn publishes_until_it_is_killed() {
    let Some(store) = std::env::var_os(STORE) else {
        return;
    };
    let bus = Bus::open(&Address::Embedded(PathBuf::from(store)))
        .await
        .unwrap();
    attach(&bus, &[("eu", &["#"])]).await;
    let mut publisher = bus.publisher();
    for number in 1.. {
        publisher.publish(message("topp.layer.added", number)).await;
        // A few at a time, so that commits of several are cut off as well.
        if number % 5 == 0 {
            for _ in 0..5 {
                let confirmation = publisher.confirmed().await;
                confirmation.result.unwrap();
                println!("confirmed {}", confirmation.ticket);
            }
        }
    }
}

#[tokio::test]
async fn a_store_has_one_owner() {
    let fixture = Fixture::embedded();
    let bus = fixture.bus().await;
    let error = Bus::open(&fixture.address).await.unwrap_err();
    assert!(matches!(error, BusError::InUse { .. }), "{error}");
    let owner = format!("process {}", std::process::id());
    assert!(error.to_string().contains(&owner), "{error}");
    drop(bus);
    fixture.bus().await;
}
