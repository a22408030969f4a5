//! Two servers are compared by their states.

use serde_json::json;
use weir_test_geoserver::{Document, GeoServer};

use crate::client::{node, workspace};
use crate::lab::Lab;

#[tokio::test]
async fn two_that_are_alike_are_equal() {
    let (one, other) = (Lab::build().await, Lab::build().await);
    let (one, other) = (one.geoserver.state(), other.geoserver.state());
    for (path, document) in &one {
        assert_eq!(Some(document), other.get(path), "{path}");
    }
    assert_eq!(one.len(), other.len());
    let text = format!("{one:?}");
    for own in [
        "/rest/",
        "dateCreated",
        "dateModified",
        "crypt1:",
        "updateSequence",
    ] {
        assert!(!text.contains(own), "{own}");
    }
}

#[tokio::test]
async fn what_differs_is_found_at_its_path() {
    let geoserver = GeoServer::start().await.unwrap();
    let before = geoserver.state();
    let node = node(&geoserver);
    let (namespace, body) = workspace("north");
    node.create(&namespace, &body).await.unwrap();
    let mut after = geoserver.state();
    after.retain(|path, document| before.get(path) != Some(document));
    let paths: Vec<&str> = after.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        ["namespaces/north", "workspaces/default", "workspaces/north"]
    );
    let north = json!({"isolated": false, "prefix": "north", "uri": "urn:north"});
    assert_eq!(after["namespaces/north"], Document::Json(north));
}
