//! What there is more than one of, and the names in it.

use serde_json::Value;

use crate::file::templates;
use crate::object::{base, in_store, in_workspace};
use crate::{Name, Object, Scope, StoreKind, TemplatePlace, Workspace, shape};

/// Several objects of one kind, by their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    Workspaces,
    Namespaces,
    Stores {
        kind: StoreKind,
        workspace: Workspace,
    },
    /// What a store publishes.
    Resources {
        kind: StoreKind,
        workspace: Workspace,
        store: Name,
    },
    /// What a store has and does not publish yet, by its native names. GeoServer asks the database or
    /// the other server, and lets nobody write meanwhile.
    Unpublished {
        kind: StoreKind,
        workspace: Workspace,
        store: Name,
    },
    /// All layers, as `ws:layer`, or those of a workspace, by their bare names.
    Layers(Scope),
    LayerGroups(Scope),
    Styles(Scope),
    Templates(TemplatePlace),
    /// The keys of the access rules.
    AccessRules,
    TileLayers,
    GridSets,
    BlobStores,
}

impl Collection {
    pub(crate) fn read(&self) -> String {
        let path = match self {
            Self::Workspaces => "/rest/workspaces".to_owned(),
            Self::Namespaces => "/rest/namespaces".to_owned(),
            Self::Stores { kind, workspace } => {
                format!("{}/{}", in_workspace(workspace), kind.stores())
            }
            Self::Resources {
                kind,
                workspace,
                store,
            } => format!("{}/{}", in_store(*kind, workspace, store), kind.resources()),
            Self::Unpublished {
                kind,
                workspace,
                store,
            } => {
                let store = in_store(*kind, workspace, store);
                return format!("{store}/{}.json?list=available", kind.resources());
            }
            Self::Layers(scope) => format!("{}/layers", base(scope)),
            Self::LayerGroups(scope) => format!("{}/layergroups", base(scope)),
            Self::Styles(scope) => format!("{}/styles", base(scope)),
            Self::Templates(place) => templates(place),
            Self::AccessRules => "/rest/security/acl/layers".to_owned(),
            Self::TileLayers => "/gwc/rest/layers".to_owned(),
            Self::GridSets => "/gwc/rest/gridsets".to_owned(),
            Self::BlobStores => "/gwc/rest/blobstores".to_owned(),
        };
        format!("{path}.json")
    }

    /// What it is in, where GeoServer stumbles over its absence.
    pub(crate) fn within(&self) -> Option<Object> {
        match self {
            Self::Resources {
                kind,
                workspace,
                store,
            } => Some(Object::Store {
                kind: *kind,
                workspace: workspace.clone(),
                name: store.clone(),
            }),
            _ => None,
        }
    }

    /// The names that a document of it holds; `None` if it is none.
    pub(crate) fn names(&self, document: &Value) -> Option<Vec<String>> {
        let (outer, inner) = match self {
            Self::AccessRules => return Some(document.as_object()?.keys().cloned().collect()),
            Self::TileLayers | Self::GridSets | Self::BlobStores => {
                return shape::names(document.as_array()?);
            }
            Self::Workspaces => ("workspaces", "workspace"),
            Self::Namespaces => ("namespaces", "namespace"),
            Self::Stores { kind, .. } => match kind {
                StoreKind::Data => ("dataStores", "dataStore"),
                StoreKind::Coverage => ("coverageStores", "coverageStore"),
                StoreKind::Wms => ("wmsStores", "wmsStore"),
                StoreKind::Wmts => ("wmtsStores", "wmtsStore"),
            },
            Self::Resources { kind, .. } => match kind {
                StoreKind::Data => ("featureTypes", "featureType"),
                StoreKind::Coverage => ("coverages", "coverage"),
                StoreKind::Wms => ("wmsLayers", "wmsLayer"),
                StoreKind::Wmts => ("wmtsLayers", "wmtsLayer"),
            },
            Self::Unpublished { .. } => ("list", "string"),
            Self::Layers(_) => ("layers", "layer"),
            Self::LayerGroups(_) => ("layerGroups", "layerGroup"),
            Self::Styles(_) => ("styles", "style"),
            Self::Templates(_) => (
                "org.geoserver.rest.catalog.TemplateInfos",
                "org.geoserver.rest.catalog.TemplateInfo",
            ),
        };
        shape::names(shape::items(document.get(outer)?, inner))
    }
}
