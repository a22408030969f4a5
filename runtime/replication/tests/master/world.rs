//! What a master has: what was recorded, and what a test adds or takes away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::recordings::Recordings;
use crate::server::{Reply, Request, Server, answer, json, version};

/// What is at the paths of a master, without what all of them begin with.
pub(crate) struct World {
    recordings: Option<Recordings>,
    added: HashMap<String, Added>,
    /// How many calls are still answered before one fails, and with which status.
    fault: Option<(usize, u16)>,
}

enum Added {
    Json(Value),
    Bytes(Vec<u8>),
    Directory,
    Nothing,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<World>>);

impl World {
    /// All that was recorded. What was not is not there.
    pub(crate) fn recorded() -> Self {
        Self {
            recordings: Some(Recordings::read()),
            ..Self::empty()
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            recordings: None,
            added: HashMap::new(),
            fault: None,
        }
    }

    pub(crate) fn json(mut self, path: &str, document: Value) -> Self {
        self.added.insert(path.to_owned(), Added::Json(document));
        self
    }

    pub(crate) fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let path = format!("/rest/resource/{path}");
        self.added.insert(path, Added::Bytes(bytes.into()));
        self
    }

    pub(crate) fn xml(mut self, path: &str, text: &str) -> Self {
        self.added
            .insert(path.to_owned(), Added::Bytes(text.into()));
        self
    }

    /// A directory: names with a slash at the end are of directories.
    pub(crate) fn directory(mut self, path: &str, names: &[&str]) -> Self {
        let children = names.iter().map(|name| {
            let is_directory = name.ends_with('/') || name.contains(".json");
            let kind = if is_directory {
                "application/json"
            } else {
                "text/plain"
            };
            json!({"name": name.trim_end_matches('/'), "link": {"type": kind}})
        });
        let children: Vec<Value> = children.collect();
        let listing = json!({"ResourceDirectory": {"name": "x", "children": {"child": children}}});
        self.added
            .insert(format!("/rest/resource/{path}"), Added::Directory);
        self.json(&format!("/rest/resource/{path}?format=json"), listing)
            .metadata(path, "directory")
    }

    pub(crate) fn metadata(self, path: &str, kind: &str) -> Self {
        let path = format!("/rest/resource/{path}?operation=metadata&format=json");
        self.json(&path, json!({"ResourceMetadata": {"type": kind}}))
    }

    /// A list of names, below two keys.
    pub(crate) fn list(self, path: &str, outer: &str, inner: &str, names: &[&str]) -> Self {
        let items: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        let list = match items.as_slice() {
            [] => json!({ outer: "" }),
            _ => json!({ outer: { inner: items } }),
        };
        self.json(path, list)
    }

    pub(crate) fn without(mut self, path: &str) -> Self {
        self.added.insert(path.to_owned(), Added::Nothing);
        self
    }

    pub(crate) async fn serve(self) -> (Server, Shared) {
        let shared = Shared(Arc::new(Mutex::new(self)));
        let world = shared.clone();
        let server = Server::start(move |request| world.0.lock().unwrap().answer(request)).await;
        (server, shared)
    }

    fn answer(&mut self, request: &Request) -> Reply {
        match &mut self.fault {
            Some((0, status)) => {
                let status = *status;
                self.fault = None;
                return answer(status, "text/plain", "busy");
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        let path = request.target.strip_prefix("/geoserver").unwrap();
        let missing = || answer(404, "text/plain", "No such thing here");
        match self.added.get(path) {
            Some(Added::Json(document)) => json(&document.to_string()),
            Some(Added::Bytes(bytes)) => answer(200, "application/octet-stream", bytes.clone()),
            Some(Added::Directory) => Reply::Answer {
                status: 200,
                headers: vec![("Resource-Type".to_owned(), "directory".to_owned())],
                body: b"a page".to_vec(),
            },
            Some(Added::Nothing) => missing(),
            None if path == "/rest/about/version.json" => version(),
            None if path.contains("operation=metadata") => {
                json(r#"{"ResourceMetadata":{"type":"undefined"}}"#)
            }
            None => match self.recordings.as_ref().map(|it| it.answer(request)) {
                None | Some(Reply::Answer { status: 599, .. }) => missing(),
                Some(recorded) => recorded,
            },
        }
    }
}

impl Shared {
    /// Has the call after so many fail.
    pub(crate) fn fail_after(&self, calls: usize, status: u16) {
        self.0.lock().unwrap().fault = Some((calls, status));
    }
}
