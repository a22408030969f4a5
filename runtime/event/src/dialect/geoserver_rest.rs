//! GeoServer's REST interface: the state of one object, as the interface gives it.
//!
//! Other dialects tell that something changed; a frame of this one says what the object is now. It
//! is one JSON object, a small head and the content:
//!
//! ```json
//! {
//!   "kind": "featuretype", "action": "modified", "workspace": "topp", "store": "pg", "name": "states",
//!   "previous": {"workspace": "topp", "name": "usa"},
//!   "master": {"workspace": "topp", "store": "pg", "name": "states"}, "source": "/masters/main",
//!   "id": "0b0e…", "time": "2026-11-25T18:00:00.000Z", "sequence": 1043, "author": "admin",
//!   "contentType": "application/json", "body": {"featureType": {"name": "states", …}}
//! }
//! ```
//!
//! - `kind` and `action` are the words of the contract with plugins; `id` and `time` are the event's.
//! - `workspace` and `name` say what the object is called; a workspace, a namespace and the settings
//!   of a workspace have no other name than `workspace`. A resource has a path for a name,
//!   `workspaces/topp/styles/dot.png`, and no `workspace` beside it. `store` is where a feature type,
//!   a coverage or a cascaded layer lies, which its path in the interface names; a body says it too.
//! - `previous` is what the object was called before a rename or a move.
//! - `master` is what the master calls the object. No plugin sees it and nothing ever changes it: by
//!   it a slave knows again what it holds, whatever stages made of the name.
//! - `source` says which master that is; with only one it may be absent.
//! - `sequence` (the master's update sequence) and `author` (who changed the object) may be absent.
//! - The content is one of four, of the media type `contentType`, or none where an object is removed:
//!   `body`, JSON as the interface gives it; `text`, the XML of GeoWebCache, which round-trips only
//!   as such, the body of a style or any other text; `base64`, the bytes of a file; `reference`, the
//!   `sha256` and the `size` of a file that is too large to come along, to be had from the master.
//!   A style is two frames, its `body` (the info) and its `text` in a style language.
//!
//! Which places of a content name the object or others is in the table of [`places`]. Links into the
//! interface itself (`…/rest/…`) are no data, and stay as they are.

mod form;
mod frame;
mod names;
mod paths;
mod places;
mod properties;
mod rules;
mod write;
mod xml;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Map, Value};

use self::form::Form;
pub use self::frame::{RestContent, RestFrame, RestPlace};
use self::places::Visitor;
pub(super) use self::write::write;
use super::geoserver_cloud::store;
use super::{DecodeError, Dialect, EncodeError, Read, blank, json, push_author};
use crate::event::{Body, Kind, Object, Reference};

const DIALECT: Dialect = Dialect::GeoServerRest;

/// The media type that a JSON body has in an event.
const OBJECT_TYPE: &str = "application/json; profile=geoserver-rest.object";

/// The media type that the reference to a large file has in an event.
const REFERENCE_TYPE: &str = "application/json; profile=geoserver-rest.reference";

/// How much of a text from outside is shown, in characters.
const MAX_SHOWN: usize = 100;

/// Reads a frame.
pub(super) fn read(frame: &mut Value, source: &str) -> Result<Read, DecodeError> {
    let outer = frame
        .as_object_mut()
        .ok_or_else(|| DIALECT.invalid("it is JSON, but not an object"))?;
    read_outer(outer, source).map_err(|problem| DIALECT.invalid(problem))
}

fn read_outer(outer: &mut Map<String, Value>, source: &str) -> Result<Read, String> {
    let head = RestFrame::head(outer)?;
    let form = Form::of(outer, &head.kind)?;
    let mut event = blank(source);
    event.id = head.id;
    event.time = head.time;
    event.sequence = head.sequence;
    event.action = head.action;
    event.subject = head.place.object(&head.kind)?;
    event.previous = match head.previous {
        Some(previous) => Some(previous.object(&head.kind)?),
        None => None,
    };
    if let Some(author) = &head.author {
        push_author(&mut event, author);
    }
    event.properties = properties::read(outer, form, &event.subject.kind);
    event.body = form.map(|form| body(outer, form));
    event.references =
        references(outer, form, &event.subject).map_err(|error| error.to_string())?;
    Ok(Read::Event(event))
}

