//! What an event says, whatever dialect it came in. The plugin contract (`wit/plugin.wit`) has the
//! same records, and says what each field means.

use std::fmt;

use bytes::Bytes;

/// The longest id of an event, in bytes: AMQP carries it as the message's, in a short string.
pub const MAX_ID: usize = 255;

/// One thing that happened to one catalog object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Unique within `source`, [`MAX_ID`] bytes at most; an event that is delivered twice has the
    /// same id both times.
    pub id: String,
    /// The CloudEvents source, such as `/masters/cloud`.
    pub source: String,
    /// RFC 3339 in UTC.
    pub time: String,
    /// The master's update sequence.
    pub sequence: Option<u64>,
    pub action: Action,
    pub subject: Object,
    /// What the subject was called before a rename or a move.
    pub previous: Option<Object>,
    /// In the order of the body.
    pub references: Vec<Reference>,
    /// Values of the subject that are lifted out of the body: `uri`, `connectionParameters.host`.
    pub properties: Vec<Pair>,
    /// CloudEvents extension attributes, in the order in which they came.
    pub attributes: Vec<Pair>,
    pub body: Option<Body>,
}

impl Event {
    /// The value of a CloudEvents extension attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|known| known.name == name)
            .map(|known| known.value.as_str())
    }

    /// Sets an extension attribute, in place where the event has it already.
    pub fn set_attribute(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.attributes.iter_mut().find(|known| known.name == name) {
            Some(known) => known.value = value,
            None => self.attributes.push(Pair::new(name, value)),
        }
    }

    /// All its texts and its body, in bytes.
    pub fn size(&self) -> usize {
        let targets = self.references.iter().map(|reference| &reference.target);
        let objects = [&self.subject]
            .into_iter()
            .chain(&self.previous)
            .chain(targets);
        let roles = self.references.iter().map(|reference| reference.role.len());
        let pairs = self.properties.iter().chain(&self.attributes);
        let body = self
            .body
            .as_ref()
            .map_or(0, |body| body.content_type.len() + body.data.len());
        self.id.len()
            + self.source.len()
            + self.time.len()
            + objects.map(Object::size).sum::<usize>()
            + roles.sum::<usize>()
            + pairs.map(Pair::size).sum::<usize>()
            + body
    }

    /// How this event breaks the contract with plugins on the references of the event that it was
    /// made from, as a phrase; `None` if it does not. A plugin may change the targets of references,
    /// but not add, remove or reorder references, nor change their roles: where only one id or name
    /// of many is written, its neighbours say which one it is.
    ///
    /// A new body may have other references. That they are those of the body shows when it is
    /// written.
    pub fn breaks_references_of(&self, was: &Self) -> Option<String> {
        if self.body != was.body {
            return None;
        }
        for (now, was) in self.references.iter().zip(&was.references) {
            if now.role != was.role {
                return Some(format!(
                    "where the reference `{}` to {} was, there is `{}` to {}",
                    was.role, was.target, now.role, now.target
                ));
            }
        }
        if let Some(missing) = was.references.get(self.references.len()) {
            return Some(format!(
                "the reference `{}` to {} is missing",
                missing.role, missing.target
            ));
        }
        let added = self.references.get(was.references.len())?;
        Some(format!(
            "the reference `{}` to {} was added",
            added.role, added.target
        ))
    }
}

/// A catalog object, or a place for one. What is `None` is not known, or does not apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    pub kind: Kind,
    /// The workspace that holds it; its own name for a workspace, a namespace and the settings of a
    /// workspace.
    pub workspace: Option<String>,
    /// Without prefix; `None` for objects that are named by `workspace`, or known by id only.
    pub name: Option<String>,
    pub id: Option<String>,
}

impl Object {
    /// An object of which only the kind is known.
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            workspace: None,
            name: None,
            id: None,
        }
    }

    fn size(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.kind.as_str().len() + text(&self.workspace) + text(&self.name) + text(&self.id)
    }

    /// True if nothing but an id says what this is: the [`crate::Index`] may know its name.
    pub fn is_bare_id(&self) -> bool {
        self.id.is_some() && self.name.is_none() && self.workspace.is_none()
    }
}

/// Shows an object as people name it: `layer topp:states`.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match (&self.workspace, &self.name, &self.id) {
            (Some(workspace), Some(name), _) => write!(f, " {workspace}:{name}"),
            // There is one catalog and one logging: their names say no more than their kinds.
            (None, Some(name), _) if name == self.kind.as_str() => Ok(()),
            (Some(only), None, _) | (None, Some(only), _) => write!(f, " {only}"),
            (None, None, Some(id)) => write!(f, " #{id}"),
            (None, None, None) => Ok(()),
        }
    }
}

/// Something that the subject refers to, and what it is to it (`store`, `default-style`, `layer`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub role: String,
    pub target: Object,
}

/// A name and a value: a property of the subject, or an attribute of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

impl Pair {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    fn size(&self) -> usize {
        self.name.len() + self.value.len()
    }
}

/// Bytes with their media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub content_type: String,
    pub data: Bytes,
}

/// An open set of words: those that Weir knows, each a variant, and any other.
macro_rules! words {
    ($(#[$doc:meta])* $words:ident { $($(#[$about:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $words {
            $($(#[$about])* $variant,)*
            /// A word that Weir does not know; never one of those above.
            Other(String),
        }

        impl $words {
            /// Every word that Weir knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for $words {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl fmt::Display for $words {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What happened to the subject. Words that are not known pass through.
    Action {
        Added = "added",
        Modified = "modified",
        Removed = "removed",
        Reloaded = "reloaded",
        Reset = "reset",
    }
}

words! {
    /// GeoServer's own word for what an object is. Words that are not known pass through.
    Kind {
        Workspace = "workspace",
        Namespace = "namespace",
        DataStore = "datastore",
        CoverageStore = "coveragestore",
        WmsStore = "wmsstore",
        WmtsStore = "wmtsstore",
        FeatureType = "featuretype",
        Coverage = "coverage",
        WmsLayer = "wmslayer",
        WmtsLayer = "wmtslayer",
        Layer = "layer",
        LayerGroup = "layergroup",
        Style = "style",
        Settings = "settings",
        Service = "service",
        Global = "global",
        Logging = "logging",
        Security = "security",
        Resource = "resource",
        TileLayer = "tile-layer",
        GridSet = "gridset",
        BlobStore = "blobstore",
        /// The settings of GeoWebCache.
        GwcGlobal = "gwc-global",
        /// How much the tiles may take.
        DiskQuota = "disk-quota",
        /// Who may see and change which layers.
        AccessRules = "access-rules",
        Catalog = "catalog",
        Store = "store",
        Published = "published",
    }
}

impl Kind {
    /// True for the kinds whose name is their workspace: see [`Object::name`].
    pub fn is_named_by_workspace(&self) -> bool {
        matches!(self, Self::Workspace | Self::Namespace | Self::Settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_counts() {
        let mut event = Event {
            id: "id".to_owned(),
            source: String::new(),
            time: String::new(),
            sequence: None,
            action: Action::Added,
            subject: Object::of(Kind::Layer),
            previous: None,
            references: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
            body: Some(Body {
                content_type: String::new(),
                data: vec![0; 10].into(),
            }),
        };
        assert_eq!(event.size(), 2 + 5 + 10);
        event.attributes.push(Pair::new("ab", "cde"));
        event.previous = Some(Object {
            name: Some("name".to_owned()),
            ..Object::of(Kind::Layer)
        });
        assert_eq!(event.size(), 2 + 5 + 10 + 5 + 9);
    }
}
