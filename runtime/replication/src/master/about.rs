//! What a hint is about, in the words of frames.

use weir_event::{Action, Event, Kind, Object, RestContent, RestPlace};
use weir_geoserver::Name;

use super::error::{HydrateError, Nothing};
use super::frames::State;
use crate::{Target, TargetError};

/// What a hint is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) kind: Kind,
    pub(super) place: RestPlace,
    /// What it was called before.
    pub(super) previous: Option<RestPlace>,
    /// The hint knows nothing but an id.
    is_bare_id: bool,
}

/// The services that have settings in the interface.
const SERVICES: [&str; 4] = ["wms", "wfs", "wcs", "wmts"];

impl About {
    pub(super) fn of(hint: &Event) -> Result<Self, Nothing> {
        if matches!(hint.action, Action::Reloaded | Action::Reset) {
            return Err(Nothing::Everything);
        }
        let subject = &hint.subject;
        let mut place = place(subject);
        let kind = match &subject.kind {
            // Whoever changed the configuration of the security may have changed these.
            Kind::Security if subject.name.is_none() => Kind::AccessRules,
            Kind::Security | Kind::Published | Kind::Other(_) => return Err(Nothing::Elsewhere),
            // The settings of no workspace are those of all.
            Kind::Settings if subject.workspace.is_none() => Kind::Global,
            Kind::Catalog => {
                place.name = Some(default(hint).ok_or(Nothing::Elsewhere)?.to_owned());
                Kind::Catalog
            }
            Kind::Service => {
                let name = subject.name.as_deref().unwrap_or_default().to_lowercase();
                if !SERVICES.contains(&name.as_str()) {
                    return Err(Nothing::Elsewhere);
                }
                place.name = Some(name);
                Kind::Service
            }
            other => other.clone(),
        };
        if is_only_one(&kind) {
            place = RestPlace::default();
        }
        if is_published(&kind) {
            let store = hint.references.iter().find(|it| it.role == "store");
            let name = store.and_then(|store| store.target.name.clone());
            place.store = name.filter(|name| Name::new(name.as_str()).is_ok());
        }
        let renamed = hint.previous.as_ref().filter(|_| !has_fixed_name(&kind));
        let previous = renamed.and_then(|object| {
            // It was of the same kind, whatever is said.
            let object = Object {
                kind: kind.clone(),
                ..object.clone()
            };
            let mut previous = RestPlace {
                store: place.store.clone(),
                ..self::place(&object)
            };
            // A move may tell only where it was, a rename only what it was called.
            if previous.name.is_none() && !kind.is_named_by_workspace() {
                previous.workspace.as_ref()?;
                previous.name.clone_from(&place.name);
            }
            Some(previous).filter(|previous| *previous != place)
        });
        let mut about = Self {
            previous: None,
            is_bare_id: subject.is_bare_id(),
            kind,
            place,
        };
        // What cannot have been there is of no use to a slave.
        about.previous = previous.filter(|previous| about.is_place(previous));
        Ok(about)
    }

    /// Another object that goes by the same names, in no store.
    pub(super) fn as_kind(&self, kind: Kind) -> Self {
        Self {
            kind,
            ..self.in_store(None)
        }
    }

    /// The same, and before a rename as well, in a store.
    pub(super) fn in_store(&self, store: Option<&str>) -> Self {
        let within = |place: &RestPlace| RestPlace {
            store: store.map(str::to_owned),
            ..place.clone()
        };
        Self {
            place: within(&self.place),
            previous: self.previous.as_ref().map(within),
            ..self.clone()
        }
    }

    /// Where it is in the interface.
    pub(super) fn target(&self) -> Result<Target, HydrateError> {
        Target::of(&self.kind, &self.place, false).map_err(|error| match error {
            TargetError::Lacks { .. } if self.is_bare_id => Nothing::OnlyId.into(),
            error => error.into(),
        })
    }

    fn is_place(&self, place: &RestPlace) -> bool {
        // The path of a file says its workspace.
        if self.kind == Kind::Resource && place.workspace.is_some() {
            return false;
        }
        // Where the store is not known, any does.
        let place = RestPlace {
            store: place.store.clone().or_else(|| Some("store".to_owned())),
            ..place.clone()
        };
        let kind = match &self.kind {
            Kind::Store => &Kind::DataStore,
            kind => kind,
        };
        Target::of(kind, &place, false).is_ok()
    }

    /// True for what every GeoServer has one of.
    pub(super) fn stays(&self) -> bool {
        is_only_one(&self.kind)
            || self.kind == Kind::Catalog
            || self.kind == Kind::Service && self.place.workspace.is_none()
    }

    pub(super) fn state(self, content: Option<RestContent>) -> State {
        State {
            kind: self.kind,
            place: self.place,
            previous: self.previous,
            content,
        }
    }
}

fn is_only_one(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Global | Kind::Logging | Kind::AccessRules | Kind::GwcGlobal | Kind::DiskQuota
    )
}

/// Nobody renames settings, a service or what there is one of.
fn has_fixed_name(kind: &Kind) -> bool {
    is_only_one(kind) || matches!(kind, Kind::Catalog | Kind::Service | Kind::Settings)
}

/// True for what lies in a store.
pub(super) fn is_published(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::FeatureType | Kind::Coverage | Kind::WmsLayer | Kind::WmtsLayer
    )
}

/// What a frame calls an object.
fn place(object: &Object) -> RestPlace {
    let Object {
        kind,
        workspace,
        name,
        ..
    } = object;
    let (workspace, name) = match (kind, workspace, name) {
        // The path of a file says its workspace.
        (Kind::Resource, Some(workspace), Some(name)) => {
            (None, Some(format!("workspaces/{workspace}/{name}")))
        }
        // These lie in none, whatever colons are in their names.
        (Kind::GridSet | Kind::BlobStore, Some(workspace), Some(name)) => {
            (None, Some(format!("{workspace}:{name}")))
        }
        (kind, workspace, _) if kind.is_named_by_workspace() => (workspace.clone(), None),
        (_, workspace, name) => (workspace.clone(), name.clone()),
    };
    RestPlace {
        workspace,
        store: None,
        name,
    }
}

/// Which default of the catalog a hint is about, that a slave can be given.
fn default(hint: &Event) -> Option<&'static str> {
    const DEFAULTS: [&str; 2] = ["default-workspace", "default-namespace"];
    let is_about = |default: &&str| {
        hint.subject.name.as_deref() == Some(default)
            || hint.references.iter().any(|it| it.role == *default)
    };
    DEFAULTS.into_iter().find(is_about)
}
