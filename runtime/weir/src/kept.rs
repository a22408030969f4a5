//! A pipeline that is kept going: whatever ends it that nobody asked for (an error, a panic) is told,
//! and after a pause it starts anew. Others do not notice.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use weir_bus::Bus;
use weir_pipeline::chain::Chain;
use weir_pipeline::crashes::Crashes;
use weir_pipeline::observe::Observer;
use weir_pipeline::plan::{PipelineId, Plan};
use weir_pipeline::run::{Pipeline, Stopped};

use crate::ends::{self, BusSink, Ends, Readers};

/// The pause after a failure, and the longest one: long enough that a pipeline that fails at once
/// costs nothing and fills no log, short enough that nobody who mended the cause waits for it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What a pipeline is made of, each time that it starts.
pub(crate) struct Kept {
    pub(crate) id: PipelineId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) bus: Bus,
    pub(crate) chain: watch::Receiver<Arc<Chain>>,
    pub(crate) crashes: Crashes,
    pub(crate) readers: Readers,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Kept {
    /// Runs until it is told to stop or its source ends. `ends` are for the first start, if they
    /// could be opened already.
    pub(crate) async fn run(self, mut ends: Option<Ends>, stop: CancellationToken) -> Stopped {
        let id = &self.id;
        let mut pause = FIRST_PAUSE;
        let mut told: Option<String> = None;
        loop {
            let started = Instant::now();
            let error = match self.start(ends.take(), &stop).await {
                Ok(stopped) => return stopped,
                Err(error) => format!("{error:#}"),
            };
            if started.elapsed() > LONGEST_PAUSE {
                (pause, told) = (FIRST_PAUSE, None);
            }
            if told.as_ref() != Some(&error) {
                error!(pipeline = %id, error, "failed, will start again");
            }
            told = Some(error);
            tokio::select! {
                () = stop.cancelled() => return Stopped { given_back: 0 },
                () = sleep(jittered(pause)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            info!(pipeline = %id, "starts again");
        }
    }

    async fn start(&self, ends: Option<Ends>, stop: &CancellationToken) -> anyhow::Result<Stopped> {
        let Self { id, plan, bus, .. } = self;
        let Ends {
            source,
            sink,
            hydrate,
        } = match ends {
            Some(ends) => ends,
            None => Ends::open(bus, plan, id, &self.readers).await?,
        };
        let policy = match id {
            PipelineId::Master(name) => plan.master(name).map(|master| &master.policy),
            PipelineId::Slave(name) => plan.slave(name).map(|slave| &slave.policy),
        };
        let pipeline = Pipeline {
            name: id.to_string(),
            source,
            sink,
            hydrate,
            dead: Box::new(BusSink(bus.dead())),
            chain: self.chain.clone(),
            names: ends::names(plan, id)?,
            crashes: self.crashes.clone(),
            policy: policy.cloned().unwrap_or_default(),
            observer: Arc::clone(&self.observer),
        };
        // A task of its own, so that a panic ends there; a set, so that it ends with this one.
        let mut task = JoinSet::new();
        task.spawn(pipeline.run(stop.clone(), plan.limits.drain));
        match task.join_next().await {
            Some(Ok(ended)) => Ok(ended?),
            Some(Err(error)) => Err(match error.try_into_panic() {
                Ok(panic) => anyhow!("it panicked, which is a fault of Weir: {}", said(&*panic)),
                Err(error) => error.into(),
            }),
            None => Err(anyhow!("it has no task")),
        }
    }
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it does not say why")
}

/// Half to all of a pause, so that pipelines that failed together do not start together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + 0.5 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use weir_pipeline::observe::Observation;
    use weir_wasm::Workshop;

    use super::*;
    use crate::config::Config;
    use crate::signals::Signals;
    use crate::supervisor::Supervisor;

    #[test]
    fn a_panic_says_what_it_is_about() {
        let caught = |panic: fn()| std::panic::catch_unwind(panic).unwrap_err();
        assert_eq!(said(&*caught(|| panic!("as it is"))), "as it is");
        let said_by = caught(|| panic!("with {}", std::hint::black_box(1)));
        assert_eq!(said(&*said_by), "with 1");
    }

    #[test]
    fn pauses_are_shorter_by_half_at_most() {
        for _ in 0..100 {
            let pause = jittered(LONGEST_PAUSE);
            assert!(pause >= LONGEST_PAUSE / 2 && pause <= LONGEST_PAUSE);
        }
    }

    /// Panics at the first thing that it hears.
    #[derive(Default)]
    struct Panics(std::sync::atomic::AtomicUsize);

    impl Observer for Panics {
        fn observe(&self, _: &Observation<'_>) {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(before > 0, "the observer fails");
        }
    }

    struct Silent;

    impl Observer for Silent {
        fn observe(&self, _: &Observation<'_>) {}
    }

    #[tokio::test]
    async fn a_pipeline_that_panics_starts_again_and_leaves_others_alone() {
        let site = tempfile::tempdir().unwrap();
        let frames = include_str!("../../../tests/fixtures/geoserver-cloud-frames.jsonl");
        let frame = frames.lines().nth(1).unwrap();
        std::fs::write(site.path().join("in.jsonl"), format!("{frame}\n")).unwrap();
        let path = site.path().join("weir.toml");
        let mut config = r#"
[[master]]
name = "cloud"
dialect = "geoserver-cloud"
source = { type = "file", path = "in.jsonl" }
"#
        .to_owned();
        for slave in ["one", "two"] {
            let slave = format!(
                r##"
[[slave]]
name = "{slave}"
subscribe = ["#"]
sink = {{ type = "file", path = "{slave}.jsonl" }}
"##
            );
            config.push_str(&slave);
        }
        std::fs::write(&path, config).unwrap();
        let panics = Arc::new(Panics::default());
        let counted = Arc::clone(&panics);
        let observers = move |id: &PipelineId| -> Arc<dyn Observer> {
            if id.to_string() == "slave one" {
                Arc::clone(&counted) as Arc<dyn Observer>
            } else {
                Arc::new(Silent)
            }
        };
        let config = Config::read(&path).unwrap();
        // There are no plugins.
        let workshop = Workshop {
            program: "/bin/false".into(),
            arguments: Vec::new(),
        };
        let supervisor = Supervisor::start(config, workshop, Arc::new(observers))
            .await
            .unwrap();
        let outputs = ["one.jsonl", "two.jsonl"].map(|name| site.path().join(name));
        let complete = async {
            let there = |path: &std::path::PathBuf| {
                std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
            };
            let all = async {
                while !outputs.iter().all(there) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), all)
                .await
                .unwrap();
        };
        supervisor.run(Signals::new().unwrap(), complete).await;
        assert!(panics.0.load(std::sync::atomic::Ordering::Relaxed) > 1);
    }
}
