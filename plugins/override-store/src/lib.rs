//! Gives stores the connection parameters that they need at a slave: another host, another user.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use weir_plugin::{Event, Failure, Interest, Object, Outcome, Pair, Pattern, Transform};

/// The kinds of stores; `store` stands where a message does not say which of them it means.
const STORES: [&str; 5] = [
    "datastore",
    "coveragestore",
    "wmsstore",
    "wmtsstore",
    "store",
];

/// What the names of connection parameters begin with, among the properties of a store.
const PARAMETER: &str = "connectionParameters.";

/// What to override in which stores, the closest description first.
#[derive(Deserialize)]
#[serde(try_from = "Settings")]
struct OverrideStore(Vec<Override>);

struct Override {
    workspace: Pattern,
    store: Pattern,
    /// Names without `connectionParameters.`, and values as text.
    values: BTreeMap<String, String>,
}

/// The settings as they are written. The values are taken apart by hand: an error that serde makes
/// would show the value, which may be a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    stores: BTreeMap<String, Value>,
}

impl TryFrom<Settings> for OverrideStore {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        if settings.stores.is_empty() {
            return Err("`stores` is empty: name at least one store, such as \
                        \"topp:pg\" = { host = \"db.example.org\" }"
                .to_owned());
        }
        let mut overrides: Vec<Override> = settings
            .stores
            .into_iter()
            .map(Override::try_from)
            .collect::<Result<_, _>>()?;
        // The sort is stable: among equally close ones, the first in the alphabet comes first.
        overrides.sort_by_key(|o| std::cmp::Reverse(o.closeness()));
        Ok(Self(overrides))
    }
}

impl TryFrom<(String, Value)> for Override {
    type Error = String;

    fn try_from((key, values): (String, Value)) -> Result<Self, String> {
        let patterns = key.split_once(':').and_then(|(workspace, store)| {
            let pattern = |text: &str| Pattern::try_from(text.to_owned()).ok();
            Some((pattern(workspace)?, pattern(store)?))
        });
        let Some((workspace, store)) = patterns else {
            return Err(format!(
                "`{key}` names no store: write `workspace:store`, such as `topp:pg` or `topp:*`"
            ));
        };
        let Value::Object(values) = values else {
            return Err(format!(
                "store `{key}`: give a table, such as {{ host = \"db.example.org\" }}"
            ));
        };
        let values = values.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(number) => Ok((name, number.to_string())),
            Value::Bool(flag) => Ok((name, flag.to_string())),
            _ => Err(format!(
                "store `{key}`: `{name}` must be a string, a number, true or false"
            )),
        });
        Ok(Self {
            workspace,
            store,
            values: values.collect::<Result<_, _>>()?,
        })
    }
}

impl Override {
    fn matches(&self, workspace: &str, store: &str) -> bool {
        self.workspace.matches(workspace) && self.store.matches(store)
    }

    /// How closely a store is described: by its name, or by how much of it.
    fn closeness(&self) -> (bool, usize) {
        (
            self.workspace.is_literal() && self.store.is_literal(),
            self.workspace.literals() + self.store.literals(),
        )
    }

    /// Sets the values; true if one of them was not there before.
    fn apply(&self, properties: &mut Vec<Pair>) -> bool {
        // A change of a store that leaves its connection alone stays such a change.
        let connects = properties.iter().any(|p| p.name.starts_with(PARAMETER));
        let mut changed = false;
        for (name, value) in &self.values {
            // `url` is a property of a coverage store, and a connection parameter of a data store:
            // the event says which.
            let named =
                |p: &&mut Pair| p.name == *name || p.name.strip_prefix(PARAMETER) == Some(name);
            match properties.iter_mut().find(named) {
                Some(property) if property.value == *value => continue,
                Some(property) => property.value.clone_from(value),
                None if connects => properties.push(Pair {
                    name: format!("{PARAMETER}{name}"),
                    value: value.clone(),
                }),
                None => continue,
            }
            changed = true;
        }
        changed
    }
}

impl Transform for OverrideStore {
    fn transform(&self, mut event: Event) -> Result<Outcome, Failure> {
        if STORES.contains(&event.subject.kind.as_str())
            && let Object {
                workspace: Some(workspace),
                name: Some(store),
                ..
            } = &event.subject
            && let Some(closest) = self.0.iter().find(|o| o.matches(workspace, store))
            && closest.apply(&mut event.properties)
        {
            return Ok(event.into());
        }
        Ok(Outcome::Unchanged)
    }

    fn interest(&self) -> Interest {
        Interest::PROPERTIES
    }
}

