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

#[tokio::test]
async fn what_a_change_makes_of_defaults_is_no_difference() {
    let mut lab = Lab::build().await;
    let before = lab.geoserver.state();
    for path in [
        "workspaces/north/datastores/gpkg/featuretypes/lakes",
        "workspaces/north/coveragestores/slope/coverages/slope",
        "workspaces/south/wmslayers/far_rivers",
        "layers/quiet:rivers",
        "layergroups/g_named",
        "settings",
        "services/wms/workspaces/north/settings",
        "services/wfs/workspaces/north/settings",
    ] {
        let shown = lab.wire.get(path).await;
        lab.wire.does("PUT", path, &shown).await;
        assert_ne!(lab.wire.get(path).await, shown, "{path}");
    }
    let mut after = lab.geoserver.state();
    after.retain(|path, document| before.get(path) != Some(document));
    assert_eq!(after, [].into());
}
