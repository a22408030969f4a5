//! Keeps or drops events by the workspace that they are about.

use serde::Deserialize;
use weir_plugin::{Event, Failure, Filter, Interest, Pattern, Verdict};

/// Which workspaces go on. A plugin is its settings, checked: serde reads `Settings`, and
/// `TryFrom` refuses those that make no sense, before Weir sends the first event.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
pub struct FilterWorkspaces {
    /// `None`: all of them, but for the excluded ones.
    include: Option<Vec<Pattern>>,
    exclude: Vec<Pattern>,
    global: Global,
}

/// What becomes of events that have no workspace, such as those about global styles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Global {
    #[default]
    Keep,
    Drop,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    include: Option<Vec<Pattern>>,
    #[serde(default)]
    exclude: Vec<Pattern>,
    #[serde(default)]
    global: Global,
}

impl TryFrom<Settings> for FilterWorkspaces {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings {
            include,
            exclude,
            global,
        } = settings;
        if include.as_ref().is_some_and(Vec::is_empty) {
            return Err("`include` is empty: leave it out to include every workspace");
        }
        if include.is_none() && exclude.is_empty() && global == Global::Keep {
            return Err("nothing to filter: give `include`, `exclude`, or `global = \"drop\"`");
        }
        Ok(Self {
            include,
            exclude,
            global,
        })
    }
}

impl FilterWorkspaces {
    /// Why a workspace does not go on; `None` if it does. Reasons are counted, so they name the
    /// rule, and not the workspace: that keeps them few.
    fn objection(&self, workspace: &str) -> Option<String> {
        if let Some(pattern) = self.exclude.iter().find(|p| p.matches(workspace)) {
            return Some(format!("workspace excluded by `{pattern}`"));
        }
        match &self.include {
            Some(include) if !include.iter().any(|p| p.matches(workspace)) => {
                Some("workspace not included".to_owned())
            }
            _ => None,
        }
    }
}

impl Filter for FilterWorkspaces {
    fn filter(&self, event: &Event) -> Result<Verdict, Failure> {
        // An object that moves out of a workspace concerns whoever has that workspace as much as
        // one that moves in: the event goes on if either place does. So with a default workspace.
        let mut objection = None;
        // What is said of the catalog is global only where it refers to no workspace.
        let mut global = event.subject.workspace.is_none();
        for workspace in event.workspaces() {
            global &= event.subject.kind != "catalog";
            match self.objection(workspace) {
                None => return Ok(Verdict::Keep),
                Some(reason) => objection = objection.or(Some(reason)),
            }
        }
        if global {
            match self.global {
                Global::Keep => return Ok(Verdict::Keep),
                Global::Drop => objection = objection.or(Some("no workspace".to_owned())),
            }
        }
        Ok(objection.map_or(Verdict::Keep, Verdict::Drop))
    }

    fn interest(&self) -> Interest {
        // Of an event about the catalog, the references say which workspaces it is about.
        Interest::REFERENCES
    }
}

