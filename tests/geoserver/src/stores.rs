//! Stores of all kinds.

use std::collections::BTreeSet;

use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, flag, items, listed, name_in, said};
use crate::merge::{default, merge, ordered};
use crate::route::{Answer, document, encoded, list, not_allowed};
use crate::state::{Kind, State, Store};
use crate::table::{GLOBAL, Id};

const KNOWN: [&str; 14] = [
    "description",
    "type",
    "enabled",
    "connectionParameters",
    "metadata",
    "url",
    "capabilitiesURL",
    "user",
    "password",
    "maxConnections",
    "readTimeout",
    "connectTimeout",
    "headerName",
    "headerValue",
];

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Data, Self::Coverage, Self::Wms, Self::Wmts];

    pub(crate) fn of_stores(collection: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.stores() == collection)
    }

    pub(crate) fn stores(self) -> &'static str {
        match self {
            Self::Data => "datastores",
            Self::Coverage => "coveragestores",
            Self::Wms => "wmsstores",
            Self::Wmts => "wmtsstores",
        }
    }

    pub(crate) fn store(self) -> &'static str {
        match self {
            Self::Data => "dataStore",
            Self::Coverage => "coverageStore",
            Self::Wms => "wmsStore",
            Self::Wmts => "wmtsStore",
        }
    }

    /// What a store is called in words.
    fn words(self) -> &'static str {
        match self {
            Self::Data => "datastore",
            Self::Coverage => "coverage store",
            Self::Wms => "wms store",
            Self::Wmts => "wmts store",
        }
    }
}

impl State {
    pub(crate) fn store_named(&self, place: Id, kind: Kind, name: &str) -> Result<Id, Reply> {
        let found = if kind == Kind::Data && name == "default" {
            let stores = self.stores.of(place);
            stores.into_iter().find(|id| self.stores[*id].it.is_default)
        } else {
            self.stores.find(place, name)
        };
        let found = found.filter(|id| self.stores[*id].it.kind == kind);
        found.ok_or_else(|| {
            let workspace = &self.workspaces[place].name;
            Reply::text(404, format!("No such {}: {workspace},{name}", kind.words()))
        })
    }

