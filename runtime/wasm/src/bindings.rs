//! The contract in Rust: what `bindgen!` makes of `wit/plugin.wit`, and the conversions between its
//! records and Weir's own words. Nothing else in this crate names a generated record.

use weir_event::{Action, Body, Event, Kind, Object, Pair, Reference};

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre, Lift};

use self::generated::weir::plugin::catalog;
use crate::configure::Settings;
use crate::plugin::World;
use crate::sandbox::Sandbox;

pub(crate) use self::generated::exports::weir::plugin::{filtering, routing, transforming};
pub(crate) use self::generated::weir::plugin::catalog::{
    CatalogEventParam as EventParam, Failure, Interest,
};
pub(crate) use self::generated::weir::plugin::host;

mod generated {
    // One world with the exports of all three, so that they share one set of records. No component
    // is ever instantiated as this world: each export is looked up by itself.
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package weir:runtime;
            world plugins {
                include weir:plugin/filter@0.2.0;
                include weir:plugin/transform@0.2.0;
                include weir:plugin/router@0.2.0;
            }
        ",
        world: "weir:runtime/plugins",
        exports: { default: async },
        // An event is lowered from where it stands, without clones.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// What the three worlds have in common: where their interface is in a component, that it takes
/// settings, and that one function of it handles events.
pub(crate) trait Entry: Sized + Send + Sync + 'static {
    const WORLD: World;

    /// The name of the function that handles events.
    const FUNCTION: &'static str;

    /// The interface of one instance.
    type Guest: Send + Sync + 'static;

    /// What it says to an event that it can handle.
    type Answer: Lift + Send + Sync + 'static;

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
        settings: &Settings,
    ) -> impl Future<Output = wasmtime::Result<Result<Interest, String>>> + Send;

    fn handle(
        guest: &Self::Guest,
        store: &mut Store<Sandbox>,
        event: &Lowered<'_>,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Answer, Failure>>> + Send;
}

macro_rules! entry {
    ($(
        $world:ident: $interface:ident($($argument:ident),*) $call:ident $function:literal -> $answer:ty;
    )*) => {$(
        impl Entry for $interface::GuestIndices {
            const WORLD: World = World::$world;
            const FUNCTION: &'static str = $function;
            type Guest = $interface::Guest;
            type Answer = $answer;

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
                settings: &Settings,
            ) -> wasmtime::Result<Result<Interest, String>> {
                guest.call_configure(store, $(&settings.$argument()),*).await
            }

            async fn handle(
                guest: &Self::Guest,
                store: &mut Store<Sandbox>,
                event: &Lowered<'_>,
            ) -> wasmtime::Result<Result<Self::Answer, Failure>> {
                guest.$call(store, event.event()).await
            }
        }
    )*};
}

entry!(
    Filter: filtering(config) call_filter "filter" -> filtering::Verdict;
    Transform: transforming(config) call_transform "transform" -> transforming::Outcome;
    Router: routing(config, slaves) call_route "route" -> Vec<String>;
);

/// An event as the contract has it, borrowed from Weir's: only the lists need memory of their own.
/// What the plugin has no interest in is left out.
pub(crate) struct Lowered<'a> {
    event: &'a Event,
    references: Vec<catalog::ReferenceParam<'a>>,
    properties: Vec<catalog::PairParam<'a>>,
    attributes: Vec<catalog::PairParam<'a>>,
    body: Option<&'a Body>,
}

