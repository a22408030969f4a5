//! Settings of the server and of workspaces, contact, logging, access rules.

use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, collapsed, text};
use crate::merge::{default, merge};
use crate::route::{Answer, document, not_allowed};
use crate::state::State;
use crate::table::Id;

const CONTACT: [&str; 16] = [
    "id",
    "address",
    "addressCity",
    "addressCountry",
    "addressDeliveryPoint",
    "addressElectronicMailAddress",
    "addressPostalCode",
    "addressState",
    "addressType",
    "contactEmail",
    "contactFacsimile",
    "contactOrganization",
    "contactPerson",
    "contactPosition",
    "contactVoice",
    "onlineResource",
];

const OF_WORKSPACE: [&str; 5] = [
    "verbose",
    "verboseExceptions",
    "localWorkspaceIncludesPrefix",
    "showCreatedTimeColumnsInAdminList",
    "showModifiedTimeColumnsInAdminList",
];

/// What becomes of `resourceErrorHandling` with any change.
pub(crate) const ERROR_HANDLING: &str = "SKIP_MISCONFIGURED_LAYERS";

/// What an empty server has.
pub(crate) fn global() -> Map {
    empty(include_str!("empty/settings.json"))
}

pub(crate) fn empty(text: &str) -> Map {
    serde_json::from_str(text).unwrap_or_default()
}

pub(crate) fn logging() -> Map {
    Map::from_iter([("stdOutLogging".to_owned(), false.into())])
}

impl State {
    pub(crate) fn show_global(&self) -> Map {
        let mut shown = self.global.clone();
        shown.insert("updateSequence".into(), self.sequence.into());
        shown
    }

    pub(crate) fn global_call(&mut self, request: &Request) -> Answer {
        match request.method.as_str() {
            "GET" => Ok(document("global", self.show_global())),
            "PUT" => {
                let given = bodies::of(request, "global")?;
                let Some(Value::Object(settings)) = given.get("settings") else {
                    return Err(Reply::text(
                        500,
                        "\n---- Debugging information ----\ncause-exception     : java.lang.NullPointerException\n",
                    ));
                };
                let mut settings = settings.clone();
                let mut contact = Map::new();
                if let Some(Value::Object(given)) = settings.get("contact") {
                    merge(&mut contact, given, &CONTACT);
                }
                default(&mut contact, "id", "contact");
                settings.insert("contact".into(), Value::Object(contact));
                // Whatever it was here.
                let said = given.get("updateSequence").and_then(text);
                self.sequence = said.and_then(|it| it.parse().ok()).unwrap_or(0) + 1;
                merge(&mut self.global, &given, &[]);
                self.global
                    .insert("settings".into(), Value::Object(settings));
                default(&mut self.global, "resourceErrorHandling", ERROR_HANDLING);
                Ok(Reply::empty(200))
            }
            _ => Err(not_allowed()),
        }
    }

