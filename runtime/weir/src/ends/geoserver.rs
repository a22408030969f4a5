//! GeoServers: as masters that are read, and as slaves that are written to.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use tracing::debug;
use weir_event::{Action, Event, Message, RestFrame};
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
pub(crate) struct GeoServerSink(Slave);

impl GeoServerSink {
    pub(crate) fn open(
        node: Node,
        plan: &Plan,
        slave: &SlavePlan,
        dependency_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let (known, file) = applied(plan, slave, true)?;
        let keep = Box::new(file.context("the file was not opened")?);
        let (replica, window) = (Replica::new(node, known), slave.policy.capacity);
        Ok(Self(Slave::start(
            replica,
            keep,
            window,
            dependency_timeout,
        )))
    }
}

/// Where it is kept what was applied at a slave. Whoever has it is the only one to write there.
pub(crate) struct AppliedFile {
    journal: Journal,
    _lock: File,
}

/// What was applied at a slave; and where more is kept, `to_write`.
pub(crate) fn applied(
    plan: &Plan,
    slave: &SlavePlan,
    to_write: bool,
) -> anyhow::Result<(Memory, Option<AppliedFile>)> {
    let directory = plan.state.join("applied");
    let path = directory.join(format!("{}.jsonl", slave.name));
    let told = || format!("cannot keep what was applied in {}", path.display());
    let mut known = Memory::default();
    if !to_write {
        match std::fs::read_to_string(&path) {
            Ok(text) => text.lines().for_each(|line| known.restore(line)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(told),
        }
        return Ok((known, None));
    }
    let lock = append_to(&path.with_extension("lock")).with_context(told)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let name = &slave.name;
            bail!("another Weir writes to the slave {name}: stop it first");
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(told),
    }
    let mut journal = Journal::open(&path, |line| known.restore(line)).with_context(told)?;
    journal.compact(known.lines()).with_context(told)?;
    let file = AppliedFile {
        journal,
        _lock: lock,
    };
    Ok((known, Some(file)))
}

impl Keep for AppliedFile {
    fn keep(&mut self, lines: &str) -> io::Result<()> {
        self.journal.append(lines)
    }
}

#[async_trait]
impl Sink for GeoServerSink {
    async fn publish(&mut self, message: Message) -> u64 {
        self.0.publish(message.payload).await
    }

    async fn confirmed(&mut self) -> Confirmation {
        let settled = self.0.settled().await;
        Confirmation {
            ticket: settled.ticket,
            result: settled.result.map_err(|failed| match failed {
                Failed::Transient(reason) => SinkFailure::Transient(reason),
                Failed::Permanent(reason) => SinkFailure::Permanent(reason),
            }),
        }
    }
}
