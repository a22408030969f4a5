//! GeoServers at both ends: what a master has, its slaves get, under the names that their stages
//! give it. The GeoServers are doubles that answer as real ones were recorded to.

use serde_json::{Value, json};
use weir_geoserver::{
    Address, DataFile, FilePath, Login, Name, Node, Object, Removal, Scope, Settings, StoreKind,
    StyleFormat, Workspace,
};
use weir_test_geoserver::{Document, GeoServer};

use crate::harness::{Site, Weir, eventually};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn within(workspace: &str) -> Scope {
    Scope::Workspace(Workspace::new(workspace).unwrap())
}

fn style(workspace: &str, text: &str) -> Object {
    Object::Style {
        scope: within(workspace),
        name: name(text),
    }
}

fn feature_type(workspace: &str, text: &str) -> Object {
    Object::Resource {
        kind: StoreKind::Data,
        workspace: Workspace::new(workspace).unwrap(),
        store: name("files"),
        name: name(text),
    }
}

fn layer(workspace: &str, text: &str) -> Object {
    Object::Layer {
        workspace: Workspace::new(workspace).unwrap(),
        name: name(text),
    }
}

fn group(workspace: &str, text: &str) -> Object {
    Object::LayerGroup {
        scope: within(workspace),
        name: name(text),
    }
}

const GRAPHIC: &str = "styles/icons/pin.svg";

fn sld(color: &str) -> String {
    format!(
        r#"<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld" xmlns:xlink="http://www.w3.org/1999/xlink"><NamedLayer><Name>roads</Name><UserStyle><FeatureTypeStyle><Rule><PointSymbolizer><Graphic><ExternalGraphic><OnlineResource xlink:type="simple" xlink:href="icons/pin.svg"/><Format>image/svg+xml</Format></ExternalGraphic><Mark><Fill><CssParameter name="fill">{color}</CssParameter></Fill></Mark></Graphic></PointSymbolizer></Rule></FeatureTypeStyle></UserStyle></NamedLayer></StyledLayerDescriptor>"#
    )
}

/// A node, and somebody who works with it.
struct Catalog {
    server: GeoServer,
    node: Node,
}

impl Catalog {
    async fn start() -> Self {
        let server = GeoServer::start().await.unwrap();
        let login = Login::basic("admin", "geoserver").unwrap();
        let node = Node::new(Settings::new(server.url().parse().unwrap(), login)).unwrap();
        Self { server, node }
    }

    async fn create<A: Address>(&self, address: &A, document: A::Document) {
        self.node.create(address, &document).await.unwrap();
    }

    async fn change(&self, object: &Object, document: Value) {
        self.node.change(object, &document).await.unwrap();
    }

    async fn paint(&self, color: &str) {
        let (scope, roads, body) = (within("topp"), name("roads"), sld(color).into());
        let format = StyleFormat::Sld10;
        let painted = self.node.change_style_body(&scope, &roads, format, body);
        painted.await.unwrap();
    }

    /// A workspace with a layer in a style of its own with a graphic, and a group of it.
    async fn fill(&self) {
        let namespace = Object::Namespace(Workspace::new("topp").unwrap());
        self.create(
            &namespace,
            json!({"namespace": {"prefix": "topp", "uri": "http://example.org/topp"}}),
        )
        .await;
        let store = Object::Store {
            kind: StoreKind::Data,
            workspace: Workspace::new("topp").unwrap(),
            name: name("files"),
        };
        let parameters = json!({"entry": [
            {"@key": "directory", "$": "file:data/files"},
            {"@key": "namespace", "$": "http://example.org/topp"},
        ]});
        self.create(
            &store,
            json!({"dataStore": {"name": "files", "connectionParameters": parameters}}),
        )
        .await;
        let graphic =
            DataFile::Resource(FilePath::new(&format!("workspaces/topp/{GRAPHIC}")).unwrap());
        self.create(&graphic, "<svg/>".into()).await;
        let info = json!({"style": {"name": "roads", "filename": "roads.sld"}});
        self.create(&style("topp", "roads"), info).await;
        self.paint("#000000").await;
        for road in ["roads", "paths"] {
            self.create(
                &feature_type("topp", road),
                json!({"featureType": {"name": road, "title": "Ways"}}),
            )
            .await;
            self.change(
                &layer("topp", road),
                json!({"layer": {"defaultStyle": {"name": "topp:roads"}}}),
            )
            .await;
        }
        let published = json!({"published": [
            {"@type": "layer", "name": "topp:roads"}, {"@type": "layer", "name": "topp:paths"}]});
        self.create(
            &group("topp", "ways"),
            json!({"layerGroup": {"name": "ways", "mode": "SINGLE", "workspace": {"name": "topp"},
                "publishables": published, "styles": {"style": ["", ""]}}}),
        )
        .await;
    }

    /// The documents of this node of which the path holds a text.
    fn documents(&self, path: &str) -> Vec<String> {
        let state = self.server.state();
        let found = state.into_iter().filter(|(at, _)| at.contains(path));
        found
            .map(|(_, document)| match document {
                Document::Json(json) => json.to_string(),
                Document::Xml(text) => text,
                Document::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            })
            .collect()
    }

