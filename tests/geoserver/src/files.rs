//! Files of the data directory, which GeoServer calls resources.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::http::{Reply, Request};
use crate::route::{Answer, not_allowed};
use crate::state::State;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    modified: Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Files {
    files: BTreeMap<String, File>,
    /// Each directory and those above it.
    directories: BTreeSet<String>,
}

impl Files {
    pub(crate) fn read(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|file| file.bytes.as_slice())
    }

    pub(crate) fn write(&mut self, path: &str, bytes: Vec<u8>) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.make_directory(directory);
        }
        let file = File {
            bytes,
            modified: Timestamp::now(),
        };
        self.files.insert(path.to_owned(), file);
    }

    pub(crate) fn make_directory(&mut self, path: &str) {
        let mut path = path;
        while self.directories.insert(path.to_owned()) {
            let Some((above, _)) = path.rsplit_once('/') else {
                return;
            };
            path = above;
        }
    }

    pub(crate) fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.directories.contains(path)
    }

    /// The files and the directories at a path and below it.
    fn at(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let below = (format!("{path}/"), format!("{path}0"));
        let files = self.files.range(below.0.clone()..below.1.clone());
        let files = files.map(|(it, _)| it.clone());
        let own = self.files.contains_key(path).then(|| path.to_owned());
        let directories = self.directories.range(below.0..below.1).cloned();
        let itself = self.directories.get(path).cloned();
        (
            own.into_iter().chain(files).collect(),
            itself.into_iter().chain(directories).collect(),
        )
    }

    /// A file, or a directory with all that is in it. False if there is none.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let (files, directories) = self.at(path);
        for file in &files {
            self.files.remove(file);
        }
        for directory in &directories {
            self.directories.remove(directory);
        }
        !files.is_empty() || !directories.is_empty()
    }

    /// A file, or a directory with all that is in it. False if there is none.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        if from == to {
            return true;
        }
        let (files, directories) = self.at(from);
        let moved = |path: &str| format!("{to}{}", &path[from.len()..]);
        for old in &files {
            if let Some(file) = self.files.remove(old) {
                let new = moved(old);
                if let Some((directory, _)) = new.rsplit_once('/') {
                    self.make_directory(directory);
                }
                self.files.insert(new, file);
            }
        }
        for old in &directories {
            self.directories.remove(old);
            self.make_directory(&moved(old));
        }
        !files.is_empty() || !directories.is_empty()
    }

    /// The names in a directory.
    pub(crate) fn children(&self, path: &str) -> BTreeSet<String> {
        let below = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let files = self.files.range(below.clone()..).map(|(it, _)| it);
        let files = files.map_while(|it| it.strip_prefix(&below));
        let directories = self.directories.range(below.clone()..);
        let directories = directories.map_while(|it| it.strip_prefix(&below));
        files
            .chain(directories)
            .filter(|rest| !rest.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &[u8])> {
        self.files
            .iter()
            .map(|(path, file)| (path, file.bytes.as_slice()))
    }

    /// Of a directory, when something in it was.
    fn modified(&self, path: &str) -> Timestamp {
        let (files, _) = self.at(path);
        let times = files.iter().filter_map(|it| self.files.get(it));
        let latest = times.map(|file| file.modified).max();
        latest.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl State {
    pub(crate) fn resource_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        if path.contains(&"..") {
            return Err(Reply::empty(400));
        }
        let path = path.join("/");
        match request.method.as_str() {
            "GET" if request.query("operation") == "metadata" => Ok(self.metadata(&path)),
            "GET" | "HEAD" => self.read_resource(request, &path),
            "PUT" => self.write_resource(request, &path),
            "DELETE" if self.files.remove(&path) => Ok(Reply::empty(200)),
            "DELETE" => Err(Reply::text(404, format!("Resource '{path}' not found"))),
            _ => Err(not_allowed()),
        }
    }

    fn link_of_file(&self, path: &str) -> String {
        let parts = path
            .split('/')
            .map(|part| utf8_percent_encode(part, UNRESERVED).to_string());
        let parts: Vec<String> = parts.collect();
        let rest = self.rest();
        // A fault of the server: behind a proxy, the links lead nowhere.
        let is_proxied = self.global["settings"].get("proxyBaseUrl").is_some();
        let base = match rest.strip_suffix("/rest") {
            Some(base) if is_proxied => base.to_owned(),
            _ => format!("{rest}/resource"),
        };
        format!("{base}/{}", parts.join("/"))
    }

    fn metadata(&self, path: &str) -> Reply {
        let is_file = self.files.read(path).is_some() || self.style_catalog_file(path).is_some();
        let class = match (is_file, self.files.is_directory(path)) {
            (true, _) => "resource",
            (_, true) => "directory",
            _ => "undefined",
        };
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let link = json!({"href": self.link_of_file(above), "rel": "alternate", "type": "application/json"});
        Reply::json(&json!({"ResourceMetadata": {
            "name": name,
            "parent": {"path": format!("/{above}"), "link": link},
            "lastModified": shown(self.files.modified(path)),
            "type": class,
        }}))
    }

    fn read_resource(&self, request: &Request, path: &str) -> Answer {
        let catalog = self.style_catalog_file(path).map(String::into_bytes);
        let found = self.files.read(path).map(<[u8]>::to_vec).or(catalog);
        let modified = self
            .files
            .modified(path)
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        let (class, reply) = if let Some(bytes) = found {
            if request.header("if-modified-since") == modified {
                return Ok(Reply::empty(304));
            }
            ("resource", Reply::bytes(200, media_type(path), bytes))
        } else if !self.files.is_directory(path) {
            return Err(Reply::text(404, "Undefined resource path."));
        } else if request.query("format") == "json" {
            ("directory", Reply::json(&self.listing(path)))
        } else {
            ("directory", Reply::bytes(200, "text/html", "<html></html>"))
        };
        let mut reply = reply
            .with("Location", self.link_of_file(path))
            .with("Last-Modified", modified)
            .with("Resource-Type", class);
        if !path.is_empty() {
            let (above, _) = path.rsplit_once('/').unwrap_or(("", path));
            reply = reply.with("Resource-Parent", self.link_of_file(above));
        }
        Ok(reply)
    }

    fn listing(&self, path: &str) -> Value {
        let mut names = self.files.children(path);
        names.extend(self.style_catalog_files(path));
        let children = names.into_iter().map(|name| {
            let whole = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let is_directory = self.files.is_directory(&whole);
            let class = if is_directory { "application/json" } else { media_type(&whole) };
            json!({"name": name, "link": {"href": self.link_of_file(&whole), "rel": "alternate", "type": class}})
        });
        let children: Vec<Value> = children.collect();
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut shown = json!({"name": name});
        if !path.is_empty() {
            let link = json!({"href": self.link_of_file(above), "rel": "alternate", "type": "application/json"});
            shown["parent"] = json!({"path": format!("/{above}"), "link": link});
        }
        shown["lastModified"] = self::shown(self.files.modified(path)).into();
        shown["children"] = if children.is_empty() {
            "".into()
        } else {
            json!({"child": children})
        };
        json!({"ResourceDirectory": shown})
    }

    fn write_resource(&mut self, request: &Request, path: &str) -> Answer {
        if self.files.is_directory(path) {
            return Err(Reply::empty(405));
        }
        let operation = request.query("operation");
        let body = String::from_utf8_lossy(&request.body);
        let from = body.trim().trim_start_matches('/');
        let missing = || Reply::text(404, format!("Resource '{from}' not found"));
        match operation {
            "copy" => {
                let bytes = self.files.read(from).ok_or_else(missing)?.to_vec();
                self.files.write(path, bytes);
            }
            "move" => {
                if !self.files.rename(from, path) {
                    return Err(missing());
                }
            }
            _ => self.files.write(path, request.body.clone()),
        }
        Ok(Reply::empty(201))
    }
}

fn shown(time: Timestamp) -> String {
    if time == Timestamp::UNIX_EPOCH {
        return "1970-01-01 00:00:00.0 UTC".to_owned();
    }
    time.strftime("%Y-%m-%d %H:%M:%S.%3f UTC").to_string()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("xml" | "sld") => "application/xml",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt") => "text/plain",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
