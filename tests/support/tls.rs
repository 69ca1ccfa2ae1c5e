//! TLS as a client speaks it, over blocking sockets.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::client::tcp;

/// TLS 1.3 and 1.2.
pub const EVERY_VERSION: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// A client that trusts the authority in a PEM file.
pub fn trusting(authority: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut authorities = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).expect("a certificate");
    authorities.add(certificate).expect("the certificate of an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("rustls speaks these versions");
    Arc::new(builder.with_root_certificates(authorities).with_no_client_auth())
}

/// A connection whose handshake takes place with the first bytes.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    over(tcp(address), config)
}

/// The same over a socket that may have been used before.
pub fn over(stream: TcpStream, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().expect("a server name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("the configuration is complete");
    StreamOwned::new(connection, stream)
}
