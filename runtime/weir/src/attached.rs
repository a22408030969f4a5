//! Remembers what is bound on brokers: a slave or a master that was taken out of the configuration
//! while Weir was not running would have its queue fill for ever otherwise, as AMQP does not list
//! bindings.
//!
//! Each configuration has a memory of its own for each bus: two may share a state directory, and
//! neither is to detach the slaves of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::Context as _;
use tracing::warn;
use weir_bus::{Address, Subscriptions};
use weir_event::Subscription;
use weir_pipeline::disk::replace_file;
use weir_pipeline::plan::{Plan, SourcePlan};
use weir_wasm::Digest;

use crate::ends::amqp_url;

/// What is bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// What each slave is subscribed to on the bus.
    pub(crate) slaves: Subscriptions,
    /// What the queue of each master is bound to.
    pub(crate) masters: BTreeMap<String, BTreeSet<Tap>>,
}

/// A binding of a master's queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tap {
    /// The URL of the broker without its password, which has no place in such a file.
    pub(crate) broker: String,
    /// What the name of the queue begins with.
    pub(crate) prefix: String,
    pub(crate) exchange: String,
    pub(crate) key: String,
}

/// What a plan wants bound.
pub(crate) fn wanted(plan: &Plan) -> Bound {
    let slaves = plan.slaves.iter();
    let masters = plan.masters.iter().filter_map(|master| {
        let SourcePlan::Amqp {
            url,
            exchange,
            keys,
            ..
        } = &master.source
        else {
            return None;
        };
        let broker = amqp_url(url).ok()?.to_string();
        let taps = keys.iter().map(|key| Tap {
            broker: broker.clone(),
            prefix: plan.bus_settings.prefix.clone(),
            exchange: exchange.clone(),
            key: key.clone(),
        });
        Some((master.name.clone(), taps.collect()))
    });
    Bound {
        slaves: slaves
            .map(|slave| (slave.name.clone(), slave.subscribe.clone()))
            .collect(),
        masters: masters.collect(),
    }
}

/// What is bound, on disk. Nothing is lost with the file but the memory of what is gone.
pub(crate) struct Attached {
    path: PathBuf,
    now: Bound,
}

impl Attached {
    /// What this configuration has bound with this bus.
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
                warn!("{path} cannot be read; what is gone may still have bound queues");
                Bound::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Bound::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self { path, now })
    }

    pub(crate) fn get(&self) -> &Bound {
        &self.now
    }

    /// To be called before anything is bound: what is bound is always among what is remembered.
    pub(crate) fn add(&mut self, more: Bound) -> anyhow::Result<()> {
        let mut all = self.now.clone();
        for (slave, patterns) in more.slaves {
            let known = all.slaves.entry(slave).or_default();
            let new = patterns.iter().filter(|pattern| !known.contains(pattern));
            let new: Vec<Subscription> = new.cloned().collect();
            known.extend(new);
        }
        for (master, taps) in more.masters {
            all.masters.entry(master).or_default().extend(taps);
        }
        self.set(all)
    }

    /// To be called when nothing else is bound any more.
    pub(crate) fn set(&mut self, now: Bound) -> anyhow::Result<()> {
        if now == self.now {
            return Ok(());
        }
        replace_file(&self.path, &serde_json::to_vec(&written(&now))?)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.now = now;
        Ok(())
    }
}

/// Slaves with their patterns, masters with broker, prefix, exchange and key.
type Written = (
    BTreeMap<String, Vec<String>>,
    BTreeMap<String, Vec<(String, String, String, String)>>,
);

fn written(bound: &Bound) -> Written {
    let slaves = bound.slaves.iter().map(|(slave, patterns)| {
        let patterns = patterns.iter().map(ToString::to_string);
        (slave.clone(), patterns.collect())
    });
    let masters = bound.masters.iter().map(|(master, taps)| {
        let taps = taps.iter().cloned();
        let taps = taps.map(|tap| (tap.broker, tap.prefix, tap.exchange, tap.key));
        (master.clone(), taps.collect())
    });
    (slaves.collect(), masters.collect())
}

fn read(text: &[u8]) -> Option<Bound> {
    let (slaves, masters): Written = serde_json::from_slice(text).ok()?;
    let parse = |patterns: Vec<String>| -> Option<Vec<Subscription>> {
        patterns
            .iter()
            .map(|pattern| pattern.parse().ok())
            .collect()
    };
    let slaves = slaves
        .into_iter()
        .map(|(slave, patterns)| Some((slave, parse(patterns)?)));
    let masters = masters.into_iter().map(|(master, taps)| {
        let taps = taps.into_iter().map(|(broker, prefix, exchange, key)| Tap {
            broker,
            prefix,
            exchange,
            key,
        });
        (master, taps.collect())
    });
    Some(Bound {
        slaves: slaves.collect::<Option<_>>()?,
        masters: masters.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriptions(slaves: &[(&str, &[&str])]) -> Bound {
        let parse = |patterns: &[&str]| patterns.iter().map(|text| text.parse().unwrap()).collect();
        let slaves = slaves
            .iter()
            .map(|(slave, patterns)| ((*slave).to_owned(), parse(patterns)));
        Bound {
            slaves: slaves.collect(),
            ..Bound::default()
        }
    }

    fn tap(key: &str) -> Tap {
        Tap {
            broker: "amqp://guest:…@broker:5672/%2f".to_owned(),
            prefix: "weir".to_owned(),
            exchange: "geoserver".to_owned(),
            key: key.to_owned(),
        }
    }

    fn open(state: &tempfile::TempDir, config: &str) -> Attached {
        let bus = Address::Embedded("bus".into());
        Attached::open(state.path(), Path::new(config), &bus).unwrap()
    }

    #[test]
    fn what_is_bound_is_remembered_until_it_is_not() {
        let state = tempfile::tempdir().unwrap();
        let mut attached = open(&state, "one.toml");
        assert_eq!(attached.get(), &Bound::default());
        attached.add(subscriptions(&[("eu", &["a.#"])])).unwrap();
        let mut more = subscriptions(&[("eu", &["a.#", "b.#"]), ("us", &["#"])]);
        let taps = BTreeSet::from([tap("#"), tap("a")]);
        more.masters.insert("cloud".to_owned(), taps);
        attached.add(more.clone()).unwrap();
        assert_eq!(open(&state, "one.toml").get(), &more);
        assert_eq!(open(&state, "other.toml").get(), &Bound::default());
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
        assert_eq!(open(&state, "one.toml").get(), &Bound::default());
    }
}
