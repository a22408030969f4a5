//! The sandbox: Weir's plugins on wasmtime. The only crate that knows wasmtime.
//!
//! - [`Host`]: the engine, one for the whole process.
//! - [`Plugin`]: a component that was read and found to target one of the worlds of
//!   `wit/plugin.wit`. [`inspect`] says what is wrong with one that does not.
//! - [`Stage`]: a plugin that is compiled and has taken its settings; events go through it.
//! - [`Limits`], [`Instances`]: what a call may use up, and which instance handles it.
//! - [`Fault`]: why a stage had no outcome for an event.
//!
//! What is expensive happens once, in [`Plugin::stage`]: the component takes its settings, its memory
//! is kept as it is then, and the result is compiled. What happens per event is cheap: an instance
//! starts from that memory, handles the event, and is thrown away.
//!
//! A plugin is granted nothing: no files, no network, no environment. The clock that it can read
//! shows the event's time and its random numbers follow from its source and id, so that equal events
//! give equal results. It can do no harm but to its own event, within its limits.
//!
//! Stages run on a tokio runtime with its timer enabled.

mod bench;
mod bindings;
mod cache;
mod configure;
mod extent;
mod fast;
mod fault;
mod full;
mod host;
mod inspect;
mod lean;
mod limits;
mod outcome;
mod plugin;
mod prepare;
mod sandbox;
mod stage;
mod voice;
mod workshop;

pub use configure::Settings;
pub use fault::{Cause, Fault};
pub use host::{Host, HostError, HostSettings};
pub use inspect::{Inspection, Problem, Shape, inspect};
pub use limits::{Instances, Limits};
pub use plugin::{Digest, LoadError, Plugin, World};
pub use stage::{Filter, Judgement, Outcome, Router, Stage, StageError, Transform};
pub use workshop::Workshop;
