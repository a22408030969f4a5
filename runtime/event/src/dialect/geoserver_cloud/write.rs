//! From an event back into its frame.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::body::{self, Form, Slot};
use super::names::write_names;
use super::{DIALECT, Flat, FlatName, Layout, SERVICES, build, form, inner, slots};
use crate::dialect::{EncodeError, json};
use crate::event::Event;

/// Sets the places of a frame where `now` differs from `was`.
pub(in crate::dialect) fn write(
    frame: &mut Value,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    if now.action != was.action || now.subject.kind != was.subject.kind {
        // Another action is another frame.
        *frame = make(was, now)?;
        return Ok(());
    }
    let unsayable = |problem: String| EncodeError::unsayable(DIALECT, now, problem);
    let Value::Object(outer) = frame else {
        return Ok(());
    };
    let layout = json::text(outer, "type").map_or(Layout::Unknown, Layout::of);
    write_base(outer, was, now, true)?;
    for (attribute, field) in SERVICES {
        if now.attribute(attribute) != was.attribute(attribute) {
            json::set_text(outer, field, now.attribute(attribute));
        }
    }
    let names = match layout {
        Layout::Catalog => Some("objectName"),
        Layout::Flat(Flat {
            name: FlatName::In(key),
            ..
        }) => Some(key),
        _ => None,
    };
    let catalog = matches!(layout, Layout::Catalog);
    let fields = match inner(outer) {
        Some((_, fields)) if catalog => {
            write_base(fields, was, now, false)?;
            fields
        }
        _ => outer,
    };
    if let Some(key) = names {
        write_names(fields, key, was, now).map_err(unsayable)?;
    }
    if now.body != was.body {
        replace_body(fields, was, now)?;
    }
    write_places(fields, was, now)
}

/// The frame of an event that did not come in one, with what plugins changed written into its body.
pub(in crate::dialect) fn make(was: &Event, now: &Event) -> Result<Value, EncodeError> {
    let mut frame = build::frame(now)?;
    if let Some((_, fields)) = frame.as_object_mut().and_then(inner)
        && form(fields).is_some()
    {
        write_places(fields, was, now)?;
    }
    Ok(frame)
}

/// Writes what plugins changed into a body that lies in no frame. A body of another shape than
/// GeoServer Cloud's has no places.
pub(in crate::dialect) fn write_loose_body(
    content_type: &str,
    value: &mut Value,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let Some(form) = Form::of(content_type) else {
        return Ok(());
    };
    write_references(body::references(value, form, &now.subject.kind), was, now)?;
    body::write(value, form, was, now)
}

/// Writes what both levels of a frame may say. What is new goes where readers look first: the id
/// on the outer level, the rest on the inner one.
fn write_base(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
    is_outer: bool,
) -> Result<(), EncodeError> {
    if now.id != was.id && (is_outer || fields.contains_key("id")) {
        json::set_text(fields, "id", Some(&now.id));
    }
    if now.time != was.time && (is_outer || fields.contains_key("timestamp")) {
        fields.insert("timestamp".to_owned(), Value::from(milliseconds(now)?));
    }
    if is_outer {
        return Ok(());
    }
    match now.sequence.filter(|_| now.sequence != was.sequence) {
        Some(sequence) => {
            fields.insert("updateSequence".to_owned(), Value::from(sequence));
        }
        None if was.sequence.is_some() && now.sequence.is_none() => {
            fields.shift_remove("updateSequence");
        }
        None => {}
    }
    if now.attribute("authid") != was.attribute("authid") {
        json::set_text(fields, "author", now.attribute("authid"));
    }
    Ok(())
}

pub(super) fn milliseconds(event: &Event) -> Result<i64, EncodeError> {
    let time: Timestamp = event.time.parse().map_err(|_| {
        let problem = format!("its time `{}` is not of the form of RFC 3339", event.time);
        EncodeError::unsayable(DIALECT, event, problem)
    })?;
    Ok(time.as_millisecond())
}

fn replace_body(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let refuse = |problem| Err(EncodeError::body(DIALECT, problem));
    let Some(body) = &now.body else {
        return refuse("it was removed; leave the body, or drop the event".to_owned());
    };
    let Some(form) = form(fields).filter(|_| was.body.is_some()) else {
        return refuse(format!("{} {} has none", now.subject, now.action));
    };
    if Form::of(&body.content_type) != Some(form) {
        let (is, must) = (&body.content_type, form.content_type());
        return refuse(format!("its type is `{is}` and must be `{must}`"));
    }
    let value = json::parse_body(DIALECT, body)?;
    fields.insert(form.key().to_owned(), value);
    Ok(())
}

/// Writes what the places in and beside the body say differently.
fn write_places(
    fields: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    write_references(slots(fields, &now.subject.kind), was, now)?;
    match form(fields) {
        Some(form) => match fields.get_mut(form.key()) {
            Some(body) => body::write(body, form, was, now),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

fn write_references(slots: Vec<Slot<'_>>, was: &Event, now: &Event) -> Result<(), EncodeError> {
    let same_body = was.body == now.body;
    if same_body && (was.references == now.references || slots.is_empty()) {
        return Ok(());
    }
    if slots.len() != now.references.len() {
        let problem = format!(
            "the event has {} references and its body {}",
            now.references.len(),
            slots.len()
        );
        return Err(EncodeError::References { problem });
    }
    let same_references = was.references.len() == now.references.len();
    for (index, (slot, now)) in slots.into_iter().zip(&now.references).enumerate() {
        // In a body with other references, what was there before is what the body says now.
        let was = match was.references.get(index) {
            Some(was) if same_references => was.target.clone(),
            _ => slot.target(),
        };
        if was != now.target {
            slot.set(&was, &now.target)?;
        }
    }
    Ok(())
}
