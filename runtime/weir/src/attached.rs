//! Remembers what slaves are subscribed to on the bus: a slave that was taken out of the configuration
//! while Weir was not running would have its queue fill for ever otherwise.
//!
//! Each configuration has a memory of its own for each bus: two may share a state directory, and
//! neither is to detach the slaves of the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;
use tracing::warn;
use weir_bus::Address;
use weir_event::Subscription;
use weir_pipeline::disk::replace_file;
use weir_pipeline::plan::Plan;
use weir_wasm::Digest;

/// What each slave is subscribed to, by its name.
pub(crate) type Subscriptions = BTreeMap<String, Vec<Subscription>>;

/// What a plan has its slaves subscribed to.
pub(crate) fn wanted(plan: &Plan) -> Subscriptions {
    let slaves = plan.slaves.iter();
    slaves
        .map(|slave| (slave.name.clone(), slave.subscribe.clone()))
        .collect()
}

/// Subscriptions on disk. Nothing is lost with the file but the memory of slaves that are gone.
pub(crate) struct Attached {
    path: PathBuf,
    now: Subscriptions,
}

impl Attached {
    /// What the slaves of this configuration are subscribed to on this bus.
    pub(crate) fn open(state: &Path, config: &Path, bus: &Address) -> anyhow::Result<Self> {
        let directory = state.join("attached");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
        let owner = Digest::of(format!("{}\n{bus}", config.display()).as_bytes());
        let path = directory.join(format!("{owner:.16}.json"));
        let now = match fs::read(&path) {
            Ok(text) => read(&text).unwrap_or_else(|| {
                let path = path.display();
                warn!("{path} cannot be read; slaves that are gone may still have bound queues");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, now })
    }

    pub(crate) fn get(&self) -> &Subscriptions {
        &self.now
    }

    /// To be called before anything is bound: what is bound is always among what is remembered.
    pub(crate) fn add(&mut self, more: Subscriptions) -> anyhow::Result<()> {
        let mut all = self.now.clone();
        for (slave, patterns) in more {
            let known = all.entry(slave).or_default();
            let new = patterns.iter().filter(|pattern| !known.contains(pattern));
            let new: Vec<Subscription> = new.cloned().collect();
            known.extend(new);
        }
        self.set(all)
    }

    /// To be called when nothing else is bound any more.
    pub(crate) fn set(&mut self, now: Subscriptions) -> anyhow::Result<()> {
        if now == self.now {
            return Ok(());
        }
        let text: BTreeMap<&String, Vec<&str>> = now
            .iter()
            .map(|(slave, patterns)| (slave, patterns.iter().map(Subscription::as_str).collect()))
            .collect();
        replace_file(&self.path, &serde_json::to_vec(&text)?)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.now = now;
        Ok(())
    }
}

fn read(text: &[u8]) -> Option<Subscriptions> {
    let slaves: BTreeMap<String, Vec<String>> = serde_json::from_slice(text).ok()?;
    let parse = |patterns: Vec<String>| -> Option<Vec<Subscription>> {
        patterns
            .iter()
            .map(|pattern| pattern.parse().ok())
            .collect()
    };
    slaves
        .into_iter()
        .map(|(slave, patterns)| Some((slave, parse(patterns)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions(slaves: &[(&str, &[&str])]) -> Subscriptions {
        let parse = |patterns: &[&str]| patterns.iter().map(|text| text.parse().unwrap()).collect();
        slaves
            .iter()
            .map(|(slave, patterns)| ((*slave).to_owned(), parse(patterns)))
            .collect()
    }

    fn open(state: &tempfile::TempDir, config: &str) -> Attached {
        let bus = Address::Embedded("bus".into());
        Attached::open(state.path(), Path::new(config), &bus).unwrap()
    }

    #[test]
    fn what_is_bound_is_remembered_until_it_is_not() {
        let state = tempfile::tempdir().unwrap();
        let mut attached = open(&state, "one.toml");
        assert!(attached.get().is_empty());
        attached.add(subscriptions(&[("eu", &["a.#"])])).unwrap();
        let more = subscriptions(&[("eu", &["a.#", "b.#"]), ("us", &["#"])]);
        attached.add(more.clone()).unwrap();
        assert_eq!(open(&state, "one.toml").get(), &more);
        assert!(open(&state, "other.toml").get().is_empty());
        let less = subscriptions(&[("us", &["#"])]);
        attached.set(less.clone()).unwrap();
        assert_eq!(open(&state, "one.toml").get(), &less);
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let state = tempfile::tempdir().unwrap();
        let mut attached = open(&state, "one.toml");
        attached.add(subscriptions(&[("eu", &["#"])])).unwrap();
        fs::write(&attached.path, b"{\"eu\": [").unwrap();
        assert!(open(&state, "one.toml").get().is_empty());
    }
}
