//! Watches files for changes.
//!
//! Directories are watched rather than files, since most programs replace a file instead of writing
//! into it. What exactly changed does not matter: a change is a reason to look, and looking is cheap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

/// How long files must be left alone before they are looked at: whoever writes them is done then,
/// or else will be heard of again.
const QUIET: Duration = Duration::from_millis(100);

/// How long at most: something else in the directory may never be left alone.
const AT_MOST: Duration = Duration::from_secs(1);

pub(crate) struct Watcher {
    system: RecommendedWatcher,
    /// One place is enough: a change that is not heard of yet stands for those that follow it.
    changes: mpsc::Receiver<()>,
    /// A change was heard of, and not told yet.
    pending: bool,
    directories: BTreeSet<PathBuf>,
    /// What the files looked like when they were last asked for.
    seen: BTreeMap<PathBuf, Option<Look>>,
}

/// What tells a file from its earlier self without reading it.
#[derive(PartialEq, Eq)]
struct Look {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: u64,
}

impl Watcher {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event, too: not one of ours.
            if event.is_ok_and(|event| event.kind.is_access() && !event.need_rescan()) {
                return;
            }
            // A full channel tells the same already.
            sender.try_send(()).ok();
        })
        .context("cannot watch files")?;
        Ok(Self {
            system: watcher,
            changes,
            pending: false,
            directories: BTreeSet::new(),
            seen: BTreeMap::new(),
        })
    }

    /// Follows these files from now on, and no others.
    pub(crate) fn follow<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) {
        let mut directories = BTreeSet::new();
        let mut seen = BTreeMap::new();
        for file in files {
            let parent = file
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            directories.insert(parent.unwrap_or(Path::new(".")).to_owned());
            let known = self.seen.remove(file);
            seen.insert(file.to_owned(), known.unwrap_or_else(|| look(file)));
        }
        self.seen = seen;
        for gone in self.directories.difference(&directories) {
            // It may be gone indeed.
            drop(self.system.unwatch(gone));
        }
        for new in directories.difference(&self.directories) {
            if let Err(error) = self.system.watch(new, RecursiveMode::NonRecursive) {
                let directory = new.display();
                warn!(%directory, %error, "cannot watch for changes; send SIGHUP after a change");
            }
        }
        self.directories = directories;
    }

    /// Waits until something changed and is left alone again. Cancel-safe.
    pub(crate) async fn changed(&mut self) {
        if !self.pending && self.changes.recv().await.is_none() {
            return std::future::pending().await;
        }
        self.pending = true;
        let quiet = async { while timeout(QUIET, self.changes.recv()).await.is_ok() {} };
        timeout(AT_MOST, quiet).await.ok();
        self.pending = false;
    }

    /// True if the file is another one than when it was first followed, or than at the last call.
    pub(crate) fn is_new(&mut self, file: &Path) -> bool {
        let now = look(file);
        let is_there = now.is_some();
        let new = self.seen.get(file) != Some(&now);
        self.seen.insert(file.to_owned(), now);
        new && is_there
    }
}

fn look(file: &Path) -> Option<Look> {
    let metadata = std::fs::metadata(file).ok()?;
    Some(Look {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        #[cfg(unix)]
        inode: std::os::unix::fs::MetadataExt::ino(&metadata),
    })
}
