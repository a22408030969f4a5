//! `geoserver-double [--port PORT]`: a double of GeoServer that runs until it is killed. Its URL is
//! the one line that it prints.

use std::future::pending;
use std::io::{self, Write as _};

use weir_test_geoserver::GeoServer;

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(0),
        ["--port", port] => port.parse().map_err(io::Error::other),
        _ => Err(io::Error::other("usage: geoserver-double [--port PORT]")),
    };
    let geoserver = GeoServer::start_on(port?).await?;
    writeln!(io::stdout(), "{}", geoserver.url())?;
    pending().await
}
