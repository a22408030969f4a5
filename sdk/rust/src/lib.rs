//! Write a plugin for Weir in Rust.
//!
//! A plugin is a type that serde reads from the settings of its stage, and one function over an
//! event. This one drops what a user called `importer` has changed (or whoever the settings name):
//!
//! ```
//! use serde::Deserialize;
//! use weir_plugin::{Event, Failure, Filter, Verdict};
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct NotBy {
//!     author: String,
//! }
//!
//! impl Filter for NotBy {
//!     fn filter(&self, event: &Event) -> Result<Verdict, Failure> {
//!         match event.attribute("authid") {
//!             Some(author) if author == self.author => Ok(Verdict::Drop(format!("by {author}"))),
//!             _ => Ok(Verdict::Keep),
//!         }
//!     }
//! }
//!
//! weir_plugin::filter!(NotBy);
//! # fn main() {}
//! ```
//!
//! Built with `cargo build --release --target wasm32-wasip2` as a `cdylib`, it is a component that
//! Weir runs. [`Filter`], [`Transform`] and [`Router`] are the three kinds of plugin; each has a
//! macro of the same name that exports it.
//!
//! Settings that need more than their types to be right say so with serde's
//! `#[serde(try_from = "…")]`: see the plugins in Weir's repository. A test makes a plugin with
//! [`from_settings`] and calls it: no host is needed.

#[cfg(any(test, all(target_family = "wasm", feature = "allocator")))]
mod allocator;
#[doc(hidden)]
pub mod bindings;
mod event;
mod pattern;
pub mod testing;

use std::sync::OnceLock;

use serde::de::DeserializeOwned;

pub use bindings::filter::exports::weir::plugin::filtering::Verdict;
pub use bindings::filter::weir::plugin::catalog::{
    Body, CatalogEvent as Event, CatalogObject as Object, Failure, Interest, Pair, Reference,
};
pub use bindings::filter::weir::plugin::host::Level;
pub use bindings::transform::exports::weir::plugin::transforming::Outcome;
pub use event::ACTIONS;
pub use pattern::Pattern;

/// A plugin that says of an event whether it goes on. Export it with [`filter!`].
pub trait Filter: DeserializeOwned + Send + Sync + 'static {
    /// # Errors
    ///
    /// [`Failure`] says whether the event is worth another try.
    fn filter(&self, event: &Event) -> Result<Verdict, Failure>;

    /// The parts of events that the plugin reads; the others come empty.
    fn interest(&self) -> Interest {
        Interest::everything()
    }
}

/// A plugin that turns an event into none, one or many. Export it with [`transform!`].
pub trait Transform: DeserializeOwned + Send + Sync + 'static {
    /// What takes the place of this event: an event or a vector of them becomes an [`Outcome`] with
    /// `into()`.
    ///
    /// # Errors
    ///
    /// [`Failure`] says whether the event is worth another try.
    fn transform(&self, event: Event) -> Result<Outcome, Failure>;

    /// The parts of events that the plugin reads or changes; the others come empty and stay as they
    /// are.
    fn interest(&self) -> Interest {
        Interest::everything()
    }
}

/// A plugin that chooses the slaves that an event goes to. Export it with [`router!`].
pub trait Router: DeserializeOwned + Send + Sync + 'static {
    /// The names, out of `slaves` (all that are attached), that the event goes to.
    ///
    /// # Errors
    ///
    /// [`Failure`] says whether the event is worth another try.
    fn route(&self, event: &Event, slaves: &[String]) -> Result<Vec<String>, Failure>;

    /// The parts of events that the plugin reads; the others come empty.
    fn interest(&self) -> Interest {
        Interest::everything()
    }
}

/// Makes a plugin from the settings of its stage, as Weir does it.
///
/// # Errors
///
/// What is wrong with the settings, for whoever wrote them.
pub fn from_settings<P: DeserializeOwned>(settings: &str) -> Result<P, String> {
    // By way of a value, because the line and the column that an error would carry otherwise are
    // those of the JSON, which nobody wrote.
    let settings: serde_json::Value = serde_json::from_str(settings)
        .map_err(|error| format!("the settings are no JSON: {error}"))?;
    serde_json::from_value(settings).map_err(|error| error.to_string())
}

/// Writes a line to Weir's log. In a native test there is no log, and the line goes nowhere.
pub fn log(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    bindings::filter::weir::plugin::host::log(level, message);
    #[cfg(not(target_family = "wasm"))]
    let _: (Level, &str) = (level, message);
}

/// Exports a type that implements [`Filter`] as a component of the world `filter`.
#[macro_export]
macro_rules! filter {
    ($plugin:ty) => {
        const _: () = {
            use bindings::exports::weir::plugin::filtering::Guest;
            use $crate::bindings::filter as bindings;

            static STAGE: $crate::Stage<$plugin> = $crate::Stage::empty();

            struct Component;

            impl Guest for Component {
                fn configure(settings: String) -> Result<$crate::Interest, String> {
                    let plugin = STAGE.configure(&settings, Vec::new())?;
                    Ok($crate::Filter::interest(plugin))
                }

                fn filter(event: $crate::Event) -> Result<$crate::Verdict, $crate::Failure> {
                    $crate::Filter::filter(STAGE.plugin()?, &event)
                }
            }

            // A native linker would choke on the names that a component exports. There, a test is
            // what calls the plugin, and this is what says so to the compiler.
            #[cfg(target_family = "wasm")]
            bindings::export_filter! { Component with_types_in bindings }
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                let _ = Component::configure;
                let _ = Component::filter;
            };
        };
    };
}

