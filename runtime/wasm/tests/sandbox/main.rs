//! What the sandbox promises, proved with real components.
//!
//! - `attacks`: what a neighbour feels of hostile plugins.
//! - `calls`: what becomes of an event, whatever the plugin does.
//! - `start`: what becomes of a component and its settings before any event, and what is kept for
//!   the next start.
//! - `speech`: what of a plugin's words is logged.
//! - `guests`: where the components are, and what all of them need.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod attacks;
mod calls;
mod guests;
mod speech;
mod start;
