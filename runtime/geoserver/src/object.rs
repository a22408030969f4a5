//! The objects of the catalog and of the configuration, and where they are.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use weir_event::Reason;

use crate::address::{Address, Asked, Found, Purge, Removal};
use crate::encoding::{ascii_json, last_part, part};
use crate::{Name, Workspace};

/// Where styles, layer groups and settings are: beside the workspaces, or in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Global,
    Workspace(Workspace),
}

/// The kinds of stores. What a store publishes is of its kind: feature types, coverages, and the
/// layers of other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKind {
    Data,
    Coverage,
    Wms,
    Wmts,
}

/// The services that have settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    Wms,
    Wfs,
    Wcs,
    Wmts,
}

/// What the body of a style is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StyleFormat {
    Sld10,
    /// SLD 1.1, which GeoServer calls SE.
    Sld11,
    Css,
    Ysld,
    MapboxStyle,
}

/// An object whose document is JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    Workspace(Workspace),
    /// Which workspace is the default one.
    DefaultWorkspace,
    Namespace(Workspace),
    /// The namespace of the default workspace.
    DefaultNamespace,
    Store {
        kind: StoreKind,
        workspace: Workspace,
        name: Name,
    },
    /// What a store publishes, of the store's kind: a feature type, a coverage, a WMS or WMTS layer.
    Resource {
        kind: StoreKind,
        workspace: Workspace,
        store: Name,
        name: Name,
    },
    /// How a resource is shown. It comes and goes with its resource, and has the name of it.
    Layer {
        workspace: Workspace,
        name: Name,
    },
    LayerGroup {
        scope: Scope,
        name: Name,
    },
    /// What is said about a style; its body is a file.
    Style {
        scope: Scope,
        name: Name,
    },
    Settings(Scope),
    Contact,
    Service {
        service: Service,
        scope: Scope,
    },
    Logging,
    /// All rules about who may see and change which layers: `{"ws.layer.r": "ROLE_A,ROLE_B"}`.
    /// Creating adds rules, changing changes those that there are.
    AccessRules,
    /// One of these rules, by its key: `ws.layer.r`. It is removed here, and the rest is done above.
    AccessRule(Name),
}

impl StoreKind {
    pub(crate) fn stores(self) -> &'static str {
        match self {
            Self::Data => "datastores",
            Self::Coverage => "coveragestores",
            Self::Wms => "wmsstores",
            Self::Wmts => "wmtsstores",
        }
    }

    /// What its resources are called below a store.
    pub(crate) fn resources(self) -> &'static str {
        match self {
            Self::Data => "featuretypes",
            Self::Coverage => "coverages",
            Self::Wms => "wmslayers",
            // `wmtslayers` is there for the workspace only.
            Self::Wmts => "layers",
        }
    }
}

impl Service {
    fn name(self) -> &'static str {
        match self {
            Self::Wms => "wms",
            Self::Wfs => "wfs",
            Self::Wcs => "wcs",
            Self::Wmts => "wmts",
        }
    }
}

impl StyleFormat {
    /// The charset is said because GeoServer takes that of its JVM otherwise.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Sld10 => "application/vnd.ogc.sld+xml; charset=utf-8",
            Self::Sld11 => "application/vnd.ogc.se+xml; charset=utf-8",
            Self::Css => "application/vnd.geoserver.geocss+css; charset=utf-8",
            Self::Ysld => "application/vnd.geoserver.ysld+yaml; charset=utf-8",
            Self::MapboxStyle => "application/vnd.geoserver.mbstyle+json; charset=utf-8",
        }
    }
}

/// `/rest`, or a workspace in it.
pub(crate) fn base(scope: &Scope) -> String {
    match scope {
        Scope::Global => "/rest".to_owned(),
        Scope::Workspace(workspace) => in_workspace(workspace),
    }
}

pub(crate) fn in_workspace(workspace: &Workspace) -> String {
    format!("/rest/workspaces/{}", part(workspace.as_str()))
}

pub(crate) fn in_store(kind: StoreKind, workspace: &Workspace, store: &Name) -> String {
    let workspace = in_workspace(workspace);
    format!("{workspace}/{}/{}", kind.stores(), part(store.as_str()))
}

impl Object {
    /// The directory that it is in, and its name there; for what is the only one of its kind, the
    /// whole path and no name.
    fn place(&self) -> (String, Option<String>) {
        let named = |directory: String, name: &str| (directory, Some(name.to_owned()));
        let only = |path: String| (path, None);
        match self {
            Self::Workspace(name) => named("/rest/workspaces".to_owned(), name.as_str()),
            Self::DefaultWorkspace => only("/rest/workspaces/default".to_owned()),
            Self::Namespace(prefix) => named("/rest/namespaces".to_owned(), prefix.as_str()),
            Self::DefaultNamespace => only("/rest/namespaces/default".to_owned()),
            Self::Store {
                kind,
                workspace,
                name,
            } => named(
                format!("{}/{}", in_workspace(workspace), kind.stores()),
                name.as_str(),
            ),
            Self::Resource {
                kind,
                workspace,
                store,
                name,
            } => named(
                format!("{}/{}", in_store(*kind, workspace, store), kind.resources()),
                name.as_str(),
            ),
            // Not below its workspace: what is put there takes what it lacks from a layer of the
            // same name in another workspace.
            Self::Layer { workspace, name } => {
                named("/rest/layers".to_owned(), &format!("{workspace}:{name}"))
            }
            Self::LayerGroup { scope, name } => {
                named(format!("{}/layergroups", base(scope)), name.as_str())
            }
            Self::Style { scope, name } => named(format!("{}/styles", base(scope)), name.as_str()),
            Self::Settings(scope) => only(format!("{}/settings", base(scope))),
            Self::Contact => only("/rest/settings/contact".to_owned()),
            Self::Service { service, scope } => only(match scope {
                Scope::Global => format!("/rest/services/{}/settings", service.name()),
                Scope::Workspace(workspace) => format!(
                    "/rest/services/{}/workspaces/{}/settings",
                    service.name(),
                    part(workspace.as_str())
                ),
            }),
            Self::Logging => only("/rest/logging".to_owned()),
            Self::AccessRules | Self::AccessRule(_) => only("/rest/security/acl/layers".to_owned()),
        }
    }

