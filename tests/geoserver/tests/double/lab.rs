//! The server that was recorded, built again by the writes that built it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use weir_test_geoserver::GeoServer;

use crate::recording::{self, Exchange};
use crate::wire::Wire;

pub(crate) struct Lab {
    pub(crate) wire: Wire,
    pub(crate) geoserver: GeoServer,
}

/// The order in which it was built; workspaces and namespaces come first, mixed.
const KINDS: [&str; 20] = [
    "style",
    "datastore",
    "featuretype",
    "coveragestore",
    "coverage",
    "wmsstore",
    "wmslayer",
    "wmtsstore",
    "wmtslayer",
    "layer",
    "layergroup",
    "ws-settings",
    "service-settings",
    "logging",
    "template",
    "resource",
    "gwc-gridset",
    "gwc-blobstore",
    "gwc-global",
    "gwc-diskquota",
];

/// What the stores had: which table, and where it is recorded under which name.
const DATA: [(&str, &str, &str, &str); 11] = [
    (
        "north:props",
        "rivers",
        "featuretype",
        "props/featuretypes/rivers",
    ),
    (
        "north:props",
        "wells",
        "featuretype",
        "props/featuretypes/wells_b",
    ),
    (
        "north:gpkg",
        "lakes",
        "featuretype",
        "gpkg/featuretypes/lakes",
    ),
    (
        "north:gpkg",
        "deep_lakes",
        "featuretype",
        "gpkg/featuretypes/deep_lakes",
    ),
    (
        "north:shp",
        "poles",
        "featuretype",
        "shp/featuretypes/poles",
    ),
    (
        "south:plots",
        "plots",
        "featuretype",
        "plots/featuretypes/plots",
    ),
    (
        "quiet:props",
        "rivers",
        "featuretype",
        "props/featuretypes/rivers",
    ),
    (
        "north:heights",
        "heights",
        "coverage",
        "coverages/heights_b",
    ),
    ("north:slope", "slope", "coverage", "coverages/slope"),
    ("south:casc", "rivers", "wmslayer", "wmslayers/far_rivers"),
    ("south:tcasc", "tiles1", "wmtslayer", "layers/far_tiles"),
];

/// What GeoServer reads from the data.
const READ: [&str; 16] = [
    "attributes",
    "nativeBoundingBox",
    "latLonBoundingBox",
    "nativeCRS",
    "srs",
    "grid",
    "nativeFormat",
    "supportedFormats",
    "interpolationMethods",
    "defaultInterpolationMethod",
    "dimensions",
    "requestSRS",
    "responseSRS",
    "nativeCoverageName",
    "description",
    "title",
];

impl Lab {
    pub(crate) async fn empty(geoserver: GeoServer) -> Self {
        let wire = Wire::to(geoserver.url()).await;
        Self { wire, geoserver }
    }

    pub(crate) async fn build() -> Self {
        let geoserver = GeoServer::start().await.unwrap();
        for (store, tables) in data() {
            geoserver.tables(&store, tables);
        }
        let mut lab = Self::empty(geoserver).await;
        // What was there as files before.
        for (path, body) in [
            ("data/props/rivers.properties", "_=label:String"),
            (
                "styles/icons/pin.svg",
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"16\" height=\"16\"><circle cx=\"8\" cy=\"8\" r=\"6\" fill=\"#336699\"/></svg>",
            ),
        ] {
            lab.put_file(path, body).await;
        }
        let mut workspaces = recording::read("workspace-writes");
        let mut namespaces = recording::read("namespace-writes");
        // Of the one that was left without a namespace, which was made for it, and both were made
        // again.
        let removed = workspaces.pop().unwrap();
        let again = namespaces.pop().unwrap();
        let others = workspaces.iter().chain(&namespaces);
        for write in others.chain([&removed, &again]) {
            lab.write(write).await;
        }
        for kind in KINDS {
            for write in recording::read(&format!("{kind}-writes")) {
                lab.write(&write).await;
            }
        }
        for kind in ["gwc-layer", "settings"] {
            for write in recording::read(&format!("{kind}-writes")) {
                lab.write(&write).await;
            }
        }
        lab
    }

    async fn write(&mut self, write: &Exchange) {
        let answer = self.wire.send(write).await;
        let (method, target) = (&write.method, &write.target);
        let said = answer.text();
        assert_eq!(
            answer.status, write.status,
            "{method} {target} ({}): {said}",
            write.note
        );
        // The words of what was refused tell one reason from the other.
        if write.status >= 400 && !write.answer.contains("<html>") && !target.contains("wmts") {
            assert_eq!(said.trim_end(), write.answer, "{method} {target}");
        }
    }

    async fn put_file(&mut self, path: &str, body: &str) {
        let call = Exchange {
            method: "PUT".to_owned(),
            target: format!("/geoserver/rest/resource/{path}"),
            media_type: "text/plain".to_owned(),
            body: body.to_owned(),
            status: 201,
            ..Exchange::default()
        };
        self.write(&call).await;
    }
}

pub(crate) fn data() -> BTreeMap<String, Vec<(String, Value)>> {
    let mut all: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (store, table, kind, place) in DATA {
        let recorded = recording::read(kind);
        let workspace = store.split(':').next().unwrap();
        let end = format!("{place}.json");
        let found = recorded.iter().find(|it| {
            it.target.ends_with(&end) && it.target.contains(&format!("/workspaces/{workspace}/"))
        });
        let body: Value = serde_json::from_str(&found.unwrap().answer).unwrap();
        let body = body.as_object().unwrap().values().next().unwrap();
        let mut read: Map<String, Value> = Map::new();
        for key in READ {
            let is_read = key != "title" || matches!(kind, "wmslayer" | "wmtslayer");
            if let Some(value) = body.get(key).filter(|_| is_read) {
                read.insert(key.to_owned(), value.clone());
            }
        }
        let is_slope = table == "slope";
        for key in [
            "keywords",
            "metadata",
            "projectionPolicy",
            "simpleConversionEnabled",
        ] {
            let is_read = is_slope || (key == "keywords" && kind == "wmslayer");
            if let Some(value) = body.get(key).filter(|_| is_read) {
                read.insert(key.to_owned(), value.clone());
            }
        }
        let tables = all.entry(store.to_owned()).or_default();
        tables.push((table.to_owned(), Value::Object(read)));
    }
    // What else another server offers.
    let offered = ["deep_lakes", "heights_b", "lakes", "poles", "slope"];
    let others = all.get_mut("south:casc").unwrap();
    others.extend(offered.map(|it| (it.to_owned(), Value::Object(Map::new()))));
    all
}