/// The content of a frame as an event has it. The form was checked.
fn body(outer: &Map<String, Value>, form: Form) -> Body {
    let content_type = json::text(outer, "contentType").unwrap_or_default();
    let content = outer.get(form.key()).unwrap_or(&Value::Null);
    let (content_type, data) = match form {
        Form::Json => (OBJECT_TYPE, json::compact(content)),
        Form::Reference => (REFERENCE_TYPE, json::compact(content)),
        Form::Text => {
            let text = content.as_str().unwrap_or_default();
            (content_type, Bytes::copy_from_slice(text.as_bytes()))
        }
        Form::Base64 => {
            let text = content.as_str().unwrap_or_default();
            (content_type, BASE64.decode(text).unwrap_or_default().into())
        }
    };
    Body {
        content_type: content_type.to_owned(),
        data,
    }
}

/// What a frame refers to.
fn references(
    outer: &mut Map<String, Value>,
    form: Option<Form>,
    subject: &Object,
) -> Result<Vec<Reference>, EncodeError> {
    let mut reader = Reader(Vec::new());
    visit(outer, form, subject, &mut reader)?;
    Ok(reader.0)
}

/// Visits every place of a frame that names the subject or something else: those of the content in
/// their order, then the store in the head, where the content does not say it.
fn visit(
    outer: &mut Map<String, Value>,
    form: Option<Form>,
    subject: &Object,
    visitor: &mut dyn Visitor,
) -> Result<(), EncodeError> {
    let mut stores = Stores {
        visitor,
        is_said: false,
        new: None,
    };
    if let Some(form) = form
        && let Some(content) = outer.get_mut(form.key())
    {
        places::visit(content, form, &subject.kind, &mut stores)?;
    }
    let Some(name) = json::text(outer, "store") else {
        return Ok(());
    };
    if !stores.is_said {
        let said = Object {
            workspace: subject.workspace.clone(),
            name: Some(name.to_owned()),
            ..Object::of(store(&subject.kind))
        };
        stores.refers("store", said)?;
    }
    if let Some(new) = stores.new {
        // The head names it without workspace: a store lies where its resources do.
        let name = names::name_of("store", &new)?.to_owned();
        json::set_text(outer, "store", Some(&name));
    }
    Ok(())
}

/// Keeps what becomes of the store that the content says, for the head to say the same.
struct Stores<'a> {
    visitor: &'a mut dyn Visitor,
    is_said: bool,
    new: Option<Object>,
}

impl Visitor for Stores<'_> {
    fn own(&mut self, said: &str) -> Result<Option<String>, EncodeError> {
        self.visitor.own(said)
    }

    fn refers(&mut self, role: &'static str, said: Object) -> Result<Option<Object>, EncodeError> {
        let new = self.visitor.refers(role, said)?;
        if role == "store" {
            self.is_said = true;
            self.new.clone_from(&new);
        }
        Ok(new)
    }
}

/// Collects references.
struct Reader(Vec<Reference>);

impl Visitor for Reader {
    fn own(&mut self, _: &str) -> Result<Option<String>, EncodeError> {
        Ok(None)
    }

    fn refers(
        &mut self,
        role: &'static str,
        target: Object,
    ) -> Result<Option<Object>, EncodeError> {
        self.0.push(Reference {
            role: role.to_owned(),
            target,
        });
        Ok(None)
    }
}

/// As much of a text as tells which one it is.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// True for the kinds that Weir has a word for.
fn is_known(kind: &Kind) -> bool {
    !matches!(kind, Kind::Other(_))
}
