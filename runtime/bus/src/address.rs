//! Where a bus is: `amqp://…`, `amqps://…` or `embedded:DIR`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lapin::uri::AMQPUri;
use thiserror::Error;

/// How often, in seconds, both ends of a connection show that they are alive. A connection is given
/// up after twice that time without a sign.
const HEARTBEAT_SECONDS: u16 = 10;

/// Where a bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Amqp(AmqpUrl),
    /// The directory of an embedded bus.
    Embedded(PathBuf),
}

/// The URL of an AMQP broker. Shown and debugged without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct AmqpUrl(pub(crate) AMQPUri);

/// Why a text is no address. Never contains the text, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("an address of a bus begins with `amqp://`, `amqps://` or `embedded:`")]
    Scheme,
    #[error("no directory after `embedded:`; write `embedded:DIR`")]
    NoDirectory,
    #[error(
        "not a URL of a broker; write `amqp://USER:PASSWORD@HOST:PORT/VHOST`, with `%2f` for the virtual host `/`"
    )]
    Url,
    #[error("an IPv6 address cannot stand in the URL of a broker; use a host name")]
    Ipv6,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("embedded:") {
            Some("") => Err(AddressError::NoDirectory),
            Some(directory) => Ok(Self::Embedded(PathBuf::from(directory))),
            None => text.parse().map(Self::Amqp),
        }
    }
}

impl FromStr for AmqpUrl {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("amqp://")
            .or_else(|| text.strip_prefix("amqps://"))
            .ok_or(AddressError::Scheme)?;
        // The parser would take an IPv6 address for no host at all, and so for localhost.
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        if host.starts_with('[') {
            return Err(AddressError::Ipv6);
        }
        let mut uri: AMQPUri = text.parse().map_err(|_| AddressError::Url)?;
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self(uri))
    }
}

impl fmt::Display for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.0;
        write!(
            f,
            "{scheme}://{}:…@{}:{}/{}",
            authority.userinfo.username,
            authority.host,
            authority.port,
            if vhost == "/" { "%2f" } else { vhost },
        )
    }
}

impl fmt::Debug for AmqpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmqpUrl({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amqp(url) => url.fmt(f),
            Self::Embedded(directory) => write!(f, "embedded:{}", directory.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let address: Address = "amqp://weir:hunter2@broker:5673/geo".parse().unwrap();
        assert_eq!(address.to_string(), "amqp://weir:…@broker:5673/geo");
        assert!(!format!("{address:?}").contains("hunter2"));
        for wrong in [
            "amqp://weir:hunter2@bro ker",
            "http://weir:hunter2@broker",
            "amqp://weir:hunter2@[::1]/",
        ] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        for text in ["amqp://broker", "amqp://broker/", "amqp://broker:5672/%2f"] {
            let AmqpUrl(uri) = text.parse().unwrap();
            assert_eq!(
                (uri.vhost.as_str(), uri.authority.port),
                ("/", 5672),
                "{text}"
            );
            assert_eq!(uri.query.heartbeat, Some(HEARTBEAT_SECONDS));
        }
        let AmqpUrl(uri) = "amqps://broker?heartbeat=3".parse().unwrap();
        assert_eq!((uri.authority.port, uri.query.heartbeat), (5671, Some(3)));
    }

    #[test]
    fn a_directory_is_an_embedded_bus() {
        assert_eq!(
            "embedded:./data".parse(),
            Ok(Address::Embedded("./data".into()))
        );
        assert_eq!(
            "embedded:".parse::<Address>(),
            Err(AddressError::NoDirectory)
        );
        assert_eq!("./data".parse::<Address>(), Err(AddressError::Scheme));
    }
}
