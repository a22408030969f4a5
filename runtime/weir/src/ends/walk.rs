//! Walks through all that a master has: to bring up a slave, and after the master was reloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};
use weir_event::Message;
use weir_pipeline::disk::append_to;
use weir_pipeline::ends::Asked;
use weir_pipeline::walked::Asking;
use weir_replication::{HydrateError, Master, Walk};

/// The first and the longest pause before a master that is away is asked again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Walks that may be asked for while one is under way; there are no more slaves than this at once.
const MOST: usize = 1000;

/// Where walks through a master are asked for.
#[derive(Clone)]
pub(crate) struct Walks {
    wanted: mpsc::Sender<Wanted>,
    under_way: Arc<watch::Sender<usize>>,
    /// A walk for all slaves waits already.
    for_all: Arc<AtomicBool>,
}

/// The masters that are read, and where walks through them are asked for.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    masters: BTreeMap<String, Walks>,
    /// Slaves that were attached since Weir was started, which a master that starts again does not
    /// know of otherwise.
    attached: BTreeSet<String>,
}

impl Readers {
    pub(crate) fn add(&self, master: &str, walks: &Walks, state: &Path) {
        let mut known = self.known();
        known.masters.insert(master.to_owned(), walks.clone());
        for slave in &known.attached {
            walks.want_once(master, slave, state);
        }
    }

    /// Has a slave that is new brought up with what every master has.
    pub(crate) fn bring_up(&self, slave: &str, state: &Path) {
        let mut known = self.known();
        known.attached.insert(slave.to_owned());
        for (master, walks) in &known.masters {
            walks.want_once(master, slave, state);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A walk.
pub(crate) struct Wanted {
    /// The slave that it is for; all of them where none is named.
    pub(crate) slave: Option<String>,
    /// The file that says afterwards that it was done.
    pub(crate) mark: Option<PathBuf>,
}

/// Who does the walks.
pub(crate) struct Walker {
    pub(crate) master: Master,
    pub(crate) name: String,
    wanted: mpsc::Receiver<Wanted>,
    under_way: Arc<watch::Sender<usize>>,
    for_all: Arc<AtomicBool>,
}

impl Walks {
    pub(crate) fn new(master: Master, name: &str) -> (Self, Walker) {
        let (ask, wanted) = mpsc::channel(MOST);
        let under_way = Arc::new(watch::Sender::new(0));
        let for_all = Arc::new(AtomicBool::new(false));
        let walker = Walker {
            master,
            name: name.to_owned(),
            wanted,
            under_way: Arc::clone(&under_way),
            for_all: Arc::clone(&for_all),
        };
        let walks = Self {
            wanted: ask,
            under_way,
            for_all,
        };
        (walks, walker)
    }

    /// Asks for a walk. One for all slaves that waits already will do for another.
    pub(crate) fn want(&self, wanted: Wanted) {
        if wanted.slave.is_none() && self.for_all.swap(true, Ordering::AcqRel) {
            return;
        }
        self.under_way.send_modify(|count| *count += 1);
        if let Err(refused) = self.wanted.try_send(wanted) {
            self.under_way.send_modify(|count| *count -= 1);
            if refused.into_inner().slave.is_none() {
                self.for_all.store(false, Ordering::Release);
            }
        }
    }

    /// Has a slave brought up with what a master has, unless it was.
    pub(crate) fn want_once(&self, master: &str, slave: &str, state: &Path) {
        let mark = mark(state, master, slave);
        // One that cannot be looked for was not left, as far as anybody knows.
        if !mark.exists() {
            self.want(Wanted {
                slave: Some(slave.to_owned()),
                mark: Some(mark),
            });
        }
    }

    /// How many are asked for or under way.
    pub(crate) fn under_way(&self) -> watch::Receiver<usize> {
        self.under_way.subscribe()
    }
}

impl Walker {
    /// Walks whenever it is asked to, and hands on what is to be asked of the master.
    pub(crate) async fn run(mut self, mut asking: Asking) {
        while let Some(wanted) = self.wanted.recv().await {
            if wanted.slave.is_none() {
                // What changes from here on may be behind us, and is worth another one.
                self.for_all.store(false, Ordering::Release);
            }
            let is_done = self.walk(&wanted, &mut asking).await;
            self.under_way.send_modify(|count| *count -= 1);
            if !is_done {
                return;
            }
        }
    }

    /// False if there is nobody to be asked any more.
    async fn walk(&self, wanted: &Wanted, asking: &mut Asking) -> bool {
        let master = &self.name;
        let slave = wanted.slave.as_deref().unwrap_or("all slaves");
        info!(master, slave, "reads all that the master has");
        let mut walk = self.master.walk();
        let mut is_whole = true;
        let mut pause = FIRST_PAUSE;
        loop {
            let hint = match walk.next().await {
                Ok(Some(hint)) => hint,
                Ok(None) => break,
                Err(HydrateError::Transient(reason)) => {
                    warn!(master, %reason, "cannot list what the master has, will keep trying");
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => {
                    warn!(master, %error, "some of what the master has cannot be listed");
                    is_whole = false;
                    continue;
                }
            };
            pause = FIRST_PAUSE;
            let Ok(frame) = Walk::frame(&hint) else {
                continue;
            };
            let message = Message {
                payload: frame.to_payload(),
                content_type: Some("application/json".to_owned()),
                message_id: Some(hint.id),
                ..Message::default()
            };
            let slave = wanted.slave.clone();
            if !asking.ask(message, Asked { slave }).await {
                return false;
            }
        }
        if !asking.are_accepted().await {
            return false;
        }
        info!(
            master,
            slave,
            objects = walk.told(),
            "all that the master has is on the bus"
        );
        if is_whole
            && let Some(mark) = &wanted.mark
            && let Err(error) = append_to(mark)
        {
            warn!(%error, "{}: the slave will be brought up again", mark.display());
        }
        true
    }
}

/// The file that says that a slave was brought up with what a master has.
fn mark(state: &Path, master: &str, slave: &str) -> PathBuf {
    state.join("bootstrapped").join(format!("{slave}.{master}"))
}
