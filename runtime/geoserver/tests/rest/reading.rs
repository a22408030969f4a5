//! What GeoServer says of every kind of object is read.

use serde_json::Value;
use weir_geoserver::{
    Address, CallError, Collection, FilePath, Node, Object, Service, StoreKind, Support,
    TemplatePlace, TileObject,
};

use crate::recordings::Recordings;
use crate::server::Server;
use crate::{
    file, golden, group, layer, name, node, resource, store, style, template, tiles, within,
    workspace,
};
use weir_geoserver::Scope::Global;

async fn recorded() -> (Server, Node) {
    let recordings = Recordings::read();
    let server = Server::start(move |request| recordings.answer(request)).await;
    let node = node(&server.url);
    (server, node)
}

/// What was said, in one line: the beginning of it, or why not, without the port of the server.
fn told<D: AsRef<[u8]>>(what: &str, answer: Result<D, CallError>, url: &str) -> String {
    let said = match answer {
        Ok(document) => {
            let text = String::from_utf8_lossy(document.as_ref()).replace('\n', " ");
            let beginning: String = text.chars().take(70).collect();
            format!("{} bytes: {beginning}", document.as_ref().len())
        }
        Err(error) => error.to_string().replace(url, "…"),
    };
    format!("{what} → {said}")
}

async fn object(node: &Node, url: &str, what: &Object) -> String {
    let answer = node.get(what).await.map(|document| document.to_string());
    told(&format!("{what:?}"), answer, url)
}

async fn other<A>(node: &Node, url: &str, what: &A) -> String
where
    A: Address + std::fmt::Debug,
    A::Document: AsRef<[u8]>,
{
    told(&format!("{what:?}"), node.get(what).await, url)
}

#[tokio::test]
async fn documents_of_every_kind() {
    let (server, node) = recorded().await;
    let mut lines = Vec::new();
    for what in [
        Object::Workspace(workspace("north")),
        Object::Workspace(workspace("høst felt")),
        Object::Workspace(workspace("nope")),
        Object::DefaultWorkspace,
        Object::Namespace(workspace("south")),
        Object::Namespace(workspace("nope")),
        Object::DefaultNamespace,
        store(StoreKind::Data, "north", "with sp"),
        store(StoreKind::Data, "north", "nope"),
        store(StoreKind::Coverage, "north", "heights"),
        store(StoreKind::Wms, "south", "casc"),
        store(StoreKind::Wmts, "south", "tcasc"),
        resource(StoreKind::Data, "north", "props", "wells_b"),
        resource(StoreKind::Coverage, "north", "heights", "heights_b"),
        resource(StoreKind::Wms, "south", "casc", "far_rivers"),
        resource(StoreKind::Wmts, "south", "tcasc", "far_tiles"),
        layer("north", "rivers"),
        layer("north", "nope"),
        group(Global, "g_single"),
        group(within("north"), "g_ws"),
        group(Global, "nope"),
        style(Global, "grpstyle"),
        style(within("north"), "w_icon"),
        style(Global, "nope"),
        Object::Settings(Global),
        Object::Contact,
        Object::Settings(within("north")),
        // 200 with what GeoServer goes by instead.
        Object::Settings(within("south")),
        Object::Service {
            service: Service::Wms,
            scope: Global,
        },
        Object::Service {
            service: Service::Wfs,
            scope: Global,
        },
        Object::Service {
            service: Service::Wcs,
            scope: Global,
        },
        Object::Service {
            service: Service::Wmts,
            scope: Global,
        },
        Object::Service {
            service: Service::Wms,
            scope: within("north"),
        },
        // 404 with a page of Jetty's.
        Object::Service {
            service: Service::Wcs,
            scope: within("north"),
        },
        Object::Logging,
        Object::AccessRules,
        Object::AccessRule(name("north.rivers.r")),
    ] {
        lines.push(object(&node, &server.url, &what).await);
    }
    for what in [
        tiles("north:rivers"),
        tiles("north:poles"),
        TileObject::GridSet(name("LabGrid")),
        TileObject::GridSet(name("None")),
        TileObject::BlobStore(name("labblobs")),
        TileObject::BlobStore(name("none")),
        TileObject::Settings,
        TileObject::DiskQuota,
    ] {
        lines.push(other(&node, &server.url, &what).await);
    }
    let of_rivers = TemplatePlace::Resource {
        kind: StoreKind::Data,
        workspace: workspace("north"),
        store: name("props"),
        name: name("rivers"),
    };
    for what in [
        file("styles/icons/pin.svg"),
        file("data/tom mappe/æøå fil.txt"),
        file("data/empty.txt"),
        file("none/x.txt"),
        template(TemplatePlace::Everything, "header.ftl"),
        template(TemplatePlace::Everything, "none.ftl"),
        template(of_rivers, "content.ftl"),
    ] {
        lines.push(other(&node, &server.url, &what).await);
    }
    golden("documents.txt", &lines);
}