impl<'a> Lowered<'a> {
    pub(crate) fn new(event: &'a Event, interest: Interest) -> Self {
        let reference = |reference: &'a Reference| catalog::ReferenceParam {
            role: &reference.role,
            target: object(&reference.target),
        };
        let pair = |pair: &'a Pair| catalog::PairParam {
            name: &pair.name,
            value: &pair.value,
        };
        let wanted = |part| interest.contains(part);
        Self {
            event,
            references: if wanted(Interest::REFERENCES) {
                event.references.iter().map(reference).collect()
            } else {
                Vec::new()
            },
            properties: if wanted(Interest::PROPERTIES) {
                event.properties.iter().map(pair).collect()
            } else {
                Vec::new()
            },
            attributes: if wanted(Interest::ATTRIBUTES) {
                event.attributes.iter().map(pair).collect()
            } else {
                Vec::new()
            },
            body: event.body.as_ref().filter(|_| wanted(Interest::BODY)),
        }
    }

    pub(crate) fn event(&self) -> catalog::CatalogEventParam<'_> {
        let event = self.event;
        catalog::CatalogEventParam {
            id: &event.id,
            source: &event.source,
            time: &event.time,
            sequence: event.sequence,
            action: event.action.as_str(),
            subject: object(&event.subject),
            previous: event.previous.as_ref().map(object),
            references: &self.references,
            properties: &self.properties,
            attributes: &self.attributes,
            body: self.body.map(|body| catalog::BodyParam {
                content_type: &body.content_type,
                data: &body.data,
            }),
        }
    }
}

/// Every part that a plugin can have an interest in; its place says which bit stands for it where an
/// interest is kept.
const PARTS: [Interest; 4] = [
    Interest::REFERENCES,
    Interest::PROPERTIES,
    Interest::ATTRIBUTES,
    Interest::BODY,
];

/// An interest as a byte.
pub(crate) fn interest_to_byte(interest: Interest) -> u8 {
    let bits = PARTS.iter().enumerate();
    bits.fold(0, |byte, (bit, part)| {
        byte | u8::from(interest.contains(*part)) << bit
    })
}

/// What [`interest_to_byte`] gave.
pub(crate) fn interest_from_byte(byte: u8) -> Interest {
    let parts = PARTS.iter().enumerate();
    parts
        .filter(|(bit, _)| byte & 1 << bit != 0)
        .fold(Interest::default(), |interest, (_, part)| interest | *part)
}

/// What a plugin made of `was`: the parts that it had no interest in stay as they were.
pub(crate) fn lift(event: catalog::CatalogEventResult, was: &Event, interest: Interest) -> Event {
    let mut event = Event::from(event);
    if !interest.contains(Interest::REFERENCES) {
        event.references.clone_from(&was.references);
    }
    if !interest.contains(Interest::PROPERTIES) {
        event.properties.clone_from(&was.properties);
    }
    if !interest.contains(Interest::ATTRIBUTES) {
        event.attributes.clone_from(&was.attributes);
    }
    if !interest.contains(Interest::BODY) {
        event.body.clone_from(&was.body);
    }
    event
}

fn object(object: &Object) -> catalog::CatalogObjectParam<'_> {
    catalog::CatalogObjectParam {
        kind: object.kind.as_str(),
        workspace: object.workspace.as_deref(),
        name: object.name.as_deref(),
        id: object.id.as_deref(),
    }
}

impl From<catalog::CatalogEventResult> for Event {
    fn from(event: catalog::CatalogEventResult) -> Self {
        Self {
            id: event.id,
            source: event.source,
            time: event.time,
            sequence: event.sequence,
            action: Action::from(event.action.as_str()),
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
            properties: event.properties.into_iter().map(Pair::from).collect(),
            attributes: event.attributes.into_iter().map(Pair::from).collect(),
            body: event.body.map(|body| Body {
                content_type: body.content_type,
                data: body.data.into(),
            }),
        }
    }
}

impl From<catalog::PairResult> for Pair {
    fn from(pair: catalog::PairResult) -> Self {
        Self {
            name: pair.name,
            value: pair.value,
        }
    }
}

impl From<catalog::CatalogObjectResult> for Object {
    fn from(object: catalog::CatalogObjectResult) -> Self {
        Self {
            kind: Kind::from(object.kind.as_str()),
            workspace: object.workspace,
            name: object.name,
            id: object.id,
        }
    }
}
