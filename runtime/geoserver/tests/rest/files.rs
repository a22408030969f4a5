//! Files on their way.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use tokio::time::sleep;
use weir_geoserver::{CallError, Download, Failure, Node, Settings};

use crate::server::{Reply, Server, answer, version};
use crate::{file, node, settings};

async fn whole(mut download: Download) -> Result<Vec<u8>, CallError> {
    let mut whole = Vec::new();
    while let Some(piece) = download.next().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn pieces(
    count: usize,
    length: usize,
) -> impl futures::Stream<Item = Result<Bytes, String>> + Send + 'static {
    stream::iter((0..count).map(move |number| {
        let byte = u8::try_from(number % 251).unwrap();
        Ok(Bytes::from(vec![byte; length]))
    }))
}

#[tokio::test]
async fn a_file_goes_from_one_node_to_another_as_it_comes() {
    let from = Server::start(|_| {
        let pieces = (0..20).map(|number| vec![number; 10_000]).collect();
        Reply::Pieces(Duration::from_millis(1), pieces)
    })
    .await;
    let to = Server::start(|_| answer(201, "", "")).await;
    let path = file("data/heights.tif");
    let download = node(&from.url).download(&path, 1 << 20).await.unwrap();
    node(&to.url)
        .upload(&path, 1 << 20, download.into_stream())
        .await
        .unwrap();
    let arrived = to.seen().pop().unwrap();
    assert!(arrived.is("PUT", "/geoserver/rest/resource/data/heights.tif"));
    let sent: Vec<u8> = (0..20).flat_map(|number| vec![number; 10_000]).collect();
    assert!(arrived.body == sent);
}

#[tokio::test]
async fn a_file_may_not_be_larger_than_the_caller_wants() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => answer(201, "", ""),
        _ if request.target.ends_with("/said") => Reply::Long {
            length: 1 << 40,
            said: true,
        },
        _ => Reply::Long {
            length: 1 << 20,
            said: false,
        },
    })
    .await;
    let node = node(&server.url);
    let limit = 100_000;
    let said = node.download(&file("said"), limit).await.unwrap_err();
    assert_eq!(said.failure, Failure::TooLarge { limit });
    let unsaid = node.download(&file("unsaid"), limit).await.unwrap();
    let unsaid = whole(unsaid).await.unwrap_err();
    assert_eq!(unsaid.failure, Failure::TooLarge { limit });
    let exact = node.download(&file("unsaid"), 1 << 20).await.unwrap();
    assert_eq!(whole(exact).await.unwrap().len(), 1 << 20);

    let up = node.upload(&file("up"), limit, pieces(11, 10_000)).await;
    assert_eq!(up.unwrap_err().failure, Failure::TooLarge { limit });
    node.upload(&file("up"), limit, pieces(10, 10_000))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_not_sent_as_if_it_were_whole() {
    let server = Server::start(|_| answer(201, "", "")).await;
    let broken = pieces(3, 10).chain(stream::iter([Err("the disk is gone".to_owned())]));
    let error = node(&server.url)
        .upload(&file("a"), 1000, broken)
        .await
        .unwrap_err();
    assert!(matches!(error.failure, Failure::Source(_)), "{error}");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    // The server never saw the end of it.
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn a_file_takes_as_long_as_it_makes_progress() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => answer(201, "", ""),
        _ => Reply::Pieces(Duration::from_millis(100), vec![vec![1]; 16]),
    })
    .await;
    // Longer than it may be silent, and never silent for so long.
    let node = Node::new(Settings {
        silence_timeout: Duration::from_secs(1),
        ..settings(&server.url)
    })
    .unwrap();
    let download = node.download(&file("a"), 100).await.unwrap();
    assert_eq!(whole(download).await.unwrap().len(), 16);
    let slowly = pieces(16, 1).then(|piece| async {
        sleep(Duration::from_millis(100)).await;
        piece
    });
    node.upload(&file("a"), 100, slowly).await.unwrap();
    assert_eq!(server.seen().pop().unwrap().body.len(), 16);
}

#[tokio::test]
async fn a_file_that_makes_no_progress_is_given_up() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => Reply::Hang,
        _ if request.target.ends_with("stalls") => Reply::Stall,
        _ => Reply::Hang,
    })
    .await;
    let node = node(&server.url);
    let silence = Duration::from_millis(300);
    let stalls = node.download(&file("stalls"), 100).await.unwrap();
    assert_eq!(
        whole(stalls).await.unwrap_err().failure,
        Failure::Hung(silence)
    );
    let hangs = node.download(&file("hangs"), 100).await.unwrap_err();
    assert_eq!(hangs.failure, Failure::Hung(silence));
    let unanswered = node
        .upload(&file("a"), 100, pieces(1, 1))
        .await
        .unwrap_err();
    assert_eq!(unanswered.failure, Failure::Hung(silence));
    let endless = pieces(1, 1).chain(stream::pending());
    let endless = node.upload(&file("a"), 100, endless).await.unwrap_err();
    assert_eq!(endless.failure, Failure::Hung(silence));
}

#[tokio::test]
async fn a_file_that_breaks_off_is_not_whole() {
    let server = Server::start(|_| Reply::Cut {
        length: 10,
        body: b"12345".to_vec(),
    })
    .await;
    let download = node(&server.url).download(&file("a"), 100).await.unwrap();
    assert_eq!(download.length(), Some(10));
    let error = whole(download).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
}

#[tokio::test]
async fn what_geoserver_says_of_a_file_is_understood() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => answer(405, "", ""),
        _ if request.target.contains("version") => version(),
        _ => answer(404, "text/plain", "Undefined resource path."),
    })
    .await;
    let node = node(&server.url);
    let missing = node.download(&file("a"), 100).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    let refused = node
        .upload(&file("a"), 100, pieces(2, 2))
        .await
        .unwrap_err();
    assert!(
        matches!(refused.failure, Failure::Refused { status: 405, .. }),
        "{refused}"
    );
}
