//! From an event back into its frame.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::form::Form;
use super::names::join;
use super::places::Visitor;
use super::{DIALECT, OBJECT_TYPE, REFERENCE_TYPE, paths, properties, visit};
use crate::dialect::{EncodeError, json, read_time};
use crate::event::{Event, Kind, Object};

/// Sets the places of a frame where `now` differs from `was`.
pub(in crate::dialect) fn write(
    frame: &mut Value,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let unsayable = |problem: String| EncodeError::unsayable(DIALECT, now, problem);
    let Value::Object(outer) = frame else {
        return Ok(());
    };
    if now.subject.kind != was.subject.kind {
        let problem = "the kind of an object cannot be changed, for its body is one of that kind";
        return Err(unsayable(problem.to_owned()));
    }
    write_base(outer, was, now).map_err(unsayable)?;
    write_subject(outer, &was.subject, &now.subject).map_err(unsayable)?;
    if was.previous != now.previous {
        write_previous(outer, now.previous.as_ref()).map_err(unsayable)?;
    }
    if now.body != was.body {
        replace_body(outer, was, now)?;
    }
    write_places(outer, was, now)?;
    if now.properties != was.properties {
        let form = Form::in_frame(outer);
        properties::write(outer, form, was, now)?;
    }
    Ok(())
}

fn write_base(outer: &mut Map<String, Value>, was: &Event, now: &Event) -> Result<(), String> {
    for (key, was, now) in [
        ("action", was.action.as_str(), now.action.as_str()),
        ("id", was.id.as_str(), now.id.as_str()),
        ("time", was.time.as_str(), now.time.as_str()),
    ] {
        if was == now {
            continue;
        }
        if now.is_empty() {
            return Err(format!("it has lost its {key}"));
        }
        if key == "action" && now.contains('.') {
            return Err("an action has no dot".to_owned());
        }
        if key == "time" && read_time(now).is_none() {
            return Err(format!("its time `{}` is none", super::shown(now)));
        }
        json::set_text(outer, key, Some(now));
    }
    if now.sequence != was.sequence {
        match now.sequence {
            Some(sequence) => outer.insert("sequence".to_owned(), sequence.into()),
            None => outer.shift_remove("sequence"),
        };
    }
    if now.attribute("authid") != was.attribute("authid") {
        json::set_text(outer, "author", now.attribute("authid"));
    }
    Ok(())
}

fn write_subject(outer: &mut Map<String, Value>, was: &Object, now: &Object) -> Result<(), String> {
    if was.workspace == now.workspace && was.name == now.name {
        return Ok(());
    }
    let is_lost = if was.kind.is_named_by_workspace() {
        now.workspace.is_none()
    } else {
        was.name.is_some() && now.name.is_none()
    };
    if is_lost {
        return Err("it has lost its name".to_owned());
    }
    write_object(outer, now)
}

fn write_previous(outer: &mut Map<String, Value>, previous: Option<&Object>) -> Result<(), String> {
    let Some(previous) = previous else {
        outer.shift_remove("previous");
        return Ok(());
    };
    if let Some(Value::Object(place)) = outer.get_mut("previous") {
        return write_object(place, previous);
    }
    let mut place = Map::new();
    write_object(&mut place, previous)?;
    outer.insert("previous".to_owned(), Value::Object(place));
    Ok(())
}

/// Sets what an object is called.
fn write_object(place: &mut Map<String, Value>, object: &Object) -> Result<(), String> {
    let texts = [&object.workspace, &object.name];
    if texts.into_iter().flatten().any(String::is_empty) {
        return Err("a name of it is empty".to_owned());
    }
    if object.kind == Kind::Resource {
        let name = object.name.as_deref().ok_or("it has lost its name")?;
        let path = paths::join(object.workspace.as_deref(), name)?;
        json::set_text(place, "name", Some(&path));
        return Ok(());
    }
    if object.kind.is_named_by_workspace() && object.name.is_some() {
        return Err(format!("a {} has no name but its workspace", object.kind));
    }
    for (key, text) in [("workspace", &object.workspace), ("name", &object.name)] {
        if json::text(place, key) != text.as_deref() {
            json::set_text(place, key, text.as_deref());
        }
    }
    Ok(())
}

