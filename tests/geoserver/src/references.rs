//! What a name in a body stands for.

use serde_json::{Value, json};

use crate::json::{Map, name_in, text};
use crate::state::{Published, State};
use crate::table::{GLOBAL, Id};

impl State {
    /// The style that a reference means. A bare name is one of the default workspace first.
    pub(crate) fn style_meant(&self, reference: &Value) -> Option<Id> {
        let of = match reference {
            Value::Object(map) => map.clone(),
            other => Map::from_iter([("name".to_owned(), other.clone())]),
        };
        if let Some(name) = name_in(&of, "name") {
            if let Some((workspace, name)) = name.split_once(':') {
                let place = self.workspaces.find(GLOBAL, workspace)?;
                return self.styles.find(place, name);
            }
            if let Some(workspace) = name_in(&of, "workspace") {
                let place = self.workspaces.find(GLOBAL, &workspace)?;
                return self.styles.find(place, &name);
            }
            return self.shadowed_style(&name);
        }
        let id = text(of.get("id")?)?;
        let mut styles = self.styles.iter().map(|(id, _)| id);
        styles.find(|style| self.shown_id("StyleInfo", *style) == id)
    }

    /// The style of a bare name: the one of the default workspace, or else the global one.
    pub(crate) fn shadowed_style(&self, name: &str) -> Option<Id> {
        let in_default = self.default.and_then(|it| self.styles.find(it, name));
        in_default.or_else(|| self.styles.find(GLOBAL, name))
    }

    /// The layer of a name, `workspace:layer` or bare: then one of the default workspace first,
    /// and any other next.
    pub(crate) fn layer_named(&self, name: &str) -> Option<Id> {
        if let Some((workspace, bare)) = name.split_once(':') {
            let place = self.workspaces.find(GLOBAL, workspace)?;
            return self.layers.find(place, bare);
        }
        let in_default = self.default.and_then(|it| self.layers.find(it, name));
        in_default.or_else(|| {
            let mut all = self.layers.iter();
            all.find(|(_, row)| row.name == name).map(|(id, _)| id)
        })
    }

    /// The group of a name, `workspace:group` or bare: then a global one first, and one of the
    /// default workspace next.
    pub(crate) fn group_named(&self, name: &str) -> Option<Id> {
        if let Some((workspace, bare)) = name.split_once(':') {
            let place = self.workspaces.find(GLOBAL, workspace)?;
            return self.groups.find(place, bare);
        }
        let global = self.groups.find(GLOBAL, name);
        global.or_else(|| self.default.and_then(|it| self.groups.find(it, name)))
    }

    pub(crate) fn published(&self, reference: &Value) -> Option<Published> {
        let name = text(reference.get("name")?)?;
        let is_group = reference.get("@type").and_then(Value::as_str) == Some("layerGroup");
        if is_group {
            self.group_named(&name).map(Published::Group)
        } else {
            self.layer_named(&name).map(Published::Layer)
        }
    }

    pub(crate) fn style_path(&self, id: Id) -> String {
        let row = &self.styles[id];
        self.path_in(row.place, "styles", &row.name)
    }

    /// `styles/name`, or the same in a workspace.
    pub(crate) fn path_in(&self, place: Id, collection: &str, name: &str) -> String {
        if place == GLOBAL {
            return format!("{collection}/{name}");
        }
        let workspace = &self.workspaces[place].name;
        format!("workspaces/{workspace}/{collection}/{name}")
    }

    /// A reference to a style as a layer shows it.
    pub(crate) fn style_of_layer(&self, id: Id) -> Value {
        let row = &self.styles[id];
        let mut shown = Map::new();
        let name = self.prefixed(row.place, &row.name);
        shown.insert("name".into(), name.into());
        if row.place != GLOBAL {
            let workspace = self.workspaces[row.place].name.clone();
            shown.insert("workspace".into(), workspace.into());
        }
        shown.insert("href".into(), self.link(&self.style_path(id)));
        Value::Object(shown)
    }

    /// The same as a layer group shows it.
    pub(crate) fn style_of_group(&self, id: Id) -> Value {
        let row = &self.styles[id];
        json!({"name": self.prefixed(row.place, &row.name), "href": self.link(&self.style_path(id))})
    }

    pub(crate) fn layer_reference(&self, id: Id) -> Value {
        let row = &self.layers[id];
        let name = self.prefixed(row.place, &row.name);
        let path = self.path_in(row.place, "layers", &row.name);
        json!({"name": name, "href": self.link(&path)})
    }

    pub(crate) fn group_reference(&self, id: Id) -> Value {
        let row = &self.groups[id];
        let name = self.prefixed(row.place, &row.name);
        let path = self.path_in(row.place, "layergroups", &row.name);
        json!({"name": name, "href": self.link(&path)})
    }

    /// Which groups hold a layer or a group, and not only as their root.
    pub(crate) fn groups_with(&self, published: Published) -> Vec<Id> {
        let holds = |row: &crate::state::Group| {
            let holds = |members: &crate::state::Members| {
                members.0.iter().any(|(it, _)| *it == Some(published))
            };
            holds(&row.members) || row.styles.iter().any(|(_, members)| holds(members))
        };
        let found = self.groups.iter().filter(|(_, row)| holds(&row.it));
        found.map(|(id, _)| id).collect()
    }
}
