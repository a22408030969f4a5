//! Where a content names its object and others: one table for all kinds, and the walk that goes by
//! it, to read what is there or to set it.

use serde_json::Value;

use super::form::Form;
use super::names::{beside, join, name_in, name_of, read, set, told};
use super::{paths, rules, xml};
use crate::dialect::{EncodeError, json};
use crate::event::{Kind, Object};

/// Looks at each place in its turn, and may have it say something else.
pub(super) trait Visitor {
    /// A place that names the subject.
    fn own(&mut self, said: &str) -> Result<Option<String>, EncodeError>;

    /// A place that refers to something else.
    fn refers(&mut self, role: &'static str, said: Object) -> Result<Option<Object>, EncodeError>;
}

/// What a place says.
enum Says {
    /// The name of the subject, bare or with its workspace as a prefix.
    Own,
    /// The name of something else, bare or with a prefix: the text itself, or an object with `name`
    /// and, beside it, sometimes `workspace`.
    Refers(&'static str, Kind),
    /// The same, but only with a prefix; what has none is a title.
    Prefixed(&'static str, Kind),
    /// The path of a resource after `resource:`.
    Path(&'static str),
}

use Says::{Own, Path, Prefixed, Refers};

/// The places of each kind. `*` stands for any one name, `**` for any number of them, `[]` for each
/// element of a list; a list of one may stand there without its brackets. In XML, `@` is an attribute.
///
/// What is not in here names no workspace, or is free text: titles, URLs that people look at, and
/// the native names, which belong to the data and not to the catalog.
#[rustfmt::skip]
static PLACES: &[(Kind, &str, Says)] = &[
    (Kind::Workspace, "workspace.name", Own),
    (Kind::Namespace, "namespace.prefix", Own),
    // The default workspace, namespace and data store.
    (Kind::Catalog, "workspace", Refers("default-workspace", Kind::Workspace)),
    (Kind::Catalog, "namespace.prefix", Refers("default-namespace", Kind::Namespace)),
    (Kind::Catalog, "dataStore", Refers("default-datastore", Kind::DataStore)),
    (Kind::DataStore, "dataStore.name", Own),
    (Kind::DataStore, "dataStore.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::CoverageStore, "coverageStore.name", Own),
    (Kind::CoverageStore, "coverageStore.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::WmsStore, "wmsStore.name", Own),
    (Kind::WmsStore, "wmsStore.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::WmtsStore, "wmtsStore.name", Own),
    (Kind::WmtsStore, "wmtsStore.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::FeatureType, "featureType.name", Own),
    (Kind::FeatureType, "featureType.namespace", Refers("namespace", Kind::Namespace)),
    (Kind::FeatureType, "featureType.store", Refers("store", Kind::DataStore)),
    (Kind::Coverage, "coverage.name", Own),
    (Kind::Coverage, "coverage.namespace", Refers("namespace", Kind::Namespace)),
    (Kind::Coverage, "coverage.store", Refers("store", Kind::CoverageStore)),
    (Kind::WmsLayer, "wmsLayer.name", Own),
    (Kind::WmsLayer, "wmsLayer.namespace", Refers("namespace", Kind::Namespace)),
    (Kind::WmsLayer, "wmsLayer.store", Refers("store", Kind::WmsStore)),
    (Kind::WmtsLayer, "wmtsLayer.name", Own),
    (Kind::WmtsLayer, "wmtsLayer.namespace", Refers("namespace", Kind::Namespace)),
    (Kind::WmtsLayer, "wmtsLayer.store", Refers("store", Kind::WmtsStore)),
    (Kind::Layer, "layer.name", Own),
    (Kind::Layer, "layer.resource", Refers("resource", Kind::Resource)),
    (Kind::Layer, "layer.defaultStyle", Refers("default-style", Kind::Style)),
    (Kind::Layer, "layer.styles.style[]", Refers("style", Kind::Style)),
    (Kind::LayerGroup, "layerGroup.name", Own),
    (Kind::LayerGroup, "layerGroup.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::LayerGroup, "layerGroup.publishables.published[]", Refers("layer", Kind::Published)),
    (Kind::LayerGroup, "layerGroup.styles.style[]", Refers("style", Kind::Style)),
    (Kind::LayerGroup, "layerGroup.rootLayer", Refers("root-layer", Kind::Layer)),
    (Kind::LayerGroup, "layerGroup.rootLayerStyle", Refers("root-layer-style", Kind::Style)),
    (Kind::LayerGroup, "layerGroup.layerGroupStyles.LayerGroupStyle[].layers.published[]", Refers("layer", Kind::Published)),
    (Kind::LayerGroup, "layerGroup.layerGroupStyles.LayerGroupStyle[].styles.style[]", Refers("style", Kind::Style)),
    (Kind::Style, "style.name", Own),
    (Kind::Style, "style.workspace", Refers("workspace", Kind::Workspace)),
    // The body of a style: the layers of a group in style, and graphics by their path.
    (Kind::Style, "StyledLayerDescriptor.NamedLayer.Name", Prefixed("layer", Kind::Published)),
    (Kind::Style, "StyledLayerDescriptor.NamedLayer.NamedStyle.Name", Prefixed("style", Kind::Style)),
    (Kind::Style, "**.OnlineResource.@href", Path("graphic")),
    (Kind::Settings, "settings.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::Service, "*.workspace", Refers("workspace", Kind::Workspace)),
    (Kind::TileLayer, "GeoServerLayer.name", Own),
    (Kind::TileLayer, "GeoServerLayer.parameterFilters.styleParameterFilter.defaultValue", Refers("default-style", Kind::Style)),
    (Kind::TileLayer, "GeoServerLayer.parameterFilters.styleParameterFilter.availableStyles.string", Refers("style", Kind::Style)),
    (Kind::GridSet, "gridSet.name", Own),
    (Kind::BlobStore, "*.id", Own),
    // Access rules have theirs in keys, `topp.states.r`: see `rules`.
];

fn rows(kind: &Kind) -> impl Iterator<Item = (&'static str, &'static Says)> + '_ {
    PLACES
        .iter()
        .filter(move |(of, ..)| of == kind)
        .map(|(_, path, says)| (*path, says))
}

/// What the root of a body of this kind may be called; empty if no place of it is known.
pub(super) fn roots(kind: &Kind) -> Vec<&'static str> {
    let mut roots: Vec<_> = rows(kind)
        .filter_map(|(path, _)| path.split('.').next())
        // Those of XML.
        .filter(|root| !matches!(*root, "**" | "StyledLayerDescriptor"))
        .collect();
    roots.dedup();
    roots
}

/// Visits the places of a content, in its order.
pub(super) fn visit(
    content: &mut Value,
    form: Form,
    kind: &Kind,
    visitor: &mut dyn Visitor,
) -> Result<(), EncodeError> {
    match (form, content) {
        (Form::Json, Value::Object(rules)) if *kind == Kind::AccessRules => {
            rules::visit(rules, visitor)
        }
        (Form::Json, body) => walk(body, &rows(kind).collect::<Vec<_>>(), visitor),
        (Form::Text, Value::String(text)) => {
            let rows: Vec<_> = rows(kind).collect();
            if rows.is_empty() {
                return Ok(());
            }
            if let Some(new) = visit_xml(text, &rows, visitor)? {
                *text = new;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Goes down a body along the paths that lead on from there.
fn walk(
    value: &mut Value,
    rows: &[(&str, &Says)],
    visitor: &mut dyn Visitor,
) -> Result<(), EncodeError> {
    let Value::Object(map) = value else {
        return Ok(());
    };
    for (key, value) in map {
        let mut below = Vec::new();
        let mut here = None;
        for (path, says) in rows {
            let (first, rest) = path.split_once('.').unwrap_or((*path, ""));
            let name = first.strip_suffix("[]").unwrap_or(first);
            if name != "*" && name != key {
                continue;
            }
            if rest.is_empty() {
                here = Some(*says);
            } else {
                below.push((rest, *says));
            }
        }
        if below.is_empty() && here.is_none() {
            continue;
        }
        let items = match value {
            Value::Array(items) => items.as_mut_slice(),
            one => std::slice::from_mut(one),
        };
        for item in items {
            match here {
                Some(says) => visit_value(item, says, visitor)?,
                None => walk(item, &below, visitor)?,
            }
        }
    }
    Ok(())
}

/// Visits a place in JSON. What holds no name, as an empty text in a layer group does, is none.
fn visit_value(
    value: &mut Value,
    says: &Says,
    visitor: &mut dyn Visitor,
) -> Result<(), EncodeError> {
    let (Refers(role, kind) | Prefixed(role, kind)) = says else {
        if let Some(said) = name_in(value)
            && let Some(new) = visitor.own(&said)?
        {
            json::set_scalar(value, &new);
        }
        return Ok(());
    };
    match value {
        Value::Object(map) => {
            let Some(name) = map.get("name").and_then(name_in) else {
                return Ok(());
            };
            let said = read(
                &name,
                beside(map),
                told(map).unwrap_or_else(|| kind.clone()),
            );
            if let Some(new) = visitor.refers(role, said)? {
                set(map, &name, role, &new)?;
            }
        }
        value => {
            if let Some(name) = name_in(value)
                && let Some(new) = visitor.refers(role, read(&name, None, kind.clone()))?
            {
                json::set_scalar(value, &join(role, &new)?);
            }
        }
    }
    Ok(())
}

/// Visits the places of an XML text; the new text if one was set.
fn visit_xml(
    text: &str,
    rows: &[(&str, &Says)],
    visitor: &mut dyn Visitor,
) -> Result<Option<String>, EncodeError> {
    let mut edits = Vec::new();
    let meaning = |path: &str| {
        let mut rows = rows.iter();
        rows.find(|(pattern, _)| matches(pattern, path))
            .map(|(_, says)| *says)
    };
    for leaf in xml::scan(text, meaning).leaves {
        let Some(said) = leaf.value(text).filter(|said| !said.is_empty()) else {
            continue;
        };
        let new = match leaf.means {
            Own => visitor.own(&said)?,
            Prefixed(..) if !said.contains(':') => None,
            Refers(role, kind) | Prefixed(role, kind) => visitor
                .refers(role, read(&said, None, kind.clone()))?
                .map(|new| join(role, &new))
                .transpose()?,
            Path(role) => visit_path(&said, role, visitor)?,
        };
        if let Some(new) = new {
            edits.push((leaf.span, new));
        }
    }
    Ok((!edits.is_empty()).then(|| xml::edit(text, edits)))
}

/// What stands before the path of a resource.
const RESOURCE: &str = "resource:";

fn visit_path(
    said: &str,
    role: &'static str,
    visitor: &mut dyn Visitor,
) -> Result<Option<String>, EncodeError> {
    let path = said.strip_prefix(RESOURCE).map(paths::read);
    let Some(Ok((workspace, name))) = path else {
        return Ok(None);
    };
    let said = Object {
        workspace: workspace.map(str::to_owned),
        name: Some(name.to_owned()),
        ..Object::of(Kind::Resource)
    };
    let Some(new) = visitor.refers(role, said)? else {
        return Ok(None);
    };
    let path = paths::join(new.workspace.as_deref(), name_of(role, &new)?);
    match path {
        Ok(path) => Ok(Some([RESOURCE, &path].concat())),
        Err(problem) => Err(EncodeError::References {
            problem: format!("the reference `{role}` is to {new}: {problem}"),
        }),
    }
}

/// True if a path of XML, such as `gridSet.name`, is one that a row means.
fn matches(pattern: &str, path: &str) -> bool {
    if let Some(end) = pattern.strip_prefix("**.") {
        return path == end
            || path
                .strip_suffix(end)
                .is_some_and(|rest| rest.ends_with('.'));
    }
    let mut names = path.split('.');
    pattern.split('.').all(|expected| {
        names
            .next()
            .is_some_and(|name| expected == "*" || expected == name)
    }) && names.next().is_none()
}
