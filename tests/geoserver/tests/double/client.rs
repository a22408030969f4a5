//! What the answers mean to the client that Weir has.

use serde_json::{Value, json};
use weir_geoserver::{
    Action, CallError, Collection, DataFile, Failure, FilePath, Login, Name, Node, Object, Removal,
    Scope, Settings, StoreKind, StyleFormat, TileObject, Workspace,
};
use weir_test_geoserver::GeoServer;

pub(crate) fn node(geoserver: &GeoServer) -> Node {
    let url = geoserver.url().parse().unwrap();
    let login = Login::basic(GeoServer::USER, GeoServer::PASSWORD).unwrap();
    Node::new(Settings::new(url, login)).unwrap()
}

/// A namespace, which makes its workspace.
pub(crate) fn workspace(name: &str) -> (Object, Value) {
    let namespace = Object::Namespace(Workspace::new(name).unwrap());
    let uri = format!("urn:{name}");
    (
        namespace,
        json!({"namespace": {"prefix": name, "uri": uri}}),
    )
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A workspace `north` with a store `props` and the layer `rivers`.
async fn north(node: &Node) -> Workspace {
    let (namespace, body) = workspace("north");
    node.create(&namespace, &body).await.unwrap();
    let north = Workspace::new("north").unwrap();
    let (kind, workspace) = (StoreKind::Data, north.clone());
    let store = Object::Store {
        kind,
        workspace,
        name: name("props"),
    };
    let body = json!({"dataStore": {"name": "props"}});
    node.create(&store, &body).await.unwrap();
    let rivers = resource(&north, "rivers");
    let body = json!({"featureType": {"name": "rivers"}});
    node.create(&rivers, &body).await.unwrap();
    north
}

fn resource(workspace: &Workspace, named: &str) -> Object {
    Object::Resource {
        kind: StoreKind::Data,
        workspace: workspace.clone(),
        store: name("props"),
        name: name(named),
    }
}

fn means(result: Result<(), CallError>, what: fn(&Failure) -> bool) {
    let failed = result.unwrap_err();
    assert!(what(&failed.failure), "{failed}");
}

#[tokio::test]
async fn it_is_a_geoserver() {
    let geoserver = GeoServer::start().await.unwrap();
    assert_eq!(
        node(&geoserver).version().await.unwrap().to_string(),
        "2.21.2"
    );
    geoserver.set_version("2.28.0");
    assert_eq!(
        node(&geoserver).version().await.unwrap().to_string(),
        "2.28.0"
    );
}

#[tokio::test]
async fn what_is_missing_exists_or_is_in_use() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    let north = north(&node).await;
    let exists = |failure: &Failure| matches!(failure, Failure::Exists(_));
    let missing = |failure: &Failure| matches!(failure, Failure::Missing(_));
    let used = |failure: &Failure| matches!(failure, Failure::Referenced(_));
    let (namespace, body) = workspace("north");
    means(node.create(&namespace, &body).await, exists);
    let rivers = resource(&north, "rivers");
    let body = json!({"featureType": {"name": "rivers"}});
    means(node.create(&rivers, &body).await, exists);
    means(node.remove(&rivers, Removal::ALONE).await, used);
    means(
        node.remove(&Object::Workspace(north.clone()), Removal::ALONE)
            .await,
        used,
    );
    let nowhere = [
        (resource(&north, "none"), json!({"featureType": {}})),
        (
            Object::Layer {
                workspace: north.clone(),
                name: name("none"),
            },
            json!({"layer": {}}),
        ),
        (
            Object::LayerGroup {
                scope: Scope::Global,
                name: name("none"),
            },
            json!({"layerGroup": {}}),
        ),
        (
            Object::Style {
                scope: Scope::Workspace(north.clone()),
                name: name("none"),
            },
            json!({"style": {}}),
        ),
        (
            workspace("none").0,
            json!({"namespace": {"prefix": "none"}}),
        ),
    ];
    for (object, body) in nowhere {
        means(node.get(&object).await.map(|_| ()), missing);
        means(node.change(&object, &body).await, missing);
        means(node.remove(&object, Removal::RECURSIVE).await, missing);
    }
    let tiles = TileObject::Layer(name("north:none"));
    means(node.get(&tiles).await.map(|_| ()), missing);
    means(node.remove(&tiles, Removal::ALONE).await, missing);
    means(
        node.perform(&Action::Truncate(name("north:none"))).await,
        missing,
    );
    node.perform(&Action::Truncate(name("north:rivers")))
        .await
        .unwrap();
    assert_eq!(geoserver.truncated(), ["north:rivers"]);
}

