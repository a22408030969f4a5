//! Answers without what differs from server to server and from look to look.

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::recording::Exchange;

#[derive(Clone, Copy)]
pub(crate) enum Form {
    Json,
    Xml,
    Page,
    Text,
}

impl Form {
    pub(crate) fn of(recorded: &Exchange) -> Self {
        let answer = recorded.answer.trim_start();
        if recorded.headers.contains("text/html") {
            Self::Page
        } else if recorded.headers.contains("application/json") {
            Self::Json
        } else if answer.starts_with("<?xml") && recorded.target.contains("/gwc/") {
            Self::Xml
        } else {
            Self::Text
        }
    }
}

pub(crate) fn normal(form: Form, text: &str) -> String {
    match form {
        Form::Json => match serde_json::from_str::<Value>(text) {
            Ok(value) => serde_json::to_string_pretty(&json("", value)).unwrap(),
            Err(_) => text.to_owned(),
        },
        Form::Xml => xml(Document::parse(text).unwrap().root_element(), 0),
        Form::Page => {
            let (_, rest) = text.split_once("<title>").unwrap_or(("", text));
            rest.split("</title>").next().unwrap_or_default().to_owned()
        }
        Form::Text => text.trim_end().to_owned(),
    }
}

fn json(key: &str, value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, value)| {
                let is_own = matches!(
                    key.as_str(),
                    "dateCreated" | "dateModified" | "updateSequence" | "id" | "lastModified"
                );
                // With the right name only: data that is called `href` stays.
                let is_link = value.as_str().is_some_and(|text| {
                    text.contains("/rest/") || (key == "href" && text.contains("/geoserver/"))
                });
                !is_own && !is_link
            });
            let mut map: serde_json::Map<String, Value> = kept
                .map(|(key, value)| (key.clone(), json(&key, value)))
                .collect();
            map.sort_keys();
            Value::Object(map)
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(|it| json(key, it)).collect();
            let is_ordered = matches!(key, "style" | "published" | "attribute")
                && !items
                    .iter()
                    .all(|it| it.get("name").is_some() && it.as_object().unwrap().len() == 1);
            if !is_ordered && key != "double" {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::String(text) if text.starts_with("crypt1:") => "crypt1:".into(),
        Value::Number(number) => {
            // A sum of bounds is a little off where it was projected.
            let rounded = number.as_f64().map(|it| (it * 1e9).round() / 1e9);
            rounded.map_or(Value::Number(number), Value::from)
        }
        other => other,
    }
}

fn xml(element: Node, depth: usize) -> String {
    let name = element.tag_name().name();
    let children = element
        .children()
        .filter(|it| it.is_element() && it.tag_name().name() != "id");
    let mut children: Vec<String> = children.map(|it| xml(it, depth + 1)).collect();
    if matches!(name, "mimeFormats" | "gridSubsets") || depth == 0 {
        children.sort();
    }
    let attributes = element.attributes();
    let attributes: Vec<String> = attributes
        .map(|it| format!(" {}={:?}", it.name(), it.value()))
        .collect();
    let text = element.text().unwrap_or_default().trim();
    // Projected, the last digits are another library's.
    let rounded = text.parse::<f64>().ok().filter(|_| name == "double");
    let text = rounded.map_or(text.to_owned(), |it| format!("{it:.3}"));
    let indent = "  ".repeat(depth);
    format!(
        "{indent}{name}{}={text}\n{}",
        attributes.concat(),
        children.concat()
    )
}
