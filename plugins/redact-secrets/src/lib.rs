//! Takes passwords and other secrets out of events.
//!
//! It sees the properties of the subject, and neither free text nor the rest of the body: a
//! password within a description stays. A property whose name says that it is a secret goes whole;
//! of one that holds a URL, the user info and the secret parameters of the query go.

mod url;

use serde::Deserialize;
use weir_plugin::{Event, Failure, Interest, Outcome, Pair, Pattern, Transform};

/// A name that contains one of these is the name of a secret. Only its letters and digits are
/// looked at, in lower case: `Secret Access-Key` is `secretaccesskey`.
const SECRET: [&str; 8] = [
    "passwd",
    "password",
    "passphrase",
    "secret",
    "token",
    "accesskey",
    "apikey",
    "authkey",
];

/// What is a secret, and what stands in its place.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
struct RedactSecrets {
    /// Other names of secrets, in lower case.
    also: Vec<Pattern>,
    /// `None`: a secret is removed, and its name with it.
    replace_with: Option<String>,
}

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    also: Vec<String>,
    replace_with: Option<String>,
}

impl TryFrom<Settings> for RedactSecrets {
    type Error = &'static str;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let replace_with = settings.replace_with;
        // The replacement has to leave a URL a URL, wherever in it a secret was.
        let plain = |text: &String| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-._~*".contains(c))
        };
        if !replace_with.as_ref().is_none_or(plain) {
            return Err(
                "`replace_with` goes into URLs, too: use letters, digits and `-._~*`, \
                 such as \"REDACTED\", or leave it out to remove secrets",
            );
        }
        Ok(Self {
            also: settings
                .also
                .into_iter()
                .map(|pattern| Pattern::try_from(pattern.to_lowercase()))
                .collect::<Result<_, _>>()?,
            replace_with,
        })
    }
}

impl RedactSecrets {
    fn is_secret(&self, name: &str) -> bool {
        let letters: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        if SECRET.iter().any(|word| letters.contains(word)) {
            return true;
        }
        let name = name.to_lowercase();
        self.also.iter().any(|pattern| pattern.matches(&name))
    }

    /// What becomes of a property.
    fn judge(&self, property: &Pair) -> Finding {
        let parameter = property.name.strip_prefix("connectionParameters.");
        let with = self.replace_with.as_deref();
        if self.is_secret(parameter.unwrap_or(&property.name)) {
            return match with {
                None => Finding::Secret,
                Some(with) if property.value == with => Finding::Clean,
                Some(with) => Finding::Becomes(with.to_owned()),
            };
        }
        let redacted = url::redact(&property.value, |name| self.is_secret(name), with);
        if redacted == property.value {
            Finding::Clean
        } else {
            Finding::Becomes(redacted)
        }
    }
}

/// What was found in a property.
enum Finding {
    Clean,
    /// It has to go, with its name.
    Secret,
    Becomes(String),
}

impl Transform for RedactSecrets {
    fn transform(&self, mut event: Event) -> Result<Outcome, Failure> {
        let mut changed = false;
        event
            .properties
            .retain_mut(|property| match self.judge(property) {
                Finding::Clean => true,
                Finding::Secret => {
                    changed = true;
                    false
                }
                Finding::Becomes(value) => {
                    changed = true;
                    property.value = value;
                    true
                }
            });
        if changed {
            Ok(event.into())
        } else {
            Ok(Outcome::Unchanged)
        }
    }

    fn interest(&self) -> Interest {
        Interest::PROPERTIES
    }
}

