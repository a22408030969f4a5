//! Chooses the slaves of an event by the workspace that it is about.

use serde::Deserialize;
use weir_plugin::{Event, Failure, Interest, Pattern, Router};

/// Which workspaces go to which slaves.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
pub struct RouteByWorkspace {
    routes: Vec<Route>,
    /// `None`: all that are attached.
    otherwise: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    workspaces: Vec<Pattern>,
    slaves: Vec<String>,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    routes: Vec<Route>,
    otherwise: Option<Vec<String>>,
}

impl TryFrom<Settings> for RouteByWorkspace {
    type Error = String;

    fn try_from(settings: Settings) -> Result<Self, String> {
        if settings.routes.is_empty() {
            return Err("`routes` is empty: give at least one, \
                 such as { workspaces = [\"topp\"], slaves = [\"eu\"] }"
                .to_owned());
        }
        for (route, number) in settings.routes.iter().zip(1..) {
            if route.workspaces.is_empty() {
                return Err(format!(
                    "route {number} names no workspaces: give at least one pattern, such as \"topp\""
                ));
            }
        }
        Ok(Self {
            routes: settings.routes,
            otherwise: settings.otherwise,
        })
    }
}

impl Router for RouteByWorkspace {
    fn route(&self, event: &Event, slaves: &[String]) -> Result<Vec<String>, Failure> {
        // An object that moves concerns the slaves of both places: one of them has to forget it.
        let concerned: Vec<&Route> = self
            .routes
            .iter()
            .filter(|route| {
                event
                    .workspaces()
                    .any(|workspace| route.workspaces.iter().any(|p| p.matches(workspace)))
            })
            .collect();
        let chosen = |slave: &String| {
            if concerned.is_empty() {
                self.otherwise
                    .as_ref()
                    .is_none_or(|names| names.contains(slave))
            } else {
                concerned.iter().any(|route| route.slaves.contains(slave))
            }
        };
        // Chosen out of those attached: a slave of the settings that is not there yet is no error.
        Ok(slaves
            .iter()
            .filter(|slave| chosen(slave))
            .cloned()
            .collect())
    }

    fn interest(&self) -> Interest {
        // Of an event about the catalog, the references say which workspaces it is about.
        Interest::REFERENCES
    }
}

weir_plugin::router!(RouteByWorkspace);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object, reference, seen};

    use super::*;

    const ROUTES: &str = r#"
        {"workspaces": ["topp", "eu_*"], "slaves": ["eu", "not-attached"]},
        {"workspaces": ["topp"], "slaves": ["us"]},
        {"workspaces": ["secret"], "slaves": []}"#;

    fn routed(rest: &str, event: &Event) -> Vec<String> {
        let settings = format!(r#"{{"routes": [{ROUTES}]{rest}}}"#);
        let plugin: RouteByWorkspace = from_settings(&settings).unwrap();
        let slaves = ["lab", "us", "eu"].map(str::to_owned).to_vec();
        plugin
            .route(&seen(event, plugin.interest()), &slaves)
            .unwrap()
    }

    fn about(workspace: &str) -> Event {
        event("added", object("layer", workspace, "states"))
    }

    #[test]
    fn an_event_goes_to_the_slaves_of_every_route_that_matches() {
        assert_eq!(routed("", &about("topp")), ["us", "eu"]);
        assert_eq!(routed("", &about("eu_roads")), ["eu"]);
        assert!(routed("", &about("secret")).is_empty());
    }

    #[test]
    fn what_no_route_matches_goes_to_all_unless_told_otherwise() {
        for workspace in ["sf", ""] {
            assert_eq!(routed("", &about(workspace)), ["lab", "us", "eu"]);
            assert_eq!(
                routed(
                    r#", "otherwise": ["lab", "not-attached"]"#,
                    &about(workspace)
                ),
                ["lab"]
            );
            assert!(routed(r#", "otherwise": []"#, &about(workspace)).is_empty());
        }
    }

    #[test]
    fn a_move_concerns_the_slaves_of_both_places() {
        let mut moved = about("secret");
        moved.previous = Some(object("layer", "eu_roads", "states"));
        assert_eq!(routed("", &moved), ["eu"]);
    }

    #[test]
    fn the_catalog_is_routed_by_what_it_refers_to() {
        let mut event = event("modified", object("catalog", "", "catalog"));
        event.references = vec![reference(
            "default-workspace",
            object("workspace", "eu_roads", ""),
        )];
        assert_eq!(routed("", &event), ["eu"]);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |settings| from_settings::<RouteByWorkspace>(settings).unwrap_err();
        assert_eq!(
            refused(r#"{"routes": []}"#),
            "`routes` is empty: give at least one, \
             such as { workspaces = [\"topp\"], slaves = [\"eu\"] }"
        );
        assert_eq!(
            refused(r#"{"routes": [{"workspaces": [], "slaves": ["eu"]}]}"#),
            "route 1 names no workspaces: give at least one pattern, such as \"topp\""
        );
        assert_eq!(
            refused(r#"{"routes": [{"workspace": "topp", "slaves": ["eu"]}]}"#),
            "unknown field `workspace`, expected `workspaces` or `slaves`"
        );
    }

    proptest! {
        #[test]
        fn only_attached_slaves_are_chosen_each_once_in_their_order(
            workspace in "(topp|eu_[a-z]{0,3}|secret|[a-z]{0,3})",
            attached in proptest::sample::subsequence(vec!["eu", "lab", "us", "x"], 0..=4),
            otherwise in proptest::option::of(Just(r#", "otherwise": ["lab", "eu", "eu"]"#)),
        ) {
            let settings = format!(r#"{{"routes": [{ROUTES}]{}}}"#, otherwise.unwrap_or_default());
            let plugin: RouteByWorkspace = from_settings(&settings).unwrap();
            let attached: Vec<String> = attached.into_iter().map(str::to_owned).collect();
            let chosen = plugin.route(&about(&workspace), &attached).unwrap();
            let mut rest = attached.iter();
            prop_assert!(chosen.iter().all(|slave| rest.any(|a| a == slave)), "{chosen:?}");
        }
    }
}
