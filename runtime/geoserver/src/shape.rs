//! GeoServer's JSON made regular.
//!
//! It is XML turned into JSON by rules that do not know what a list is: an empty one is `""`, one of
//! one element is that element, and a text that looks like a number has become one.

use std::borrow::Cow;

use serde_json::Value;

/// The elements of a list: what `outer` holds under `key`, as in
/// `"keywords": {"string": ["a", "b"]}`, `{"string": "a"}` or `""`.
///
/// An element may itself be `""`: a style of a layer group that is left to its layer.
///
/// ```
/// use serde_json::json;
/// use weir_geoserver::shape::items;
///
/// assert_eq!(items(&json!(""), "string"), [] as [&str; 0]);
/// assert_eq!(items(&json!({"string": "a"}), "string"), ["a"]);
/// assert_eq!(items(&json!({"string": ["a", "b"]}), "string"), ["a", "b"]);
/// assert_eq!(items(&json!({"style": ""}), "style"), [""]);
/// ```
pub fn items<'a>(outer: &'a Value, key: &str) -> &'a [Value] {
    match outer.get(key) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
    }
}

/// The same place, made a list where it is none, to be changed.
///
/// `None` where `outer` is something that holds no lists, as a number.
pub fn items_mut<'a>(outer: &'a mut Value, key: &str) -> Option<&'a mut Vec<Value>> {
    if matches!(outer, Value::Null) || outer.as_str() == Some("") {
        *outer = Value::Object(serde_json::Map::new());
    }
    let list = outer.as_object_mut()?.entry(key).or_insert(Value::Null);
    if !list.is_array() {
        *list = Value::Array(match list.take() {
            Value::Null => Vec::new(),
            one => vec![one],
        });
    }
    list.as_array_mut()
}

/// The text of a value: GeoServer writes the text `"4326"` as the number 4326, and an absent one as
/// `""` or not at all.
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The entries of a map, as in `"metadata": {"entry": [{"@key": "time", …}]}`: each key with its
/// whole entry. The value stands under `$` where it is a text; elsewhere beside the key, under a name
/// of its own.
pub fn entries(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    items(map, "entry")
        .iter()
        .filter_map(|entry| Some((entry.get("@key")?.as_str()?, entry)))
}

/// The names in a list of objects or of plain names.
pub(crate) fn names(items: &[Value]) -> Option<Vec<String>> {
    items
        .iter()
        .map(|item| text(item.get("name").unwrap_or(item)).map(Cow::into_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// As GeoServer writes a list in a list's place.
    fn written(elements: &[Value], key: &str) -> Value {
        match elements {
            [] => json!(""),
            [one] => json!({ key: one }),
            more => json!({ key: more }),
        }
    }

    fn element() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!("")),
            ".{1,8}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(|name| json!({ "name": name })),
        ]
    }

    proptest! {
        #[test]
        fn a_list_comes_back_whatever_it_looks_like(
            elements in prop::collection::vec(element(), 0..4),
        ) {
            let mut outer = written(&elements, "x");
            prop_assert_eq!(items(&outer, "x"), elements.as_slice());
            prop_assert_eq!(items_mut(&mut outer, "x").unwrap(), &elements);
            // What was made regular stays so.
            prop_assert_eq!(items(&outer, "x"), elements.as_slice());
        }

        #[test]
        fn a_text_that_became_a_number_comes_back(number in any::<u64>(), text_is in ".*") {
            let became: Value = serde_json::from_str(&number.to_string()).unwrap();
            prop_assert_eq!(text(&became).unwrap(), number.to_string());
            let written = Value::from(text_is.clone());
            prop_assert_eq!(text(&written).unwrap(), text_is);
        }

        #[test]
        fn entries_keep_their_keys(keys in prop::collection::vec("[a-z ]{1,6}", 0..4)) {
            let list: Vec<Value> = keys.iter().map(|key| json!({ "@key": key, "$": 1 })).collect();
            let map = written(&list, "entry");
            let found: Vec<&str> = entries(&map).map(|(key, _)| key).collect();
            prop_assert_eq!(found, keys);
        }
    }

    #[test]
    fn what_holds_no_list_has_no_elements() {
        for outer in [
            json!(null),
            json!(3),
            json!([]),
            json!({}),
            json!({"x": null}),
        ] {
            assert_eq!(items(&outer, "x"), [] as [Value; 0]);
        }
        assert_eq!(items_mut(&mut json!(3), "x"), None);
    }

    #[test]
    fn decimals_keep_their_digits() {
        let value: Value = serde_json::from_str("27.20").unwrap();
        assert_eq!(text(&value).unwrap(), "27.20");
    }
}
