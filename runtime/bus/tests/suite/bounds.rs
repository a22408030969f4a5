//! How much the embedded bus has a consumer hold.

use weir_bus::Prefetch;
use weir_event::Message;

use crate::support::{Fixture, assert_quiet, attach, message, take, within};

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
