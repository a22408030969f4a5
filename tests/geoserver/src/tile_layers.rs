//! Tile layers: what is cached of layers and of layer groups.

use std::f64::consts::FRAC_PI_4;

use rand::seq::SliceRandom as _;

use crate::http::{Reply, Request};
use crate::route::{Answer, not_allowed};
use crate::state::State;
use crate::table::{GLOBAL, Id};
use crate::tiles::{Tiles, parsed};
use crate::xml::Element;

impl Tiles {
    /// What GeoServer makes for a new layer or group, which covers this: west, south, east, north.
    pub(crate) fn add(&mut self, id: Id, bounds: Option<[f64; 4]>) {
        let text = |name: &str, text: &str| Element::new(name, text);
        let subset = |name: &str, sides: [f64; 4]| {
            let coords = sides.map(|side| Element::new("double", double(side)));
            let extent = Element::with("extent", [Element::with("coords", coords)]);
            Element::with("gridSubset", [text("gridSetName", name), extent])
        };
        let degrees = bounds.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
        let style = [text("key", "STYLES"), text("defaultValue", "")];
        let whole = Element::with(
            "GeoServerLayer",
            [
                text("enabled", "true"),
                text("inMemoryCached", "true"),
                Element::with(
                    "mimeFormats",
                    ["image/png", "image/jpeg"].map(|it| text("string", it)),
                ),
                Element::with(
                    "gridSubsets",
                    [
                        subset("EPSG:4326", degrees),
                        subset("EPSG:900913", bounds.map_or(WORLD, metres)),
                    ],
                ),
                Element::with("metaWidthHeight", [text("int", "4"), text("int", "4")]),
                text("expireCache", "0"),
                text("expireClients", "0"),
                Element::with(
                    "parameterFilters",
                    [Element::with("styleParameterFilter", style)],
                ),
                text("gutter", "0"),
                text("cacheWarningSkips", ""),
            ],
        );
        self.layers.insert(id, whole);
    }
}

impl State {
    pub(crate) fn tile_name(&self, id: Id) -> Option<String> {
        if self.layers.has(id) {
            let row = &self.layers[id];
            return Some(self.prefixed(row.place, &row.name));
        }
        let row = self.groups.has(id).then(|| &self.groups[id])?;
        Some(self.prefixed(row.place, &row.name))
    }

    /// What a tile layer can be of.
    pub(crate) fn tiled(&self, name: &str) -> Option<Id> {
        let place_and_name = match name.split_once(':') {
            Some((workspace, bare)) => Some((self.workspace_named(workspace)?, bare)),
            None => None,
        };
        match place_and_name {
            Some((place, bare)) => {
                let layer = self.layers.find(place, bare);
                layer.or_else(|| self.groups.find(place, bare))
            }
            None => self.groups.find(GLOBAL, name),
        }
    }

    fn tile_id(&self, id: Id) -> String {
        let class = if self.layers.has(id) {
            "LayerInfo"
        } else {
            "LayerGroupInfo"
        };
        self.shown_id(class, id)
    }

    /// All tile layers by their names, without ids.
    pub(crate) fn tile_layers(&self) -> Vec<(String, String)> {
        let all = self.tiles.layers.keys();
        let all = all.filter_map(|id| {
            let mut whole = self.show_tile_layer(*id)?;
            whole.children.retain(|child| child.name != "id");
            for list in ["mimeFormats", "gridSubsets"] {
                if let Some(list) = whole.child_mut(list) {
                    list.children.sort_by_key(Element::document);
                }
            }
            Some((self.tile_name(*id)?, whole.document()))
        });
        all.collect()
    }

    fn show_tile_layer(&self, id: Id) -> Option<Element> {
        let mut whole = self.tiles.layers.get(&id)?.clone();
        whole
            .children
            .insert(0, Element::new("id", self.tile_id(id)));
        let name = Element::new("name", self.tile_name(id)?);
        let before = whole
            .children
            .iter()
            .position(|child| child.name == "mimeFormats");
        whole.children.insert(before.unwrap_or(1), name);
        for list in ["mimeFormats", "gridSubsets"] {
            if let Some(list) = whole.child_mut(list) {
                list.children.shuffle(&mut rand::rng());
            }
        }
        Some(whole)
    }

    pub(crate) fn tile_layer_call(&mut self, request: &Request, name: &str) -> Answer {
        let id = self.tiled(name);
        let existing = id.filter(|id| self.tiles.layers.contains_key(id));
        let unknown = || Reply::text(404, format!("Unknown layer: {name}"));
        match request.method.as_str() {
            "GET" => {
                let whole = existing.and_then(|id| self.show_tile_layer(id));
                Ok(Reply::xml(whole.ok_or_else(unknown)?.document()))
            }
            "PUT" | "POST" => {
                let mut given = parsed(request, "GeoServerLayer")?;
                if given.text_of("name").is_some_and(|it| it != name) {
                    return Err(Reply::text(
                        400,
                        "There is a mismatch between the name of the layer in the submission and the URL you specified.",
                    ));
                }
                let found = id.ok_or_else(|| {
                    let words = format!("GeoServer Layer or LayerGroup '{name}' not found");
                    Reply::text(404, words)
                })?;
                if let Some(said) = given.text_of("id").filter(|it| *it != self.tile_id(found)) {
                    let words = format!("No GeoServer Layer or LayerGroup exists with id '{said}'");
                    return Err(Reply::text(400, words));
                }
                given
                    .children
                    .retain(|it| !matches!(it.name.as_str(), "id" | "name"));
                if let Some(filters) = given.child_mut("parameterFilters") {
                    filters
                        .children
                        .sort_by_key(|it| it.text_of("key").map(str::to_owned));
                }
                complete(&mut given);
                self.tiles.layers.insert(found, given);
                Ok(Reply::bytes(
                    200,
                    "application/xml;charset=ISO-8859-1",
                    "layer saved",
                ))
            }
            "DELETE" => {
                self.tiles.layers.remove(&existing.ok_or_else(unknown)?);
                let told = format!("{name} deleted");
                Ok(Reply::bytes(
                    200,
                    "application/xml;charset=ISO-8859-1",
                    told,
                ))
            }
            _ => Err(not_allowed()),
        }
    }
}

/// What is not said is nothing: a change replaces all.
fn complete(layer: &mut Element) {
    let number = |name| Element::new(name, "0");
    let list = |name| Element::new(name, "");
    for missing in [
        list("mimeFormats"),
        list("gridSubsets"),
        Element::with("metaWidthHeight", [number("int"), number("int")]),
        number("expireCache"),
        number("expireClients"),
        list("parameterFilters"),
        number("gutter"),
        list("cacheWarningSkips"),
    ] {
        if layer.child(&missing.name).is_none() {
            layer.children.push(missing);
        }
    }
}

/// The whole world in the projection of web maps.
const WORLD: [f64; 4] = [-20_037_508.34, -20_037_508.34, 20_037_508.34, 20_037_508.34];

fn metres([west, south, east, north]: [f64; 4]) -> [f64; 4] {
    const RADIUS: f64 = 6_378_137.0;
    let x = |degrees: f64| degrees.to_radians() * RADIUS;
    let y = |degrees: f64| (FRAC_PI_4 + degrees.to_radians() / 2.0).tan().ln() * RADIUS;
    let within = |metres: f64| metres.clamp(WORLD[0], WORLD[2]);
    [x(west), y(south), x(east), y(north)].map(within)
}

/// As Java writes it.
fn double(number: f64) -> String {
    if number.abs() < 1e7 {
        format!("{number:?}")
    } else {
        format!("{number:E}")
    }
}