    fn contact(&self) -> Map {
        let contact = self.global.get("settings").and_then(|it| it.get("contact"));
        contact
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn contact_call(&mut self, request: &Request) -> Answer {
        match request.method.as_str() {
            "GET" => Ok(document("contact", self.contact())),
            "PUT" => {
                let mut contact = self.contact();
                merge(&mut contact, &bodies::of(request, "contact")?, &CONTACT);
                if let Some(Value::Object(settings)) = self.global.get_mut("settings") {
                    settings.insert("contact".into(), Value::Object(contact));
                }
                self.moved(1);
                Ok(Reply::empty(200))
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn logging_call(&mut self, request: &Request) -> Answer {
        match request.method.as_str() {
            "GET" => Ok(document("logging", self.logging.clone())),
            "PUT" => {
                let given = bodies::of(request, "logging")?;
                merge(
                    &mut self.logging,
                    &given,
                    &["level", "location", "stdOutLogging"],
                );
                Ok(Reply::empty(200))
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn workspace_settings_call(&mut self, request: &Request, place: Id) -> Answer {
        let own = self.workspaces[place].it.settings.clone();
        match (request.method.as_str(), own) {
            ("GET", Some(_)) => Ok(document("settings", self.show_settings(place))),
            ("GET", None) => {
                // What it goes by then.
                let mut shown = Map::new();
                default(&mut shown, "contact", json!({"id": "contact"}));
                default(&mut shown, "charset", "UTF-8");
                default(&mut shown, "numDecimals", 4);
                for flag in OF_WORKSPACE {
                    default(&mut shown, flag, false);
                }
                Ok(document("settings", shown))
            }
            ("POST", Some(_)) => {
                let name = &self.workspaces[place].name;
                let words = format!("Settings already exist for workspace '{name}'");
                Err(Reply::text(500, words))
            }
            ("POST" | "PUT", own) => {
                let given = bodies::of(request, "settings")?;
                let mut settings = own.unwrap_or_default();
                settings.shift_remove("contact");
                for flag in OF_WORKSPACE {
                    settings.insert(flag.into(), false.into());
                }
                let mut given = given;
                for key in ["workspace", "id"] {
                    given.shift_remove(key);
                }
                let contact = given.get("contact").map(collapsed);
                given.shift_remove("contact");
                merge(&mut settings, &given, &[]);
                default(&mut settings, "charset", "UTF-8");
                default(&mut settings, "numDecimals", 4);
                if let Some(Value::Object(given)) = contact {
                    let mut contact = Map::new();
                    merge(&mut contact, &given, &CONTACT);
                    settings.insert("contact".into(), Value::Object(contact));
                }
                let row = &mut self.workspaces[place];
                row.it.settings = Some(settings);
                let name = crate::http::latin1(&row.name);
                self.moved(1);
                if request.method == "PUT" {
                    return Ok(Reply::empty(200));
                }
                Ok(Reply::bytes(201, "text/plain;charset=iso-8859-1", name))
            }
            ("DELETE", Some(_)) => {
                self.workspaces[place].it.settings = None;
                self.moved(1);
                Ok(Reply::empty(200))
            }
            ("DELETE", None) => Err(Reply::empty(404)),
            _ => Err(not_allowed()),
        }
    }

    /// Those of a workspace that has some.
    pub(crate) fn show_settings(&self, place: Id) -> Map {
        let row = &self.workspaces[place];
        let mut workspace = Map::new();
        workspace.insert("name".into(), row.name.clone().into());
        workspace.insert("isolated".into(), row.it.isolated.into());
        row.add_dates(&mut workspace);
        let mut shown = Map::new();
        shown.insert("id".into(), self.shown_id("SettingsInfo", place).into());
        shown.insert("workspace".into(), Value::Object(workspace));
        shown.extend(row.it.settings.clone().unwrap_or_default());
        shown
    }

    /// Who may see and change which layers.
    pub(crate) fn access(&mut self, request: &Request, path: &[&str]) -> Answer {
        match (request.method.as_str(), path) {
            ("GET", []) => {
                let rules = self.access.iter();
                let rules = rules.map(|(key, roles)| (key.clone(), roles.clone().into()));
                Ok(Reply::json(&Value::Object(rules.collect())))
            }
            (method @ ("POST" | "PUT"), []) => {
                let given: Result<Map, _> = serde_json::from_slice(&request.body);
                let given = given.map_err(|error| Reply::text(400, error.to_string()))?;
                let is_new = method == "POST";
                let wrong = given
                    .keys()
                    .find(|key| self.access.contains_key(*key) == is_new);
                if let Some(key) = wrong {
                    let words = if is_new {
                        format!("Already existing rules: {key}")
                    } else {
                        format!("Unknown rules: {key}")
                    };
                    return Err(Reply::page(409, &words));
                }
                let rules = given
                    .iter()
                    .filter_map(|(key, roles)| Some((key.clone(), text(roles)?)));
                self.access.extend(rules);
                Ok(Reply::empty(200))
            }
            ("DELETE", [rule]) => match self.access.remove(*rule) {
                Some(_) => Ok(Reply::empty(200)),
                None => Err(Reply::page(404, &format!("Rule not found: {rule}"))),
            },
            _ => Err(not_allowed()),
        }
    }
}
