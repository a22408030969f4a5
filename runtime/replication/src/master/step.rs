//! The steps of a walk: each lists some objects, and says what is to be looked at after them.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use weir_event::{Kind, Object, RestPlace};
use weir_geoserver::{
    CallError, Collection, Name, Node, Object as Address, Scope, Service, Settings, StoreKind,
    Workspace,
};

use super::error::{HydrateError, there};
use super::groups::{Group, held, in_order};
use super::tree::Directory;

/// Something to be looked at. In the order of dependencies, see [`Step::after_workspaces`].
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// What there is one of, and depends on nothing.
    Configuration,
    GridSets,
    BlobStores,
    /// What is set for all tiles.
    TileSettings,
    Workspaces,
    Styles(Scope),
    Stores(StoreKind, Workspace),
    Resources(StoreKind, Workspace, Name),
    /// Of no workspace, and of these.
    Groups(Vec<Workspace>),
    /// The settings of a workspace, and of the services in it.
    OfWorkspace(Workspace),
    TileLayers,
    AccessRules,
    Directory(Directory),
    /// A default workspace with styles hides global ones from whoever names them.
    Default,
}

/// What a step came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: Vec<Listed>,
    /// To be looked at when these are told.
    pub(super) then: Vec<Step>,
}

/// An object that there is.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) object: Object,
    /// The store that it is of, and that one's kind.
    pub(super) store: Option<Object>,
}

impl From<Object> for Listed {
    fn from(object: Object) -> Self {
        Self {
            object,
            store: None,
        }
    }
}

const STORES: [StoreKind; 4] = [
    StoreKind::Data,
    StoreKind::Coverage,
    StoreKind::Wms,
    StoreKind::Wmts,
];

const SERVICES: [(Service, &str); 4] = [
    (Service::Wms, "wms"),
    (Service::Wfs, "wfs"),
    (Service::Wcs, "wcs"),
    (Service::Wmts, "wmts"),
];

impl Step {
    /// The steps that a walk begins with.
    pub(super) fn first() -> Vec<Self> {
        vec![
            Self::Configuration,
            Self::GridSets,
            Self::BlobStores,
            Self::TileSettings,
            Self::Workspaces,
        ]
    }

    fn after_workspaces(workspaces: &[Workspace]) -> Vec<Self> {
        let mut steps = vec![Self::Styles(Scope::Global)];
        let each = || workspaces.iter().cloned();
        steps.extend(each().map(|workspace| Self::Styles(Scope::Workspace(workspace))));
        steps.extend(
            each().flat_map(|workspace| STORES.map(|kind| Self::Stores(kind, workspace.clone()))),
        );
        steps.push(Self::Groups(workspaces.to_vec()));
        steps.extend(each().map(Self::OfWorkspace));
        steps.extend([Self::TileLayers, Self::AccessRules]);
        steps.extend(Directory::chosen().into_iter().map(Self::Directory));
        steps.push(Self::Default);
        steps
    }