    fn has(&self, path: &str, text: &str) -> bool {
        let documents = self.documents(path);
        documents.iter().any(|document| document.contains(text))
    }
}

fn configuration(master: &Catalog, slave: &Catalog) -> String {
    let (master, slave) = (master.server.url(), slave.server.url());
    format!(
        r##"
[[plugin]]
name = "remap"
path = "GUEST(remap-workspaces)"

[[master]]
name = "main"
dialect = "cloudevents"
source = {{ type = "stdin" }}
rest = {{ url = "{master}", user = "admin", password = "geoserver" }}

[[slave]]
name = "eu"
subscribe = ["#"]
stages = [{{ plugin = "remap", config = {{ workspaces = {{ topp = "usa" }} }} }}]
sink = {{ type = "geoserver", url = "{slave}", user = "admin", password = "geoserver", bootstrap = true }}
"##
    )
}

/// Starts Weir, which brings the slave up.
fn bring_up<'a>(site: &'a Site, slave: &Catalog) -> Weir<'a> {
    let mut weir = site.start();
    weir.wait_for_log("all that the master has is on the bus");
    eventually("the group", || {
        slave.has("layergroups", "usa:paths").then_some(())
    });
    weir
}

/// The configuration with one more slave.
fn with_another(configuration: &str, slave: &Catalog) -> String {
    let url = slave.server.url();
    format!(
        r##"{configuration}
[[slave]]
name = "us"
subscribe = ["#"]
sink = {{ type = "geoserver", url = "{url}", user = "admin", password = "geoserver", bootstrap = true }}
"##
    )
}

