//! A stateful double of GeoServer's REST interface, for tests.
//!
//! It answers as two real GeoServers 2.21.2 did, whose recorded bodies and writes are in `fixtures`
//! and are replayed against it: irregular status codes and their words, changes that merge and
//! changes that wipe, `enabled` that is forced, lists that collapse, cipher text that is other at
//! each look, references that follow a rename. What is measured wins over what would be sensible.
//!
//! ```no_run
//! use weir_test_geoserver::{GeoServer, Moment};
//!
//! # async fn example() -> std::io::Result<()> {
//! let geoserver = GeoServer::start().await?;
//! geoserver.cut(3, Moment::After);
//! // …whatever is tested makes calls to `geoserver.url()` as admin/geoserver…
//! assert_eq!(geoserver.tables_created(), [] as [String; 0]);
//! for call in geoserver.calls() {
//!     println!("{} {} {:?}", call.method, call.target, call.status);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a store has
//!
//! There is no data behind it. A store has whatever table or coverage it is asked for, unless the
//! name begins with `missing`, or [`GeoServer::tables`] says what it has.
//!
//! # What is not covered
//!
//! - Objects of the catalog as XML in answers; in requests, XML works.
//! - Styles: nothing is parsed or written anew, so the body stays as it was sent, converting 1.1 to
//!   1.0 is left out, and a zip makes a style without a body.
//! - Files of the catalog below `/rest/resource`, but for `styles/*.xml`, which hold the ids.
//! - `id` in what is created; `lockProviderName` that makes files hang (T10); isolated workspaces
//!   and the capabilities of WMTS (T13); names that a POSIX locale cannot write (T12, its second half).
//! - Security but for the access rules of layers; WPS, monitoring, importer.
//! - Tiles: a truncation is only remembered. A tile layer stays as it was sent when the style of its
//!   layer changes, where GeoServer fills in the extents that are missing. Lists are JSON and what
//!   is in them XML; of the grid sets that are built in only the name is there.
//!
//! Some answers were not measured, and are what GeoServer's source or its other answers suggest: a
//! group that is empty or in a circle (500), a store that is moved onto a resource of the same name
//! (500), access rules that exist or do not (409), the removal of a built-in style (403).

mod bodies;
mod faults;
mod files;
mod groups;
mod http;
mod json;
mod layers;
mod members;
mod merge;
mod natives;
mod references;
mod resources;
mod route;
mod secret;
mod server;
mod services;
mod settings;
mod snapshot;
mod state;
mod stores;
mod styles;
mod table;
mod templates;
mod tile_layers;
mod tiles;
mod workspaces;
mod xml;

pub use faults::Moment;
pub use server::{Call, GeoServer};
pub use snapshot::Document;