/// Puts a body that a plugin made in the place of the content.
fn replace_body(
    outer: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let refuse = |problem: String| Err(EncodeError::body(DIALECT, problem));
    let Some(body) = &now.body else {
        return refuse("it was removed; leave the body, or drop the event".to_owned());
    };
    let Some(form) = Form::in_frame(outer).filter(|_| was.body.is_some()) else {
        return refuse(format!("{} {} has none", now.subject, now.action));
    };
    match form {
        Form::Json | Form::Reference => {
            let must = if form == Form::Json {
                OBJECT_TYPE
            } else {
                REFERENCE_TYPE
            };
            if body.content_type != must {
                let is = super::shown(&body.content_type);
                return refuse(format!("its type is `{is}` and must be `{must}`"));
            }
            outer.insert(form.key().to_owned(), json::parse_body(DIALECT, body)?);
        }
        Form::Text | Form::Base64 => {
            let (new, content) = match std::str::from_utf8(&body.data) {
                Ok(text) if form == Form::Text => (form, text.into()),
                _ => (Form::Base64, BASE64.encode(&body.data).into()),
            };
            if new != form {
                outer.shift_remove(form.key());
            }
            outer.insert(new.key().to_owned(), content);
            json::set_text(outer, "contentType", Some(&body.content_type));
        }
    }
    match Form::of(outer, &now.subject.kind) {
        Ok(_) => Ok(()),
        Err(problem) => refuse(problem),
    }
}

/// Writes what the places of the content, and the store in the head, say differently.
fn write_places(
    outer: &mut Map<String, Value>,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let same_body = was.body == now.body;
    if same_body && was.references == now.references && was.subject == now.subject {
        return Ok(());
    }
    let mut writer = Writer {
        was,
        now,
        index: 0,
        // In a body with other references, what was there before is what the body says now.
        is_known: same_body || was.references.len() == now.references.len(),
    };
    let form = Form::in_frame(outer);
    visit(outer, form, &was.subject, &mut writer)?;
    let found = writer.index;
    if found != now.references.len() && !(same_body && was.references == now.references) {
        let told = now.references.len();
        let problem = format!("the event has {told} references and its body {found}");
        return Err(EncodeError::References { problem });
    }
    Ok(())
}

struct Writer<'a> {
    was: &'a Event,
    now: &'a Event,
    /// Of the next reference.
    index: usize,
    is_known: bool,
}

impl Visitor for Writer<'_> {
    fn own(&mut self, said: &str) -> Result<Option<String>, EncodeError> {
        let (was, now) = (&self.was.subject, &self.now.subject);
        if was.workspace == now.workspace && was.name == now.name {
            return Ok(None);
        }
        if was.kind != Kind::TileLayer && label(was) == Some(said) {
            return Ok(label(now).map(str::to_owned));
        }
        if was.name.is_some() && join("name", was).ok().as_deref() == Some(said) {
            return join("name", now)
                .map(Some)
                .map_err(|error| EncodeError::unsayable(DIALECT, self.now, error.to_string()));
        }
        Ok(None)
    }

    fn refers(&mut self, _: &'static str, said: Object) -> Result<Option<Object>, EncodeError> {
        let index = self.index;
        self.index += 1;
        let Some(now) = self.now.references.get(index) else {
            return Ok(None);
        };
        let was = match self.was.references.get(index) {
            Some(was) if self.is_known => &was.target,
            _ => &said,
        };
        let is_same = was.workspace == now.target.workspace && was.name == now.target.name;
        Ok((!is_same).then(|| now.target.clone()))
    }
}

/// What an object calls itself.
fn label(object: &Object) -> Option<&str> {
    if object.kind.is_named_by_workspace() {
        object.workspace.as_deref()
    } else {
        object.name.as_deref()
    }
}
