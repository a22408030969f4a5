//! Runs a configuration: starts its pipelines, follows changes of the file and of the plugins, and
//! stops everything in good order.
//!
//! One loop handles everything that can happen, one thing after the other, so that a reload never
//! meets a swap half-way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::watch;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use weir_bus::{AmqpUrl, Bus, BusSettings, Topology};
use weir_pipeline::assembly::Plugins;
use weir_pipeline::chain::Chain;
use weir_pipeline::crashes::Crashes;
use weir_pipeline::file::Problems;
use weir_pipeline::observe::Observer;
use weir_pipeline::plan::{BusPlan, PipelineId, Plan, PluginPlan, SourcePlan};
use weir_pipeline::run::Stopped;
use weir_wasm::{Host, HostSettings, Workshop};

use crate::attached::{Attached, Tap, wanted};
use crate::config::Config;
use crate::ends::{self, Ends, Readers};
use crate::kept::Kept;
use crate::signals::{Signal, Signals};
use crate::watcher::Watcher;

/// Makes the observer of each pipeline.
pub(crate) type Observers = dyn Fn(&PipelineId) -> Arc<dyn Observer> + Send + Sync;

/// A configuration that runs.
pub(crate) struct Supervisor {
    config: Config,
    plan: Plan,
    host: Host,
    bus: Bus,
    plugins: Plugins,
    pipelines: BTreeMap<PipelineId, Running>,
    /// Masters that came to the end of their file: it is not read again because of other changes.
    finished: BTreeSet<PipelineId>,
    attached: Attached,
    crashes: Crashes,
    /// The masters that are read, of which something may be asked.
    readers: Readers,
    tasks: JoinSet<Stopped>,
    watcher: Watcher,
    /// A plan that could not be taken over, and may be when a plugin of it changes.
    postponed: Option<Plan>,
    /// True if that is because the broker is away: it is tried again before anything changes.
    again: bool,
    /// What was last told about a configuration that cannot be read or is wrong.
    told: Option<String>,
    /// Plugins whose file cannot be used, which was told.
    faulty: BTreeSet<String>,
    observers: Arc<Observers>,
}

/// A plan was not taken over because nobody could ask the broker.
#[derive(Debug, thiserror::Error)]
#[error("the broker is away; it is tried again")]
struct Away;

struct Running {
    chain: watch::Sender<Arc<Chain>>,
    stop: CancellationToken,
    task: task::Id,
}

/// How a pipeline's task ended.
type Ended = Result<(task::Id, Stopped), JoinError>;

/// Signals to stop that come within this time are one.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How much longer than a drain stopping takes at most: closing a channel in good order is an answer
/// of the broker, and a pipeline that used up the drain still does that.
const SLACK: Duration = Duration::from_secs(2);

