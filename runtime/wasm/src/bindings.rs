//! The contract in Rust: what `bindgen!` makes of `wit/plugin.wit`, and the conversions between its
//! records and Weir's own words. Nothing else in this crate names a generated record.

use weir_event::{Action, Body, Event, Kind, Object, Property, Reference};

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use self::generated::weir::plugin::catalog;
use crate::sandbox::Sandbox;

pub(crate) use self::generated::exports::weir::plugin::{filtering, routing, transforming};
pub(crate) use self::generated::weir::plugin::catalog::Failure;
pub(crate) use self::generated::weir::plugin::host;

mod generated {
    // One world with the exports of all three, so that they share one set of records. No component
    // is ever instantiated as this world: each export is looked up by itself.
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package weir:runtime;
            world plugins {
                include weir:plugin/filter@0.1.0;
                include weir:plugin/transform@0.1.0;
                include weir:plugin/router@0.1.0;
            }
        ",
        world: "weir:runtime/plugins",
        exports: { default: async },
        // An event is lowered from where it stands, without clones.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// What the three worlds have in common: where their interface is in a component, and that it takes
/// settings.
pub(crate) trait Entry: Sized + Send + Sync + 'static {
    /// The interface of one instance.
    type Guest: Send + Sync + 'static;

    fn find(template: &InstancePre<Sandbox>) -> wasmtime::Result<Self>;

    /// Fails if a function has another type than the contract says.
    fn enter(
        &self,
        store: &mut Store<Sandbox>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Guest>;

    fn configure(
        guest: &Self::Guest,
        store: &mut Store<Sandbox>,
        settings: &str,
    ) -> impl Future<Output = wasmtime::Result<Result<(), String>>> + Send;
}

macro_rules! entry {
    ($($interface:ident),*) => {$(
        impl Entry for $interface::GuestIndices {
            type Guest = $interface::Guest;

            fn find(template: &InstancePre<Sandbox>) -> wasmtime::Result<Self> {
                Self::new(template)
            }

            fn enter(
                &self,
                store: &mut Store<Sandbox>,
                instance: &Instance,
            ) -> wasmtime::Result<Self::Guest> {
                self.load(store, instance)
            }

            async fn configure(
                guest: &Self::Guest,
                store: &mut Store<Sandbox>,
                settings: &str,
            ) -> wasmtime::Result<Result<(), String>> {
                guest.call_configure(store, settings).await
            }
        }
    )*};
}

entry!(filtering, transforming, routing);

/// An event as the contract has it, borrowed from Weir's: only the lists need memory of their own.
pub(crate) struct Lowered<'a> {
    event: &'a Event,
    references: Vec<catalog::ReferenceParam<'a>>,
    properties: Vec<catalog::PropertyParam<'a>>,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Lowered<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        let reference = |reference: &'a Reference| catalog::ReferenceParam {
            role: &reference.role,
            target: object(&reference.target),
        };
        let property = |property: &'a Property| catalog::PropertyParam {
            name: &property.name,
            value: &property.value,
        };
        Self {
            event,
            references: event.references.iter().map(reference).collect(),
            properties: event.properties.iter().map(property).collect(),
            attributes: event
                .attributes
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }

    pub(crate) fn event(&self) -> catalog::EventParam<'_> {
        let event = self.event;
        catalog::EventParam {
            id: &event.id,
            source: &event.source,
            time: &event.time,
            sequence: event.sequence,
            action: match event.action {
                Action::Added => catalog::Action::Added,
                Action::Modified => catalog::Action::Modified,
                Action::Removed => catalog::Action::Removed,
                Action::Reloaded => catalog::Action::Reloaded,
                Action::Reset => catalog::Action::Reset,
            },
            subject: object(&event.subject),
            previous: event.previous.as_ref().map(object),
            references: &self.references,
            properties: &self.properties,
            attributes: &self.attributes,
            body: event.body.as_ref().map(|body| catalog::BodyParam {
                content_type: &body.content_type,
                data: &body.data,
            }),
        }
    }
}

fn object(object: &Object) -> catalog::ObjectParam<'_> {
    catalog::ObjectParam {
        kind: object.kind.as_str(),
        workspace: object.workspace.as_deref(),
        name: object.name.as_deref(),
        id: object.id.as_deref(),
    }
}

impl From<catalog::EventResult> for Event {
    fn from(event: catalog::EventResult) -> Self {
        Self {
            id: event.id,
            source: event.source,
            time: event.time,
            sequence: event.sequence,
            action: match event.action {
                catalog::Action::Added => Action::Added,
                catalog::Action::Modified => Action::Modified,
                catalog::Action::Removed => Action::Removed,
                catalog::Action::Reloaded => Action::Reloaded,
                catalog::Action::Reset => Action::Reset,
            },
            subject: event.subject.into(),
            previous: event.previous.map(Object::from),
            references: event
                .references
                .into_iter()
                .map(|reference| Reference {
                    role: reference.role,
                    target: reference.target.into(),
                })
                .collect(),
            properties: event
                .properties
                .into_iter()
                .map(|property| Property {
                    name: property.name,
                    value: property.value,
                })
                .collect(),
            attributes: event.attributes,
            body: event.body.map(|body| Body {
                content_type: body.content_type,
                data: body.data.into(),
            }),
        }
    }
}

impl From<catalog::ObjectResult> for Object {
    fn from(object: catalog::ObjectResult) -> Self {
        Self {
            kind: Kind::from(object.kind.as_str()),
            workspace: object.workspace,
            name: object.name,
            id: object.id,
        }
    }
}
