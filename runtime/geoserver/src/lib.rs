//! The client of GeoServer's REST interface: what there is at a node, and how it is made otherwise.
//!
//! - A [`Node`] is one GeoServer. It has one pool of connections, makes one write and a few reads at
//!   a time, and never waits for ever.
//! - What can be asked for is an [`Address`]: an [`Object`] of the catalog (JSON), a [`TileObject`]
//!   of GeoWebCache (XML, as GeoServer takes back nothing else) or a [`DataFile`] (bytes). Its kind
//!   decides what a document of it is, so nobody sends the one where the other belongs.
//! - GeoServer answers irregularly: 500 for what exists already, 401 for what is in use, 200 for
//!   what is not there. A [`Failure`] says what an answer means, with GeoServer's own words.
//!
//! ```no_run
//! use weir_geoserver::{Login, Node, Object, Scope, Settings};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "https://maps.example/geoserver".parse()?;
//! let node = Node::new(Settings::new(url, Login::basic("weir", "secret")?))?;
//! let scope = Scope::Workspace("topp".parse()?);
//! let roads = Object::Style { scope, name: "roads".parse()? };
//! match node.get(&roads).await {
//!     Ok(style) => println!("{style}"),
//!     Err(error) if error.is_missing() => println!("there is none"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It does not know what a document says: comparing, merging and remapping are others' business. It
//! tries nothing twice: who has a line of events to hold back knows better how long.
//!
//! This is the only crate that knows the interface, and the only one that knows reqwest.

mod address;
mod answer;
mod collection;
mod doubt;
mod encoding;
mod error;
mod file;
mod find;
mod name;
mod node;
mod object;
mod settings;
pub mod shape;
mod stream;
mod tile;
mod tls;
mod transport;
mod version;

pub use address::{Address, Purge, Removal};
pub use collection::Collection;
pub use error::{CallError, Failure};
pub use file::{DataFile, Entry, Metadata, TemplatePlace};
pub use name::{FilePath, Name, NameError, Workspace};
pub use node::{Action, Node};
pub use object::{Object, Scope, Service, StoreKind, StyleFormat};
pub use settings::{Login, NodeUrl, Settings, SettingsError};
pub use stream::Download;
pub use tile::TileObject;
pub use tls::Authority;
pub use version::{Support, Version};
