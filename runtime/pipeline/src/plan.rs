//! The plan: a checked configuration. It cannot be wrong in itself; what it names outside (files,
//! brokers) may still be missing.

mod read;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_event::{CloudVersion, Dialect, Subscription};
use weir_wasm::{Instances, Limits};

use crate::file::{Place, Problem, Problems, Reader, Source, Surroundings};
use crate::line::Policy;

/// The JSON schema of `weir.toml`, for editors.
pub const SCHEMA: &str = include_str!("plan/weir.schema.json");

/// What Weir is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The file that says all this.
    pub path: PathBuf,
    /// The directory for what Weir keeps: the embedded bus, names of objects, what slaves are bound
    /// to, compiled plugins.
    pub state: PathBuf,
    pub bus: BusPlan,
    pub bus_settings: BusSettings,
    /// Of the broker's URL; of the beginning where there is none.
    pub bus_place: Place,
    pub limits: ProcessLimits,
    pub plugins: Vec<PluginPlan>,
    pub masters: Vec<MasterPlan>,
    pub slaves: Vec<SlavePlan>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BusPlan {
    RabbitMq(Secret),
    Embedded(PathBuf),
}

/// How brokers are used: the bus, and those of masters. The embedded bus has no use for most of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// What the names of exchanges and queues begin with, so that clusters may share a virtual host.
    pub prefix: String,
    /// How many bytes of the past the log of all events keeps; `None` for what suits the bus.
    pub log_bytes: Option<u64>,
    /// On how many nodes of the broker's cluster a queue lies; `None` leaves it to the broker.
    pub quorum: Option<u16>,
    /// How long the broker lets a consumer hold a delivery.
    pub consumer_timeout: Duration,
}

impl BusSettings {
    /// The prefix where none is set.
    pub const PREFIX: &'static str = "weir";
    /// The longest prefix, in bytes: with `.master.` and the longest name it leaves a queue half of
    /// the 255 bytes that AMQP allows, for what may be added to names one day.
    pub const LONGEST_PREFIX: usize = 60;
    /// The most nodes; RabbitMQ advises against more than seven.
    pub const LARGEST_QUORUM: u16 = 15;
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            prefix: Self::PREFIX.to_owned(),
            log_bytes: None,
            quorum: None,
            // RabbitMQ's default.
            consumer_timeout: Duration::from_mins(30),
        }
    }
}

/// Bounds of the process as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessLimits {
    /// The largest message that is decoded, in bytes.
    pub message: usize,
    /// How long a stop waits for what is in flight.
    pub drain: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PluginPlan {
    pub name: String,
    pub path: PathBuf,
    /// The SHA-256 that the file must have, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
    pub limits: Limits,
    pub instances: Instances,
    pub place: Place,
}

/// A place in a pipeline that a plugin fills.
#[derive(Clone, Debug, PartialEq)]
pub struct StagePlan {
    /// Its name in logs and dead letters: `eu/remap-workspaces`.
    pub name: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The `config` table as JSON; it may hold secrets.
    pub settings: Secret,
    /// What of the settings came from outside of the file.
    pub secrets: Vec<Secret>,
    pub place: Place,
}

/// A pipeline from a foreign source onto the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct MasterPlan {
    pub name: String,
    pub dialect: Dialect,
    pub source: SourcePlan,
    pub source_place: Place,
    /// Where what an event is about is read, if it is.
    pub rest: Option<RestPlan>,
    pub stages: Vec<StagePlan>,
    pub route: Option<StagePlan>,
    pub policy: Policy,
}