    /// Looks. What is gone meanwhile has nothing in it.
    pub(super) async fn take(&self, node: &Node) -> Result<Found, HydrateError> {
        Ok(match self {
            Self::Configuration => {
                let mut objects = vec![Object::of(Kind::Logging), Object::of(Kind::Global)];
                objects.extend(SERVICES.map(|(_, name)| named(Kind::Service, None, name)));
                objects.into()
            }
            Self::GridSets => all(node, &Collection::GridSets, Kind::GridSet, None).await?,
            Self::BlobStores => all(node, &Collection::BlobStores, Kind::BlobStore, None).await?,
            Self::TileSettings => {
                vec![Object::of(Kind::GwcGlobal), Object::of(Kind::DiskQuota)].into()
            }
            Self::Workspaces => workspaces(node).await?,
            Self::Styles(scope) => {
                let styles = Collection::Styles(scope.clone());
                all(node, &styles, Kind::Style, workspace_of(scope)).await?
            }
            Self::Stores(kind, workspace) => stores(node, *kind, workspace).await?,
            Self::Resources(kind, workspace, store) => {
                resources(node, *kind, workspace, store).await?
            }
            Self::Groups(workspaces) => groups(node, workspaces).await?,
            Self::OfWorkspace(workspace) => of_workspace(node, workspace).await?,
            Self::TileLayers => {
                let names = list(node, &Collection::TileLayers).await?;
                let tiles = names.into_iter().map(|name| match name.split_once(':') {
                    Some((workspace, name)) => named(Kind::TileLayer, Some(workspace), name),
                    None => named(Kind::TileLayer, None, &name),
                });
                tiles.collect::<Vec<_>>().into()
            }
            Self::AccessRules => vec![Object::of(Kind::AccessRules)].into(),
            Self::Directory(directory) => {
                let content = directory.read(node).await?;
                let files = content.files.iter().map(|path| file(&path.to_string()));
                let mut found = Found::from(files.collect::<Vec<_>>());
                found.then = content
                    .directories
                    .into_iter()
                    .map(Self::Directory)
                    .collect();
                found
            }
            Self::Default => vec![named(Kind::Catalog, None, "default-workspace")].into(),
        })
    }
}

impl From<Vec<Object>> for Found {
    fn from(objects: Vec<Object>) -> Self {
        Self {
            objects: objects.into_iter().map(Listed::from).collect(),
            then: Vec::new(),
        }
    }
}

async fn list(node: &Node, collection: &Collection) -> Result<Vec<String>, HydrateError> {
    Ok(there(node.list(collection).await)?.unwrap_or_default())
}

async fn all(
    node: &Node,
    collection: &Collection,
    kind: Kind,
    workspace: Option<&str>,
) -> Result<Found, HydrateError> {
    let names = list(node, collection).await?;
    let objects = names
        .iter()
        .map(|name| named(kind.clone(), workspace, name));
    Ok(objects.collect::<Vec<_>>().into())
}

async fn workspaces(node: &Node) -> Result<Found, HydrateError> {
    let names = list(node, &Collection::Workspaces).await?;
    let object = |name: &String| Object {
        workspace: Some(name.clone()),
        ..Object::of(Kind::Workspace)
    };
    let mut found = Found::from(names.iter().map(object).collect::<Vec<_>>());
    // What cannot be named in a URL is told by hydrating its hint, and not looked into.
    let names = names
        .into_iter()
        .filter_map(|name| Workspace::new(name).ok());
    found.then = Step::after_workspaces(&names.collect::<Vec<_>>());
    Ok(found)
}

async fn stores(
    node: &Node,
    kind: StoreKind,
    workspace: &Workspace,
) -> Result<Found, HydrateError> {
    let stores = Collection::Stores {
        kind,
        workspace: workspace.clone(),
    };
    let (of_store, _) = kinds(kind);
    let mut found = all(node, &stores, of_store, Some(workspace.as_str())).await?;
    let names = found.objects.iter().filter_map(|it| it.object.name.clone());
    let names = names.filter_map(|name| Name::new(name).ok());
    found.then = names
        .map(|store| Step::Resources(kind, workspace.clone(), store))
        .collect();
    Ok(found)
}

async fn resources(
    node: &Node,
    kind: StoreKind,
    workspace: &Workspace,
    store: &Name,
) -> Result<Found, HydrateError> {
    let resources = Collection::Resources {
        kind,
        workspace: workspace.clone(),
        store: store.clone(),
    };
    let (of_store, of_resource) = kinds(kind);
    let mut found = all(node, &resources, of_resource, Some(workspace.as_str())).await?;
    let store = named(of_store, Some(workspace.as_str()), store.as_str());
    for listed in &mut found.objects {
        listed.store = Some(store.clone());
    }
    Ok(found)
}

