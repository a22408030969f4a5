//! Properties: the values of a catalog object or a patch that plugins commonly read or replace.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::body::{Form, literal_in, literals, patches};
use crate::dialect::{Dialect, EncodeError, json};
use crate::event::{Event, Pair};

/// Fields that are properties of their own.
const PROPERTIES: [&str; 7] = [
    "uri",
    "url",
    "capabilitiesURL",
    "username",
    "password",
    "adminUsername",
    "adminPassword",
];

const PARAMETERS: &str = "connectionParameters";

/// Where the value of a property stands.
enum Place<'a> {
    Plain(&'a mut Value),
    Literal(&'a mut Map<String, Value>),
}

impl<'a> Place<'a> {
    fn of(value: &'a mut Value) -> Option<Self> {
        if value.is_object() {
            let literal = literal_in(value)?;
            json::scalar(literal.get("value")?)?;
            return Some(Self::Literal(literal));
        }
        json::scalar(value)?;
        Some(Self::Plain(value))
    }

    fn text(&self) -> Option<String> {
        match self {
            Self::Plain(value) => json::scalar(value),
            Self::Literal(literal) => json::scalar(literal.get("value")?),
        }
    }

    fn set(self, text: &str) {
        match self {
            Self::Plain(value) => {
                json::set_scalar(value, text);
            }
            Self::Literal(literal) => {
                if let Some(value) = literal.get_mut("value")
                    && !json::set_scalar(value, text)
                {
                    json::set_text(literal, "type", Some("java.lang.String"));
                }
            }
        }
    }
}

/// The properties that a body has places for.
pub(super) fn read(body: &mut Value, form: Form) -> Vec<Pair> {
    let mut known = HashSet::new();
    let mut properties = Vec::new();
    for (name, place) in places(body, form) {
        // Only a patch can say a thing twice.
        if form == Form::Patch && !known.insert(name.clone()) {
            continue;
        }
        if let Some(value) = place.text() {
            properties.push(Pair {
                name: name.into_owned(),
                value,
            });
        }
    }
    properties
}

fn places(body: &mut Value, form: Form) -> Vec<(Cow<'_, str>, Place<'_>)> {
    let mut places = Vec::new();
    match form {
        Form::Object => {
            for (key, value) in body.as_object_mut().into_iter().flatten() {
                if key == PARAMETERS {
                    parameter_places(value, &mut places);
                } else if PROPERTIES.contains(&key.as_str())
                    && let Some(place) = Place::of(value)
                {
                    places.push((Cow::Borrowed(key.as_str()), place));
                }
            }
        }
        Form::Patch => {
            for (name, literal) in literals(body) {
                if name == PARAMETERS {
                    if let Some(value) = literal.get_mut("value") {
                        parameter_places(value, &mut places);
                    }
                } else if PROPERTIES.contains(&name)
                    && literal.get("value").and_then(json::scalar).is_some()
                {
                    places.push((Cow::Borrowed(name), Place::Literal(literal)));
                }
            }
        }
    }
    places
}

fn parameter_places<'a>(value: &'a mut Value, places: &mut Vec<(Cow<'a, str>, Place<'a>)>) {
    for (key, value) in value.as_object_mut().into_iter().flatten() {
        if let Some(place) = Place::of(value) {
            places.push((Cow::Owned(format!("{PARAMETERS}.{key}")), place));
        }
    }
}

/// Writes the properties that were changed, taken out and added.
pub(super) fn write(
    body: &mut Value,
    form: Form,
    was: &Event,
    now: &Event,
) -> Result<(), EncodeError> {
    let old = by_name(&was.properties);
    let new = by_name(&now.properties);
    for (name, place) in places(body, form) {
        if let Some(value) = new.get(&*name)
            && old.get(&*name) != Some(value)
        {
            place.set(value);
        }
    }
    for property in &was.properties {
        if !new.contains_key(property.name.as_str()) {
            remove(body, form, &property.name);
        }
    }
    for property in &now.properties {
        if !old.contains_key(property.name.as_str()) {
            add(body, form, property)?;
        }
    }
    Ok(())
}

fn by_name(properties: &[Pair]) -> HashMap<&str, &str> {
    properties
        .iter()
        .map(|property| (property.name.as_str(), property.value.as_str()))
        .collect()
}

fn remove(body: &mut Value, form: Form, name: &str) {
    if let Some(key) = parameter(name) {
        for parameters in parameter_maps(body, form) {
            parameters.shift_remove(key);
        }
        return;
    }
    match form {
        Form::Object => {
            if let Value::Object(object) = body {
                object.shift_remove(name);
            }
        }
        Form::Patch => {
            if let Some(patches) = patches(body) {
                patches.retain(|entry| entry.get("name").and_then(Value::as_str) != Some(name));
            }
        }
    }
}

fn add(body: &mut Value, form: Form, property: &Pair) -> Result<(), EncodeError> {
    let refuse = |problem: &str| {
        Err(EncodeError::body(
            Dialect::GeoServerCloud,
            format!("the property `{}` {problem}", property.name),
        ))
    };
    let Some(key) = parameter(&property.name) else {
        return refuse("was added; only connectionParameters may be added to");
    };
    let value = match form {
        Form::Object => Value::from(property.value.as_str()),
        Form::Patch => json!({"Literal": {"type": "java.lang.String", "value": property.value}}),
    };
    match parameter_maps(body, form).into_iter().next() {
        Some(parameters) => parameters.insert(key.to_owned(), value),
        // GeoServer replaces all parameters by those of a patch: one alone would wipe the others.
        None => return refuse("was added to an event that has no connectionParameters"),
    };
    Ok(())
}

fn parameter(name: &str) -> Option<&str> {
    name.strip_prefix(PARAMETERS)?.strip_prefix('.')
}

fn parameter_maps(body: &mut Value, form: Form) -> Vec<&mut Map<String, Value>> {
    match form {
        Form::Object => body
            .get_mut(PARAMETERS)
            .and_then(Value::as_object_mut)
            .into_iter()
            .collect(),
        Form::Patch => literals(body)
            .filter(|(name, _)| *name == PARAMETERS)
            .filter_map(|(_, literal)| literal.get_mut("value")?.as_object_mut())
            .collect(),
    }
}
