//! Objects of the catalog and of the configuration, whose documents are JSON.

use serde_json::{Map, Value, json};
use weir_geoserver::{CallError, Failure, Name, Object, Removal, Scope, Workspace, shape};

use super::secrets::supply_secrets;
use super::{ApplyError, Look, Replica, name_of};
use crate::Target;
use crate::document::{Rules, differences, portable, root, root_mut, update};

/// Members of the settings of a node that are about this node alone.
const OWN_SETTINGS: [&str; 2] = ["updateSequence", "lockProviderName"];

impl Replica {
    pub(super) async fn look_at_object(
        &mut self,
        object: &Object,
        body: &Value,
    ) -> Result<Look, ApplyError> {
        let Some(have) = self.have(object).await? else {
            return Ok(Look::Missing);
        };
        let want = wanted(object, body, Some(&have))?;
        let found = differences(&want, &compared(object, &have), rules(object));
        Ok(if found.are_none() {
            Look::Same
        } else {
            Look::Differs(found.paths)
        })
    }

    pub(super) async fn converge_object(
        &mut self,
        object: &Object,
        body: &Value,
    ) -> Result<bool, ApplyError> {
        if let Object::AccessRules = object {
            return self.converge_access_rules(body).await;
        }
        match self.have(object).await? {
            Some(have) => self.change(object, body, &have).await,
            None => self.create(object, body).await.map(|()| true),
        }
    }

