//! What stores publish: feature types, coverages, layers of other servers.

use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, name_in, said};
use crate::merge::{default, merge, ordered};
use crate::natives::{complete, rewrite};
use crate::route::{Answer, document, encoded, list, not_allowed};
use crate::state::{Kind, Resource, State};
use crate::table::{GLOBAL, Id};

const KNOWN: [&str; 50] = [
    "nativeName",
    "title",
    "description",
    "abstract",
    "keywords",
    "metadataLinks",
    "dataLinks",
    "nativeCRS",
    "srs",
    "nativeBoundingBox",
    "latLonBoundingBox",
    "projectionPolicy",
    "enabled",
    "advertised",
    "metadata",
    "serviceConfiguration",
    "disabledServices",
    "simpleConversionEnabled",
    "internationalTitle",
    "internationalAbstract",
    "cqlFilter",
    "maxFeatures",
    "numDecimals",
    "padWithZeros",
    "forcedDecimal",
    "responseSRS",
    "overridingServiceSRS",
    "skipNumberMatched",
    "circularArcPresent",
    "linearizationTolerance",
    "encodeMeasures",
    "attributes",
    "nativeFormat",
    "grid",
    "supportedFormats",
    "interpolationMethods",
    "defaultInterpolationMethod",
    "dimensions",
    "requestSRS",
    "parameters",
    "nativeCoverageName",
    "forcedRemoteStyle",
    "preferredFormat",
    "metadataBBoxRespected",
    "minScale",
    "maxScale",
    "selectedRemoteFormats",
    "selectedRemoteStyles",
    "vendorParameters",
    "alias",
];

impl Kind {
    /// Of a whole workspace.
    pub(crate) fn of_resources(collection: &str) -> Option<Self> {
        match collection {
            "wmtslayers" => Some(Self::Wmts),
            "layers" => None,
            _ => Self::ALL
                .into_iter()
                .find(|kind| kind.resources() == collection),
        }
    }

    /// Of a store.
    pub(crate) fn resources(self) -> &'static str {
        match self {
            Self::Data => "featuretypes",
            Self::Coverage => "coverages",
            Self::Wms => "wmslayers",
            Self::Wmts => "layers",
        }
    }

    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Data => "featureType",
            Self::Coverage => "coverage",
            Self::Wms => "wmsLayer",
            Self::Wmts => "wmtsLayer",
        }
    }

    fn resource_words(self) -> &'static str {
        match self {
            Self::Data => "feature type",
            Self::Coverage => "coverage",
            Self::Wms => "cascaded wms layer",
            Self::Wmts => "cascaded wmts layer",
        }
    }
}

