//! How much a consumer holds at most.

use weir_bus::{Prefetch, Received};
use weir_event::Message;

use crate::support::{
    Fixture, assert_quiet, attach, message, publish_all, rabbitmqctl, take, vhost_of, within,
};

#[tokio::test]
async fn a_consumer_holds_no_more_bytes_than_it_may_beside_one_message() {
    let fixture = Fixture::embedded();
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let mut publisher = bus.publisher();
    let sizes = [100, 100, 1000, 100, 5000, 5000];
    for (number, size) in sizes.into_iter().enumerate() {
        let message = Message {
            payload: vec![b'x'; size].into(),
            ..message("topp.layer.added", number)
        };
        publisher.publish(message).await;
        let confirmation = within("a confirm", publisher.confirmed()).await;
        assert_eq!(confirmation.result, Ok(()));
    }
    let prefetch = Prefetch {
        messages: 100,
        bytes: 1000,
    };
    let mut consumer = bus.slave("eu", prefetch);
    let mut tags = Vec::new();
    // 200 bytes are fewer than 1000, and so are not the last: the third message is.
    for expected in ["0", "1", "2"] {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), expected);
        tags.push(taken.tag);
    }
    assert_quiet(&mut consumer).await;
    consumer.accept_through(tags[2]).await.unwrap();
    // The fifth goes beyond the bound, and a message that does comes alone at worst.
    let fourth = take(&mut consumer).await;
    let fifth = take(&mut consumer).await;
    assert_eq!((fourth.id(), fifth.id()), ("3", "4"));
    assert_quiet(&mut consumer).await;
    consumer.accept_through(fifth.tag).await.unwrap();
    assert_eq!(take(&mut consumer).await.id(), "5");
}

/// RabbitMQ pushes as many messages as were asked for, however large they are.
#[tokio::test]
async fn fewer_messages_are_taken_at_one_time_while_they_are_large() {
    const LARGE: usize = 1 << 20;
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let large = |number: u32| Message {
        payload: vec![b'x'; LARGE].into(),
        ..message("topp.layer.added", number)
    };
    let small = |number| message("topp.layer.added", number);
    let mut publisher = bus.publisher();
    publish_all(&mut publisher, (1..=40).map(large)).await;
    publish_all(&mut publisher, (41..=100).map(small)).await;

    let prefetch = Prefetch {
        messages: 16,
        bytes: 4 * LARGE,
    };
    let mut consumer = bus.slave("eu", prefetch);
    // Nothing is accepted until the broker has pushed too much.
    while within("a delivery", consumer.next()).await.unwrap() != Received::Restarted {}
    for expected in 1..=100 {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), expected.to_string(), "in order, none left out");
        if expected == 20 {
            assert_eq!(prefetch_of(&fixture), 4);
        }
        consumer.accept_through(taken.tag).await.unwrap();
    }
    // All is accepted, so it may be wider again.
    assert_quiet(&mut consumer).await;
    assert_eq!(prefetch_of(&fixture), 16);
}

/// A message that is larger than the bound is taken alone.
#[tokio::test]
async fn one_message_may_be_larger_than_the_bound() {
    let Some(fixture) = Fixture::rabbitmq() else {
        return;
    };
    let bus = fixture.bus().await;
    attach(&bus, &[("eu", &["#"])]).await;
    let large = |number: u32| Message {
        payload: vec![b'x'; 1 << 20].into(),
        ..message("topp.layer.added", number)
    };
    publish_all(&mut bus.publisher(), (1..=3).map(large)).await;
    let prefetch = Prefetch {
        messages: 16,
        bytes: 1000,
    };
    let mut consumer = bus.slave("eu", prefetch);
    let first = within("a delivery", consumer.next()).await.unwrap();
    assert_eq!(first, Received::Restarted);
    for expected in ["1", "2", "3"] {
        let taken = take(&mut consumer).await;
        assert_eq!(taken.id(), expected);
        assert_quiet(&mut consumer).await;
        consumer.accept_through(taken.tag).await.unwrap();
    }
}

/// What the broker has of the only consumer.
fn prefetch_of(fixture: &Fixture) -> u16 {
    let vhost = vhost_of(fixture);
    let listed = rabbitmqctl(&["-q", "list_consumers", "-p", vhost, "prefetch_count"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let last = listed.lines().last().and_then(|line| line.parse().ok());
    last.unwrap_or_else(|| panic!("no consumer: {listed}"))
}
