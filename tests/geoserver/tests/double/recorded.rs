//! The double against recordings of real GeoServers: every write that was recorded is made again,
//! and has the status that it had; what there is then looks as it looked.

use weir_test_geoserver::GeoServer;

use crate::lab::Lab;
use crate::normal::{Form, normal};
use crate::recording::{self, Exchange};

/// Compares what was recorded with what the double says, but for what it does not cover.
async fn compare(lab: &mut Lab, kind: &str, left_out: &[&str]) {
    let mut compared = 0;
    for recorded in recording::read(kind) {
        if !recorded.is_covered() || left_out.iter().any(|it| recorded.target.contains(it)) {
            continue;
        }
        let answer = lab.wire.send(&recorded).await;
        let what = format!(
            "{} {} ({})",
            recorded.method, recorded.target, recorded.note
        );
        assert_eq!(answer.status, recorded.status, "{what}: {}", answer.text());
        compared += 1;
        if recorded.is_without_body() {
            continue;
        }
        let form = Form::of(&recorded);
        let (said, was) = (normal(form, &answer.text()), normal(form, &recorded.answer));
        assert_eq!(said, was, "{what}");
    }
    assert!(compared > 0, "nothing of {kind} was compared");
}

macro_rules! as_recorded {
    ($($test:ident: $kind:literal, but for $left_out:expr;)*) => {$(
        #[tokio::test]
        async fn $test() {
            compare(&mut Lab::build().await, $kind, &$left_out).await;
        }
    )*};
}

as_recorded! {
    workspaces: "workspace", but for [];
    namespaces: "namespace", but for [];
    data_stores: "datastore", but for [];
    feature_types: "featuretype", but for [];
    layers: "layer", but for [];
    layer_groups: "layergroup", but for [];
    coverage_stores: "coveragestore", but for [];
    coverages: "coverage", but for [];
    wms_stores: "wmsstore", but for [];
    wms_layers: "wmslayer", but for [];
    wmts_stores: "wmtsstore", but for [];
    wmts_layers: "wmtslayer", but for [];
    // Bodies that GeoServer has parsed and written anew, or cannot.
    styles: "style", but for ["g_line2.sld", "se_line.sld", "csstwo.css"];
    settings: "settings", but for [];
    workspace_settings: "ws-settings", but for [];
    services: "service-settings", but for [];
    logging: "logging", but for [];
    templates: "template", but for [];
    // Files of the catalog.
    files: "resource", but for ["/resource/?", "/resource/data?format", "/styles?", "/workspaces?", "/workspaces/north", "/gwc-layers", "/templates?", "/palettes", "/global.xml"];
    tile_layers: "gwc-layer", but for ["layers.xml", "rivers.json"];
    grid_sets: "gwc-gridset", but for ["gridsets.xml", "LabGrid.json"];
    blob_stores: "gwc-blobstore", but for ["blobstores.xml", "labblobs.json"];
    tile_settings: "gwc-global", but for ["global.json", "gwc-gs.xml"];
    disk_quota: "gwc-diskquota", but for ["diskquota.json"];
}

#[tokio::test]
async fn an_empty_one() {
    let mut lab = Lab::empty(GeoServer::start().await.unwrap()).await;
    let left_out = [
        "/about/status",
        "/acl/services",
        "/acl/rest",
        "/acl/catalog",
        "/security/roles",
        "/usergroup",
        // Of the catalog's own files.
        "/resource",
        "gwc/rest/layers.xml",
        "gridsets.xml",
        "blobstores.xml",
        "global.json",
        "diskquota.json",
        "masstruncate",
        "/fonts",
    ];
    compare(&mut lab, "empty-baseline", &left_out).await;
}

#[test]
fn recordings_are_read_whole() {
    let kinds = ["workspace-writes", "layergroup", "style-writes"];
    let counts = kinds.map(|kind| recording::read(kind).len());
    assert_eq!(counts, [13, 24, 18]);
    let first: &Exchange = &recording::read("workspace-writes")[0];
    assert_eq!(first.body, "{\"workspace\": {\"name\": \"north\"}}");
    assert_eq!((first.status, first.answer.as_str()), (201, "north"));
}
