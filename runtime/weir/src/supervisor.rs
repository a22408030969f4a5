//! Runs a configuration: starts its pipelines, follows changes of the file and of the plugins, and
//! stops everything in good order.
//!
//! One loop handles everything that can happen, one thing after the other, so that a reload never
//! meets a swap half-way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use weir_bus::Bus;
use weir_pipeline::assembly::{AssemblyError, Plugins};
use weir_pipeline::chain::Chain;
use weir_pipeline::observe::Observer;
use weir_pipeline::plan::{BusPlan, PipelineId, Plan, PluginPlan};
use weir_pipeline::run::{Pipeline, RunError, Stopped};
use weir_wasm::{Host, HostSettings};

use crate::check::Unfit;
use crate::config::Config;
use crate::ends::{self, BusSink, Ends};
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
    tasks: JoinSet<(PipelineId, Result<Stopped, RunError>)>,
    watcher: Watcher,
    observers: Arc<Observers>,
}

struct Running {
    chain: watch::Sender<Arc<Chain>>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Checks the configuration, loads the plugins, opens the bus and starts every pipeline.
    pub(crate) async fn start(config: Config, observers: Arc<Observers>) -> anyhow::Result<Self> {
        let started = Instant::now();
        let plan = config.plan()?;
        let host = host(&plan)?;
        let (plugins, errors) = Plugins::read(&host, &plan.plugins);
        none_of(&errors)?;
        let chains = chains(&plugins, &plan, |_| true).await?;
        let bus = Bus::open(&ends::bus_address(&plan.bus)?).await?;
        let mut supervisor = Self {
            config,
            plan,
            host,
            bus,
            plugins,
            pipelines: BTreeMap::new(),
            finished: BTreeSet::new(),
            tasks: JoinSet::new(),
            watcher: Watcher::new()?,
            observers,
        };
        supervisor.follow_files();
        if let BusPlan::RabbitMq(_) = supervisor.plan.bus {
            info!("waiting for the broker");
        }
        supervisor.bus.declare().await?;
        for slave in &supervisor.plan.slaves {
            supervisor.bus.attach(&slave.name, &slave.subscribe).await?;
        }
        for (id, chain) in chains {
            supervisor.start_pipeline(id, chain).await?;
        }
        let (masters, slaves) = (supervisor.plan.masters.len(), supervisor.plan.slaves.len());
        info!(masters, slaves, took = ?started.elapsed(), "running");
        Ok(supervisor)
    }

    /// Runs until it is told to stop, or until `done`; gives an error if a pipeline cannot go on.
    pub(crate) async fn run(
        mut self,
        mut signals: Signals,
        done: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let mut done = std::pin::pin!(done);
        let failed = loop {
            let force = tokio::select! {
                signal = signals.next() => match signal {
                    Signal::Stop => break None,
                    Signal::Reload => true,
                },
                () = self.watcher.changed() => false,
                Some(ended) = self.tasks.join_next() => {
                    let (id, result) = ended.context("a pipeline panicked")?;
                    match self.ended(id, result) {
                        Ok(()) => continue,
                        Err(error) => break Some(error),
                    }
                }
                () = &mut done => break None,
            };
            tokio::select! {
                () = self.refresh(force) => {}
                // What takes long, such as a large plugin, does not keep a stop waiting.
                () = signals.stop() => break None,
            }
        };
        self.stop(&mut signals).await;
        failed.map_or(Ok(()), Err)
    }

    fn ended(&mut self, id: PipelineId, result: Result<Stopped, RunError>) -> anyhow::Result<()> {
        self.pipelines.remove(&id);
        result.with_context(|| id.to_string())?;
        info!(pipeline = %id, "at its end");
        self.finished.insert(id);
        Ok(())
    }

    /// Masters stop first: what they publish meanwhile still finds its slaves.
    async fn stop(&mut self, signals: &mut Signals) {
        info!(at_most = ?self.plan.limits.drain, "stopping");
        for masters in [true, false] {
            let keys: Vec<PipelineId> = self.pipelines.keys().cloned().collect();
            for id in keys
                .iter()
                .filter(|id| matches!(id, PipelineId::Master(_)) == masters)
            {
                tokio::select! {
                    () = self.stop_pipeline(id) => {}
                    () = signals.stop() => {
                        warn!("told again to stop: what is in flight comes again");
                        return;
                    }
                }
            }
        }
    }

    /// Takes over what changed in the configuration and in the plugins. What cannot be taken over
    /// is told once, and what was in service before stays. With `force`, everything is looked at
    /// again, even what failed before and did not change since.
    async fn refresh(&mut self, force: bool) {
        match self.config.changed(force) {
            Ok(None) => self.swap_plugins(force).await,
            Ok(Some(plan)) => match self.reload(plan).await {
                Ok(()) => info!("the new configuration is in service"),
                Err(error) => error!("the configuration stays as it was: {error:#}"),
            },
            Err(error) => error!("the configuration stays as it was:\n{error:#}"),
        }
    }

    /// Puts new plugins in service, each by itself, so that a broken one holds up no other.
    async fn swap_plugins(&mut self, force: bool) {
        for plugin in self.plan.plugins.clone() {
            if !self.watcher.is_new(&plugin.path) && !force {
                continue;
            }
            if let Err(error) = self.swap(&plugin).await {
                error!(
                    plugin = plugin.name,
                    "the old version stays in service: {error:#}"
                );
            }
        }
    }

    /// Every chain with the new plugin is ready before the first one is in service.
    async fn swap(&mut self, plugin: &PluginPlan) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut plugins = self.plugins.clone();
        plugins.replace(&self.host, plugin)?;
        let (Some(old), Some(new)) = (self.plugins.get(&plugin.name), plugins.get(&plugin.name))
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

