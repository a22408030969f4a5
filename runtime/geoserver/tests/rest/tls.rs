//! A node that is spoken with in secret.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use weir_geoserver::{Authority, Failure, Node, Settings, SettingsError};

use crate::settings;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}

/// The port of a GeoServer that knows nothing but its version.
async fn start() -> u16 {
    let certificate = CertificateDer::from_pem_slice(&fixture("node.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&fixture("node.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(configuration));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(connection).await else {
                continue;
            };
            let mut stream = BufStream::new(stream);
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await.unwrap();
            }
            let body = r#"{"about":{"resource":{"@name":"GeoServer","Version":"2.21.2"}}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn a_node_is_believed_that_a_given_authority_vouches_for() {
    let port = start().await;
    let authorities = Authority::from_pem(&fixture("authority.pem")).unwrap();
    let vouched = Node::new(Settings {
        authorities,
        ..settings(&format!("https://localhost:{port}/geoserver"))
    });
    assert_eq!(vouched.unwrap().version().await.unwrap().text, "2.21.2");
}

#[tokio::test]
async fn a_node_is_not_believed_that_is_another() {
    let port = start().await;
    let authorities = Authority::from_pem(&fixture("authority.pem")).unwrap();
    let another = Node::new(Settings {
        authorities,
        ..settings(&format!("https://127.0.0.1:{port}/geoserver"))
    });
    let error = another.unwrap().version().await.unwrap_err();
    assert!(matches!(error.failure, Failure::Transient(_)), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn what_is_no_certificate_is_none() {
    for text in [&b""[..], b"no certificate", &fixture("node.key")] {
        let error = Authority::from_pem(text).unwrap_err();
        assert!(matches!(error, SettingsError::Certificates(_)), "{error}");
    }
}
