//! The file of the store: opened, and after a failure closed and opened anew.
//!
//! redb takes nothing more after its first failed write, whatever the disk does later. Opening anew
//! finds what was committed, and nothing of what was not.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError};

use super::tables;
use crate::BusError;

/// How much of the store is held in memory.
const CACHE_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct File {
    directory: PathBuf,
    /// `None` while it is closed.
    database: RwLock<Option<Database>>,
}

impl File {
    /// The file in this directory; both are made where they are missing.
    pub(super) fn open(directory: &Path) -> Result<Self, BusError> {
        let failed = |error| failed(directory, &error);
        // Messages may hold secrets: what is made here is for nobody else.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let database = open(directory)?;
        let owner = directory.join(OWNER);
        std::fs::write(owner, std::process::id().to_string()).map_err(failed)?;
        // What is confirmed is in a file whose name must outlive a crash, too; so must the name of
        // the directory, which may be new as well.
        for directory in directory.ancestors().take(2) {
            if !directory.as_os_str().is_empty() {
                std::fs::File::open(directory)
                    .and_then(|directory| directory.sync_all())
                    .map_err(failed)?;
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            database: RwLock::new(Some(database)),
        })
    }

    /// Does something with the file; `None` if it is closed.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, BusError>,
    ) -> Result<Option<T>, BusError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().map(work).transpose()
    }

    /// Waits for whoever is at work with the file.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    /// Opens the file again, if it is closed.
    pub(super) fn reopen(&self) -> Result<(), BusError> {
        if self.with(|_| Ok(()))?.is_some() {
            return Ok(());
        }
        // Not under the lock: a large file takes a while to be found sound.
        let database = open(&self.directory)?;
        *self.lock() = Some(database);
        Ok(())
    }

    fn lock(&self) -> std::sync::RwLockWriteGuard<'_, Option<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says who has the store.
const OWNER: &str = "bus.pid";

fn open(directory: &Path) -> Result<Database, BusError> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(directory.join("bus.redb"))
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => BusError::InUse {
                directory: directory.to_owned(),
                owner: match std::fs::read_to_string(directory.join(OWNER)) {
                    Ok(pid) => format!("process {pid}"),
                    Err(_) => "another process".to_owned(),
                },
            },
            error => failed(directory, &error),
        })?;
    tables::prepare(&database).map_err(|error| match error {
        BusError::Store(error) => failed(directory, &error),
        error => error,
    })?;
    Ok(database)
}

fn failed(directory: &Path, error: &dyn std::fmt::Display) -> BusError {
    BusError::Store(format!("{error} (in {})", directory.display()))
}
