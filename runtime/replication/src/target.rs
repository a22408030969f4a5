//! Where the interface has what a frame is about.

use thiserror::Error;
use weir_event::{Kind, RestContent, RestPlace};
use weir_geoserver::{
    DataFile, FilePath, Name, NameError, Object, Scope, Service, StoreKind, StyleFormat,
    TileObject, Workspace,
};

/// What a frame of `geoserver-rest` is about, at one node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Object(Object),
    Tile(TileObject),
    File(DataFile),
    /// The body of a style, which is a frame of its own.
    StyleBody {
        scope: Scope,
        name: Name,
    },
}

/// Why a frame is about nothing that can be at a node.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    #[error("a {kind} without {what} is nowhere in the REST interface")]
    Lacks { kind: Kind, what: &'static str },
    #[error("Weir does not know where the REST interface has a {0}")]
    Unknown(Kind),
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Target {
    /// Where the interface has what is called `place`.
    ///
    /// `has_body` says that the frame is the body of a style, and not what is said about it.
    pub fn of(kind: &Kind, place: &RestPlace, has_body: bool) -> Result<Self, TargetError> {
        let wanted = Wanted { kind, place };
        Ok(match kind {
            Kind::Workspace => Self::Object(Object::Workspace(wanted.workspace()?)),
            Kind::Namespace => Self::Object(Object::Namespace(wanted.workspace()?)),
            Kind::DataStore | Kind::CoverageStore | Kind::WmsStore | Kind::WmtsStore => {
                Self::Object(Object::Store {
                    kind: wanted.store_kind()?,
                    workspace: wanted.workspace()?,
                    name: wanted.name()?,
                })
            }
            Kind::FeatureType | Kind::Coverage | Kind::WmsLayer | Kind::WmtsLayer => {
                Self::Object(Object::Resource {
                    kind: wanted.store_kind()?,
                    workspace: wanted.workspace()?,
                    store: Name::new(wanted.text(place.store.as_deref(), "a store")?)?,
                    name: wanted.name()?,
                })
            }
            Kind::Layer => Self::Object(Object::Layer {
                workspace: wanted.workspace()?,
                name: wanted.name()?,
            }),
            Kind::LayerGroup => Self::Object(Object::LayerGroup {
                scope: wanted.scope()?,
                name: wanted.name()?,
            }),
            Kind::Style if has_body => Self::StyleBody {
                scope: wanted.scope()?,
                name: wanted.name()?,
            },
            Kind::Style => Self::Object(Object::Style {
                scope: wanted.scope()?,
                name: wanted.name()?,
            }),
            Kind::Settings | Kind::Global => Self::Object(Object::Settings(wanted.scope()?)),
            Kind::Service => Self::Object(Object::Service {
                service: wanted.service()?,
                scope: wanted.scope()?,
            }),
            Kind::Logging => Self::Object(Object::Logging),
            Kind::AccessRules => Self::Object(Object::AccessRules),
            Kind::Catalog => Self::Object(wanted.default()?),
            Kind::Resource => Self::File(DataFile::Resource(FilePath::new(
                wanted.text(place.name.as_deref(), "a path")?,
            )?)),
            Kind::TileLayer => Self::Tile(TileObject::Layer(Name::new(match &place.workspace {
                Some(workspace) => format!("{workspace}:{}", wanted.name()?),
                None => wanted.name()?.to_string(),
            })?)),
            Kind::GridSet => Self::Tile(TileObject::GridSet(wanted.name()?)),
            Kind::BlobStore => Self::Tile(TileObject::BlobStore(wanted.name()?)),
            Kind::GwcGlobal => Self::Tile(TileObject::Settings),
            Kind::DiskQuota => Self::Tile(TileObject::DiskQuota),
            Kind::Security | Kind::Store | Kind::Published | Kind::Other(_) => {
                return Err(TargetError::Unknown(kind.clone()));
            }
        })
    }
}

/// The format of a style's body by its media type; `None` for one that GeoServer does not know.
pub fn style_format(media_type: &str) -> Option<StyleFormat> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    Some(match media_type {
        "application/vnd.ogc.sld+xml" => StyleFormat::Sld10,
        "application/vnd.ogc.se+xml" => StyleFormat::Sld11,
        "application/vnd.geoserver.geocss+css" => StyleFormat::Css,
        "application/vnd.geoserver.ysld+yaml" => StyleFormat::Ysld,
        "application/vnd.geoserver.mbstyle+json" => StyleFormat::MapboxStyle,
        _ => return None,
    })
}

