//! Drops events about certain kinds of objects, such as `security` and `logging`.

use serde::Deserialize;
use weir_plugin::{ACTIONS, Event, Failure, Filter, Interest, Verdict};

/// What to drop.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
pub struct DropKinds {
    kinds: Vec<String>,
    /// Every action if there is none.
    actions: Vec<String>,
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
            None => Vec::new(),
            Some(names) if names.is_empty() => {
                return Err("`actions` is empty: leave it out to drop every action".to_owned());
            }
            Some(names) => names.into_iter().map(known).collect::<Result<_, _>>()?,
        };
        Ok(Self {
            kinds: settings.kinds,
            actions,
        })
    }
}

/// Refuses what is most likely misspelt.
fn known(action: String) -> Result<String, String> {
    if ACTIONS.contains(&action.as_str()) {
        return Ok(action);
    }
    let known = ACTIONS.map(|action| format!("`{action}`"));
    Err(format!("`{action}` is no action: use {}", known.join(", ")))
}

impl Filter for DropKinds {
    fn filter(&self, event: &Event) -> Result<Verdict, Failure> {
        let kind = &event.subject.kind;
        let action = &event.action;
        let concerned = self.actions.is_empty() || self.actions.contains(action);
        if concerned && self.kinds.contains(kind) {
            // Reasons are counted, so they are few: the rule, and not the object.
            return Ok(Verdict::Drop(format!("kind `{kind}` {action}")));
        }
        Ok(Verdict::Keep)
    }

    fn interest(&self) -> Interest {
        Interest::empty()
    }
}

weir_plugin::filter!(DropKinds);

#[cfg(test)]
mod tests {
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object, seen};

    use super::*;

    fn verdict(settings: &str, action: &str, kind: &str) -> Verdict {
        let plugin: DropKinds = from_settings(settings).unwrap();
        let event = event(action, object(kind, "topp", "states"));
        plugin.filter(&seen(&event, plugin.interest())).unwrap()
    }

    #[test]
    fn only_the_named_kinds_are_dropped() {
        let settings = r#"{"kinds": ["security", "a-kind-of-tomorrow"]}"#;
        for action in ACTIONS {
            assert_eq!(
                verdict(settings, action, "security"),
                Verdict::Drop(format!("kind `security` {action}"))
            );
            assert_eq!(verdict(settings, action, "layer"), Verdict::Keep);
        }
        assert_ne!(
            verdict(settings, "added", "a-kind-of-tomorrow"),
            Verdict::Keep
        );
    }

    #[test]
    fn actions_narrow_what_is_dropped() {
        let settings = r#"{"kinds": ["layer"], "actions": ["removed"]}"#;
        assert_ne!(verdict(settings, "removed", "layer"), Verdict::Keep);
        assert_eq!(verdict(settings, "added", "layer"), Verdict::Keep);
        assert_eq!(verdict(settings, "removed", "style"), Verdict::Keep);
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
