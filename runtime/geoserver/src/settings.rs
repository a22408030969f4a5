//! Where a node is, and how Weir may use it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use thiserror::Error;

use crate::Authority;

/// How a node is used.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: NodeUrl,
    pub login: Login,
    /// Who may vouch for the node besides those whom the system trusts.
    pub authorities: Vec<Authority>,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long a whole answer may take. GeoServer lets nobody write while it reads from a slow store,
    /// and nobody read while it writes to one: seconds are nothing unusual.
    pub answer_timeout: Duration,
    /// How long a file on its way may make no progress.
    pub silence_timeout: Duration,
    /// How many reads there are at a time, of 1 to [`Settings::MAX_READERS`]; what is beyond is
    /// brought back. There is one write at a time: GeoServer does no more than one either.
    pub readers: usize,
}

impl Settings {
    /// Reads were measured to gain nothing beyond.
    pub const MAX_READERS: usize = 4;

    /// The settings that suit most.
    pub fn new(url: NodeUrl, login: Login) -> Self {
        Self {
            url,
            login,
            authorities: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_mins(2),
            silence_timeout: Duration::from_mins(1),
            readers: 3,
        }
    }
}

/// Why settings are none. Never contains a password or a token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    #[error("not the URL of a GeoServer; write `https://HOST/geoserver`")]
    Url,
    #[error("the URL of a GeoServer begins with `http://` or `https://`")]
    Scheme,
    #[error("the URL of a GeoServer has no user and password in it; give them as such")]
    Credentials,
    #[error("the URL of a GeoServer ends with its path: nothing follows as a query or a fragment")]
    Query,
    #[error("the name of a user holds no colon and no control character")]
    User,
    #[error("`{0}` cannot be the name of a header")]
    Header(String),
    #[error("a token is one line of ASCII")]
    Token,
    #[error("no certificates that can be used: {0}")]
    Certificates(String),
    #[error("the HTTP client cannot be set up: {0}")]
    Client(String),
}

/// Where a GeoServer is: `https://host/geoserver`, whatever its path behind a proxy.
///
/// `/rest` at the end is left away, as is a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl(String);

impl FromStr for NodeUrl {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let url = Url::parse(text.trim()).map_err(|_| SettingsError::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SettingsError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SettingsError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(SettingsError::Query);
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/rest").unwrap_or(path);
        let path = path.trim_end_matches('/');
        Ok(Self(format!(
            "{}{path}",
            url.origin().ascii_serialization()
        )))
    }
}

impl NodeUrl {
    pub(crate) fn is_encrypted(&self) -> bool {
        self.0.starts_with("https:")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How Weir makes itself known to a node. Shown and debugged without what is secret.
#[derive(Clone)]
pub struct Login(Option<Known>);

#[derive(Clone)]
struct Known {
    header: HeaderName,
    value: HeaderValue,
    secret: String,
}

impl Login {
    /// As nobody: for a node that a proxy logs in at.
    pub const NONE: Self = Self(None);

    /// By HTTP's Basic scheme.
    pub fn basic(user: &str, password: &str) -> Result<Self, SettingsError> {
        if user.contains(|c: char| c == ':' || c.is_control()) {
            return Err(SettingsError::User);
        }
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let value = HeaderValue::try_from(value).map_err(|_| SettingsError::User)?;
        Ok(Self::known(AUTHORIZATION, value, password))
    }

    /// By a header that holds a token: `Authorization` with `Bearer …`, or one that a proxy or
    /// GeoServer's key authentication asks for.
    pub fn header(name: &str, token: &str) -> Result<Self, SettingsError> {
        let header = HeaderName::try_from(name);
        let header = header.map_err(|_| SettingsError::Header(name.to_owned()))?;
        let value = HeaderValue::try_from(token).map_err(|_| SettingsError::Token)?;
        let secret = token.rsplit(' ').next().unwrap_or(token);
        Ok(Self::known(header, value, secret))
    }

    fn known(header: HeaderName, mut value: HeaderValue, secret: &str) -> Self {
        value.set_sensitive(true);
        let secret = secret.to_owned();
        Self(Some(Known {
            header,
            value,
            secret,
        }))
    }

    pub(crate) fn credentials(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.0.as_ref().map(|known| (&known.header, &known.value))
    }

    /// What must not be shown if GeoServer should ever repeat it. The password that every GeoServer
    /// comes with is none, and stands in the name of every class that it complains about.
    pub(crate) fn secret(&self) -> Option<&str> {
        let secret = self.0.as_ref()?.secret.as_str();
        (secret.len() >= 4 && secret != "geoserver").then_some(secret)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => write!(f, "Login({}: …)", known.header),
            None => f.write_str("Login(none)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_nodes() {
        for (text, url) in [
            (
                "http://localhost:8080/geoserver",
                "http://localhost:8080/geoserver",
            ),
            (
                "http://localhost:8080/geoserver/",
                "http://localhost:8080/geoserver",
            ),
            (
                "https://host/some/path/geoserver/rest",
                "https://host/some/path/geoserver",
            ),
            (
                "https://host/some/path/geoserver/rest/",
                "https://host/some/path/geoserver",
            ),
            ("https://host", "https://host"),
            ("https://host/rest", "https://host"),
            ("https://HOST:443/a b/", "https://host/a%20b"),
            ("http://[::1]:8080/geoserver", "http://[::1]:8080/geoserver"),
        ] {
            assert_eq!(text.parse::<NodeUrl>().unwrap().as_str(), url);
        }
    }

    #[test]
    fn what_is_no_url_of_a_node_is_not_repeated() {
        for (text, wrong) in [
            ("geoserver", SettingsError::Url),
            ("ftp://host/hunter2", SettingsError::Scheme),
            (
                "https://admin:hunter2@host/geoserver",
                SettingsError::Credentials,
            ),
            (
                "https://host/geoserver?authkey=hunter2",
                SettingsError::Query,
            ),
        ] {
            let error = text.parse::<NodeUrl>().unwrap_err();
            assert_eq!(error, wrong);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_login_is_not_shown() {
        let basic = Login::basic("admin", "hunter2").unwrap();
        let bearer = Login::header("Authorization", "Bearer hunter2").unwrap();
        assert_eq!(basic.secret(), Some("hunter2"));
        assert_eq!(bearer.secret(), Some("hunter2"));
        for login in [basic, bearer] {
            let settings = Settings::new("http://host/geoserver".parse().unwrap(), login);
            let shown = format!("{settings:?}");
            assert!(shown.contains("Login(authorization: …)"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(!shown.contains("YWRtaW4"), "{shown}");
        }
        assert_eq!(Login::basic("a:b", "c").unwrap_err(), SettingsError::User);
        assert_eq!(
            Login::header("X-Token", "a\nb").unwrap_err(),
            SettingsError::Token
        );
        assert_eq!(
            Login::header("not a header", "a").unwrap_err(),
            SettingsError::Header("not a header".to_owned())
        );
    }
}
