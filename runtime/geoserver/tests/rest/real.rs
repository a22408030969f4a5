//! The same against real GeoServers, where there are any: `WEIR_TEST_GEOSERVER_URLS` holds their URLs
//! with commas between them, each as `http://USER:PASSWORD@HOST:PORT/geoserver`. Nothing is changed.

use weir_geoserver::{
    CallError, Collection, DataFile, Failure, FilePath, Login, Name, Node, Object, Scope, Service,
    Settings, StoreKind, TemplatePlace, TileObject, Workspace,
};

/// The nodes, or why there are none.
fn nodes() -> Result<Vec<Node>, &'static str> {
    let urls = std::env::var("WEIR_TEST_GEOSERVER_URLS")
        .map_err(|_| "WEIR_TEST_GEOSERVER_URLS is not set")?;
    let urls = urls.split(',').filter(|url| !url.trim().is_empty());
    Ok(urls
        .map(|url| {
            let (scheme, rest) = url.trim().split_once("://").unwrap();
            let (login, rest) = rest.rsplit_once('@').unwrap_or(("admin:geoserver", rest));
            let (user, password) = login.split_once(':').unwrap();
            let url = format!("{scheme}://{rest}").parse().unwrap();
            let login = Login::basic(user, password).unwrap();
            Node::new(Settings::new(url, login)).unwrap()
        })
        .collect())
}

#[tokio::test]
async fn every_kind_is_read_from_a_real_one() {
    let nodes = match nodes() {
        Ok(nodes) => nodes,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    for node in nodes {
        let version = node.version().await.unwrap().clone();
        let count = read(&node).await.unwrap();
        eprintln!("{}: GeoServer {version}, {count} objects read", node.url());
    }
}

/// Reads all that there is, and counts it.
async fn read(node: &Node) -> Result<usize, CallError> {
    let mut count = configuration(node).await?;
    count += in_scope(node, Scope::Global).await?;
    for name in node.list(&Collection::Workspaces).await? {
        let workspace = Workspace::new(name).unwrap();
        node.get(&Object::Workspace(workspace.clone())).await?;
        node.get(&Object::Namespace(workspace.clone())).await?;
        count += 2 + stores(node, &workspace).await?;
        count += in_scope(node, Scope::Workspace(workspace)).await?;
    }
    for name in node.list(&Collection::Layers(Scope::Global)).await? {
        let (workspace, name) = name.split_once(':').unwrap();
        let (workspace, name) = (Workspace::new(workspace).unwrap(), Name::new(name).unwrap());
        node.get(&Object::Layer { workspace, name }).await?;
        count += 1;
    }
    for (collection, object) in [
        (Collection::TileLayers, TileObject::Layer as fn(Name) -> _),
        (Collection::GridSets, TileObject::GridSet),
        (Collection::BlobStores, TileObject::BlobStore),
    ] {
        for name in node.list(&collection).await? {
            node.get(&object(Name::new(name).unwrap())).await?;
            count += 1;
        }
    }
    Ok(count)
}

async fn configuration(node: &Node) -> Result<usize, CallError> {
    for object in [
        Object::Settings(Scope::Global),
        Object::Contact,
        Object::Logging,
        Object::AccessRules,
    ] {
        node.get(&object).await?;
    }
    for service in [Service::Wms, Service::Wfs, Service::Wcs, Service::Wmts] {
        let scope = Scope::Global;
        node.get(&Object::Service { service, scope }).await?;
    }
    node.get(&TileObject::Settings).await?;
    node.get(&TileObject::DiskQuota).await?;
    node.list(&Collection::AccessRules).await?;
    let absent = node
        .get(&Object::Workspace(Workspace::new("weir-none").unwrap()))
        .await;
    assert!(absent.unwrap_err().is_missing());
    for entry in node.directory(None).await? {
        node.metadata(&FilePath::new(entry.name.as_str()).unwrap())
            .await?;
    }
    let no_file = node
        .metadata(&FilePath::new("weir/none.txt").unwrap())
        .await;
    assert!(no_file.unwrap_err().is_missing());
    Ok(10)
}

async fn in_scope(node: &Node, scope: Scope) -> Result<usize, CallError> {
    let mut count = 0;
    for name in node.list(&Collection::Styles(scope.clone())).await? {
        let name = Name::new(name).unwrap();
        let scope = scope.clone();
        let style = Object::Style {
            scope: scope.clone(),
            name,
        };
        let style = node.get(&style).await?;
        let filename = style["style"]["filename"].as_str().unwrap();
        let file = DataFile::Resource(FilePath::of_style(&scope, filename).unwrap());
        match node.download(&file, 1 << 20).await {
            Ok(mut body) => while body.next().await?.is_some() {},
            // What has an info need not have a body.
            Err(error) => assert!(error.is_missing(), "{error}"),
        }
        count += 1;
    }
    for name in node.list(&Collection::LayerGroups(scope.clone())).await? {
        let (scope, name) = (scope.clone(), Name::new(name).unwrap());
        node.get(&Object::LayerGroup { scope, name }).await?;
        count += 1;
    }
    let place = match &scope {
        Scope::Global => TemplatePlace::Everything,
        Scope::Workspace(workspace) => TemplatePlace::Workspace(workspace.clone()),
    };
    for name in node.list(&Collection::Templates(place.clone())).await? {
        let (place, name) = (place.clone(), Name::new(name).unwrap());
        node.get(&DataFile::Template { place, name }).await?;
        count += 1;
    }
    if let Scope::Workspace(_) = &scope {
        for object in [
            Object::Settings(scope.clone()),
            Object::Service {
                service: Service::Wms,
                scope,
            },
        ] {
            match node.get(&object).await {
                Ok(_) => count += 1,
                Err(error) => assert!(error.is_missing(), "{error}"),
            }
        }
    }
    Ok(count)
}

async fn stores(node: &Node, workspace: &Workspace) -> Result<usize, CallError> {
    let mut count = 0;
    for kind in [
        StoreKind::Data,
        StoreKind::Coverage,
        StoreKind::Wms,
        StoreKind::Wmts,
    ] {
        let workspace = workspace.clone();
        let stores = Collection::Stores {
            kind,
            workspace: workspace.clone(),
        };
        for store in node.list(&stores).await? {
            let store = Name::new(store).unwrap();
            let workspace = workspace.clone();
            node.get(&Object::Store {
                kind,
                workspace: workspace.clone(),
                name: store.clone(),
            })
            .await?;
            let resources = Collection::Resources {
                kind,
                workspace: workspace.clone(),
                store: store.clone(),
            };
            for name in node.list(&resources).await? {
                let (workspace, store) = (workspace.clone(), store.clone());
                let name = Name::new(name).unwrap();
                let resource = Object::Resource {
                    kind,
                    workspace,
                    store,
                    name,
                };
                match node.get(&resource).await {
                    Ok(_) => count += 1,
                    // A store whose data is away does not tell what it publishes.
                    Err(error) => assert!(
                        matches!(error.failure, Failure::Refused { status: 500, .. }),
                        "{error}"
                    ),
                }
            }
            count += 1;
        }
    }
    Ok(count)
}
