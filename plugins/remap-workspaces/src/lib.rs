//! Moves events from one workspace to another, so that a slave holds what a master holds under
//! names of its own.
//!
//! A plugin sees workspaces in a few places only: the subject, what it was called before, and what
//! it refers to. Weir writes what changes there into every place of the body that says the same.

mod settings;
mod table;
mod uri;

use std::borrow::Cow;

use serde::Deserialize;
use uuid::Uuid;
use weir_plugin::{Event, Failure, Interest, Object, Outcome, Transform};

use settings::Settings;
use table::Table;

/// Where the URI of a workspace's namespace stands, apart from the references.
const URI_PROPERTIES: [&str; 2] = ["uri", "connectionParameters.namespace"];

/// The roles of what is in the workspace of the subject, where the event is no move.
const BESIDE: [&str; 4] = ["workspace", "namespace", "store", "resource"];

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
    workspaces: Table,
    /// What stands before and after the name of every workspace that is not in `workspaces`.
    prefix: String,
    suffix: String,
    /// From old URI to new.
    namespaces: Table,
    /// True if two workspaces may become one.
    merge: bool,
    /// The name space of new ids, where ids are to be new.
    minting: Option<Uuid>,
}

impl Transform for RemapWorkspaces {
    fn transform(&self, mut event: Event) -> Result<Outcome, Failure> {
        // URIs first, while the subject still has its old name.
        let mut changed = self.remap_uris(&mut event)?;
        let home = event.subject.workspace.clone();
        // Only a change can be a move, and no layer moves away from its resource.
        let moves = |role: &str| event.action == "modified" && role != "resource";
        for reference in &mut event.references {
            let role = reference.role.as_str();
            let beside = BESIDE.contains(&role) && !moves(role);
            let home = home.as_deref().filter(|_| beside);
            changed |= self.remap(&mut reference.target, home)?;
        }
        for object in std::iter::once(&mut event.subject).chain(&mut event.previous) {
            changed |= self.remap(object, None)?;
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
        // The default namespace is said as a reference of the catalog's.
        let of_catalog = event
            .references
            .iter()
            .find(|reference| reference.role == "default-namespace")
            .and_then(|reference| reference.target.workspace.as_deref());
        let workspace = event.subject.workspace.as_deref().or(of_catalog);
        let mut changed = false;
        for property in &mut event.properties {
            if !URI_PROPERTIES.contains(&property.name.as_str()) || property.value.is_empty() {
                continue;
            }
            if let Some(new) = self.remap_uri(&property.value, workspace)? {
                property.value = new;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// What becomes of the URI of a workspace's namespace, if it is another one.
    fn remap_uri(&self, uri: &str, workspace: Option<&str>) -> Result<Option<String>, Failure> {
        if let Some(new) = self.namespaces.new_of(uri) {
            return Ok((new != uri).then(|| new.to_owned()));
        }
        let new = match workspace {
            None => None,
            Some(source) => {
                let target = self.target(source)?;
                (target != source).then(|| uri::follow(uri, source, &target))
            }
        };
        let followed = new.as_deref().unwrap_or(uri);
        if !self.merge
            && let Some(other) = self.namespaces.old_of(followed)
        {
            // GeoServer takes one namespace of a URI and refuses the next.
            return Err(Failure::Reject(format!(
                "the namespace URI `{uri}` would become `{followed}`, as `{other}` does: \
                 give it a URI of its own in `namespaces`, or set `merge = true`"
            )));
        }
        Ok(new)
    }

    /// `home` is the workspace of an object that does not say it. True if the object is another one
    /// now.
    fn remap(&self, object: &mut Object, home: Option<&str>) -> Result<bool, Failure> {
        let Some(source) = object.workspace.as_deref().or(home) else {
            self.check_global(object)?;
            return Ok(false);
        };
        let target = self.target(source)?;
        if target == source {
            return Ok(false);
        }
        let mut changed = false;
        if let (Some(space), Some(id)) = (&self.minting, &mut object.id) {
            *id = mint(space, id);
            changed = true;
        }
        if object.workspace.is_some() {
            object.workspace = Some(target.into_owned());
            changed = true;
        }
        Ok(changed)
    }

    /// What a workspace is called at the slave.
    fn target<'a>(&'a self, source: &'a str) -> Result<Cow<'a, str>, Failure> {
        if let Some(target) = self.workspaces.new_of(source) {
            return Ok(Cow::Borrowed(target));
        }
        let target = if self.prefix.is_empty() && self.suffix.is_empty() {
            Cow::Borrowed(source)
        } else {
            Cow::Owned([&self.prefix, source, &self.suffix].concat())
        };
        if !self.merge
            && let Some(other) = self.workspaces.old_of(&target)
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
