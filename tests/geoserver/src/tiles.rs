//! GeoWebCache: tile layers, grid sets, blob stores, its settings and its quota.

use std::collections::BTreeMap;
use std::f64::consts::FRAC_PI_4;

use rand::seq::SliceRandom as _;
use serde_json::json;

use crate::http::{Reply, Request};
use crate::route::{Answer, not_allowed, not_found};
use crate::state::State;
use crate::table::Id;
use crate::xml::Element;

#[derive(Debug)]
pub(crate) struct Tiles {
    /// By the id of the layer or group, without id and name: those follow.
    layers: BTreeMap<Id, Element>,
    gridsets: BTreeMap<String, Element>,
    blobstores: BTreeMap<String, Element>,
    global: Element,
    quota: Element,
}

/// The grid sets that every GeoServer has.
const BUILT_IN: &str = include_str!("empty/gridsets.txt");

impl Default for Tiles {
    fn default() -> Self {
        let text = Element::new;
        Self {
            layers: BTreeMap::new(),
            gridsets: BTreeMap::new(),
            blobstores: BTreeMap::new(),
            global: Element::with(
                "global",
                [
                    text("runtimeStatsEnabled", "true"),
                    text("wmtsCiteCompliant", "false"),
                    text("backendTimeout", "120"),
                    text("version", "1.8.0"),
                    text("identifier", "gwc"),
                    text("location", "gwc/geowebcache.xml"),
                ],
            ),
            quota: Element::with(
                "org.geowebcache.diskquota.DiskQuotaConfig",
                [
                    text("enabled", "false"),
                    text("cacheCleanUpFrequency", "10"),
                    text("cacheCleanUpUnits", "SECONDS"),
                    text("maxConcurrentCleanUps", "2"),
                    text("globalExpirationPolicyName", "LFU"),
                    Element::with("globalQuota", [text("id", "0"), text("bytes", "524288000")]),
                ],
            ),
        }
    }
}

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

    pub(crate) fn remove(&mut self, id: Id) {
        self.layers.remove(&id);
    }

    /// Everything but layers, by its path.
    pub(crate) fn others(&self) -> Vec<(String, String)> {
        let sets = self
            .gridsets
            .iter()
            .map(|(name, it)| (format!("gridsets/{name}"), it));
        let stores = self
            .blobstores
            .iter()
            .map(|(name, it)| (format!("blobstores/{name}"), it));
        let only = [
            ("global".to_owned(), &self.global),
            ("diskquota".to_owned(), &self.quota),
        ];
        let all = sets.chain(stores).chain(only);
        all.map(|(path, it)| (path, it.document())).collect()
    }
}

