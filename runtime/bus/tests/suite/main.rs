//! What the bus promises, asked of both buses; then what only one of them can show.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

mod both;
mod bounds;
mod crash;
mod full_disk;
mod proxy;
mod rabbitmq;
mod support;
mod upkeep;
