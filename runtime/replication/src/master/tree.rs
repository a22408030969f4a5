//! Files that belong to a catalog and are in no object of it: templates, palettes, projections.

use tracing::debug;
use weir_geoserver::{FilePath, Node};

use super::error::{HydrateError, there};

/// How deep directories are looked into: templates of a feature type are at the fourth level.
const MAX_DEPTH: usize = 8;

/// Where there are such files. Graphics come with the styles that name them, and what else is in the
/// directories of workspaces is how GeoServer keeps its catalog.
const CHOSEN: [(&str, Files); 4] = [
    ("templates", Files::All),
    ("user_projections", Files::All),
    ("palettes", Files::All),
    ("workspaces", Files::Templates),
];

/// Which files of a directory are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    All,
    Templates,
}

/// A directory that is to be looked into.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: FilePath,
    depth: usize,
    files: Files,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) files: Vec<FilePath>,
    pub(super) directories: Vec<Directory>,
}

impl Files {
    fn has(self, name: &str) -> bool {
        self == Self::All || name.to_ascii_lowercase().ends_with(".ftl")
    }
}

impl Directory {
    pub(super) fn chosen() -> Vec<Self> {
        let chosen = CHOSEN.into_iter().filter_map(|(path, files)| {
            let path = FilePath::new(path).ok()?;
            Some(Self {
                path,
                depth: 0,
                files,
            })
        });
        chosen.collect()
    }

    pub(super) async fn read(&self, node: &Node) -> Result<Content, HydrateError> {
        let mut content = Content::default();
        let entries = there(node.directory(Some(&self.path)).await)?;
        for entry in entries.unwrap_or_default() {
            let Ok(path) = FilePath::new(&format!("{}/{}", self.path, entry.name)) else {
                debug!(directory = %self.path, name = %entry.name, "a file cannot be named in a URL");
                continue;
            };
            // A listing shows a file of JSON as it shows a directory.
            let is_directory = entry.may_be_directory
                && (!entry.name.as_str().contains('.')
                    || there(node.metadata(&path).await)?.is_some_and(|it| it.is_directory));
            if !is_directory {
                if self.files.has(entry.name.as_str()) {
                    content.files.push(path);
                }
            } else if self.depth < MAX_DEPTH {
                content.directories.push(Self {
                    path,
                    depth: self.depth + 1,
                    files: self.files,
                });
            } else {
                debug!(%path, "a directory is too deep to be looked into");
            }
        }
        Ok(content)
    }
}