weir_plugin::transform!(OverrideStore);

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::select;
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object, pair, transformed};

    use super::*;

    fn overridden(settings: &str, event: Event) -> Event {
        let plugin: OverrideStore = from_settings(settings).unwrap();
        let mut events = transformed(&plugin, &event).unwrap();
        assert_eq!(events.len(), 1);
        let overridden = events.remove(0);
        let same = overridden == event;
        let outcome = plugin.transform(event).unwrap();
        assert_eq!(matches!(outcome, Outcome::Unchanged), same, "{outcome:?}");
        overridden
    }

    fn store(kind: &str, name: &str, properties: &[(&str, &str)]) -> Event {
        let mut store = event("modified", object(kind, "topp", name));
        store.properties = properties.iter().map(|(n, v)| pair(n, v)).collect();
        store
    }

    #[test]
    fn connection_parameters_are_set_and_added_as_text() {
        let event = store(
            "datastore",
            "pg",
            &[
                ("connectionParameters.host", "db"),
                ("connectionParameters.database", "gis"),
            ],
        );
        let settings = r#"{"stores": {"topp:pg":
            {"host": "db-eu", "port": 5432, "Expose primary keys": true}}}"#;
        let expected = store(
            "datastore",
            "pg",
            &[
                ("connectionParameters.host", "db-eu"),
                ("connectionParameters.database", "gis"),
                ("connectionParameters.Expose primary keys", "true"),
                ("connectionParameters.port", "5432"),
            ],
        );
        assert_eq!(overridden(settings, event), expected);
    }

    #[test]
    fn a_change_without_connection_parameters_gets_none() {
        let event = store("datastore", "pg", &[("enabled", "false")]);
        let settings = r#"{"stores": {"topp:pg": {"host": "db-eu"}}}"#;
        assert_eq!(overridden(settings, event.clone()), event);
    }

    #[test]
    fn other_stores_have_what_they_have_replaced() {
        let settings = r#"{"stores": {"*:*": {"url": "file:eu", "password": "secret"}}}"#;
        let coverages = store("coveragestore", "dem", &[("url", "file:dem.tif")]);
        let expected = store("coveragestore", "dem", &[("url", "file:eu")]);
        assert_eq!(overridden(settings, coverages), expected);
        let shapes = store(
            "datastore",
            "shp",
            &[("connectionParameters.url", "file:a.shp")],
        );
        let expected = store(
            "datastore",
            "shp",
            &[
                ("connectionParameters.url", "file:eu"),
                ("connectionParameters.password", "secret"),
            ],
        );
        assert_eq!(overridden(settings, shapes), expected);
    }

    #[test]
    fn the_closest_description_wins_whole() {
        let settings = r#"{"stores": {
            "*:*": {"host": "any"},
            "t*:pg": {"host": "pg"},
            "topp:*": {"host": "topp"},
            "topp:pg_roads": {"host": "roads"},
            "topp:untouched": {}
        }}"#;
        for (name, host) in [
            ("pg_roads", "roads"),
            ("pg", "topp"),
            ("other", "topp"),
            ("untouched", "master"),
        ] {
            let event = store(
                "datastore",
                name,
                &[("connectionParameters.host", "master")],
            );
            let event = overridden(settings, event);
            assert_eq!(
                event.property("connectionParameters.host"),
                Some(host),
                "{name}"
            );
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_without_showing_a_value() {
        let refused = |settings| from_settings::<OverrideStore>(settings).err().unwrap();
        assert_eq!(
            refused(r#"{"stores": {"pg": {}}}"#),
            "`pg` names no store: write `workspace:store`, such as `topp:pg` or `topp:*`"
        );
        assert_eq!(
            refused(r#"{"stores": {"topp:": {}}}"#),
            "`topp:` names no store: write `workspace:store`, such as `topp:pg` or `topp:*`"
        );
        assert_eq!(
            refused(r#"{"stores": {"topp:pg": "hush"}}"#),
            "store `topp:pg`: give a table, such as { host = \"db.example.org\" }"
        );
        assert_eq!(
            refused(r#"{"stores": {"topp:pg": {"passwd": ["hush"]}}}"#),
            "store `topp:pg`: `passwd` must be a string, a number, true or false"
        );
        assert_eq!(
            refused(r#"{"stores": {}}"#),
            "`stores` is empty: name at least one store, such as \
             \"topp:pg\" = { host = \"db.example.org\" }"
        );
        assert_eq!(
            refused(r#"{"store": {}}"#),
            "unknown field `store`, expected `stores`"
        );
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let kinds = select(vec!["datastore", "coveragestore", "store", "layer"]);
        let names = [
            "connectionParameters.host",
            "connectionParameters.user",
            "url",
            "password",
        ];
        let properties = vec((select(names.to_vec()), "[a-z]{0,3}"), 0..4);
        (kinds, properties).prop_map(|(kind, properties)| {
            let mut store = store(kind, "pg", &[]);
            for (name, value) in properties {
                if store.property(name).is_none() {
                    store.properties.push(pair(name, &value));
                }
            }
            store
        })
    }

    proptest! {
        #[test]
        fn an_override_holds_afterwards_and_changes_nothing_else(
            before in any_event(),
            values in btree_map("(host|port|url|password)", "[a-z]{1,3}", 0..4),
        ) {
            let settings = serde_json::json!({"stores": {"topp:pg": values}}).to_string();
            let after = overridden(&settings, before.clone());
            let connects = before.properties.iter().any(|p| p.name.starts_with(PARAMETER));
            let is_store = before.subject.kind != "layer";
            for property in &after.properties {
                let short = property.name.strip_prefix(PARAMETER).unwrap_or(&property.name);
                let overridden = values.get(short).filter(|_| is_store).map(String::as_str);
                let expected = overridden.or(before.property(&property.name));
                prop_assert_eq!(expected, Some(property.value.as_str()));
            }
            for property in &before.properties {
                prop_assert!(after.property(&property.name).is_some());
            }
            if is_store && connects {
                for name in values.keys() {
                    let parameter = format!("{PARAMETER}{name}");
                    prop_assert!(
                        after.property(name).is_some() || after.property(&parameter).is_some()
                    );
                }
            } else {
                prop_assert_eq!(before.properties.len(), after.properties.len());
            }
            prop_assert_eq!(overridden(&settings, after.clone()), after, "twice is once");
        }
    }
}