#[tokio::test]
async fn a_style_is_its_info_and_a_file() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    let (scope, named) = (Scope::Workspace(north(&node).await), name("høst.v2"));
    let style = Object::Style {
        scope: scope.clone(),
        name: named.clone(),
    };
    let body = json!({"style": {"name": "høst.v2", "filename": "a.sld"}});
    node.create(&style, &body).await.unwrap();
    let bytes = "<sld>æ</sld>".as_bytes();
    let format = StyleFormat::Sld11;
    let changed = node
        .change_style_body(&scope, &named, format, bytes.into())
        .await;
    changed.unwrap();
    let file = DataFile::Resource(FilePath::of_style(&scope, "a.sld").unwrap());
    assert_eq!(node.get(&file).await.unwrap(), bytes);
    let shown = node.get(&style).await.unwrap();
    assert_eq!(shown["style"]["languageVersion"]["version"], "1.1.0");
    assert_eq!(
        node.list(&Collection::Styles(scope)).await.unwrap(),
        ["høst.v2"]
    );
    node.remove(&style, Removal::ALONE).await.unwrap();
}

#[tokio::test]
async fn files_and_directories() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    let path = FilePath::new("styles/icons/små/pin.svg").unwrap();
    let file = DataFile::Resource(path.clone());
    node.create(&file, &"<svg/>".into()).await.unwrap();
    assert!(!node.metadata(&path).await.unwrap().is_directory);
    let icons = FilePath::new("styles/icons").unwrap();
    let entries = node.directory(Some(&icons)).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(node.metadata(&icons).await.unwrap().is_directory);
    let pins = FilePath::new("styles/pins").unwrap();
    node.rename_file(&icons, &pins).await.unwrap();
    assert!(node.get(&file).await.unwrap_err().is_missing());
    let moved = DataFile::Resource(FilePath::new("styles/pins/små/pin.svg").unwrap());
    assert_eq!(node.get(&moved).await.unwrap(), "<svg/>");
    let all = DataFile::Resource(pins);
    means(node.remove(&all, Removal::ALONE).await, |failure| {
        matches!(failure, Failure::Referenced(_))
    });
    node.remove(&all, Removal::RECURSIVE).await.unwrap();
    assert!(node.get(&moved).await.unwrap_err().is_missing());
}

#[tokio::test]
async fn tile_layers_come_with_layers_and_are_replaced_whole() {
    let geoserver = GeoServer::start().await.unwrap();
    let node = node(&geoserver);
    north(&node).await;
    let tiles = TileObject::Layer(name("north:rivers"));
    let shown = node.get(&tiles).await.unwrap();
    assert!(
        shown.contains("<gridSetName>EPSG:900913</gridSetName>"),
        "{shown}"
    );
    // The id of another node is refused, its own is not.
    node.change(&tiles, &shown).await.unwrap();
    let foreign = shown.replace("LayerInfoImpl-", "LayerInfoImpl-9");
    means(node.change(&tiles, &foreign).await, |failure| {
        matches!(failure, Failure::Refused { status: 400, .. })
    });
    let bare = "<GeoServerLayer><name>north:rivers</name></GeoServerLayer>".to_owned();
    node.change(&tiles, &bare).await.unwrap();
    assert!(!node.get(&tiles).await.unwrap().contains("gridSetName"));
}
