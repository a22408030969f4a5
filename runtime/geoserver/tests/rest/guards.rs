//! What a node does not do, since GeoServer would do another thing.

use bytes::Bytes;
use futures::stream;
use serde_json::json;
use weir_geoserver::Scope::Global;
use weir_geoserver::{Action, Collection, Failure, FilePath, Object, Removal, Service, StoreKind};

use crate::server::{Reply, Server, answer, json as json_reply};
use crate::{file, group, layer, name, node, style, tiles, within, workspace};

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
        node.perform(&Action::ResetStore {
            kind: StoreKind::Wms,
            workspace: workspace("a"),
            name: name("b"),
        })
        .await,
    ] {
        assert_eq!(failure.unwrap_err().failure, Failure::NoSuchCall);
    }
    assert_eq!(server.seen(), []);
}

/// A group that is not there, on a GeoServer that has one of its name in the default workspace, as
/// 2.26.2 answers: it would change that one, and remove it.
#[tokio::test]
async fn a_global_group_is_not_changed_or_removed_in_the_place_of_another() {
    let server = Server::start(|request| match request.target.as_str() {
        "/geoserver/rest/layergroups/only.json" => {
            json_reply(r#"{"layerGroup":{"name":"only","workspace":{"name":"north"}}}"#)
        }
        "/geoserver/rest/layergroups/both.json" => json_reply(r#"{"layerGroup":{"name":"both"}}"#),
        "/geoserver/rest/layergroups/broken.json" => answer(
            500,
            "text/plain",
            "Unable to marshal reference with no id or name.",
        ),
        target if target.ends_with("/none.json") => {
            answer(404, "text/plain", "No such layer group none")
        }
        target if target.ends_with("/none") => answer(
            500,
            "text/plain",
            "Unable to delete layer group referenced by layer group 'g_style'",
        ),
        _ => answer(200, "", ""),
    })
    .await;
    let node = node(&server.url);
    let document = json!({"layerGroup": {"title": "t"}});
    for missing in [
        group(Global, "only"),
        group(Global, "none"),
        group(within("north"), "none"),
    ] {
        let changed = node.change(&missing, &document).await.unwrap_err();
        assert!(changed.is_missing(), "{changed}");
        let removed = node.remove(&missing, Removal::ALONE).await.unwrap_err();
        assert!(removed.is_missing(), "{removed}");
    }
    assert!(server.seen().iter().all(|request| request.method == "GET"));
    node.change(&group(Global, "both"), &document)
        .await
        .unwrap();
    node.remove(&group(Global, "both"), Removal::ALONE)
        .await
        .unwrap();
    // A group that cannot be read is repaired by a change.
    node.change(&group(Global, "broken"), &document)
        .await
        .unwrap();
    let written = server.seen().into_iter().filter(|it| it.method != "GET");
    let written: Vec<String> = written
        .map(|it| format!("{} {}", it.method, it.target))
        .collect();
    assert_eq!(
        written,
        [
            "PUT /geoserver/rest/layergroups/both",
            "DELETE /geoserver/rest/layergroups/both",
            "PUT /geoserver/rest/layergroups/broken"
        ]
    );
}

/// 2.26.2 answers 200 to settings for a workspace that is not there, and they are those of all then.
#[tokio::test]
async fn settings_of_a_service_are_not_written_without_their_workspace() {
    let server = Server::start(|request| match request.target.as_str() {
        "/geoserver/rest/workspaces/north.json" => json_reply(r#"{"workspace":{"name":"north"}}"#),
        "/geoserver/rest/workspaces/nope.json" => {
            answer(404, "text/plain", "No such workspace: 'nope' found")
        }
        _ => answer(200, "", ""),
    })
    .await;
    let node = node(&server.url);
    let document = json!({"wms": {"name": "WMS"}});
    let service = |scope| Object::Service {
        service: Service::Wms,
        scope,
    };
    let orphan = service(within("nope"));
    for error in [
        node.create(&orphan, &document).await.unwrap_err(),
        node.change(&orphan, &document).await.unwrap_err(),
        node.remove(&orphan, Removal::ALONE).await.unwrap_err(),
    ] {
        assert!(error.is_missing(), "{error}");
    }
    assert!(server.seen().iter().all(|request| request.method == "GET"));
    node.create(&service(within("north")), &document)
        .await
        .unwrap();
    node.change(&service(Global), &document).await.unwrap();
    let written = server.seen().into_iter().filter(|it| it.method == "PUT");
    let written: Vec<String> = written.map(|it| it.target).collect();
    assert_eq!(
        written,
        [
            "/geoserver/rest/services/wms/workspaces/north/settings",
            "/geoserver/rest/services/wms/settings"
        ]
    );
}

/// GeoServer decodes these names twice: the plus of a file would be a space.
#[tokio::test]
async fn a_plus_in_a_file_or_a_tile_layer_is_not_taken_for_a_space() {
    let server = Server::start(|_| answer(200, "", "<a/>")).await;
    let node = node(&server.url);
    let path = FilePath::new("styles/a+b.sld").unwrap();
    let to = FilePath::new("styles/c.sld").unwrap();
    let bytes = || stream::iter([Ok::<_, std::io::Error>(Bytes::new())]);
    for failure in [
        node.get(&file("styles/a+b.sld")).await.map(|_| ()),
        node.change(&file("styles/a+b.sld"), &Bytes::new()).await,
        node.upload(&file("styles/a+b.sld"), 10, bytes()).await,
        node.download(&file("styles/a+b.sld"), 10).await.map(|_| ()),
        node.remove(&file("styles/a+b.sld"), Removal::RECURSIVE)
            .await,
        node.metadata(&path).await.map(|_| ()),
        node.directory(Some(&path)).await.map(|_| ()),
        node.rename_file(&to, &path).await,
        node.get(&tiles("a:b+c")).await.map(|_| ()),
    ] {
        let error = failure.unwrap_err();
        assert_eq!(error.failure, Failure::Unsayable("+"), "{error}");
    }
    assert_eq!(server.seen(), []);
    // Elsewhere it is a plus.
    node.change(&style(Global, "a+b"), &json!({}))
        .await
        .unwrap();
    assert!(server.seen()[0].is("PUT", "/geoserver/rest/styles/a%2Bb"));
}

/// What 2.26.2 answers where the workspace or the store is not there that the asked is in.
#[tokio::test]
async fn what_is_in_something_that_is_not_there_is_missing() {
    let stumbled =
        r#"Cannot invoke "org.geoserver.catalog.StoreInfo.getId()" because "store" is null"#;
    let server = Server::start(move |request| match request.target.as_str() {
        "/geoserver/rest/workspaces/nope.json" => {
            answer(404, "text/plain", "No such workspace: 'nope' found")
        }
        "/geoserver/rest/workspaces/a/datastores/none.json" => {
            answer(404, "text/plain", "No such datastore: a,none")
        }
        target if target.contains("/settings") || target.contains("/featuretypes") => {
            answer(500, "text/plain", stumbled)
        }
        _ => json_reply("{}"),
    })
    .await;
    let node = node(&server.url);
    let types = |store| Collection::Resources {
        kind: StoreKind::Data,
        workspace: workspace("a"),
        store: name(store),
    };
    let settings = Object::Settings(within("nope"));
    for error in [
        node.get(&settings).await.unwrap_err(),
        node.change(&settings, &json!({})).await.unwrap_err(),
        node.list(&types("none")).await.unwrap_err(),
    ] {
        assert!(error.is_missing(), "{error}");
    }
    for error in [
        node.get(&Object::Settings(within("there")))
            .await
            .unwrap_err(),
        node.list(&types("there")).await.unwrap_err(),
    ] {
        assert!(
            matches!(error.failure, Failure::Refused { status: 500, .. }),
            "{error}"
        );
    }
}

/// A name that the firewall of GeoServer refuses in a URL is told as that, whatever was asked.
#[tokio::test]
async fn what_the_firewall_refuses_is_told() {
    let rejected = "org.springframework.security.web.firewall.RequestRejectedException: The request was rejected because the URL contained a potentially malicious String &quot;%25&quot;";
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => answer(
            500,
            "application/json",
            format!(r#"{{"servlet":"dispatcher","cause0":"{rejected}","message":"{rejected}"}}"#),
        ),
        _ => answer(500, "", ""),
    })
    .await;
    let node = node(&server.url);
    let object = Object::Workspace(workspace("100%"));
    for error in [
        node.get(&object).await.unwrap_err(),
        node.change(&object, &json!({})).await.unwrap_err(),
        node.remove(&object, Removal::ALONE).await.unwrap_err(),
    ] {
        let shown = error.to_string();
        assert!(shown.ends_with("malicious String \"%25\""), "{shown}");
        assert!(
            matches!(error.failure, Failure::Refused { status: 500, .. }),
            "{shown}"
        );
    }
}
