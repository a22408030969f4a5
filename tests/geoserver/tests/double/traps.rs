//! What a client of GeoServer falls into, call by call.

use serde_json::{Value, json};
use weir_test_geoserver::GeoServer;

use crate::wire::Wire;

/// Two workspaces, `north` being the default one, with a layer `rivers` in each.
async fn two() -> (GeoServer, Wire) {
    let geoserver = GeoServer::start().await.unwrap();
    let mut wire = Wire::to(geoserver.url()).await;
    for name in ["north", "south"] {
        let body = json!({"namespace": {"prefix": name, "uri": format!("urn:{name}")}});
        wire.does("POST", "namespaces", &body).await;
        let stores = format!("workspaces/{name}/datastores");
        let parameters = json!({"entry": {"@key": "directory", "$": "file:data"}});
        let body = json!({"dataStore": {"name": "props", "connectionParameters": parameters}});
        wire.does("POST", &stores, &body).await;
        publish(&mut wire, name, "rivers").await;
    }
    (geoserver, wire)
}

async fn publish(wire: &mut Wire, workspace: &str, name: &str) {
    let path = format!("workspaces/{workspace}/datastores/props/featuretypes");
    let body = json!({"featureType": {"name": name}});
    wire.does("POST", &path, &body).await;
}

async fn style(wire: &mut Wire, path: &str, name: &str) {
    let body = json!({"style": {"name": name}});
    wire.does("POST", path, &body).await;
}

#[tokio::test]
async fn t1_below_its_workspace_a_layer_is_filled_from_another() {
    let (_geoserver, mut wire) = two().await;
    let path = json!({"layer": {"path": "/water"}});
    wire.does("PUT", "layers/north:rivers", &path).await;
    let nothing = json!({"layer": {}});
    wire.does("PUT", "layers/south:rivers", &nothing).await;
    let south = wire.get("layers/south:rivers").await;
    assert_eq!(south.pointer("/layer/path"), None);
    wire.does("PUT", "workspaces/south/layers/rivers", &nothing)
        .await;
    assert_eq!(
        wire.get("layers/south:rivers").await["layer"]["path"],
        "/water"
    );
}

#[tokio::test]
async fn t2_bare_styles_are_the_default_workspaces_first() {
    let (_geoserver, mut wire) = two().await;
    style(&mut wire, "styles", "blue").await;
    style(&mut wire, "workspaces/north/styles", "blue").await;
    let set = |style: Value| json!({"layer": {"defaultStyle": style}});
    let layer = "layers/south:rivers";
    wire.does("PUT", layer, &set(json!({"name": "blue"}))).await;
    let shown = wire.get(layer).await;
    assert_eq!(shown["layer"]["defaultStyle"]["name"], "north:blue");
    // By its id, it is the global one.
    let (_, file) = wire.call("GET", "/rest/resource/styles/blue.xml", "").await;
    let id = file
        .split("<id>")
        .nth(1)
        .unwrap()
        .split("</id>")
        .next()
        .unwrap();
    wire.does("PUT", layer, &set(json!({ "id": id }))).await;
    assert_eq!(
        wire.get(layer).await["layer"]["defaultStyle"]["name"],
        "blue"
    );
}

