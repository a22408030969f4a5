//! What can be made to go wrong.

use std::time::Duration;

use tokio::time::Instant;
use weir_geoserver::{Action, Failure, Login, Node, Object, Settings};
use weir_test_geoserver::{GeoServer, Moment};

use crate::client::{node, workspace};

#[tokio::test]
async fn a_call_fails_and_the_next_does_not() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    geoserver.fail(2, 503);
    node.perform(&Action::Reset).await.unwrap();
    let failed = node.perform(&Action::Reset).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Transient(_)), "{failed}");
    node.perform(&Action::Reset).await.unwrap();
    let statuses: Vec<_> = geoserver
        .calls()
        .into_iter()
        .map(|call| call.status)
        .collect();
    assert_eq!(statuses, [Some(200), Some(503), Some(200)]);
}

#[tokio::test]
async fn what_is_cut_has_been_done_or_not() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    for (moment, name, is_there) in [
        (Moment::Before, "before", false),
        (Moment::After, "after", true),
    ] {
        geoserver.forget_calls();
        geoserver.cut(1, moment);
        let (namespace, body) = workspace(name);
        let failed = node.create(&namespace, &body).await.unwrap_err();
        assert!(matches!(failed.failure, Failure::Transient(_)), "{failed}");
        let calls = geoserver.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!((calls[0].status, calls[0].is_read()), (None, false));
        assert_eq!(node.get(&namespace).await.is_ok(), is_there);
    }
}

#[tokio::test]
async fn what_hangs_has_no_answer() {
    let geoserver = GeoServer::start().await.unwrap();
    let url = geoserver.url().parse().unwrap();
    let mut settings = Settings::new(url, Login::basic("admin", "geoserver").unwrap());
    settings.answer_timeout = Duration::from_millis(50);
    let node = Node::new(settings).unwrap();
    geoserver.hang(1, Moment::After);
    let (namespace, body) = workspace("late");
    let failed = node.create(&namespace, &body).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Hung(_)), "{failed}");
    let shown: Vec<String> = geoserver.state().into_keys().collect();
    assert!(shown.contains(&"namespaces/late".to_owned()), "{shown:?}");
}

#[tokio::test]
async fn one_that_is_down_comes_up_as_it_was() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    let (namespace, body) = workspace("north");
    node.create(&namespace, &body).await.unwrap();
    geoserver.down();
    let failed = node.get(&namespace).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Transient(_)), "{failed}");
    geoserver.up();
    assert_eq!(
        node.get(&namespace).await.unwrap()["namespace"]["uri"],
        "urn:north"
    );
}

#[tokio::test]
async fn who_writes_lets_nobody_else_in() {
    let geoserver = GeoServer::start().await.unwrap();
    let (one, other) = (node(&geoserver), node(&geoserver));
    let slowness = Duration::from_millis(50);
    geoserver.slow(slowness);
    let started = Instant::now();
    let (first, second) = (workspace("north"), workspace("south"));
    let (first, second) = tokio::join!(
        one.create(&first.0, &first.1),
        other.create(&second.0, &second.1),
    );
    first.unwrap();
    second.unwrap();
    // Together, they would take as long as one.
    assert!(started.elapsed() >= slowness * 2);
}

#[tokio::test]
async fn a_wrong_login_is_refused() {
    let geoserver = GeoServer::start().await.unwrap();
    let url = geoserver.url().parse().unwrap();
    let settings = Settings::new(url, Login::basic("admin", "wrong").unwrap());
    let failed = Node::new(settings)
        .unwrap()
        .get(&Object::Logging)
        .await
        .unwrap_err();
    assert!(
        matches!(failed.failure, Failure::Unauthorized { .. }),
        "{failed}"
    );
}
