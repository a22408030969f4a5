//! Images: pre-initialised components, kept on disk so that a plugin takes its settings once and not
//! at every start. Beside them wasmtime keeps the code that it compiled.
//!
//! Nothing depends on an image: one that is missing, damaged or cannot be written costs time only.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::bindings::{Interest, interest_from_byte, interest_to_byte};
use crate::configure::Settings;
use crate::plugin::Digest;

/// How many images are kept; those that were used least lately go. A few hundred slaves, each with
/// settings of its own.
const KEPT: usize = 500;

/// Changes whenever an image made by an older Weir must not be used: its own format, the contract,
/// and wasmtime's way to make it.
const FORMAT: &str = concat!("weir ", env!("CARGO_PKG_VERSION"), " image 2 wasmtime 48");

/// The length of the digest at the start of an image.
const SEAL: usize = 32;

/// A pre-initialised component.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) component: Vec<u8>,
    /// What the plugin said that it wants of events.
    pub(crate) interest: Interest,
}

/// A directory of images.
pub(crate) struct Images {
    directory: PathBuf,
}

/// The name of an image: the digest of everything that went into it.
#[derive(Clone)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new(plugin: Digest, settings: &Settings) -> Self {
        let mut hash = Sha256::new();
        hash.update(FORMAT);
        hash.update(plugin.as_bytes());
        settings.digest_into(&mut hash);
        let digest: [u8; 32] = hash.finalize().into();
        Self(Digest::from(digest).to_string())
    }
}

impl Images {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The image, if there is one and it is what was written.
    pub(crate) fn load(&self, key: &Key) -> Option<Image> {
        let path = self.directory.join(&key.0);
        let mut component = fs::read(&path).ok()?;
        let seal: [u8; SEAL] = component.get(..SEAL)?.try_into().ok()?;
        component.drain(..SEAL);
        let interest = interest_from_byte(*component.last()?);
        if Digest::of(&component) != Digest::from(seal) {
            tracing::warn!(path = %path.display(), "image is damaged, and is made anew");
            return None;
        }
        // Only the choice of what to keep hangs on the time, so failing to set it does no harm.
        if let Ok(file) = File::open(&path) {
            file.set_modified(SystemTime::now()).unwrap_or_default();
        }
        component.pop();
        Some(Image {
            component,
            interest,
        })
    }

    /// Keeps an image. A failure is logged: the next start takes longer, that is all.
    pub(crate) fn store(&self, key: &Key, image: &Image) {
        if let Err(error) = self.write(key, image).and_then(|()| self.prune()) {
            tracing::warn!(
                directory = %self.directory.display(), %error,
                "image cannot be kept: the next start takes longer"
            );
        }
    }

    fn write(&self, key: &Key, image: &Image) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        // A reader sees the whole image or none.
        let mut file = NamedTempFile::new_in(&self.directory)?;
        let interest = [interest_to_byte(image.interest)];
        let seal = Digest::of_parts([&image.component, &interest[..]]);
        file.write_all(seal.as_bytes())?;
        file.write_all(&image.component)?;
        file.write_all(&interest)?;
        file.persist(self.directory.join(&key.0))?;
        Ok(())
    }

    fn prune(&self) -> io::Result<()> {
        let mut images = fs::read_dir(&self.directory)?
            .map(|entry| {
                let entry = entry?;
                Ok((entry.metadata()?.modified()?, entry.path()))
            })
            .collect::<io::Result<Vec<_>>>()?;
        images.sort();
        let excess = images.len().saturating_sub(KEPT);
        images[..excess]
            .iter()
            .try_for_each(|(_, path)| remove(path))
    }
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

    fn image() -> Image {
        Image {
            component: b"image".to_vec(),
            interest: Interest::REFERENCES | Interest::BODY,
        }
    }

    fn key(settings: &str) -> Key {
        Key::new(Digest::of(b"plugin"), &Settings::from(settings))
    }

    #[test]
    fn an_image_comes_back_as_it_was_under_its_own_settings_only() {
        let directory = tempfile::tempdir().unwrap();
        let images = Images::new(directory.path().join("images"));
        assert_eq!(images.load(&key("{}")), None);
        images.store(&key("{}"), &image());
        assert_eq!(images.load(&key("{}")), Some(image()));
        assert_eq!(images.load(&key("{ }")), None);
    }

    #[test]
    fn a_damaged_image_is_no_image() {
        let directory = tempfile::tempdir().unwrap();
        let images = Images::new(directory.path().to_owned());
        let key = key("{}");
        images.store(&key, &image());
        let path = directory.path().join(&key.0);
        let whole = fs::read(&path).unwrap();
        for length in [0, 5, SEAL, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(images.load(&key), None, "cut to {length}");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, flipped).unwrap();
        assert_eq!(images.load(&key), None);
        images.store(&key, &image());
        assert_eq!(images.load(&key), Some(image()));
    }

    #[test]
    fn a_directory_that_cannot_be_written_does_no_harm() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let images = Images::new(file.path().to_owned());
        images.store(&key("{}"), &image());
        assert_eq!(images.load(&key("{}")), None);
    }

    #[test]
    fn the_images_that_were_used_least_lately_go() {
        let directory = tempfile::tempdir().unwrap();
        let images = Images::new(directory.path().to_owned());
        let old = SystemTime::UNIX_EPOCH;
        for number in 0..KEPT {
            let path = directory.path().join(number.to_string());
            fs::write(&path, "").unwrap();
            File::open(&path).unwrap().set_modified(old).unwrap();
        }
        images.store(&key("{}"), &image());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), KEPT);
        assert!(images.load(&key("{}")).is_some());
    }
}
