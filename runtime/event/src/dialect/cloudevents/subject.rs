//! The attribute `subject`: a path as in GeoServer's REST interface, `workspaces/topp/layers/states`.

use std::fmt::Write as _;

use crate::event::{Kind, Object};

/// The path of an object. A segment is percent-encoded, so that a name with a slash stays one.
pub(super) fn path(object: &Object) -> String {
    let mut path = String::new();
    match (&object.kind, &object.workspace) {
        (Kind::Namespace, Some(workspace)) => segments(&mut path, "namespaces", Some(workspace)),
        (_, Some(workspace)) => segments(&mut path, "workspaces", Some(workspace)),
        (_, None) => {}
    }
    match &object.kind {
        Kind::Workspace | Kind::Namespace if object.workspace.is_some() => {}
        kind => segments(&mut path, &plural(kind), object.name.as_deref()),
    }
    path
}

/// Reads the path of an object of this kind; what it does not say stays unknown.
pub(super) fn parse(kind: &Kind, path: &str) -> Object {
    let mut object = Object::of(kind.clone());
    let segments: Vec<String> = path.split('/').map(decode).collect();
    let mut rest = segments.as_slice();
    if let [collection, workspace, after @ ..] = rest
        && (collection == "workspaces" || (*kind == Kind::Namespace && collection == "namespaces"))
    {
        object.workspace = Some(workspace.clone());
        rest = after;
    }
    if let [_, name, ..] = rest
        && !kind.is_named_by_workspace()
    {
        object.name = Some(name.clone());
    }
    object
}

/// What a collection of such objects is called.
fn plural(kind: &Kind) -> String {
    match kind {
        Kind::Settings
        | Kind::Logging
        | Kind::Security
        | Kind::Global
        | Kind::Catalog
        | Kind::GwcGlobal
        | Kind::DiskQuota
        | Kind::AccessRules => kind.to_string(),
        Kind::Coverage => "coverages".to_owned(),
        kind => format!("{}s", encode(kind.as_str())),
    }
}

fn segments(path: &mut String, collection: &str, name: Option<&str>) {
    for segment in std::iter::once(collection.to_owned()).chain(name.map(encode)) {
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(&segment);
    }
}

fn encode(segment: &str) -> String {
    let mut encoded = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}

/// The text of a segment; what is no escape stands for itself.
fn decode(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &Kind, workspace: Option<&str>, name: Option<&str>, expected: &str) {
        let object = Object {
            workspace: workspace.map(str::to_owned),
            name: name.map(str::to_owned),
            ..Object::of(kind.clone())
        };
        assert_eq!(path(&object), expected);
        assert_eq!(parse(kind, expected), object, "{expected}");
    }

    #[test]
    fn a_path_says_what_the_object_is_called() {
        check(&Kind::Workspace, Some("topp"), None, "workspaces/topp");
        check(&Kind::Namespace, Some("topp"), None, "namespaces/topp");
        check(
            &Kind::Settings,
            Some("topp"),
            None,
            "workspaces/topp/settings",
        );
        check(
            &Kind::Layer,
            Some("topp"),
            Some("states"),
            "workspaces/topp/layers/states",
        );
        check(
            &Kind::Layer,
            Some("workspaces"),
            None,
            "workspaces/workspaces/layers",
        );
        check(&Kind::Style, None, Some("line"), "styles/line");
        check(&Kind::Catalog, None, None, "catalog");
        check(&Kind::Global, None, Some("geoserver"), "global/geoserver");
        check(
            &Kind::GridSet,
            None,
            Some("EPSG:4326"),
            "gridsets/EPSG%3A4326",
        );
        check(
            &Kind::Layer,
            Some("a/b"),
            Some("50 % søk"),
            "workspaces/a%2Fb/layers/50%20%25%20s%C3%B8k",
        );
        check(&Kind::from("odd/kind"), None, Some(""), "odd%2Fkinds/");
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        assert_eq!(decode("50%"), "50%");
        assert_eq!(decode("%zz%+1"), "%zz%+1");
        assert_eq!(decode("%ff"), "%ff");
    }
}
