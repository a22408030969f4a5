//! A slave at work: with the fewest calls, in any order, through faults.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;
use weir_event::{Action, Kind, RestFrame};
use weir_geoserver::{Object, Scope};
use weir_replication::{Failed, Keep, Memory, Replica, Slave};
use weir_test_geoserver::{GeoServer, Moment};

use crate::changes::{Change as C, group, hint, layer, renamed, workspace};
use crate::ends::node;
use crate::rig::Rig;
use crate::traps::{north, pair};

const NOTHING: [&str; 0] = [];

/// A catalog of some kinds, with groups in groups.
fn catalog() -> Vec<C> {
    let mut changes = north();
    changes.extend([
        C::Style(None, "n1", 1),
        C::Style(Some("wa"), "n2", 1),
        C::Type("wa", "s1", "f2", 2),
        C::Layer("wa", "f1", vec![(Some("wa"), "n2"), (None, "n1")], 1),
        C::Group(
            Some("wa"),
            "g1",
            vec![(Some("wa"), "f1"), (Some("wa"), "f2")],
            1,
        ),
        C::Group(
            None,
            "g2",
            vec![(Some("wa"), "g1"), (Some("wa"), "f1"), (Some("wa"), "g1")],
            1,
        ),
        C::Settings("wa", 1),
        C::Service(Some("wa"), 1),
        C::Template("wa", 1),
        C::Rules(2),
    ]);
    changes
}

fn writes(rig: &Rig) -> Vec<String> {
    let calls = rig.slave.calls();
    let writes = calls.iter().filter(|call| !call.is_read());
    writes
        .map(|call| format!("{} {}", call.method, call.target))
        .collect()
}

#[tokio::test]
async fn what_is_known_costs_no_call_and_what_is_forgotten_no_write() {
    let mut rig = pair(&catalog()).await;
    assert_eq!(rig.walk().await, NOTHING);
    rig.slave.forget_calls();
    assert_eq!(rig.walk().await, NOTHING);
    rig.restart(true);
    assert_eq!(rig.walk().await, NOTHING);
    assert_eq!(rig.slave.calls(), []);
    rig.restart(false);
    assert_eq!(rig.walk().await, NOTHING);
    assert!(!rig.slave.calls().is_empty());
    assert_eq!(writes(&rig), NOTHING);
}

