//! What was measured, line by line: what nothing becomes, and what is made of what belongs to
//! another workspace.

use serde_json::{Value, json};

use crate::lab::Lab;

/// What is emptied where, by which nothing, and what it is then; none is absent.
type Emptied = (
    &'static str,
    &'static str,
    &'static [&'static str],
    Option<Value>,
);

#[tokio::test]
async fn nothing_in_every_kind() {
    let mut lab = Lab::build().await;
    let all: &[&str] = &["\"\"", "{}", "null"];
    let zeros = || Some(json!({"minx": 0, "maxx": 0, "miny": 0, "maxy": 0}));
    let no_logo = || Some(json!({"logoWidth": 0, "logoHeight": 0}));
    let table: Vec<Emptied> = vec![
        (
            "layers/north:rivers",
            "styles",
            &["\"\"", "{}", "null", "{\"style\": []}"],
            None,
        ),
        ("layers/north:rivers", "metadata", all, None),
        ("layers/north:rivers", "path", all, Some("".into())),
        ("layers/north:rivers", "attribution", all, no_logo()),
        ("layers/north:rivers", "identifiers", all, None),
        (
            "layers/north:rivers",
            "queryable",
            &["null"],
            Some(false.into()),
        ),
        ("layergroups/g_single", "keywords", all, None),
        ("layergroups/g_single", "metadataLinks", all, None),
        ("layergroups/g_single", "metadata", all, None),
        ("layergroups/g_single", "title", all, Some("".into())),
        ("layergroups/g_single", "abstractTxt", all, Some("".into())),
        ("layergroups/g_single", "attribution", all, no_logo()),
        ("layergroups/g_single", "bounds", all, zeros()),
        (
            "layergroups/g_single",
            "internationalTitle",
            all,
            Some(json!({"en": "Single"})),
        ),
        (
            "styles/grpstyle",
            "legend",
            all,
            Some(json!({"width": 0, "height": 0})),
        ),
        (
            "workspaces/north/datastores/props",
            "description",
            all,
            Some("".into()),
        ),
        ("services/wms/settings", "title", all, Some("".into())),
        ("services/wms/settings", "maintainer", all, Some("".into())),
        ("services/wms/settings", "srs", all, None),
        ("services/wms/settings", "keywords", all, None),
        (
            "services/wms/settings",
            "watermark",
            all,
            Some(json!({"enabled": false, "transparency": 0})),
        ),
    ];
    for (path, key, nothings, expected) in table {
        let before = lab.wire.get(path).await;
        let root = before.as_object().unwrap().keys().next().unwrap().clone();
        for nothing in nothings {
            let body = format!("{{\"{root}\": {{\"{key}\": {nothing}}}}}");
            let (status, words) = lab.wire.call("PUT", &format!("/rest/{path}"), &body).await;
            assert_eq!(status, 200, "{path} {key}: {words}");
            let now = lab.wire.get(path).await;
            assert_eq!(
                now[&root].get(key),
                expected.as_ref(),
                "{path} {key}={nothing}"
            );
            lab.wire.does("PUT", path, &before).await;
        }
    }
    // What cannot be emptied.
    let style = lab.wire.get("layers/north:rivers").await["layer"]["defaultStyle"].clone();
    for nothing in [json!(""), json!({}), json!(null)] {
        let body = json!({"layer": {"defaultStyle": nothing}});
        lab.wire.does("PUT", "layers/north:rivers", &body).await;
        let now = lab.wire.get("layers/north:rivers").await;
        assert_eq!(now["layer"]["defaultStyle"], style);
    }
    let body = "{\"layer\": {\"defaultWMSInterpolationMethod\": null}}";
    let (status, _) = lab
        .wire
        .call("PUT", "/rest/layers/north:rivers", body)
        .await;
    assert_eq!(status, 500);
}

/// What is written to `alpha` and says that it belongs elsewhere; the status, and words of the answer.
/// A question mark stands for `workspaces/alpha`.
const FOREIGN: &str = r#"
POST ?/datastores {"dataStore": {"name": "props", "workspace": {"name": "north"}}}
  403 Expected workspace alpha but client specified north
POST ?/datastores {"dataStore": {"name": "props", "workspace": {"name": "ghost"}}}
  201 props
POST ?/coveragestores {"coverageStore": {"name": "heights", "workspace": {"name": "north"}}}
  500 Store 'heights' already exists in workspace 'north'
POST ?/coveragestores {"coverageStore": {"name": "heights", "workspace": {"name": "ghost"}}}
  500 Store must be part of a workspace
POST ?/coveragestores {"coverageStore": {"name": "heights", "workspace": {"name": "alpha"}}}
  201 heights