    async fn have(&self, object: &Object) -> Result<Option<Value>, ApplyError> {
        match self.node.get(object).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn change(
        &mut self,
        object: &Object,
        body: &Value,
        have: &Value,
    ) -> Result<bool, ApplyError> {
        let want = wanted(object, body, Some(have))?;
        let rules = rules(object);
        let have = compared(object, have);
        if differences(&want, &have, rules).are_none() {
            return Ok(false);
        }
        let mut update = update(&want, &have, rules);
        self.check_references(object, &update, &have).await?;
        self.tell_styles_apart(object, &mut update).await?;
        self.node.change(object, &update).await?;
        Ok(true)
    }

    async fn create(&mut self, object: &Object, body: &Value) -> Result<(), ApplyError> {
        let want = wanted(object, body, None)?;
        match object {
            Object::Workspace(workspace) => self.create_workspace(workspace, &want).await,
            // It comes with its resource.
            Object::Layer { workspace, name } => Err(ApplyError::needs(
                Target::Object(object.clone()),
                format_args!(
                    "the slave has no layer {workspace}:{name}, as it lacks the feature type, \
                     coverage or cascaded layer of this name"
                ),
            )),
            Object::Resource { .. } => self.create_resource(object, body).await,
            _ => {
                let mut document = want.clone();
                self.check_references(object, &document, &Value::Null)
                    .await?;
                self.tell_styles_apart(object, &mut document).await?;
                self.make(object, &document).await?;
                if is_forced(object, &want) {
                    self.node.change(object, &want).await?;
                }
                Ok(())
            }
        }
    }

    /// Creates what is not there; what lacks the thing that it is to be in waits for it.
    async fn make(&self, object: &Object, document: &Value) -> Result<(), ApplyError> {
        match self.node.create(object, document).await {
            Ok(()) => Ok(()),
            // Where there is nothing to be created, there always is one.
            Err(CallError {
                failure: Failure::NoSuchCall,
                ..
            }) => Ok(self.node.change(object, document).await?),
            // Without its container it is missing, or GeoServer stumbles over nothing, by the kind.
            Err(error) if !error.is_transient() => match container(object) {
                Some(needs) if error.is_missing() || self.have(&needs).await?.is_none() => {
                    Err(ApplyError::needs(Target::Object(needs), error))
                }
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// By its namespace: to create the workspace itself fails halfway where its name is no part of
    /// a URI. The URI is corrected when the frame of the namespace comes.
    async fn create_workspace(
        &self,
        workspace: &Workspace,
        want: &Value,
    ) -> Result<(), ApplyError> {
        let uri: String = format!("http://{workspace}")
            .bytes()
            .map(|byte| match byte {
                b'!'..=b'~' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        let isolated = root(want).and_then(|(_, want)| want.get("isolated"));
        let isolated = isolated.cloned().unwrap_or(Value::Bool(false));
        let namespace = json!({"namespace": {
            "prefix": workspace.as_str(), "uri": uri, "isolated": isolated,
        }});
        let object = Object::Namespace(workspace.clone());
        Ok(self.node.create(&object, &namespace).await?)
    }

    /// Without attributes, so that GeoServer never makes a table for them in somebody's database:
    /// it does so where a table is missing and it is told what it would have.
    async fn create_resource(&mut self, object: &Object, body: &Value) -> Result<(), ApplyError> {
        let mut document = wanted(object, body, None)?;
        if let Some((_, resource)) = root_mut(&mut document) {
            resource.shift_remove("attributes");
        }
        if let Err(error) = self.make(object, &document).await {
            return Err(match error {
                ApplyError::Refused(reason) => ApplyError::refused(format_args!(
                    "{reason}; if its table or file is missing at the slave, it has to come there \
                     first: Weir does not copy data"
                )),
                other => other,
            });
        }
        // These, and what else is not taken over.
        if let Some(have) = self.have(object).await? {
            self.change(object, body, &have).await?;
        }
        Ok(())
    }

    /// Rules are a set: those that are new are added, others changed, and those that the master does
    /// not have removed.
    async fn converge_access_rules(&mut self, body: &Value) -> Result<bool, ApplyError> {
        let object = Object::AccessRules;
        let have = self.have(&object).await?.unwrap_or(Value::Null);
        let none = Map::new();
        let have = have.as_object().unwrap_or(&none);
        let want = body.as_object().unwrap_or(&none);
        let (mut added, mut changed) = (Map::new(), Map::new());
        for (rule, roles) in want {
            match have.get(rule) {
                None => drop(added.insert(rule.clone(), roles.clone())),
                Some(other) if other != roles => drop(changed.insert(rule.clone(), roles.clone())),
                Some(_) => {}
            }
        }
        let gone: Vec<&String> = have
            .keys()
            .filter(|rule| !want.contains_key(*rule))
            .collect();
        let written = !added.is_empty() || !changed.is_empty() || !gone.is_empty();
        // What is restricted by a new rule is so before an old one goes.
        if !added.is_empty() {
            self.node.create(&object, &Value::Object(added)).await?;
        }
        if !changed.is_empty() {
            self.node.change(&object, &Value::Object(changed)).await?;
        }
        for rule in gone {
            let rule = Name::new(rule.as_str()).map_err(ApplyError::refused)?;
            let rule = Object::AccessRule(rule);
            match self.node.remove(&rule, Removal::ALONE).await {
                Err(error) if !error.is_missing() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(written)
    }
}

fn rules(object: &Object) -> Rules {
    Rules {
        // What a node goes by in its settings and services, it writes there by itself.
        may_say_more: matches!(
            object,
            Object::Settings(_)
                | Object::Service { .. }
                | Object::Logging
                | Object::DefaultWorkspace
                | Object::DefaultNamespace
        ),
    }
}

/// What the document of an object should say at the slave.
fn wanted(object: &Object, body: &Value, have: Option<&Value>) -> Result<Value, ApplyError> {
    let mut want = portable(body);
    if matches!(object, Object::Settings(Scope::Global)) {
        keep_own_settings(&mut want, have);
    }
    let Some((_, members)) = root_mut(&mut want) else {
        return Ok(want);
    };
    if let Object::Store { kind, .. } = object {
        supply_secrets(*kind, members, have)?;
    }
    leave_out(object, members);
    Ok(want)
}

/// What a node has, without what is not asked for.
fn compared(object: &Object, have: &Value) -> Value {
    let mut have = portable(have);
    if let Some((_, members)) = root_mut(&mut have) {
        leave_out(object, members);
    }
    have
}

/// Takes out what an address says already, or what nobody sends; what is left is written in one way.
fn leave_out(object: &Object, members: &mut Map<String, Value>) {
    match object {
        Object::Resource { .. } if is_sql_view(members) => {
            // GeoServer would look into the database for what the view has, and fail.
            members.shift_remove("attributes");
        }
        Object::Layer { .. } => {
            members.shift_remove("resource");
            regular_styles(members);
        }
        // Where it is says it, and to say it otherwise moves it.
        Object::Style { .. } | Object::Service { .. } => {
            members.shift_remove("workspace");
        }
        Object::Settings(Scope::Workspace(_)) => name_workspace(members),
        // Which one it is, and not what it is.
        Object::DefaultWorkspace => members.retain(|key, _| key == "name"),
        Object::DefaultNamespace => members.retain(|key, _| key == "prefix"),
        _ => {}
    }
}

/// The workspace that settings are for by its name alone: GeoServer writes all of it there.
fn name_workspace(settings: &mut Map<String, Value>) {
    if let Some(workspace) = settings.get_mut("workspace") {
        *workspace = name_only(workspace);
    }
}

/// The styles of a layer by their names alone, in a list that keeps their order.
fn regular_styles(layer: &mut Map<String, Value>) {
    if let Some(style) = layer.get_mut("defaultStyle") {
        *style = name_only(style);
    }
    if let Some(styles) = layer.get_mut("styles") {
        let names: Vec<Value> = shape::items(styles, "style")
            .iter()
            .map(name_only)
            .collect();
        *styles = if names.is_empty() {
            Value::from("")
        } else {
            json!({"@class": "linked-hash-set", "style": names})
        };
    }
}

fn name_only(style: &Value) -> Value {
    match name_of(style) {
        // The workspace beside a name counts only where there is no prefix; GeoServer writes both.
        Some(name) => match style.get("workspace").and_then(name_of) {
            Some(workspace) if !name.contains(':') => {
                json!({"name": format!("{workspace}:{name}")})
            }
            _ => json!({"name": name}),
        },
        None => style.clone(),
    }
}

fn keep_own_settings(want: &mut Value, have: Option<&Value>) {
    let have = have.and_then(root).map(|(_, have)| have);
    if let Some((_, want)) = root_mut(want) {
        for key in OWN_SETTINGS {
            match have.and_then(|have| have.get(key)) {
                // Without it, GeoServer counts from one again.
                Some(own) => drop(want.insert(key.to_owned(), own.clone())),
                None => drop(want.shift_remove(key)),
            }
        }
    }
}

fn is_sql_view(resource: &Map<String, Value>) -> bool {
    let metadata = resource.get("metadata").unwrap_or(&Value::Null);
    shape::entries(metadata).any(|(key, _)| key == "JDBC_VIRTUAL_TABLE")
}

/// True if creating the object does not take all of it over.
fn is_forced(object: &Object, want: &Value) -> bool {
    let is_off = |(_, members): (&str, &Map<String, Value>)| {
        members.get("enabled") == Some(&Value::Bool(false))
    };
    matches!(object, Object::Store { .. }) && root(want).is_some_and(is_off)
}

/// What an object is in.
fn container(object: &Object) -> Option<Object> {
    match object {
        Object::Store { workspace, .. } => Some(Object::Workspace(workspace.clone())),
        Object::Resource {
            kind,
            workspace,
            store,
            ..
        } => Some(Object::Store {
            kind: *kind,
            workspace: workspace.clone(),
            name: store.clone(),
        }),
        Object::LayerGroup { scope, .. }
        | Object::Style { scope, .. }
        | Object::Settings(scope)
        | Object::Service { scope, .. } => match scope {
            Scope::Workspace(workspace) => Some(Object::Workspace(workspace.clone())),
            Scope::Global => None,
        },
        _ => None,
    }
}