impl State {
    pub(crate) fn tile_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        let bare = |name: &str| {
            let name = name
                .strip_suffix(".xml")
                .or_else(|| name.strip_suffix(".json"));
            name.map(str::to_owned)
        };
        let last = path.last().copied().unwrap_or_default();
        let last = bare(last).unwrap_or_else(|| last.to_owned());
        let mut path = path.to_vec();
        if let Some(it) = path.last_mut() {
            *it = &last;
        }
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["layers"]) => {
                let names = self
                    .tiles
                    .layers
                    .keys()
                    .filter_map(|id| self.tile_name(*id));
                Ok(names_of(names.collect()))
            }
            (_, ["layers", name]) => self.tile_layer_call(request, name),
            ("GET", ["gridsets"]) => {
                let own = self.tiles.gridsets.keys().cloned();
                Ok(names_of(
                    own.chain(BUILT_IN.lines().map(str::to_owned)).collect(),
                ))
            }
            (_, ["gridsets", name]) => self.gridset_call(request, name),
            ("GET", ["blobstores"]) => {
                Ok(names_of(self.tiles.blobstores.keys().cloned().collect()))
            }
            (_, ["blobstores", name]) => {
                let words = format!(
                    "Failed to get BlobStoreInfo. A BlobStoreInfo with name \"{name}\" does not exist."
                );
                named_call(request, &mut self.tiles.blobstores, name, words)
            }
            ("GET", ["global"]) => Ok(Reply::xml(self.tiles.global.document())),
            ("PUT", ["global"]) => {
                let given = parsed(request, "global")?;
                for child in given.children {
                    self.tiles.global.set(child);
                }
                self.tiles.global.set(Element::new("version", "1.20.0"));
                Ok(Reply::empty(200))
            }
            ("GET", ["diskquota"]) => Ok(Reply::xml(self.tiles.quota.document())),
            ("PUT", ["diskquota"]) => self.change_quota(request),
            ("POST", ["masstruncate"]) => self.truncate(request),
            ("POST", ["seed", layer]) => {
                self.truncated.push((*layer).to_owned());
                Ok(Reply::empty(200))
            }
            ("GET", ["seed"]) => Ok(Reply::json(&json!({"long-array-array": []}))),
            _ => Err(not_found()),
        }
    }

    fn tile_name(&self, id: Id) -> Option<String> {
        if self.layers.has(id) {
            let row = &self.layers[id];
            return Some(self.prefixed(row.place, &row.name));
        }
        let row = self.groups.has(id).then(|| &self.groups[id])?;
        Some(self.prefixed(row.place, &row.name))
    }

    /// What a tile layer can be of.
    fn tiled(&self, name: &str) -> Option<Id> {
        let place_and_name = match name.split_once(':') {
            Some((workspace, bare)) => Some((self.workspace_named(workspace)?, bare)),
            None => None,
        };
        match place_and_name {
            Some((place, bare)) => {
                let layer = self.layers.find(place, bare);
                layer.or_else(|| self.groups.find(place, bare))
            }
            None => self.groups.find(crate::table::GLOBAL, name),
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

    fn tile_layer_call(&mut self, request: &Request, name: &str) -> Answer {
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

    fn gridset_call(&mut self, request: &Request, name: &str) -> Answer {
        if BUILT_IN.lines().any(|it| it == name) {
            return match request.method.as_str() {
                "GET" => {
                    let whole = Element::with("gridSet", [Element::new("name", name)]);
                    Ok(Reply::xml(whole.document()))
                }
                _ => Err(Reply::text(500, format!("{name} is built in"))),
            };
        }
        let words =
            format!("Failed to get GridSet. A GridSet with name \"{name}\" does not exist.");
        named_call(request, &mut self.tiles.gridsets, name, words)
    }

    fn change_quota(&mut self, request: &Request) -> Answer {
        let given = Element::parse(&request.body).map_err(|words| Reply::text(400, words))?;
        if given.name != "gwcQuotaConfiguration" {
            // Also what it shows itself.
            let words = format!(
                "Expected element name 'gwcQuotaConfiguration' but found {}",
                given.name
            );
            return Err(Reply::text(500, words));
        }
        for child in given.children {
            let quota = match (child.text_of("value"), child.text_of("units")) {
                (Some(value), Some(units)) => bytes_of(value, units),
                _ => None,
            };
            match quota {
                Some(bytes) => self.tiles.quota.set(Element::with(
                    "globalQuota",
                    [Element::new("id", "0"), Element::new("bytes", bytes)],
                )),
                None => self.tiles.quota.set(child),
            }
        }
        let shown = self.tiles.quota.document();
        Ok(Reply::bytes(
            200,
            "application/xml;charset=ISO-8859-1",
            shown,
        ))
    }

    fn truncate(&mut self, request: &Request) -> Answer {
        let given = Element::parse(&request.body).map_err(|words| Reply::text(400, words))?;
        let name = given.text_of("layerName").unwrap_or_default();
        let found = self
            .tiled(name)
            .filter(|id| self.tiles.layers.contains_key(id));
        if found.is_none() {
            let words = format!(
                "org.geowebcache.rest.exception.RestException 400 BAD_REQUEST: Could not find layer {name}"
            );
            return Err(Reply::text(400, words));
        }
        self.truncated.push(name.to_owned());
        Ok(Reply::empty(200))
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

fn parsed(request: &Request, root: &str) -> Result<Element, Reply> {
    let given = Element::parse(&request.body).map_err(|words| Reply::text(500, words))?;
    if given.name != root {
        return Err(Reply::text(500, format!("{} is no {root}", given.name)));
    }
    Ok(given)
}

fn names_of(mut names: Vec<String>) -> Reply {
    names.shuffle(&mut rand::rng());
    Reply::json(&json!(names))
}

/// What is stored as it was sent.
fn named_call(
    request: &Request,
    all: &mut BTreeMap<String, Element>,
    name: &str,
    missing: String,
) -> Answer {
    match request.method.as_str() {
        "GET" => {
            let whole = all.get(name).ok_or_else(|| Reply::text(404, missing))?;
            Ok(Reply::xml(whole.document()))
        }
        "PUT" => {
            let given = Element::parse(&request.body).map_err(|words| Reply::text(500, words))?;
            let is_new = all.insert(name.to_owned(), given).is_none();
            Ok(Reply::empty(if is_new { 201 } else { 200 }))
        }
        "DELETE" => {
            all.remove(name).ok_or_else(|| Reply::text(404, missing))?;
            Ok(Reply::empty(200))
        }
        _ => Err(not_allowed()),
    }
}

fn bytes_of(value: &str, units: &str) -> Option<String> {
    let power = ["B", "KiB", "MiB", "GiB", "TiB"]
        .iter()
        .position(|it| *it == units)?;
    let value: u64 = value.parse().ok()?;
    let bytes = value.checked_mul(1 << (10 * power))?;
    Some(bytes.to_string())
}
