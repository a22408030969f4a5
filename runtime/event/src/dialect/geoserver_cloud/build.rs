//! Frames for events that did not come in one: what can be said without the catalog object, and
//! with it where the body of the event is one.

use serde_json::{Map, Value};

use super::names::join_name;
use super::write::milliseconds;
use super::{DIALECT, Form};
use crate::dialect::{EncodeError, json};
use crate::event::{Action, Event, Kind};

/// The name that the frames of an event carry as their sender unless the event has another one. A
/// receiver takes what comes from its own name for an echo, and ignores it.
const SENDER: &str = "weir:bus:0";

/// A frame that says `event`, with the body as it is.
pub(super) fn frame(event: &Event) -> Result<Value, EncodeError> {
    let unsayable = |problem: String| EncodeError::unsayable(DIALECT, event, problem);
    let mut fields = Map::new();
    let name = join_name(&event.subject).map_err(unsayable)?;
    let outer_type = match event.subject.kind {
        Kind::TileLayer | Kind::GridSet | Kind::BlobStore => {
            let (outer_type, key) = match event.subject.kind {
                Kind::TileLayer => ("RemoteTileLayerEvent", "name"),
                Kind::GridSet => ("RemoteGridsetEvent", "gridsetId"),
                _ => ("RemoteBlobStoreEvent", "blobStoreId"),
            };
            let event_type = match event.action {
                Action::Added => "CREATED",
                Action::Removed => "DELETED",
                _ => "MODIFIED",
            };
            fields.insert("eventType".to_owned(), event_type.into());
            json::set_text(&mut fields, "publishedId", reference_id(event, "published"));
            json::set_text(&mut fields, key, name.as_deref());
            if let Some(previous) = &event.previous {
                let old = join_name(previous).map_err(unsayable)?;
                json::set_text(&mut fields, "oldName", old.as_deref());
            }
            outer_type
        }
        _ => {
            let (inner, body) = inner_name(event)?;
            let inner_fields = inner_fields(event, name.as_deref(), body)?;
            let wrapped = Map::from_iter([(inner.to_owned(), Value::Object(inner_fields))]);
            fields.insert("event".to_owned(), Value::Object(wrapped));
            "RemoteGeoServerEvent"
        }
    };
    let attribute = |name, otherwise| Value::from(event.attribute(name).unwrap_or(otherwise));
    let mut frame = Map::from_iter([
        ("type".to_owned(), outer_type.into()),
        (
            "originService".to_owned(),
            attribute("originservice", SENDER),
        ),
        (
            "destinationService".to_owned(),
            attribute("destinationservice", "**"),
        ),
        ("id".to_owned(), event.id.as_str().into()),
        ("timestamp".to_owned(), milliseconds(event)?.into()),
    ]);
    frame.extend(fields);
    Ok(Value::Object(frame))
}

/// The name of the inner event, and the form of the body that it needs.
fn inner_name(event: &Event) -> Result<(&'static str, Option<Form>), EncodeError> {
    let form = event
        .body
        .as_ref()
        .and_then(|body| Form::of(&body.content_type));
    Ok(match (&event.action, &event.subject.kind, form) {
        (Action::Reloaded, ..) => ("ReloadEvent", None),
        (Action::Reset, ..) => ("ResetEvent", None),
        (Action::Removed, Kind::Service, _) => ("ServiceInfoRemoved", None),
        (Action::Removed, Kind::Settings, _) => ("SettingsInfoRemoved", None),
        (Action::Removed, kind, _) if is_catalog_object(kind) => ("CatalogInfoRemoved", None),
        (Action::Modified, Kind::Security, None) => ("SecurityConfigChanged", None),
        (Action::Added, Kind::Service, Some(Form::Object)) => ("ServiceAdded", form),
        (Action::Added, Kind::Settings, Some(Form::Object)) => ("SettingsAdded", form),
        (Action::Added, kind, Some(Form::Object)) if is_catalog_object(kind) => {
            ("CatalogInfoAdded", form)
        }
        (Action::Modified, Kind::Global, Some(Form::Object)) => ("GeoServerInfoSet", form),
        (Action::Modified, Kind::Logging, Some(Form::Object)) => ("LoggingInfoSet", form),
        (Action::Modified, Kind::Global, Some(Form::Patch)) => ("GeoServerInfoModified", form),
        (Action::Modified, Kind::Logging, Some(Form::Patch)) => ("LoggingInfoModified", form),
        (Action::Modified, Kind::Service, Some(Form::Patch)) => ("ServiceModified", form),
        (Action::Modified, Kind::Settings, Some(Form::Patch)) => ("SettingsModified", form),
        (Action::Modified, kind, Some(Form::Patch)) if is_catalog_object(kind) => {
            ("CatalogInfoModified", form)
        }
        (Action::Added | Action::Modified, kind, _) if is_catalog_object(kind) => {
            return Err(EncodeError::unsayable(
                DIALECT,
                event,
                "the dialect that it came in does not carry the object or the patch; use a sink that reads it from the master",
            ));
        }
        _ => {
            return Err(EncodeError::unsayable(
                DIALECT,
                event,
                "it has no frame for that",
            ));
        }
    })
}

