//! What documents say: whether two of them mean the same, and what has to be sent so that they do.
//!
//! GeoServer's JSON is irregular (an empty list is `""`, a list of one is its element, a text of
//! digits is a number), holds what belongs to one node alone (links, dates, ids, cipher text), and a
//! `PUT` keeps what it does not mention. All of that is measured in GeoServer 2.21 and 2.26.

use serde_json::{Map, Value};
use weir_geoserver::shape;

/// What cipher text of a node begins with. It is another one with each answer, and no other node can
/// read it.
pub(crate) const CIPHER: &str = "crypt1:";

/// Members that are one node's own, at the top of an object.
const OWN: &[&str] = &["id", "_default"];

/// When a node did something, wherever that stands.
const DATES: &[&str] = &["dateCreated", "dateModified"];

/// Members that hold a link into the interface. Addresses that people give, as that of an `ArcGIS`
/// server, may look alike and are data.
const LINKS: &[&str] = &[
    "coverageStores",
    "coverages",
    "dataStores",
    "featureTypes",
    "href",
    "layers",
    "wmsStores",
    "wmslayers",
    "wmtsStores",
];

/// What GeoServer goes by where a member that is true or false is not said.
const TRUE_UNLESS_SAID: &[&str] = &["enabled", "advertised", "queryable"];

/// Members that an empty text empties. Of others GeoServer makes something that nobody wants, or
/// fails: a box around nothing, no such projection policy. Those stay, and do not count.
const EMPTIED: &[&str] = &[
    "abstract",
    "abstractTxt",
    "alias",
    "attribution",
    "authorityURLs",
    "cqlFilter",
    "dataLinks",
    "description",
    "identifiers",
    "interpolationMethods",
    "keywords",
    "legend",
    "metadata",
    "metadataLinks",
    "path",
    "requestSRS",
    "responseSRS",
    "srs",
    "styles",
    "supportedFormats",
    "title",
    "url",
];

/// True if a node that has this member, which is not wanted, can be made to lack it.
fn can_go(key: &str, value: &Value) -> bool {
    EMPTIED.contains(&key) || value.is_boolean() || value.is_number()
}

/// A document without what is one node's own: what another one can be sent.
pub(crate) fn portable(document: &Value) -> Value {
    let mut document = strip(document);
    if let Some((_, object)) = root_mut(&mut document) {
        for key in OWN {
            object.shift_remove(*key);
        }
    }
    document
}

/// The one root of a document, `layer` in `{"layer": {…}}`, and the object there.
pub(crate) fn root(document: &Value) -> Option<(&str, &Map<String, Value>)> {
    let (root, object) = document.as_object()?.iter().next()?;
    Some((root, object.as_object()?))
}

/// The same, to be changed.
pub(crate) fn root_mut(document: &mut Value) -> Option<(&str, &mut Map<String, Value>)> {
    let (root, object) = document.as_object_mut()?.iter_mut().next()?;
    Some((root, object.as_object_mut()?))
}

/// Everything but links into the interface, dates, and ids.
fn strip(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map
                .iter()
                .filter(|(key, value)| {
                    !is_link(key, value) && !is_id(key, value) && !DATES.contains(&key.as_str())
                })
                .map(|(key, value)| (key.clone(), strip(value)));
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
        other => other.clone(),
    }
}

fn is_link(key: &str, value: &Value) -> bool {
    LINKS.contains(&key)
        && value
            .as_str()
            .is_some_and(|text| text.starts_with("http") && text.contains("/rest/"))
}

/// The same for every answer of a node that means the same: what it writes in any order, in one, and
/// no cipher text, which is another one each time.
pub(crate) fn regular(document: &Value) -> Value {
    fn order(value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(order),
            Value::Array(items) => {
                items.iter_mut().for_each(order);
                if keyed(items).is_some() {
                    items.sort_by_key(Value::to_string);
                }
            }
            secret if is_secret(secret) => *secret = CIPHER.into(),
            _ => {}
        }
    }
    let mut document = portable(document);
    order(&mut document);
    document
}

/// True for the id of something within an object, which another node gives as it likes: one of the
/// styles of a group has one.
fn is_id(key: &str, value: &Value) -> bool {
    key == "id" && value.as_str().is_some_and(|text| text.contains("Impl-"))
}

/// What a comparison has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Where the one says something else than the other: `featureType.title`.
    pub(crate) paths: Vec<String>,
    /// True if there are secrets of which only the node knows whether they are the same.
    pub(crate) secrets: bool,
}

impl Differences {
    /// True if nothing is known to differ, and nothing is hidden.
    pub(crate) fn are_none(&self) -> bool {
        self.paths.is_empty() && !self.secrets
    }
}

/// How a document of some kind is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The node adds members by itself, with what it goes by anyway: only what is wanted counts.
    pub(crate) may_say_more: bool,
}

