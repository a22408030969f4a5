//! Layer groups.

use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, items, listed, name_in, said, says_nothing, sides};
use crate::merge::{default, merge, ordered};
use crate::route::{Answer, document, encoded, list, not_allowed};
use crate::state::{Group, Members, Published, State};
use crate::table::{GLOBAL, Id};

const KNOWN: [&str; 16] = [
    "mode",
    "title",
    "abstractTxt",
    "enabled",
    "advertised",
    "internationalTitle",
    "internationalAbstract",
    "metadataLinks",
    "bounds",
    "metadata",
    "attribution",
    "keywords",
    "authorityURLs",
    "identifiers",
    "queryDisabled",
    "description",
];

/// What is said of another way to show a group.
const KNOWN_OF_STYLE: [&str; 3] = ["title", "abstractTxt", "internationalTitle"];

impl Group {
    pub(crate) fn uses_style(&self, id: Id) -> bool {
        let uses = |members: &Members| members.0.iter().any(|(_, style)| *style == Some(id));
        self.root_style == Some(id)
            || uses(&self.members)
            || self.styles.iter().any(|(_, members)| uses(members))
    }

    pub(crate) fn drop_style(&mut self, id: Id) {
        let more = self.styles.iter_mut().map(|(_, members)| members);
        for members in more.chain([&mut self.members]) {
            for (_, style) in &mut members.0 {
                style.take_if(|style| *style == id);
            }
        }
        self.root_style.take_if(|style| *style == id);
    }
}

