//! Frames of every type, with odd names, for the laws to be tried on.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// The classes of references and of literals, in 2.28 and in 3.0.
const CLASSES: [[&str; 2]; 2] = [
    [
        "org.geoserver.jackson.databind.catalog.dto.InfoReference",
        "org.geotools.jackson.databind.filter.dto.Literal",
    ],
    [
        "org.geoserver.jackson.databind.catalog.dto.ResolvingProxyDto",
        "org.geotools.jackson.databind.filter.dto.LiteralDto",
    ],
];

/// A name as GeoServer allows it.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        "[a-z:. /%~\"\\\\]{1,6}",
        "[a-zæøå日本é]{1,4}",
        "\\PC{1,5}",
        Just("topp:states".to_owned()),
        Just("update-sequence".to_owned()),
    ]
    .prop_filter("a name is not empty", |name| !name.is_empty())
}

/// The name of a workspace: never a colon.
pub(crate) fn workspace() -> impl Strategy<Value = String> {
    name().prop_map(|name| name.replace(':', "_"))
}

/// Few ids, so that they repeat.
fn id() -> impl Strategy<Value = String> {
    (select(vec!["LayerInfoImpl", "StyleInfoImpl", "x"]), 0..4_u8)
        .prop_map(|(class, number)| format!("{class}--4b09309b:1a2030b0bb1:-{number}"))
}

