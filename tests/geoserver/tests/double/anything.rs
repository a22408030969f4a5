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
    let workspace = pick(random, &WORKSPACES);
    let other = pick(random, &WORKSPACES);
    let (name, said, store) = (
        pick(random, &NAMES),
        pick(random, &NAMES),
        pick(random, &NAMES),
    );
    let method = pick(random, &["POST", "POST", "PUT", "PUT", "DELETE"]);
    let within = format!("workspaces/{workspace}");
    let of = |collection: String| match method {
        "POST" => collection,
        "PUT" => format!("{collection}/{name}"),
        _ => format!("{collection}/{name}?recurse=true"),
    };
    let style = json!({"name": format!("{other}:{said}")});
    let layer = json!({"@type": "layer", "name": format!("{workspace}:{said}")});
    let group = json!({"@type": "layerGroup", "name": store});
    match random.random_range(0..11) {
        0 => {
            let body = json!({"workspace": {"name": workspace}});
            ("POST", "workspaces".to_owned(), body)
        }
        1 => {
            let path = format!("{within}?recurse={}", random.random::<bool>());
            ("DELETE", path, Value::Null)
        }
        2 => ("PUT", within, json!({"workspace": {"name": other}})),
        3 => {
            let body = json!({"workspace": {"name": other}});
            ("PUT", "workspaces/default".to_owned(), body)
        }
        4 => {
            let body = json!({"dataStore": {"name": said, "workspace": {"name": other}}});
            (method, of(format!("{within}/datastores")), body)
        }
        5 | 6 => {
            let body = json!({"featureType": {"name": said, "namespace": {"name": other}}});
            let collection = format!("{within}/datastores/{store}/featuretypes");
            (method, of(collection), body)
        }
        7 => {
            let body = json!({"style": {"name": said}});
            (method, of("styles".to_owned()), body)
        }
        8 => {
            let body = json!({"style": {"name": said, "workspace": {"name": other}}});
            (method, of(format!("{within}/styles")), body)
        }
        9 => {
            let recurse = random.random::<bool>();
            let path = format!("layers/{workspace}:{name}?recurse={recurse}");
            let body = json!({"layer": {"defaultStyle": style, "styles": {"style": [style]}}});
            (if method == "POST" { "PUT" } else { method }, path, body)
        }
        _ => {
            let body = json!({"layerGroup": {
                "name": if method == "PUT" { name } else { said },
                "publishables": {"published": [layer, group]},
                "styles": {"style": [style, ""]},
            }});
            (method, of("layergroups".to_owned()), body)
        }
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