    pub(crate) fn store_call(
        &mut self,
        request: &Request,
        place: Id,
        kind: Kind,
        path: &[&str],
    ) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let workspace = &self.workspaces[place].name;
                let all = self.stores.of(place).into_iter().map(|id| &self.stores[id]);
                let all = all.filter(|row| row.it.kind == kind).map(|row| {
                    let name = encoded(&row.name);
                    let path = format!("workspaces/{workspace}/{}/{name}", kind.stores());
                    (row.name.clone(), self.link(&path))
                });
                let outer = format!("{}s", kind.store());
                Ok(list(&outer, kind.store(), all.collect()))
            }
            ("POST", []) => self.create_store(request, place, kind),
            (method, [name]) => {
                let id = self.store_named(place, kind, name)?;
                match method {
                    "GET" => {
                        let mut shown = self.show_store(id);
                        self.key.hide(&mut shown);
                        Ok(document(kind.store(), shown))
                    }
                    "PUT" => self.change_store(request, id),
                    "DELETE" => self.remove_store(request, id),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    /// With its passwords.
    pub(crate) fn show_store(&self, id: Id) -> Map {
        let row = &self.stores[id];
        let (kind, body) = (row.it.kind, &row.it.body);
        let workspace = &self.workspaces[row.place].name;
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        shown.extend(ordered(body, &KNOWN[..3]));
        let link = self.link(&format!("workspaces/{workspace}"));
        shown.insert("workspace".into(), json!({"name": workspace, "href": link}));
        shown.extend(ordered(body, &KNOWN[3..5]));
        if let Some(parameters) = shown.get_mut("connectionParameters") {
            let mut entries = items(parameters, "entry");
            entries.shuffle(&mut rand::rng());
            *parameters = json!({"entry": listed(entries)});
        }
        shown.insert("_default".into(), row.it.is_default.into());
        row.add_dates(&mut shown);
        shown.extend(ordered(body, &KNOWN[5..]));
        let (key, part) = match kind {
            Kind::Data => ("featureTypes", "featuretypes"),
            Kind::Coverage => ("coverages", "coverages"),
            Kind::Wms => ("wmslayers", "wmslayers"),
            Kind::Wmts => ("layers", "layers"),
        };
        let path = format!(
            "workspaces/{workspace}/{}/{}/{part}",
            kind.stores(),
            row.name
        );
        shown.insert(key.into(), self.link(&path));
        shown
    }

    fn create_store(&mut self, request: &Request, place: Id, kind: Kind) -> Answer {
        let given = bodies::of(request, kind.store())?;
        let place = self.place_of_new_store(&given, place, kind)?;
        let name = said(&given, "name");
        let name = name.ok_or_else(|| Reply::text(500, "Store name must not be null"))?;
        let workspace = self.workspaces[place].name.clone();
        if self.stores.find(place, &name).is_some() {
            let words = format!("Store '{name}' already exists in workspace '{workspace}'");
            return Err(Reply::text(500, words));
        }
        let mut body = Map::new();
        merge(&mut body, &given, &KNOWN);
        self.key.reveal(&mut body)?;
        match kind {
            Kind::Data => {
                // Whatever was said.
                body.insert("enabled".into(), true.into());
                self.complete_parameters(&mut body, place);
            }
            Kind::Coverage => default(&mut body, "enabled", false),
            Kind::Wms | Kind::Wmts => {
                default(
                    &mut body,
                    "type",
                    if kind == Kind::Wms { "WMS" } else { "WMTS" },
                );
                default(&mut body, "enabled", true);
                default(&mut body, "maxConnections", 6);
                default(&mut body, "readTimeout", 60);
                default(&mut body, "connectTimeout", 30);
                let pooled = json!({"entry": {"@key": "useConnectionPooling", "$": "true"}});
                default(&mut body, "metadata", pooled);
            }
        }
        let id = self.new_id();
        let store = Store {
            kind,
            is_default: false,
            body,
            resources: BTreeSet::new(),
        };
        self.stores.add(id, place, &name, store);
        self.files
            .make_directory(&format!("workspaces/{workspace}/{name}"));
        self.moved(1);
        let path = format!(
            "workspaces/{workspace}/{}/{}",
            kind.stores(),
            encoded(&name)
        );
        Ok(Reply::created(&name, format!("{}/{path}", self.rest())))
    }

    /// The workspace in a body is checked, or wins, by kind.
    fn place_of_new_store(&self, given: &Map, place: Id, kind: Kind) -> Result<Id, Reply> {
        let said = name_in(given, "workspace");
        let known = said
            .as_ref()
            .and_then(|it| self.workspaces.find(GLOBAL, it));
        match (kind, known) {
            (Kind::Coverage, Some(known)) => Ok(known),
            (Kind::Coverage, None) => Err(Reply::text(500, "Store must be part of a workspace")),
            (_, Some(known)) if known != place => {
                let (expected, said) = (&self.workspaces[place].name, &self.workspaces[known].name);
                let words = format!("Expected workspace {expected} but client specified {said}");
                Err(Reply::page(403, &words))
            }
            _ => Ok(place),
        }
    }

    /// The server knows the namespace, and what a store is by its parameters.
    fn complete_parameters(&self, body: &mut Map, place: Id) {
        default(body, "connectionParameters", json!({}));
        let parameters = &body["connectionParameters"];
        let mut entries = items(parameters, "entry");
        let of = |key: &str| entries.iter().find(|entry| entry["@key"] == key);
        let database = of("dbtype").and_then(|entry| entry["$"].as_str().map(str::to_owned));
        if of("namespace").is_none()
            && let Some(uri) = &self.workspaces[place].it.uri
        {
            entries.push(json!({"@key": "namespace", "$": uri}));
        }
        match (
            body.get("type").and_then(Value::as_str),
            database.as_deref(),
        ) {
            (None, Some("geopkg")) => default(body, "type", "GeoPackage"),
            (None, Some("postgis")) => default(body, "type", "PostGIS"),
            // What opens it first.
            (Some("Directory of spatial files (shapefiles)"), _) => {
                body.insert("type".into(), "Shapefile".into());
            }
            _ => {}
        }
        body.insert(
            "connectionParameters".into(),
            json!({"entry": listed(entries)}),
        );
    }

    /// A namespace has another URI: its stores say so as well.
    pub(crate) fn spread_uri(&mut self, place: Id, uri: &str) {
        for id in self.stores.of(place) {
            let Some(parameters) = self.stores[id].it.body.get_mut("connectionParameters") else {
                continue;
            };
            let mut entries = items(parameters, "entry");
            for entry in entries
                .iter_mut()
                .filter(|entry| entry["@key"] == "namespace")
            {
                entry["$"] = uri.into();
            }
            *parameters = json!({"entry": listed(entries)});
        }
    }

    fn change_store(&mut self, request: &Request, id: Id) -> Answer {
        let row = &self.stores[id];
        let kind = row.it.kind;
        let given = bodies::of(request, kind.store())?;
        let mut body = row.it.body.clone();
        merge(&mut body, &given, &KNOWN);
        self.key.reveal(&mut body)?;
        let name = said(&given, "name").unwrap_or_else(|| row.name.clone());
        let is_remote = matches!(kind, Kind::Wms | Kind::Wmts);
        if is_remote && name != row.name {
            return Err(Reply::empty(403));
        }
        let workspace = name_in(&given, "workspace");
        let known = workspace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        // Another workspace moves it.
        let place = known.unwrap_or(row.place);
        if (place, &name) != (row.place, &row.name) {
            if self.stores.find(place, &name).is_some() {
                let workspace = &self.workspaces[place].name;
                let words = format!("Store '{name}' already exists in workspace '{workspace}'");
                return Err(Reply::text(500, words));
            }
            let clash = self.resources_of(id).into_iter().find(|it| {
                let name = &self.resources[*it].name;
                let other = self.resources.find(place, name);
                other.is_some_and(|other| other != *it)
            });
            if let Some(resource) = clash {
                let resource = &self.resources[resource].name;
                let words =
                    format!("Resource named '{resource}' already exists in store: '{name}'");
                return Err(Reply::text(500, words));
            }
            self.move_store(id, place, &name);
        }
        let is_default = flag(&given, "_default");
        let row = &mut self.stores[id];
        row.it.body = body;
        row.it.is_default = is_default.unwrap_or(row.it.is_default);
        row.touch();
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn move_store(&mut self, id: Id, place: Id, name: &str) {
        let row = &self.stores[id];
        let directory = |place, name: &str| {
            let workspace = &self.workspaces[place].name;
            format!("workspaces/{workspace}/{name}")
        };
        let (from, to) = (directory(row.place, &row.name), directory(place, name));
        for resource in self.resources_of(id) {
            let name = self.resources[resource].name.clone();
            self.resources.rename(resource, place, &name);
            if self.layers.has(resource) {
                self.layers.rename(resource, place, &name);
            }
        }
        self.files.rename(&from, &to);
        self.stores.rename(id, place, name);
    }

    fn remove_store(&mut self, request: &Request, id: Id) -> Answer {
        let resources = self.resources_of(id);
        if !request.asks_for("recurse") && !resources.is_empty() {
            let is_data = self.stores[id].it.kind == Kind::Data;
            return Err(Reply::empty(if is_data { 403 } else { 401 }));
        }
        self.drop_store(id);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    pub(crate) fn drop_store(&mut self, id: Id) {
        for resource in self.resources_of(id) {
            self.drop_resource(resource);
        }
        let row = &self.stores[id];
        let workspace = &self.workspaces[row.place].name;
        self.files
            .remove(&format!("workspaces/{workspace}/{}", row.name));
        self.stores.remove(id);
    }

    pub(crate) fn resources_of(&self, store: Id) -> Vec<Id> {
        self.stores[store].it.resources.iter().copied().collect()
    }
}
