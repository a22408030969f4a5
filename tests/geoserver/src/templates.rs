//! Freemarker templates, which are files in directories that the catalog has.

use crate::http::{Reply, Request};
use crate::route::{Answer, list, not_allowed, not_found};
use crate::state::State;

const KEYS: [&str; 2] = [
    "org.geoserver.rest.catalog.TemplateInfos",
    "org.geoserver.rest.catalog.TemplateInfo",
];

impl State {
    /// `path` holds `templates`, alone at the end or before a name.
    pub(crate) fn template_call(&mut self, request: &Request, path: &[&str]) -> Answer {
        let is_list = path
            .last()
            .is_some_and(|last| last.starts_with("templates"));
        let (above, name) = match path {
            [above @ .., _] if is_list => (above, None),
            [above @ .., "templates", name] => (above, Some(*name)),
            _ => return Err(not_found()),
        };
        let directory = match above {
            [] => "workspaces".to_owned(),
            ["workspaces", workspace] => format!("workspaces/{workspace}"),
            ["workspaces", workspace, _, store] => format!("workspaces/{workspace}/{store}"),
            ["workspaces", workspace, _, store, _, resource] => {
                format!("workspaces/{workspace}/{store}/{resource}")
            }
            _ => return Err(not_found()),
        };
        // The first one makes the directory.
        let may_be_made = above.is_empty() && name.is_some();
        if !may_be_made && !self.files.is_directory(&directory) {
            return Err(Reply::text(
                404,
                format!("Directory not found: '{directory}'"),
            ));
        }
        let Some(name) = name else {
            if request.method != "GET" {
                return Err(not_allowed());
            }
            let names = self.files.children(&directory).into_iter();
            let names = names.filter(|name| {
                let extension = name.rsplit_once('.').map(|(_, it)| it);
                extension == Some("ftl")
            });
            let names = names.map(|name| {
                let mut above = above.to_vec();
                above.extend(["templates", name.as_str()]);
                let link = self.link(&above.join("/"));
                (name, link)
            });
            return Ok(list(KEYS[0], KEYS[1], names.collect()));
        };
        let file = format!("{directory}/{name}");
        let missing = || Reply::text(404, format!("Template not found: '{file}'"));
        match request.method.as_str() {
            "GET" => {
                let bytes = self.files.read(&file).ok_or_else(missing)?;
                Ok(Reply::bytes(200, "text/plain", bytes))
            }
            "PUT" => {
                self.files.write(&file, request.body.clone());
                Ok(Reply::empty(201))
            }
            "DELETE" if self.files.remove(&file) => Ok(Reply::empty(200)),
            "DELETE" => Err(missing()),
            _ => Err(not_allowed()),
        }
    }
}