POST ?/datastores/props/featuretypes {"featureType": {"name": "rivers", "namespace": {"name": "north"}}}
  403 Expected workspace alpha
POST ?/datastores/props/featuretypes {"featureType": {"name": "rivers", "namespace": {"name": "ghost"}, "store": {"name": "north:props"}}}
  201
POST ?/coveragestores/heights/coverages {"coverage": {"name": "heights_b", "nativeName": "heights", "store": {"name": "north:heights"}}}
  500 already exists in store: 'heights'
POST ?/styles {"style": {"name": "w_icon", "workspace": {"name": "north"}}}
  201 w_icon
PUT ?/styles/w_icon {"style": {"workspace": {"name": "north"}}}
  500 Style named 'w_icon' already exists in workspace north
POST ?/layergroups {"layerGroup": {"name": "g", "workspace": {"name": "north"}, "publishables": {"published": {"@type": "layer", "name": "north:rivers"}}}}
  500 can not contain resources from other workspace: north
POST ?/layergroups {"layerGroup": {"name": "g", "publishables": {"published": {"@type": "layer", "name": "alpha:rivers"}}, "styles": {"style": {"name": "north:g_line"}}}}
  500 can not contain styles from other workspace: WorkspaceInfoImpl[north]
POST ?/layergroups {"layerGroup": {"name": "g", "publishables": {"published": {"@type": "layer", "name": "alpha:rivers"}}, "styles": {"style": {"name": "ghost:x"}}}}
  201 g
PUT ?/layergroups/g {"layerGroup": {"workspace": {"name": "north"}}}
  403
PUT layers/alpha:rivers {"layer": {"defaultStyle": {"name": "north:g_line", "workspace": "alpha"}}}
  200
"#;

#[tokio::test]
async fn what_belongs_to_another_workspace() {
    let mut lab = Lab::build().await;
    let alpha = json!({"namespace": {"prefix": "alpha", "uri": "urn:alpha"}});
    lab.wire.does("POST", "namespaces", &alpha).await;
    let neutral = json!({"workspace": {"name": "byns"}});
    lab.wire.does("PUT", "workspaces/default", &neutral).await;
    let lines: Vec<&str> = FOREIGN.trim().lines().collect();
    for pair in lines.chunks(2) {
        let mut call = pair[0].splitn(3, ' ');
        let (method, path) = (call.next().unwrap(), call.next().unwrap());
        let path = format!("/rest/{}", path.replace('?', "workspaces/alpha"));
        let body = call.next().unwrap();
        let expected = pair[1].trim();
        let (expected, words) = expected.split_once(' ').unwrap_or((expected, ""));
        let (status, said) = lab.wire.call(method, &path, body).await;
        assert_eq!(status.to_string(), expected, "{}: {said}", pair[0]);
        assert!(
            said.replace("&apos;", "'").contains(words),
            "{path}: {said}"
        );
    }
    let group = lab.wire.get("workspaces/alpha/layergroups/g").await;
    assert_eq!(group["layerGroup"]["styles"], json!({"style": ""}));
    // The name beats the workspace.
    let layer = lab.wire.get("layers/alpha:rivers").await;
    assert_eq!(layer["layer"]["defaultStyle"]["name"], "north:g_line");
    // The server knows the namespace of a new store, and says it again when it has another URI.
    let parameters = |store: &Value| store["dataStore"]["connectionParameters"].clone();
    let entry = |uri: &str| json!({"entry": {"@key": "namespace", "$": uri}});
    let store = lab.wire.get("workspaces/alpha/datastores/props").await;
    assert_eq!(parameters(&store), entry("urn:alpha"));
    let other = json!({"namespace": {"uri": "urn:beta"}});
    lab.wire.does("PUT", "namespaces/alpha", &other).await;
    let store = lab.wire.get("workspaces/alpha/datastores/props").await;
    assert_eq!(parameters(&store), entry("urn:beta"));
}

