//! Workspaces and their namespaces.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, flag, name_in, said};
use crate::route::{Answer, document, encoded, list, not_allowed};
use crate::state::{State, Workspace};
use crate::table::{GLOBAL, Id};

/// What a URI cannot hold, of what is ASCII.
const NOT_IN_URI: &str = " \"<>\\^`{|}";

impl State {
    pub(crate) fn workspace_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let all = self.workspaces.iter().map(|(_, row)| {
                    let link = self.link(&format!("workspaces/{}", encoded(&row.name)));
                    (row.name.clone(), link)
                });
                Ok(list("workspaces", "workspace", all.collect()))
            }
            ("POST", []) => self.create_workspace(request),
            (method, [name]) => {
                if method == "PUT" && *name == "default" {
                    return self.set_default(request, "workspace", "name");
                }
                let found = self.workspace_named(name);
                let missing = || match method {
                    "GET" if request.asks_for("quietOnNotFound") => Reply::text(404, ""),
                    "DELETE" => Reply::empty(404),
                    _ => Reply::text(404, format!("No such workspace: '{name}' found")),
                };
                let id = found.ok_or_else(missing)?;
                match method {
                    "GET" => Ok(document("workspace", self.show_workspace(id, name))),
                    "PUT" => self.change_workspace(request, id),
                    "DELETE" => self.remove_workspace(id, request.asks_for("recurse")),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn namespace_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let all = self
                    .workspaces
                    .iter()
                    .filter(|(_, row)| row.it.uri.is_some());
                let all = all.map(|(_, row)| {
                    let link = self.link(&format!("namespaces/{}", encoded(&row.name)));
                    (row.name.clone(), link)
                });
                Ok(list("namespaces", "namespace", all.collect()))
            }
            ("POST", []) => self.create_namespace(request),
            (method, [name]) => {
                if method == "PUT" && *name == "default" {
                    return self.set_default(request, "namespace", "prefix");
                }
                let found = self.workspace_named(name);
                let found = found.filter(|id| self.workspaces[*id].it.uri.is_some());
                let id = found.ok_or_else(|| match method {
                    "GET" => Reply::text(404, format!("No such namespace: '{name}' found")),
                    _ => Reply::empty(404),
                })?;
                match method {
                    "GET" => Ok(document("namespace", self.show_namespace(id))),
                    "PUT" => self.change_namespace(request, id),
                    "DELETE" if !self.is_empty(id) => Err(Reply::empty(401)),
                    "DELETE" => self.remove_workspace(id, true),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    /// `called` is what it was asked for as, which may be `default`.
    pub(crate) fn show_workspace(&self, id: Id, called: &str) -> Map {
        let row = &self.workspaces[id];
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        shown.insert("isolated".into(), row.it.isolated.into());
        row.add_dates(&mut shown);
        for (key, part) in [
            ("dataStores", "datastores"),
            ("coverageStores", "coveragestores"),
            ("wmsStores", "wmsstores"),
            ("wmtsStores", "wmtsstores"),
        ] {
            let link = self.link(&format!("workspaces/{called}/{part}"));
            shown.insert(key.into(), link);
        }
        shown
    }

    pub(crate) fn show_namespace(&self, id: Id) -> Map {
        let row = &self.workspaces[id];
        let mut shown = Map::new();
        shown.insert("prefix".into(), row.name.clone().into());
        let uri = row.it.uri.clone().map_or(Value::Null, Value::String);
        shown.insert("uri".into(), uri);
        shown.insert("isolated".into(), row.it.isolated.into());
        shown
    }

    fn add_workspace(&mut self, name: &str, uri: Option<String>, isolated: bool) -> Id {
        let id = self.new_id();
        let workspace = Workspace {
            uri,
            isolated,
            settings: None,
            services: BTreeMap::new(),
        };
        self.workspaces.add(id, GLOBAL, name, workspace);
        self.files.make_directory(&format!("workspaces/{name}"));
        self.default.get_or_insert(id);
        self.moved(1);
        id
    }

    fn create_workspace(&mut self, request: &Request) -> Answer {
        let given = bodies::of(request, "workspace")?;
        let name = said(&given, "name");
        let name = name.ok_or_else(|| Reply::text(500, "workspace name must not be null"))?;
        if self.workspaces.find(GLOBAL, &name).is_some() {
            return Err(Reply::page(
                409,
                &format!("Workspace '{name}' already exists"),
            ));
        }
        let uri = format!("http://{name}");
        if name.chars().any(|c| NOT_IN_URI.contains(c)) {
            // It stays, without a namespace.
            self.add_workspace(&name, None, false);
            let words = format!("Invalid URI syntax for '{uri}' in namespace '{name}'");
            return Err(Reply::text(500, words));
        }
        let isolated = flag(&given, "isolated") == Some(true);
        self.free_uri(&uri, isolated, None)?;
        let id = self.add_workspace(&name, Some(uri), isolated);
        if request.asks_for("default") {
            self.default = Some(id);
        }
        let location = format!("{}/workspaces/{}", self.rest(), encoded(&name));
        Ok(Reply::created(&name, location))
    }

    /// Only isolated workspaces may be created with a URI that another one has, unless that is isolated.
    fn free_uri(&self, uri: &str, isolated: bool, but: Option<Id>) -> Result<(), Reply> {
        let mut others = self.workspaces.iter().filter(|(id, _)| Some(*id) != but);
        let taken = others.any(|(_, row)| !row.it.isolated && row.it.uri.as_deref() == Some(uri));
        if taken && !isolated {
            let words = format!("Namespace with URI '{uri}' already exists.");
            return Err(Reply::text(500, words));
        }
        Ok(())
    }

    fn create_namespace(&mut self, request: &Request) -> Answer {
        let given = bodies::of(request, "namespace")?;
        let (Some(prefix), Some(uri)) = (said(&given, "prefix"), said(&given, "uri")) else {
            return Err(Reply::text(500, "namespace prefix must not be null"));
        };
        let isolated = flag(&given, "isolated") == Some(true);
        let existing = self.workspaces.find(GLOBAL, &prefix);
        if existing.is_some_and(|id| self.workspaces[id].it.uri.is_some()) {
            let words = format!("Namespace with prefix '{prefix}' already exists.");
            return Err(Reply::text(500, words));
        }
        self.free_uri(&uri, isolated, None)?;
        if let Some(id) = existing {
            let workspace = &mut self.workspaces[id].it;
            workspace.uri = Some(uri);
            workspace.isolated = isolated;
            self.moved(1);
        } else {
            self.add_workspace(&prefix, Some(uri), isolated);
        }
        let location = format!("{}/namespaces/{}", self.rest(), encoded(&prefix));
        Ok(Reply::created(&prefix, location))
    }

    fn change_workspace(&mut self, request: &Request, id: Id) -> Answer {
        let given = bodies::of(request, "workspace")?;
        let old = self.workspaces[id].name.clone();
        if let Some(name) = said(&given, "name").filter(|name| *name != old) {
            if self.workspaces.find(GLOBAL, &name).is_some() {
                let words = format!("Workspace named '{name}' already exists.");
                return Err(Reply::text(500, words));
            }
            // Whatever refers to it has its id.
            self.workspaces.rename(id, GLOBAL, &name);
            let (from, to) = (format!("workspaces/{old}"), format!("workspaces/{name}"));
            self.files.rename(&from, &to);
        }
        let row = &mut self.workspaces[id];
        if let Some(isolated) = flag(&given, "isolated") {
            row.it.isolated = isolated;
        }
        row.touch();
        self.moved(2);
        Ok(Reply::empty(200))
    }

    fn change_namespace(&mut self, request: &Request, id: Id) -> Answer {
        let given = bodies::of(request, "namespace")?;
        if said(&given, "prefix").is_some_and(|prefix| prefix != self.workspaces[id].name) {
            return Err(Reply::empty(403));
        }
        let uri = said(&given, "uri");
        if let Some(uri) = &uri {
            self.free_uri(uri, false, Some(id))?;
        }
        let row = &mut self.workspaces[id];
        row.it.isolated = flag(&given, "isolated").unwrap_or(row.it.isolated);
        row.touch();
        if let Some(uri) = uri {
            let is_other = row.it.uri.replace(uri.clone()).as_ref() != Some(&uri);
            self.spread_uri(id, &uri);
            self.moved(is_other.into());
        }
        self.moved(2);
        Ok(Reply::empty(200))
    }

    fn set_default(&mut self, request: &Request, root: &str, key: &str) -> Answer {
        let given = bodies::of(request, root)?;
        let name = name_in(&given, key).unwrap_or_default();
        let found = self.workspaces.find(GLOBAL, &name);
        let id = found.ok_or_else(|| Reply::text(404, format!("No such {root}: {name}")))?;
        self.default = Some(id);
        self.workspaces[id].touch();
        self.moved(2);
        Ok(Reply::empty(200))
    }

    fn is_empty(&self, id: Id) -> bool {
        self.stores.of(id).is_empty()
            && self.groups.of(id).is_empty()
            && self.styles.of(id).is_empty()
    }

    fn remove_workspace(&mut self, id: Id, recurse: bool) -> Answer {
        if !recurse && (!self.is_empty(id) || self.default == Some(id)) {
            return Err(Reply::empty(403));
        }
        let layers = self.layers.of(id);
        let root = self.groups.iter().find(|(_, row)| {
            row.place != id && row.it.root.is_some_and(|root| layers.contains(&root))
        });
        if let Some((_, row)) = root {
            let words = format!(
                "Unable to delete layer referenced by layer group '{}'",
                row.name
            );
            return Err(Reply::text(500, words));
        }
        for group in self.groups.of(id) {
            self.drop_group(group);
        }
        for store in self.stores.of(id) {
            self.drop_store(store);
        }
        // Of stores elsewhere.
        for resource in self.resources.of(id) {
            self.drop_resource(resource);
        }
        for style in self.styles.of(id) {
            self.drop_style(style);
        }
        let name = self.workspaces[id].name.clone();
        self.workspaces.remove(id);
        self.files.remove(&format!("workspaces/{name}"));
        if self.default == Some(id) {
            self.default = self.workspaces.iter().next().map(|(id, _)| id);
        }
        self.moved(2);
        Ok(Reply::empty(200))
    }
}
