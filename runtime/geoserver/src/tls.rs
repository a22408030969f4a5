//! Whom Weir believes to be the node.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::SettingsError;

/// A certificate of who vouches for a node: an authority of a company, or the node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(CertificateDer<'static>);

impl Authority {
    /// All certificates in a text of the form PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Vec<Self>, SettingsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => {
                Ok(certificates.into_iter().map(Self).collect())
            }
            Ok(_) => Err(SettingsError::Certificates("the text has none".to_owned())),
            Err(error) => Err(SettingsError::Certificates(error.to_string())),
        }
    }
}

/// TLS by ring, as on the bus: rustls is not left to choose, since it panics where it cannot.
pub(crate) fn configuration(
    encrypted: bool,
    authorities: &[Authority],
) -> Result<ClientConfig, SettingsError> {
    let mut roots = RootCertStore::empty();
    // It costs some milliseconds, and whoever speaks in plain text needs none.
    if encrypted {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        for Authority(certificate) in authorities {
            let added = roots.add(certificate.clone());
            added.map_err(|error| SettingsError::Certificates(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(SettingsError::Certificates(
                "the system has none, and no authority is given".to_owned(),
            ));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SettingsError::Client(error.to_string()))?;
    Ok(configuration
        .with_root_certificates(roots)
        .with_no_client_auth())
}
