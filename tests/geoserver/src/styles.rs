//! Styles: what is said of them, and their bodies, which are files.

use serde_json::json;

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, name_in, said};
use crate::merge::{default, merge, ordered};
use crate::route::{Answer, Asked, document, encoded, list, not_allowed};
use crate::state::{BUILT_IN, State, Style};
use crate::table::{GLOBAL, Id};

const KNOWN: [&str; 4] = ["format", "languageVersion", "legend", "metadata"];

/// What the bodies are that a stock GeoServer takes: media type, version of the language.
const LANGUAGES: [(&str, &str); 2] = [
    ("application/vnd.ogc.sld+xml", "1.0.0"),
    ("application/vnd.ogc.se+xml", "1.1.0"),
];

/// What it takes with an extension only.
const EXTENSIONS: [&str; 3] = [
    "application/vnd.geoserver.geocss+css",
    "application/vnd.geoserver.ysld+yaml",
    "application/vnd.geoserver.mbstyle+json",
];

impl State {
    pub(crate) fn add_built_in_style(&mut self, name: &str) {
        let filename = format!("default_{name}.sld");
        let body = format!(
            "<StyledLayerDescriptor version=\"1.0.0\" xmlns=\"http://www.opengis.net/sld\"><NamedLayer><Name>{name}</Name></NamedLayer></StyledLayerDescriptor>"
        );
        self.files.write(&format!("styles/{filename}"), body.into());
        let id = self.new_id();
        let style = Style {
            filename,
            body: described("1.0.0"),
        };
        self.styles.add(id, GLOBAL, name, style);
    }

