//! Layers, which come and go with what they show.

use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, items, listed, says_nothing, sides, text};
use crate::merge::{default, merge, ordered};
use crate::route::{Answer, document, list, not_allowed};
use crate::state::{Kind, Layer, Published, State};
use crate::table::{GLOBAL, Id};

const KNOWN: [&str; 9] = [
    "path",
    "queryable",
    "opaque",
    "metadata",
    "attribution",
    "authorityURLs",
    "identifiers",
    "legend",
    "defaultWMSInterpolationMethod",
];

impl State {
    pub(crate) fn layer_call(&mut self, request: &Request, place: Id, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => Ok(self.list_layers(place)),
            (method, [name]) => {
                let found = if place == GLOBAL {
                    self.layer_named(name)
                } else {
                    self.layers.find(place, name)
                };
                let id = found.ok_or_else(|| match method {
                    "PUT" => Reply::text(
                        500,
                        "Cannot invoke \"org.geoserver.catalog.LayerInfo.getResource()\" because \"original\" is null",
                    ),
                    _ => Reply::text(404, format!("No such layer: {name}")),
                })?;
                match method {
                    "GET" => Ok(document("layer", self.show_layer(id))),
                    "PUT" => self.change_layer(request, id, place != GLOBAL),
                    "DELETE" => self.remove_layer(request, id),
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    fn list_layers(&self, place: Id) -> Reply {
        let all = if place == GLOBAL {
            self.layers.iter().map(|(id, _)| id).collect()
        } else {
            self.layers.of(place)
        };
        let all = all.into_iter().map(|id| {
            let row = &self.layers[id];
            let bare = crate::route::encoded(&row.name);
            if place == GLOBAL {
                let name = self.prefixed(row.place, &row.name);
                let workspace = crate::route::encoded(&self.workspaces[row.place].name);
                (name, self.link(&format!("layers/{workspace}%3A{bare}")))
            } else {
                (
                    row.name.clone(),
                    self.link(&self.path_in(place, "layers", &bare)),
                )
            }
        });
        list("layers", "layer", all.collect())
    }

    pub(crate) fn show_layer(&self, id: Id) -> Map {
        let row = &self.layers[id];
        let resource = &self.resources[id];
        let kind = self.stores[resource.it.store].it.kind;
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        shown.extend(ordered(&row.it.body, &KNOWN[..1]));
        let class = match kind {
            Kind::Data => "VECTOR",
            Kind::Coverage => "RASTER",
            Kind::Wms => "WMS",
            Kind::Wmts => "WMTS",
        };
        shown.insert("type".into(), class.into());
        let style = match row.it.style {
            Some(style) => self.style_of_layer(style),
            // A style that only the other server has.
            None => json!({"name": "", "href": self.link("styles/")}),
        };
        shown.insert("defaultStyle".into(), style);
        let styles = row
            .it
            .styles
            .iter()
            .map(|style| self.style_of_layer(*style));
        if let Some(styles) = listed(styles.collect()) {
            shown.insert(
                "styles".into(),
                json!({"@class": "linked-hash-set", "style": styles}),
            );
        }
        let mut reference = json!({
            "@class": kind.resource(),
            "name": self.prefixed(resource.place, &resource.name),
        });
        if kind != Kind::Wmts {
            reference["href"] = self.link(&self.resource_path(id));
        }
        shown.insert("resource".into(), reference);
        shown.extend(ordered(&row.it.body, &KNOWN[1..]));
        row.add_dates(&mut shown);
        shown
    }

    pub(crate) fn add_layer(&mut self, id: Id) {
        let resource = &self.resources[id];
        let kind = self.stores[resource.it.store].it.kind;
        let style = match kind {
            Kind::Data => Some(style_of_geometry(&resource.it.body)),
            Kind::Coverage | Kind::Wmts => Some("raster"),
            Kind::Wms => None,
        };
        let attribution = json!({"logoWidth": 0, "logoHeight": 0});
        let layer = Layer {
            style: style.and_then(|name| self.styles.find(GLOBAL, name)),
            styles: Vec::new(),
            body: Map::from_iter([("attribution".to_owned(), attribution)]),
        };
        let bounds = resource.it.body.get("latLonBoundingBox").and_then(sides);
        let (place, name) = (resource.place, resource.name.clone());
        self.layers.add(id, place, &name, layer);
        self.tiles.add(id, bounds);
    }

    /// `in_workspace`: by a path on which GeoServer fills what is not said from whichever layer
    /// has the same bare name.
    fn change_layer(&mut self, request: &Request, id: Id, in_workspace: bool) -> Answer {
        let given = bodies::of(request, "layer")?;
        let method = given.get("defaultWMSInterpolationMethod");
        if method.is_some_and(says_nothing) {
            return Err(Reply::text(500, "No enum constant"));
        }
        let mut donor = id;
        if in_workspace {
            let name = &self.layers[id].name;
            donor = self.layer_named(name).unwrap_or(id);
        }
        let donor = &self.layers[donor].it;
        let (mut style, mut styles) = (donor.style, donor.styles.clone());
        let mut body = donor.body.clone();
        for key in ["authorityURLs", "identifiers"] {
            if !given.contains_key(key) {
                body.shift_remove(key);
            }
        }
        merge(&mut body, &given, &KNOWN);
        default(&mut body, "queryable", true);
        default(&mut body, "opaque", false);
        if let Some(reference) = given.get("defaultStyle") {
            style = self.style_meant(reference).or(style);
        }
        if let Some(list) = given.get("styles").filter(|list| !list.is_array()) {
            let meant = items(list, "style");
            let mut meant: Vec<Id> = meant.iter().filter_map(|it| self.style_meant(it)).collect();
            if list.get("@class").and_then(text).as_deref() != Some("linked-hash-set") {
                meant.shuffle(&mut rand::rng());
            }
            let mut seen = Vec::new();
            meant.retain(|id| {
                !seen.contains(id) && {
                    seen.push(*id);
                    true
                }
            });
            styles = meant;
        }
        let row = &mut self.layers[id];
        row.it = Layer {
            style,
            styles,
            body,
        };
        row.touch();
        default(&mut self.resources[id].it.body, "advertised", true);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn remove_layer(&mut self, request: &Request, id: Id) -> Answer {
        if request.asks_for("recurse") {
            self.drop_resource(id);
        } else {
            if let Some(group) = self.groups_with(Published::Layer(id)).first() {
                let group = &self.groups[*group].name;
                let words = format!("Unable to delete layer referenced by layer group '{group}'");
                return Err(Reply::text(500, words));
            }
            self.drop_layer(id);
        }
        self.moved(1);
        Ok(Reply::empty(200))
    }

    pub(crate) fn drop_layer(&mut self, id: Id) {
        self.drop_from_groups(Published::Layer(id));
        self.layers.remove(id);
        self.tiles.remove(id);
    }
}

fn style_of_geometry(body: &Map) -> &'static str {
    let attributes = body.get("attributes").unwrap_or(&Value::Null);
    let geometry = items(attributes, "attribute")
        .into_iter()
        .find_map(|attribute| {
            let binding = attribute.get("binding")?.as_str()?;
            binding
                .strip_prefix("org.locationtech.jts.geom.")
                .map(str::to_owned)
        });
    match geometry.as_deref() {
        Some("Point" | "MultiPoint") => "point",
        Some("LineString" | "MultiLineString") => "line",
        Some("Polygon" | "MultiPolygon") => "polygon",
        _ => "generic",
    }
}
