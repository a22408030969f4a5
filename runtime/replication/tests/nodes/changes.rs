//! Changes of a small catalog, and the hints that a master gives of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};
use weir_event::{Action, Event, Kind, Object as Subject};
use weir_geoserver::{
    CallError, DataFile, FilePath, Name, Node, Object, Purge, Removal, Scope, Service, StoreKind,
    StyleFormat, Workspace,
};
use weir_test_geoserver::{Document, GeoServer};

/// Where a style or a group is: beside the workspaces, or in one.
pub(crate) type Place = Option<&'static str>;

/// A change. `said` is what is said of the object, whatever that is of its kind.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Workspace(&'static str, bool),
    RenameWorkspace(&'static str, &'static str),
    RemoveWorkspace(&'static str),
    Store(&'static str, &'static str, u8),
    RenameStore(&'static str, &'static str, &'static str),
    RemoveStore(&'static str, &'static str),
    Type(&'static str, &'static str, &'static str, u8),
    RenameType(&'static str, &'static str, &'static str),
    RemoveType(&'static str, &'static str),
    /// A workspace, a layer in it, its styles, the first one being the default one, and more.
    Layer(&'static str, &'static str, Vec<(Place, &'static str)>, u8),
    Style(Place, &'static str, u8),
    RenameStyle(Place, &'static str, &'static str),
    RemoveStyle(Place, &'static str),
    /// The layers and groups that it holds, each by its name; those that begin with `g` are groups.
    Group(Place, &'static str, Vec<(Place, &'static str)>, u8),
    RemoveGroup(Place, &'static str),
    Default(&'static str),
    Settings(&'static str, u8),
    RemoveSettings(&'static str),
    Service(Place, u8),
    Rules(u8),
    Template(&'static str, u8),
    RemoveTemplate(&'static str),
}

use Change as C;

pub(crate) fn workspace(name: &str) -> Workspace {
    Workspace::new(name).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn scope(place: Place) -> Scope {
    place.map_or(Scope::Global, |name| Scope::Workspace(workspace(name)))
}

pub(crate) fn store(within: &str, named: &str) -> Object {
    Object::Store {
        kind: StoreKind::Data,
        workspace: workspace(within),
        name: name(named),
    }
}

pub(crate) fn feature_type(within: &str, store: &str, named: &str) -> Object {
    Object::Resource {
        kind: StoreKind::Data,
        workspace: workspace(within),
        store: name(store),
        name: name(named),
    }
}

pub(crate) fn layer(within: &str, named: &str) -> Object {
    Object::Layer {
        workspace: workspace(within),
        name: name(named),
    }
}

pub(crate) fn style(place: Place, named: &str) -> Object {
    Object::Style {
        scope: scope(place),
        name: name(named),
    }
}

pub(crate) fn group(place: Place, named: &str) -> Object {
    Object::LayerGroup {
        scope: scope(place),
        name: name(named),
    }
}

fn prefixed(place: Place, name: &str) -> String {
    place.map_or_else(|| name.to_owned(), |place| format!("{place}:{name}"))
}

fn template(within: &str) -> DataFile {
    let path = format!("workspaces/{within}/header.ftl");
    DataFile::Resource(FilePath::new(&path).unwrap())
}

/// A hint, as a master gives it.
pub(crate) fn hint(action: Action, kind: Kind, place: Option<&str>, named: Option<&str>) -> Event {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    Event {
        id: format!("hint-{number}"),
        source: "/masters/test".to_owned(),
        time: "2026-11-25T12:00:00.000Z".to_owned(),
        sequence: None,
        action,
        subject: Subject {
            workspace: place.map(str::to_owned),
            name: named.map(str::to_owned),
            ..Subject::of(kind)
        },
        previous: None,
        references: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
        body: None,
    }
}

/// A hint of a rename.
pub(crate) fn renamed(
    kind: Kind,
    (place, named): (Option<&str>, Option<&str>),
    (before, called): (Option<&str>, Option<&str>),
) -> Event {
    let mut event = hint(Action::Modified, kind.clone(), place, named);
    event.previous = Some(Subject {
        workspace: before.map(str::to_owned),
        name: called.map(str::to_owned),
        ..Subject::of(kind)
    });
    event
}

impl Change {
    /// Makes the change at a master; gives what is announced of it, which is nothing if the master
    /// refuses it.
    pub(crate) async fn make(&self, master: &GeoServer, node: &Node) -> Vec<Event> {
        let before = master.state();
        let Ok(event) = self.make_alone(node).await else {
            return Vec::new();
        };
        // What refers to something else by its id does not change with its name.
        if event.previous.is_some() {
            return vec![event];
        }
        let mut events = consequences(&before, &master.state(), &event);
        // What is in something goes before it.
        let at = if event.action == Action::Removed {
            events.len()
        } else {
            0
        };
        events.insert(at, event);
        events
    }

    #[expect(clippy::too_many_lines, reason = "a case for each change")]
    async fn make_alone(&self, node: &Node) -> Result<Event, CallError> {
        let modified =
            |kind, place: Option<&str>, named| hint(Action::Modified, kind, place, named);
        let removed = |kind, place: Option<&str>, named| hint(Action::Removed, kind, place, named);
        Ok(match *self {
            C::Workspace(w, isolated) => {
                let uri = format!("urn:{w}:{isolated}");
                let body = json!({"namespace": {"prefix": w, "uri": uri, "isolated": isolated}});
                set(node, &Object::Namespace(workspace(w)), &body).await?;
                modified(Kind::Workspace, Some(w), None)
            }
            C::RenameWorkspace(w, to) => {
                let body = json!({"workspace": {"name": to}});
                node.change(&Object::Workspace(workspace(w)), &body).await?;
                renamed(Kind::Workspace, (Some(to), None), (Some(w), None))
            }
            C::RemoveWorkspace(w) => {
                let object = Object::Workspace(workspace(w));
                node.remove(&object, Removal::RECURSIVE).await?;
                removed(Kind::Workspace, Some(w), None)
            }
            C::Store(w, s, said) => {
                let namespace = node.get(&Object::Namespace(workspace(w))).await?;
                let body = json!({"dataStore": {
                    "name": s, "description": text(said),
                    "connectionParameters": {"entry": [
                        {"@key": "directory", "$": format!("file:data/{said}")},
                        {"@key": "namespace", "$": namespace["namespace"]["uri"]},
                    ]},
                }});
                set(node, &store(w, s), &body).await?;
                modified(Kind::DataStore, Some(w), Some(s))
            }
            C::RenameStore(w, s, to) => {
                let body = json!({"dataStore": {"name": to}});
                node.change(&store(w, s), &body).await?;
                renamed(Kind::DataStore, (Some(w), Some(to)), (Some(w), Some(s)))
            }
            C::RemoveStore(w, s) => {
                node.remove(&store(w, s), Removal::RECURSIVE).await?;
                removed(Kind::DataStore, Some(w), Some(s))
            }
            C::Type(w, s, f, said) => {
                let keywords = match said {
                    0 => json!(""),
                    said => json!({"string": [text(said), "b"]}),
                };
                let body = json!({"featureType": {
                    "name": f, "title": text(said), "enabled": said != 3, "keywords": keywords,
                    "nativeName": "table", "srs": "EPSG:4326",
                    "advertised": said != 2,
                }});
                set(node, &feature_type(w, s, f), &body).await?;
                modified(Kind::FeatureType, Some(w), Some(f))
            }
            C::RenameType(w, f, to) => {
                let (kind, within, called) = (StoreKind::Data, workspace(w), name(f));
                let (object, _) = node.find(kind, &within, &called).await?;
                let body = json!({"featureType": {"name": to}});
                node.change(&object, &body).await?;
                renamed(Kind::FeatureType, (Some(w), Some(to)), (Some(w), Some(f)))
            }
            C::RemoveType(w, f) => {
                let (kind, within, called) = (StoreKind::Data, workspace(w), name(f));
                let (object, _) = node.find(kind, &within, &called).await?;
                node.remove(&object, Removal::RECURSIVE).await?;
                removed(Kind::FeatureType, Some(w), Some(f))
            }
            C::Layer(w, f, ref styles, said) => {
                // A layer has what it is given, and GeoServer lets it have the styles of others.
                let refer =
                    |(place, named): &(Place, &str)| json!({"name": prefixed(*place, named)});
                let more = styles.iter().skip(1).map(refer);
                let body = json!({"layer": {
                    "defaultStyle": styles.first().map(refer),
                    "styles": {"@class": "linked-hash-set", "style": more.collect::<Vec<_>>()},
                    "path": text(said), "queryable": said != 2,
                    "identifiers": "", "authorityURLs": "",
                }});
                node.change(&layer(w, f), &body).await?;
                modified(Kind::Layer, Some(w), Some(f))
            }
            C::Style(place, n, said) => {
                let object = style(place, n);
                let info = json!({"style": {"name": n, "filename": format!("{n}.sld")}});
                if node.get(&object).await.is_err() {
                    node.create(&object, &info).await?;
                }
                let graphic = FilePath::of_style(&scope(place), &graphic(n)).unwrap();
                let graphic = DataFile::Resource(graphic);
                let data = Bytes::from(format!("<svg><!--{said}--></svg>"));
                node.create(&graphic, &data).await?;
                let body = Bytes::from(body(n, said));
                let format = StyleFormat::Sld10;
                node.change_style_body(&scope(place), &name(n), format, body)
                    .await?;
                modified(Kind::Style, place, Some(n))
            }
            C::RenameStyle(place, n, to) => {
                node.change(&style(place, n), &json!({"style": {"name": to}}))
                    .await?;
                renamed(Kind::Style, (place, Some(to)), (place, Some(n)))
            }
            C::RemoveStyle(place, n) => {
                let removal = Removal {
                    recurse: true,
                    purge: Purge::Everything,
                };
                node.remove(&style(place, n), removal).await?;
                removed(Kind::Style, place, Some(n))
            }
            C::Group(place, g, ref members, said) => {
                let published = members.iter().map(|(place, named)| {
                    let class = if named.starts_with('g') {
                        "layerGroup"
                    } else {
                        "layer"
                    };
                    json!({"@type": class, "name": prefixed(*place, named)})
                });
                let styles = members.iter().map(|_| "");
                let body = json!({"layerGroup": {
                    "name": g, "title": text(said), "mode": "NAMED",
                    "publishables": {"published": published.collect::<Vec<_>>()},
                    "styles": {"style": styles.collect::<Vec<_>>()},
                    "bounds": {"minx": 0, "maxx": 1, "miny": 0, "maxy": said, "crs": "EPSG:4326"},
                }});
                set(node, &group(place, g), &body).await?;
                modified(Kind::LayerGroup, place, Some(g))
            }
            C::RemoveGroup(place, g) => {
                node.remove(&group(place, g), Removal::ALONE).await?;
                removed(Kind::LayerGroup, place, Some(g))
            }
            C::Default(w) => {
                let body = json!({"workspace": {"name": w}});
                node.change(&Object::DefaultWorkspace, &body).await?;
                modified(Kind::Catalog, None, Some("default-workspace"))
            }
            C::Settings(w, said) => {
                let object = Object::Settings(Scope::Workspace(workspace(w)));
                let body = json!({"settings": {
                    "workspace": {"name": w}, "charset": "UTF-8", "numDecimals": said,
                    "contact": {"contactPerson": text(said)}, "verbose": said == 1,
                }});
                node.change(&object, &body).await?;
                modified(Kind::Settings, Some(w), None)
            }
            C::RemoveSettings(w) => {
                let object = Object::Settings(Scope::Workspace(workspace(w)));
                node.remove(&object, Removal::ALONE).await?;
                removed(Kind::Settings, Some(w), None)
            }
            C::Service(place, said) => {
                let service = Service::Wms;
                let scope = scope(place);
                let body =
                    json!({"wms": {"name": "WMS", "title": text(said), "enabled": said != 3}});
                node.change(&Object::Service { service, scope }, &body)
                    .await?;
                modified(Kind::Service, place, Some("wms"))
            }
            C::Rules(said) => {
                let rules = (0..said).map(|it| (format!("*.f{it}.r"), format!("R{said}")));
                let rules: BTreeMap<String, String> = rules.collect();
                let have = node.get(&Object::AccessRules).await?;
                for rule in have.as_object().unwrap().keys() {
                    node.remove(&Object::AccessRule(name(rule)), Removal::ALONE)
                        .await?;
                }
                node.create(&Object::AccessRules, &json!(rules)).await?;
                modified(Kind::AccessRules, None, None)
            }
            C::Template(w, said) => {
                node.get(&Object::Workspace(workspace(w))).await?;
                node.create(&template(w), &Bytes::from(text(said))).await?;
                modified(Kind::Resource, Some(w), Some("header.ftl"))
            }
            C::RemoveTemplate(w) => {
                node.remove(&template(w), Removal::ALONE).await?;
                removed(Kind::Resource, Some(w), Some("header.ftl"))
            }
        })
    }
}

async fn set(node: &Node, object: &Object, body: &Value) -> Result<(), CallError> {
    match node.get(object).await {
        Ok(_) => node.change(object, body).await,
        Err(error) if error.is_missing() => node.create(object, body).await,
        Err(error) => Err(error),
    }
}

fn text(said: u8) -> String {
    match said {
        0 => String::new(),
        said => format!("said {said}"),
    }
}

/// The name of the graphic that a style names.
fn graphic(style: &str) -> String {
    format!("dot-{style}.svg")
}

fn body(style: &str, said: u8) -> String {
    let graphic = graphic(style);
    format!(
        r#"<StyledLayerDescriptor version="1.0.0" xmlns="http://www.opengis.net/sld"><!--{said}--><ExternalGraphic><OnlineResource href="{graphic}"/></ExternalGraphic></StyledLayerDescriptor>"#
    )
}

/// What else is announced: what went with something, what lost a layer or a style that is gone, what
/// says something of its namespace, and which workspace is the default one now.
fn consequences(
    before: &BTreeMap<String, Document>,
    after: &BTreeMap<String, Document>,
    made: &Event,
) -> Vec<Event> {
    let mut events = Vec::new();
    let paths = before
        .keys()
        .rev()
        .chain(after.keys().filter(|path| !before.contains_key(*path)));
    for path in paths {
        let now = after.get(path);
        if now == before.get(path) {
            continue;
        }
        let is_new = !before.contains_key(path);
        let action = if now.is_some() {
            Action::Modified
        } else {
            Action::Removed
        };
        let parts: Vec<&str> = path.split('/').collect();
        let event = match parts.as_slice() {
            ["workspaces", "default"] => hint(
                Action::Modified,
                Kind::Catalog,
                None,
                Some("default-workspace"),
            ),
            _ if is_new => continue,
            ["workspaces", w, "layers", f] if now.is_some() => {
                hint(action, Kind::Layer, Some(w), Some(f))
            }
            ["workspaces", w, "datastores", s] => hint(action, Kind::DataStore, Some(w), Some(s)),
            ["workspaces", w, "datastores", _, "featuretypes", f] => {
                hint(action, Kind::FeatureType, Some(w), Some(f))
            }
            ["workspaces", w, "styles", n] => hint(action, Kind::Style, Some(w), Some(n)),
            ["workspaces", w, "layergroups", g] => hint(action, Kind::LayerGroup, Some(w), Some(g)),
            ["resource", "workspaces", w, "header.ftl"] if now.is_none() => {
                hint(action, Kind::Resource, Some(w), Some("header.ftl"))
            }
            ["layergroups", g] => hint(action, Kind::LayerGroup, None, Some(g)),
            ["workspaces", w, "settings"] => hint(action, Kind::Settings, Some(w), None),
            ["services", service, "workspaces", w, "settings"] => {
                hint(action, Kind::Service, Some(w), Some(service))
            }
            _ => continue,
        };
        if event.subject != made.subject {
            events.push(event);
        }
    }
    events
}