    /// Where it is written to and removed.
    pub(crate) fn written(&self) -> String {
        match self {
            // Below its store, GeoServer cannot do it: "UnsupportedOperationException".
            Self::Resource {
                kind: StoreKind::Wms,
                workspace,
                name,
                ..
            } => {
                let workspace = in_workspace(workspace);
                format!("{workspace}/wmslayers/{}", last_part(name.as_str()))
            }
            _ => match self.place() {
                (directory, Some(name)) => format!("{directory}/{}", last_part(&name)),
                (path, None) => path,
            },
        }
    }

    /// True for what cannot be removed: there is always one.
    fn stays(&self) -> bool {
        match self {
            Self::DefaultWorkspace
            | Self::DefaultNamespace
            | Self::Contact
            | Self::Logging
            | Self::AccessRules => true,
            Self::Settings(scope) | Self::Service { scope, .. } => *scope == Scope::Global,
            _ => false,
        }
    }
}

impl Asked for Object {
    fn read(&self) -> String {
        match self.place() {
            // Always with the format: without, what follows a dot in the name would be it.
            (directory, Some(name)) => format!("{directory}/{}.json", part(&name)),
            (path, None) => format!("{path}.json"),
        }
    }

    fn accept(&self) -> Option<&'static str> {
        Some("application/json")
    }

    fn create(&self) -> Option<(Method, String)> {
        match self {
            Self::DefaultWorkspace
            | Self::DefaultNamespace
            | Self::Contact
            | Self::Logging
            | Self::Layer { .. }
            | Self::Settings(Scope::Global)
            | Self::Service {
                scope: Scope::Global,
                ..
            }
            | Self::AccessRule(_) => None,
            Self::Service { .. } => Some((Method::PUT, self.place().0)),
            _ => Some((Method::POST, self.place().0)),
        }
    }

    fn change(&self) -> Option<String> {
        (!matches!(self, Self::AccessRule(_))).then(|| self.written())
    }

    fn remove(&self, removal: Removal) -> Option<String> {
        if self.stays() {
            return None;
        }
        let purge = match (self, removal.purge) {
            (Self::Style { .. }, Purge::Everything) => Some("true"),
            (
                Self::Store {
                    kind: StoreKind::Coverage,
                    ..
                },
                purge,
            ) => match purge {
                Purge::Nothing => None,
                Purge::Metadata => Some("metadata"),
                Purge::Everything => Some("all"),
            },
            _ => None,
        };
        let path = match self {
            Self::AccessRule(rule) => format!("/rest/security/acl/layers/{}", part(rule.as_str())),
            // A WMS layer is written to in its workspace, and removed from its store as all others.
            Self::Resource { name, .. } => {
                format!("{}/{}", self.place().0, last_part(name.as_str()))
            }
            _ => self.written(),
        };
        Some(removal.of(&path, purge))
    }

    fn needs(&self) -> Option<Object> {
        match self {
            // What is put there for a workspace that is not there becomes the settings of all.
            Self::Service {
                scope: Scope::Workspace(workspace),
                ..
            } => Some(Self::Workspace(workspace.clone())),
            _ => None,
        }
    }

    fn stands(&self) -> Option<Object> {
        match self {
            // Where a global one is not there, the one of this name in the default workspace is
            // changed and removed; and to remove what is not there is "referenced by" each group
            // that has a style in the place of a layer.
            Self::LayerGroup { .. } => Some(self.clone()),
            _ => self.needs(),
        }
    }

    fn within(&self) -> Option<Object> {
        match self {
            Self::Settings(Scope::Workspace(workspace)) => Some(Self::Workspace(workspace.clone())),
            _ => None,
        }
    }

    fn global_style(&self) -> Option<&Name> {
        match self {
            Self::Style {
                scope: Scope::Global,
                name,
            } => Some(name),
            _ => None,
        }
    }
}

impl Address for Object {
    type Document = Value;

    fn encode(&self, document: &Value) -> (&'static str, Bytes) {
        ("application/json", ascii_json(document).into())
    }

    fn decode(&self, _: &HeaderMap, body: Bytes) -> Found<Value> {
        let document: Value = match serde_json::from_slice(&body) {
            Ok(document) => document,
            Err(error) => {
                return Found::Unreadable(Reason::new(format_args!("this is no JSON: {error}")));
            }
        };
        let of_workspace = |root: &str| document.get(root).and_then(|it| it.get("workspace"));
        match self {
            // Where there are none, GeoServer shows what it goes by.
            Self::Settings(Scope::Workspace(_)) if of_workspace("settings").is_none() => {
                Found::NotIt("the workspace has no settings of its own")
            }
            // Where there is none, GeoServer shows the one of this name in the default workspace.
            Self::LayerGroup {
                scope: Scope::Global,
                ..
            } if of_workspace("layerGroup").is_some() => {
                Found::NotIt("there is a layer group of this name in the default workspace only")
            }
            Self::AccessRule(rule) => match document.get(rule.as_str()) {
                Some(roles) => Found::It(serde_json::json!({ rule.as_str(): roles })),
                None => Found::NotIt("there is no such rule"),
            },
            _ => Found::It(document),
        }
    }
}
