//! The embedded bus on a disk that is full for a time, which is a small one of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use weir_bus::{Address, Bus, Consumer, PublishError, Publisher, State};
use weir_event::Message;

use crate::support::{assert_quiet, attach, message, take, within};

/// Large enough for the store and some hundred messages.
const SIZE: &str = "size=24m";

/// A disk that holds nothing else; gone with the value.
struct Disk(TempDir);

impl Disk {
    /// `None`, and says so, where there can be none.
    #[expect(
        clippy::print_stderr,
        reason = "who runs the tests is to know what was left out"
    )]
    fn new() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "weir-test"])
            .arg(directory.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(directory)),
            other => {
                eprintln!("skipped: only root can mount a disk to fill: {other:?}");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    async fn bus(&self) -> Bus {
        let address = Address::Embedded(self.0.path().join("bus"));
        within("opening the bus", Bus::open(&address))
            .await
            .unwrap()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, since a test that failed may have the store open.
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

fn large(number: u32) -> Message {
    Message {
        payload: vec![b'x'; 64 << 10].into(),
        ..message("topp.layer.added", number)
    }
}

async fn publish(publisher: &mut Publisher, number: u32) -> Result<(), PublishError> {
    publisher.publish(large(number)).await;
    within("a confirm", publisher.confirmed()).await.result
}

/// Publishes one after the other, from this number on, until the disk is full; gives those that
/// were confirmed, and the number that was not.
async fn publish_until_full(publisher: &mut Publisher, first: u32) -> (Vec<u32>, u32) {
    let mut confirmed = Vec::new();
    for number in first.. {
        match publish(publisher, number).await {
            Ok(()) => confirmed.push(number),
            Err(PublishError::Unavailable(reason)) => {
                assert!(reason.contains("No space left"), "{reason}");
                return (confirmed, number);
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("the numbers are more than fit")
}

/// Takes messages up to this one, without the filler; `maybe` came or did not, once.
async fn take_through(consumer: &mut Consumer, last: u32, maybe: &[u32]) -> (Vec<u32>, u64) {
    let mut taken = Vec::new();
    loop {
        let next = take(consumer).await;
        let number: u32 = next.id().parse().unwrap();
        assert!(
            !taken.contains(&number),
            "{number} came twice after {taken:?}"
        );
        if !maybe.contains(&number) {
            taken.push(number);
        }
        if number == last {
            return (taken, next.tag);
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_a_pause() {
    let Some(disk) = Disk::new() else { return };
    let bus = disk.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let (mut publisher, mut consumer) = (bus.publisher(), bus.slave("eu", 1000));
    for number in 1..=5 {
        publish(&mut publisher, number).await.unwrap();
    }
    let (_, fifth) = take_through(&mut consumer, 5, &[]).await;

    let (mut first, mut failed) = (6, Vec::new());
    let mut expected = Vec::new();
    // More than once, since whatever mends it must not work only the first time.
    for round in 0..3 {
        disk.fill();
        let (confirmed, full) = publish_until_full(&mut publisher, first).await;
        expected.extend(confirmed);
        failed.push(full);
        assert!(matches!(bus.state(), State::Disconnected { .. }));
        if round == 0 {
            // Nobody says this again.
            consumer.accept_through(fifth).await.unwrap();
        }
        disk.free();
        first = full + 1;
        let recovered = async {
            while publish(&mut publisher, first).await.is_err() {
                failed.push(first);
                first += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("room again", recovered).await;
        expected.push(first);
        assert_eq!(bus.state(), State::Connected);
        first += 1;
    }
    let last = first - 1;
    // The consumer that was there all the time goes on.
    let (taken, _) = take_through(&mut consumer, last, &failed).await;
    assert_eq!(taken, expected, "without {failed:?}");
    assert_quiet(&mut consumer).await;

    // And so it lies on the disk.
    drop((publisher, consumer, bus));
    let bus = disk.bus().await;
    let mut consumer = bus.slave("eu", 1000);
    let (taken, tag) = take_through(&mut consumer, last, &failed).await;
    assert_eq!(taken, expected, "without {failed:?}");
    consumer.accept_through(tag).await.unwrap();
    assert_quiet(&mut consumer).await;
}