/// How long taking bindings away may take: a broker that is away must not hold up a reload.
const UNBIND: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Checks the configuration, loads the plugins, opens the bus and starts every pipeline.
    pub(crate) async fn start(
        config: Config,
        workshop: Workshop,
        observers: Arc<Observers>,
    ) -> anyhow::Result<Self> {
        let started = Instant::now();
        let plan = config.plan()?;
        let host = host(&plan, workshop)?;
        // Followed before they are read: a change that comes meanwhile is one.
        let mut watcher = Watcher::new()?;
        watcher.follow(files(&config, &plan));
        let (plugins, errors) = Plugins::read(&host, &plan.plugins);
        plan.fit(errors)?;
        let chains = chains(&plugins, &plan, |_| true).await?;
        let address = ends::bus_address(&plan.bus)?;
        let bus = Bus::open_with(&address, &ends::bus_settings(&plan)).await?;
        let attached = Attached::open(&plan.state, config.path(), &address)?;
        let mut supervisor = Self {
            crashes: Crashes::open(&plan.state.join("crashes")),
            readers: Readers::default(),
            config,
            plan,
            host,
            bus,
            plugins,
            pipelines: BTreeMap::new(),
            finished: BTreeSet::new(),
            attached,
            tasks: JoinSet::new(),
            watcher,
            postponed: None,
            again: false,
            told: None,
            faulty: BTreeSet::new(),
            observers,
        };
        if let BusPlan::RabbitMq(_) = supervisor.plan.bus {
            info!("waiting for the broker");
        }
        supervisor.attached.add(wanted(&supervisor.plan))?;
        let topology = supervisor.topology(&supervisor.plan);
        supervisor.bus.maintain(&topology).await?;
        supervisor.unbind(None).await;
        for (id, chain) in chains {
            let ends = match Ends::open(&supervisor.bus, &supervisor.plan, &id, &supervisor.readers)
                .await
            {
                Ok(ends) => Some(ends),
                // It is tried again, and told.
                Err(error) if may_pass(&error) => None,
                Err(error) => return Err(error),
            };
            supervisor.start_pipeline(id, chain, ends);
        }
        let (masters, slaves) = (supervisor.plan.masters.len(), supervisor.plan.slaves.len());
        info!(masters, slaves, took = ?started.elapsed(), "running");
        Ok(supervisor)
    }

    /// Runs until it is told to stop, or until `done`.
    pub(crate) async fn run(mut self, mut signals: Signals, done: impl Future<Output = ()>) {
        let mut done = std::pin::pin!(done);
        loop {
            let force = tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => break,
                    Signal::Reload => true,
                },
                () = self.watcher.changed() => false,
                () = sleep(UNBIND), if self.again => false,
                Some(ended) = self.tasks.join_next_with_id() => {
                    self.ended(ended);
                    continue;
                }
                () = &mut done => break,
            };
            tokio::select! {
                () = self.refresh(force) => {}
                // What takes long, such as a large plugin, does not keep a stop waiting.
                () = signals.stop() => break,
            }
        }
        self.stop(&mut signals).await;
    }

    /// A pipeline ended: told to, or at the end of its file.
    fn ended(&mut self, ended: Ended) {
        let (task, result) = match ended {
            Ok((task, stopped)) => (task, Ok(stopped)),
            Err(error) => (error.id(), Err(error)),
        };
        let of_task = |(id, running): (&PipelineId, &Running)| {
            (running.task == task).then(|| (id.clone(), running.stop.is_cancelled()))
        };
        let Some((id, told)) = self.pipelines.iter().find_map(of_task) else {
            return;
        };
        self.pipelines.remove(&id);
        match result {
            Ok(Stopped { given_back: 0 }) if told => info!(pipeline = %id, "stopped"),
            Ok(Stopped { given_back }) if told => {
                info!(pipeline = %id, given_back, "stopped; what is given back comes again");
            }
            Ok(_) => {
                info!(pipeline = %id, "at its end");
                self.finished.insert(id);
            }
            // Panics of the pipeline itself end within it: this is about what keeps it.
            Err(error) => error!(pipeline = %id, %error, "ended, and is not kept any more"),
        }
    }

    /// Masters stop first: what they publish meanwhile still finds its slaves. All of it takes as
    /// long as a drain may, and not longer, whatever hangs.
    async fn stop(&mut self, signals: &mut Signals) {
        let drain = self.plan.limits.drain;
        info!(at_most = ?drain, "stopping");
        let started = Instant::now();
        let stopping = async {
            let masters: Vec<PipelineId> = self.pipelines.keys().cloned().collect();
            let masters = masters
                .iter()
                .filter(|id| matches!(id, PipelineId::Master(_)));
            // A master that hangs leaves its slaves the other half.
            if timeout(drain / 2, self.stop_pipelines(masters))
                .await
                .is_err()
            {
                warn!("masters take long to stop; slaves stop now as well");
            }
            let all: Vec<PipelineId> = self.pipelines.keys().cloned().collect();
            let left = drain.saturating_sub(started.elapsed());
            let left = left.saturating_add(SLACK);
            timeout(left, self.stop_pipelines(all.iter())).await.is_ok()
        };
        let in_time = tokio::select! {
            in_time = stopping => in_time,
            () = told_again(signals) => {
                warn!("told again to stop: what is in flight comes again");
                return;
            }
        };
        if !in_time {
            for id in self.pipelines.keys() {
                warn!(pipeline = %id, "did not stop in time: what is in flight comes again");
            }
            self.tasks.abort_all();
        }
    }

    /// Takes over what changed in the configuration and in the plugins. What cannot be taken over
    /// is told once, and what was in service before stays. With `force`, everything is looked at
    /// again, even what failed before and did not change since.
    async fn refresh(&mut self, force: bool) {
        if force {
            self.look_at_bus().await;
        }
        let plugins = self
            .plan
            .plugins
            .iter()
            .chain(self.postponed.iter().flat_map(|plan| &plan.plugins));
        let paths: BTreeSet<&PathBuf> = plugins.map(|plugin| &plugin.path).collect();
        let new: BTreeSet<PathBuf> = paths
            .into_iter()
            .filter(|path| self.watcher.is_new(path) || force)
            .cloned()
            .collect();
        self.miss_plugins();
        // A plan that waits for a plugin gets another chance when one comes.
        let again = std::mem::take(&mut self.again);
        let waits = self.postponed.is_some() && (again || !new.is_empty());
        match self.config.changed(force || waits) {
            Ok(None) => {
                if self.told.is_some() && self.postponed.is_none() {
                    info!("the configuration is again what is in service");
                }
                self.swap_plugins(&new).await;
            }
            Ok(Some(plan)) if plan == self.plan => {
                // Lines may have moved.
                self.plan = plan;
                self.postponed = None;
                info!("the configuration is what is in service");
                self.swap_plugins(&new).await;
            }
            Ok(Some(plan)) => match self.reload(plan.clone()).await {
                Ok(()) => {
                    self.postponed = None;
                    info!("the new configuration is in service");
                }
                Err(error) => {
                    self.again = error.is::<Away>();
                    let told = format!("{error:#}");
                    if self.told.as_ref() != Some(&told) {
                        error!("the configuration stays as it was:\n{told}");
                    }
                    let told = self.again.then_some(told);
                    self.postponed = Some(plan);
                    self.swap_plugins(&new).await;
                    self.told = told;
                    return;
                }
            },
            Err(error) => {
                let told = format!("{error:#}");
                if self.told.as_ref() != Some(&told) {
                    error!("the configuration stays as it was:\n{told}");
                }
                self.told = Some(told);
                // A mistake in the file is no reason to leave out a plugin that is right.
                self.swap_plugins(&new).await;
                return;
            }
        }
        self.told = None;
    }

    /// Has the bus see whether all is there that should be.
    async fn look_at_bus(&self) {
        let topology = self.topology(&self.plan);
        match timeout(UNBIND, self.bus.maintain(&topology)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = error.to_string(), "the bus is not as it has to be"),
            Err(_) => warn!("the broker is away; the bus is looked at when it is back"),
        }
    }

    /// Puts new plugins in service, each by itself, so that a broken one holds up no other.
    async fn swap_plugins(&mut self, new: &BTreeSet<PathBuf>) {
        for plugin in self.plan.plugins.clone() {
            if !new.contains(&plugin.path) {
                continue;
            }
            match self.swap(&plugin).await {
                Ok(()) => {
                    if self.faulty.remove(&plugin.name) {
                        info!(plugin = plugin.name, "the file is in service");
                    }
                }
                Err(error) => {
                    error!(
                        plugin = plugin.name,
                        "the old version stays in service:\n{error:#}"
                    );
                    self.faulty.insert(plugin.name);
                }
            }
        }
    }

    /// Tells once of plugins whose file is gone: they go on, but Weir would not start again.
    fn miss_plugins(&mut self) {
        for plugin in &self.plan.plugins {
            if !plugin.path.exists() && self.faulty.insert(plugin.name.clone()) {
                let (plugin, path) = (&plugin.name, plugin.path.display());
                warn!(
                    plugin,
                    "{path} is gone; the version that was read stays in service"
                );
            }
        }
    }

    /// Every chain with the new plugin is ready before the first one is in service.
    async fn swap(&mut self, plugin: &PluginPlan) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut plugins = self.plugins.clone();
        let problem = plugins.replace(&self.host, plugin).err();
        self.plan.fit(problem.into_iter().collect())?;
        let (Some((_, old)), Some((_, new))) =
            (self.plugins.find(&plugin.name), plugins.find(&plugin.name))
        else {
            bail!("there is no plugin of that name in service");
        };
        if old.digest() == new.digest() {
            return Ok(());
        }
        if old.world() != new.world() {
            let (old, new) = (old.world().as_str(), new.world().as_str());
            bail!(
                "{} is a {new}, and a {old} is in service",
                plugin.path.display()
            );
        }
        let (from, to) = (
            format!("{:.12}", old.digest()),
            format!("{:.12}", new.digest()),
        );
        let concerned = |id: &PipelineId| {
            self.plan
                .stages(id)
                .any(|stage| stage.plugin == plugin.name)
        };
        for (id, chain) in chains(&plugins, &self.plan, concerned).await? {
            if let Some(running) = self.pipelines.get(&id) {
                running.chain.send_replace(Arc::new(chain));
            }
        }
        self.plugins = plugins;
        info!(plugin = plugin.name, from, to, took = ?started.elapsed(), "swapped");
        Ok(())
    }

    /// Puts a new plan in service. Whatever of it can fail is done before anything old is touched.
    async fn reload(&mut self, plan: Plan) -> anyhow::Result<()> {
        let stays = plan.bus == self.plan.bus
            && plan.bus_settings == self.plan.bus_settings
            && plan.state == self.plan.state;
        if !stays {
            bail!("`bus` and `state` change only with a restart");
        }
        for master in &self.plan.masters {
            let id = PipelineId::Master(master.name.clone());
            if master.source == SourcePlan::Stdin && !plan.has_same_ends(&self.plan, &id) {
                bail!("{id} reads standard input, and changes only with a restart");
            }
        }
        self.watcher
            .follow(files(&self.config, &self.plan).chain(files(&self.config, &plan)));
        let (plugins, errors) = Plugins::read(&self.host, &plan.plugins);
        plan.fit(errors)?;
        let changed = |id: &PipelineId| !self.is_unchanged(&plan, &plugins, id);
        let chains = chains(&plugins, &plan, changed).await?;
        let mut ends = BTreeMap::new();
        for id in chains.keys() {
            let same = plan.has_same_ends(&self.plan, id);
            if !(same && (self.pipelines.contains_key(id) || self.finished.contains(id))) {
                let opened = Ends::open(&self.bus, &plan, id, &self.readers).await?;
                ends.insert(id.clone(), opened);
            }
        }
        self.attach(&plan).await?;

        let old = std::mem::replace(&mut self.plan, plan);
        self.plugins = plugins;
        // Every one of them was read just now.
        self.faulty.clear();
        let gone: Vec<PipelineId> = self.pipelines.keys().cloned().collect();
        let gone = gone
            .iter()
            .filter(|id| !self.plan.has_same_ends(&old, id))
            .cloned();
        self.stop_pipelines(gone.collect::<Vec<_>>().iter()).await;
        self.finished.retain(|id| self.plan.has_same_ends(&old, id));
        for (id, chain) in chains {
            if let Some(ends) = ends.remove(&id) {
                info!(pipeline = %id, "started");
                self.start_pipeline(id, chain, Some(ends));
            } else if let Some(running) = self.pipelines.get(&id) {
                running.chain.send_replace(Arc::new(chain));
                info!(pipeline = %id, "changed");
            }
        }
        for slave in ends::brought_up(&self.plan) {
            if !ends::brought_up(&old).any(|known| known.name == slave.name) {
                self.readers.bring_up(&slave.name, &self.plan.state);
            }
        }
        self.unbind(Some(&old)).await;
        self.watcher.follow(files(&self.config, &self.plan));
        Ok(())
    }

    /// True if the pipeline runs already as the new plan has it: it goes on undisturbed.
    fn is_unchanged(&self, plan: &Plan, plugins: &Plugins, id: &PipelineId) -> bool {
        let same = match id {
            PipelineId::Slave(name) => plan.slave(name) == self.plan.slave(name),
            PipelineId::Master(name) => {
                let slaves = |plan: &Plan| -> Vec<String> {
                    plan.slaves.iter().map(|slave| slave.name.clone()).collect()
                };
                plan.master(name) == self.plan.master(name) && slaves(plan) == slaves(&self.plan)
            }
        };
        let same_plugins = || {
            plan.stages(id).all(|stage| {
                let look = |plugins: &Plugins| {
                    let (plan, plugin) = plugins.find(&stage.plugin)?;
                    Some((plan.clone(), plugin.digest()))
                };
                look(plugins) == look(&self.plugins)
            })
        };
        let runs = self.pipelines.contains_key(id) || self.finished.contains(id);
        runs && same && plan.limits == self.plan.limits && same_plugins()
    }

    /// What the bus has to be like for a plan.
    fn topology(&self, plan: &Plan) -> Topology {
        Topology {
            slaves: wanted(plan).slaves,
            earlier: self.attached.get().slaves.clone(),
        }
    }

    /// Has the bus queue what the slaves of the plan subscribe to, and nothing else. After an error
    /// it goes on as before.
    async fn attach(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.attached.add(wanted(plan))?;
        // Longer than a broker needs that is there; a swap waits for this.
        match timeout(UNBIND, self.bus.maintain(&self.topology(plan))).await {
            Ok(maintained) => maintained?,
            Err(_) => return Err(Away.into()),
        }
        for slave in &plan.slaves {
            if self.plan.slave(&slave.name).is_none() {
                info!(slave = slave.name, "attached");
            }
        }
        Ok(())
    }

    /// Takes the queues of masters off the exchanges that they do not read any more, and notes what
    /// is bound now. What fails is tried again with the next change, or at the next start.
    async fn unbind(&mut self, old: Option<&Plan>) {
        let mut bound = wanted(&self.plan);
        for slave in self.attached.get().slaves.keys() {
            if !bound.slaves.contains_key(slave) {
                info!(slave, "detached: its queue keeps what is in it");
            }
        }
        let plans = old.into_iter().chain([&self.plan]);
        let urls: BTreeMap<String, AmqpUrl> = plans
            .flat_map(ends::foreign)
            .filter_map(|end| ends::amqp_url(end.url).ok())
            .map(|url| (url.to_string(), url))
            .collect();
        for (master, taps) in &self.attached.get().masters {
            let mut gone: BTreeMap<(&str, &str), Vec<&Tap>> = BTreeMap::new();
            let kept = bound.masters.get(master).cloned().unwrap_or_default();
            for tap in taps.difference(&kept) {
                let from = (tap.broker.as_str(), tap.prefix.as_str());
                gone.entry(from).or_default().push(tap);
            }
            for ((broker, prefix), taps) in gone {
                let settings = BusSettings {
                    prefix: prefix.to_owned(),
                    ..ends::bus_settings(&self.plan)
                };
                let error = match urls.get(broker) {
                    Some(url) => release(url, &settings, master, &taps).await.err(),
                    None => Some("the configuration does not name this broker any more".to_owned()),
                };
                match error {
                    None => info!(
                        master,
                        broker, "its queue is off the exchange, and keeps what is in it"
                    ),
                    Some(error) => {
                        for Tap { exchange, key, .. } in &taps {
                            warn!(
                                master,
                                broker,
                                exchange,
                                key,
                                error,
                                "its queue still takes what is published there; unbind it, or delete it"
                            );
                        }
                        let left = bound.masters.entry(master.clone()).or_default();
                        left.extend(taps.into_iter().cloned());
                    }
                }
            }
        }
        if let Err(error) = self.attached.set(bound) {
            warn!("{error:#}");
        }
    }

    fn start_pipeline(&mut self, id: PipelineId, chain: Chain, ends: Option<Ends>) {
        let (sender, chain) = watch::channel(Arc::new(chain));
        let stop = CancellationToken::new();
        let kept = Kept {
            observer: (self.observers)(&id),
            id: id.clone(),
            plan: Arc::new(self.plan.clone()),
            bus: self.bus.clone(),
            chain,
            crashes: self.crashes.clone(),
            readers: self.readers.clone(),
        };
        let task = self.tasks.spawn(kept.run(ends, stop.clone())).id();
        let chain = sender;
        self.pipelines.insert(id, Running { chain, stop, task });
    }

    /// Stops pipelines and waits for their ends.
    async fn stop_pipelines(&mut self, ids: impl Iterator<Item = &PipelineId> + Clone) {
        for running in ids.clone().filter_map(|id| self.pipelines.get(id)) {
            running.stop.cancel();
        }
        while ids.clone().any(|id| self.pipelines.contains_key(id)) {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                return;
            };
            self.ended(ended);
        }
    }
}

