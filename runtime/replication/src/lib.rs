//! Replication by state: what a master has is read, and a slave is made so.
//!
//! ```text
//! hint ─► Master::hydrate ─► frames ─► (stages, bus, stages) ─► Slave ─► Replica::apply ─► the least writes
//! ```
//!
//! Both ends go through [`Target`], which knows where the interface has what a frame of
//! `geoserver-rest` is about. [`weir_geoserver`] knows how one asks for it there; what the documents
//! say is known here.

mod document;
mod master;
mod memory;
mod replica;
mod slave;
mod target;

pub use master::{HydrateError, Master, MasterSettings, Nothing, Walk};
pub use memory::Memory;
pub use replica::{Applied, ApplyError, Drift, Replica};
pub use slave::{Failed, Keep, Settled, Slave};
pub use target::{Target, TargetError, is_body, store_kind, style_format, style_media_type};
