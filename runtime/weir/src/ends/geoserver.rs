//! GeoServers: as masters that are read, and as slaves that are written to.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use tracing::debug;
use weir_event::{Action, Event, Message, Reason, RestFrame};
use weir_geoserver::{Authority, Login, Node, Settings};
use weir_pipeline::disk::{Journal, append_to};
use weir_pipeline::ends::{Confirmation, Sink, SinkFailure};
use weir_pipeline::hydrate::{Hydrate, HydrateFailure};
use weir_pipeline::plan::{LoginPlan, MasterPlan, NodePlan, Plan, SlavePlan};
use weir_replication::{
    Failed, HydrateError, Keep, Master, MasterSettings, Memory, Replica, Slave,
};

use super::walk::{Walker, Walks, Wanted};

/// A GeoServer that is spoken to as the plan says. Nothing is asked of it yet.
pub(crate) fn node(plan: &NodePlan) -> anyhow::Result<Node> {
    let login = match &plan.login {
        LoginPlan::None => Login::NONE,
        LoginPlan::Basic { user, password } => Login::basic(user, password.reveal())?,
        LoginPlan::Header { name, token } => Login::header(name, token.reveal())?,
    };
    let mut settings = Settings::new(plan.url.parse()?, login);
    if let Some(path) = &plan.authorities {
        let told = || format!("cannot use the certificates in {}", path.display());
        let pem = std::fs::read(path).with_context(told)?;
        settings.authorities = Authority::from_pem(&pem).with_context(told)?;
    }
    Ok(Node::new(settings)?)
}

/// A master whose objects are read.
pub(crate) struct Reader {
    master: Master,
    walks: Walks,
}

impl Reader {
    /// A master, and who walks through it.
    pub(crate) fn new(node: Node, plan: &MasterPlan) -> (Self, Walker) {
        let settings = MasterSettings::new(format!("/masters/{}", plan.name));
        let master = Master::new(node, settings);
        let (walks, walker) = Walks::new(master.clone(), &plan.name);
        (Self { master, walks }, walker)
    }

    pub(crate) fn walks(&self) -> &Walks {
        &self.walks
    }
}

#[async_trait]
impl Hydrate for Reader {
    async fn hydrate(&self, hint: &Event) -> Result<Vec<RestFrame>, HydrateFailure> {
        if hint.action == Action::Reloaded {
            // What did not change comes to nothing at the slaves: they remember digests.
            self.walks.want(Wanted {
                slave: None,
                mark: None,
            });
        }
        match self.master.hydrate(hint).await {
            Ok(frames) => Ok(frames),
            Err(HydrateError::Nothing(why)) => {
                debug!(event = hint.id, subject = %hint.subject, %why, "nothing is read");
                Ok(Vec::new())
            }
            Err(HydrateError::Transient(reason)) => Err(HydrateFailure::Transient(reason)),
            Err(HydrateError::Permanent(reason)) => Err(HydrateFailure::Permanent(reason)),
        }
    }
}

/// A slave that is made what frames of `geoserver-rest` say.
///
/// It is set to work with the first frame, and not before: until then another one may still be at
/// work there, of this Weir or of another.
pub(crate) struct GeoServerSink {
    work: Work,
    /// Frames that were refused before it could be set to work.
    refused: VecDeque<Confirmation>,
    /// How many these were: the tickets of the slave begin after them.
    before: u64,
}

enum Work {
    NotYet {
        node: Node,
        state: PathBuf,
        name: String,
        window: usize,
        dependency_timeout: Duration,
    },
    Slave(Slave),
}

impl GeoServerSink {
    pub(crate) fn new(
        node: Node,
        plan: &Plan,
        slave: &SlavePlan,
        dependency_timeout: Duration,
    ) -> Self {
        Self {
            work: Work::NotYet {
                node,
                state: plan.state.clone(),
                name: slave.name.clone(),
                window: slave.policy.capacity,
                dependency_timeout,
            },
            refused: VecDeque::new(),
            before: 0,
        }
    }
}

impl Work {
    fn start(&mut self) -> anyhow::Result<&mut Slave> {
        if let Self::NotYet {
            node,
            state,
            name,
            window,
            dependency_timeout,
        } = self
        {
            let (known, file) = applied_to_write(state, name)?;
            let replica = Replica::new(node.clone(), known);
            let slave = Slave::start(replica, Box::new(file), *window, *dependency_timeout);
            *self = Self::Slave(slave);
        }
        match self {
            Self::Slave(slave) => Ok(slave),
            Self::NotYet { .. } => bail!("it is not at work"),
        }
    }
}

/// Where it is kept what was applied at a slave. Whoever has it is the only one to write there.
pub(crate) struct AppliedFile {
    journal: Journal,
    _lock: File,
}

/// What was applied at a slave, as far as it is known.
pub(crate) fn applied(state: &Path, slave: &str) -> anyhow::Result<Memory> {
    let path = applied_path(state, slave);
    let mut known = Memory::default();
    match std::fs::read(&path) {
        // Somebody may write to it now: what is torn is left out.
        Ok(bytes) => String::from_utf8_lossy(&bytes)
            .lines()
            .for_each(|line| known.restore(line)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    }
    Ok(known)
}

/// The same, and where more is kept. An error if somebody else writes to the slave.
pub(crate) fn applied_to_write(state: &Path, slave: &str) -> anyhow::Result<(Memory, AppliedFile)> {
    let path = applied_path(state, slave);
    let told = || format!("cannot keep what was applied in {}", path.display());
    let lock = append_to(&path.with_extension("lock")).with_context(told)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("a Weir writes to the slave {slave} already: stop it first")
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(told),
    }
    let mut known = Memory::default();
    let mut journal = Journal::open(&path, |line| known.restore(line)).with_context(told)?;
    journal.compact(known.lines()).with_context(told)?;
    let file = AppliedFile {
        journal,
        _lock: lock,
    };
    Ok((known, file))
}

fn applied_path(state: &Path, slave: &str) -> PathBuf {
    state.join("applied").join(format!("{slave}.jsonl"))
}

impl Keep for AppliedFile {
    fn keep(&mut self, lines: &str) -> io::Result<()> {
        self.journal.append(lines)
    }
}

#[async_trait]
impl Sink for GeoServerSink {
    async fn publish(&mut self, message: Message) -> u64 {
        match self.work.start() {
            Ok(slave) => self.before + slave.publish(message.payload).await,
            Err(error) => {
                self.before += 1;
                self.refused.push_back(Confirmation {
                    ticket: self.before,
                    result: Err(SinkFailure::Transient(Reason::new(format_args!(
                        "{error:#}"
                    )))),
                });
                self.before
            }
        }
    }

    async fn confirmed(&mut self) -> Confirmation {
        if let Some(refused) = self.refused.pop_front() {
            return refused;
        }
        let Work::Slave(slave) = &mut self.work else {
            return std::future::pending().await;
        };
        let settled = slave.settled().await;
        Confirmation {
            ticket: self.before + settled.ticket,
            result: settled.result.map_err(|failed| match failed {
                Failed::Transient(reason) => SinkFailure::Transient(reason),
                Failed::Permanent(reason) => SinkFailure::Permanent(reason),
            }),
        }
    }
}