#[tokio::test]
async fn a_group_leaves_out_what_is_not_there() {
    let mut lab = Lab::build().await;
    let layer = |name: &str| json!({"@type": "layer", "name": name});
    let style = |name: &str| json!({"name": name});
    let group = json!({"layerGroup": {
        "name": "some",
        "publishables": {"published": [layer("north:none"), layer("north:rivers"), layer("ghost:x")]},
        "styles": {"style": [style("g_raw"), style("area"), ""]},
    }});
    lab.wire.does("POST", "layergroups", &group).await;
    let shown = lab.wire.get("layergroups/some").await;
    let (published, styles) = (
        &shown["layerGroup"]["publishables"]["published"],
        &shown["layerGroup"]["styles"]["style"],
    );
    assert_eq!(
        (&published["name"], &styles["name"]),
        (&json!("north:rivers"), &json!("area"))
    );
    // What is nested stays nested, and not in itself.
    let (status, _) = lab
        .wire
        .call("DELETE", "/rest/layergroups/g_single", "")
        .await;
    assert_eq!(status, 500);
    let circle = json!({"layerGroup": {"publishables": {"published": {"@type": "layerGroup", "name": "g_cont"}}}});
    let (status, _) = lab
        .wire
        .call("PUT", "/rest/layergroups/g_single", &circle.to_string())
        .await;
    assert_eq!(status, 500);
    // A workspace stays as long as one of its layers is the root of a group elsewhere.
    let path = "/rest/workspaces/north?recurse=true";
    let (status, words) = lab.wire.call("DELETE", path, "").await;
    assert_eq!(
        (status, words.as_str()),
        (
            500,
            "Unable to delete layer referenced by layer group 'g_eo'"
        )
    );
}

#[tokio::test]
async fn a_style_that_goes_is_replaced() {
    let mut lab = Lab::build().await;
    for path in ["styles/g_line2", "workspaces/north/styles/g_line"] {
        let (status, _) = lab.wire.call("DELETE", &format!("/rest/{path}"), "").await;
        assert_eq!(status, 403, "{path}");
    }
    lab.wire
        .does(
            "DELETE",
            "workspaces/north/styles/g_line?recurse=true&purge=true",
            &json!(null),
        )
        .await;
    let layer = lab.wire.get("layers/north:rivers").await;
    assert_eq!(layer["layer"]["defaultStyle"]["name"], "se_line");
    let file = "/rest/resource/workspaces/north/styles/g_line.sld";
    assert_eq!(lab.wire.call("GET", file, "").await.0, 404);
    // Now the bare name is the global one, also for who removes it.
    lab.wire
        .does("DELETE", "styles/g_line?recurse=true", &json!(null))
        .await;
    assert_eq!(
        lab.wire
            .call("GET", "/rest/resource/styles/g_line.sld", "")
            .await
            .0,
        200
    );
}

#[tokio::test]
async fn what_a_change_counts() {
    let mut lab = Lab::build().await;
    // Method, path, body, and by how much the sequence moves.
    let table = [
        ("PUT", "/rest/layers/north:rivers", json!({"layer": {}}), 1),
        ("PUT", "/rest/workspaces/north", json!({"workspace": {}}), 2),
        (
            "PUT",
            "/rest/namespaces/north",
            json!({"namespace": {"uri": "urn:other"}}),
            3,
        ),
        (
            "PUT",
            "/rest/namespaces/north",
            json!({"namespace": {"uri": "urn:other"}}),
            2,
        ),
        (
            "PUT",
            "/rest/workspaces/default",
            json!({"workspace": {"name": "south"}}),
            2,
        ),
        ("PUT", "/rest/styles/area", json!({"style": {}}), 1),
        (
            "PUT",
            "/rest/layergroups/g_single",
            json!({"layerGroup": {}}),
            1,
        ),
        (
            "PUT",
            "/rest/workspaces/north/datastores/props",
            json!({"dataStore": {}}),
            1,
        ),
        (
            "PUT",
            "/rest/settings/contact",
            json!({"contact": {"contactPerson": "N"}}),
            1,
        ),
        ("PUT", "/rest/services/wms/settings", json!({"wms": {}}), 1),
        (
            "PUT",
            "/rest/workspaces/north/settings",
            json!({"settings": {}}),
            1,
        ),
        ("PUT", "/rest/logging", json!({"logging": {}}), 0),
        ("PUT", "/rest/resource/styles/area.sld", json!({}), 0),
        ("PUT", "/rest/templates/footer.ftl", json!({}), 0),
        (
            "POST",
            "/rest/security/acl/layers",
            json!({"north.*.r": "ADMIN"}),
            0,
        ),
        ("POST", "/rest/reset", json!(null), 0),
        (
            "DELETE",
            "/gwc/rest/layers/north:rivers.xml",
            json!(null),
            0,
        ),
    ];
    for (method, path, body, by) in table {
        let sequence = |global: &Value| global["global"]["updateSequence"].as_i64().unwrap();
        let before = sequence(&lab.wire.get("settings").await);
        let (status, words) = lab.wire.call(method, path, &body.to_string()).await;
        assert!(status < 300, "{path}: {status} {words}");
        assert_eq!(
            sequence(&lab.wire.get("settings").await) - before,
            by,
            "{path}"
        );
    }
    let before = lab.wire.get("settings").await;
    lab.wire.does("POST", "reload", &json!(null)).await;
    assert_ne!(lab.wire.get("settings").await, before);
}
