//! What only a broker can do to us.

use std::time::Duration;

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use weir_bus::{
    AmqpUrl, Bus, BusError, BusSettings, Confirmation, Consumer, PublishError, Publisher, Received,
    State, Topology,
};
use weir_event::Message;

use crate::proxy::Proxy;
use crate::support::{
    Fixture, amqp, assert_quiet, attach, channel, ids, message, publish, publish_one, rabbitmqctl,
    slaves, take, take_ids, vhost_of, within,
};

/// The next thing that a consumer has, as an id; `None` for a restart.
async fn next(consumer: &mut Consumer) -> Option<(u64, String)> {
    match within("a delivery", consumer.next()).await.unwrap() {
        Received::Delivery { tag, message, .. } => Some((tag, message.message_id.unwrap())),
        Received::Restarted => None,
    }
}

#[tokio::test]
async fn a_cut_connection_voids_what_is_unsettled_and_loses_nothing() {
    let Some(proxy) = Proxy::new().await else {
        return;
    };
    let bus = proxy.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=40).await;
    let mut consumer = bus.slave("eu", 7);
    let (_, accepted) = take_ids(&mut consumer, 3).await;
    consumer.accept_through(accepted).await.unwrap();
    // Once the tenth is here, the broker has seen that the first three are accepted.
    let (_, void) = take_ids(&mut consumer, 7).await;

    proxy.cut();
    assert_eq!(next(&mut consumer).await, None, "restarted, once");
    let (tag, id) = next(&mut consumer).await.unwrap();
    assert_eq!(id, "4", "in order, from the first that was not accepted");
    assert!(tag > void, "tags grow across connections");
    consumer.accept_through(void).await.unwrap();

    let (taken, last) = take_ids(&mut consumer, 6).await;
    assert_eq!(taken, ids(5..=10));
    assert_quiet(&mut consumer).await;
    let listed = rabbitmqctl(&["-q", "list_consumers", "-p", &proxy.vhost, "prefetch_count"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(
        listed.lines().last(),
        Some("7"),
        "the prefetch is set again: {listed}"
    );

    consumer.accept_through(last).await.unwrap();
    for number in 11..=40 {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), number.to_string());
        consumer.accept_through(taken.tag).await.unwrap();
    }
}

