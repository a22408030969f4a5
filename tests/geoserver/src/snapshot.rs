//! Everything that there is, to be compared.
//!
//! What was never said goes by a default, and is shown as that default after any change: here it is
//! shown so from the start.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::{Map, shown};
use crate::merge::default;
use crate::resources;
use crate::services;
use crate::settings::ERROR_HANDLING;
use crate::state::State;
use crate::table::Id;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Json(Value),
    /// Of GeoWebCache, with the lists that have no order sorted.
    Xml(String),
    /// A file.
    Bytes(Vec<u8>),
}

/// What differs between servers that are alike, as links do.
const OWN: [&str; 4] = ["id", "updateSequence", "dateCreated", "dateModified"];

pub(crate) fn of(state: &State) -> BTreeMap<String, Document> {
    let mut all = BTreeMap::new();
    let rest = format!("{}/", state.rest());
    let mut add = |path: String, body: Map| {
        let mut value = shown(Value::Object(body));
        clean(&mut value, &rest);
        all.insert(path, Document::Json(value));
    };
    for (id, row) in state.workspaces.iter() {
        let path = format!("workspaces/{}", row.name);
        add(path.clone(), state.show_workspace(id, &row.name));
        if row.it.uri.is_some() {
            add(format!("namespaces/{}", row.name), state.show_namespace(id));
        }
        if row.it.settings.is_some() {
            add(format!("{path}/settings"), state.show_settings(id));
        }
        for service in row.it.services.keys() {
            let path = format!("services/{service}/workspaces/{}/settings", row.name);
            let mut body = state.show_service(id, service);
            services::materialise(service, &mut body);
            add(path, body);
        }
    }
    if let Some(default) = state.default {
        let name = state.workspaces[default].name.clone();
        let body = Map::from_iter([("name".to_owned(), name.into())]);
        add("workspaces/default".to_owned(), body);
    }
    for (id, row) in state.stores.iter() {
        let workspace = &state.workspaces[row.place].name;
        let kind = row.it.kind.stores();
        let path = format!("workspaces/{workspace}/{kind}/{}", row.name);
        add(path, state.show_store(id));
    }
    for (id, _) in state.resources.iter() {
        let mut body = state.show_resource(id);
        resources::materialise(&mut body, state.kind_of(id));
        add(state.resource_path(id), body);
    }
    let path = |place: Id, collection: &str, name: &str| state.path_in(place, collection, name);
    for (id, row) in state.layers.iter() {
        let mut body = state.show_layer(id);
        default(&mut body, "queryable", true);
        default(&mut body, "opaque", false);
        add(path(row.place, "layers", &row.name), body);
    }
    for (id, row) in state.styles.iter() {
        add(path(row.place, "styles", &row.name), state.show_style(id));
    }
    for (id, row) in state.groups.iter() {
        let mut body = state.show_group(id);
        default(&mut body, "enabled", true);
        default(&mut body, "advertised", true);
        add(path(row.place, "layergroups", &row.name), body);
    }
    let mut global = state.show_global();
    default(&mut global, "resourceErrorHandling", ERROR_HANDLING);
    add("settings".to_owned(), global);
    add("logging".to_owned(), state.logging.clone());
    for (service, settings) in &state.services {
        let mut body = settings.clone();
        services::materialise(service, &mut body);
        add(format!("services/{service}/settings"), body);
    }
    let rules = state.access.iter();
    let rules = rules.map(|(key, roles)| (key.clone(), roles.clone().into()));
    add("security/acl/layers".to_owned(), rules.collect());
    for (path, bytes) in state.files.all() {
        all.insert(format!("resource/{path}"), Document::Bytes(bytes.to_vec()));
    }
    for (name, text) in state.tile_layers() {
        all.insert(format!("gwc/layers/{name}"), Document::Xml(text));
    }
    for (path, text) in state.tiles.others() {
        all.insert(format!("gwc/{path}"), Document::Xml(text));
    }
    all
}

/// Takes out what is a server's own, and orders what has no order.
fn clean(value: &mut Value, rest: &str) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| {
                let is_link = value.as_str().is_some_and(|it| it.starts_with(rest));
                !OWN.contains(&key.as_str()) && !is_link
            });
            for (key, value) in map.iter_mut() {
                clean(value, rest);
                if let ("entry", Value::Array(entries)) = (key.as_str(), value) {
                    entries.sort_by_key(Value::to_string);
                }
            }
            map.sort_keys();
        }
        Value::Array(items) => items.iter_mut().for_each(|it| clean(it, rest)),
        _ => {}
    }
}
