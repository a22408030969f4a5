//! How faithful the double is: against recordings of real GeoServers, for the client that Weir has,
//! and when things go wrong.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, whatever cannot be is a failure"
)]

mod anything;
mod client;
mod faults;
mod lab;
mod normal;
mod recorded;
mod recording;
mod rules;
mod state;
mod traps;
mod wire;
