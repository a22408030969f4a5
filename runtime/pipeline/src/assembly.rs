//! Assembly: plugins are read, and chains are made out of a plan, before anything is put to work.

use std::collections::BTreeMap;

use thiserror::Error;
use weir_wasm::{Digest, Host, LoadError, Plugin, Router, Stage, StageError, World};

use crate::chain::{Chain, Side, Work};
use crate::plan::{PipelineId, Plan, PluginPlan, StagePlan};

/// Why a part of a plan cannot be put to work.
#[derive(Debug, Error)]
pub enum AssemblyError {
    #[error("plugin `{name}`: {source}")]
    Plugin { name: String, source: LoadError },
    #[error(
        "plugin `{name}`: the file has the SHA-256 {found}, and the configuration pins {pinned}; \
         if the change is wanted, change `sha256`"
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
        let plugin = host
            .read(&plan.path)
            .map_err(|source| AssemblyError::Plugin {
                name: name.clone(),
                source,
            })?;
        match &plan.sha256 {
            Some(pinned) if *pinned != plugin.digest().to_string() => {
                let found = plugin.digest();
                return Err(AssemblyError::Pinned {
                    name,
                    found,
                    pinned: pinned.clone(),
                });
            }
            _ => {}
        }
        self.0.insert(name, (plan.clone(), plugin));
        Ok(())
    }

    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.0.get(name).map(|(_, plugin)| plugin)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&PluginPlan, &Plugin)> {
        self.0.values().map(|(plan, plugin)| (plan, plugin))
    }

    /// The plugin of a stage, if it may stand at this place.
    fn plugin(
        &self,
        plan: &StagePlan,
        place: Place,
    ) -> Result<&(PluginPlan, Plugin), AssemblyError> {
        let (stage, plugin) = (plan.name.clone(), plan.plugin.clone());
        let Some(known) = self.0.get(&plan.plugin) else {
            return Err(AssemblyError::NoPlugin { stage, plugin });
        };
        let world = known.1.world();
        let (fits, place) = match place {
            Place::Stages => (world != World::Router, "`route`"),
            Place::Route => (world == World::Router, "`stages`"),
        };
        if !fits {
            let found = world.as_str();
            return Err(AssemblyError::Misplaced {
                stage,
                plugin,
                found,
                place,
            });
        }
        Ok(known)
    }

    async fn stage(&self, plan: &StagePlan, place: Place) -> Result<Stage, AssemblyError> {
        let (
            PluginPlan {
                limits, instances, ..
            },
            plugin,
        ) = self.plugin(plan, place)?;
        let settings = plan.settings.reveal();
        Ok(plugin
            .stage(&plan.name, settings, limits.clone(), *instances)
            .await?)
    }

    /// The stages of a pipeline; every error among them, not only the first.
    async fn stages(&self, plans: &[StagePlan]) -> Result<Vec<Work>, Vec<AssemblyError>> {
        let mut stages = Vec::with_capacity(plans.len());
        let mut errors = Vec::new();
        for plan in plans {
            match self.stage(plan, Place::Stages).await {
                Ok(Stage::Filter(filter)) => stages.push(Work::Filter(filter)),
                Ok(Stage::Transform(transform)) => stages.push(Work::Transform(transform)),
                Ok(Stage::Router(_)) => unreachable!("a router is not let in here"),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(stages)
        } else {
            Err(errors)
        }
    }

    async fn router(&self, plan: &StagePlan) -> Result<Router, AssemblyError> {
        match self.stage(plan, Place::Route).await? {
            Stage::Router(router) => Ok(router),
            Stage::Filter(_) | Stage::Transform(_) => unreachable!("only routers are let in here"),
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
                    Some(route) => self.router(route).await.map(Some),
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

/// Where in a pipeline a plugin stands.
#[derive(Clone, Copy)]
enum Place {
    Stages,
    Route,
}
