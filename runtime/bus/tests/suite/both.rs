//! The promises of the bus; each test runs on the embedded bus and on RabbitMQ.

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_bus::{BusError, Topology};
use weir_event::{HeaderValue, Message, Properties};

use crate::support::{
    Fixture, assert_quiet, attach, ids, message, publish, publish_all, slaves, subscriptions, take,
    take_ids, within,
};

/// Makes two tests of each promise.
macro_rules! on_both {
    ($($promise:ident,)*) => {
        mod embedded {
            use super::Fixture;
            $(#[tokio::test] async fn $promise() { super::$promise(Fixture::embedded()).await; })*
        }
        mod rabbitmq {
            use super::Fixture;
            $(#[tokio::test] async fn $promise() {
                if let Some(fixture) = Fixture::rabbitmq() { super::$promise(fixture).await; }
            })*
        }
    };
}

on_both! {
    messages_come_in_order,
    no_more_than_the_prefetch_is_unsettled,
    what_is_accepted_does_not_come_again,
    what_is_not_accepted_comes_again_in_order,
    accepting_a_void_tag_does_nothing,
    one_consumer_of_a_queue_is_active,
    subscriptions_choose,
    two_subscriptions_that_match_give_one_copy,
    what_is_not_wanted_any_more_is_not_queued_and_what_is_queued_stays,
    what_another_process_left_bound_is_unbound,
    further_keys_reach_their_slaves_and_nobody_twice,
    slaves_are_independent,
    a_queue_that_is_not_attached_is_an_error,
    dead_letters_keep_bytes_properties_and_headers,
    nothing_that_its_sender_said_hinders_a_dead_letter,
    what_comes_back_often_is_counted_and_stays,
    a_large_message_arrives_whole,
    confirms_come_in_order_of_the_tickets,
    what_nobody_subscribes_to_is_confirmed,
    declaring_and_attaching_twice_changes_nothing,
    preflight_finds_nothing_wrong_with_our_own,
}

async fn messages_come_in_order(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=500).await;
    let mut consumer = bus.slave("eu", 1000);
    let (taken, _) = take_ids(&mut consumer, 500).await;
    assert_eq!(taken, ids(1..=500));
}

async fn no_more_than_the_prefetch_is_unsettled(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=30).await;
    let mut consumer = bus.slave("eu", 7);
    let mut tags = Vec::new();
    for _ in 0..7 {
        tags.push(take(&mut consumer).await.tag);
    }
    assert_quiet(&mut consumer).await;
    consumer.accept_through(tags[2]).await.unwrap();
    let (taken, _) = take_ids(&mut consumer, 3).await;
    assert_eq!(taken, ids(8..=10));
    assert_quiet(&mut consumer).await;
}

async fn what_is_accepted_does_not_come_again(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=10).await;
    let mut consumer = bus.slave("eu", 10);
    let (_, tag) = take_ids(&mut consumer, 6).await;
    consumer.accept_through(tag).await.unwrap();
    consumer.close().await;
    drop(bus);

    let mut consumer = fixture.bus().await.slave("eu", 10);
    let (taken, _) = take_ids(&mut consumer, 4).await;
    assert_eq!(taken, ids(7..=10));
    assert_quiet(&mut consumer).await;
}

async fn what_is_not_accepted_comes_again_in_order(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=5).await;
    let mut consumer = bus.slave("eu", 3);
    let first = take(&mut consumer).await;
    assert!(!first.redelivered);
    take_ids(&mut consumer, 2).await;
    consumer.accept_through(first.tag).await.unwrap();
    // The broker settles in order: once the fourth comes, the first is accepted.
    take(&mut consumer).await;
    drop(consumer);

    let mut consumer = bus.slave("eu", 10);
    let mut seen = Vec::new();
    for _ in 2..=5 {
        let taken = take(&mut consumer).await;
        seen.push((taken.id().to_owned(), taken.redelivered));
    }
    let expected = [("2", true), ("3", true), ("4", true), ("5", false)];
    assert_eq!(
        seen,
        expected.map(|(id, redelivered)| (id.to_owned(), redelivered))
    );
}