weir_plugin::filter!(FilterWorkspaces);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object, reference, seen};

    use super::*;

    fn verdict(settings: &str, workspace: &str) -> Verdict {
        let plugin: FilterWorkspaces = from_settings(settings).unwrap();
        let event = event("added", object("layer", workspace, "states"));
        plugin.filter(&seen(&event, plugin.interest())).unwrap()
    }

    fn dropped(reason: &str) -> Verdict {
        Verdict::Drop(reason.to_owned())
    }

    #[test]
    fn exclude_wins_over_include_and_the_reason_says_which_rule_it_was() {
        let settings = r#"{"include": ["topp", "eu_*"], "exclude": ["*_old"]}"#;
        assert_eq!(verdict(settings, "topp"), Verdict::Keep);
        assert_eq!(verdict(settings, "eu_roads"), Verdict::Keep);
        assert_eq!(
            verdict(settings, "eu_roads_old"),
            dropped("workspace excluded by `*_old`")
        );
        assert_eq!(verdict(settings, "sf"), dropped("workspace not included"));
    }

    #[test]
    fn events_without_a_workspace_are_kept_unless_told_otherwise() {
        assert_eq!(verdict(r#"{"include": ["topp"]}"#, ""), Verdict::Keep);
        assert_eq!(
            verdict(r#"{"include": ["topp"], "global": "drop"}"#, ""),
            dropped("no workspace")
        );
    }

    #[test]
    fn a_move_concerns_both_places() {
        let plugin: FilterWorkspaces = from_settings(r#"{"include": ["topp"]}"#).unwrap();
        let mut moved = event("modified", object("style", "sf", "line"));
        moved.previous = Some(object("style", "topp", "line"));
        assert_eq!(plugin.filter(&moved).unwrap(), Verdict::Keep);
        moved.previous = Some(object("style", "nurc", "line"));
        assert_eq!(
            plugin.filter(&moved).unwrap(),
            dropped("workspace not included")
        );
    }

    #[test]
    fn the_catalog_is_judged_by_what_it_refers_to() {
        let verdict = |settings: &str, role: &str, target| {
            let plugin: FilterWorkspaces = from_settings(settings).unwrap();
            let mut event = event("modified", object("catalog", "", "catalog"));
            event.references = vec![reference(role, target)];
            plugin.filter(&seen(&event, plugin.interest())).unwrap()
        };
        for settings in [
            r#"{"include": ["topp"], "global": "drop"}"#,
            r#"{"include": ["topp"]}"#,
        ] {
            for (role, kind, name) in [
                ("default-workspace", "workspace", ""),
                ("default-namespace", "namespace", ""),
                ("default-datastore", "datastore", "pg"),
            ] {
                let kept = verdict(settings, role, object(kind, "topp", name));
                assert_eq!(kept, Verdict::Keep, "{role}");
                let other = verdict(settings, role, object(kind, "sf", name));
                assert_eq!(other, dropped("workspace not included"), "{role}");
            }
        }
        // A layer refers to a style of another workspace, and is in its own all the same.
        let plugin: FilterWorkspaces = from_settings(r#"{"include": ["topp"]}"#).unwrap();
        let mut layer = event("modified", object("layer", "sf", "roads"));
        layer.references = vec![reference("style", object("style", "topp", "line"))];
        assert_ne!(plugin.filter(&layer).unwrap(), Verdict::Keep);
        // A catalog that says no workspace is global: a reload, a default that was cleared.
        let cleared = object("workspace", "", "");
        let settings = r#"{"include": ["topp"], "global": "drop"}"#;
        assert_eq!(
            verdict(settings, "default-workspace", cleared),
            dropped("no workspace")
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |settings| from_settings::<FilterWorkspaces>(settings).unwrap_err();
        assert_eq!(
            refused(r#"{"inclde": ["topp"]}"#),
            "unknown field `inclde`, expected one of `include`, `exclude`, `global`"
        );
        assert_eq!(
            refused(r#"{"include": []}"#),
            "`include` is empty: leave it out to include every workspace"
        );
        assert_eq!(
            refused("{}"),
            "nothing to filter: give `include`, `exclude`, or `global = \"drop\"`"
        );
        assert_eq!(
            refused(r#"{"global": "no"}"#),
            "unknown variant `no`, expected `keep` or `drop`"
        );
    }

    proptest! {
        #[test]
        fn include_and_exclude_of_the_same_patterns_are_complements(
            pattern in "[ab*?]{1,4}",
            workspace in "[ab]{1,5}",
        ) {
            let include = verdict(&format!(r#"{{"include": ["{pattern}"]}}"#), &workspace);
            let exclude = verdict(&format!(r#"{{"exclude": ["{pattern}"]}}"#), &workspace);
            prop_assert_ne!(include == Verdict::Keep, exclude == Verdict::Keep);
        }
    }
}