/// True for what the `CatalogInfo` frames are about.
fn is_catalog_object(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Workspace
            | Kind::Namespace
            | Kind::DataStore
            | Kind::CoverageStore
            | Kind::WmsStore
            | Kind::WmtsStore
            | Kind::Store
            | Kind::FeatureType
            | Kind::Coverage
            | Kind::WmsLayer
            | Kind::WmtsLayer
            | Kind::Layer
            | Kind::LayerGroup
            | Kind::Style
            | Kind::Service
            | Kind::Settings
            | Kind::Global
            | Kind::Logging
    )
}

fn inner_fields(
    event: &Event,
    name: Option<&str>,
    form: Option<Form>,
) -> Result<Map<String, Value>, EncodeError> {
    let mut fields = Map::new();
    fields.insert("timestamp".to_owned(), milliseconds(event)?.into());
    json::set_text(&mut fields, "author", event.attribute("authid"));
    json::set_text(&mut fields, "id", Some(&event.id));
    if matches!(event.action, Action::Reloaded | Action::Reset) {
        return Ok(fields);
    }
    if let Some(sequence) = event.sequence {
        fields.insert("updateSequence".to_owned(), sequence.into());
    }
    if event.subject.kind == Kind::Security {
        return Ok(fields);
    }
    let (Some(id), Some(name)) = (&event.subject.id, name) else {
        return Err(EncodeError::unsayable(
            DIALECT,
            event,
            "that dialect names its objects by name and id, and one of them is missing",
        ));
    };
    json::set_text(&mut fields, "objectId", Some(id));
    json::set_text(&mut fields, "objectName", Some(name));
    if event.action == Action::Modified && form == Some(Form::Patch) {
        let old = match &event.previous {
            Some(previous) if previous.kind.is_named_by_workspace() => {
                previous.workspace.as_deref()
            }
            Some(previous) if previous.name != event.subject.name => {
                previous.name.as_deref().or(Some(name))
            }
            _ => Some(name),
        };
        json::set_text(&mut fields, "oldName", old);
    }
    let object_type = match &event.subject.kind {
        Kind::Global => "GEOSERVER".to_owned(),
        kind => kind.as_str().to_uppercase(),
    };
    json::set_text(&mut fields, "objectType", Some(&object_type));
    if let (Some(form), Some(body)) = (form, &event.body) {
        fields.insert(form.key().to_owned(), json::parse_body(DIALECT, body)?);
    }
    if matches!(event.subject.kind, Kind::Service | Kind::Settings) && form != Some(Form::Object) {
        json::set_text(&mut fields, "workspaceId", reference_id(event, "workspace"));
    }
    Ok(fields)
}

fn reference_id<'a>(event: &'a Event, role: &str) -> Option<&'a str> {
    event
        .references
        .iter()
        .find(|reference| reference.role == role)
        .and_then(|reference| reference.target.id.as_deref())
}