/// All groups, whichever scope they are in: a global one may hold those of workspaces.
async fn groups(node: &Node, workspaces: &[Workspace]) -> Result<Found, HydrateError> {
    let mut addresses = Vec::new();
    let scopes = workspaces.iter().cloned().map(Scope::Workspace);
    for scope in [Scope::Global].into_iter().chain(scopes) {
        let names = list(node, &Collection::LayerGroups(scope.clone())).await?;
        addresses.extend(names.into_iter().map(|name| (scope.clone(), name)));
    }
    let groups = addresses.into_iter().map(async |(scope, name)| {
        let place = RestPlace {
            workspace: workspace_of(&scope).map(str::to_owned),
            store: None,
            name: Some(name.clone()),
        };
        let holds = match Name::new(name) {
            Ok(name) => what_it_holds(node, &Address::LayerGroup { scope, name }).await?,
            Err(_) => Vec::new(),
        };
        Ok::<_, HydrateError>(Group { place, holds })
    });
    let groups: Vec<Group> = stream::iter(groups)
        .buffered(Settings::MAX_READERS)
        .try_collect()
        .await?;
    let objects = in_order(&groups).into_iter().map(|place| Object {
        kind: Kind::LayerGroup,
        workspace: place.workspace,
        name: place.name,
        id: None,
    });
    Ok(objects.collect::<Vec<_>>().into())
}

async fn what_it_holds(node: &Node, group: &Address) -> Result<Vec<String>, HydrateError> {
    match there(node.get(group).await) {
        Ok(document) => Ok(document.map(|it| held(&it)).unwrap_or_default()),
        // GeoServer fails to tell some groups; hydrating the hint says so.
        Err(HydrateError::Permanent(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Most workspaces go by what is set for all, and a removal told for each of them would only cost.
async fn of_workspace(node: &Node, workspace: &Workspace) -> Result<Found, HydrateError> {
    let scope = Scope::Workspace(workspace.clone());
    let settings = Object {
        workspace: Some(workspace.to_string()),
        ..Object::of(Kind::Settings)
    };
    let mut looked = vec![(Address::Settings(scope.clone()), settings)];
    looked.extend(SERVICES.map(|(service, name)| {
        let scope = scope.clone();
        let object = named(Kind::Service, Some(workspace.as_str()), name);
        (Address::Service { service, scope }, object)
    }));
    let looked = looked.into_iter().map(async |(address, object)| {
        let answer: Result<_, CallError> = node.get(&address).await;
        Ok::<_, HydrateError>(there(answer)?.map(|_| object))
    });
    let objects: Vec<Object> = stream::iter(looked)
        .buffered(Settings::MAX_READERS)
        .try_filter_map(|found| async { Ok(found) })
        .try_collect()
        .await?;
    Ok(objects.into())
}

/// The kind of a store, and of what it publishes.
fn kinds(kind: StoreKind) -> (Kind, Kind) {
    match kind {
        StoreKind::Data => (Kind::DataStore, Kind::FeatureType),
        StoreKind::Coverage => (Kind::CoverageStore, Kind::Coverage),
        StoreKind::Wms => (Kind::WmsStore, Kind::WmsLayer),
        StoreKind::Wmts => (Kind::WmtsStore, Kind::WmtsLayer),
    }
}

fn workspace_of(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::Global => None,
        Scope::Workspace(workspace) => Some(workspace.as_str()),
    }
}

fn named(kind: Kind, workspace: Option<&str>, name: &str) -> Object {
    Object {
        workspace: workspace.map(str::to_owned),
        name: Some(name.to_owned()),
        ..Object::of(kind)
    }
}

/// A file as an event names it: what is in the directory of a workspace is the workspace's.
fn file(path: &str) -> Object {
    let within = path
        .strip_prefix("workspaces/")
        .and_then(|it| it.split_once('/'));
    match within {
        Some((workspace, name)) => named(Kind::Resource, Some(workspace), name),
        None => named(Kind::Resource, None, path),
    }
}