/// The media type of a style's body by the `format` and the `languageVersion` of its info. The inverse
/// of [`style_format`].
pub fn style_media_type(format: &str, version: &str) -> Option<&'static str> {
    Some(match format.to_ascii_lowercase().as_str() {
        "sld" if version.starts_with("1.1") => "application/vnd.ogc.se+xml",
        "sld" => "application/vnd.ogc.sld+xml",
        "css" => "application/vnd.geoserver.geocss+css",
        "ysld" => "application/vnd.geoserver.ysld+yaml",
        "mbstyle" => "application/vnd.geoserver.mbstyle+json",
        _ => return None,
    })
}

/// True if a content is the body of a style, where its kind is one.
pub fn is_body(content: Option<&RestContent>) -> bool {
    content.is_some_and(|content| !matches!(content, RestContent::Json(_)))
}

/// What a frame says of where something is.
struct Wanted<'a> {
    kind: &'a Kind,
    place: &'a RestPlace,
}

impl<'a> Wanted<'a> {
    fn text(&self, text: Option<&'a str>, what: &'static str) -> Result<&'a str, TargetError> {
        text.ok_or_else(|| TargetError::Lacks {
            kind: self.kind.clone(),
            what,
        })
    }

    fn workspace(&self) -> Result<Workspace, TargetError> {
        let text = self.text(self.place.workspace.as_deref(), "a workspace")?;
        Ok(Workspace::new(text)?)
    }

    fn name(&self) -> Result<Name, TargetError> {
        let text = self.text(self.place.name.as_deref(), "a name")?;
        Ok(Name::new(text)?)
    }

    fn scope(&self) -> Result<Scope, TargetError> {
        Ok(match &self.place.workspace {
            Some(workspace) => Scope::Workspace(Workspace::new(workspace.as_str())?),
            None => Scope::Global,
        })
    }

    fn store_kind(&self) -> Result<StoreKind, TargetError> {
        store_kind(self.kind).ok_or_else(|| TargetError::Unknown(self.kind.clone()))
    }

    fn service(&self) -> Result<Service, TargetError> {
        match self.place.name.as_deref() {
            Some("wms") => Ok(Service::Wms),
            Some("wfs") => Ok(Service::Wfs),
            Some("wcs") => Ok(Service::Wcs),
            Some("wmts") => Ok(Service::Wmts),
            _ => Err(TargetError::Lacks {
                kind: self.kind.clone(),
                what: "the name of a service whose settings REST has: wms, wfs, wcs or wmts",
            }),
        }
    }

    /// What is the default one of the catalog, by the name of the frame.
    fn default(&self) -> Result<Object, TargetError> {
        match self.place.name.as_deref() {
            Some("default-workspace") => Ok(Object::DefaultWorkspace),
            Some("default-namespace") => Ok(Object::DefaultNamespace),
            _ => Err(TargetError::Lacks {
                kind: self.kind.clone(),
                what: "a default that REST can set: default-workspace or default-namespace",
            }),
        }
    }
}

/// The kind of a store, or of the store in which a resource lies.
pub fn store_kind(kind: &Kind) -> Option<StoreKind> {
    Some(match kind {
        Kind::DataStore | Kind::FeatureType => StoreKind::Data,
        Kind::CoverageStore | Kind::Coverage => StoreKind::Coverage,
        Kind::WmsStore | Kind::WmsLayer => StoreKind::Wms,
        Kind::WmtsStore | Kind::WmtsLayer => StoreKind::Wmts,
        _ => return None,
    })
}