    pub(crate) fn style_call(&mut self, asked: &Asked, place: Id) -> Answer {
        let request = asked.request;
        match (request.method.as_str(), asked.path) {
            ("GET", []) => {
                let all = self.styles.of(place).into_iter().map(|id| {
                    let name = self.styles[id].name.clone();
                    let path = self.path_in(place, "styles", &encoded(&name));
                    (name, self.link(&path))
                });
                Ok(list("styles", "style", all.collect()))
            }
            ("POST", []) => self.create_style(request, place),
            ("DELETE", [name]) => {
                // Also where the global one is meant.
                let found = if place == GLOBAL {
                    self.shadowed_style(name)
                } else {
                    self.styles.find(place, name)
                };
                self.remove_style(request, found.ok_or_else(|| Reply::empty(404))?)
            }
            (method, [name]) => {
                let found = self.styles.find(place, name);
                let is_body = !matches!(asked.format, "" | "json");
                match (method, found) {
                    ("GET", Some(id)) if is_body || is_style(request.header("accept")) => {
                        self.style_body(id)
                    }
                    ("GET", Some(id)) => Ok(document("style", self.show_style(id))),
                    ("PUT", Some(id)) => self.change_style(request, id),
                    ("PUT", None) if !is_document(request) => Err(Reply::empty(400)),
                    (_, None) if place == GLOBAL => {
                        Err(Reply::text(404, format!("No such style: {name}")))
                    }
                    (_, None) => {
                        let workspace = &self.workspaces[place].name;
                        let words = format!("No such style {name} in workspace {workspace}");
                        Err(Reply::text(404, words))
                    }
                    _ => Err(not_allowed()),
                }
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn show_style(&self, id: Id) -> Map {
        let row = &self.styles[id];
        let mut shown = Map::new();
        shown.insert("name".into(), row.name.clone().into());
        if row.place != GLOBAL {
            let workspace = &self.workspaces[row.place].name;
            shown.insert("workspace".into(), json!({ "name": workspace }));
        }
        shown.extend(ordered(&row.it.body, &KNOWN[..2]));
        shown.insert("filename".into(), row.it.filename.clone().into());
        shown.extend(ordered(&row.it.body, &KNOWN[2..]));
        if !row.it.filename.starts_with("default_") {
            row.add_dates(&mut shown);
        }
        shown
    }

    /// Where the body is.
    fn style_file(&self, id: Id) -> String {
        let row = &self.styles[id];
        self.path_in(row.place, "styles", &row.it.filename)
    }

    /// The file of the catalog that holds the id.
    pub(crate) fn style_catalog_file(&self, path: &str) -> Option<String> {
        let (directory, name) = path.strip_suffix(".xml")?.rsplit_once('/')?;
        let place = match directory.split('/').collect::<Vec<_>>()[..] {
            ["styles"] => GLOBAL,
            ["workspaces", workspace, "styles"] => self.workspaces.find(GLOBAL, workspace)?,
            _ => return None,
        };
        let id = self.styles.find(place, name)?;
        let (id, filename) = (self.shown_id("StyleInfo", id), &self.styles[id].it.filename);
        Some(format!(
            "<style>\n  <id>{id}</id>\n  <name>{name}</name>\n  <filename>{filename}</filename>\n</style>"
        ))
    }

    /// The names of such files in a directory.
    pub(crate) fn style_catalog_files(&self, directory: &str) -> Vec<String> {
        let place = match directory.split('/').collect::<Vec<_>>()[..] {
            ["styles"] => Some(GLOBAL),
            ["workspaces", workspace, "styles"] => self.workspaces.find(GLOBAL, workspace),
            _ => None,
        };
        let styles = place.map(|place| self.styles.of(place)).unwrap_or_default();
        let names = styles
            .into_iter()
            .map(|id| format!("{}.xml", self.styles[id].name));
        names.collect()
    }

    fn style_body(&self, id: Id) -> Answer {
        let body = self.files.read(&self.style_file(id));
        let is_sld = said(&self.styles[id].it.body, "format").is_none_or(|it| it == "sld");
        match body {
            Some(body) if is_sld => Ok(Reply::bytes(
                200,
                "application/vnd.ogc.sld+xml",
                body.to_vec(),
            )),
            _ => Err(Reply::empty(500)),
        }
    }

    fn create_style(&mut self, request: &Request, place: Id) -> Answer {
        if is_document(request) {
            return self.create_described_style(request, place);
        }
        let media_type = request.media_type();
        if EXTENSIONS.contains(&media_type) {
            return Err(no_handler(media_type));
        }
        let language = LANGUAGES.into_iter().find(|(it, _)| *it == media_type);
        let version = match (language, media_type) {
            (Some((_, version)), _) => version,
            (None, "application/zip") => "1.0.0",
            _ => return Err(Reply::empty(415)),
        };
        let name = match request.query("name") {
            "" => "Default Styler",
            name => name,
        };
        if self.styles.find(place, name).is_some() {
            return Err(Reply::page(403, &format!("Style {name} already exists.")));
        }
        let filename = format!("{name}.sld");
        let id = self.add_style(place, name, filename, described(version));
        if media_type != "application/zip" {
            let file = self.style_file(id);
            self.files.write(&file, request.body.clone());
        }
        let path = self.path_in(place, "styles", &encoded(name).replace('+', "%20"));
        Ok(Reply::created(name, format!("{}/{path}", self.rest())))
    }

    fn create_described_style(&mut self, request: &Request, place: Id) -> Answer {
        let given = bodies::of(request, "style")?;
        let mut place = place;
        if place == GLOBAL
            && let Some(workspace) = name_in(&given, "workspace")
        {
            place = self.workspaces.find(GLOBAL, &workspace).unwrap_or(GLOBAL);
        }
        let name = said(&given, "name");
        let name = name.ok_or_else(|| Reply::text(500, "Style name must not be null"))?;
        if self.styles.find(place, &name).is_some() {
            return Err(self.style_exists(place, &name));
        }
        let mut body = described("1.0.0");
        merge(&mut body, &given, &KNOWN);
        let filename = said(&given, "filename").unwrap_or_else(|| format!("{name}.sld"));
        self.add_style(place, &name, filename, body);
        let told = crate::http::latin1(&name);
        Ok(Reply::bytes(201, "text/plain;charset=iso-8859-1", told))
    }

    fn style_exists(&self, place: Id, name: &str) -> Reply {
        let within = if place == GLOBAL {
            String::new()
        } else {
            format!(" in workspace {}", self.workspaces[place].name)
        };
        Reply::text(500, format!("Style named '{name}' already exists{within}"))
    }

    fn add_style(&mut self, place: Id, name: &str, filename: String, body: Map) -> Id {
        let id = self.new_id();
        self.styles.add(id, place, name, Style { filename, body });
        self.moved(1);
        id
    }

    fn change_style(&mut self, request: &Request, id: Id) -> Answer {
        if is_document(request) {
            return self.change_described_style(request, id);
        }
        let media_type = request.media_type();
        if EXTENSIONS.contains(&media_type) {
            return Err(no_handler(media_type));
        }
        let language = LANGUAGES.into_iter().find(|(it, _)| *it == media_type);
        let (_, version) = language.ok_or_else(|| Reply::empty(415))?;
        let file = self.style_file(id);
        self.files.write(&file, request.body.clone());
        let row = &mut self.styles[id];
        let version = json!({ "version": version });
        row.it.body.insert("languageVersion".into(), version);
        row.touch();
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn change_described_style(&mut self, request: &Request, id: Id) -> Answer {
        let given = bodies::of(request, "style")?;
        let row = &self.styles[id];
        let name = said(&given, "name").unwrap_or_else(|| row.name.clone());
        let workspace = name_in(&given, "workspace");
        let place = workspace.and_then(|it| self.workspaces.find(GLOBAL, &it));
        let place = place.unwrap_or(row.place);
        let mut filename = said(&given, "filename").unwrap_or_else(|| row.it.filename.clone());
        let is_renamed = name != row.name;
        if (place, &name) != (row.place, &row.name) && self.styles.find(place, &name).is_some() {
            return Err(self.style_exists(place, &name));
        }
        let from = self.style_file(id);
        if is_renamed {
            // The file follows.
            let extension = row.it.filename.rsplit_once('.').map_or("sld", |(_, it)| it);
            filename = format!("{name}.{extension}");
        }
        self.styles.rename(id, place, &name);
        let row = &mut self.styles[id];
        row.it.filename = filename;
        merge(&mut row.it.body, &given, &KNOWN);
        row.touch();
        let to = self.style_file(id);
        if from != to && self.files.read(&to).is_none() {
            self.files.rename(&from, &to);
        }
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn remove_style(&mut self, request: &Request, id: Id) -> Answer {
        let row = &self.styles[id];
        let is_built_in = row.place == GLOBAL && BUILT_IN.contains(&row.name.as_str());
        if is_built_in || (!request.asks_for("recurse") && self.is_style_used(id)) {
            return Err(Reply::empty(403));
        }
        if request.asks_for("purge") {
            let file = self.style_file(id);
            self.files.remove(&file);
        }
        self.drop_style(id);
        self.moved(1);
        Ok(Reply::empty(200))
    }

    fn is_style_used(&self, id: Id) -> bool {
        let in_layer = self
            .layers
            .iter()
            .any(|(_, row)| row.it.style == Some(id) || row.it.styles.contains(&id));
        in_layer || self.groups.iter().any(|(_, row)| row.it.uses_style(id))
    }

    /// Alternates go, and a default is replaced by another.
    pub(crate) fn drop_style(&mut self, id: Id) {
        let usual = self.styles.find(GLOBAL, "generic");
        for (_, row) in self.layers.iter_mut() {
            let layer = &mut row.it;
            layer.styles.retain(|style| *style != id);
            if layer.style == Some(id) {
                layer.style = layer.styles.first().copied().or(usual);
            }
        }
        for (_, row) in self.groups.iter_mut() {
            row.it.drop_style(id);
        }
        self.styles.remove(id);
    }
}

fn described(version: &str) -> Map {
    let mut body = Map::new();
    default(&mut body, "format", "sld");
    default(&mut body, "languageVersion", json!({ "version": version }));
    body
}

/// True for what is said of a style, and not its body.
fn is_document(request: &Request) -> bool {
    request.media_type() == "application/json" || bodies::is_xml(request)
}

fn is_style(media_type: &str) -> bool {
    LANGUAGES.iter().any(|(it, _)| *it == media_type)
}

fn no_handler(media_type: &str) -> Reply {
    Reply::text(500, format!("No such style handler: format = {media_type}"))
}
