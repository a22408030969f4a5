//! Assembly: plugins are read, and chains are made out of a plan, before anything is put to work.

use std::collections::BTreeMap;

use thiserror::Error;
use weir_wasm::{Digest, Host, LoadError, Plugin, Router, Stage, StageError, World};

use crate::chain::{Chain, Side, Work};
use crate::file::{Place, Problem};
use crate::plan::{PipelineId, Plan, PluginPlan, StagePlan};

/// A part of a plan that cannot be put to work.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct AssemblyError {
    pub place: Place,
    pub cause: Box<Cause>,
}

/// Why it cannot.
#[derive(Debug, Error)]
pub enum Cause {
    #[error("plugin `{name}`: {error}")]
    Plugin { name: String, error: LoadError },
    #[error(
        "plugin `{name}`: the file has the SHA-256 {found}, and the configuration pins {pinned}"
    )]
    Pinned {
        name: String,
        found: Digest,
        pinned: String,
    },
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("stage `{stage}`: `{plugin}` is a {found}, and belongs into {place}")]
    Misplaced {
        stage: String,
        plugin: String,
        found: &'static str,
        place: &'static str,
    },
    #[error("stage `{stage}` needs plugin `{plugin}`, which could not be read")]
    NoPlugin { stage: String, plugin: String },
}

impl Cause {
    fn at(self, place: &Place) -> AssemblyError {
        AssemblyError {
            place: place.clone(),
            cause: Box::new(self),
        }
    }
}

impl From<AssemblyError> for Problem {
    fn from(error: AssemblyError) -> Self {
        let hint = match *error.cause {
            Cause::Pinned { .. } => Some("if the change is wanted, change `sha256`".to_owned()),
            _ => None,
        };
        Self {
            message: error.to_string(),
            place: error.place,
            hint,
        }
    }
}

/// The plugins of a plan, by name, each with the plan that it was read for.
#[derive(Clone, Default)]
pub struct Plugins(BTreeMap<String, (PluginPlan, Plugin)>);

impl Plugins {
    /// Reads every plugin of the plan; what cannot be read is left out and told.
    pub fn read(host: &Host, plans: &[PluginPlan]) -> (Self, Vec<AssemblyError>) {
        let mut plugins = Self::default();
        let mut errors = Vec::new();
        for plan in plans {
            if let Err(error) = plugins.replace(host, plan) {
                errors.push(error);
            }
        }
        (plugins, errors)
    }

    /// Reads one plugin, in place of the one of its name. After an error the old one is still there.
    pub fn replace(&mut self, host: &Host, plan: &PluginPlan) -> Result<(), AssemblyError> {
        let name = plan.name.clone();
        let plugin = match host.read(&name, &plan.path) {
            Ok(plugin) => plugin,
            Err(error) => return Err(Cause::Plugin { name, error }.at(&plan.place)),
        };
        match &plan.sha256 {
            Some(pinned) if *pinned != plugin.digest().to_string() => {
                let cause = Cause::Pinned {
                    name,
                    found: plugin.digest(),
                    pinned: pinned.clone(),
                };
                return Err(cause.at(&plan.place));
            }
            _ => {}
        }
        self.0.insert(name, (plan.clone(), plugin));
        Ok(())
    }

    pub fn find(&self, name: &str) -> Option<(&PluginPlan, &Plugin)> {
        self.0.get(name).map(|(plan, plugin)| (plan, plugin))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&PluginPlan, &Plugin)> {
        self.0.values().map(|(plan, plugin)| (plan, plugin))
    }

    async fn stage(&self, plan: &StagePlan) -> Result<Stage, AssemblyError> {
        let Some((
            PluginPlan {
                limits, instances, ..
            },
            plugin,
        )) = self.0.get(&plan.plugin)
        else {
            let (stage, plugin) = (plan.name.clone(), plan.plugin.clone());
            return Err(Cause::NoPlugin { stage, plugin }.at(&plan.place));
        };
        let settings = plan.settings.reveal();
        plugin
            .stage(&plan.name, settings, limits.clone(), *instances)
            .await
            .map_err(|error| Cause::from(error).at(&plan.place))
    }

    /// An error if the plugin of a stage is not of a world that belongs there. Known without its
    /// settings, which say nothing in the wrong place.
    fn place(&self, plan: &StagePlan, is_route: bool) -> Result<(), AssemblyError> {
        match self.find(&plan.plugin).map(|(_, plugin)| plugin.world()) {
            Some(world) if (world == World::Router) != is_route => {
                let cause = Cause::Misplaced {
                    stage: plan.name.clone(),
                    plugin: plan.plugin.clone(),
                    found: world.as_str(),
                    place: if is_route { "`stages`" } else { "`route`" },
                };
                Err(cause.at(&plan.place))
            }
            _ => Ok(()),
        }
    }

    /// The stages of a pipeline; every error among them, not only the first.
    async fn stages(&self, plans: &[StagePlan]) -> Result<Vec<Work>, Vec<AssemblyError>> {
        let mut stages = Vec::with_capacity(plans.len());
        let mut errors = Vec::new();
        for plan in plans {
            let stage = match self.place(plan, false) {
                Ok(()) => self.stage(plan).await,
                Err(error) => Err(error),
            };
            match stage {
                Ok(Stage::Filter(filter)) => stages.push(Work::Filter(filter)),
                Ok(Stage::Transform(transform)) => stages.push(Work::Transform(transform)),
                Ok(Stage::Router(_)) => {}
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(stages)
        } else {
            Err(errors)
        }
    }

    async fn router(&self, plan: &StagePlan) -> Result<Option<Router>, AssemblyError> {
        self.place(plan, true)?;
        match self.stage(plan).await? {
            Stage::Router(router) => Ok(Some(router)),
            Stage::Filter(_) | Stage::Transform(_) => Ok(None),
        }
    }

    /// The chain of a pipeline, or every reason why it cannot be.
    pub async fn chain(&self, plan: &Plan, id: &PipelineId) -> Result<Chain, Vec<AssemblyError>> {
        let (stages, side) = match id {
            PipelineId::Slave(name) => {
                let slave = plan.slave(name).ok_or_else(Vec::new)?;
                let side = Side::Slave {
                    name: slave.name.clone(),
                    subscribe: slave.subscribe.clone(),
                    dialect: slave.sink.dialect,
                };
                (self.stages(&slave.stages).await, Ok(side))
            }
            PipelineId::Master(name) => {
                let master = plan.master(name).ok_or_else(Vec::new)?;
                let route = match &master.route {
                    Some(route) => self.router(route).await,
                    None => Ok(None),
                };
                let side = route.map(|route| Side::Master {
                    dialect: master.dialect,
                    source: format!("/masters/{}", master.name),
                    route,
                    slaves: plan.slaves.iter().map(|slave| slave.name.clone()).collect(),
                });
                (self.stages(&master.stages).await, side)
            }
        };
        match (stages, side) {
            (Ok(stages), Ok(side)) => Ok(Chain {
                side,
                stages,
                max_message: plan.limits.message,
            }),
            (stages, side) => {
                let mut errors = stages.err().unwrap_or_default();
                errors.extend(side.err());
                Err(errors)
            }
        }
    }
}
