//! What Weir needs on RabbitMQ stays as it should be, whoever deletes it or lets it overflow.

use std::time::Duration;

use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use weir_bus::{Bus, BusError, BusSettings, Consumer, PublishError, Publisher, Received, Topology};

use crate::proxy::Proxy;
use crate::support::{
    Fixture, amqp, assert_quiet, attach, channel, ids, message, publish, publish_all, publish_one,
    slaves, take, take_ids, within,
};

/// How long what is looked for only now and then may take to be noticed.
const LONG: Duration = Duration::from_mins(2);

/// Publishes until it is confirmed, as a pipeline does.
async fn insist(publisher: &mut Publisher, key: &str, number: u32) -> Vec<PublishError> {
    let mut failures = Vec::new();
    while let Err(error) = publish_one(publisher, message(key, number)).await {
        assert!(
            !matches!(error, PublishError::TooLarge(_)),
            "this one is final: {error}"
        );
        failures.push(error);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    failures
}

/// The id of the next delivery, whatever happens before it.
async fn take_at_last(consumer: &mut Consumer) -> String {
    loop {
        match within("a delivery", consumer.next()).await {
            Ok(Received::Delivery { message, tag, .. }) => {
                consumer.accept_through(tag).await.unwrap();
                return message.message_id.unwrap();
            }
            Ok(Received::Restarted) => {}
            Err(BusError::Missing(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_declared_anew() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"]), ("us", &["#"])]).await;
    let mut publisher = bus.publisher();
    publish(&mut publisher, "topp.layer.added", 1..=1).await;
    let mut consumer = bus.slave("eu", 10);
    assert_eq!(take_at_last(&mut consumer).await, "1");
    let options = QueueDeleteOptions::default();
    let channel = channel(&fixture).await;
    channel
        .queue_delete("weir.slave.eu".into(), options)
        .await
        .unwrap();
    // What is published until the broker has told is lost to it, and it alone.
    let publishing = async {
        for number in 2.. {
            insist(&mut publisher, "topp.layer.added", number).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = take_at_last(&mut consumer) => {}
        () = publishing => {}
    }
}

/// Unbinds the queue of `eu`, and has it come back by `what`.
async fn unbound(what: impl AsyncFnOnce(&Bus)) {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["topp.#"])]).await;
    let (queue, exchange, key) = ("weir.slave.eu", "weir", "topp.#");
    let channel = channel(&fixture).await;
    let unbound = channel.queue_unbind(
        queue.into(),
        exchange.into(),
        key.into(),
        FieldTable::default(),
    );
    unbound.await.unwrap();
    let mut publisher = bus.publisher();
    publish(&mut publisher, "topp.layer.added", 1..=1).await;
    let mut consumer = bus.slave("eu", 10);
    assert_quiet(&mut consumer).await;
    what(&bus).await;
    let publishing = async {
        for number in 2.. {
            insist(&mut publisher, "topp.layer.added", number).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let back = tokio::time::timeout(LONG, async {
        tokio::select! {
            received = consumer.next() => received.unwrap(),
            () = publishing => unreachable!(),
        }
    });
    assert!(matches!(back.await, Ok(Received::Delivery { .. })));
}

#[tokio::test]
async fn a_binding_that_is_deleted_is_back_by_itself() {
    unbound(async |_| {}).await;
}

#[tokio::test]
async fn a_binding_that_is_deleted_is_back_when_it_is_asked_for() {
    unbound(async |bus| {
        let topology = Topology {
            slaves: slaves(&[("eu", &["topp.#"])]),
            ..Topology::default()
        };
        within("maintaining", bus.maintain(&topology))
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deleted_exchange_holds_nobody_up_and_loses_nothing() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"]), ("us", &["topp.#"])]).await;
    let (mut one, mut other) = (bus.publisher(), bus.publisher());
    let channel = channel(&fixture).await;
    let mut failures = Vec::new();
    for number in 1..=200_u32 {
        if number % 50 == 25 {
            let options = ExchangeDeleteOptions::default();
            let deleted = channel.exchange_delete("weir".into(), options);
            deleted.await.unwrap();
        }
        // The first one finds it gone; the other one must not be confirmed before all is bound.
        let key = "topp.layer.added";
        let (first, second) = tokio::join!(
            insist(&mut one, key, number * 2),
            insist(&mut other, key, number * 2 + 1)
        );
        failures.extend(first.into_iter().chain(second));
    }
    assert!(!failures.is_empty(), "it was gone");
    let mut expected: Vec<u32> = (2..=401).collect();
    for slave in ["eu", "us"] {
        let mut consumer = bus.slave(slave, 1000);
        let mut there = Vec::new();
        while let Ok(received) = tokio::time::timeout(Duration::from_secs(2), consumer.next()).await
        {
            if let Received::Delivery { message, .. } = received.unwrap() {
                there.push(message.message_id.unwrap().parse::<u32>().unwrap());
            }
        }
        there.sort_unstable();
        there.dedup();
        expected.sort_unstable();
        assert_eq!(there, expected, "{slave}");
    }
}

#[tokio::test]
async fn dead_letters_wait_for_their_queue() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    let mut dead = bus.dead();
    publish(&mut dead, "topp.layer.added", 1..=1).await;
    let channel = channel(&fixture).await;
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete("weir.dead".into(), options)
        .await
        .unwrap();
    let failures = insist(&mut dead, "topp.layer.added", 2).await;
    assert!(
        matches!(failures[0], PublishError::Unroutable(_)),
        "{failures:?}"
    );
    let deleted = channel.exchange_delete("weir.dead".into(), ExchangeDeleteOptions::default());
    deleted.await.unwrap();
    let failures = insist(&mut dead, "topp.layer.added", 3).await;
    assert!(
        matches!(failures[0], PublishError::Unavailable(_)),
        "{failures:?}"
    );
    let (taken, _) = take_ids(&mut bus.dead_letters(10), 2).await;
    assert_eq!(taken, ids(2..=3));
}

#[tokio::test]
async fn a_master_that_is_gone_takes_nothing_more() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let (url, settings) = (amqp(&fixture.address), BusSettings::default());
    let mut publisher = Bus::foreign_publisher(url, "geoserver", true);
    insist_unroutable(&mut publisher, "a").await;
    let keys = ["a".to_owned(), "b".to_owned()];
    let mut consumer = Bus::foreign(url, &settings, "cloud", "geoserver", &keys, 10);
    let binding = async {
        insist(&mut publisher, "a", 1).await;
        insist(&mut publisher, "b", 2).await;
    };
    let (first, ()) = tokio::join!(take_at_last(&mut consumer), binding);
    assert_eq!(first, "1");
    drop(consumer);
    let gone = [
        ("geoserver".to_owned(), "b".to_owned()),
        ("elsewhere".to_owned(), "#".to_owned()),
    ];
    let unbound = Bus::unbind(url, &settings, "cloud", &gone);
    within("unbinding", unbound).await.unwrap();
    insist_unroutable(&mut publisher, "b").await;
    insist(&mut publisher, "a", 3).await;
}

async fn insist_unroutable(publisher: &mut Publisher, key: &str) {
    let result = publish_one(publisher, message(key, "nowhere")).await;
    assert_eq!(result, Err(PublishError::Unroutable(key.to_owned())));
}

#[tokio::test]
async fn sixty_cuts_bury_nothing() {
    let Some(proxy) = Proxy::new().await else {
        return;
    };
    let bus = proxy.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=20).await;
    // The sink is away: nothing is accepted.
    let mut consumer = bus.slave("eu", 10);
    for _ in 0..60 {
        let (taken, _) = take_ids(&mut consumer, 10).await;
        assert_eq!(taken, ids(1..=10));
        proxy.cut();
        let restarted = within("a restart", consumer.next()).await.unwrap();
        assert_eq!(restarted, Received::Restarted);
    }
    let taken = take(&mut consumer).await;
    assert_eq!((taken.id(), taken.delivery_count), ("1", 60));
    consumer.accept_through(taken.tag).await.unwrap();
    let (taken, _) = take_ids(&mut consumer, 9).await;
    assert_eq!(taken, ids(2..=10));
    assert_quiet(&mut bus.dead_letters(1)).await;
}

#[tokio::test]
async fn a_queue_that_an_earlier_version_declared_is_named_with_what_to_do() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let arguments = [
        ("x-queue-type", AMQPValue::LongString("quorum".into())),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
        ("x-delivery-limit", AMQPValue::LongLongInt(50)),
        (
            "x-dead-letter-exchange",
            AMQPValue::LongString("weir.dead".into()),
        ),
        ("x-overflow", AMQPValue::LongString("drop-head".into())),
    ];
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel(&fixture)
        .await
        .queue_declare("weir.slave.eu".into(), durable, table)
        .await
        .unwrap();
    let bus = Bus::open(&fixture.address).await.unwrap();
    let mismatches = within("preflight", bus.preflight(&["eu"])).await.unwrap();
    let told: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "the queue weir.slave.eu exists and is declared otherwise ('x-delivery-limit': received \
             '2147483647' but current is '50'); delete it once it is empty, and Weir declares it anew: what is in it can \
             be moved away with RabbitMQ's shovel"
        ]
    );
}

#[tokio::test]
async fn what_is_held_for_long_is_given_back_in_time() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let settings = BusSettings {
        consumer_timeout: Duration::from_secs(2),
        ..BusSettings::default()
    };
    let bus = Bus::open_with(&fixture.address, &settings).await.unwrap();
    attach(&bus, &[("eu", &["#"])]).await;
    publish(&mut bus.publisher(), "topp.layer.added", 1..=3).await;
    let mut consumer = bus.slave("eu", 10);
    for _ in 0..2 {
        let (taken, _) = take_ids(&mut consumer, 3).await;
        assert_eq!(taken, ids(1..=3));
        let received = within("a restart", consumer.next()).await.unwrap();
        assert_eq!(received, Received::Restarted);
    }
    let (_, last) = take_ids(&mut consumer, 3).await;
    consumer.accept_through(last).await.unwrap();
    // With nothing unsettled there is nothing to give back.
    let idle = tokio::time::timeout(settings.consumer_timeout, consumer.next());
    assert!(idle.await.is_err());
}

