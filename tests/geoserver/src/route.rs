//! What is asked for, by its path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::json::{Map, shown};
use crate::state::{Kind, State};
use crate::table::{GLOBAL, Id};

/// What links leave as it is; a space becomes a plus.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'*')
    .remove(b' ');

/// What a call ends with; refusals are errors.
pub(crate) type Answer = Result<Reply, Reply>;

/// The rest of a path, and the format that its last part has asked for.
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a [&'a str],
    pub(crate) format: &'a str,
    pub(crate) request: &'a Request,
}

impl State {
    pub(crate) fn answer(&mut self, request: &Request) -> Reply {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let reply = match path.as_slice() {
            ["gwc", "rest", rest @ ..] => self.tile_call(request, rest),
            ["rest", "resource", rest @ ..] => self.resource_call(request, rest),
            ["rest", "security", "acl", "layers", rest @ ..] => self.access(request, rest),
            ["rest", "security", "acl", "layers.json"] => self.access(request, &[]),
            ["rest", rest @ ..] if is_template(rest) => self.template_call(request, rest),
            ["rest", rest @ ..] => self.rest_call(request, rest),
            _ => Err(not_found()),
        };
        reply.unwrap_or_else(|refused| refused)
    }

    fn rest_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        let mut path = path.to_vec();
        let mut format = "";
        // What follows the last dot is never part of a name.
        if let Some(last) = path.last_mut()
            && let Some((name, suffix)) = last.rsplit_once('.')
        {
            (*last, format) = (name, suffix);
        }
        if request.is_read() && (format == "xml" || request.header("accept") == "application/xml") {
            return Err(Reply::text(406, "the double shows no XML of the catalog"));
        }
        let asked = |path| Asked {
            path,
            format,
            request,
        };
        let method = request.method.as_str();
        match path.as_slice() {
            ["about", "version"] => Ok(self.about()),
            ["reset"] => Ok(Reply::empty(200)),
            ["reload"] => {
                // It moves by itself, by so much when it was measured.
                self.moved(13);
                Ok(Reply::empty(200))
            }
            ["settings"] => self.global_call(request),
            ["settings", "contact"] => self.contact_call(request),
            ["logging"] => self.logging_call(request),
            ["services", service, "settings"] => self.service_call(request, service),
            ["services", service, "workspaces", workspace, "settings"] => {
                self.workspace_service_call(request, service, workspace)
            }
            ["namespaces", rest @ ..] => self.namespace_call(request, rest),
            ["workspaces"] | ["workspaces", _] => self.workspace_call(request, &path[1..]),
            ["layers", rest @ ..] => self.layer_call(request, GLOBAL, rest),
            ["styles", rest @ ..] => self.style_call(&asked(rest), GLOBAL),
            ["layergroups", rest @ ..] => self.group_call(request, GLOBAL, rest),
            ["workspaces", name, rest @ ..] => {
                let Some(workspace) = self.workspace_named(name) else {
                    return Err(match (rest.first(), method) {
                        (Some(&"styles"), _) => {
                            Reply::text(404, format!("Workspace {name} not found"))
                        }
                        _ => Reply::text(404, format!("No such workspace: '{name}' found")),
                    });
                };
                match rest {
                    ["settings"] => self.workspace_settings_call(request, workspace),
                    ["layers", rest @ ..] => self.layer_call(request, workspace, rest),
                    ["styles", rest @ ..] => self.style_call(&asked(rest), workspace),
                    ["layergroups", rest @ ..] => self.group_call(request, workspace, rest),
                    [kind, rest @ ..] => self.stored_call(request, workspace, kind, rest),
                    [] => Err(not_found()),
                }
            }
            _ => Err(not_found()),
        }
    }

    /// What is in a store, or is one.
    fn stored_call(
        &mut self,
        request: &Request,
        workspace: Id,
        collection: &str,
        rest: &[&str],
    ) -> Answer {
        if let Some(kind) = Kind::of_stores(collection) {
            return match rest {
                [] | [_] => self.store_call(request, workspace, kind, rest),
                [store, "reset"] => {
                    self.store_named(workspace, kind, store)?;
                    Ok(Reply::empty(200))
                }
                [store, resources, rest @ ..] if *resources == kind.resources() => {
                    let store = self.store_named(workspace, kind, store)?;
                    self.resource_of_store_call(request, workspace, store, rest)
                }
                _ => Err(not_found()),
            };
        }
        match Kind::of_resources(collection) {
            Some(kind) => self.resource_of_workspace_call(request, workspace, kind, rest),
            None => Err(not_found()),
        }
    }

    pub(crate) fn workspace_named(&self, name: &str) -> Option<Id> {
        if name == "default" {
            return self.default;
        }
        self.workspaces.find(GLOBAL, name)
    }

    fn about(&self) -> Reply {
        Reply::json(&json!({"about": {"resource": [
            {"@name": "GeoServer", "Build-Timestamp": "23-Oct-2022 05:18", "Version": shown(self.version.clone().into()), "Git-Revision": "ae56ccb68616bcfcc98bd21a6dd21023207bbdb8"},
            {"@name": "GeoTools", "Build-Timestamp": "23-Oct-2022 04:36", "Version": 27.2, "Git-Revision": "0578a5b83add97046cb064997acf6f17d5ae331d"},
            {"@name": "GeoWebCache", "Version": "1.21.2", "Git-Revision": "1.21.x/d3c396779c7906f99347c3ca6b9bd52f2ab4063c"}
        ]}}))
    }
}

fn is_template(path: &[&str]) -> bool {
    let is_collection = path
        .last()
        .is_some_and(|last| *last == "templates" || last.starts_with("templates."));
    is_collection || path.iter().rev().nth(1) == Some(&"templates")
}

pub(crate) fn not_found() -> Reply {
    Reply::page(404, "Not Found")
}

pub(crate) fn not_allowed() -> Reply {
    Reply::empty(405)
}

/// A document with its root.
pub(crate) fn document(root: &str, body: Map) -> Reply {
    let mut whole = Map::new();
    whole.insert(root.to_owned(), Value::Object(body));
    Reply::json(&shown(Value::Object(whole)))
}

/// A list of names and links, in the order of some hash.
pub(crate) fn list(outer: &str, inner: &str, mut entries: Vec<(String, Value)>) -> Reply {
    entries.shuffle(&mut rand::rng());
    let entries = entries
        .into_iter()
        .map(|(name, href)| json!({"name": name, "href": href}));
    let entries: Vec<Value> = entries.collect();
    let inner = if entries.is_empty() {
        Value::from("")
    } else {
        json!({ inner: entries })
    };
    Reply::json(&shown(json!({ outer: inner })))
}

/// `a b` as a link has it.
pub(crate) fn encoded(name: &str) -> String {
    let encoded = utf8_percent_encode(name, FORM).to_string();
    encoded.replace(' ', "+")
}
