//! GeoServers: as masters that are read, and as slaves that are written to.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tracing::debug;
use weir_event::{Action, Event, Message, RestFrame};
use weir_geoserver::{Authority, Login, Node, Settings};
use weir_pipeline::disk::Journal;
use weir_pipeline::ends::{Confirmation, Sink, SinkFailure};
use weir_pipeline::hydrate::{Hydrate, HydrateFailure};
use weir_pipeline::plan::{LoginPlan, MasterPlan, NodePlan};
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
    /// What was applied is remembered in a file, for which `memory` is the path.
    pub(crate) fn open(
        node: Node,
        memory: &Path,
        window: usize,
        dependency_timeout: Duration,
    ) -> io::Result<Self> {
        let mut known = Memory::default();
        let mut journal = Journal::open(memory, |line| known.restore(line))?;
        journal.compact(known.lines())?;
        let replica = Replica::new(node, known);
        let keep = Box::new(Kept(journal));
        Ok(Self(Slave::start(
            replica,
            keep,
            window,
            dependency_timeout,
        )))
    }
}

struct Kept(Journal);

impl Keep for Kept {
    fn keep(&mut self, lines: &str) -> io::Result<()> {
        self.0.append(lines)
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