async fn accepting_a_void_tag_does_nothing(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=4).await;
    let mut consumer = bus.slave("eu", 2);
    let (_, tag) = take_ids(&mut consumer, 2).await;
    consumer.accept_through(tag).await.unwrap();
    consumer.accept_through(tag).await.unwrap();
    consumer.accept_through(tag - 1).await.unwrap();
    consumer.accept_through(tag + 100).await.unwrap();
    let (taken, _) = take_ids(&mut consumer, 2).await;
    assert_eq!(taken, ids(3..=4), "the consumer goes on");
    drop(consumer);
    let (taken, _) = take_ids(&mut bus.slave("eu", 2), 2).await;
    assert_eq!(taken, ids(3..=4), "and nothing more was accepted");
}

async fn one_consumer_of_a_queue_is_active(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=4).await;
    let mut active = bus.slave("eu", 1);
    take(&mut active).await;
    let mut waiting = bus.slave("eu", 1);
    assert_quiet(&mut waiting).await;
    active.close().await;
    assert_eq!(take(&mut waiting).await.id(), "1");
}

async fn subscriptions_choose(fixture: Fixture) {
    let bus = fixture.bus().await;
    let keys = [
        "topp.layer.added",
        "topp.style.modified",
        "_global.style.modified",
        "_global.style.removed",
        "a~20b.layer.added",
        "topp",
    ];
    let patterns: [(&str, &[&str]); 8] = [
        ("all", &["#"]),
        ("topp", &["topp.#"]),
        ("styles", &["*.style.*"]),
        ("added", &["#.added"]),
        ("middle", &["#.layer.#"]),
        ("escaped", &["a~20b.*.*"]),
        ("some", &["_global.style.removed", "topp"]),
        ("hashes", &["#.#.style.#"]),
    ];
    attach(&bus, &patterns).await;
    let mut publisher = bus.publisher();
    for key in keys {
        publisher.publish(message(key, key)).await;
    }
    for _ in keys {
        within("a confirm", publisher.confirmed())
            .await
            .result
            .unwrap();
    }
    for (slave, patterns) in patterns {
        let patterns = subscriptions(patterns);
        let expected: Vec<&str> = keys
            .into_iter()
            .filter(|key| patterns.iter().any(|pattern| pattern.matches(key)))
            .collect();
        let (taken, _) = take_ids(&mut bus.slave(slave, 10), expected.len()).await;
        assert_eq!(taken, expected, "{slave}");
    }
}

async fn two_subscriptions_that_match_give_one_copy(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#", "#.added"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=2).await;
    let (taken, _) = take_ids(&mut bus.slave("eu", 10), 2).await;
    assert_eq!(taken, ids(1..=2));
}

async fn what_is_not_wanted_any_more_is_not_queued_and_what_is_queued_stays(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#", "_global.#"])]).await;
    let mut publisher = bus.publisher();
    publish(&mut publisher, "topp.layer.added", 1..=1).await;
    attach(&bus, &[("eu", &["_global.#"])]).await;
    publish(&mut publisher, "topp.layer.added", 2..=2).await;
    publish(&mut publisher, "_global.style.added", 3..=3).await;
    attach(&bus, &[]).await;
    publish(&mut publisher, "_global.style.added", 4..=4).await;
    attach(&bus, &[("eu", &["topp.#"])]).await;
    publish(&mut publisher, "topp.layer.added", 5..=5).await;
    let (taken, _) = take_ids(&mut bus.slave("eu", 10), 3).await;
    assert_eq!(taken, ids([1, 3, 5]));
}

