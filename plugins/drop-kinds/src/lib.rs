//! Drops events about certain kinds of objects, such as `security` and `logging`.

use serde::Deserialize;
use weir_plugin::{Action, Event, Failure, Filter, Verdict};

/// What to drop.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
pub struct DropKinds {
    kinds: Vec<String>,
    /// All of them where the settings name none.
    actions: Vec<Action>,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    kinds: Vec<String>,
    actions: Option<Vec<String>>,
}

impl TryFrom<Settings> for DropKinds {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        // A kind that Weir does not know is fine: the masters may have it.
        if settings.kinds.is_empty() {
            return Err(
                "`kinds` is empty: name at least one kind, such as \"security\"".to_owned(),
            );
        }
        let actions = match settings.actions {
            None => Action::ALL.to_vec(),
            Some(names) if names.is_empty() => {
                return Err("`actions` is empty: leave it out to drop every action".to_owned());
            }
            Some(names) => names
                .iter()
                .map(|name| action(name))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            kinds: settings.kinds,
            actions,
        })
    }
}

fn action(name: &str) -> Result<Action, String> {
    Action::ALL
        .into_iter()
        .find(|action| action.as_str() == name)
        .ok_or_else(|| {
            let known = Action::ALL.map(|action| format!("`{}`", action.as_str()));
            format!("`{name}` is no action: use {}", known.join(", "))
        })
}

impl Filter for DropKinds {
    fn filter(&self, event: &Event) -> Result<Verdict, Failure> {
        let kind = &event.subject.kind;
        if self.kinds.contains(kind) && self.actions.contains(&event.action) {
            // Reasons are counted, so they are few: the rule, and not the object.
            return Ok(Verdict::Drop(format!(
                "kind `{kind}` {}",
                event.action.as_str()
            )));
        }
        Ok(Verdict::Keep)
    }
}

weir_plugin::filter!(DropKinds);

#[cfg(test)]
mod tests {
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object};

    use super::*;

    fn verdict(settings: &str, action: Action, kind: &str) -> Verdict {
        let plugin: DropKinds = from_settings(settings).unwrap();
        plugin
            .filter(&event(action, object(kind, "topp", "states")))
            .unwrap()
    }

    #[test]
    fn only_the_named_kinds_are_dropped() {
        let settings = r#"{"kinds": ["security", "a-kind-of-tomorrow"]}"#;
        for action in Action::ALL {
            assert_eq!(
                verdict(settings, action, "security"),
                Verdict::Drop(format!("kind `security` {}", action.as_str()))
            );
            assert_eq!(verdict(settings, action, "layer"), Verdict::Keep);
        }
        assert_ne!(
            verdict(settings, Action::Added, "a-kind-of-tomorrow"),
            Verdict::Keep
        );
    }

    #[test]
    fn actions_narrow_what_is_dropped() {
        let settings = r#"{"kinds": ["layer"], "actions": ["removed"]}"#;
        assert_ne!(verdict(settings, Action::Removed, "layer"), Verdict::Keep);
        assert_eq!(verdict(settings, Action::Added, "layer"), Verdict::Keep);
        assert_eq!(verdict(settings, Action::Removed, "style"), Verdict::Keep);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |settings| from_settings::<DropKinds>(settings).unwrap_err();
        assert_eq!(
            refused(r#"{"kinds": []}"#),
            "`kinds` is empty: name at least one kind, such as \"security\""
        );
        assert_eq!(
            refused(r#"{"kinds": ["layer"], "actions": []}"#),
            "`actions` is empty: leave it out to drop every action"
        );
        assert_eq!(
            refused(r#"{"kinds": ["layer"], "actions": ["deleted"]}"#),
            "`deleted` is no action: use `added`, `modified`, `removed`, `reloaded`, `reset`"
        );
        assert_eq!(
            refused(r#"{"kind": ["layer"]}"#),
            "unknown field `kind`, expected `kinds` or `actions`"
        );
        assert_eq!(refused("{}"), "missing field `kinds`");
    }
}
