//! GeoWebCache: tile layers, grid sets, blob stores, its settings and its quota.

use std::collections::BTreeMap;

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
    pub(crate) layers: BTreeMap<Id, Element>,
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
        let mut global = self.global.clone();
        // Of the software that has written it.
        global.children.retain(|child| child.name != "version");
        let only = [
            ("global".to_owned(), &global),
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

pub(crate) fn parsed(request: &Request, root: &str) -> Result<Element, Reply> {
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
