//! TLS as a client speaks it, over blocking sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use dunlin_codec::Packet;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::client::{bytes_of, hello, tcp};

/// TLS 1.3 and 1.2.
pub const EVERY_VERSION: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;

/// A client that trusts the authority in a PEM file.
pub fn trusting(authority: &Path, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
    Arc::new(roots_from(authority, versions).with_no_client_auth())
}

/// A client that trusts `ca.pem` in a directory, and shows the certificate `FILE.pem` there.
pub fn showing(directory: &Path, file: &str) -> Arc<ClientConfig> {
    showing_over(EVERY_VERSION, directory, file)
}

/// The same over certain versions of TLS.
pub fn showing_over(
    versions: &[&'static SupportedProtocolVersion],
    directory: &Path,
    file: &str,
) -> Arc<ClientConfig> {
    let path = |end: &str| directory.join(format!("{file}{end}"));
    let certificate = CertificateDer::from_pem_file(path(".pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(path("-key.pem")).expect("a private key");
    let builder = roots_from(&directory.join("ca.pem"), versions);
    Arc::new(
        builder.with_client_auth_cert(vec![certificate], key).expect("the key belongs to the certificate"),
    )
}

fn roots_from(
    authority: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut authorities = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).expect("a certificate");
    authorities.add(certificate).expect("the certificate of an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("rustls speaks these versions");
    builder.with_root_certificates(authorities)
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

/// Whether a client with this configuration gets an answer to CONNECT, whatever it is; otherwise TLS has refused it.
pub fn is_served(address: SocketAddr, config: &Arc<ClientConfig>) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, UnexpectedEof};
    let mut stream = connect(address, config);
    let connect = bytes_of(&Packet::Connect(hello("newcomer")));
    let answer =
        stream.write_all(&connect).and_then(|()| stream.flush()).and_then(|()| stream.read(&mut [0; 1024]));
    match answer.map_err(|error| error.kind()) {
        Ok(count) => count > 0,
        Err(BrokenPipe | ConnectionAborted | ConnectionReset | InvalidData | UnexpectedEof) => false,
        Err(error) => panic!("nothing came: {error}"),
    }
}