/// Exports a type that implements [`Transform`] as a component of the world `transform`.
#[macro_export]
macro_rules! transform {
    ($plugin:ty) => {
        const _: () = {
            use bindings::exports::weir::plugin::transforming::Guest;
            use $crate::bindings::transform as bindings;

            static STAGE: $crate::Stage<$plugin> = $crate::Stage::empty();

            struct Component;

            impl Guest for Component {
                fn configure(settings: String) -> Result<$crate::Interest, String> {
                    let plugin = STAGE.configure(&settings, Vec::new())?;
                    Ok($crate::Transform::interest(plugin))
                }

                fn transform(event: $crate::Event) -> Result<$crate::Outcome, $crate::Failure> {
                    $crate::Transform::transform(STAGE.plugin()?, event)
                }
            }

            // A native linker would choke on the names that a component exports. There, a test is
            // what calls the plugin, and this is what says so to the compiler.
            #[cfg(target_family = "wasm")]
            bindings::export_transform! { Component with_types_in bindings }
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                let _ = Component::configure;
                let _ = Component::transform;
            };
        };
    };
}

/// Exports a type that implements [`Router`] as a component of the world `router`.
#[macro_export]
macro_rules! router {
    ($plugin:ty) => {
        const _: () = {
            use bindings::exports::weir::plugin::routing::Guest;
            use $crate::bindings::router as bindings;

            static STAGE: $crate::Stage<$plugin> = $crate::Stage::empty();

            struct Component;

            impl Guest for Component {
                fn configure(
                    settings: String,
                    slaves: Vec<String>,
                ) -> Result<$crate::Interest, String> {
                    let plugin = STAGE.configure(&settings, slaves)?;
                    Ok($crate::Router::interest(plugin))
                }

                fn route(event: $crate::Event) -> Result<Vec<String>, $crate::Failure> {
                    $crate::Router::route(STAGE.plugin()?, &event, STAGE.slaves())
                }
            }

            // A native linker would choke on the names that a component exports. There, a test is
            // what calls the plugin, and this is what says so to the compiler.
            #[cfg(target_family = "wasm")]
            bindings::export_router! { Component with_types_in bindings }
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                let _ = Component::configure;
                let _ = Component::route;
            };
        };
    };
}

/// The one plugin of a component, and the slaves that a router may choose: `configure` makes it,
/// every event reads it.
#[doc(hidden)]
pub struct Stage<P>(OnceLock<(P, Vec<String>)>);

impl<P: DeserializeOwned> Stage<P> {
    pub const fn empty() -> Self {
        Self(OnceLock::new())
    }

    pub fn configure(&self, settings: &str, slaves: Vec<String>) -> Result<&P, String> {
        let configured = (from_settings(settings)?, slaves);
        self.0
            .set(configured)
            .map_err(|_| "configure was called twice".to_owned())?;
        self.plugin()
            .map_err(|_| "configure had no effect".to_owned())
    }

    pub fn plugin(&self) -> Result<&P, Failure> {
        let configured = self.0.get();
        configured
            .map(|(plugin, _)| plugin)
            .ok_or_else(|| Failure::Reject("configure was not called".to_owned()))
    }

    pub fn slaves(&self) -> &[String] {
        self.0.get().map_or(&[], |(_, slaves)| slaves)
    }
}

/// The examples of this README, and of Weir's own, compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Failure, Stage, from_settings};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Plugin {
        author: String,
    }

    #[test]
    fn errors_speak_of_the_settings_and_not_of_json() {
        let refused = |settings| from_settings::<Plugin>(settings).unwrap_err();
        assert_eq!(refused("{}"), "missing field `author`");
        assert_eq!(
            refused(r#"{"author": "a", "autor": "b"}"#),
            "unknown field `autor`, expected `author`"
        );
        assert!(refused(r#"{"author": 1}"#).ends_with("expected a string"));
        assert!(refused("{").starts_with("the settings are no JSON: "));
    }

    #[test]
    fn a_stage_is_configured_once_and_before_any_event() {
        let stage: Stage<Plugin> = Stage::empty();
        assert!(matches!(stage.plugin(), Err(Failure::Reject(_))));
        stage.configure("{}", Vec::new()).unwrap_err();
        let slaves = vec!["eu".to_owned()];
        stage.configure(r#"{"author": "a"}"#, slaves).unwrap();
        assert_eq!(stage.plugin().unwrap().author, "a");
        stage
            .configure(r#"{"author": "b"}"#, Vec::new())
            .unwrap_err();
        assert_eq!(stage.slaves(), ["eu"]);
        assert_eq!(stage.plugin().unwrap().author, "a");
    }
}