async fn what_another_process_left_bound_is_unbound(fixture: Fixture) {
    let bus = fixture.bus().await;
    let before = [("eu", &["topp.#", "_global.#"][..]), ("gone", &["#"])];
    attach(&bus, &before).await;
    drop(bus);
    let bus = fixture.bus().await;
    let topology = Topology {
        slaves: slaves(&[("eu", &["topp.#"])]),
        earlier: slaves(&before),
    };
    within("maintaining", bus.maintain(&topology))
        .await
        .unwrap();
    let mut publisher = bus.publisher();
    publish(&mut publisher, "_global.style.added", 1..=1).await;
    publish(&mut publisher, "topp.layer.added", 2..=2).await;
    assert_eq!(take(&mut bus.slave("eu", 10)).await.id(), "2");
    assert_quiet(&mut bus.slave("gone", 10)).await;
}

async fn further_keys_reach_their_slaves_and_nobody_twice(fixture: Fixture) {
    let bus = fixture.bus().await;
    let wanted: [(&str, &[&str]); 4] = [
        ("old", &["topp.#"]),
        ("new", &["sf.#"]),
        ("both", &["topp.#", "sf.*.*"]),
        ("other", &["_global.#"]),
    ];
    attach(&bus, &wanted).await;
    let moved = Message {
        also_to: vec!["topp.layer.modified".to_owned()],
        ..message("sf.layer.modified", "moved")
    };
    let mut publisher = bus.publisher();
    publisher.publish(moved.clone()).await;
    let confirmed = within("a confirm", publisher.confirmed()).await;
    assert_eq!(confirmed.result, Ok(()));
    for slave in ["old", "new", "both"] {
        let mut consumer = bus.slave(slave, 10);
        assert_eq!(take(&mut consumer).await.message, moved, "{slave}");
        assert_quiet(&mut consumer).await;
    }
    assert_quiet(&mut bus.slave("other", 10)).await;
}

async fn slaves_are_independent(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"]), ("us", &["#"])]).await;
    let mut stuck = bus.slave("us", 1);
    publish(&mut bus.publisher(), "topp.layer.added", 1..=50).await;
    take(&mut stuck).await;
    let mut consumer = bus.slave("eu", 5);
    for number in 1..=50 {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), number.to_string());
        consumer.accept_through(taken.tag).await.unwrap();
    }
}

async fn a_queue_that_is_not_attached_is_an_error(fixture: Fixture) {
    let bus = fixture.bus().await;
    let mut consumer = bus.slave("eu", 1);
    let error = within("an error", consumer.next()).await.unwrap_err();
    assert!(
        matches!(&error, BusError::Missing(what) if what.contains("weir.slave.eu")),
        "{error}"
    );
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=1).await;
    assert_eq!(
        take(&mut consumer).await.id(),
        "1",
        "to call again is to try again"
    );
}

async fn dead_letters_keep_bytes_properties_and_headers(fixture: Fixture) {
    let bus = fixture.bus().await;
    let table = BTreeMap::from([("inner".to_owned(), HeaderValue::Bool(false))]);
    let headers = [
        ("ce-id", HeaderValue::from("e-1")),
        ("null", HeaderValue::Null),
        ("yes", HeaderValue::Bool(true)),
        ("integer", HeaderValue::Integer(i64::MIN)),
        ("double", HeaderValue::Double(-0.5)),
        (
            "bytes",
            HeaderValue::Bytes(Bytes::from_static(&[0, 159, 146, 150])),
        ),
        ("timestamp", HeaderValue::Timestamp(1_787_000_000)),
        (
            "list",
            HeaderValue::List(vec![HeaderValue::Integer(1), HeaderValue::from("søk")]),
        ),
        ("table", HeaderValue::Table(table)),
    ];
    let letter = Message {
        routing_key: "topp.layer.added".to_owned(),
        also_to: vec!["sf.layer.added".to_owned()],
        message_id: Some("e-1".to_owned()),
        content_type: Some("application/cloudevents+json".to_owned()),
        properties: Properties {
            content_encoding: Some("gzip".to_owned()),
            priority: Some(3),
            correlation_id: Some("c-1".to_owned()),
            reply_to: Some("answers".to_owned()),
            timestamp: Some(1_787_000_000),
            kind: Some("catalog".to_owned()),
            app_id: Some("geoserver".to_owned()),
            ..Properties::default()
        },
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        payload: Bytes::from_static(b"\0not { json \xff"),
    };
    let mut dead = bus.dead();
    dead.publish(letter.clone()).await;
    within("a confirm", dead.confirmed()).await.result.unwrap();
    assert_eq!(take(&mut bus.dead_letters(1)).await.message, letter);
}