#[tokio::test]
async fn t3_a_global_style_is_not_the_one_that_is_removed() {
    let (_geoserver, mut wire) = two().await;
    style(&mut wire, "styles", "blue").await;
    style(&mut wire, "workspaces/north/styles", "blue").await;
    wire.does("DELETE", "styles/blue", &json!(null)).await;
    wire.get("styles/blue").await;
    let (status, _) = wire
        .call("GET", "/rest/workspaces/north/styles/blue.json", "")
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn t4_a_group_that_is_not_there_is_the_default_workspaces() {
    let (_geoserver, mut wire) = two().await;
    let published = json!({"published": {"@type": "layer", "name": "north:rivers"}});
    let group = json!({"layerGroup": {"name": "all", "publishables": published}});
    wire.does("POST", "workspaces/north/layergroups", &group)
        .await;
    let shown = wire.get("layergroups/all").await;
    assert_eq!(shown["layerGroup"]["workspace"]["name"], "north");
    let (status, _) = wire.call("DELETE", "/rest/layergroups/all", "").await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn t5_the_sequence_is_the_bodys() {
    let (_geoserver, mut wire) = two().await;
    let mut global = wire.get("settings").await;
    let now = global["global"]["updateSequence"].as_i64().unwrap();
    assert!(now > 5, "{now}");
    global["global"]["updateSequence"] = json!(5);
    wire.does("PUT", "settings", &global).await;
    assert_eq!(
        wire.get("settings").await["global"]["updateSequence"],
        json!(6)
    );
    global["global"]
        .as_object_mut()
        .unwrap()
        .remove("updateSequence");
    wire.does("PUT", "settings", &global).await;
    assert_eq!(
        wire.get("settings").await["global"]["updateSequence"],
        json!(1)
    );
    let (status, _) = wire.call("PUT", "/rest/settings", "{\"global\": {}}").await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn t6_an_empty_style_in_xml_breaks_a_group() {
    let (_geoserver, mut wire) = two().await;
    let layer = "<published type=\"layer\"><name>north:rivers</name></published>";
    let styles = "<styles><style/></styles>";
    let group = format!(
        "<layerGroup><name>g</name><publishables>{layer}</publishables>{styles}</layerGroup>"
    );
    assert_eq!(wire.call("POST", "/rest/layergroups", &group).await.0, 201);
    wire.get("layergroups/g").await;
    assert_eq!(wire.call("PUT", "/rest/layergroups/g", &group).await.0, 200);
    let (status, words) = wire.call("GET", "/rest/layergroups/g.json", "").await;
    assert_eq!(
        (status, words.as_str()),
        (500, "Unable to marshal reference with no id or name.")
    );
    let repair = json!({"layerGroup": {"styles": {"style": ""}}});
    wire.does("PUT", "layergroups/g", &repair).await;
    wire.get("layergroups/g").await;
}

#[tokio::test]
async fn t7_wms_layers_are_changed_in_their_workspace_only() {
    let (_geoserver, mut wire) = two().await;
    let store = json!({"wmsStore": {"name": "far", "capabilitiesURL": "http://far.test/wms"}});
    wire.does("POST", "workspaces/north/wmsstores", &store)
        .await;
    let layer = json!({"wmsLayer": {"name": "roads"}});
    wire.does("POST", "workspaces/north/wmsstores/far/wmslayers", &layer)
        .await;
    let path = "/rest/workspaces/north/wmsstores/far/wmslayers/roads";
    let (status, words) = wire.call("PUT", path, &layer.to_string()).await;
    assert_eq!(status, 500);
    assert!(words.contains("UnsupportedOperationException"), "{words}");
    wire.does("PUT", "workspaces/north/wmslayers/roads", &layer)
        .await;
}

#[tokio::test]
async fn t8_the_workspace_in_a_body_wins_or_moves() {
    let (_geoserver, mut wire) = two().await;
    let store = |name: &str, workspace: &str| json!({"coverageStore": {"name": name, "type": "GeoTIFF", "workspace": {"name": workspace}, "url": "file:x.tif"}});
    wire.does(
        "POST",
        "workspaces/north/coveragestores",
        &store("dem", "south"),
    )
    .await;
    wire.get("workspaces/south/coveragestores/dem").await;
    let more = json!({"dataStore": {"name": "more"}});
    wire.does("POST", "workspaces/north/datastores", &more)
        .await;
    let lakes = json!({"featureType": {"name": "lakes"}});
    let path = "workspaces/north/datastores/more";
    wire.does("POST", &format!("{path}/featuretypes"), &lakes)
        .await;
    let moved = json!({"dataStore": {"workspace": {"name": "south"}}});
    wire.does("PUT", path, &moved).await;
    wire.get("workspaces/south/datastores/more/featuretypes/lakes")
        .await;
    wire.get("layers/south:lakes").await;
    style(&mut wire, "workspaces/north/styles", "blue").await;
    let moved = json!({"style": {"workspace": {"name": "south"}}});
    wire.does("PUT", "workspaces/north/styles/blue", &moved)
        .await;
    wire.get("workspaces/south/styles/blue").await;
    let body = json!({"dataStore": {"name": "x", "workspace": {"name": "north"}}}).to_string();
    let (status, words) = wire
        .call("POST", "/rest/workspaces/south/datastores", &body)
        .await;
    assert_eq!(status, 403);
    assert!(
        words.contains("Expected workspace south but client specified north"),
        "{words}"
    );
}

#[tokio::test]
async fn t9_cipher_text_is_the_nodes_own() {
    let (geoserver, mut wire) = two().await;
    let (_other, mut elsewhere) = two().await;
    let store = json!({"dataStore": {"name": "pg", "connectionParameters": {"entry": [
        {"@key": "dbtype", "$": "postgis"}, {"@key": "passwd", "$": "geheim"}]}}});
    wire.does("POST", "workspaces/north/datastores", &store)
        .await;
    let path = "workspaces/north/datastores/pg";
    let (first, second) = (wire.get(path).await, wire.get(path).await);
    let passwd = |store: &Value| {
        let entries = store["dataStore"]["connectionParameters"]["entry"]
            .as_array()
            .unwrap();
        let entry = entries.iter().find(|it| it["@key"] == "passwd");
        entry.map(|it| it["$"].as_str().unwrap().to_owned())
    };
    assert!(passwd(&first).unwrap().starts_with("crypt1:"));
    assert_ne!(passwd(&first), passwd(&second));
    let stores = "/rest/workspaces/north/datastores";
    let (status, words) = elsewhere.call("POST", stores, &first.to_string()).await;
    assert_eq!(status, 500);
    assert!(words.contains("jasypt"), "{words}");
    assert_eq!(
        elsewhere
            .call("GET", &format!("{stores}/pg.json"), "")
            .await
            .0,
        404
    );
    // Its own is understood.
    wire.does("PUT", path, &first).await;
    let kept = format!("{:?}", geoserver.state());
    assert!(
        kept.contains("geheim") && !kept.contains("crypt1:"),
        "{kept}"
    );
    // Parameters replace all.
    let without = json!({"dataStore": {"connectionParameters": {"entry": [
        {"@key": "dbtype", "$": "postgis"}, {"@key": "host", "$": "db"}]}}});
    wire.does("PUT", path, &without).await;
    assert_eq!(passwd(&wire.get(path).await), None);
}

#[tokio::test]
async fn t12_a_workspace_may_be_made_without_a_namespace() {
    let (_geoserver, mut wire) = two().await;
    let (status, words) = wire
        .call(
            "POST",
            "/rest/workspaces",
            "{\"workspace\": {\"name\": \"a b\"}}",
        )
        .await;
    assert_eq!(status, 500);
    assert!(words.contains("Invalid URI syntax"), "{words}");
    wire.get("workspaces/a%20b").await;
    assert_eq!(
        wire.call("GET", "/rest/namespaces/a%20b.json", "").await.0,
        404
    );
    let repair = json!({"namespace": {"prefix": "a b", "uri": "urn:ab"}});
    wire.does("POST", "namespaces", &repair).await;
    wire.get("namespaces/a%20b").await;
}

#[tokio::test]
async fn t14_what_is_new_is_enabled() {
    let (_geoserver, mut wire) = two().await;
    let path = "workspaces/north/datastores/props/featuretypes";
    let off = json!({"featureType": {"name": "lakes", "enabled": false}});
    wire.does("POST", path, &off).await;
    let lakes = format!("{path}/lakes");
    assert_eq!(wire.get(&lakes).await["featureType"]["enabled"], true);
    wire.does("PUT", &lakes, &off).await;
    assert_eq!(wire.get(&lakes).await["featureType"]["enabled"], false);
    let off = json!({"dataStore": {"name": "off", "enabled": false}});
    wire.does("POST", "workspaces/north/datastores", &off).await;
    let store = wire.get("workspaces/north/datastores/off").await;
    assert_eq!(store["dataStore"]["enabled"], true);
}

#[tokio::test]
async fn t15_a_layer_loses_what_is_not_said() {
    let (_geoserver, mut wire) = two().await;
    let whole = json!({"layer": {
        "authorityURLs": {"AuthorityURL": [{"name": "a", "href": "http://a.test/"}]},
        "identifiers": {"Identifier": [{"authority": "a", "identifier": "1"}]},
        "metadata": {"entry": [{"@key": "k", "$": "v"}]},
    }});
    let path = "layers/north:rivers";
    wire.does("PUT", path, &whole).await;
    assert_eq!(
        wire.get(path).await["layer"]["identifiers"]["Identifier"]["identifier"],
        1
    );
    wire.does("PUT", path, &json!({"layer": {"queryable": false}}))
        .await;
    let layer = wire.get(path).await;
    let keys =
        ["authorityURLs", "identifiers", "metadata"].map(|it| layer["layer"].get(it).is_some());
    assert_eq!(keys, [false, false, true]);
}

#[tokio::test]
async fn t17_settings_that_are_not_there_are_shown() {
    let (_geoserver, mut wire) = two().await;
    let path = "workspaces/north/settings";
    assert_eq!(wire.get(path).await["settings"].get("workspace"), None);
    let whole = json!({"settings": {"contact": {"contactPerson": "Nora"}, "verbose": true}});
    wire.does("PUT", path, &whole).await;
    assert_eq!(
        wire.get(path).await["settings"]["workspace"]["name"],
        "north"
    );
    wire.does("PUT", path, &json!({"settings": {"numDecimals": 7}}))
        .await;
    let settings = wire.get(path).await;
    assert_eq!(settings["settings"].get("contact"), None);
    assert_eq!(settings["settings"]["verbose"], false);
}

#[tokio::test]
async fn nothing_becomes_what_geoserver_makes_of_it() {
    let (_geoserver, mut wire) = two().await;
    let path = "workspaces/north/datastores/props/featuretypes/rivers";
    let whole = json!({"featureType": {
        "keywords": {"string": ["a", "b"]}, "cqlFilter": "a = 1", "abstract": "x",
        "internationalTitle": {"en": "Rivers"}, "responseSRS": {"string": ["4326"]},
    }});
    for nothing in [json!(""), json!({}), json!(null)] {
        wire.does("PUT", path, &whole).await;
        let rich = wire.get(path).await;
        assert_eq!(rich["featureType"]["responseSRS"], json!({"string": 4326}));
        // This is no way to empty anything.
        let ignored = json!({"featureType": {"keywords": [], "cqlFilter": [], "abstract": []}});
        wire.does("PUT", path, &ignored).await;
        assert_eq!(wire.get(path).await, rich);
        let emptied = json!({"featureType": {
            "keywords": nothing, "cqlFilter": nothing, "abstract": nothing,
            "internationalTitle": nothing, "responseSRS": nothing, "nativeBoundingBox": nothing,
        }});
        wire.does("PUT", path, &emptied).await;
        let now = wire.get(path).await;
        let of = |key: &str| now["featureType"].get(key).cloned();
        assert_eq!(
            (of("keywords"), of("responseSRS")),
            (None, None),
            "{nothing}"
        );
        assert_eq!(
            (of("cqlFilter"), of("abstract")),
            (Some("".into()), Some("".into()))
        );
        assert_eq!(of("internationalTitle"), Some(json!({"en": "Rivers"})));
        let zeros = json!({"minx": 0, "maxx": 0, "miny": 0, "maxy": 0});
        assert_eq!(of("nativeBoundingBox"), Some(zeros));
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_made() {
    let (geoserver, mut wire) = two().await;
    let path = "/rest/workspaces/north/datastores/props/featuretypes";
    let bare = json!({"featureType": {"name": "missing_lakes"}}).to_string();
    assert_eq!(wire.call("POST", path, &bare).await.0, 400);
    assert_eq!(geoserver.tables_created(), [] as [String; 0]);
    let attributes =
        json!({"attribute": [{"name": "geom", "binding": "org.locationtech.jts.geom.Point"}]});
    let whole = json!({"featureType": {"name": "missing_lakes", "attributes": attributes}});
    assert_eq!(wire.call("POST", path, &whole.to_string()).await.0, 201);
    assert_eq!(geoserver.tables_created(), ["north:props/missing_lakes"]);
}

#[tokio::test]
async fn a_workspace_takes_everything_with_it() {
    let (geoserver, mut wire) = two().await;
    style(&mut wire, "workspaces/north/styles", "blue").await;
    let blue = json!({"layer": {"defaultStyle": {"name": "north:blue"}}});
    wire.does("PUT", "layers/north:rivers", &blue).await;
    let published = json!({"published": {"@type": "layer", "name": "north:rivers"}});
    let group = json!({"layerGroup": {"name": "all", "publishables": published}});
    wire.does("POST", "layergroups", &group).await;
    let name = json!({"workspace": {"name": "nordic"}});
    wire.does("PUT", "workspaces/north", &name).await;
    assert_eq!(
        wire.get("layers/nordic:rivers").await["layer"]["defaultStyle"]["name"],
        "nordic:blue"
    );
    let group = wire.get("layergroups/all").await;
    assert_eq!(
        group["layerGroup"]["publishables"]["published"]["name"],
        "nordic:rivers"
    );
    let (status, _) = wire
        .call("GET", "/gwc/rest/layers/nordic:rivers.xml", "")
        .await;
    assert_eq!(status, 200);
    let left: Vec<String> = geoserver
        .state()
        .into_keys()
        .filter(|it| it.contains("north"))
        .collect();
    assert_eq!(left, [] as [String; 0]);
    // What is used is not removed, unless all goes.
    for (path, status) in [
        ("workspaces/nordic", 403),
        ("workspaces/nordic/datastores/props", 403),
        (
            "workspaces/nordic/datastores/props/featuretypes/rivers",
            403,
        ),
        ("layers/nordic:rivers", 500),
        ("workspaces/nordic/styles/blue", 403),
        ("namespaces/nordic", 401),
    ] {
        assert_eq!(
            wire.call("DELETE", &format!("/rest/{path}"), "").await.0,
            status,
            "{path}"
        );
    }
    wire.does("DELETE", "workspaces/nordic?recurse=true", &json!(null))
        .await;
    let left: Vec<String> = geoserver
        .state()
        .into_keys()
        .filter(|it| it.contains("nordic"))
        .collect();
    assert_eq!(left, [] as [String; 0]);
    assert_eq!(
        wire.call("GET", "/rest/layergroups/all.json", "").await.0,
        404
    );
}

#[tokio::test]
async fn references_follow_a_rename() {
    let (_geoserver, mut wire) = two().await;
    style(&mut wire, "styles", "blue").await;
    let (status, _) = wire
        .call("PUT", "/rest/resource/styles/blue.sld", "<sld/>")
        .await;
    assert_eq!(status, 201);
    let blue = json!({"layer": {"defaultStyle": {"name": "blue"}}});
    wire.does("PUT", "layers/south:rivers", &blue).await;
    let published = json!({"published": {"@type": "layer", "name": "south:rivers"}});
    let group = json!({"layerGroup": {"name": "all", "publishables": published}});
    wire.does("POST", "layergroups", &group).await;
    let renamed = json!({"style": {"name": "azure"}});
    wire.does("PUT", "styles/blue", &renamed).await;
    let renamed = json!({"dataStore": {"name": "files"}});
    wire.does("PUT", "workspaces/south/datastores/props", &renamed)
        .await;
    let renamed = json!({"featureType": {"name": "streams"}});
    let path = "workspaces/south/datastores/files/featuretypes";
    wire.does("PUT", &format!("{path}/rivers"), &renamed).await;
    // Of a layer itself the name is ignored.
    let renamed = json!({"layer": {"name": "other"}});
    wire.does("PUT", "layers/south:streams", &renamed).await;
    let layer = wire.get("layers/south:streams").await;
    assert_eq!(layer["layer"]["defaultStyle"]["name"], "azure");
    assert_eq!(
        wire.get("styles/azure").await["style"]["filename"],
        "azure.sld"
    );
    let (status, body) = wire
        .call("GET", "/rest/resource/styles/azure.sld", "")
        .await;
    assert_eq!((status, body.as_str()), (200, "<sld/>"));
    let group = wire.get("layergroups/all").await;
    assert_eq!(
        group["layerGroup"]["publishables"]["published"]["name"],
        "south:streams"
    );
    assert_eq!(
        wire.call("GET", "/gwc/rest/layers/south:streams.xml", "")
            .await
            .0,
        200
    );
    for (path, body) in [
        ("namespaces/south", json!({"namespace": {"prefix": "syd"}})),
        ("layergroups/all", json!({"layerGroup": {"name": "none"}})),
    ] {
        let (status, _) = wire
            .call("PUT", &format!("/rest/{path}"), &body.to_string())
            .await;
        assert_eq!(status, 403, "{path}");
    }
}
