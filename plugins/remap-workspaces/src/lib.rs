//! Moves events from one workspace to another, so that a slave holds what a master holds under
//! names of its own.
//!
//! A plugin sees workspaces in a few places only: the subject, what it was called before, and what
//! it refers to. Weir writes what changes there into every place of the body that says the same.

mod settings;
mod uri;

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;
use weir_plugin::{Event, Failure, Interest, Object, Outcome, Transform};

use settings::Settings;

/// Where the URI of a workspace's namespace stands, apart from the references.
const URI_PROPERTIES: [&str; 2] = ["uri", "connectionParameters.namespace"];

/// Kinds that no workspace holds: their ids need no workspace to be understood.
const ALWAYS_GLOBAL: [&str; 6] = [
    "global",
    "logging",
    "security",
    "gridset",
    "blobstore",
    "catalog",
];

/// What becomes of workspaces, of the URIs of their namespaces, and of the ids of what they hold.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Settings")]
pub struct RemapWorkspaces {
    /// From source to target.
    workspaces: BTreeMap<String, String>,
    /// What stands before and after the name of every workspace that is not in `workspaces`.
    prefix: String,
    suffix: String,
    /// From old to new.
    namespaces: BTreeMap<String, String>,
    /// True if two workspaces may become one.
    merge: bool,
    /// The name space of new ids, where ids are to be new.
    minting: Option<Uuid>,
}

impl Transform for RemapWorkspaces {
    fn transform(&self, mut event: Event) -> Result<Outcome, Failure> {
        // URIs first, while the subject still has its old name.
        let mut changed = self.remap_uris(&mut event)?;
        for object in event.objects_mut() {
            changed |= self.remap(object)?;
        }
        if changed {
            Ok(event.into())
        } else {
            Ok(Outcome::Unchanged)
        }
    }

    fn interest(&self) -> Interest {
        Interest::REFERENCES | Interest::PROPERTIES
    }
}

impl RemapWorkspaces {
    /// True if a URI became another one.
    fn remap_uris(&self, event: &mut Event) -> Result<bool, Failure> {
        let renamed = match event.subject.workspace.as_deref() {
            None => None,
            Some(source) => Some((source, self.target(source)?)),
        };
        let mut changed = false;
        for property in &mut event.properties {
            if !URI_PROPERTIES.contains(&property.name.as_str()) {
                continue;
            }
            let new = match (self.namespaces.get(&property.value), &renamed) {
                (Some(new), _) => new.clone(),
                (None, Some((source, target))) => {
                    uri::replace_word(&property.value, source, target)
                }
                (None, None) => continue,
            };
            if new != property.value {
                property.value = new;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// True if the object is in another workspace now.
    fn remap(&self, object: &mut Object) -> Result<bool, Failure> {
        let Some(source) = &object.workspace else {
            self.check_global(object)?;
            return Ok(false);
        };
        let target = self.target(source)?;
        if target == *source {
            return Ok(false);
        }
        if let (Some(space), Some(id)) = (&self.minting, &mut object.id) {
            *id = mint(space, id);
        }
        object.workspace = Some(target);
        Ok(true)
    }

    /// What a workspace is called at the slave.
    fn target(&self, source: &str) -> Result<String, Failure> {
        if let Some(target) = self.workspaces.get(source) {
            return Ok(target.clone());
        }
        let target = [&self.prefix, source, &self.suffix].concat();
        if !self.merge
            && let Some((other, _)) = self.workspaces.iter().find(|(_, taken)| **taken == target)
        {
            // Two workspaces in one overwrite each other's layers, and nobody would notice.
            return Err(Failure::Reject(format!(
                "workspace `{source}` would become `{target}`, as `{other}` does: \
                 give it a target of its own in `workspaces`, or set `merge = true`"
            )));
        }
        if target != source {
            settings::check_reserved(&target).map_err(Failure::Reject)?;
        }
        Ok(target)
    }

    /// Refuses to leave an id as it is that may well be one of those that are minted anew.
    fn check_global(&self, object: &Object) -> Result<(), Failure> {
        match &object.id {
            Some(id)
                if self.minting.is_some()
                    && object.name.is_none()
                    && !ALWAYS_GLOBAL.contains(&object.kind.as_str()) =>
            {
                Err(Failure::Reject(format!(
                    "the {} `{id}` is known by its id only, so whether its workspace is mapped, \
                     and its id with it, cannot be said: `mint_ids` needs events with names",
                    object.kind
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The id that stands for `id` in a name space: always the same one, and another one for another
/// id. GeoServer's prefix stays, as in `LayerInfoImpl-`.
fn mint(space: &Uuid, id: &str) -> String {
    let minted = Uuid::new_v5(space, id.as_bytes());
    match id.split_once('-') {
        Some((prefix, _)) => format!("{prefix}-{minted}"),
        None => minted.to_string(),
    }
}

weir_plugin::transform!(RemapWorkspaces);

#[cfg(test)]
mod tests;