#[tokio::test]
async fn two_clusters_share_a_virtual_host() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let settings = BusSettings {
        prefix: "other".to_owned(),
        log_bytes: Some(1 << 30),
        quorum: Some(1),
        ..BusSettings::default()
    };
    let one = fixture.bus().await;
    let other = Bus::open_with(&fixture.address, &settings).await.unwrap();
    for bus in [&one, &other] {
        attach(bus, &[("eu", &["#"])]).await;
    }
    publish(&mut one.publisher(), "topp.layer.added", 1..=1).await;
    publish(&mut other.publisher(), "topp.layer.added", 2..=2).await;
    publish_all(&mut other.dead(), [message("topp.layer.added", 3)]).await;
    for (bus, event, dead) in [(&one, "1", None), (&other, "2", Some("3"))] {
        let mut consumer = bus.slave("eu", 10);
        assert_eq!(take(&mut consumer).await.id(), event);
        assert_quiet(&mut consumer).await;
        let mut letters = bus.dead_letters(10);
        match dead {
            Some(dead) => assert_eq!(take(&mut letters).await.id(), dead),
            None => assert_quiet(&mut letters).await,
        }
        let mismatches = within("preflight", bus.preflight(&["eu"])).await;
        assert_eq!(mismatches, Ok(Vec::new()));
    }
}
