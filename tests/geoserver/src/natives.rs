//! What GeoServer finds out about what it publishes, and what it adds.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::json::{Map, items, said};
use crate::merge::default;
use crate::state::{Kind, State};
use crate::table::Id;

/// How a real GeoServer writes this one.
const WGS84: &str = "GEOGCS[\"WGS 84\", \n  DATUM[\"World Geodetic System 1984\", \n    SPHEROID[\"WGS 84\", 6378137.0, 298.257223563, AUTHORITY[\"EPSG\",\"7030\"]], \n    AUTHORITY[\"EPSG\",\"6326\"]], \n  PRIMEM[\"Greenwich\", 0.0, AUTHORITY[\"EPSG\",\"8901\"]], \n  UNIT[\"degree\", 0.017453292519943295], \n  AXIS[\"Geodetic longitude\", EAST], \n  AXIS[\"Geodetic latitude\", NORTH], \n  AUTHORITY[\"EPSG\",\"4326\"]]";

impl State {
    /// What GeoServer finds out by itself. A table that is not there is made, if it is said how.
    pub(crate) fn native(&mut self, store: Id, native: &str, given: &Map) -> Result<Map, Reply> {
        let row = &self.stores[store];
        let kind = row.it.kind;
        let key = self.prefixed(row.place, &row.name);
        let is_view = items(given.get("metadata").unwrap_or(&Value::Null), "entry")
            .iter()
            .any(|entry| entry["@key"] == "JDBC_VIRTUAL_TABLE");
        if is_view && given.contains_key("attributes") {
            let words = "Failed to access data source to check attribute customization";
            return Err(Reply::text(500, words));
        }
        let known = self.tables.get(&key);
        let found = match known {
            Some(tables) => tables.get(native).cloned(),
            None => (!native.starts_with("missing")).then(|| json!({})),
        };
        let found = found.or_else(|| is_view.then(|| json!({})));
        let Some(found) = found else {
            if kind != Kind::Data {
                return Err(Reply::text(
                    500,
                    format!("Could not find {native} in {key}"),
                ));
            }
            if items(given.get("attributes").unwrap_or(&Value::Null), "attribute").is_empty() {
                let words = "Trying to create new feature type inside the store, but no attributes were specified";
                return Err(Reply::page(400, words));
            }
            self.tables_created.push(format!("{key}/{native}"));
            if let Some(tables) = self.tables.get_mut(&key) {
                tables.insert(native.to_owned(), json!({}));
            }
            return Ok(usual(kind));
        };
        let mut body = usual(kind);
        if let Value::Object(found) = found {
            body.extend(found);
        }
        if given.contains_key("cqlFilter") {
            // It would have to read all of the data.
            body.shift_remove("nativeBoundingBox");
            body.shift_remove("latLonBoundingBox");
        }
        Ok(body)
    }
}

/// What is found out where nobody has said what there is.
fn usual(kind: Kind) -> Map {
    let bounds = json!({"minx": 10, "maxx": 11, "miny": 59, "maxy": 60, "crs": "EPSG:4326"});
    let mut body = Map::new();
    body.insert("srs".into(), "EPSG:4326".into());
    body.insert("nativeBoundingBox".into(), bounds.clone());
    body.insert("latLonBoundingBox".into(), bounds);
    if kind == Kind::Data {
        let attribute = |name: &str, binding: &str| json!({"name": name, "minOccurs": 0, "maxOccurs": 1, "nillable": true, "binding": binding});
        let attributes = json!({"attribute": [
            attribute("geom", "org.locationtech.jts.geom.Point"),
            attribute("label", "java.lang.String"),
        ]});
        body.insert("attributes".into(), attributes);
    } else {
        body.insert("nativeCRS".into(), WGS84.into());
    }
    body
}

/// What GeoServer adds to something new.
pub(crate) fn complete(body: &mut Map, kind: Kind, native: &str, given: &Map) {
    let name = said(given, "name").unwrap_or_else(|| native.to_owned());
    default(body, "nativeName", native);
    default(body, "title", name);
    if kind == Kind::Data && !given.contains_key("keywords") {
        default(body, "keywords", json!({"string": [native, "features"]}));
    }
    rewrite(body, given);
    default(body, "projectionPolicy", "FORCE_DECLARED");
    default(body, "enabled", true);
    default(body, "serviceConfiguration", false);
    match kind {
        Kind::Data => {
            default(body, "maxFeatures", 0);
            default(body, "numDecimals", 0);
            for flag in [
                "padWithZeros",
                "forcedDecimal",
                "overridingServiceSRS",
                "skipNumberMatched",
                "circularArcPresent",
            ] {
                default(body, flag, false);
            }
        }
        Kind::Coverage => {}
        Kind::Wms | Kind::Wmts => {
            default(body, "description", "");
            default(body, "abstract", "");
        }
    }
    if kind == Kind::Wms {
        default(body, "forcedRemoteStyle", "");
        default(body, "preferredFormat", "image/png");
        default(body, "metadataBBoxRespected", false);
    }
}

/// What is shown otherwise than it was given: a reference system in full, and the SQL of a view with
/// an end of its line.
pub(crate) fn rewrite(body: &mut Map, given: &Map) {
    if given.get("nativeCRS").and_then(Value::as_str) == Some("EPSG:4326") {
        body.insert("nativeCRS".into(), WGS84.into());
    }
    let entries = body.get_mut("metadata").and_then(|it| it.get_mut("entry"));
    let entries = match entries {
        Some(Value::Array(entries)) => entries.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    for entry in entries {
        if let Some(Value::String(sql)) = entry.pointer_mut("/virtualTable/sql") {
            *sql = format!("{}\n", sql.trim_end());
        }
    }
}
