//! The cache: plugins that were prepared (configured and compiled), kept on disk so that each is
//! prepared once and not at every start.
//!
//! It holds code that Weir runs and settings with secrets in them, so the directory is private to
//! Weir's user. Nothing depends on what is in it: what is missing, damaged or cannot be written costs
//! time only.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::configure::Settings;
use crate::host::HostError;
use crate::plugin::Digest;
use crate::prepare::Prepared;

/// How many bytes are kept; what was used least lately goes. A Rust plugin takes 2 MB for each stage
/// that it fills, a Python plugin 100 MB.
const KEPT: u64 = 4 << 30;

/// Changes whenever what an older Weir prepared must not be used: the format of an entry, and the
/// ways to configure and to rewrite components.
const FORMAT: &str = concat!("weir ", env!("CARGO_PKG_VERSION"), " prepared 1");

/// The length of the digest at the start of an entry.
const SEAL: usize = 32;

/// A directory of prepared plugins.
pub(crate) struct Cache {
    directory: PathBuf,
    /// Tells apart what other versions or settings of wasmtime, or other processors, compiled.
    engine: u64,
}

/// The name of an entry: the digest of everything that went into it.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Cache {
    /// The cache in a directory, which is made where it does not exist.
    pub(crate) fn open(directory: &Path, engine: u64) -> Result<Self, HostError> {
        let failed = |source| HostError::Cache {
            path: directory.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed)?;
        let path = directory.canonicalize().map_err(failed)?;
        let found = path.metadata().map_err(failed)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(HostError::CacheOfAnother(path));
        }
        if found.permissions().mode() & 0o077 != 0 {
            return Err(HostError::CacheNotPrivate(path));
        }
        Ok(Self {
            directory: path,
            engine,
        })
    }

    pub(crate) fn key(&self, plugin: Digest, settings: &Settings, memory: u64) -> Key {
        let mut hash = Sha256::new_with_prefix(FORMAT);
        hash.update(self.engine.to_le_bytes());
        hash.update(plugin.as_bytes());
        hash.update(memory.to_le_bytes());
        settings.digest_into(&mut hash);
        let digest: [u8; 32] = hash.finalize().into();
        Key(Digest::from(digest).to_string())
    }

    /// The entry, if there is one and it is what was written.
    pub(crate) fn load(&self, key: &Key) -> Option<Prepared> {
        let path = self.directory.join(&key.0);
        let entry = fs::read(&path).ok()?;
        let Some(prepared) = unseal(&entry) else {
            tracing::warn!(path = %path.display(), "a prepared plugin is damaged, and is made anew");
            return None;
        };
        // Only the choice of what to keep hangs on the time, so failing to set it does no harm.
        if let Ok(file) = File::open(&path) {
            file.set_modified(SystemTime::now()).unwrap_or_default();
        }
        Some(prepared)
    }

    /// Keeps an entry. A failure is logged: the next start takes longer, that is all.
    pub(crate) fn store(&self, key: &Key, prepared: &Prepared) {
        if let Err(error) = self.write(key, prepared).and_then(|()| self.prune(KEPT)) {
            tracing::warn!(
                directory = %self.directory.display(), %error,
                "a prepared plugin cannot be kept: the next start takes longer"
            );
        }
    }

    fn write(&self, key: &Key, prepared: &Prepared) -> io::Result<()> {
        let bytes = prepared.to_bytes();
        // Readable by Weir's user alone; a reader sees the whole entry or none.
        let mut file = NamedTempFile::new_in(&self.directory)?;
        file.write_all(Digest::of(&bytes).as_bytes())?;
        file.write_all(&bytes)?;
        file.persist(self.directory.join(&key.0))?;
        Ok(())
    }

    /// Removes what was used least lately until no more than `kept` bytes are left.
    fn prune(&self, kept: u64) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.directory)?
            .map(|entry| {
                let entry = entry?;
                let found = entry.metadata()?;
                Ok((found.modified()?, found.len(), entry.path()))
            })
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        let mut size: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        // The latest one stays, however large it is: it is what was asked for just now.
        entries.pop();
        for (_, bytes, path) in entries {
            if size <= kept {
                break;
            }
            remove(&path)?;
            size -= bytes;
        }
        Ok(())
    }
}

fn unseal(entry: &[u8]) -> Option<Prepared> {
    let (seal, bytes) = entry.split_at_checked(SEAL)?;
    let seal: [u8; SEAL] = seal.try_into().ok()?;
    if Digest::of(bytes) != Digest::from(seal) {
        return None;
    }
    Prepared::from_bytes(bytes)
}

/// Removes a file that another process may have removed already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::Interest;

    fn cache() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&directory.path().join("cache"), 1).unwrap();
        (directory, cache)
    }

    fn prepared() -> Prepared {
        Prepared {
            configured: true,
            interest: Interest::REFERENCES | Interest::BODY,
            full: b"full".to_vec(),
            lean: Some(b"lean".to_vec()),
        }
    }

    fn key(cache: &Cache, settings: &str) -> Key {
        cache.key(Digest::of(b"plugin"), &settings.into(), 1)
    }

    #[test]
    fn what_was_prepared_comes_back_for_its_own_settings_and_engine_only() {
        let (directory, cache) = cache();
        assert_eq!(cache.load(&key(&cache, "{}")), None);
        cache.store(&key(&cache, "{}"), &prepared());
        assert_eq!(cache.load(&key(&cache, "{}")), Some(prepared()));
        assert_eq!(cache.load(&key(&cache, "{ }")), None);
        let other = Cache::open(&directory.path().join("cache"), 2).unwrap();
        assert_eq!(other.load(&key(&other, "{}")), None);
    }

    #[test]
    fn what_is_damaged_is_not_used() {
        let (_directory, cache) = cache();
        let key = key(&cache, "{}");
        cache.store(&key, &prepared());
        let path = cache.directory.join(&key.0);
        let whole = fs::read(&path).unwrap();
        for length in [0, 5, SEAL, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(cache.load(&key), None, "cut to {length}");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, flipped).unwrap();
        assert_eq!(cache.load(&key), None);
        cache.store(&key, &prepared());
        assert_eq!(cache.load(&key), Some(prepared()));
    }

    #[test]
    fn a_directory_that_cannot_be_written_does_no_harm() {
        let (directory, cache) = cache();
        drop(directory);
        cache.store(&key(&cache, "{}"), &prepared());
        assert_eq!(cache.load(&key(&cache, "{}")), None);
    }

    #[test]
    fn what_was_used_least_lately_goes() {
        let (_directory, cache) = cache();
        let old = SystemTime::UNIX_EPOCH;
        for number in 0..10 {
            let path = cache.directory.join(number.to_string());
            fs::write(&path, [0; 100]).unwrap();
            File::open(&path).unwrap().set_modified(old).unwrap();
        }
        cache.write(&key(&cache, "{}"), &prepared()).unwrap();
        cache.prune(500).unwrap();
        let left = fs::read_dir(&cache.directory).unwrap();
        let bytes: u64 = left
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes <= 500 && bytes > 300, "{bytes}");
        cache.prune(0).unwrap();
        assert_eq!(cache.load(&key(&cache, "{}")), Some(prepared()));
    }

    #[test]
    fn an_entry_is_for_its_owner_alone() {
        let (_directory, cache) = cache();
        let key = key(&cache, "{}");
        cache.store(&key, &prepared());
        let mode = fs::metadata(cache.directory.join(&key.0))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0);
    }
}
