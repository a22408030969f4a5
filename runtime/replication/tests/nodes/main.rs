//! A master and a slave, each a GeoServer: what the one has, the other gets.

#![expect(
    clippy::unwrap_used,
    reason = "functions that tests share may panic as tests do"
)]

mod alike;
mod changes;
mod ends;
mod everything;
mod rig;
mod schedules;
mod slave;
mod traps;

#[path = "../../../../tests/geoserver/tests/double/lab.rs"]
mod lab;
#[expect(dead_code, reason = "shared with the tests of the double")]
#[path = "../../../../tests/geoserver/tests/double/recording.rs"]
mod recording;
#[expect(dead_code, reason = "shared with the tests of the double")]
#[path = "../../../../tests/geoserver/tests/double/wire.rs"]
mod wire;
