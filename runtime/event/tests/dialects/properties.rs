//! Properties of GeoServer Cloud's objects and patches: which are lifted, and how they are written.

use serde_json::{Value, json};
use weir_event::{Dialect, Pair};

use crate::geoserver_cloud::{changed, every_frame, set};
use crate::{decode, fixture, message, text};

const CLOUD: Dialect = Dialect::GeoServerCloud;

#[test]
fn properties_are_lifted_out_of_objects_and_patches() {
    let properties = |index| {
        let lines = every_frame(index).properties.into_iter();
        lines
            .map(|Pair { name, value }| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(properties(2), ["uri=https://harbour.example.org/ns"]);
    assert_eq!(
        properties(3),
        [
            "connectionParameters.dbtype=postgis",
            "connectionParameters.host=db.example.org",
            "connectionParameters.port=5432",
            "connectionParameters.Expose primary keys=true",
            "connectionParameters.user=reader",
            "connectionParameters.passwd=an-example-only",
            "connectionParameters.namespace=https://harbour.example.org/ns",
            "connectionParameters.timeout=20",
        ]
    );
    assert_eq!(
        properties(17),
        [
            "connectionParameters.host=db2.example.org",
            "connectionParameters.port=5433",
            "connectionParameters.max connections=10",
        ]
    );
}

#[test]
fn a_property_keeps_its_type_if_it_can() {
    let fields = changed(3, |event| {
        set(event, "connectionParameters.port", "5433");
        set(event, "connectionParameters.timeout", "soon");
        set(event, "connectionParameters.Expose primary keys", "false");
        event
            .properties
            .retain(|property| property.name != "connectionParameters.user");
        event.properties.push(Pair {
            name: "connectionParameters.schema".to_owned(),
            value: "public".to_owned(),
        });
    });
    let expected = json!({
        "dbtype": "postgis", "host": "db.example.org", "port": 5433, "Expose primary keys": false,
        "passwd": "an-example-only", "namespace": "https://harbour.example.org/ns",
        "timeout": {"Literal": {"type": "java.lang.String", "value": "soon"}}, "schema": "public",
    });
    assert_eq!(
        fields.unwrap()["object"]["connectionParameters"].to_string(),
        expected.to_string()
    );
}

#[test]
fn a_parameter_that_is_added_to_a_patch_is_a_literal() {
    let fields = changed(17, |event| {
        event.properties = vec![
            Pair {
                name: "connectionParameters.host".to_owned(),
                value: "db3".to_owned(),
            },
            Pair {
                name: "connectionParameters.user".to_owned(),
                value: "gis".to_owned(),
            },
        ];
    });
    let expected = json!({
        "host": {"Literal": {"type": "java.lang.String", "value": "db3"}},
        "user": {"Literal": {"type": "java.lang.String", "value": "gis"}},
    });
    let fields = fields.unwrap();
    let map = &fields["patch"]["Patch"]["patches"][0]["value"]["Literal"]["value"];
    assert_eq!(map.to_string(), expected.to_string());
}

#[test]
fn secrets_are_lifted_wherever_they_lie() {
    let frame = json!({
        "type": "RemoteGeoServerEvent", "id": "1",
        "event": {"CatalogInfoAdded": {
            "objectId": "s", "objectName": "topp:cog", "objectType": "COVERAGESTORE",
            "object": {
                "@type": "CoverageStoreInfo", "id": "s", "name": "cog", "url": "cog://https://example.org/a.tif",
                "metadata": {"MetadataMap": {
                    "CogSettings.Key": {"Literal": {"type": "x.CogSettingsStore", "value": {
                        "username": "joe", "password": "c-a-n-a-r-y", "list": ["x"], "none": null,
                    }}},
                    "plain": {"Literal": {"type": "java.lang.Boolean", "value": true}},
                }},
                "connectionParameters": {"Authorization": "Bearer 1", "nested": {"Literal": {"type": "java.util.Map", "value": {"a": 1}}}},
            },
        }},
    });
    let (event, document) = decode(CLOUD, &message(frame.to_string()));
    let names: Vec<_> = event.properties.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "url",
            "metadata.CogSettings.Key.username",
            "metadata.CogSettings.Key.password",
            "metadata.plain",
            "connectionParameters.Authorization",
            "connectionParameters.nested.a",
        ]
    );
    let mut without = event.clone();
    without
        .properties
        .retain(|p| !p.name.ends_with("password") && !p.name.ends_with("plain"));
    let sent = CLOUD.encode(&without, document).unwrap();
    assert!(!text(&sent).contains("c-a-n-a-r-y"));
    // A slave's stage gives its own.
    let (mut read, document) = decode(CLOUD, &sent);
    for name in ["metadata.CogSettings.Key.password", "metadata.plain"] {
        read.properties.push(Pair::new(name, "mine"));
    }
    let sent = CLOUD.encode(&read, document).unwrap();
    let sent: Value = serde_json::from_str(text(&sent)).unwrap();
    let metadata = &sent["event"]["CatalogInfoAdded"]["object"]["metadata"]["MetadataMap"];
    let cog = &metadata["CogSettings.Key"]["Literal"]["value"];
    assert_eq!(cog["password"], "mine");
    assert_eq!(
        metadata["plain"],
        json!({"Literal": {"type": "java.lang.String", "value": "mine"}})
    );
}

/// Names of properties repeat those of what they lie in.
#[test]
fn long_names_do_not_multiply() {
    let inner: serde_json::Map<_, _> = (0..1000).map(|n| (n.to_string(), json!(n))).collect();
    let frame = json!({
        "type": "RemoteGeoServerEvent", "id": "1",
        "event": {"CatalogInfoAdded": {
            "objectId": "s", "objectName": "topp:s", "objectType": "DATASTORE",
            "object": {"connectionParameters": {"k".repeat(600): inner, "host": "h"}},
        }},
    });
    let (event, _) = decode(CLOUD, &message(frame.to_string()));
    assert_eq!(
        event.properties,
        [Pair::new("connectionParameters.host", "h")]
    );
}

#[test]
fn a_number_in_quotes_stays_a_string() {
    let frame = fixture("geoserver-cloud-every-frame.jsonl");
    let frame = frame.lines().nth(3).unwrap();
    let frame = frame.replace(r#""port":5432"#, r#""port":"5432""#);
    for value in ["5433", "true", "1e3"] {
        let (mut event, document) = decode(CLOUD, &message(frame.as_str()));
        set(&mut event, "connectionParameters.port", value);
        let sent = Dialect::CloudEvents.encode(&event, document).unwrap();
        let (event, document) = decode(Dialect::CloudEvents, &sent);
        let sent = CLOUD.encode(&event, document).unwrap();
        assert!(
            text(&sent).contains(&format!(r#""port":"{value}""#)),
            "{}",
            text(&sent)
        );
    }
}