/// Where `have`, which a node gave, differs from `want`, which is [`portable`].
pub(crate) fn differences(want: &Value, have: &Value, rules: Rules) -> Differences {
    let have = portable(have);
    let mut found = Differences::default();
    compare("", "", want, &have, rules, &mut found);
    found
}

fn compare(
    path: &str,
    key: &str,
    want: &Value,
    have: &Value,
    rules: Rules,
    found: &mut Differences,
) {
    let (want, have) = (single(want), single(have));
    match (want, have) {
        (Value::Object(want), Value::Object(have)) => {
            compare_maps(path, want, have, rules, found);
        }
        (Value::Array(want_items), Value::Array(have_items)) => {
            if let (Some(want), Some(have)) = (keyed(want_items), keyed(have_items)) {
                compare_maps(path, &want, &have, rules, found);
            } else if want_items.len() == have_items.len() {
                for (index, (want, have)) in want_items.iter().zip(have_items).enumerate() {
                    compare(&format!("{path}[{index}]"), key, want, have, rules, found);
                }
            } else {
                found.paths.push(path.to_owned());
            }
        }
        // One entry against several.
        (Value::Object(_), Value::Array(items)) | (Value::Array(items), Value::Object(_)) => {
            let is_map = keyed(items).is_some();
            let listed = |value: &Value| match value {
                Value::Array(items) => keyed(items),
                one => keyed(std::slice::from_ref(one)),
            };
            match (listed(want), listed(have)) {
                (Some(want), Some(have)) if is_map => {
                    compare_maps(path, &want, &have, rules, found);
                }
                _ => found.paths.push(path.to_owned()),
            }
        }
        (want, have) if is_secret(have) && !is_unsaid(key, want) => {
            if want != have {
                found.secrets = true;
            }
        }
        (want, have) => {
            let same = is_unsaid(key, want) && is_unsaid(key, have) || is_same(want, have);
            if !same {
                found.paths.push(path.to_owned());
            }
        }
    }
}

fn compare_maps(
    path: &str,
    want: &Map<String, Value>,
    have: &Map<String, Value>,
    rules: Rules,
    found: &mut Differences,
) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    // How the value is made, and not what it is.
    let counts = |key: &&String| *key != "@class";
    for (key, value) in want.iter().filter(|(key, _)| counts(key)) {
        let other = have.get(key).unwrap_or(&Value::Null);
        compare(&below(key), key, value, other, rules, found);
    }
    if rules.may_say_more {
        return;
    }
    // Below a member of the object, what is sent takes the place of all that is there.
    let is_replaced = path.contains('.');
    for (key, value) in have.iter().filter(|(key, _)| counts(key)) {
        if !want.contains_key(key) && (is_replaced || can_go(key, value)) {
            compare(&below(key), key, &Value::Null, value, rules, found);
        }
    }
}

/// A list of one is its element.
fn single(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        _ => value,
    }
}

/// The entries of a map, which come in any order, by their keys.
fn keyed(items: &[Value]) -> Option<Map<String, Value>> {
    let entries = items.iter().map(|item| {
        let map = item.as_object()?;
        let key = ["@key", "version"].iter().find_map(|key| map.get(*key))?;
        Some((shape::text(key)?.into_owned(), item.clone()))
    });
    entries.collect()
}

fn is_secret(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(CIPHER))
}

/// True for what says no more than nothing does.
fn is_unsaid(key: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => *flag == TRUE_UNLESS_SAID.contains(&key),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(|item| is_unsaid(key, item)),
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| key == "@class" || is_unsaid(key, value)),
    }
}

fn is_same(want: &Value, have: &Value) -> bool {
    if let (Value::Number(want), Value::Number(have)) = (want, have) {
        return want == have
            || want
                .as_f64()
                .is_some_and(|want| have.as_f64() == Some(want));
    }
    match (shape::text(want), shape::text(have)) {
        (Some(want), Some(have)) => want == have,
        _ => want == have,
    }
}

/// What to send so that a node which has `have` has `want` afterwards: what is wanted, and what is
/// not wanted emptied, as a `PUT` keeps what it does not mention.
pub(crate) fn update(want: &Value, have: &Value, rules: Rules) -> Value {
    let mut update = want.clone();
    if rules.may_say_more {
        return update;
    }
    let have = portable(have);
    if let (Some((_, update)), Some((_, have))) = (root_mut(&mut update), root(&have)) {
        // To some members `null` does what nobody wants.
        update.retain(|_, value| !value.is_null());
        for (key, value) in have {
            let goes = can_go(key, value) && !is_unsaid(key, value);
            if goes && !update.contains_key(key) {
                update.insert(key.clone(), nothing(key, value));
            }
        }
        for (_, value) in update.iter_mut() {
            // An empty array would be ignored.
            if value.as_array().is_some_and(Vec::is_empty) {
                *value = Value::from("");
            }
        }
    }
    update
}

