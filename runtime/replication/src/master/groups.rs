//! Layer groups in the order in which they can be made: those that are in others first.

use std::collections::BTreeMap;

use serde_json::Value;
use weir_event::RestPlace;
use weir_geoserver::shape;

/// A group and those that it holds, by what they are called.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) place: RestPlace,
    pub(super) holds: Vec<String>,
}

/// What a group is called where another refers to it.
pub(super) fn called(place: &RestPlace) -> String {
    let name = place.name.as_deref().unwrap_or_default();
    match &place.workspace {
        Some(workspace) => format!("{workspace}:{name}"),
        None => name.to_owned(),
    }
}

/// The groups in a group, by its document.
pub(super) fn held(document: &Value) -> Vec<String> {
    let none = Value::Null;
    let published = document
        .pointer("/layerGroup/publishables")
        .unwrap_or(&none);
    let groups = shape::items(published, "published")
        .iter()
        .filter(|it| it.get("@type").and_then(Value::as_str) == Some("layerGroup"));
    let names = groups.filter_map(|it| it.get("name").and_then(shape::text));
    names.map(std::borrow::Cow::into_owned).collect()
}

/// The groups, each after those that it holds. Of those that hold each other, which GeoServer does not
/// make, some come too early.
pub(super) fn in_order(groups: &[Group]) -> Vec<RestPlace> {
    let index: BTreeMap<String, usize> = groups
        .iter()
        .enumerate()
        .map(|(index, group)| (called(&group.place), index))
        .collect();
    let mut is_seen = vec![false; groups.len()];
    let mut order = Vec::with_capacity(groups.len());
    for first in 0..groups.len() {
        // Groups may nest deeper than a stack of calls.
        let mut open = vec![(first, 0)];
        if std::mem::replace(&mut is_seen[first], true) {
            continue;
        }
        while let Some((group, next)) = open.pop() {
            match groups[group].holds.get(next) {
                Some(held) => {
                    open.push((group, next + 1));
                    if let Some(&held) = index.get(held)
                        && !std::mem::replace(&mut is_seen[held], true)
                    {
                        open.push((held, 0));
                    }
                }
                None => order.push(group),
            }
        }
    }
    order
        .into_iter()
        .map(|group| groups[group].place.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn place(name: &str) -> RestPlace {
        RestPlace {
            name: Some(name.to_owned()),
            ..RestPlace::default()
        }
    }

    #[test]
    fn groups_are_told_by_their_type() {
        let one = json!({"layerGroup": {"publishables": {"published": {"@type": "layerGroup", "name": "a"}}}});
        assert_eq!(held(&one), ["a"]);
        let more = json!({"layerGroup": {"publishables": {"published": ["", {"@type": "layer", "name": "x"}, {"@type": "layerGroup", "name": "ws:b"}]}}});
        assert_eq!(held(&more), ["ws:b"]);
        assert_eq!(
            held(&json!({"layerGroup": {"publishables": ""}})),
            [] as [&str; 0]
        );
    }

    proptest! {
        #[test]
        fn each_comes_once_and_after_what_it_holds(
            holds in prop::collection::vec(prop::collection::vec(0usize..12, 0..4), 0..12),
            is_tree in any::<bool>(),
        ) {
            let holds: Vec<Vec<usize>> = holds
                .into_iter()
                .enumerate()
                .map(|(at, held)| held.into_iter().filter(|&it| !is_tree || it > at).collect())
                .collect();
            let groups = holds.iter().enumerate().map(|(at, held)| Group {
                place: place(&at.to_string()),
                holds: held.iter().map(ToString::to_string).collect(),
            });
            let order: Vec<usize> = in_order(&groups.collect::<Vec<_>>())
                .iter()
                .map(|place| place.name.as_ref().unwrap().parse().unwrap())
                .collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..holds.len()).collect::<Vec<_>>());
            if is_tree {
                let when = |group: usize| order.iter().position(|&it| it == group);
                for (at, held) in holds.iter().enumerate() {
                    for &held in held.iter().filter(|&&it| it < holds.len()) {
                        prop_assert!(when(held) < when(at));
                    }
                }
            }
        }
    }
}
