//! What a request says, whichever way it says it.

use roxmltree::{Document, Node};
use serde_json::Value;

use crate::http::{Reply, Request};
use crate::json::Map;

/// What a request says of the object `root`.
pub(crate) fn of(request: &Request, root: &str) -> Result<Map, Reply> {
    let text = std::str::from_utf8(&request.body);
    let text = text.map_err(|error| Reply::text(400, error.to_string()))?;
    let document = match request.media_type() {
        "application/json" | "text/json" => {
            let document: Result<Value, _> = serde_json::from_str(text);
            document.map_err(|error| Reply::text(400, error.to_string()))?
        }
        "application/xml" | "text/xml" => from_xml(text)?,
        _ => return Err(Reply::empty(415)),
    };
    match document.get(root) {
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(_) => Ok(Map::new()),
        None => Err(Reply::text(500, format!("{root} is not what was sent"))),
    }
}

pub(crate) fn is_xml(request: &Request) -> bool {
    matches!(request.media_type(), "application/xml" | "text/xml")
}

fn from_xml(text: &str) -> Result<Value, Reply> {
    let document = Document::parse(text);
    let document = document.map_err(|error| Reply::text(500, error.to_string()))?;
    let root = document.root_element();
    let mut whole = Map::new();
    whole.insert(root.tag_name().name().to_owned(), value(root));
    Ok(Value::Object(whole))
}

/// An element as GeoServer would have it in JSON.
fn value(element: Node) -> Value {
    let mut map = Map::new();
    for attribute in element.attributes() {
        let name = format!("@{}", attribute.name());
        map.insert(name, attribute.value().into());
    }
    let children = element.children().filter(Node::is_element);
    // Links.
    let children: Vec<Node> = children
        .filter(|child| child.tag_name().namespace().is_none())
        .collect();
    let text = element.text().unwrap_or_default();
    if children.is_empty() {
        if map.is_empty() {
            return text.into();
        }
        if !text.trim().is_empty() {
            map.insert("$".to_owned(), text.into());
        }
    }
    for child in children {
        let name = child.tag_name().name().to_owned();
        let value = value(child);
        match map.get_mut(&name) {
            Some(Value::Array(items)) => items.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
            None => {
                map.insert(name, value);
            }
        }
    }
    Value::Object(map)
}
