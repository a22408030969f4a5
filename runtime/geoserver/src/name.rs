//! Names that can stand in a URL, and mean there what they say.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a text names nothing at a GeoServer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("a name is empty")]
    Empty,
    /// A URL with it would be another URL.
    #[error("`{0}` cannot be a name: in a URL it stands for another directory")]
    Dots(String),
    #[error("a name holds a control character")]
    Control,
    #[error("a name of {0} bytes is longer than the {max} that are allowed", max = Name::MAX_BYTES)]
    Long(usize),
    /// `/workspaces/default` is whichever workspace is the default one.
    #[error("`default` cannot be the name of a workspace: GeoServer has reserved it")]
    Default,
    /// `a:b:c` would be a layer of `a` or of `a:b`.
    #[error("`{0}` cannot be the name of a workspace: the colon separates it from what is in it")]
    Colon(String),
    #[error("`{0}` is no path of a file: it has an empty part or a backslash")]
    Path(String),
    #[error("a path of {0} bytes is longer than the {max} that are allowed", max = FilePath::MAX_BYTES)]
    LongPath(usize),
}

/// What something is called: any text that can be one part of a path.
///
/// GeoServer itself takes nearly everything. What is refused here would name another thing than it
/// says, or cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Twice what file systems take for a part of a path, where most names end up.
    pub const MAX_BYTES: usize = 512;

    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            Err(NameError::Empty)
        } else if text == "." || text == ".." {
            Err(NameError::Dots(text))
        } else if text.chars().any(char::is_control) {
            Err(NameError::Control)
        } else if text.len() > Self::MAX_BYTES {
            Err(NameError::Long(text.len()))
        } else {
            Ok(Self(text))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a workspace, which is the prefix of its namespace as well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace(Name);

impl Workspace {
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let name = Name::new(text)?;
        match name.as_str() {
            "default" => Err(NameError::Default),
            text if text.contains(':') => Err(NameError::Colon(text.to_owned())),
            _ => Ok(Self(name)),
        }
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// A file or a directory in the data directory, and never the data directory itself: what removes
/// it would remove everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Vec<Name>);

impl FilePath {
    /// What operating systems take.
    pub const MAX_BYTES: usize = 4096;

    /// Reads `styles/icons/pin.svg`. It may begin with a slash, as GeoServer writes it.
    ///
    /// A path never leaves the data directory. GeoServer resolves `%2e%2e` before it looks where it
    /// is, so it is not the one to rely on.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::LongPath(text.len()));
        }
        let parts = text.strip_prefix('/').unwrap_or(text).split('/');
        let wrong = || NameError::Path(text.to_owned());
        let parts = parts.map(|part| match Name::new(part) {
            Err(NameError::Empty) => Err(wrong()),
            Ok(name) if name.as_str().contains('\\') => Err(wrong()),
            other => other,
        });
        parts.collect::<Result<_, _>>().map(Self)
    }

    /// Where the body of a style is: the `filename` of its info, in `styles` or in its workspace's.
    ///
    /// Read it there and not at the style: asked for a style of SLD 1.1, GeoServer converts it to
    /// 1.0; asked for CSS without that extension, it fails; and a name with a dot cannot be asked
    /// for by media type.
    pub fn of_style(scope: &crate::Scope, filename: &str) -> Result<Self, NameError> {
        Self::new(&match scope {
            crate::Scope::Global => format!("styles/{filename}"),
            crate::Scope::Workspace(workspace) => {
                format!("workspaces/{workspace}/styles/{filename}")
            }
        })
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Name::as_str)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl FromStr for Workspace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl FromStr for FilePath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_name_another_thing_is_no_name() {
        assert_eq!(Name::new(""), Err(NameError::Empty));
        assert_eq!(Name::new(".."), Err(NameError::Dots("..".to_owned())));
        assert_eq!(Name::new("a\r\nb"), Err(NameError::Control));
        assert_eq!(Name::new("é".repeat(300)), Err(NameError::Long(600)));
        assert_eq!(Workspace::new("default"), Err(NameError::Default));
        assert_eq!(
            Workspace::new("a:b"),
            Err(NameError::Colon("a:b".to_owned()))
        );
        for text in [
            "...",
            "a:b",
            "default",
            "høst felt",
            "100%",
            "a/b",
            "%2e%2e",
        ] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_path_stays_in_the_data_directory_and_is_not_the_directory() {
        for text in ["", "/", "a//b", "a/", "//a", r"a\..\b"] {
            assert_eq!(FilePath::new(text), Err(NameError::Path(text.to_owned())));
        }
        for text in ["../a", "a/../b", "a/.."] {
            assert_eq!(FilePath::new(text), Err(NameError::Dots("..".to_owned())));
        }
        let long = "a/".repeat(3000);
        assert_eq!(FilePath::new(&long), Err(NameError::LongPath(6000)));
        let path = FilePath::new("/styles/icons/pin.svg").unwrap();
        assert_eq!(path.to_string(), "styles/icons/pin.svg");
    }
}
