//! Whether a slave is what its master is, by all that the two doubles hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use weir_test_geoserver::Document;

type State = BTreeMap<String, Document>;

/// How a slave differs from its master where each workspace has a prefix.
pub(crate) fn differences(master: &State, slave: &State, prefix: &str) -> Vec<String> {
    let mapping = Mapping::of(master, prefix);
    let wanted: State = master
        .iter()
        .map(|(path, document)| (mapping.path(path), mapping.document(path, document)))
        .collect();
    let paths: BTreeSet<&String> = wanted.keys().chain(slave.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        match (wanted.get(path), slave.get(path)) {
            (Some(want), Some(have)) => {
                let (want, have) = (plain(path, want), plain(path, have));
                if !is_in(path, &want, &have) {
                    found.push(format!("{path}: {want} is {have}"));
                }
            }
            (Some(_), None) => found.push(format!("{path} is missing")),
            (None, _) => found.push(format!("{path} is left")),
        }
    }
    found
}

/// Settings may say more at a slave: GeoServer writes there by itself what it goes by anyway.
fn is_in(path: &str, want: &Value, have: &Value) -> bool {
    match (want, have) {
        (Value::Object(want), Value::Object(have)) if path.contains("settings") => want
            .iter()
            .all(|(key, want)| have.get(key).is_some_and(|have| is_in(path, want, have))),
        _ => want == have,
    }
}

/// A document without what says nothing: GeoServer fills in what it goes by with the next change.
fn plain(path: &str, document: &Document) -> Value {
    match document {
        Document::Json(value) => said("", value).unwrap_or_default(),
        Document::Xml(text) => text.clone().into(),
        Document::Bytes(bytes) if path.contains("/styles/") => {
            String::from_utf8_lossy(bytes).into_owned().into()
        }
        Document::Bytes(bytes) => format!("{bytes:?}").into(),
    }
}

fn said(key: &str, value: &Value) -> Option<Value> {
    let is_default = match value {
        Value::Null => true,
        Value::Bool(flag) => *flag == matches!(key, "enabled" | "advertised" | "queryable"),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    };
    // That the slave is not asked for.
    let is_own = matches!(key, "@class" | "lockProviderName");
    if is_default || is_own {
        return None;
    }
    Some(match value {
        Value::Object(map) => {
            let said = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), said(key, value)?)));
            let said: Map<String, Value> = said.collect();
            if said.is_empty() {
                return None;
            }
            Value::Object(said)
        }
        // A place that says nothing is a place.
        Value::Array(items) => {
            let items = items.iter();
            let items: Vec<Value> = items.map(|it| said("", it).unwrap_or_default()).collect();
            match items.as_slice() {
                [] => return None,
                [one] => one.clone(),
                _ => Value::Array(items),
            }
        }
        other => other.clone(),
    })
}

/// What stages make of the names of workspaces.
struct Mapping<'a> {
    prefix: &'a str,
    workspaces: BTreeSet<&'a str>,
}

impl<'a> Mapping<'a> {
    fn of(master: &'a State, prefix: &'a str) -> Self {
        let names = master
            .keys()
            .filter_map(|path| path.strip_prefix("workspaces/"));
        let workspaces = names.filter(|name| !name.contains('/') && *name != "default");
        Self {
            prefix,
            workspaces: workspaces.collect(),
        }
    }

    /// A name of a workspace, or what is within one.
    fn name(&self, text: &str) -> String {
        let workspace = text.split([':', '.']).next().unwrap_or_default();
        if self.workspaces.contains(workspace) {
            format!("{}{text}", self.prefix)
        } else {
            text.to_owned()
        }
    }

    fn path(&self, path: &str) -> String {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        for index in 1..parts.len() {
            let is_name = matches!(parts[index - 1].as_str(), "workspaces" | "namespaces")
                || path.starts_with("gwc/layers");
            if is_name {
                parts[index] = self.name(&parts[index]);
            }
        }
        parts.join("/")
    }

    fn document(&self, path: &str, document: &Document) -> Document {
        match document {
            Document::Json(value) if path.starts_with("security/") => {
                let rules = value.as_object().unwrap().iter();
                let rules = rules.map(|(key, roles)| (self.name(key), roles.clone()));
                Document::Json(Value::Object(rules.collect()))
            }
            Document::Json(value) => {
                let mut value = value.clone();
                let is_workspace = path.starts_with("workspaces/") && path.split('/').count() == 2;
                self.map("", is_workspace, &mut value);
                Document::Json(value)
            }
            Document::Xml(text) => Document::Xml(self.xml(text)),
            Document::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Document::Bytes(self.xml(text).into_bytes()),
                Err(_) => document.clone(),
            },
        }
    }

    fn xml(&self, text: &str) -> String {
        let prefix = self.prefix;
        let rename = |text: String, name: &&str| {
            text.replace(&format!(">{name}:"), &format!(">{prefix}{name}:"))
        };
        self.workspaces.iter().fold(text.to_owned(), rename)
    }

    fn map(&self, key: &str, is_workspace: bool, value: &mut Value) {
        let is_namespace = value.get("@key").and_then(Value::as_str) == Some("namespace");
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    if let ("$", true, Value::String(uri)) =
                        (key.as_str(), is_namespace, &mut *value)
                    {
                        uri.push_str(self.prefix);
                    }
                    let is_workspace =
                        is_workspace || matches!(key.as_str(), "workspace" | "namespace");
                    self.map(key, is_workspace, value);
                }
            }
            Value::Array(items) => items
                .iter_mut()
                .for_each(|it| self.map(key, is_workspace, it)),
            Value::String(text) => match key {
                "uri" => text.push_str(self.prefix),
                "prefix" | "workspace" => *text = self.name(text),
                "name" if is_workspace || text.contains(':') => *text = self.name(text),
                _ => {}
            },
            _ => {}
        }
    }
}
