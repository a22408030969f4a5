//! The events that are measured with: a layer with a store, styles and a body of a given size.

use serde_json::{Value, json};
use weir_event::{Decoded, Dialect, Document, Event, Message};

/// A GeoServer Cloud frame of about this many bytes: a feature type whose attributes fill it.
pub(crate) fn frame(number: u64, bytes: usize) -> String {
    let mut attributes = Vec::new();
    loop {
        let frame = json!({
            "type": "RemoteGeoServerEvent",
            "originService": "rest:172.18.0.9:8080",
            "destinationService": "**",
            "id": format!("{number:032x}"),
            "timestamp": 1_786_900_006_000_u64,
            "event": { "CatalogInfoAdded": {
                "timestamp": 1_786_900_006_000_u64,
                "author": "admin",
                "id": format!("{number:032x}"),
                "updateSequence": number,
                "objectId": "FeatureTypeInfoImpl-70",
                "objectName": "topp:states",
                "objectType": "FEATURETYPE",
                "object": {
                    "@type": "FeatureTypeInfo",
                    "id": "FeatureTypeInfoImpl-70",
                    "name": "states",
                    "namespace": "NamespaceInfoImpl-2f1b",
                    "store": "DataStoreInfoImpl-31",
                    "nativeName": "states",
                    "title": "States",
                    "srs": "EPSG:4326",
                    "enabled": true,
                    "attributes": attributes,
                },
                "local": true,
            } },
        });
        let text = frame.to_string();
        if text.len() + 100 > bytes {
            return text;
        }
        attributes.push(attribute(attributes.len()));
    }
}

fn attribute(number: usize) -> Value {
    json!({
        "name": format!("attribute_{number}"),
        "minOccurs": 0,
        "maxOccurs": 1,
        "nillable": true,
        "binding": "java.lang.String",
    })
}

pub(crate) fn decode(frame: &str) -> (Event, Document) {
    let message = Message {
        content_type: Some("application/json".to_owned()),
        payload: frame.to_owned().into(),
        ..Message::default()
    };
    match Dialect::GeoServerCloud.decode(&message, "/masters/bench") {
        Ok(Decoded::Event(event, document)) => (*event, document),
        Ok(Decoded::NotCatalog(reason)) => panic!("{reason}"),
        Err(error) => panic!("{error}"),
    }
}

/// An event that says nothing but what happened to which object.
pub(crate) fn bare() -> Event {
    let (event, _) = decode(&frame(1, 0));
    Event {
        references: Vec::new(),
        attributes: Vec::new(),
        body: None,
        ..event
    }
}

/// The frame as a master puts it on the bus.
pub(crate) fn canonical(frame: &str) -> Message {
    let (event, document) = decode(frame);
    Dialect::CloudEvents
        .encode(&event, document)
        .expect("a decoded event can be encoded")
}