/// What a future version may add: deep, with numbers that no float holds.
fn unknown() -> impl Strategy<Value = Value> {
    let number = select(vec![
        "0.10",
        "123456789012345678901234567890",
        "-0",
        "1e400",
        "2E-7",
        "7",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(|number| serde_json::from_str(number).unwrap()),
        "\\PC{0,4}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(5, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,3}", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    (tree, 0..60_usize).prop_map(|(tree, depth)| (0..depth).fold(tree, |inner, _| json!([inner])))
}

/// What the frames of one case are made of.
#[derive(Clone, Debug)]
struct Seeds {
    workspace: Option<String>,
    name: String,
    old: Option<String>,
    ids: Vec<String>,
    value: String,
    port: u16,
    unknown: Value,
}

fn seeds() -> impl Strategy<Value = Seeds> {
    (
        prop::option::of(workspace()),
        name(),
        prop::option::of(name()),
        prop::collection::vec(id(), 6),
        name(),
        any::<u16>(),
        unknown(),
    )
        .prop_map(|(workspace, name, old, ids, value, port, unknown)| Seeds {
            // Without workspace, a name with a colon would be a prefixed one.
            name: if workspace.is_none() {
                name.replace(':', "_")
            } else {
                name
            },
            workspace,
            old,
            ids,
            value,
            port,
            unknown,
        })
}

pub(crate) const TYPES: usize = 40;

/// A frame; what type it has is in proportion.
pub(crate) fn frame() -> impl Strategy<Value = Value> {
    (0..TYPES, seeds()).prop_map(|(number, seeds)| seeds.frame(number))
}

impl Seeds {
    fn frame(&self, number: usize) -> Value {
        match number {
            0..=11 => self.added(number),
            12..=20 => self.modified(number),
            21 | 22 => self.inner("CatalogInfoRemoved", &self.prefixed(), "LAYER", json!({})),
            23 => self.defaults("DefaultWorkspaceSet", "defaultWorkspace", "newWorkspaceId"),
            24 => self.defaults("DefaultNamespaceSet", "defaultNamespace", "newNamespaceId"),
            25 => self.defaults("DefaultDataStoreSet", "defaultDataStore", "defaultDataStoreId"),
            26 => self.inner("GeoServerInfoSet", "geoserver", "GEOSERVER", json!({"object": {"adminPassword": self.value, "x": self.unknown}})),
            27 => self.inner("LoggingInfoModified", "logging", "LOGGING", json!({"oldName": "logging", "patch": {"Patch": {"patches": []}}})),
            28 => self.service("ServiceAdded", json!({"object": {"id": "s", "name": self.name, "workspace": self.ids[0], "x": self.unknown}})),
            29 => self.service("ServiceModified", json!({"oldName": self.prefixed(), "patch": {"Patch": {"patches": []}}, "workspaceId": self.ids[0]})),
            30 => self.service("ServiceInfoRemoved", json!({"workspaceId": self.ids[0]})),
            31 => self.inner("SettingsAdded", self.place(), "SETTINGS", json!({"object": {"workspace": self.ids[0], "title": self.name}})),
            32 => self.inner("SettingsInfoRemoved", self.place(), "SETTINGS", json!({"workspaceId": self.ids[0]})),
            33 => self.lifecycle("ReloadEvent"),
            34 => self.lifecycle("SecurityConfigChanged"),
            35 => self.lifecycle("UpdateSequence"),
            36 => self.flat("RemoteTileLayerEvent", json!({"publishedId": self.ids[0], "name": self.prefixed(), "oldName": self.old.as_ref().map(|old| self.prefix(old))})),
            37 => self.flat("RemoteGridsetEvent", json!({"gridsetId": self.name})),
            38 => self.flat("RemoteRuleEvent", json!({"ruleIds": [self.value]})),
            _ => self.flat("RemoteSomethingEvent", json!({"objectName": self.name, "x": self.unknown})),
        }
    }

    /// Those of one of the versions.
    fn classes(&self) -> [&'static str; 2] {
        CLASSES[usize::from(self.port % 2)]
    }

    fn prefix(&self, name: &str) -> String {
        match &self.workspace {
            Some(workspace) => format!("{workspace}:{name}"),
            None => name.replace(':', "_"),
        }
    }

    fn prefixed(&self) -> String {
        self.prefix(&self.name)
    }

    /// A workspace, whether or not the case has one.
    fn place(&self) -> &str {
        self.workspace.as_deref().unwrap_or("topp")
    }

    fn outer(&self, outer_type: &str, more: Value) -> Value {
        let mut frame = json!({
            "type": outer_type, "originService": self.value, "destinationService": "**",
            "id": "00000000-0000-4000-8000-000000000001", "timestamp": 1_786_900_000_123_i64,
        });
        extend(&mut frame, more);
        frame
    }

    fn flat(&self, outer_type: &str, more: Value) -> Value {
        let mut frame = self.outer(outer_type, json!({"eventType": "CREATED"}));
        extend(&mut frame, more);
        frame
    }

    fn lifecycle(&self, name: &str) -> Value {
        let fields = json!({"id": "00000000-0000-4000-8000-000000000001", "author": self.value, "x": self.unknown});
        self.outer("RemoteGeoServerEvent", json!({"event": {name: fields}}))
    }

    fn inner(&self, event: &str, object_name: &str, object_type: &str, more: Value) -> Value {
        let mut fields = json!({
            "timestamp": 1_786_900_000_123_i64, "author": self.value, "x": self.unknown,
            "id": "00000000-0000-4000-8000-000000000001", "updateSequence": self.port,
            "objectId": "subject-1", "objectName": object_name, "objectType": object_type,
        });
        extend(&mut fields, more);
        fields["local"] = json!(true);
        self.outer("RemoteGeoServerEvent", json!({"event": {event: fields}}))
    }

    fn service(&self, event: &str, more: Value) -> Value {
        self.inner(event, &self.prefixed(), "SERVICE", more)
    }

    fn defaults(&self, event: &str, property: &str, field: &str) -> Value {
        let [class, _] = self.classes();
        let literal = json!({"type": class, "value": {"type": "X", "id": self.ids[0]}});
        let patches = json!([{"name": property, "value": {"Literal": literal}}]);
        let more = json!({"oldName": "catalog", "patch": {"Patch": {"patches": patches}}, field: self.ids[0]});
        self.inner(event, "catalog", "CATALOG", more)
    }

    fn added(&self, number: usize) -> Value {
        let [one, two, three, four, five, six] =
            [0, 1, 2, 3, 4, 5].map(|index| self.ids[index].as_str());
        let parameters = json!({"host": self.value, "port": self.port, "on": true, "none": null,
            "odd": {"Literal": {"type": "java.lang.Integer", "value": self.port}}});
        let (object_type, named, object) = match number {
            0 => ("WORKSPACE", false, json!({"name": self.place()})),
            1 => (
                "NAMESPACE",
                false,
                json!({"name": self.place(), "prefix": self.place(), "uri": self.value}),
            ),
            2 => (
                "DATASTORE",
                true,
                json!({"workspace": one, "type": "PostGIS", "connectionParameters": parameters,
                    "metadata": {"MetadataMap": {"cog.key": {"Literal": {"type": "x.Settings", "value": {"password": self.value}}}}}}),
            ),
            3 => (
                "COVERAGESTORE",
                true,
                json!({"workspace": one, "url": self.value, "connectionParameters": {}}),
            ),
            4 => (
                "WMSSTORE",
                true,
                json!({"workspace": one, "capabilitiesURL": self.value, "password": self.value}),
            ),
            5 => (
                "FEATURETYPE",
                true,
                json!({"namespace": one, "store": two, "nativeName": self.name}),
            ),
            6 => ("COVERAGE", true, json!({"store": two, "namespace": one})),
            7 => (
                "STYLE",
                true,
                json!({"workspace": one, "filename": self.value}),
            ),
            8 => (
                "LAYER",
                true,
                json!({"resource": one, "defaultStyle": two, "styles": [three, four, three], "type": "VECTOR"}),
            ),
            9 => (
                "LAYER",
                true,
                json!({"type": "WMS", "resource": one, "defaultStyle": null, "styles": ["", {"name": self.value}]}),
            ),
            10 => (
                "LAYERGROUP",
                true,
                json!({"workspace": one, "layers": [two, two, {"type": "LAYERGROUP", "id": three}], "styles": [null, four, ""],
                "rootLayer": five, "rootLayerStyle": six, "layerGroupStyles": [{"layers": [one], "styles": [two, null]}, null]}),
            ),
            _ => ("MAP", true, json!({"layers": [one, two]})),
        };
        let mut whole = json!({"@type": "Info", "id": "subject-1"});
        if named {
            whole["name"] = json!(self.name);
        }
        extend(&mut whole, object);
        whole["x"] = self.unknown.clone();
        let object_name = if named {
            self.prefixed()
        } else {
            self.place().to_owned()
        };
        self.inner(
            "CatalogInfoAdded",
            &object_name,
            object_type,
            json!({"object": whole}),
        )
    }

    fn group_changes(&self) -> Vec<(&'static str, Value)> {
        let literal = |java: &str, value: Value| json!({"Literal": {"type": java, "value": value}});
        let [reference_class, literal_class] = self.classes();
        let proxy =
            |kind: &str, id: &str| literal(reference_class, json!({"type": kind, "id": id}));
        let list = |content: &str, value: Value| json!({"Literal": {"type": "java.util.List", "contentType": content, "value": value}});
        let [a, b, c] = [0, 1, 2].map(|index| self.ids[index].as_str());
        vec![
            (
                "layers",
                list(
                    reference_class,
                    json!([{"type": "LAYER", "id": a}, {"type": "LAYER", "id": a}]),
                ),
            ),
            (
                "styles",
                list(reference_class, json!([null, {"type": "STYLE", "id": b}])),
            ),
            (
                "publishables",
                list(literal_class, json!([proxy("LAYERGROUP", c), self.unknown])),
            ),
            (
                "layerGroupStyles",
                list(
                    "LayerGroupStyle",
                    json!([
                        {"layers": [a], "styles": [b]},
                        {"Literal": {"type": "LayerGroupStyle", "value": {"layers": [
                            {"@type": "LayerInfo", "id": c, "name": self.name, "type": "VECTOR", "resource": a, "styles": [b]},
                        ], "styles": [{"@type": "StyleInfo", "id": a, "name": self.name, "workspace": b}]}}},
                    ]),
                ),
            ),
        ]
    }

    fn modified(&self, number: usize) -> Value {
        let literal = |java: &str, value: Value| json!({"Literal": {"type": java, "value": value}});
        let [reference_class, _] = self.classes();
        let proxy =
            |kind: &str, id: &str| literal(reference_class, json!({"type": kind, "id": id}));
        let [a, b] = [0, 1].map(|index| self.ids[index].as_str());
        let (object_type, entries) = match number {
            12 => (
                "WORKSPACE",
                vec![("name", literal("java.lang.String", json!(self.place())))],
            ),
            13 => (
                "NAMESPACE",
                vec![
                    ("prefix", literal("java.lang.String", json!(self.place()))),
                    ("uri", literal("java.net.URI", json!(self.value))),
                ],
            ),
            14 => (
                "LAYER",
                vec![
                    ("defaultStyle", proxy("STYLE", a)),
                    ("attribution", json!({"Literal": {"value": null}})),
                ],
            ),
            15 => ("LAYERGROUP", self.group_changes()),
            16 => (
                "DATASTORE",
                vec![(
                    "connectionParameters",
                    literal(
                        "java.util.Map",
                        json!({
                            "host": literal("java.lang.String", json!(self.value)), "port": literal("java.lang.Integer", json!(self.port)), "plain": self.value,
                        }),
                    ),
                )],
            ),
            17 => (
                "STYLE",
                vec![
                    ("workspace", proxy("WORKSPACE", a)),
                    ("filename", literal("java.lang.String", json!(self.name))),
                ],
            ),
            18 => (
                "FEATURETYPE",
                vec![
                    ("store", proxy("DATASTORE", a)),
                    ("namespace", proxy("NAMESPACE", b)),
                    ("x", self.unknown.clone()),
                ],
            ),
            19 => (
                "COVERAGESTORE",
                vec![("url", literal("java.lang.String", json!(self.value)))],
            ),
            _ => (
                "LAYER",
                vec![("name", literal("java.lang.String", json!(self.name)))],
            ),
        };
        let patches: Vec<_> = entries
            .into_iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let own = matches!(object_type, "WORKSPACE" | "NAMESPACE");
        let object_name = if own {
            self.place().to_owned()
        } else {
            self.prefixed()
        };
        let old_name = self.old.clone().unwrap_or_else(|| object_name.clone());
        let more = json!({"oldName": old_name, "patch": {"Patch": {"patches": patches}}});
        self.inner("CatalogInfoModified", &object_name, object_type, more)
    }
}

/// Adds the members of one object to another, and leaves nulls of the first level out, as
/// GeoServer Cloud does.
fn extend(object: &mut Value, more: Value) {
    let (Value::Object(object), Value::Object(more)) = (object, more) else {
        panic!("two objects")
    };
    object.extend(
        more.into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect::<Map<_, _>>(),
    );
}