#[tokio::test]
async fn names_of_every_kind() {
    let (server, node) = recorded().await;
    let stores = |kind, within: &str| Collection::Stores {
        kind,
        workspace: workspace(within),
    };
    let resources = |kind, within: &str, store: &str| Collection::Resources {
        kind,
        workspace: workspace(within),
        store: name(store),
    };
    let unpublished = |kind, within: &str, store: &str| Collection::Unpublished {
        kind,
        workspace: workspace(within),
        store: name(store),
    };
    let mut lines = Vec::new();
    for what in [
        Collection::Workspaces,
        Collection::Namespaces,
        stores(StoreKind::Data, "north"),
        stores(StoreKind::Data, "south"),
        stores(StoreKind::Data, "byns"),
        stores(StoreKind::Coverage, "north"),
        stores(StoreKind::Wms, "south"),
        stores(StoreKind::Wmts, "south"),
        resources(StoreKind::Data, "north", "props"),
        resources(StoreKind::Data, "north", "pg"),
        resources(StoreKind::Coverage, "north", "heights"),
        resources(StoreKind::Wms, "south", "casc"),
        resources(StoreKind::Wmts, "south", "tcasc"),
        unpublished(StoreKind::Data, "north", "props"),
        unpublished(StoreKind::Data, "north", "pg"),
        unpublished(StoreKind::Wms, "south", "casc"),
        Collection::Layers(Global),
        Collection::Layers(within("quiet")),
        Collection::Layers(within("byns")),
        Collection::LayerGroups(Global),
        Collection::LayerGroups(within("north")),
        Collection::LayerGroups(within("south")),
        Collection::Styles(Global),
        Collection::Styles(within("north")),
        Collection::Styles(within("south")),
        Collection::Templates(TemplatePlace::Everything),
        Collection::Templates(TemplatePlace::Workspace(workspace("south"))),
        Collection::AccessRules,
        Collection::TileLayers,
        Collection::GridSets,
        Collection::BlobStores,
    ] {
        let answer = node.list(&what).await.map(|names| names.join(", "));
        lines.push(told(&format!("{what:?}"), answer, &server.url));
    }
    golden("names.txt", &lines);
}

#[tokio::test]
async fn directories_and_what_is_known_of_files() {
    let (server, node) = recorded().await;
    let mut lines = Vec::new();
    for directory in ["styles", "data/tom mappe", "user_projections"] {
        let path = FilePath::new(directory).unwrap();
        let entries = node.directory(Some(&path)).await.unwrap();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let maybe = entries.iter().filter(|entry| entry.may_be_directory);
        let maybe: Vec<&str> = maybe.map(|entry| entry.name.as_str()).collect();
        lines.push(format!("{directory} → {names:?}, directories: {maybe:?}"));
    }
    for path in ["data", "styles/icons/pin.svg", "none/x.txt"] {
        let known = node.metadata(&FilePath::new(path).unwrap()).await;
        let known = match known {
            Ok(known) => format!("{known:?}"),
            Err(error) => error.to_string().replace(&server.url, "…"),
        };
        lines.push(format!("{path} → {known}"));
    }
    golden("files.txt", &lines);
}

#[tokio::test]
async fn the_version_is_asked_once() {
    let (server, node) = recorded().await;
    for _ in 0..3 {
        let version = node.version().await.unwrap();
        assert_eq!(version.to_string(), "2.21.2");
        assert_eq!(version.support(), Support::Measured);
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn documents_are_handed_out_as_they_are() {
    let (_server, node) = recorded().await;
    let settings = node.get(&Object::Settings(Global)).await.unwrap();
    assert_eq!(settings["global"]["settings"]["title"], "Lab server");
    let style = node.get(&style(within("north"), "w_icon")).await.unwrap();
    assert_eq!(style["style"]["workspace"]["name"], Value::from("north"));
    let tiles = node.get(&tiles("north:rivers")).await.unwrap();
    assert!(
        tiles.contains("<gridSetName>LabGrid</gridSetName>"),
        "{tiles}"
    );
}

#[tokio::test]
async fn what_a_store_publishes_is_found_by_its_name() {
    let recordings = Recordings::read();
    let server = Server::start(move |request| {
        let moved = [
            (
                "north/featuretypes/",
                "north/datastores/props/featuretypes/",
            ),
            (
                "north/coverages/",
                "north/coveragestores/heights/coverages/",
            ),
            ("south/wmslayers/", "south/wmsstores/casc/wmslayers/"),
            ("south/wmtslayers/", "south/wmtsstores/tcasc/layers/"),
        ];
        let mut request = request.clone();
        for (short, long) in moved {
            request.target = request.target.replace(short, long);
        }
        recordings.answer(&request)
    })
    .await;
    let node = node(&server.url);
    for (kind, within, store, what) in [
        (StoreKind::Data, "north", "props", "wells_b"),
        (StoreKind::Coverage, "north", "heights", "heights_b"),
        (StoreKind::Wms, "south", "casc", "far_rivers"),
        (StoreKind::Wmts, "south", "tcasc", "far_tiles"),
    ] {
        let (object, document) = node
            .find(kind, &workspace(within), &name(what))
            .await
            .unwrap();
        assert_eq!(object, resource(kind, within, store, what));
        let (_, inner) = document.as_object().unwrap().iter().next().unwrap();
        assert_eq!(inner["name"], what);
    }
}
