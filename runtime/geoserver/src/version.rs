//! Which GeoServer it is, and what is otherwise in which.

use std::fmt;

use serde_json::Value;

use crate::shape;

/// The version of a GeoServer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    /// As GeoServer says it: `2.21.2`, `2.28-SNAPSHOT`, `3.0.0-CLOUD`.
    pub text: String,
}

/// How well Weir knows a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Before 2.18: nobody has looked.
    TooOld,
    /// What Weir goes by was measured on this one.
    Measured,
    /// What Weir goes by was read in its source, or is expected of it.
    Expected,
}

impl Version {
    /// Reads the document of `/rest/about/version`.
    pub(crate) fn of(document: &Value) -> Option<Self> {
        let resources = shape::items(document.get("about")?, "resource");
        let geoserver = resources
            .iter()
            .find(|it| it.get("@name").and_then(Value::as_str) == Some("GeoServer"))?;
        // `3.0` is a number.
        Self::parse(&shape::text(geoserver.get("Version")?)?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next()?.parse().ok();
        Some(Self {
            major: next()?,
            minor: next()?,
            text: text.to_owned(),
        })
    }

    pub fn support(&self) -> Support {
        match (self.major, self.minor) {
            (2, 21 | 26) => Support::Measured,
            (2, 18..) | (3.., _) => Support::Expected,
            _ => Support::TooOld,
        }
    }

    // What is otherwise in which version stands here, and is asked here: all differences in one place.

    /// True where `null` in the JSON of a change makes a property absent. In 2.x it becomes empty, so
    /// that what should be absent has to be created anew.
    ///
    /// Read in the source of 3.x, not measured.
    pub fn null_makes_absent(&self) -> bool {
        self.major >= 3
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_as_geoserver_says_them() {
        for (told, major, minor, support) in [
            (json!("2.21.2"), 2, 21, Support::Measured),
            (json!("2.26.2"), 2, 26, Support::Measured),
            (json!("2.18.0"), 2, 18, Support::Expected),
            (json!("2.28-SNAPSHOT"), 2, 28, Support::Expected),
            (json!(3.0), 3, 0, Support::Expected),
            (json!("3.1.0-CLOUD"), 3, 1, Support::Expected),
            (json!("2.9.4"), 2, 9, Support::TooOld),
        ] {
            let one = json!({"@name": "GeoServer", "Version": told});
            let several = json!([{"@name": "GeoTools", "Version": 27.2}, one]);
            for resource in [one, several] {
                let version = Version::of(&json!({"about": {"resource": resource}})).unwrap();
                assert_eq!((version.major, version.minor), (major, minor));
                assert_eq!(version.support(), support);
                assert_eq!(version.null_makes_absent(), major == 3);
            }
        }
    }

    #[test]
    fn what_says_no_version_is_no_geoserver() {
        for document in [
            json!({}),
            json!({"about": ""}),
            json!({"about": {"resource": [{"@name": "GeoTools", "Version": "27.2"}]}}),
            json!({"about": {"resource": {"@name": "GeoServer", "Version": "unknown"}}}),
        ] {
            assert_eq!(Version::of(&document), None);
        }
    }
}
