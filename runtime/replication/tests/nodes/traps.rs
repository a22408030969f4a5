//! What GeoServer does that nobody expects, and a slave that comes out right.

use serde_json::{Value, json};
use weir_event::{Action, Event, Kind, RestContent};
use weir_geoserver::{Object, Scope, StoreKind};

use crate::changes::{
    Change as C, feature_type, group, hint, layer, name, store, style, workspace,
};
use crate::rig::Rig;

const NOTHING: [&str; 0] = [];

/// A pair of which the slave has what these changes made of the master.
pub(crate) async fn pair(changes: &[C]) -> Rig {
    let mut rig = Rig::patient("").await;
    rig.make(changes).await;
    assert_eq!(rig.differences(), NOTHING);
    rig
}

/// A workspace with a store and a layer.
pub(crate) fn north() -> Vec<C> {
    vec![
        C::Workspace("wa", false),
        C::Store("wa", "s1", 1),
        C::Type("wa", "s1", "f1", 1),
    ]
}

/// The same and more, in another one.
fn south() -> [C; 3] {
    [
        C::Workspace("wb", false),
        C::Store("wb", "s1", 1),
        C::Type("wb", "s1", "f1", 2),
    ]
}

impl Rig {
    /// Sets something at the master, and tells it.
    async fn set(&mut self, object: &Object, body: Value, hint: Event) -> Vec<String> {
        match self.node.get(object).await {
            Ok(_) => self.node.change(object, &body).await.unwrap(),
            Err(_) => self.node.create(object, &body).await.unwrap(),
        }
        self.tell(&[hint]).await
    }
}

fn told(kind: Kind, workspace: &str, name: &str) -> Event {
    hint(Action::Modified, kind, Some(workspace), Some(name))
}

