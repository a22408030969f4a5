//! The way of an event from one GeoServer Cloud to another: read, named, sent over the bus in the
//! canonical dialect, changed, and written as a frame again.

use weir_event::{Action, Decoded, Dialect, Event, Index};

use crate::{SOURCE, decode, fixture, golden, message, notifications, text};

const FRAMES: [&str; 2] = [
    "geoserver-cloud-frames.jsonl",
    "geoserver-cloud-every-frame.jsonl",
];

/// Takes a frame through the whole chain; `None` if it is no event.
fn relay(frame: &str, index: &mut Index, change: impl Fn(&mut Event)) -> Option<String> {
    let cloud = Dialect::GeoServerCloud;
    let Ok(Decoded::Event(mut event, document)) = cloud.decode(&message(frame), SOURCE) else {
        return None;
    };
    index.resolve(&mut event);
    index.learn(&event);
    let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
    let (mut received, document) = decode(Dialect::CloudEvents, &sent);
    assert_eq!(received, *event, "the bus carries all of {frame}");
    change(&mut received);
    Some(text(&cloud.encode(&received, document).unwrap()).to_owned())
}

#[test]
fn a_frame_that_nobody_changed_leaves_as_it_came() {
    for name in FRAMES {
        let mut index = Index::default();
        for frame in fixture(name).lines() {
            if let Some(left) = relay(frame, &mut index, |_| ()) {
                assert_eq!(left, frame);
            }
        }
    }
}

/// What the plugin that remaps workspaces does.
fn remap(event: &mut Event) {
    let targets = event
        .references
        .iter_mut()
        .map(|reference| &mut reference.target);
    for object in std::iter::once(&mut event.subject)
        .chain(&mut event.previous)
        .chain(targets)
    {
        if let Some(workspace @ ("topp" | "harbour" | "port")) = object.workspace.as_deref() {
            object.workspace = Some(format!("{workspace}_eu"));
        }
    }
    for property in &mut event.properties {
        if property.name == "uri" || property.name == "connectionParameters.namespace" {
            property.value.push_str("_eu");
        }
    }
}

#[test]
fn remapped_frames_are_as_recorded() {
    for name in FRAMES {
        let mut index = Index::default();
        let fixture = fixture(name);
        let left: Vec<_> = fixture
            .lines()
            .filter_map(|frame| relay(frame, &mut index, remap))
            .collect();
        golden(&format!("remapped-{name}"), &left);
    }
}

#[test]
fn canonical_events_are_as_recorded() {
    let mut index = Index::default();
    let mut canonical = Vec::new();
    for frame in fixture(FRAMES[0]).lines() {
        if let Ok(Decoded::Event(mut event, document)) =
            Dialect::GeoServerCloud.decode(&message(frame), SOURCE)
        {
            index.resolve(&mut event);
            index.learn(&event);
            let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
            canonical.push(text(&sent).to_owned());
        }
    }
    for (_, notification) in notifications() {
        let (event, document) = decode(Dialect::GeoNode, &message(notification));
        canonical.push(text(&Dialect::CloudEvents.encode(&event, document).unwrap()).to_owned());
    }
    golden("canonical.jsonl", &canonical);
}

#[test]
fn notifications_cross_the_bus_and_come_back() {
    for (title, notification) in notifications() {
        let (event, document) = decode(Dialect::GeoNode, &message(notification.as_str()));
        let same = Dialect::GeoNode.encode(&event, document.clone()).unwrap();
        assert_eq!(text(&same), notification);

        let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
        let (received, document) = decode(Dialect::CloudEvents, &sent);
        assert_eq!(received, event, "{title}");
        let back = Dialect::GeoNode.encode(&received, document).unwrap();
        let (again, _) = decode(Dialect::GeoNode, &back);
        assert_eq!(
            again,
            Event {
                source: SOURCE.to_owned(),
                ..event
            },
            "{title}"
        );
    }
}

#[test]
fn a_notification_becomes_a_frame_if_that_needs_no_object() {
    for (title, notification) in notifications() {
        let (mut event, document) = decode(Dialect::GeoNode, &message(notification));
        // What comes from a Weir is an echo.
        event.set_attribute("originservice", "geonode:1");
        let frame = Dialect::GeoServerCloud.encode(&event, document);
        if event.action != Action::Removed {
            let error = frame.unwrap_err().to_string();
            assert!(
                error.contains("geoserver-cloud cannot say"),
                "{title}: {error}"
            );
            continue;
        }
        let (read, _) = decode(Dialect::GeoServerCloud, &frame.unwrap());
        assert_eq!(read.subject, event.subject);
        assert_eq!(read.action, event.action);
        assert_eq!(read.time, event.time);
        assert_eq!(read.id, event.id);
    }
}
