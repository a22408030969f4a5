//! Everything that a double has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::files::Files;
use crate::json::{self, Map};
use crate::secret::Key;
use crate::table::{GLOBAL, Id, Table};
use crate::tiles::Tiles;

#[derive(Debug)]
pub(crate) struct Workspace {
    /// Of its namespace; none where GeoServer has failed to make one.
    pub(crate) uri: Option<String>,
    pub(crate) isolated: bool,
    pub(crate) settings: Option<Map>,
    pub(crate) services: BTreeMap<String, Map>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Coverage,
    Wms,
    Wmts,
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) kind: Kind,
    pub(crate) is_default: bool,
    pub(crate) body: Map,
    /// What it publishes, mostly in its own workspace.
    pub(crate) resources: BTreeSet<Id>,
}

#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) store: Id,
    pub(crate) body: Map,
}

/// How a resource is shown; it has the id and the name of it.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) style: Option<Id>,
    pub(crate) styles: Vec<Id>,
    pub(crate) body: Map,
}

#[derive(Debug)]
pub(crate) struct Style {
    pub(crate) filename: String,
    pub(crate) body: Map,
}

/// A layer or a group in a group; none where the style says what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Layer(Id),
    Group(Id),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Members(pub(crate) Vec<(Option<Published>, Option<Id>)>);

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) root: Option<Id>,
    pub(crate) root_style: Option<Id>,
    pub(crate) members: Members,
    /// Other ways to show it, each with what is said of it.
    pub(crate) styles: Vec<(Map, Members)>,
    pub(crate) body: Map,
    /// It has a reference without an id, and cannot be shown.
    pub(crate) broken: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) key: Key,
    pub(crate) version: String,
    url: String,
    next: Id,
    pub(crate) sequence: i64,
    pub(crate) workspaces: Table<Workspace>,
    pub(crate) default: Option<Id>,
    pub(crate) stores: Table<Store>,
    pub(crate) resources: Table<Resource>,
    pub(crate) layers: Table<Layer>,
    pub(crate) styles: Table<Style>,
    pub(crate) groups: Table<Group>,
    pub(crate) files: Files,
    pub(crate) tiles: Tiles,
    pub(crate) global: Map,
    pub(crate) logging: Map,
    pub(crate) services: BTreeMap<String, Map>,
    pub(crate) access: BTreeMap<String, String>,
    /// What stores have, by `workspace:store`.
    pub(crate) tables: BTreeMap<String, BTreeMap<String, Value>>,
    pub(crate) tables_created: Vec<String>,
    pub(crate) truncated: Vec<String>,
}

/// The styles that every GeoServer has.
pub(crate) const BUILT_IN: [&str; 5] = ["generic", "line", "point", "polygon", "raster"];

impl State {
    pub(crate) fn new(url: String) -> Self {
        let mut state = Self {
            key: Key::new(),
            version: "2.21.2".to_owned(),
            url,
            next: GLOBAL,
            sequence: 0,
            workspaces: Table::default(),
            default: None,
            stores: Table::default(),
            resources: Table::default(),
            layers: Table::default(),
            styles: Table::default(),
            groups: Table::default(),
            files: Files::default(),
            tiles: Tiles::default(),
            global: crate::settings::global(),
            logging: crate::settings::logging(),
            services: crate::services::all(),
            access: BTreeMap::new(),
            tables: BTreeMap::new(),
            tables_created: Vec::new(),
            truncated: Vec::new(),
        };
        for name in BUILT_IN {
            state.add_built_in_style(name);
        }
        state
    }

    pub(crate) fn new_id(&mut self) -> Id {
        self.next += 1;
        self.next
    }

    /// An id as it is shown. It is another at each node.
    pub(crate) fn shown_id(&self, class: &str, id: Id) -> String {
        format!("{class}Impl-{:?}:{id:x}", self.key)
            .replace("Key(", "")
            .replace(')', "")
    }

    /// A change of the catalog or of the configuration is counted.
    pub(crate) fn moved(&mut self, by: i64) {
        self.sequence += by;
    }

    /// Where links lead to.
    pub(crate) fn rest(&self) -> String {
        let settings = self.global.get("settings").and_then(Value::as_object);
        let proxy = settings.and_then(|settings| json::said(settings, "proxyBaseUrl"));
        format!("{}/rest", proxy.as_ref().unwrap_or(&self.url))
    }

    pub(crate) fn link(&self, path: &str) -> Value {
        Value::String(format!("{}/{path}.json", self.rest()))
    }

    /// `workspace:name`, or the bare name of what is in none.
    pub(crate) fn prefixed(&self, place: Id, name: &str) -> String {
        if place == GLOBAL {
            name.to_owned()
        } else {
            format!("{}:{name}", self.workspaces[place].name)
        }
    }
}