#[tokio::test]
async fn every_ticket_is_answered_across_cuts_and_what_is_confirmed_is_there() {
    let Some(proxy) = Proxy::new().await else {
        return;
    };
    let bus = proxy.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let mut publisher = bus.publisher();
    let mut confirmed = Vec::new();
    for number in 1..=3000_u64 {
        if number % 1000 == 500 {
            proxy.cut();
        }
        publisher.publish(message("topp.layer.added", number)).await;
    }
    for number in 1..=3000_u64 {
        let Confirmation { ticket, result } = within("a confirm", publisher.confirmed()).await;
        assert_eq!(ticket, number);
        match result {
            Ok(()) => confirmed.push(number),
            Err(error) => assert!(matches!(error, PublishError::Unavailable(_)), "{error}"),
        }
    }
    assert!(confirmed.len() < 3000, "the cuts hit something");
    // The last one says that all is there that will be.
    while publish_one(&mut publisher, message("topp.layer.added", "last"))
        .await
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut consumer = bus.slave("eu", 1000);
    let mut there = Vec::new();
    loop {
        let Some((tag, id)) = next(&mut consumer).await else {
            continue;
        };
        consumer.accept_through(tag).await.unwrap();
        if id == "last" {
            break;
        }
        there.push(id.parse::<u64>().unwrap());
    }
    assert!(there.is_sorted(), "order is kept");
    let lost: Vec<_> = confirmed
        .iter()
        .filter(|number| !there.contains(number))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_by_all_but_publishers() {
    let Some(proxy) = Proxy::new().await else {
        return;
    };
    proxy.close();
    let bus = proxy.bus().await;
    let error = publish_one(&mut bus.publisher(), message("topp.layer.added", 1)).await;
    assert!(
        matches!(error, Err(PublishError::Unavailable(_))),
        "{error:?}"
    );
    assert!(matches!(bus.state(), State::Disconnected { .. }));
    assert!(matches!(
        bus.preflight(&[]).await,
        Err(BusError::Unavailable(_))
    ));

    let declaring = tokio::spawn({
        let bus = bus.clone();
        async move { bus.maintain(&Topology::default()).await }
    });
    proxy.open();
    within("declaring", declaring).await.unwrap().unwrap();
    // Publishing has a connection of its own.
    while bus.state() != State::Connected {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publish(&mut bus.publisher(), "topp.layer.added", 1..=1).await;
}

/// A consumer whose queue takes the key `routable` of an exchange.
async fn bound(url: &AmqpUrl, exchange: &str, publisher: &mut Publisher) -> Consumer {
    let (settings, keys) = (BusSettings::default(), ["routable".to_owned()]);
    let mut consumer = Bus::foreign(url, &settings, "other", exchange, &keys, 1000);
    // The publisher declares the exchange.
    let declared = publish_one(publisher, message("unroutable", "first")).await;
    assert_eq!(
        declared,
        Err(PublishError::Unroutable("unroutable".to_owned()))
    );
    let binding = async {
        while publish_one(publisher, message("routable", "probe"))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (first, ()) = tokio::join!(take(&mut consumer), binding);
    assert_eq!(first.id(), "probe");
    consumer.accept_through(first.tag).await.unwrap();
    consumer
}

#[tokio::test]
async fn unroutable_messages_are_told_from_their_neighbours() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let url = amqp(&fixture.address);
    let mut publisher = Bus::foreign_publisher(url, "elsewhere", true);
    let mut consumer = bound(url, "elsewhere", &mut publisher).await;
    let unroutable = |number: u64| number.is_multiple_of(3);
    let sent = 4000;
    let first = publisher.publish(message("routable", 1)).await;
    for number in 2..=sent {
        let key = if unroutable(number) {
            "unroutable"
        } else {
            "routable"
        };
        publisher.publish(message(key, number)).await;
    }
    for number in 1..=sent {
        let Confirmation { ticket, result } = within("a confirm", publisher.confirmed()).await;
        assert_eq!(ticket - first + 1, number);
        let expected = if unroutable(number) {
            Err(PublishError::Unroutable("unroutable".to_owned()))
        } else {
            Ok(())
        };
        assert_eq!(result, expected, "message {number}");
    }
    for number in (1..=sent).filter(|number| !unroutable(*number)) {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), number.to_string());
        consumer.accept_through(taken.tag).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_without_an_id_is_known_when_it_is_returned() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let mut publisher = Bus::foreign_publisher(amqp(&fixture.address), "elsewhere", true);
    let nameless = Message {
        message_id: None,
        ..message("nowhere", 1)
    };
    let result = publish_one(&mut publisher, nameless).await;
    assert_eq!(result, Err(PublishError::Unroutable("nowhere".to_owned())));
}

#[tokio::test]
async fn a_master_that_is_not_there_yet_is_named_and_waited_for() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let url = amqp(&fixture.address);
    let (settings, keys) = (BusSettings::default(), ["#".to_owned()]);
    let mut consumer = Bus::foreign(url, &settings, "cloud", "geoserver", &keys, 10);
    let error = within("an error", consumer.next()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the exchange geoserver does not exist on the broker"
    );

    // An exchange of another type than Weir would choose is taken as it is.
    let channel = channel(&fixture).await;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let fanout = ExchangeKind::Fanout;
    channel
        .exchange_declare("geoserver".into(), fanout, durable, FieldTable::default())
        .await
        .unwrap();
    let mut publisher = Bus::foreign_publisher(url, "geoserver", true);
    let sending = async {
        while publish_one(&mut publisher, message("any", "e-1"))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let receiving = async {
        loop {
            match within("a delivery", consumer.next()).await {
                Ok(Received::Delivery { message, .. }) => return message,
                Ok(Received::Restarted) | Err(BusError::Missing(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (received, ()) = tokio::join!(receiving, sending);
    assert_eq!(received.message_id.as_deref(), Some("e-1"));
}

#[tokio::test]
async fn a_message_that_the_broker_finds_too_large_fails_by_itself() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    let mut publisher = bus.publisher();
    let payload = vec![0; (16 << 20) + 1].into();
    let result = publish_one(
        &mut publisher,
        Message {
            payload,
            ..message("a.b.c", 1)
        },
    )
    .await;
    assert!(
        matches!(result, Err(PublishError::TooLarge(_))),
        "{result:?}"
    );
    let result = publish_one(&mut publisher, message(&"k".repeat(256), 2)).await;
    assert!(
        matches!(result, Err(PublishError::TooLarge(_))),
        "{result:?}"
    );
    publish(&mut publisher, "topp.layer.added", 3..=3).await;
}

#[tokio::test]
async fn a_queue_that_is_declared_otherwise_is_named() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let channel = channel(&fixture).await;
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let queue = "weir.slave.eu".into();
    channel
        .queue_declare(queue, durable, FieldTable::default())
        .await
        .unwrap();
    let bus = Bus::open(&fixture.address).await.unwrap();

    let mismatches = within("preflight", bus.preflight(&["eu", "us"]))
        .await
        .unwrap();
    assert_eq!(mismatches.len(), 1, "{mismatches:?}");
    assert_eq!(mismatches[0].what, "queue weir.slave.eu");
    // The broker tells of one argument that differs, whichever it compared first.
    assert!(
        mismatches[0].difference.contains("received the value"),
        "{mismatches:?}"
    );

    let topology = Topology {
        slaves: slaves(&[("eu", &["#"])]),
        ..Topology::default()
    };
    let error = within("maintaining", bus.maintain(&topology))
        .await
        .unwrap_err();
    assert_eq!(error, BusError::Mismatch(mismatches[0].clone()));
}

/// Weir gives queues no limit. A policy may: then the queue's share has no other place, the master
/// waits, and those that have theirs get copies of what is tried again. Nothing is lost.
#[tokio::test]
async fn a_queue_that_a_policy_limits_refuses_and_takes_once_there_is_room() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("full", &["#"]), ("healthy", &["#"])]).await;
    let vhost = vhost_of(&fixture);
    let limit = r#"{"max-length":2,"overflow":"reject-publish"}"#;
    let set = [
        "set_policy",
        "-p",
        vhost,
        "limit",
        r"^weir\.slave\.full$",
        limit,
    ];
    assert!(rabbitmqctl(&set).status.success());
    let policies = ["-q", "list_queues", "-p", vhost, "policy"];
    within("the policy", async {
        while !String::from_utf8_lossy(&rabbitmqctl(&policies).stdout).contains("limit") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let mut publisher = bus.publisher();
    // A quorum queue takes some more than its limit.
    let mut number = 0;
    let refused = loop {
        number += 1;
        assert!(number < 1000, "the limit does not hold");
        match publish_one(&mut publisher, message("topp.layer.added", number)).await {
            Ok(()) => {}
            Err(PublishError::Refused(_)) => break number,
            Err(error) => panic!("{error}"),
        }
    };
    let mut healthy = bus.slave("healthy", 100);
    let (taken, _) = take_ids(&mut healthy, usize::try_from(refused).unwrap()).await;
    assert_eq!(
        taken,
        ids(1..=refused),
        "it has its copy of what the other one refused"
    );
    // Room again, and the same message once more: the master's line does that.
    let mut full = bus.slave("full", 100);
    let (taken, last) = take_ids(&mut full, usize::try_from(refused - 1).unwrap()).await;
    assert_eq!(taken, ids(1..refused));
    full.accept_through(last).await.unwrap();
    within("room", async {
        while publish_one(&mut publisher, message("topp.layer.added", refused))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(take(&mut full).await.id(), refused.to_string());
}