async fn nothing_that_its_sender_said_hinders_a_dead_letter(fixture: Fixture) {
    let bus = fixture.bus().await;
    let letter = Message {
        properties: Properties {
            expiration: Some("1".to_owned()),
            user_id: Some("somebody".to_owned()),
            reply_to: Some("amq.rabbitmq.reply-to".to_owned()),
            ..Properties::default()
        },
        headers: BTreeMap::from([("CC".to_owned(), HeaderValue::from("not a list"))]),
        ..message("topp.layer.added", 1)
    };
    publish_all(&mut bus.dead(), [letter]).await;
    // What comes later would overtake it, had it expired.
    publish(&mut bus.dead(), "topp.layer.added", 2..=2).await;
    let taken = take(&mut bus.dead_letters(1)).await;
    assert_eq!(taken.id(), "1");
    assert_eq!(taken.message.properties, Properties::default());
    for (name, value) in [
        ("weir-expiration", "1"),
        ("weir-user-id", "somebody"),
        ("weir-reply-to", "amq.rabbitmq.reply-to"),
    ] {
        assert_eq!(taken.message.header(name), Some(value), "{name}");
    }
}

async fn what_comes_back_often_is_counted_and_stays(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=1).await;
    for count in 0..60 {
        let mut consumer = bus.slave("eu", 1);
        let taken = take(&mut consumer).await;
        assert_eq!((taken.id(), taken.delivery_count), ("1", count));
        assert_eq!(taken.redelivered, count > 0);
        drop(consumer);
    }
    assert_quiet(&mut bus.dead_letters(1)).await;
}

async fn a_large_message_arrives_whole(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let payload: Bytes = (0..1 << 20).map(|n: u32| n.to_le_bytes()[0]).collect();
    let mut publisher = bus.publisher();
    publisher
        .publish(Message {
            payload: payload.clone(),
            ..message("topp.layer.added", 1)
        })
        .await;
    within("a confirm", publisher.confirmed())
        .await
        .result
        .unwrap();
    assert_eq!(take(&mut bus.slave("eu", 1)).await.message.payload, payload);
}

async fn confirms_come_in_order_of_the_tickets(fixture: Fixture) {
    let bus = fixture.bus().await;
    let mut publisher = bus.publisher();
    // More than may be unconfirmed, and nobody takes a confirmation meanwhile.
    for number in 1..=2500_u64 {
        assert_eq!(
            publisher.publish(message("topp.layer.added", number)).await,
            number
        );
    }
    for number in 1..=2500_u64 {
        let confirmation = within("a confirm", publisher.confirmed()).await;
        assert_eq!((confirmation.ticket, confirmation.result), (number, Ok(())));
    }
}

async fn what_nobody_subscribes_to_is_confirmed(fixture: Fixture) {
    publish(
        &mut fixture.bus().await.publisher(),
        "topp.layer.added",
        1..=1,
    )
    .await;
}

async fn declaring_and_attaching_twice_changes_nothing(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=1).await;
    drop(bus);
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 2..=2).await;
    let (taken, _) = take_ids(&mut bus.slave("eu", 10), 2).await;
    assert_eq!(taken, ids(1..=2));
}

async fn preflight_finds_nothing_wrong_with_our_own(fixture: Fixture) {
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#"])]).await;
    assert_eq!(
        within("preflight", bus.preflight(&["eu", "us"])).await,
        Ok(Vec::new())
    );
    let mut us = bus.slave("us", 1);
    let missing = within("an error", us.next()).await;
    assert!(
        matches!(missing, Err(BusError::Missing(_))),
        "preflight declares nothing"
    );
}