weir_plugin::transform!(RedactSecrets);

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use weir_plugin::from_settings;
    use weir_plugin::testing::{event, object, pair, transformed};

    use super::*;

    fn store(properties: &[(&str, &str)]) -> Event {
        let mut store = event("added", object("datastore", "topp", "pg"));
        store.properties = properties.iter().map(|(n, v)| pair(n, v)).collect();
        store
    }

    fn redacted(settings: &str, event: Event) -> Event {
        let plugin: RedactSecrets = from_settings(settings).unwrap();
        let mut events = transformed(&plugin, &event).unwrap();
        assert_eq!(events.len(), 1);
        let redacted = events.remove(0);
        let same = redacted == event;
        let outcome = plugin.transform(event).unwrap();
        assert_eq!(matches!(outcome, Outcome::Unchanged), same, "{outcome:?}");
        redacted
    }

    #[test]
    fn secrets_are_removed_and_the_rest_stays() {
        let event = store(&[
            ("connectionParameters.host", "db"),
            ("connectionParameters.passwd", "hush"),
            ("connectionParameters.user", "gs"),
            ("connectionParameters.Expose primary keys", "true"),
            ("connectionParameters.WFSDataStoreFactory:PASSWORD", "hush"),
            ("connectionParameters.aws_Secret-Access Key", "hush"),
            ("username", "gs"),
            ("password", "hush"),
        ]);
        let expected = store(&[
            ("connectionParameters.host", "db"),
            ("connectionParameters.user", "gs"),
            ("connectionParameters.Expose primary keys", "true"),
            ("username", "gs"),
        ]);
        assert_eq!(redacted("{}", event), expected);
    }

    #[test]
    fn a_replacement_keeps_the_names() {
        let event = store(&[
            ("password", "hush"),
            ("url", "https://gs:hush@example.org/wms"),
        ]);
        let expected = store(&[("password", "***"), ("url", "https://***@example.org/wms")]);
        assert_eq!(redacted(r#"{"replace_with": "***"}"#, event), expected);
    }

    #[test]
    fn other_names_may_be_named() {
        let event = store(&[
            ("connectionParameters.USER", "gs"),
            ("connectionParameters.user name", "gs"),
        ]);
        let expected = store(&[("connectionParameters.user name", "gs")]);
        assert_eq!(
            redacted(r#"{"also": ["User", "login_*"]}"#, event),
            expected
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let refused = |settings: &str| from_settings::<RedactSecrets>(settings).unwrap_err();
        for replacement in ["", "a b", "a@b", "a&b=c", "/"] {
            let error = refused(&format!(r#"{{"replace_with": "{replacement}"}}"#));
            assert!(
                error.starts_with("`replace_with` goes into URLs"),
                "{error}"
            );
        }
        assert!(refused(r#"{"also": [""]}"#).starts_with("an empty pattern"));
        assert_eq!(
            refused(r#"{"replace": "x"}"#),
            "unknown field `replace`, expected `also` or `replace_with`"
        );
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let names = vec![
            "connectionParameters.host",
            "connectionParameters.passwd",
            "connectionParameters.API Key",
            "capabilitiesURL",
            "PassWord",
        ];
        let values = prop_oneof![
            "[a-z]{0,5}",
            "(https?|jdbc:postgresql)://(HUSH(:HUSH)?@)?[a-z]{1,3}(/[a-z@:]{0,3})?\
             (\\?([a-z]=1&)?token=HUSH(&[a-z]=@)?)?(#[a-z]{0,2})?",
        ];
        vec((select(names), values), 0..5).prop_map(|properties| {
            let mut event = store(&[]);
            event.properties = properties.iter().map(|(n, v)| pair(n, v)).collect();
            event
        })
    }

    proptest! {
        #[test]
        fn no_secret_stays(event in any_event(), replace in any::<bool>()) {
            let settings = if replace { r#"{"replace_with": "x"}"# } else { "{}" };
            let after = redacted(settings, event.clone());
            for property in &after.properties {
                prop_assert!(!property.value.contains("HUSH"), "{}", property.value);
            }
            prop_assert_eq!(&redacted(settings, after.clone()), &after, "twice is once");
            if replace {
                prop_assert_eq!(after.properties.len(), event.properties.len());
            }
        }

        #[test]
        fn what_holds_no_secret_is_untouched(
            value in "[ -~é&&[^@=]]{0,12}|[a-z]{1,5}://[a-z./:]{0,9}(\\?[a-f=&]{0,8})?(#[a-z@]{0,3})?",
        ) {
            let event = store(&[("connectionParameters.host", &value)]);
            prop_assert_eq!(redacted("{}", event.clone()), event);
        }
    }
}
