//! What Weir promises, against the whole program: real components, a real RabbitMQ, real files and
//! signals. One binary; its modules are the list of the promises.

#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "in a test, what cannot be is a failure; what is skipped is told"
)]

mod harness;

mod checking;
mod dead_letters;
mod demo;
mod failing;
mod geoservers;
mod hostile;
mod main_job;
mod memory;
mod reloading;
mod stopping;
mod swapping;