impl State {
    pub(crate) fn group_call(&mut self, request: &Request, place: Id, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let all = self.groups.of(place).into_iter().map(|id| {
                    let name = self.groups[id].name.clone();
                    let path = self.path_in(place, "layergroups", &encoded(&name));
                    (name, self.link(&path))
                });
                Ok(list("layerGroups", "layerGroup", all.collect()))
            }
            ("POST", []) => self.create_group(request, place),
            (method, [name]) => {
                let found = self.group_of_call(method, place, name);
                let id = found.ok_or_else(|| match (method, place) {
                    ("PUT", _) => Reply::text(
                        500,
                        "java.lang.NullPointerException: Cannot invoke \"Object.getClass()\" because \"obj\" is null",
                    ),
                    ("DELETE", _) => Reply::empty(500),
                    (_, GLOBAL) => Reply::text(404, format!("No such layer group {name}")),
                    (_, place) => {
                        let workspace = &self.workspaces[place].name;
                        let words = format!("No such layer group {name} in workspace {workspace}");
                        Reply::text(404, words)
                    }
                })?;
                match method {
                    "GET" if self.groups[id].it.broken => Err(Reply::text(
                        500,
                        "Unable to marshal reference with no id or name.",
                    )),
                    "GET" => Ok(document("layerGroup", self.show_group(id))),
                    "PUT" => self.change_group(request, id),
                    "DELETE" => self.remove_group(id),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    /// Who only looks is shown the one of the default workspace where there is no global one.
    fn group_of_call(&self, method: &str, place: Id, name: &str) -> Option<Id> {
        if place == GLOBAL && method == "GET" {
            self.group_named(name)
        } else {
            self.groups.find(place, name)
        }
    }

    pub(crate) fn show_group(&self, id: Id) -> Map {
        let row = &self.groups[id];
        let group = &row.it;
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        shown.extend(ordered(&group.body, &KNOWN[..5]));
        if row.place != GLOBAL {
            let workspace = &self.workspaces[row.place].name;
            shown.insert("workspace".into(), json!({ "name": workspace }));
        }
        shown.extend(ordered(&group.body, &KNOWN[5..7]));
        if let Some(root) = group.root {
            shown.insert("rootLayer".into(), self.layer_reference(root));
        }
        if let Some(style) = group.root_style {
            shown.insert("rootLayerStyle".into(), self.style_of_group(style));
        }
        let (published, styles) = self.show_members(&group.members);
        shown.insert("publishables".into(), published);
        shown.insert("styles".into(), styles);
        shown.extend(ordered(&group.body, &KNOWN[7..]));
        row.add_dates(&mut shown);
        let styles = group.styles.iter().map(|(said, members)| {
            let mut shown = Map::new();
            let id = self.shown_id("LayerGroupStyle", id);
            shown.insert("id".into(), id.into());
            shown.extend(said.clone());
            let (published, styles) = self.show_members(members);
            shown.insert("layers".into(), published);
            shown.insert("styles".into(), styles);
            Value::Object(shown)
        });
        if let Some(styles) = listed(styles.collect()) {
            shown.insert(
                "layerGroupStyles".into(),
                json!({ "LayerGroupStyle": styles }),
            );
        }
        shown
    }

    fn create_group(&mut self, request: &Request, place: Id) -> Answer {
        let given = bodies::of(request, "layerGroup")?;
        let workspace = name_in(&given, "workspace");
        let said_place = workspace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        let place = match said_place {
            Some(said) if place == GLOBAL => said,
            _ => place,
        };
        let name = said(&given, "name");
        let name = name.ok_or_else(|| Reply::text(500, "Layer group name must not be null"))?;
        if self.groups.find(place, &name).is_some() {
            let words = format!("Layer group named '{name}' already exists");
            return Err(Reply::text(500, words));
        }
        let mut group = Group {
            root: None,
            root_style: None,
            members: Members::default(),
            styles: Vec::new(),
            body: Map::new(),
            broken: false,
        };
        default(&mut group.body, "mode", "SINGLE");
        self.take_over(&mut group, &given, place)?;
        if group.members.0.is_empty() {
            return Err(Reply::text(500, "Layer group must not be empty"));
        }
        if !group.body.contains_key("bounds") {
            self.add_bounds(&mut group);
        }
        let bounds = group.body.get("bounds").and_then(sides);
        let id = self.new_id();
        self.groups.add(id, place, &name, group);
        self.tiles.add(id, bounds);
        self.moved(1);
        let path = self.path_in(place, "layergroups", &encoded(&name));
        Ok(Reply::created(&name, format!("{}/{path}", self.rest())))
    }

    fn change_group(&mut self, request: &Request, id: Id) -> Answer {
        let given = bodies::of(request, "layerGroup")?;
        let row = &self.groups[id];
        let place = row.place;
        let workspace = name_in(&given, "workspace");
        let said_place = workspace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        let is_other = said(&given, "name").is_some_and(|name| name != row.name)
            || said_place.is_some_and(|it| it != place);
        if is_other {
            return Err(Reply::empty(403));
        }
        let mut group = Group {
            root: row.it.root,
            root_style: row.it.root_style,
            members: row.it.members.clone(),
            styles: row.it.styles.clone(),
            body: row.it.body.clone(),
            broken: row.it.broken,
        };
        self.take_over(&mut group, &given, place)?;
        if self.holds(&group.members, id) {
            return Err(Reply::text(500, "Layer group is in a loop"));
        }
        if group.members.0.is_empty() {
            return Err(Reply::text(500, "Layer group must not be empty"));
        }
        default(&mut group.body, "enabled", true);
        default(&mut group.body, "advertised", true);
        // From XML an empty style is a reference to nothing, and only JSON is without it.
        if bodies::is_xml(request) {
            let styles = given.get("styles").unwrap_or(&Value::Null);
            group.broken |= items(styles, "style").iter().any(says_nothing);
        } else {
            group.broken &= !given.contains_key("styles");
        }
        let row = &mut self.groups[id];
        row.it = group;
        row.touch();
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn take_over(&self, group: &mut Group, given: &Map, place: Id) -> Result<(), Reply> {
        merge(&mut group.body, given, &KNOWN);
        let nothing = Value::Null;
        if let Some(root) = name_in(given, "rootLayer") {
            group.root = self.layer_named(&root);
        }
        if let Some(style) = given.get("rootLayerStyle") {
            group.root_style = self.style_meant(style);
        }
        let published = given.get("publishables").filter(|it| !it.is_array());
        let styles = given.get("styles").filter(|it| !it.is_array());
        if let Some(published) = published {
            let styles = styles.unwrap_or(&nothing);
            group.members = self.members(published, styles, place)?;
        } else if let Some(styles) = styles {
            let mut styles = items(styles, "style").into_iter();
            for (_, style) in &mut group.members.0 {
                *style = styles.next().and_then(|it| self.style_meant(&it));
            }
        }
        if let Some(list) = given.get("layerGroupStyles") {
            let mut styles = Vec::new();
            for style in items(list, "LayerGroupStyle") {
                let published = style.get("layers").unwrap_or(&nothing);
                let of = style.get("styles").unwrap_or(&nothing);
                let members = self.members(published, of, place)?;
                let mut said = Map::new();
                if let Some(name) = style.get("name") {
                    said.insert("name".into(), name.clone());
                }
                merge(
                    &mut said,
                    style.as_object().unwrap_or(&Map::new()),
                    &KNOWN_OF_STYLE,
                );
                styles.push((said, members));
            }
            group.styles = styles;
        }
        Ok(())
    }

    fn remove_group(&mut self, id: Id) -> Answer {
        if let Some(other) = self.groups_with(Published::Group(id)).first() {
            let other = &self.groups[*other].name;
            let words = format!("Unable to delete layer group referenced by layer group '{other}'");
            return Err(Reply::text(500, words));
        }
        self.drop_group(id);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    pub(crate) fn drop_group(&mut self, id: Id) {
        if self.groups.has(id) {
            self.drop_from_groups(Published::Group(id));
            self.groups.remove(id);
            self.tiles.remove(id);
        }
    }
}
