//! Whatever a hint says, it comes to frames, or to a reason.

use proptest::prelude::*;
use weir_event::{
    Action, Decoded, Dialect, Event, Kind, Message, Object, Pair, Reference, RestFrame,
};
use weir_replication::Master;

use crate::server::Server;
use crate::world::World;
use crate::{hint, master};

fn object() -> impl Strategy<Value = Object> {
    let text = || {
        prop::option::of(prop_oneof![
            "[a-z]{1,4}",
            "[a-z./:%\\\\ ]{0,6}",
            any::<String>()
        ])
    };
    let kind = prop::sample::select(Kind::KNOWN);
    (kind, text(), text(), text()).prop_map(|(kind, workspace, name, id)| Object {
        kind,
        workspace,
        name,
        id,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let action = prop::sample::select(Action::KNOWN);
    let previous = prop::option::of(object());
    let store = prop::option::of(object());
    (action, object(), previous, store, "[ -~]{0,255}", ".{0,9}").prop_map(
        |(action, subject, previous, store, id, property)| Event {
            id,
            previous,
            references: store
                .into_iter()
                .map(|target| Reference {
                    role: "store".to_owned(),
                    target,
                })
                .collect(),
            properties: vec![Pair::new("password", property.clone())],
            attributes: vec![Pair::new("authtype", "user"), Pair::new("authid", property)],
            ..hint(action, subject)
        },
    )
}

fn frames_can_be_read(frames: &[RestFrame]) {
    for frame in frames {
        let payload = frame.to_payload();
        assert_eq!(RestFrame::read(&payload).unwrap(), *frame);
        let message = Message {
            payload,
            ..Message::default()
        };
        let decoded = Dialect::GeoServerRest.decode(&message, "/masters/test");
        assert!(matches!(decoded, Ok(Decoded::Event(..))), "{decoded:?}");
    }
}

/// Hydrates many hints of a master.
fn try_with(start: impl Future<Output = Server>, check: fn(&[RestFrame])) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(start);
    let master: Master = master(&server.url);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&event(), |event| {
            if let Ok(frames) = runtime.block_on(master.hydrate(&event)) {
                check(&frames);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn of_a_master_that_has_nothing() {
    try_with(async { World::empty().serve().await.0 }, frames_can_be_read);
}

/// Whether a body is one of its kind is looked at where frames are read.
#[test]
fn of_a_master_that_says_anything() {
    let says = r#"{"x": {"store": 3, "password": "crypt1:x", "filename": "../x"}}"#;
    let start = Server::start(|_| crate::server::json(says));
    try_with(start, |frames| assert_ne!(frames, []));
}
