//! Takes passwords and other secrets out of events.
//!
//! It sees the properties of the subject, and neither free text nor the rest of the body: a
//! password within a description stays. A property whose name says that it is a secret goes whole;
//! of another, those parts of its value go that are secrets by their place or their name.

mod text;

use serde::Deserialize;
use weir_plugin::{Event, Failure, Interest, Outcome, Pair, Pattern, Transform};

/// A name that contains one of these is the name of a secret. Only its letters and digits are
/// looked at, in lower case: `Secret Access-Key` is `secretaccesskey`.
const SECRET: [&str; 16] = [
    "passwd",
    "password",
    "passphrase",
    "secret",
    "token",
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "privatekey",
    "sharedkey",
    "subscriptionkey",
    "authorization",
    "credential",
    "headervalue",
    "signature",
];

/// So are these, where a name is nothing else.
const SECRET_ALONE: [&str; 4] = ["pwd", "pass", "sig", "cookie"];

/// And this, within a value, where it opens a service of maps: `?key=…`.
const SECRET_PARAMETER: &str = "key";

/// What properties are called whose names the master chose, before that name.
const GROUPS: [&str; 2] = ["connectionParameters.", "metadata."];

/// What begins the value of an `Authorization` header, in lower case.
const SCHEMES: [&str; 4] = ["basic ", "bearer ", "digest ", "negotiate "];

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
        let letters = letters(name);
        if SECRET.iter().any(|word| letters.contains(word))
            || SECRET_ALONE.contains(&letters.as_str())
        {
            return true;
        }
        let name = name.to_lowercase();
        self.also.iter().any(|pattern| pattern.matches(&name))
    }

    /// What becomes of a property.
    fn judge(&self, property: &Pair) -> Finding {
        let name = GROUPS
            .iter()
            .find_map(|group| property.name.strip_prefix(group))
            .unwrap_or(&property.name);
        let with = self.replace_with.as_deref();
        // The last part of a nested name says it as well as a whole one.
        let last = name.rsplit('.').next().unwrap_or(name);
        if self.is_secret(name) || self.is_secret(last) || is_authorization(&property.value) {
            return match with {
                None => Finding::Secret,
                Some(with) if property.value == with => Finding::Clean,
                Some(with) => Finding::Becomes(with.to_owned()),
            };
        }
        let is_secret = |name: &str| self.is_secret(name) || letters(name) == SECRET_PARAMETER;
        text::redact(&property.value, is_secret, with).map_or(Finding::Clean, Finding::Becomes)
    }
}

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// True for the value of a header that says who asks: a scheme, and one word.
fn is_authorization(value: &str) -> bool {
    let value = value.trim();
    SCHEMES.iter().any(|scheme| {
        value
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && !value[scheme.len()..].trim().is_empty()
            && (*scheme == "digest " || !value[scheme.len()..].trim().contains(' '))
    })
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

    /// Every place of a secret that the README names, as the dialects lift it.
    const CANARIES: [(&str, &str); 40] = [
        ("password", "CANARY"),
        ("adminPassword", "CANARY"),
        ("headerValue", "CANARY"),
        ("authKey", "CANARY"),
        ("authkey", "CANARY"),
        ("url", "https://gs:CANARY@example.org/dem.tif"),
        (
            "url",
            "https://example.org/dem.tif?X-Amz-Credential=CANARY&X-Amz-Signature=CANARY",
        ),
        (
            "url",
            "https://a.blob.core.windows.net/dem.tif?sv=1&sig=CANARY",
        ),
        (
            "capabilitiesURL",
            "https://example.org/wms?authkey=CANARY&request=GetCapabilities",
        ),
        (
            "capabilitiesURL",
            "https://example.org/wmts?access_token=CANARY",
        ),
        ("capabilitiesURL", "https://example.org/wmts?key=CANARY"),
        ("proxyBaseUrl", "https://gs:CANARY@example.org/geoserver"),
        ("connectionParameters.passwd", "CANARY"),
        ("connectionParameters.PASSWORD", "CANARY"),
        ("connectionParameters.pwd", "CANARY"),
        (
            "connectionParameters.WFSDataStoreFactory:PASSWORD",
            "CANARY",
        ),
        ("connectionParameters.proxy_passwd", "CANARY"),
        ("connectionParameters.Private Key", "CANARY"),
        ("connectionParameters.aws_Secret-Access Key", "CANARY"),
        ("connectionParameters.accountKey", "CANARY"),
        ("connectionParameters.Authorization", "Bearer CANARY"),
        ("connectionParameters.headers", "Bearer CANARY"),
        ("connectionParameters.headers", "basic CANARY=="),
        (
            "connectionParameters.headers",
            "Digest username=\"gs\", response=\"CANARY\"",
        ),
        (
            "connectionParameters.headers",
            "Accept: a\nAuthorization: Basic CANARY",
        ),
        (
            "connectionParameters.headers",
            "{\"X-Api-Key\": \"CANARY\"}",
        ),
        (
            "connectionParameters.url",
            "jdbc:postgresql://h/gis?user=gs&password=CANARY",
        ),
        (
            "connectionParameters.url",
            "jdbc:sqlserver://h:1433;user=sa;password=CANARY;a=b",
        ),
        (
            "connectionParameters.url",
            "jdbc:sqlserver://h:1433;user=sa;Password={CAN;ARY}",
        ),
        (
            "connectionParameters.url",
            "jdbc:jtds:sqlserver://h/gis;password=CANARY",
        ),
        (
            "connectionParameters.url",
            "jdbc:oracle:thin:gs/CANARY@//h:1521/gis",
        ),
        ("connectionParameters.url", "jdbc:oracle:oci:gs/CANARY@tns"),
        (
            "connectionParameters.url",
            "jdbc:db2://h:50000/gis:user=gs;password=CANARY;",
        ),
        (
            "connectionParameters.url",
            "jdbc:mysql://address=(host=h)(password=CANARY)/gis",
        ),
        (
            "connectionParameters.data_store",
            "mongodb://gs:CANARY@h:27017/gis",
        ),
        (
            "connectionParameters.data_store",
            "mongodb://gs:CAN/ARY@h:27017/gis",
        ),
        ("metadata.cogSettings.password", "CANARY"),
        ("metadata.CogSettings.Key.password", "CANARY"),
        ("metadata.CogSettings.Key.secretAccessKey", "CANARY"),
        (
            "metadata.CogSettings.Key.url",
            "https://gs:CANARY@example.org",
        ),
    ];

    #[test]
    fn no_canary_is_heard() {
        for settings in ["{}", r#"{"replace_with": "REDACTED"}"#] {
            for canary in CANARIES {
                let after = redacted(settings, store(&[canary]));
                for property in &after.properties {
                    for note in ["CANARY", "CAN", "ARY"] {
                        assert!(!property.value.contains(note), "{canary:?}: {property:?}");
                    }
                }
                assert_eq!(redacted(settings, after.clone()), after, "twice is once");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let event = store(&[
            ("headerName", "Authorization"),
            ("username", "gs"),
            ("metadata.CogSettings.Key.username", "gs"),
            ("metadata.cogSettings.rangeReaderSettings", "HTTP"),
            ("metadata.description", "basic map of roads"),
            ("connectionParameters.key", "id"),
            ("connectionParameters.url", "jdbc:oracle:thin:@//h:1521/gis"),
            ("connectionParameters.passages", "12"),
        ]);
        assert_eq!(redacted("{}", event.clone()), event);
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
