//! Frames of `geoserver-rest` of every kind, with odd names, for the laws to be tried on.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::frames::{name, workspace};

/// What the frame of a case is made of.
#[derive(Clone, Debug)]
struct Seeds {
    workspaces: Vec<String>,
    names: Vec<String>,
    value: String,
    is_renamed: bool,
}

/// A kind, whether it has a workspace and a name, and the content: an object, XML, or nothing.
struct Case(&'static str, bool, bool, Value);

/// A name that is no prefixed one, and that stays what it is in XML, where space around it is none.
pub(crate) fn plain(name: &str) -> String {
    let name = name.replace(|c: char| c == ':' || c.is_control(), "_");
    match name.trim() {
        "" => "_".to_owned(),
        name => name.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A name in the key of an access rule, where an `*` and a `\` have a meaning.
fn in_rule(name: &str) -> String {
    name.replace(['*', '\\'], "_").replace('.', "\\.")
}

fn seeds() -> impl Strategy<Value = Seeds> {
    (
        prop::collection::vec(workspace().prop_map(|text| plain(&text)), 3),
        prop::collection::vec(name().prop_map(|text| plain(&text)), 4),
        name(),
        any::<bool>(),
    )
        .prop_map(|(workspaces, names, value, is_renamed)| Seeds {
            workspaces,
            names,
            value,
            is_renamed,
        })
}

/// A frame; what kind it has is in proportion.
pub(crate) fn frame() -> impl Strategy<Value = Value> {
    (0..21_usize, seeds()).prop_map(|(number, seeds)| {
        let case = match number {
            0..=8 => seeds.store_or_resource(number),
            9..=15 => seeds.other(number),
            _ => seeds.xml(number),
        };
        seeds.frame(case)
    })
}

impl Seeds {
    /// A reference in one of the shapes that GeoServer writes.
    fn reference(&self, index: usize) -> Value {
        let name = &self.names[index % self.names.len()];
        match index % 4 {
            0 => json!({"name": name, "href": "http://a/rest/x"}),
            1 => json!({"name": name, "workspace": self.workspaces[1]}),
            2 => json!({"@type": "layer", "name": self.prefixed(index)}),
            _ => json!({"name": self.prefixed(index), "workspace": self.workspaces[index % 3]}),
        }
    }

    fn prefixed(&self, index: usize) -> String {
        let workspace = &self.workspaces[index % self.workspaces.len()];
        format!("{workspace}:{}", self.names[index % self.names.len()])
    }

    fn store_or_resource(&self, number: usize) -> Case {
        let (name, value) = (&self.names[0], &self.value);
        let home = json!({"name": self.workspaces[0]});
        let store = json!({"@class": "dataStore", "name": self.prefixed(0)});
        let parameters =
            json!({"entry": [{"@key": "namespace", "$": value}, {"@key": "port", "$": 5432}]});
        let one =
            json!({"entry": {"@key": "a.b", "deep": {"password": value, "@x": 1, "list": []}}});
        let (kind, content) = match number {
            0 => (
                "datastore",
                json!({"dataStore": {"name": name, "workspace": home, "connectionParameters": parameters, "metadata": one}}),
            ),
            1 => (
                "coveragestore",
                json!({"coverageStore": {"name": name, "workspace": home, "url": value, "metadata": ""}}),
            ),
            2 => (
                "wmsstore",
                json!({"wmsStore": {"user": value, "name": name, "workspace": home, "password": value}}),
            ),
            3 => (
                "featuretype",
                json!({"featureType": {"name": name, "nativeName": name, "namespace": home, "store": store}}),
            ),
            4 => (
                "coverage",
                json!({"coverage": {"store": {"name": self.prefixed(0)}, "namespace": home, "name": name}}),
            ),
            5 => (
                "layer",
                json!({"layer": {
                    "name": name, "defaultStyle": self.reference(1),
                    "styles": {"@class": "linked-hash-set", "style": self.reference(0)},
                    "resource": {"@class": "coverage", "name": self.prefixed(0)}, "attribution": {"href": "http://lab"},
                }}),
            ),
            6 => (
                "layergroup",
                json!({"layerGroup": {
                    "name": name, "workspace": home,
                    "publishables": {"published": ["", self.reference(2), null, self.reference(2), self.reference(6)]},
                    "styles": {"style": [self.reference(3), "", "", self.reference(1), self.reference(0)]},
                    "rootLayer": self.reference(3), "rootLayerStyle": "",
                    "layerGroupStyles": {"LayerGroupStyle": {"layers": {"published": self.reference(2)}, "styles": ""}},
                }}),
            ),
            7 => (
                "style",
                json!({"style": {"name": name, "workspace": home, "filename": value}}),
            ),
            _ => ("featuretype", Value::Null),
        };
        Case(kind, true, true, content)
    }

    fn other(&self, number: usize) -> Case {
        let (home, name, value) = (&self.workspaces[0], &self.names[0], &self.value);
        match number {
            9 => Case(
                "workspace",
                true,
                false,
                json!({"workspace": {"name": home}}),
            ),
            10 => Case(
                "namespace",
                true,
                false,
                json!({"namespace": {"prefix": home, "uri": value}}),
            ),
            11 => Case(
                "settings",
                true,
                false,
                json!({"settings": {"workspace": {"name": home}, "proxyBaseUrl": value}}),
            ),
            12 => Case(
                "service",
                true,
                true,
                json!({"wms": {"name": "WMS", "workspace": {"name": home}}}),
            ),
            13 => Case(
                "catalog",
                false,
                false,
                json!({"workspace": {"name": home}}),
            ),
            14 => {
                let (home, name) = (in_rule(home), in_rule(name));
                let rules = json!({format!("{home}.*.r"): "A", format!("{home}.{name}.w"): "B", "*.*.r": "C"});
                Case("access-rules", false, false, rules)
            }
            _ => Case("map", true, true, json!({"map": {"name": name}})),
        }
    }

    fn xml(&self, number: usize) -> Case {
        let (home, name) = (&self.workspaces[0], escaped(&self.names[0]));
        let (kind, has_workspace, text) = match number {
            16 | 17 => (
                "tile-layer",
                true,
                format!(
                    "<GeoServerLayer>\n <name>{}:{name}</name><parameterFilters><styleParameterFilter><defaultValue>{}</defaultValue><availableStyles><string>{}</string><string/></availableStyles></styleParameterFilter></parameterFilters>\n</GeoServerLayer>",
                    escaped(home),
                    escaped(&self.prefixed(1)),
                    escaped(&self.names[2]),
                ),
            ),
            18 => (
                "gridset",
                false,
                format!("<gridSet><name>{name}</name></gridSet>"),
            ),
            19 => (
                "blobstore",
                false,
                format!(
                    "<S3><id>{name}</id><awsSecretKey>{}</awsSecretKey></S3>",
                    escaped(&plain(&self.value)),
                ),
            ),
            _ => (
                "style",
                true,
                format!(
                    "<s:StyledLayerDescriptor><s:NamedLayer><se:Name>{}</se:Name><s:NamedStyle><se:Name>{}</se:Name></s:NamedStyle></s:NamedLayer></s:StyledLayerDescriptor>",
                    escaped(&self.prefixed(0)),
                    escaped(&self.names[1]),
                ),
            ),
        };
        Case(kind, has_workspace, true, Value::from(text))
    }

    fn frame(&self, Case(kind, has_workspace, has_name, content): Case) -> Value {
        let mut place = Map::new();
        if has_workspace {
            place.insert("workspace".to_owned(), self.workspaces[0].as_str().into());
        }
        if has_name {
            place.insert("name".to_owned(), self.names[0].as_str().into());
        }
        let action = if content.is_null() {
            "removed"
        } else {
            "modified"
        };
        let mut frame = json!({"kind": kind, "action": action});
        for (key, value) in &place {
            frame[key] = value.clone();
        }
        if matches!(kind, "featuretype" | "coverage") {
            frame["store"] = self.names[0].as_str().into();
        }
        if self.is_renamed && has_workspace && has_name {
            frame["previous"] = json!({"workspace": self.workspaces[2], "name": self.names[3]});
        }
        frame["master"] = Value::Object(place);
        frame["id"] = "1".into();
        frame["time"] = "2026-11-25T18:00:00.000Z".into();
        if content.is_string() {
            frame["contentType"] = "application/xml".into();
            frame["text"] = content;
        } else if content.is_object() {
            frame["contentType"] = "application/json".into();
            frame["body"] = content;
        }
        frame["x"] = json!({"kept": [1.50, null]});
        frame
    }
}