impl State {
    pub(crate) fn resource_of_store_call(
        &mut self,
        request: &Request,
        place: Id,
        store: Id,
        path: &[&str],
    ) -> Answer {
        let kind = self.stores[store].it.kind;
        match (request.method.as_str(), path) {
            ("GET", []) if !request.query("list").is_empty() => self.list_native(request, store),
            ("GET", []) => {
                let all = self.resources_of(store);
                Ok(self.list_resources(kind, &all, Self::resource_path))
            }
            ("POST", []) => self.create_resource(request, place, store),
            (method, [name]) => {
                let found = self.resources.find(place, name);
                let found = found.filter(|id| self.resources[*id].it.store == store);
                // One that was given another namespace stays in its store.
                let found = found.or_else(|| {
                    let mut all = self.resources_of(store).into_iter();
                    all.find(|id| self.resources[*id].name == *name)
                });
                let id = found.ok_or_else(|| {
                    let (workspace, store) =
                        (&self.workspaces[place].name, &self.stores[store].name);
                    let what = kind.resource_words();
                    Reply::text(404, format!("No such {what}: {workspace},{store},{name}"))
                })?;
                match (method, kind) {
                    ("GET", _) => Ok(document(kind.resource(), self.show_resource(id))),
                    ("PUT", Kind::Wms) => Err(Reply::text(
                        500,
                        "\n---- Debugging information ----\ncause-exception     : java.lang.RuntimeException\ncause-message       : java.lang.UnsupportedOperationException\n",
                    )),
                    ("PUT", _) => self.change_resource(request, id),
                    ("DELETE", _) => self.remove_resource(request, id),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn resource_of_workspace_call(
        &mut self,
        request: &Request,
        place: Id,
        kind: Kind,
        path: &[&str],
    ) -> Answer {
        let is_kind = |id: &Id| self.stores[self.resources[*id].it.store].it.kind == kind;
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let mut all = self.resources.of(place);
                all.retain(is_kind);
                let collection = match kind {
                    Kind::Wmts => "wmtslayers",
                    _ => kind.resources(),
                };
                Ok(self.list_resources(kind, &all, |state, id| {
                    let name = encoded(&state.resources[id].name);
                    format!(
                        "workspaces/{}/{collection}/{name}",
                        state.workspaces[place].name
                    )
                }))
            }
            (method, [name]) => {
                let found = self.resources.find(place, name).filter(is_kind);
                let id = found.ok_or_else(|| {
                    let workspace = &self.workspaces[place].name;
                    let what = kind.resource_words();
                    Reply::text(404, format!("No such {what}: {workspace},{name}"))
                })?;
                match method {
                    "GET" => Ok(document(kind.resource(), self.show_resource(id))),
                    "PUT" => self.change_resource(request, id),
                    "DELETE" => self.remove_resource(request, id),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    fn list_resources(&self, kind: Kind, all: &[Id], path: impl Fn(&Self, Id) -> String) -> Reply {
        let all = all.iter().map(|id| {
            let link = self.link(&path(self, *id));
            (self.resources[*id].name.clone(), link)
        });
        let outer = format!("{}s", kind.resource());
        list(&outer, kind.resource(), all.collect())
    }

    fn list_native(&self, request: &Request, store: Id) -> Answer {
        let row = &self.stores[store];
        if row.it.body.get("enabled") == Some(&Value::Bool(false)) {
            return Err(Reply::text(
                404,
                format!("Could not load datastore: {}", row.name),
            ));
        }
        // A table is available as long as nothing has its name.
        let published = self.resources_of(store).into_iter();
        let published = published.map(|id| match row.it.kind {
            Kind::Data => self.resources[id].name.clone(),
            _ => self.native_name(id),
        });
        let published: Vec<String> = published.collect();
        let all = self.tables.get(&self.prefixed(row.place, &row.name));
        let names = all.into_iter().flat_map(|tables| tables.keys());
        let names = names.filter(|it| request.query("list") == "all" || !published.contains(it));
        let names: Vec<&String> = names.collect();
        let list = if names.is_empty() {
            json!({"list": ""})
        } else {
            json!({"list": {"string": names}})
        };
        Ok(Reply::json(&list))
    }

    fn native_name(&self, id: Id) -> String {
        let row = &self.resources[id];
        said(&row.it.body, "nativeName").unwrap_or_else(|| row.name.clone())
    }

    /// Of its store.
    pub(crate) fn kind_of(&self, resource: Id) -> Kind {
        self.stores[self.resources[resource].it.store].it.kind
    }

    /// `workspaces/w/datastores/s/featuretypes/f`
    pub(crate) fn resource_path(&self, id: Id) -> String {
        let row = &self.resources[id];
        let store = &self.stores[row.it.store];
        let kind = store.it.kind;
        format!(
            "workspaces/{}/{}/{}/{}/{}",
            self.workspaces[store.place].name,
            kind.stores(),
            encoded(&store.name),
            kind.resources(),
            encoded(&row.name)
        )
    }

    pub(crate) fn show_resource(&self, id: Id) -> Map {
        let row = &self.resources[id];
        let store = &self.stores[row.it.store];
        let kind = store.it.kind;
        let namespace = &self.workspaces[row.place].name;
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        shown.extend(ordered(&row.it.body, &KNOWN[..1]));
        let link = self.link(&format!("namespaces/{namespace}"));
        shown.insert("namespace".into(), json!({"name": namespace, "href": link}));
        shown.extend(ordered(&row.it.body, &KNOWN[1..15]));
        let name = self.prefixed(store.place, &store.name);
        let workspace = &self.workspaces[store.place].name;
        let path = format!("workspaces/{workspace}/{}/{}", kind.stores(), store.name);
        shown.insert(
            "store".into(),
            json!({"@class": kind.store(), "name": name, "href": self.link(&path)}),
        );
        shown.extend(ordered(&row.it.body, &KNOWN[15..]));
        shown
    }

    fn create_resource(&mut self, request: &Request, place: Id, store: Id) -> Answer {
        let kind = self.stores[store].it.kind;
        let given = bodies::of(request, kind.resource())?;
        let (place, store) = self.place_of_new_resource(&given, place, store)?;
        let name = said(&given, "name").or_else(|| said(&given, "nativeName"));
        let name = name.ok_or_else(|| Reply::text(500, "Resource name must not be null"))?;
        if self.resources.find(place, &name).is_some() {
            let store = &self.stores[store].name;
            let words = format!("Resource named '{name}' already exists in store: '{store}'");
            return Err(Reply::text(500, words));
        }
        if self.stores[store].it.body.get("enabled") == Some(&Value::Bool(false)) {
            return Err(Reply::text(500, ""));
        }
        let native = said(&given, "nativeName").unwrap_or_else(|| name.clone());
        let mut body = self.native(store, &native, &given)?;
        merge(&mut body, &given, &KNOWN);
        if kind == Kind::Data {
            // Whatever was said.
            body.insert("enabled".into(), true.into());
        }
        complete(&mut body, kind, &native, &given);
        let id = self.new_id();
        self.resources
            .add(id, place, &name, Resource { store, body });
        self.stores[store].it.resources.insert(id);
        self.add_layer(id);
        let directory = self.resource_directory(id);
        self.files.make_directory(&directory);
        self.moved(2);
        let words = if kind == Kind::Data {
            ""
        } else {
            name.as_str()
        };
        let location = format!("{}/{}", self.rest(), self.resource_path(id));
        Ok(Reply::created(words, location))
    }

    /// What a body says of its namespace and its store is checked, ignored or obeyed, by kind.
    fn place_of_new_resource(&self, given: &Map, place: Id, store: Id) -> Result<(Id, Id), Reply> {
        let row = &self.stores[store];
        let kind = row.it.kind;
        let namespace = name_in(given, "namespace");
        let namespace = namespace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        let said_store = name_in(given, "store").and_then(|name| {
            let (workspace, bare) = name.split_once(':')?;
            let place = self.workspaces.find(GLOBAL, workspace)?;
            self.stores.find(place, bare)
        });
        match (kind, said_store) {
            (Kind::Coverage, Some(other)) => return Ok((self.stores[other].place, other)),
            (Kind::Wms | Kind::Wmts, Some(other)) if other != store => {
                let (expected, other) = (&row.name, &self.stores[other].name);
                let what = kind.words_of_store();
                let words = format!("Expected {what} {expected} but client specified {other}");
                return Err(Reply::page(403, &words));
            }
            _ => {}
        }
        if let Some(other) = namespace.filter(|other| *other != place && kind != Kind::Coverage) {
            let (expected, said) = (&self.workspaces[place].name, &self.workspaces[other].name);
            let words = format!("Expected workspace {expected} but client specified {said}");
            return Err(Reply::page(403, &words));
        }
        Ok((place, store))
    }

    fn change_resource(&mut self, request: &Request, id: Id) -> Answer {
        let row = &self.resources[id];
        let kind = self.stores[row.it.store].it.kind;
        let given = bodies::of(request, kind.resource())?;
        let name = said(&given, "name").unwrap_or_else(|| row.name.clone());
        let namespace = name_in(&given, "namespace");
        let namespace = namespace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        let place = namespace.unwrap_or(row.place);
        if (place, &name) != (row.place, &row.name) {
            if self.resources.find(place, &name).is_some() {
                let store = &self.stores[row.it.store].name;
                let words = format!("Resource named '{name}' already exists in store: '{store}'");
                return Err(Reply::text(500, words));
            }
            let from = self.resource_directory(id);
            // Layers, groups and tile layers have its id.
            self.resources.rename(id, place, &name);
            if self.layers.has(id) {
                self.layers.rename(id, place, &name);
            }
            let to = self.resource_directory(id);
            self.files.rename(&from, &to);
        }
        let body = &mut self.resources[id].it.body;
        merge(body, &given, &KNOWN);
        rewrite(body, &given);
        materialise(body, kind);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn remove_resource(&mut self, request: &Request, id: Id) -> Answer {
        if !request.asks_for("recurse") && self.layers.has(id) {
            return Err(Reply::empty(403));
        }
        self.drop_resource(id);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    pub(crate) fn drop_resource(&mut self, id: Id) {
        self.drop_layer(id);
        let directory = self.resource_directory(id);
        self.files.remove(&directory);
        let store = self.resources[id].it.store;
        self.stores[store].it.resources.remove(&id);
        self.resources.remove(id);
    }

    /// Where its files are.
    fn resource_directory(&self, id: Id) -> String {
        let row = &self.resources[id];
        let store = &self.stores[row.it.store];
        let workspace = &self.workspaces[store.place].name;
        format!("workspaces/{workspace}/{}/{}", store.name, row.name)
    }
}

impl Kind {
    fn words_of_store(self) -> &'static str {
        if self == Self::Wms {
            "wms store"
        } else {
            "wmts store"
        }
    }
}

/// What a change makes of what was never said.
pub(crate) fn materialise(body: &mut Map, kind: Kind) {
    default(body, "advertised", true);
    default(body, "simpleConversionEnabled", false);
    if kind == Kind::Data {
        default(body, "encodeMeasures", false);
    }
}