#[tokio::test]
async fn the_order_in_which_frames_come_does_not_matter() {
    let mut rig = Rig::new("", Duration::from_secs(20)).await;
    let mut hints = Vec::new();
    for change in catalog() {
        hints.extend(change.make(&rig.master, &rig.node).await);
    }
    let mut frames = rig.frames(&hints).await;
    frames.reverse();
    assert_eq!(rig.give(&frames).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn what_never_comes_is_not_waited_for_without_end() {
    let mut rig = Rig::patient("").await;
    let mut hints = Vec::new();
    for change in catalog() {
        hints.extend(change.make(&rig.master, &rig.node).await);
    }
    let alone = hint(Action::Modified, Kind::LayerGroup, None, Some("g2"));
    assert_eq!(
        rig.tell(&[alone]).await,
        [
            "layergroup g2: it refers to the layer wa:f1, which the slave lacks, and that did not \
             change within 0 s"
        ]
    );
}

#[tokio::test]
async fn any_answer_may_be_lost_and_any_call_fail() {
    for moment in [None, Some(Moment::Before), Some(Moment::After)] {
        let mut nth = 1;
        loop {
            let mut rig = Rig::new("", Duration::from_secs(20)).await;
            let mut hints = Vec::new();
            for change in north().into_iter().chain([C::Style(Some("wa"), "n2", 1)]) {
                hints.extend(change.make(&rig.master, &rig.node).await);
            }
            rig.tell(&hints).await;
            rig.slave.forget_calls();
            let mut hints = Vec::new();
            for change in [
                C::Layer("wa", "f1", vec![(Some("wa"), "n2")], 1),
                C::RenameType("wa", "f1", "f2"),
                C::RenameStyle(Some("wa"), "n2", "n1"),
                C::Group(Some("wa"), "g1", vec![(Some("wa"), "f2")], 1),
                C::Type("wa", "s1", "f3", 1),
                C::RemoveType("wa", "f3"),
                C::RenameWorkspace("wa", "wb"),
            ] {
                hints.push(change.make(&rig.master, &rig.node).await);
            }
            match moment {
                None => rig.slave.fail(nth, 503),
                Some(moment) => rig.slave.cut(nth, moment),
            }
            // Each is told what it comes to by now.
            for hints in hints {
                assert_eq!(rig.tell(&hints).await, NOTHING);
            }
            let calls = rig.slave.calls().len() as u64;
            assert_eq!(rig.walk().await, NOTHING);
            assert_eq!(rig.differences(), NOTHING, "{moment:?} {nth}");
            if nth > calls {
                break;
            }
            nth += 1;
        }
    }
}

#[tokio::test]
async fn a_slave_that_was_away_gets_what_it_missed() {
    let mut rig = pair(&catalog()).await;
    rig.slave.down();
    let hints = C::Type("wa", "s1", "f1", 2)
        .make(&rig.master, &rig.node)
        .await;
    let frames = rig.frames(&hints).await;
    let given: Vec<_> = frames.iter().collect();
    let (again, refused) = rig.give_once(&given).await;
    assert_eq!((again.len(), refused), (frames.len(), Vec::new()));
    rig.slave.up();
    assert_eq!(rig.give(&frames).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn what_is_renamed_keeps_all_that_refers_to_it() {
    let mut rig = pair(&catalog()).await;
    rig.slave.forget_calls();
    rig.make(&[
        C::RenameType("wa", "f1", "f3"),
        C::RenameStyle(Some("wa"), "n2", "n1"),
        C::RenameStore("wa", "s1", "s2"),
        C::RenameWorkspace("wa", "wb"),
    ])
    .await;
    assert_eq!(rig.differences(), NOTHING);
    let writes = writes(&rig);
    let made: Vec<&String> = writes.iter().filter(|it| !it.starts_with("PUT ")).collect();
    assert_eq!(made, NOTHING);
}

#[tokio::test]
async fn other_names_given_by_stages_are_renames() {
    let mut rig = pair(&north()).await;
    rig.call_workspaces("eu_");
    assert_eq!(rig.walk().await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn what_is_removed_takes_with_it_what_was_in_it() {
    let mut rig = pair(&catalog()).await;
    rig.make(&[C::RemoveGroup(None, "g2"), C::RemoveStore("wa", "s1")])
        .await;
    assert_eq!(rig.differences(), NOTHING);
    // By one frame.
    let removed = hint(Action::Removed, Kind::Workspace, Some("wa"), None);
    C::RemoveWorkspace("wa").make(&rig.master, &rig.node).await;
    assert_eq!(rig.tell(&[removed]).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
    // And made anew, it is made whole: nothing of it is known any more.
    rig.make(&catalog()).await;
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn a_group_that_lost_a_layer_gets_it_back() {
    let mut rig = pair(&catalog()).await;
    let hints = [
        C::RemoveType("wa", "f2"),
        C::Type("wa", "s1", "f2", 2),
        C::Group(
            Some("wa"),
            "g1",
            vec![(Some("wa"), "f1"), (Some("wa"), "f2")],
            1,
        ),
    ];
    // The second time, the group is told as it was the first time.
    for _ in 0..2 {
        // Told by itself, without what it did to the group, which is as it was by the time that
        // somebody asks.
        let removed = hint(Action::Removed, Kind::FeatureType, Some("wa"), Some("f2"));
        hints[0].make(&rig.master, &rig.node).await;
        rig.tell(&[removed]).await;
        let mut rest = Vec::new();
        for change in &hints[1..] {
            rest.extend(change.make(&rig.master, &rig.node).await);
        }
        assert_eq!(rig.tell(&rest).await, NOTHING);
        assert_eq!(rig.differences(), NOTHING);
    }
    let held = rig.at_slave(&group(Some("wa"), "g1")).await;
    let held = held["layerGroup"]["publishables"]["published"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(held, 2);
}

#[tokio::test]
async fn a_rename_is_done_although_what_became_of_it_is_told_later() {
    let mut rig = pair(&catalog()).await;
    for change in [
        C::RenameType("wa", "f1", "f3"),
        C::RenameType("wa", "f3", "f1"),
    ] {
        change.make(&rig.master, &rig.node).await;
    }
    C::RenameType("wa", "f2", "f3")
        .make(&rig.master, &rig.node)
        .await;
    C::RemoveType("wa", "f3").make(&rig.master, &rig.node).await;
    let hints = [
        renamed(
            Kind::FeatureType,
            (Some("wa"), Some("f3")),
            (Some("wa"), Some("f2")),
        ),
        hint(Action::Removed, Kind::FeatureType, Some("wa"), Some("f3")),
    ];
    assert_eq!(rig.tell(&hints).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
    rig.at_slave(&layer("wa", "f1")).await;
    rig.at_slave(&Object::Settings(Scope::Workspace(workspace("wa"))))
        .await;
}

/// Frames of a workspace and what is in it.
async fn some_frames() -> Vec<RestFrame> {
    let rig = Rig::patient("").await;
    let mut hints = Vec::new();
    for change in north() {
        hints.extend(change.make(&rig.master, &rig.node).await);
    }
    rig.frames(&hints).await
}

/// A disk that is full at first.
#[derive(Clone, Default)]
struct Full(Arc<Mutex<Option<String>>>);

impl Keep for Full {
    fn keep(&mut self, lines: &str) -> io::Result<()> {
        let mut kept = self.0.lock().unwrap();
        if let Some(kept) = &mut *kept {
            kept.push_str(lines);
            return Ok(());
        }
        *kept = Some(String::new());
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[tokio::test]
async fn who_hands_over_more_than_the_window_before_listening_is_not_kept_waiting() {
    let frames = some_frames().await;
    assert!(frames.len() > 4, "{}", frames.len());
    let server = GeoServer::start().await.unwrap();
    let replica = Replica::new(node(&server), Memory::default());
    let disk = Full(Arc::new(Mutex::new(Some(String::new()))));
    let mut slave = Slave::start(replica, Box::new(disk), 1, Duration::from_secs(5));
    let all = async {
        for frame in &frames {
            slave.publish(frame.to_payload()).await;
        }
        for _ in &frames {
            slave.settled().await.result.unwrap();
        }
    };
    timeout(Duration::from_mins(1), all).await.unwrap();
}

#[tokio::test]
async fn what_a_full_disk_did_not_keep_is_kept_before_it_is_confirmed() {
    let frame = some_frames().await.remove(0);
    let server = GeoServer::start().await.unwrap();
    let replica = Replica::new(node(&server), Memory::default());
    let disk = Full::default();
    let kept = Arc::clone(&disk.0);
    let mut slave = Slave::start(replica, Box::new(disk), 1, Duration::from_secs(5));
    slave.publish(frame.to_payload()).await;
    let first = slave.settled().await.result;
    assert!(matches!(first, Err(Failed::Transient(_))), "{first:?}");
    slave.publish(frame.to_payload()).await;
    slave.settled().await.result.unwrap();
    assert_ne!(kept.lock().unwrap().as_deref(), Some(""));
}
