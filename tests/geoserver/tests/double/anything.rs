//! Whatever is asked in whatever order, there is an answer, and what is listed is there.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use weir_test_geoserver::{Document, GeoServer};

use crate::wire::Wire;

const WORKSPACES: [&str; 3] = ["a", "b", "c"];
const NAMES: [&str; 3] = ["x", "y", "z"];

fn pick(random: &mut StdRng, from: &[&'static str]) -> &'static str {
    from.choose(random).copied().unwrap()
}

/// Some call, sensible or not.
fn call(random: &mut StdRng) -> (&'static str, String, Value) {
    let (w, v) = (pick(random, &WORKSPACES), pick(random, &WORKSPACES));
    let (n, m, o) = (
        pick(random, &NAMES),
        pick(random, &NAMES),
        pick(random, &NAMES),
    );
    let method = pick(random, &["POST", "POST", "PUT", "PUT", "DELETE"]);
    let of = |collection: String| match method {
        "POST" => collection,
        "PUT" => format!("{collection}/{n}"),
        _ => format!("{collection}/{n}?recurse=true"),
    };
    let style = json!({"name": format!("{v}:{m}")});
    let published =
        json!([{"@type": "layer", "name": format!("{w}:{m}")}, {"@type": "layerGroup", "name": o}]);
    match random.random_range(0..10) {
        0 => (
            if method == "DELETE" { "DELETE" } else { "POST" },
            if method == "DELETE" {
                format!("workspaces/{w}?recurse={}", random.random::<bool>())
            } else {
                "workspaces".to_owned()
            },
            json!({"workspace": {"name": w}}),
        ),
        1 => (
            "PUT",
            format!("workspaces/{w}"),
            json!({"workspace": {"name": v}}),
        ),
        2 => (
            "PUT",
            "workspaces/default".to_owned(),
            json!({"workspace": {"name": v}}),
        ),
        3 => (
            method,
            of(format!("workspaces/{w}/datastores")),
            json!({"dataStore": {"name": m, "workspace": {"name": v}}}),
        ),
        4 | 5 => (
            method,
            of(format!("workspaces/{w}/datastores/{o}/featuretypes")),
            json!({"featureType": {"name": m, "namespace": {"name": v}}}),
        ),
        6 => (
            method,
            of("styles".to_owned()),
            json!({"style": {"name": m}}),
        ),
        7 => (
            method,
            of(format!("workspaces/{w}/styles")),
            json!({"style": {"name": m, "workspace": {"name": v}}}),
        ),
        8 => (
            if method == "POST" { "PUT" } else { method },
            format!("layers/{w}:{n}?recurse={}", random.random::<bool>()),
            json!({"layer": {"defaultStyle": style, "styles": {"style": [style]}}}),
        ),
        _ => (
            method,
            of("layergroups".to_owned()),
            json!({"layerGroup": {
                "name": if method == "PUT" { n } else { m },
                "publishables": {"published": published},
                "styles": {"style": [style, ""]},
            }}),
        ),
    }
}

#[tokio::test]
async fn what_is_there_can_be_read_after_anything() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let geoserver = GeoServer::start().await.unwrap();
        let mut wire = Wire::to(geoserver.url()).await;
        for _ in 0..300 {
            let (method, path, body) = call(&mut random);
            let body = body.to_string();
            wire.call(method, &format!("/rest/{path}"), &body).await;
        }
        let state = geoserver.state();
        for (path, document) in &state {
            let whole = match document {
                Document::Json(_) if path.starts_with("security") => continue,
                Document::Json(_) => format!("/rest/{path}.json"),
                Document::Xml(_) => format!("/{}.xml", path.replacen("gwc/", "gwc/rest/", 1)),
                Document::Bytes(_) => format!("/rest/{path}"),
            };
            let (status, answer) = wire.call("GET", &whole, "").await;
            assert_eq!(status, 200, "seed {seed}, {whole}: {answer}");
        }
        let left = state.keys().filter(|path| path.starts_with("layergroups/"));
        let groups: Vec<String> = left.cloned().collect();
        for workspace in WORKSPACES {
            let path = format!("/rest/workspaces/{workspace}?recurse=true");
            wire.call("DELETE", &path, "").await;
        }
        let state = geoserver.state();
        let left: Vec<&String> = state
            .keys()
            .filter(|path| path.contains("workspaces/") || path.contains("gwc/layers"))
            .collect();
        assert_eq!(left, [] as [&String; 0], "seed {seed}, with {groups:?}");
    }
}