#[tokio::test]
async fn t1_a_layer_is_not_filled_from_its_namesake() {
    let mut rig = pair(&north()).await;
    rig.make(&south()).await;
    rig.make(&[
        C::Layer("wa", "f1", vec![(None, "line")], 1),
        C::Layer("wb", "f1", vec![(None, "point")], 0),
    ])
    .await;
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn t2_t3_styles_of_the_default_workspace_are_not_the_global_ones() {
    let mut rig = pair(&north()).await;
    rig.make(&[
        C::Default("wa"),
        C::Style(None, "n1", 1),
        C::Style(Some("wa"), "n1", 2),
        C::Style(None, "n2", 1),
        C::Style(Some("wa"), "n2", 2),
    ])
    .await;
    // A layer that the master has given global styles while another workspace was the default one.
    rig.make(&south()).await;
    rig.make(&[
        C::Default("wb"),
        C::Layer("wa", "f1", vec![(None, "n1"), (None, "n2")], 1),
    ])
    .await;
    let frames = rig.frames(&[told(Kind::Layer, "wa", "f1")]).await;
    rig.make(&[
        C::Default("wa"),
        C::Layer("wa", "f1", vec![(Some("wa"), "n1")], 1),
    ])
    .await;
    assert_eq!(rig.give(&frames).await, NOTHING);
    let shown = rig.at_slave(&layer("wa", "f1")).await;
    assert_eq!(shown["layer"]["defaultStyle"]["name"], "n1");
    assert_eq!(shown["layer"]["styles"]["style"]["name"], "n2");
    assert_eq!(rig.tell(&[told(Kind::Layer, "wa", "f1")]).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
    // To remove the global one would remove the other.
    rig.node
        .change(
            &Object::DefaultWorkspace,
            &json!({"workspace": {"name": "wb"}}),
        )
        .await
        .unwrap();
    let removed = C::RemoveStyle(None, "n2")
        .make(&rig.master, &rig.node)
        .await;
    let refused = rig.tell(&removed).await;
    assert!(refused[0].contains("default workspace"), "{refused:?}");
    rig.at_slave(&style(Some("wa"), "n2")).await;
    rig.at_slave(&style(None, "n2")).await;
}

#[tokio::test]
async fn t4_a_group_of_the_default_workspace_is_not_the_global_one() {
    let mut rig = pair(&north()).await;
    rig.make(&[
        C::Default("wa"),
        C::Group(Some("wa"), "g1", vec![(Some("wa"), "f1")], 1),
        C::Group(None, "g1", vec![(Some("wa"), "f1"), (Some("wa"), "f1")], 2),
    ])
    .await;
    assert_eq!(rig.differences(), NOTHING);
    rig.make(&[C::RemoveGroup(None, "g1")]).await;
    assert_eq!(rig.differences(), NOTHING);
    let removed = hint(Action::Removed, Kind::LayerGroup, None, Some("g1"));
    assert_eq!(rig.tell(&[removed]).await, NOTHING);
    rig.at_slave(&group(Some("wa"), "g1")).await;
}

#[tokio::test]
async fn t5_t10_what_a_node_counts_and_locks_with_is_its_own() {
    let mut rig = pair(&north()).await;
    let settings = Object::Settings(Scope::Global);
    let before = rig.at_slave(&settings).await;
    let mut body = rig.node.get(&settings).await.unwrap();
    body["global"]["updateSequence"] = 4000.into();
    body["global"]["lockProviderName"] = "fileLockProvider".into();
    body["global"]["numDecimals"] = 3.into();
    body["global"]["settings"]["numDecimals"] = 3.into();
    let global = hint(Action::Modified, Kind::Global, None, None);
    assert_eq!(rig.set(&settings, body, global).await, NOTHING);
    let after = rig.at_slave(&settings).await;
    let of = |document: &Value, key: &str| document["global"][key].clone();
    let sequence = |document: &Value| of(document, "updateSequence").as_i64().unwrap();
    assert_eq!(sequence(&after), sequence(&before) + 1);
    assert_eq!(
        of(&after, "lockProviderName"),
        of(&before, "lockProviderName")
    );
    assert_eq!(after["global"]["settings"]["numDecimals"], 3);
}

/// A store of another server, and a layer of it.
async fn cascade(rig: &mut Rig, password: &str) -> (Vec<String>, Object) {
    let wms = Object::Store {
        kind: StoreKind::Wms,
        workspace: workspace("wa"),
        name: name("far"),
    };
    let mut body = json!({"wmsStore": {"name": "far", "type": "WMS", "enabled": true,
        "capabilitiesURL": "http://127.0.0.1:1/wms", "user": "me"}});
    if !password.is_empty() {
        body["wmsStore"]["password"] = password.into();
    }
    let refused = rig.set(&wms, body, told(Kind::WmsStore, "wa", "far")).await;
    (refused, wms)
}

#[tokio::test]
async fn t7_a_cascaded_layer_is_changed_where_it_can_be() {
    let mut rig = pair(&north()).await;
    assert_eq!(cascade(&mut rig, "").await.0, NOTHING);
    let layer = Object::Resource {
        kind: StoreKind::Wms,
        workspace: workspace("wa"),
        store: name("far"),
        name: name("rivers"),
    };
    for title in ["one", "two"] {
        let body = json!({"wmsLayer": {"name": "rivers", "nativeName": "rivers", "title": title}});
        let hint = told(Kind::WmsLayer, "wa", "rivers");
        assert_eq!(rig.set(&layer, body, hint).await, NOTHING);
        assert_eq!(rig.differences(), NOTHING);
    }
}

#[tokio::test]
async fn t8_nothing_lands_in_the_workspace_that_the_master_means() {
    let mut rig = Rig::patient("eu_").await;
    // The slave has one of that name, which is somebody's own.
    let own = crate::ends::node(&rig.slave);
    let body = json!({"namespace": {"prefix": "wa", "uri": "urn:own"}});
    own.create(&Object::Namespace(workspace("wa")), &body)
        .await
        .unwrap();
    rig.make(&north()).await;
    rig.make(&[
        C::Style(Some("wa"), "n1", 1),
        C::Layer("wa", "f1", vec![(Some("wa"), "n1")], 2),
    ])
    .await;
    let coverages = Object::Store {
        kind: StoreKind::Coverage,
        workspace: workspace("wa"),
        name: name("heights"),
    };
    for enabled in [false, true] {
        let body = json!({"coverageStore": {"name": "heights", "type": "GeoTIFF",
            "enabled": enabled, "workspace": {"name": "wa"}, "url": "file:data/heights.tif"}});
        let hint = told(Kind::CoverageStore, "wa", "heights");
        assert_eq!(rig.set(&coverages, body, hint).await, NOTHING);
    }
    let state = rig.slave.state();
    let own = state
        .keys()
        .filter(|path| path.starts_with("workspaces/wa/"));
    assert_eq!(own.collect::<Vec<_>>(), NOTHING);
    let left = rig.differences();
    // That one, and that it is the default one.
    let is_own = |it: &String| {
        it.starts_with("namespaces/wa ")
            || it.starts_with("workspaces/wa ")
            || it.starts_with("workspaces/default")
    };
    assert!(left.iter().all(is_own), "{left:?}");
}

#[tokio::test]
async fn t9_secrets_are_the_slaves_own() {
    let mut rig = pair(&north()).await;
    let foreign = "is cipher text that only the master can read: have a stage of the slave set it, \
        or set it at the slave once";
    let (refused, wms) = cascade(&mut rig, "hunter2").await;
    assert_eq!(
        refused,
        [format!(
            "wmsstore wa:far: the `password` of the store {foreign}"
        )]
    );
    let database = |said: &str| {
        json!({"dataStore": {"name": "pg", "description": said, "connectionParameters": {"entry": [
            {"@key": "dbtype", "$": "postgis"}, {"@key": "passwd", "$": "hunter2"}]}}})
    };
    let hint = || told(Kind::DataStore, "wa", "pg");
    let pg = store("wa", "pg");
    let refused = rig.set(&pg, database("one"), hint()).await;
    assert_eq!(
        refused,
        [format!(
            "datastore wa:pg: the `passwd` of the store {foreign}"
        )]
    );
    let none = rig.slave.state();
    assert!(!none.contains_key("workspaces/wa/datastores/pg"));

    // A stage of the slave knows them.
    let hints = [hint(), told(Kind::WmsStore, "wa", "far")];
    let mut frames = rig.frames(&hints).await;
    for frame in &mut frames {
        let Some(RestContent::Json(body)) = &mut frame.content else {
            panic!("{frame:?}");
        };
        let (_, told) = body.as_object_mut().unwrap().iter_mut().next().unwrap();
        let secret = match told.pointer_mut("/connectionParameters/entry") {
            Some(Value::Array(entries)) => {
                let secret = entries.iter_mut().find(|it| it["@key"] == "passwd");
                &mut secret.unwrap()["$"]
            }
            _ => &mut told["password"],
        };
        assert!(secret.as_str().unwrap().starts_with("crypt1:"), "{secret}");
        *secret = "hunter2".into();
    }
    assert_eq!(rig.give(&frames).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);

    // What the slave has stays, whatever else changes.
    assert_eq!(rig.set(&pg, database("two"), hint()).await, NOTHING);
    let body = json!({"wmsStore": {"name": "far", "description": "two"}});
    let far = told(Kind::WmsStore, "wa", "far");
    assert_eq!(rig.set(&wms, body, far).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn t12_a_workspace_may_have_a_space_in_its_name() {
    let mut rig = Rig::patient("").await;
    let body = json!({"namespace": {"prefix": "my space", "uri": "urn:my"}});
    let object = Object::Namespace(workspace("my space"));
    let hint = hint(Action::Added, Kind::Workspace, Some("my space"), None);
    assert_eq!(rig.set(&object, body, hint).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
    // The workspace alone: its namespace comes later.
    let mut rig = Rig::patient("").await;
    rig.node
        .create(
            &object,
            &json!({"namespace": {"prefix": "my space", "uri": "urn:my"}}),
        )
        .await
        .unwrap();
    let hint = crate::changes::hint(Action::Added, Kind::Workspace, Some("my space"), None);
    let mut frames = rig.frames(&[hint]).await;
    frames.reverse();
    assert_eq!(frames[0].kind, Kind::Workspace);
    assert_eq!(rig.give(&frames).await, NOTHING);
    assert_eq!(
        rig.differences()
            .iter()
            .filter(|it| !it.starts_with("workspaces/default"))
            .count(),
        0
    );
}

#[tokio::test]
async fn t14_what_is_disabled_is_made_disabled() {
    let mut rig = pair(&north()).await;
    // Said 3 is disabled.
    let hints = [C::Type("wa", "s1", "f2", 1), C::Type("wa", "s1", "f2", 3)];
    let mut all = Vec::new();
    for change in hints {
        all.extend(change.make(&rig.master, &rig.node).await);
    }
    // It is new to the slave.
    assert_eq!(rig.tell(&all).await, NOTHING);
    let off = store("wa", "off");
    let body = |enabled| json!({"dataStore": {"name": "off", "enabled": enabled}});
    rig.node.create(&off, &body(true)).await.unwrap();
    rig.node.change(&off, &body(false)).await.unwrap();
    assert_eq!(
        rig.tell(&[told(Kind::DataStore, "wa", "off")]).await,
        NOTHING
    );
    let shown = rig.at_slave(&off).await;
    assert_eq!(shown["dataStore"]["enabled"], false);
    let shown = rig.at_slave(&feature_type("wa", "s1", "f2")).await;
    assert_eq!(shown["featureType"]["enabled"], false);
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn t15_a_layer_keeps_its_identifiers_and_loses_them_with_the_master() {
    let mut rig = pair(&north()).await;
    let rivers = layer("wa", "f1");
    let said = json!({
        "authorityURLs": [{"name": "lab", "href": "http://lab.test/"}],
        "identifiers": [{"authority": "lab", "identifier": "7"}],
    });
    for (path, lists) in [("/a", true), ("/b", true), ("/b", false)] {
        let mut body = if lists { said.clone() } else { json!({}) };
        body["path"] = path.into();
        let body = json!({ "layer": body });
        assert_eq!(
            rig.set(&rivers, body, told(Kind::Layer, "wa", "f1")).await,
            NOTHING
        );
        let shown = rig.at_slave(&rivers).await;
        assert_eq!(
            shown["layer"].get("identifiers").is_some(),
            lists,
            "{shown}"
        );
        assert_eq!(rig.differences(), NOTHING);
    }
}

#[tokio::test]
async fn t17_settings_that_are_not_there_are_not_made() {
    let mut rig = pair(&north()).await;
    let hints = [hint(Action::Removed, Kind::Settings, Some("wa"), None)];
    rig.slave.forget_calls();
    assert_eq!(rig.tell(&hints).await, NOTHING);
    assert_eq!(rig.differences(), NOTHING);
    rig.make(&[C::Settings("wa", 1), C::Settings("wa", 0)])
        .await;
    assert_eq!(rig.differences(), NOTHING);
    rig.make(&[C::RemoveSettings("wa")]).await;
    assert_eq!(rig.differences(), NOTHING);
}

#[tokio::test]
async fn a_table_that_is_missing_is_no_new_table() {
    let mut rig = pair(&north()).await;
    let table = |native: &str| (native.to_owned(), json!({}));
    rig.master
        .tables("wa:s1", [table("missing"), table("table")]);
    let missing = feature_type("wa", "s1", "missing");
    let body = json!({"featureType": {"name": "missing", "nativeName": "missing",
        "attributes": {"attribute": [{"name": "a", "binding": "java.lang.String"}]}}});
    let refused = rig
        .set(&missing, body, told(Kind::FeatureType, "wa", "missing"))
        .await;
    assert_eq!(rig.slave.tables_created(), NOTHING);
    let told = "if its table or file is missing at the slave, it has to come there first: Weir does \
        not copy data";
    assert!(refused[0].contains(told), "{refused:?}");
}

#[tokio::test]
async fn what_is_emptied_is_emptied() {
    let mut rig = pair(&north()).await;
    let type_of = |full: bool| {
        let text = if full { "said" } else { "" };
        let list = |item: Value| if full { item } else { Value::from("") };
        json!({"featureType": {
            "title": text, "abstract": text, "cqlFilter": list("INCLUDE".into()),
            "keywords": list(json!({"string": ["a", "b"]})),
            "metadataLinks": list(json!({"metadataLink": [{"type": "text/plain",
                "metadataType": "ISO19115:2003", "content": "http://lab.test/"}]})),
            "metadata": list(json!({"entry": [{"@key": "a", "$": "1"}]})),
            "responseSRS": list(json!({"string": ["4326", "3857"]})),
            "maxFeatures": u8::from(full), "overridingServiceSRS": full,
        }})
    };
    let object = feature_type("wa", "s1", "f1");
    for full in [true, false, true] {
        let hint = told(Kind::FeatureType, "wa", "f1");
        assert_eq!(rig.set(&object, type_of(full), hint).await, NOTHING);
        assert_eq!(rig.differences(), NOTHING);
    }
}
