//! Settings of WMS, WFS, WCS and WMTS, for the server and for workspaces.

use std::collections::BTreeMap;

use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::bodies;
use crate::http::{Reply, Request};
use crate::json::{Map, items, listed};
use crate::merge::{default, merge};
use crate::route::{Answer, document, not_allowed, not_found};
use crate::settings::empty;
use crate::state::State;
use crate::table::Id;

/// What an empty server has.
pub(crate) fn all() -> BTreeMap<String, Map> {
    [
        ("wms", include_str!("empty/wms.json")),
        ("wfs", include_str!("empty/wfs.json")),
        ("wcs", include_str!("empty/wcs.json")),
        ("wmts", include_str!("empty/wmts.json")),
    ]
    .into_iter()
    .map(|(service, text)| (service.to_owned(), empty(text)))
    .collect()
}

impl State {
    pub(crate) fn service_call(&mut self, request: &Request, service: &str) -> Answer {
        let Some(settings) = self.services.get_mut(service) else {
            return Err(not_found());
        };
        match request.method.as_str() {
            "GET" => Ok(document(service, shuffled(settings))),
            "PUT" => {
                merge(settings, &bodies::of(request, service)?, &[]);
                materialise(service, settings);
                self.moved(1);
                Ok(Reply::empty(200))
            }
            _ => Err(not_allowed()),
        }
    }

    pub(crate) fn workspace_service_call(
        &mut self,
        request: &Request,
        service: &str,
        workspace: &str,
    ) -> Answer {
        if !self.services.contains_key(service) {
            return Err(not_found());
        }
        let found = self.workspace_named(workspace);
        let place = found
            .ok_or_else(|| Reply::text(404, format!("No such workspace: '{workspace}' found")))?;
        let own = self.workspaces[place].it.services.get(service);
        let missing = || {
            Reply::page(
                404,
                &format!("Service does not exist for workspace {workspace}"),
            )
        };
        match request.method.as_str() {
            "GET" => {
                own.ok_or_else(missing)?;
                Ok(document(service, self.show_service(place, service)))
            }
            "PUT" => {
                let mut given = bodies::of(request, service)?;
                given.shift_remove("workspace");
                let mut settings = own.cloned().unwrap_or_else(|| bare(service));
                let is_new = own.is_none();
                merge(&mut settings, &given, &[]);
                if !is_new {
                    materialise(service, &mut settings);
                }
                let services = &mut self.workspaces[place].it.services;
                services.insert(service.to_owned(), settings);
                self.moved(1);
                Ok(Reply::empty(200))
            }
            "DELETE" => {
                let services = &mut self.workspaces[place].it.services;
                services.remove(service).ok_or_else(missing)?;
                self.moved(1);
                Ok(Reply::empty(200))
            }
            _ => Err(not_allowed()),
        }
    }

    /// Those of a workspace that has some.
    pub(crate) fn show_service(&self, place: Id, service: &str) -> Map {
        let row = &self.workspaces[place];
        let mut shown = Map::new();
        shown.insert("workspace".into(), json!({"name": row.name}));
        if let Some(settings) = row.it.services.get(service) {
            shown.extend(shuffled(settings));
        }
        shown
    }
}

/// The versions of GML are in no order.
fn shuffled(settings: &Map) -> Map {
    let mut shown = settings.clone();
    if let Some(gml) = shown.get_mut("gml") {
        let mut entries = items(gml, "entry");
        entries.shuffle(&mut rand::rng());
        if let Some(entries) = listed(entries) {
            *gml = json!({ "entry": entries });
        }
    }
    shown
}

/// What a new one is, by the types of its properties.
fn bare(service: &str) -> Map {
    let (flags, numbers): (&[&str], &[&str]) = match service {
        "wms" => (
            &[
                "citeCompliant",
                "verbose",
                "enabled",
                "getFeatureInfoMimeTypeCheckingEnabled",
                "getMapMimeTypeCheckingEnabled",
                "dynamicStylingDisabled",
                "featuresReprojectionDisabled",
            ],
            &[
                "maxBuffer",
                "maxRequestMemory",
                "maxRenderingTime",
                "maxRenderingErrors",
            ],
        ),
        "wfs" => (
            &[
                "citeCompliant",
                "verbose",
                "enabled",
                "featureBounding",
                "canonicalSchemaLocation",
                "encodeFeatureMember",
                "hitsIgnoreMaxFeatures",
                "includeWFSRequestDumpFile",
            ],
            &["maxFeatures"],
        ),
        "wcs" => (
            &[
                "citeCompliant",
                "verbose",
                "enabled",
                "gmlPrefixing",
                "latLon",
                "subsamplingEnabled",
            ],
            &["maxInputMemory", "maxOutputMemory"],
        ),
        _ => (&["citeCompliant", "verbose", "enabled"], &[]),
    };
    let mut settings = Map::new();
    for flag in flags {
        default(&mut settings, flag, false);
    }
    for number in numbers {
        default(&mut settings, number, 0);
    }
    settings
}

/// What a change makes of what was never said.
pub(crate) fn materialise(service: &str, settings: &mut Map) {
    let defaults: Value = match service {
        "wms" => json!({
            "bboxForEachCRS": false,
            "maxRequestedDimensionValues": 100,
            "cacheConfiguration": {"enabled": false, "maxEntries": 1000, "maxEntrySize": 51200},
            "remoteStyleMaxRequestTime": 60000,
            "remoteStyleTimeout": 30000,
            "defaultGroupStyleEnabled": true,
        }),
        "wfs" => json!({
            "metadata": {"entry": {"@key": "maxNumberOfFeaturesForPreview", "$": "50"}},
            "allowGlobalQueries": true,
            "simpleConversionEnabled": false,
        }),
        "wcs" => json!({"overviewPolicy": "IGNORE", "maxRequestedDimensionValues": 100}),
        _ => json!({}),
    };
    for (key, value) in defaults.as_object().into_iter().flatten() {
        default(settings, key, value.clone());
    }
}
