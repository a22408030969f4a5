//! Assembly: plugins are read, and chains are made out of a plan, before anything is put to work.

use std::collections::BTreeMap;

use weir_wasm::{Host, Plugin, Router, Settings, Stage, World};

use crate::chain::{Chain, Side, Work};
use crate::file::Problem;
use crate::plan::{PipelineId, Plan, PluginPlan, StagePlan};

/// The plugins of a plan, by name, each with the plan that it was read for.
#[derive(Clone, Default)]
pub struct Plugins(BTreeMap<String, (PluginPlan, Plugin)>);

impl Plugins {
    /// Reads every plugin of the plan; what cannot be read is left out and told.
    pub fn read(host: &Host, plans: &[PluginPlan]) -> (Self, Vec<Problem>) {
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
    pub fn replace(&mut self, host: &Host, plan: &PluginPlan) -> Result<(), Problem> {
        let name = plan.name.clone();
        let plugin = match host.read(&name, &plan.path) {
            Ok(plugin) => plugin,
            Err(error) => {
                return Err(Problem::at(
                    &plan.place,
                    format!("plugin `{name}`: {error}"),
                ));
            }
        };
        match &plan.sha256 {
            Some(pinned) if *pinned != plugin.digest().to_string() => {
                let message = format!(
                    "plugin `{name}`: the file has the SHA-256 {}, and the configuration pins {pinned}",
                    plugin.digest()
                );
                return Err(Problem {
                    hint: Some("if the change is wanted, change `sha256`".to_owned()),
                    ..Problem::at(&plan.place, message)
                });
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

    async fn stage(&self, plan: &StagePlan, slaves: &[String]) -> Result<Stage, Problem> {
        let Some((
            PluginPlan {
                limits, instances, ..
            },
            plugin,
        )) = self.0.get(&plan.plugin)
        else {
            let (stage, plugin) = (&plan.name, &plan.plugin);
            let message =
                format!("stage `{stage}` needs plugin `{plugin}`, which could not be read");
            return Err(Problem::at(&plan.place, message));
        };
        let settings = Settings {
            config: plan.settings.reveal().to_owned(),
            slaves: slaves.to_vec(),
        };
        plugin
            .stage(&plan.name, &settings, limits.clone(), *instances)
            .await
            .map_err(|error| {
                // A plugin may quote its settings.
                let told = plan
                    .secrets
                    .iter()
                    .fold(error.to_string(), |told, secret| secret.mask(&told));
                Problem::at(&plan.place, told)
            })
    }

    /// An error if the plugin of a stage is not of a world that belongs there. Known without its
    /// settings, which say nothing in the wrong place.
    fn check_world(&self, plan: &StagePlan, is_route: bool) -> Result<(), Problem> {
        match self.find(&plan.plugin).map(|(_, plugin)| plugin.world()) {
            Some(world) if (world == World::Router) != is_route => {
                let message = format!(
                    "stage `{}`: `{}` is a {world}, and belongs into {}",
                    plan.name,
                    plan.plugin,
                    if is_route {
                        "`stages`"
                    } else {
                        "the `route` of a master"
                    }
                );
                Err(Problem::at(&plan.place, message))
            }
            _ => Ok(()),
        }
    }

    /// The stages of a pipeline; every error among them, not only the first.
    async fn stages(&self, plans: &[StagePlan]) -> Result<Vec<Work>, Vec<Problem>> {
        let mut stages = Vec::with_capacity(plans.len());
        let mut errors = Vec::new();
        for plan in plans {
            let stage = match self.check_world(plan, false) {
                Ok(()) => self.stage(plan, &[]).await,
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

    async fn router(&self, plan: &StagePlan, slaves: &[String]) -> Result<Option<Router>, Problem> {
        self.check_world(plan, true)?;
        match self.stage(plan, slaves).await? {
            Stage::Router(router) => Ok(Some(router)),
            Stage::Filter(_) | Stage::Transform(_) => Ok(None),
        }
    }

    /// The chain of a pipeline, or every reason why it cannot be.
    pub async fn chain(&self, plan: &Plan, id: &PipelineId) -> Result<Chain, Vec<Problem>> {
        let (stages, side, policy) = match id {
            PipelineId::Slave(name) => {
                let slave = plan.slave(name).ok_or_else(Vec::new)?;
                let side = Side::Slave {
                    name: slave.name.clone(),
                    subscribe: slave.subscribe.clone(),
                    dialect: slave.sink.dialect,
                    version: slave.sink.version,
                };
                (self.stages(&slave.stages).await, Ok(side), &slave.policy)
            }
            PipelineId::Master(name) => {
                let master = plan.master(name).ok_or_else(Vec::new)?;
                let slaves: Vec<String> =
                    plan.slaves.iter().map(|slave| slave.name.clone()).collect();
                let route = match &master.route {
                    Some(route) => self.router(route, &slaves).await,
                    None => Ok(None),
                };
                let side = route.map(|route| Side::Master {
                    dialect: master.dialect,
                    source: format!("/masters/{}", master.name),
                    route,
                });
                (self.stages(&master.stages).await, side, &master.policy)
            }
        };
        match (stages, side) {
            (Ok(stages), Ok(side)) => Ok(Chain {
                side,
                stages,
                max_message: plan.limits.message,
                max_outcome_bytes: policy.bytes,
            }),
            (stages, side) => {
                let mut errors = stages.err().unwrap_or_default();
                errors.extend(side.err());
                Err(errors)
            }
        }
    }
}