/// What a bus says of a change: what, and nothing of how it is now.
fn hint(id: &str, kind: &str, name: &str, action: &str, previous: Option<&str>) -> String {
    let mut data = json!({"kind": kind, "workspace": "topp", "name": name});
    if let Some(previous) = previous {
        data["previous"] = json!({"kind": kind, "workspace": "topp", "name": previous});
    }
    json!({
        "specversion": "1.0", "id": id, "source": "/masters/main",
        "type": format!("weir.catalog.{kind}.{action}.v1"),
        "time": "2026-11-25T20:00:00Z", "data": data,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_is_brought_up_follows_and_is_repaired() {
    let (master, slave) = (Catalog::start().await, Catalog::start().await);
    master.fill().await;
    let site = Site::new(&configuration(&master, &slave));
    let mut weir = bring_up(&site, &slave);

    // Everything is there, under the names of the slave, with the graphic of the style.
    assert!(slave.has("workspaces/usa/styles/roads", "roads.sld"));
    assert!(slave.has("roads.sld", "#000000"));
    assert!(slave.has(GRAPHIC, "<svg/>"));
    assert!(slave.has("layers/usa:roads", "usa:roads"));
    eventually("nothing that differs", || {
        site.call(&["drift"]).status.success().then_some(())
    });
    for (path, document) in slave.server.state() {
        let is_left = |text: &str| {
            text.split(['/', ':', '"', '>', '<'])
                .any(|part| part == "topp")
        };
        let text = match document {
            Document::Json(json) => json.to_string(),
            Document::Xml(text) => text,
            Document::Bytes(_) => String::new(),
        };
        assert!(!is_left(&path) && !is_left(&text), "{path}: {text}");
    }

    // Changes at the master arrive: another body, another name, and nothing any more.
    master.paint("#ff0000").await;
    weir.feed([hint("1", "style", "roads", "modified", None).as_str()]);
    eventually("the new colour", || {
        slave.has("roads.sld", "#ff0000").then_some(())
    });
    master
        .change(
            &feature_type("topp", "roads"),
            json!({"featureType": {"name": "streets"}}),
        )
        .await;
    weir.feed([hint("2", "featuretype", "streets", "modified", Some("roads")).as_str()]);
    eventually("the new name, in the group as well", || {
        slave.has("layergroups", "usa:streets").then_some(())
    });
    assert!(slave.documents("featuretypes/roads").is_empty());
    let ways = group("topp", "ways");
    master.node.remove(&ways, Removal::ALONE).await.unwrap();
    weir.feed([hint("3", "layergroup", "ways", "removed", None).as_str()]);
    eventually("no group", || {
        slave.documents("layergroups/ways").is_empty().then_some(())
    });
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("ERROR"), "{log}");

    // What somebody changes at the slave is found, and repaired.
    slave
        .change(
            &feature_type("usa", "streets"),
            json!({"featureType": {"title": "Mine"}}),
        )
        .await;
    let drift = site.call(&["drift", "eu"]);
    let told = String::from_utf8_lossy(&drift.stdout);
    assert_eq!(drift.status.code(), Some(4), "{told}");
    let found = "featuretype topp:streets, which is featuretype usa:streets at the slave: differs in featureType.title";
    assert!(told.contains(found), "{told}");
    let repaired = site.call(&["drift", "--repair", "--json"]);
    let told: Value = serde_json::from_slice(&repaired.stdout).unwrap();
    assert!(repaired.status.success(), "{told}");
    assert_eq!(told["slaves"][0]["differ"][0]["repaired"], true, "{told}");
    assert!(site.call(&["drift"]).status.success());

    // What the master lost without a word is told, and goes.
    let paths = feature_type("topp", "paths");
    master
        .node
        .remove(&paths, Removal::RECURSIVE)
        .await
        .unwrap();
    let repaired = site.call(&["drift", "--repair"]);
    let told = String::from_utf8_lossy(&repaired.stdout);
    let found = "featuretype topp:paths, which is featuretype usa:paths at the slave: still at the slave, and not at the master; repaired";
    assert!(repaired.status.success() && told.contains(found), "{told}");
    assert_eq!(slave.documents("featuretypes/paths"), [] as [&str; 0]);

    // Under another name it is renamed, and not made a second time.
    site.configure(&configuration(&master, &slave).replace("usa", "america"));
    let repaired = site.call(&["drift", "--repair"]);
    let told = String::from_utf8_lossy(&repaired.stdout);
    assert!(repaired.status.success(), "{told}");
    assert!(slave.has("layers/america:streets", "streets"));
    assert_eq!(slave.documents("workspaces/usa"), [] as [&str; 0]);
    assert!(site.call(&["drift"]).status.success());
    assert_eq!(slave.server.tables_created(), [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slave_that_is_attached_later_is_brought_up_and_the_others_hear_nothing_of_it() {
    let (master, slave, another) = (
        Catalog::start().await,
        Catalog::start().await,
        Catalog::start().await,
    );
    master.fill().await;
    let configuration = configuration(&master, &slave);
    let site = Site::new(&configuration);
    let weir = bring_up(&site, &slave);
    eventually("nothing that differs", || {
        site.call(&["drift", "eu"]).status.success().then_some(())
    });
    slave.server.forget_calls();

    site.configure(&with_another(&configuration, &another));
    eventually("the group", || {
        another.has("layergroups", "topp:paths").then_some(())
    });
    eventually("nothing that differs", || {
        site.call(&["drift", "us"]).status.success().then_some(())
    });
    assert_eq!(
        slave.server.calls().len(),
        0,
        "what is read is for the new one"
    );
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_has_everything_read_again_and_a_changed_sink_takes_over() {
    let (master, slave) = (Catalog::start().await, Catalog::start().await);
    master.fill().await;
    let configuration = configuration(&master, &slave);
    let site = Site::new(&configuration);
    let mut weir = bring_up(&site, &slave);

    site.configure(&configuration.replace(
        "bootstrap = true",
        "bootstrap = true, dependency_timeout = \"20s\"",
    ));
    weir.wait_for_log("started pipeline=slave eu");
    // Nothing is announced but that everything may be otherwise.
    master.paint("#0000ff").await;
    let reloaded = json!({
        "specversion": "1.0", "id": "1", "source": "/masters/main",
        "type": "weir.catalog.catalog.reloaded.v1", "time": "2026-11-25T20:00:00Z",
        "data": {"kind": "catalog", "name": "catalog"},
    });
    weir.feed([reloaded.to_string().as_str()]);
    eventually("the new colour", || {
        slave.has("roads.sld", "#0000ff").then_some(())
    });
    let (status, log) = weir.stop();
    assert!(status.success(), "{log}");
    let written = slave.server.calls();
    let painted = written.iter().rfind(|call| !call.is_read());
    let painted = painted.unwrap();
    assert!(
        painted.target.contains("styles/roads"),
        "{painted:?}: nothing else has changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_or_a_slave_that_is_away_is_waited_for() {
    let (master, slave) = (Catalog::start().await, Catalog::start().await);
    master.fill().await;
    let site = Site::new(&configuration(&master, &slave));
    let mut weir = bring_up(&site, &slave);

    master.paint("#00ff00").await;
    master.server.down();
    weir.feed([hint("1", "style", "roads", "modified", None).as_str()]);
    weir.wait_for_log("cannot be reached now");
    slave.server.down();
    master.server.up();
    weir.wait_for_log(slave.server.url());
    slave.server.up();
    eventually("the new colour", || {
        slave.has("roads.sld", "#00ff00").then_some(())
    });
    let (_, log) = weir.stop();
    assert!(!log.contains("dead letters\""), "{log}");

    // What was done before is not done again: after a restart nothing is read and nothing written.
    slave.server.forget_calls();
    master.server.forget_calls();
    let mut weir = site.start();
    weir.wait_for_log("running");
    weir.feed([hint("1", "style", "roads", "modified", None).as_str()]);
    eventually("a look at the master", || {
        (!master.server.calls().is_empty()).then_some(())
    });
    let (status, _) = weir.stop();
    assert!(status.success());
    assert_eq!(
        slave
            .server
            .calls()
            .iter()
            .map(|call| &call.target)
            .collect::<Vec<_>>(),
        [] as [&str; 0]
    );
}