    /// Puts a new plan in service. Whatever of it can fail is done before anything old is touched;
    /// a pipeline that fails to start after that is told, and the others go on.
    async fn reload(&mut self, plan: Plan) -> anyhow::Result<()> {
        if plan.bus != self.plan.bus || plan.state != self.plan.state {
            bail!("`bus` and `state` change only with a restart");
        }
        let (plugins, errors) = Plugins::read(&self.host, &plan.plugins);
        none_of(&errors)?;
        let chains = chains(&plugins, &plan, |_| true).await?;
        for slave in &plan.slaves {
            self.bus.attach(&slave.name, &slave.subscribe).await?;
        }

        for id in self.pipelines.keys().cloned().collect::<Vec<_>>() {
            if !plan.has_same_ends(&self.plan, &id) {
                self.stop_pipeline(&id).await;
            }
        }
        let old = std::mem::replace(&mut self.plan, plan);
        self.plugins = plugins;
        self.follow_files();
        self.unbind(&old).await;
        self.finished.retain(|id| self.plan.has_same_ends(&old, id));
        for (id, chain) in chains {
            if let Some(running) = self.pipelines.get(&id) {
                running.chain.send_replace(Arc::new(chain));
            } else if !self.finished.contains(&id)
                && let Err(error) = self.start_pipeline(id.clone(), chain).await
            {
                error!(pipeline = %id, "cannot start, and will be tried with the next change: {error:#}");
            }
        }
        for slave in &self.plan.slaves {
            if old.slave(&slave.name).is_none() {
                info!(slave = slave.name, "attached");
            }
        }
        Ok(())
    }

    /// Has the bus queue nothing more of what slaves do not subscribe to any longer.
    async fn unbind(&self, old: &Plan) {
        for slave in &old.slaves {
            let new = self.plan.slave(&slave.name);
            let kept = new.map(|new| new.subscribe.as_slice()).unwrap_or_default();
            let mut gone = slave.subscribe.clone();
            gone.retain(|pattern| !kept.contains(pattern));
            if let Err(error) = self.bus.detach(&slave.name, &gone).await {
                // Its chain leaves out what it does not subscribe to, so this costs room only.
                warn!(slave = slave.name, %error, "its queue still takes what it took");
            }
            if new.is_none() {
                info!(
                    slave = slave.name,
                    "detached: its queue keeps what is in it"
                );
            }
        }
    }

    async fn start_pipeline(&mut self, id: PipelineId, chain: Chain) -> anyhow::Result<()> {
        let (ends, policy) = match &id {
            PipelineId::Master(name) => {
                let master = self.plan.master(name).context("a chain without a master")?;
                (
                    Ends::of_master(&self.bus, &self.plan, master).await,
                    &master.policy,
                )
            }
            PipelineId::Slave(name) => {
                let slave = self.plan.slave(name).context("a chain without a slave")?;
                (Ends::of_slave(&self.bus, slave), &slave.policy)
            }
        };
        let Ends {
            source,
            sink,
            names,
        } = ends.with_context(|| id.to_string())?;
        let (sender, chain) = watch::channel(Arc::new(chain));
        let stop = CancellationToken::new();
        let pipeline = Pipeline {
            name: id.to_string(),
            source,
            sink,
            dead: Box::new(BusSink(self.bus.dead())),
            chain,
            names,
            policy: policy.clone(),
            observer: (self.observers)(&id),
        };
        let run = pipeline.run(stop.clone(), self.plan.limits.drain);
        let task = id.clone();
        self.tasks.spawn(async move { (task, run.await) });
        self.pipelines.insert(
            id,
            Running {
                chain: sender,
                stop,
            },
        );
        Ok(())
    }

    /// Stops a pipeline and waits for its end.
    async fn stop_pipeline(&mut self, id: &PipelineId) {
        let Some(running) = self.pipelines.get(id) else {
            return;
        };
        running.stop.cancel();
        while self.pipelines.contains_key(id) {
            match self.tasks.join_next().await {
                Some(Ok((ended, result))) => {
                    self.pipelines.remove(&ended);
                    match result {
                        Ok(Stopped { given_back: 0 }) => info!(pipeline = %ended, "stopped"),
                        Ok(Stopped { given_back }) => {
                            info!(pipeline = %ended, given_back, "stopped; what is given back comes again");
                        }
                        Err(error) => error!(pipeline = %ended, %error, "stopped"),
                    }
                }
                Some(Err(error)) => {
                    error!(%error, "a pipeline panicked");
                    self.pipelines.remove(id);
                }
                None => return,
            }
        }
    }

    fn follow_files(&mut self) {
        let plugins = self.plan.plugins.iter().map(|plugin| plugin.path.as_path());
        self.watcher.follow(plugins.chain([self.config.path()]));
    }
}

pub(crate) fn host(plan: &Plan) -> anyhow::Result<Host> {
    let cache = Some(plan.state.join("compiled"));
    Ok(Host::new(HostSettings { cache })?)
}

/// The chains of the wanted pipelines, or every reason why there is one that cannot be.
pub(crate) async fn chains(
    plugins: &Plugins,
    plan: &Plan,
    wanted: impl Fn(&PipelineId) -> bool,
) -> anyhow::Result<BTreeMap<PipelineId, Chain>> {
    let mut chains = BTreeMap::new();
    let mut errors = Vec::new();
    for id in plan.pipelines().filter(wanted) {
        match plugins.chain(plan, &id).await {
            Ok(chain) => drop(chains.insert(id, chain)),
            Err(more) => errors.extend(more),
        }
    }
    none_of(&errors)?;
    Ok(chains)
}

/// All the errors as one, if there are any.
pub(crate) fn none_of(errors: &[AssemblyError]) -> anyhow::Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Err(Unfit(lines.join("\n")).into())
}