/// Unbinds the queue of a master.
async fn release(
    url: &AmqpUrl,
    settings: &BusSettings,
    master: &str,
    taps: &[&Tap],
) -> Result<(), String> {
    let bindings: Vec<_> = taps
        .iter()
        .map(|tap| (tap.exchange.clone(), tap.key.clone()))
        .collect();
    match timeout(UNBIND, Bus::unbind(url, settings, master, &bindings)).await {
        Ok(unbound) => unbound.map_err(|error| error.to_string()),
        Err(_) => Err("the broker is away".to_owned()),
    }
}

/// Waits for another signal to stop. One that comes at once is the same: a terminal and a wrapper
/// may both send it.
async fn told_again(signals: &mut Signals) {
    let first = Instant::now();
    while first.elapsed() < AT_ONCE {
        signals.stop().await;
    }
}

/// True of an error that says nothing against the configuration: it may work later as it is.
fn may_pass(error: &anyhow::Error) -> bool {
    let io = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::Interrupted
                | io::ErrorKind::TimedOut
        )
    })
}

/// The files that a configuration is made of.
fn files<'a>(config: &'a Config, plan: &'a Plan) -> impl Iterator<Item = &'a Path> {
    let plugins = plan.plugins.iter().map(|plugin| plugin.path.as_path());
    plugins.chain([config.path()])
}

pub(crate) fn host(plan: &Plan, workshop: Workshop) -> anyhow::Result<Host> {
    let settings = HostSettings {
        cache: Some(plan.state.join("compiled")),
        workshop: Some(workshop),
    };
    Ok(Host::new(settings)?)
}

/// The chains of the wanted pipelines, or every reason why there is one that cannot be.
pub(crate) async fn chains(
    plugins: &Plugins,
    plan: &Plan,
    wanted: impl Fn(&PipelineId) -> bool,
) -> Result<BTreeMap<PipelineId, Chain>, Problems> {
    let mut chains = BTreeMap::new();
    let mut errors = Vec::new();
    for id in plan.pipelines().filter(wanted) {
        match plugins.chain(plan, &id).await {
            Ok(chain) => drop(chains.insert(id, chain)),
            Err(more) => errors.extend(more),
        }
    }
    plan.fit(errors)?;
    Ok(chains)
}
