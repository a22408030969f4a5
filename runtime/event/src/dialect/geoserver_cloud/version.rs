//! The versions of GeoServer Cloud, which name the classes in their patches differently. A node
//! cannot read a frame that names a class of the other version.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};
use thiserror::Error;

use super::body::{literal_in, literals, patches};
use super::{Form, form, inner};
use crate::dialect::json;

/// What a cluster of GeoServer Cloud can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloudVersion {
    /// 2.28 and older.
    V2_28,
    /// 3.0 and later.
    V3_0,
}

/// Names of classes that differ, in 2.28 and in 3.0.
const CLASSES: [[&str; 2]; 2] = [
    [
        "org.geoserver.jackson.databind.catalog.dto.InfoReference",
        "org.geoserver.jackson.databind.catalog.dto.ResolvingProxyDto",
    ],
    [
        "org.geotools.jackson.databind.filter.dto.Literal",
        "org.geotools.jackson.databind.filter.dto.LiteralDto",
    ],
];

/// The class whose field `url` 3.0 calls `URL`.
const WATERMARK: &str = "org.geoserver.wms.WatermarkInfoImpl";

/// What the classes of proxies end in, with a number; see [`repair`].
const PROXY: &str = ".$Proxy";

/// Properties that GeoServer writes as proxies, and the classes that it writes at other times.
const PROXIED: [(&str, &str); 2] = [
    (
        "attribution",
        "org.geoserver.catalog.impl.AttributionInfoImpl",
    ),
    (
        "layerGroupStyles",
        "org.geoserver.catalog.impl.LayerGroupStyleImpl",
    ),
];

impl CloudVersion {
    pub const ALL: [Self; 2] = [Self::V2_28, Self::V3_0];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_28 => "2.28",
            Self::V3_0 => "3.0",
        }
    }

    /// Makes a frame one that nodes of this version can read.
    pub(in crate::dialect) fn translate(self, frame: &mut Value) {
        if let Value::Object(outer) = &mut *frame
            && let Some((_, fields)) = inner(outer)
            && form(fields) == Some(Form::Patch)
            && let Some(patch) = fields.get_mut(Form::Patch.key())
        {
            repair(patch);
        }
        self.translate_literals(frame);
    }

    fn translate_literals(self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::Object(literal)) = map.get_mut("Literal") {
                    self.translate_literal(literal);
                }
                for value in map.values_mut() {
                    self.translate_literals(value);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.translate_literals(item);
                }
            }
            _ => {}
        }
    }

    fn translate_literal(self, literal: &mut Map<String, Value>) {
        for key in ["type", "contentType"] {
            if let Some(class) = json::text(literal, key)
                && let Some(names) = CLASSES.iter().find(|names| names.contains(&class))
            {
                json::set_text(literal, key, Some(self.choose(names)));
            }
        }
        if json::text(literal, "type") == Some(WATERMARK)
            && let Some(Value::Object(watermark)) = literal.get_mut("value")
        {
            let name = self.choose(&["url", "URL"]);
            let entries = std::mem::take(watermark).into_iter();
            *watermark = entries
                .map(|(key, value)| match key.as_str() {
                    "url" | "URL" => (name.to_owned(), value),
                    _ => (key, value),
                })
                .collect();
        }
    }

    fn choose<'a>(self, [old, new]: &[&'a str; 2]) -> &'a str {
        match self {
            Self::V2_28 => old,
            Self::V3_0 => new,
        }
    }
}

/// The first property of a patch that no node can read.
pub(super) fn unreadable(patch: &mut Value) -> Option<&str> {
    literals(patch).find_map(|(name, literal)| is_proxied(literal).then_some(name))
}

/// GeoServer itself writes patches that no node can read: what a page of its edited in place comes
/// as an object of a class that exists in the writer's process only, `jdk.proxy2.$Proxy137`. A node
/// tries such a frame three times, a second each, and then drops all of it. What the class must have
/// been is named instead where it is known; elsewhere the property is taken out, so that the rest of
/// the patch is applied. In neither case does the node get less than it would have.
fn repair(patch: &mut Value) {
    for (name, literal) in literals(patch) {
        if let Some((_, class)) = PROXIED.iter().find(|(property, _)| *property == name) {
            name_class(literal, class);
        }
    }
    if let Some(patches) = patches(patch) {
        patches.retain_mut(|entry| {
            let literal = entry.get_mut("value").and_then(literal_in);
            !literal.is_some_and(is_proxied)
        });
    }
}

fn is_proxied(literal: &mut Map<String, Value>) -> bool {
    let names_one = |map: &Map<String, Value>| {
        ["type", "contentType"]
            .iter()
            .any(|key| json::text(map, key).is_some_and(|class| class.contains(PROXY)))
    };
    names_one(literal) || items(literal).any(|item| names_one(item))
}

fn name_class(literal: &mut Map<String, Value>, class: &str) {
    let name = |map: &mut Map<String, Value>| {
        for key in ["type", "contentType"] {
            if json::text(map, key).is_some_and(|named| named.contains(PROXY)) {
                json::set_text(map, key, Some(class));
            }
        }
    };
    name(literal);
    items(literal).for_each(name);
}

/// The literals in a list.
fn items(literal: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let items = literal.get_mut("value").and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(literal_in)
}

impl FromStr for CloudVersion {
    type Err = UnknownVersion;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == name)
            .ok_or_else(|| UnknownVersion(name.to_owned()))
    }
}

/// A name that no version has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "there is no version `{0}` of geoserver-cloud; there are `2.28` (and older) and `3.0` (and later)"
)]
pub struct UnknownVersion(String);

impl fmt::Display for CloudVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