/// A pipeline from a slave's queue to its sink.
#[derive(Clone, Debug, PartialEq)]
pub struct SlavePlan {
    pub name: String,
    pub subscribe: Vec<Subscription>,
    pub stages: Vec<StagePlan>,
    pub sink: SinkPlan,
    pub policy: Policy,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SourcePlan {
    Amqp {
        url: Secret,
        exchange: String,
        keys: Vec<String>,
        /// How long an event waits for one that was numbered before it, where the dialect has
        /// numbers; `None` takes events as they come.
        reorder: Option<Duration>,
    },
    File(PathBuf),
    Stdin,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SinkPlan {
    pub dialect: Dialect,
    /// Which nodes of GeoServer Cloud it feeds; frames stay as they came where nobody says.
    pub version: Option<CloudVersion>,
    pub end: SinkEnd,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SinkEnd {
    Amqp {
        url: Secret,
        exchange: String,
        mandatory: bool,
    },
    File(PathBuf),
    Stdout,
    /// A GeoServer, made what events of `geoserver-rest` say.
    GeoServer {
        node: NodePlan,
        /// How long a change waits for what it refers to.
        dependency_timeout: Duration,
        /// Whether it is brought up with everything that the masters have, once.
        bootstrap: bool,
    },
}

/// The GeoServer of a master, which is read.
#[derive(Clone, Debug, PartialEq)]
pub struct RestPlan {
    pub node: NodePlan,
    pub place: Place,
}

/// How a GeoServer is spoken to over its REST interface.
#[derive(Clone, Debug, PartialEq)]
pub struct NodePlan {
    /// `https://host/geoserver`; whether it is one, its reader can tell.
    pub url: String,
    pub login: LoginPlan,
    /// A file of certificates in PEM that are trusted beside those of the system.
    pub authorities: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum LoginPlan {
    None,
    Basic { user: String, password: Secret },
    Header { name: String, token: Secret },
}

/// A text that does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text without this in it. What is shorter than a password, such as a number, stays.
    pub(crate) fn mask(&self, text: &str) -> String {
        const SHORTEST: usize = 4;
        if self.0.len() < SHORTEST {
            return text.to_owned();
        }
        let quoted = format!("{:?}", self.0);
        text.replace(&self.0, "***")
            .replace(quoted.trim_matches('"'), "***")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// One pipeline of a plan. Slaves come first in order: no event comes before somebody waits for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PipelineId {
    Slave(String),
    Master(String),
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slave(name) => write!(f, "slave {name}"),
            Self::Master(name) => write!(f, "master {name}"),
        }
    }
}

impl Plan {
    pub fn master(&self, name: &str) -> Option<&MasterPlan> {
        self.masters.iter().find(|master| master.name == name)
    }

    pub fn slave(&self, name: &str) -> Option<&SlavePlan> {
        self.slaves.iter().find(|slave| slave.name == name)
    }

    pub fn pipelines(&self) -> impl Iterator<Item = PipelineId> {
        let slaves = self
            .slaves
            .iter()
            .map(|slave| PipelineId::Slave(slave.name.clone()));
        let masters = self
            .masters
            .iter()
            .map(|master| PipelineId::Master(master.name.clone()));
        slaves.chain(masters)
    }

    /// The stages of a pipeline in their order; the route, if there is one, comes last.
    pub fn stages(&self, id: &PipelineId) -> impl Iterator<Item = &StagePlan> {
        let (stages, route) = match id {
            PipelineId::Slave(name) => (self.slave(name).map(|slave| &slave.stages), None),
            PipelineId::Master(name) => {
                let master = self.master(name);
                (
                    master.map(|master| &master.stages),
                    master.and_then(|master| master.route.as_ref()),
                )
            }
        };
        stages.into_iter().flatten().chain(route)
    }

    /// True if both plans have the pipeline, and it may go on with another chain: source, sink and
    /// policy are the same.
    pub fn has_same_ends(&self, other: &Self, id: &PipelineId) -> bool {
        match id {
            PipelineId::Slave(name) => {
                let ends = |plan: &Self| {
                    let slave = plan.slave(name)?;
                    Some((slave.sink.end.clone(), slave.policy.clone()))
                };
                ends(self).is_some() && ends(self) == ends(other)
            }
            PipelineId::Master(name) => {
                let ends = |plan: &Self| {
                    let master = plan.master(name)?;
                    let read = master.rest.as_ref().map(|rest| rest.node.clone());
                    let ends = (master.source.clone(), read);
                    Some((ends, master.dialect, master.policy.clone()))
                };
                ends(self).is_some() && ends(self) == ends(other)
            }
        }
    }

    /// Reads and checks a configuration. `path` is for messages, and relative paths in the text are
    /// relative to its directory.
    pub fn read(
        path: &Path,
        text: &str,
        surroundings: &dyn Surroundings,
    ) -> Result<Self, Problems> {
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let source = Source::new(text);
        let mut reader = Reader::new(&source, &directory, surroundings);
        let root = reader.root();
        let plan = read::plan(&mut reader, root, path);
        match plan {
            Some(plan) if reader.problems.is_empty() => Ok(plan),
            _ => Err(Problems::new(path.to_owned(), reader.problems)),
        }
    }

    /// An error if there are problems with what the file names.
    pub fn fit(&self, problems: Vec<Problem>) -> Result<(), Problems> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(Problems::new(self.path.clone(), problems))
    }
}