/// What empties a member.
fn nothing(key: &str, value: &Value) -> Value {
    match value {
        Value::Bool(_) => TRUE_UNLESS_SAID.contains(&key).into(),
        Value::Number(_) => 0.into(),
        _ => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(want: &Value, have: &Value) -> Vec<String> {
        differences(&portable(want), have, Rules::default()).paths
    }

    #[test]
    fn what_is_written_otherwise_is_the_same() {
        let want = json!({"featureType": {
            "name": "roads", "keywords": {"string": ["a"]}, "responseSRS": {"string": [4326]},
            "store": {"name": "topp:pg", "href": "https://a/geoserver/rest/x.json"},
            "nativeBoundingBox": {"minx": 10, "maxx": 11.50}, "dateCreated": "2026-01-01",
            "metadata": {"entry": [{"@key": "a", "$": "1"}, {"@key": "b", "$": 2}]},
        }});
        let have = json!({"featureType": {
            "name": "roads", "keywords": {"string": "a"}, "responseSRS": {"string": "4326"},
            "store": {"name": "topp:pg", "href": "https://b/geoserver/rest/x.json"},
            "nativeBoundingBox": {"minx": 10.0, "maxx": 11.5}, "enabled": true, "advertised": true,
            "metadata": {"entry": [{"@key": "b", "$": "2"}, {"@key": "a", "$": 1}]},
            "metadataLinks": "", "encodeMeasures": false, "maxFeatures": 0, "title": "",
            "attribution": {"logoWidth": 0, "logoHeight": 0},
        }});
        assert_eq!(paths(&want, &have), [] as [&str; 0]);
    }

    #[test]
    fn an_address_that_looks_like_a_link_is_data() {
        let url = "https://maps.example/arcgis/rest/services/a/MapServer";
        let store = json!({"dataStore": {"connectionParameters": {"entry":
            {"@key": "url", "$": url}}, "href": "https://a/geoserver/rest/x.json"}});
        let sent = portable(&store);
        assert_eq!(
            sent.pointer("/dataStore/connectionParameters/entry/$"),
            Some(&json!(url))
        );
        assert_eq!(sent.pointer("/dataStore/href"), None);
    }

    #[test]
    fn what_differs_is_named() {
        let want = json!({"layer": {"name": "roads", "queryable": false, "path": "/a"}});
        let have = json!({"layer": {"name": "roads", "opaque": true,
            "styles": {"style": {"name": "x"}}}});
        assert_eq!(
            paths(&want, &have),
            [
                "layer.queryable",
                "layer.path",
                "layer.opaque",
                "layer.styles"
            ]
        );
        let one = json!({"x": {"metadata": {"entry": {"@key": "a", "$": "1"}}}});
        let two = json!({"x": {"metadata": {"entry": [{"@key": "a", "$": "1"}, {"@key": "b", "$": "1"}]}}});
        assert_eq!(paths(&one, &two), ["x.metadata.entry.b"]);
        assert_eq!(paths(&two, &one), ["x.metadata.entry.b"]);
    }

    #[test]
    fn the_order_of_layers_counts_and_that_of_entries_does_not() {
        let group = |names: [&str; 2]| {
            let names = names.map(|name| json!({"name": name}));
            json!({"layerGroup": {"publishables": {"published": names}}})
        };
        assert_eq!(paths(&group(["a", "b"]), &group(["b", "a"])).len(), 2);
    }

    #[test]
    fn of_a_secret_nobody_knows() {
        let store = |password: &str| {
            json!({"dataStore": {"connectionParameters": {"entry": [
                {"@key": "passwd", "$": password}, {"@key": "host", "$": "db"}]}}})
        };
        let found = differences(&store("hunter2"), &store("crypt1:abc"), Rules::default());
        assert!(found.paths.is_empty() && found.secrets);
        let kept = differences(&store("crypt1:abc"), &store("crypt1:abc"), Rules::default());
        assert!(kept.are_none());
    }

    #[test]
    fn an_update_empties_what_is_not_wanted() {
        let want = json!({"layer": {"name": "roads", "opaque": null, "identifiers": []}});
        let have = json!({"layer": {"name": "roads", "opaque": true, "queryable": false,
            "path": "/a", "metadata": {"entry": {"@key": "a", "$": "1"}}, "id": "x",
            "defaultStyle": {"name": "line"}, "attribution": {"logoWidth": 0}}});
        assert_eq!(
            update(&want, &have, Rules::default()),
            json!({"layer": {"name": "roads", "identifiers": "", "opaque": false,
                "queryable": true, "path": "", "metadata": ""}})
        );
    }
}
