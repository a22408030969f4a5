//! Servers and networks that fail, and how much at a time a node asks for.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use weir_geoserver::{Failure, Node, Settings};

use crate::server::{Reply, Server, answer, json as json_reply, version};
use crate::{layer, node, settings, tiles};

/// A node that does not wait for long.
fn hasty(url: &str) -> Node {
    Node::new(Settings {
        answer_timeout: Duration::from_millis(300),
        ..settings(url)
    })
    .unwrap()
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/geoserver", listener.local_addr().unwrap());
    drop(listener);
    let error = node(&url).get(&layer("a", "b")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn nobody_has_this_name() {
    let error = node("http://no-such-host.invalid/geoserver")
        .version()
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
}

#[tokio::test]
async fn who_hangs_is_not_waited_for() {
    for stalls in [false, true] {
        let server = Server::start(move |_| if stalls { Reply::Stall } else { Reply::Hang }).await;
        let node = hasty(&server.url);
        let begun = Instant::now();
        for error in [
            node.get(&layer("a", "b")).await.unwrap_err(),
            node.change(&layer("a", "b"), &json!({})).await.unwrap_err(),
            node.version().await.unwrap_err(),
        ] {
            assert_eq!(error.failure, Failure::Hung(Duration::from_millis(300)));
            assert!(
                error.to_string().ends_with("no answer within 0.3 s"),
                "{error}"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn who_is_slow_is_waited_for() {
    let server = Server::start(|_| {
        let pieces = [&b"{\"a"[..], b"\":", b"1}"];
        Reply::Pieces(
            Duration::from_millis(50),
            pieces.iter().map(|piece| piece.to_vec()).collect(),
        )
    })
    .await;
    let document = node(&server.url).get(&layer("a", "b")).await.unwrap();
    assert_eq!(document, json!({"a": 1}));
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_document() {
    let server = Server::start(|_| Reply::Cut {
        length: 100,
        body: b"{\"layer\":{}}".to_vec(),
    })
    .await;
    let node = node(&server.url);
    let error = node.get(&layer("a", "b")).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
    let error = node.get(&tiles("a:b")).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");

    let server = Server::start(|_| Reply::Close).await;
    let node = crate::node(&server.url);
    let error = node.change(&layer("a", "b"), &json!({})).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
    // A write that may have been done is not done again.
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn documents_have_a_bound() {
    for (length, said) in [(1 << 40, true), (65 << 20, false)] {
        let server = Server::start(move |_| Reply::Long { length, said }).await;
        let error = node(&server.url).get(&layer("a", "b")).await.unwrap_err();
        assert_eq!(error.failure, Failure::TooLarge { limit: 64 << 20 });
    }
}

#[tokio::test]
async fn complaints_have_a_bound() {
    let server = Server::start(|_| answer(500, "text/plain", "no! ".repeat(1 << 20))).await;
    let error = node(&server.url).get(&layer("a", "b")).await.unwrap_err();
    assert!(
        matches!(error.failure, Failure::Refused { status: 500, .. }),
        "{error}"
    );
    assert!(
        error.to_string().len() < 2300,
        "{}",
        error.to_string().len()
    );
}

#[tokio::test]
async fn what_is_no_document_is_unexpected() {
    for (body, why) in [
        ("", "this is no JSON"),
        ("<html>Log in</html>", "this is no JSON"),
        ("{\"layer\":", "this is no JSON"),
    ] {
        let server = Server::start(move |_| answer(200, "text/html", body)).await;
        let error = node(&server.url).get(&layer("a", "b")).await.unwrap_err();
        assert!(
            matches!(error.failure, Failure::Unexpected { status: 200, .. }),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
    let server = Server::start(|_| json_reply("{}")).await;
    let error = node(&server.url).get(&tiles("a:b")).await.unwrap_err();
    assert!(error.to_string().contains("this is no XML"), "{error}");
    let names = node(&server.url)
        .list(&weir_geoserver::Collection::Workspaces)
        .await;
    let error = names.unwrap_err();
    assert!(error.to_string().contains("this is no list"), "{error}");
}

#[tokio::test]
async fn one_write_and_a_few_reads_at_a_time() {
    for (readers, allowed) in [(0, 1), (2, 2), (4, 4), (100, 4)] {
        let server =
            Server::start(|_| Reply::Later(Duration::from_millis(20), Box::new(json_reply("{}"))))
                .await;
        let node = Node::new(Settings {
            readers,
            ..settings(&server.url)
        })
        .unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..12 {
            let reading = node.clone();
            calls.spawn(async move { reading.get(&layer("a", "b")).await.map(|_| ()) });
        }
        for _ in 0..6 {
            let writing = node.clone();
            calls.spawn(async move { writing.change(&layer("a", "b"), &json!({})).await });
        }
        for done in calls.join_all().await {
            done.unwrap();
        }
        let most = server
            .most
            .each_ref()
            .map(|most| most.load(Ordering::SeqCst));
        assert_eq!(most, [allowed, 1]);
    }
}

#[tokio::test]
async fn who_gives_up_waiting_gives_its_turn_back() {
    let server = Server::start(|request| {
        if request.target.contains("slow") {
            Reply::Hang
        } else {
            version()
        }
    })
    .await;
    let node = Node::new(Settings {
        readers: 1,
        ..settings(&server.url)
    })
    .unwrap();
    let slow = layer("a", "slow");
    let given_up = tokio::time::timeout(Duration::from_millis(50), node.get(&slow)).await;
    assert!(given_up.is_err());
    node.version().await.unwrap();
}
