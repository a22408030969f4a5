//! Plugins: components that were read and found to target one of Weir's worlds.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::bindings::{filtering, routing, transforming};
use crate::configure::Settings;
use crate::extent::Extent;
use crate::host::Host;
use crate::inspect::{PACKAGE, Problem, inspect};
use crate::limits::{Instances, Limits};
use crate::stage::{Filter, Router, Slot, Stage, StageError, Transform};

/// The largest component that is read, in bytes. A Python plugin has 18 MiB and its interpreter in
/// it; what is much larger is no plugin, and compiling it would take minutes.
pub(crate) const MAX_BYTES: u64 = 128 << 20;

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    Filter,
    Transform,
    Router,
}

impl World {
    pub const ALL: [Self; 3] = [Self::Filter, Self::Transform, Self::Router];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Transform => "transform",
            Self::Router => "router",
        }
    }

    /// The name of that interface as a component exports it: `weir:plugin/filtering@0.2.0`.
    pub(crate) fn export(self, version: &str) -> String {
        format!("{PACKAGE}/{}@{version}", self.interface())
    }

    /// The interface that a component of this world exports.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Filter => "filtering",
            Self::Transform => "transforming",
            Self::Router => "routing",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The SHA-256 of a component. Shown in hexadecimal; a precision cuts it short: `{:.12}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            fmt::write(&mut hex, format_args!("{byte:02x}"))?;
        }
        f.pad(&hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no plugin.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("`{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` is no plugin for this Weir: {}", path.display(), List(problems))]
    Unfit {
        path: PathBuf,
        problems: Vec<Problem>,
    },
}

/// Problems, one after the other.
struct List<'a>(&'a [Problem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// A component that targets one of Weir's worlds. Clones are the same plugin.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    host: Host,
    path: PathBuf,
    name: String,
    bytes: Vec<u8>,
    digest: Digest,
    extent: Extent,
    world: World,
    version: String,
    imports: Vec<String>,
}

impl Plugin {
    pub(crate) fn read(host: &Host, name: &str, path: &Path) -> Result<Self, LoadError> {
        let read = || {
            let mut bytes = Vec::new();
            // One byte more than allowed, so that what is too large shows.
            let mut file = File::open(path)?.take(MAX_BYTES + 1);
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Self::from_bytes(host, name, path, bytes),
            Err(source) => Err(LoadError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(crate) fn from_bytes(
        host: &Host,
        name: &str,
        path: &Path,
        bytes: Vec<u8>,
    ) -> Result<Self, LoadError> {
        let inspection = inspect(&bytes);
        match (inspection.world, inspection.version) {
            (Some(world), Some(version)) if inspection.problems.is_empty() => {
                Ok(Self(Arc::new(Inner {
                    host: host.clone(),
                    path: path.to_owned(),
                    name: name.to_owned(),
                    bytes,
                    digest: inspection.digest,
                    extent: inspection.extent,
                    world,
                    version,
                    imports: inspection.imports,
                })))
            }
            _ => Err(LoadError::Unfit {
                path: path.to_owned(),
                problems: inspection.problems,
            }),
        }
    }

    /// Compiles the plugin with these settings, so that events can go through it. Takes
    /// milliseconds for a small plugin, seconds for a large one that is not in the cache; the work
    /// is done on tokio's blocking threads.
    ///
    /// `name` is what the stage is called in logs and faults.
    pub async fn stage(
        &self,
        name: &str,
        settings: &Settings,
        limits: Limits,
        instances: Instances,
    ) -> Result<Stage, StageError> {
        // Only a router is configured anew when the slaves change.
        let settings = match self.world() {
            World::Router => settings,
            World::Filter | World::Transform => &Settings::from(settings.config.as_str()),
        };
        Ok(match self.world() {
            World::Filter => Stage::Filter(Filter(
                Slot::<filtering::GuestIndices>::new(self, name, settings, limits, instances)
                    .await?,
            )),
            World::Transform => Stage::Transform(Transform(
                Slot::<transforming::GuestIndices>::new(self, name, settings, limits, instances)
                    .await?,
            )),
            World::Router => Stage::Router(Router(
                Slot::<routing::GuestIndices>::new(self, name, settings, limits, instances).await?,
            )),
        })
    }

    pub fn world(&self) -> World {
        self.0.world
    }

    /// The version of the contract that the plugin was built against: `0.2.0`.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The size of the component, in bytes.
    pub fn size(&self) -> usize {
        self.0.bytes.len()
    }

    /// The interfaces that it imports.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What it is called in logs and faults.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn extent(&self) -> Extent {
        self.0.extent
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("path", &self.0.path)
            .field("world", &self.0.world)
            .field("version", &self.0.version)
            .field("digest", &self.0.digest)
            .finish_non_exhaustive()
    }
}
