//! What a node does not do, since GeoServer would do another thing.

use serde_json::json;
use weir_geoserver::Scope::Global;
use weir_geoserver::{Failure, Object, Removal};

use crate::server::{Reply, Server, answer, json as json_reply};
use crate::{file, group, layer, name, node, style, within};

#[tokio::test]
async fn what_is_shown_in_the_place_of_another_is_missing() {
    let server = Server::start(|request| match request.target.as_str() {
        "/geoserver/rest/layergroups/g.json" => {
            json_reply(r#"{"layerGroup":{"name":"g","workspace":{"name":"north"}}}"#)
        }
        "/geoserver/rest/resource/styles" => Reply::Answer {
            status: 200,
            headers: vec![("Resource-Type".to_owned(), "directory".to_owned())],
            body: b"<html>".to_vec(),
        },
        _ => json_reply("{}"),
    })
    .await;
    let node = node(&server.url);
    let group = node.get(&group(Global, "g")).await.unwrap_err();
    let directory = node.get(&file("styles")).await.unwrap_err();
    let streamed = node.download(&file("styles"), 100).await.unwrap_err();
    let rule = node.get(&Object::AccessRule(name("a.b.r"))).await;
    for error in [group, directory, streamed, rule.unwrap_err()] {
        assert!(error.is_missing(), "{error}");
    }
}

#[tokio::test]
async fn a_global_style_is_not_removed_in_the_place_of_another() {
    let server = Server::start(|request| match request.target.as_str() {
        "/geoserver/rest/workspaces/default.json" => {
            json_reply(r#"{"workspace":{"name":"north"}}"#)
        }
        "/geoserver/rest/workspaces/north/styles/both.json" => json_reply(r#"{"style":{}}"#),
        target if request.method == "GET" && target.contains("/workspaces/") => {
            answer(404, "text/plain", "No such style")
        }
        _ => answer(200, "", ""),
    })
    .await;
    let node = node(&server.url);
    let error = node
        .remove(&style(Global, "both"), Removal::ALONE)
        .await
        .unwrap_err();
    assert_eq!(error.failure, Failure::Shadowed("north".to_owned()));
    assert!(server.seen().iter().all(|request| request.method == "GET"));
    node.remove(&style(Global, "one"), Removal::ALONE)
        .await
        .unwrap();
    node.remove(&style(within("north"), "both"), Removal::ALONE)
        .await
        .unwrap();
    let removed = server.seen();
    assert!(
        removed
            .iter()
            .any(|it| it.is("DELETE", "/geoserver/rest/styles/one"))
    );
    assert!(
        removed
            .iter()
            .any(|it| it.is("DELETE", "/geoserver/rest/workspaces/north/styles/both"))
    );
}

#[tokio::test]
async fn a_directory_is_not_removed_in_the_place_of_a_file() {
    let server = Server::start(|request| {
        let kind = match request.target.split(['?', '/']).nth(4) {
            Some("full") => "directory",
            Some("a.txt") => "resource",
            _ => "undefined",
        };
        match request.method.as_str() {
            "GET" => json_reply(&format!(r#"{{"ResourceMetadata":{{"type":"{kind}"}}}}"#)),
            _ => answer(200, "", ""),
        }
    })
    .await;
    let node = node(&server.url);
    let error = node.remove(&file("full"), Removal::ALONE).await;
    let error = error.unwrap_err();
    assert!(matches!(error.failure, Failure::Referenced(_)), "{error}");
    let error = node.remove(&file("none"), Removal::ALONE).await;
    assert!(error.unwrap_err().is_missing());
    assert!(server.seen().iter().all(|it| it.method == "GET"));
    node.remove(&file("a.txt"), Removal::ALONE).await.unwrap();
    node.remove(&file("full"), Removal::RECURSIVE)
        .await
        .unwrap();
    let removed = server.seen().into_iter().filter(|it| it.method == "DELETE");
    let removed: Vec<String> = removed.map(|it| it.target).collect();
    assert_eq!(
        removed,
        [
            "/geoserver/rest/resource/a.txt",
            "/geoserver/rest/resource/full"
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_asked() {
    let server = Server::start(|_| answer(200, "", "")).await;
    let node = node(&server.url);
    let document = json!({});
    for failure in [
        node.create(&layer("a", "b"), &document).await,
        node.create(&Object::DefaultWorkspace, &document).await,
        node.remove(&Object::Settings(Global), Removal::ALONE).await,
        node.remove(&Object::Logging, Removal::RECURSIVE).await,
        node.change(&Object::AccessRule(name("a.b.r")), &document)
            .await,
    ] {
        assert_eq!(failure.unwrap_err().failure, Failure::NoSuchCall);
    }
    assert_eq!(server.seen(), []);
}
