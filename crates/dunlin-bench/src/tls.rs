//! TLS on both sides: whom clients trust, the tickets by which they resume, and the certificates of brokers that
//! are started to be measured.
//!
//! TLS 1.3 alone is spoken, so that handshakes are the same for every broker. Unless tickets are what is
//! measured, clients resume nothing: each connection costs a broker as much as the first one.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};

use crate::Error;

/// Tickets that are kept at most; with more, the oldest are forgotten.
const TICKETS_MAX: usize = 100_000;

/// Whose certificates clients accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that an authority in this PEM file has signed, for the name of the host.
    Authorities(PathBuf),
    /// Anybody's. Nothing is verified, so handshakes are cheaper for the generator.
    Anybody,
}

/// The client side of TLS connections.
#[derive(Debug, Clone)]
pub(crate) struct TlsClient {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) server_name: ServerName<'static>,
}

impl TlsClient {
    /// Clients that connect to a host of this name.
    pub(crate) fn new(trust: &Trust, server_name: &str) -> Result<Self, Error> {
        let bare = server_name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare)
            .map_err(|error| Error::Usage(format!("\"{server_name}\" names no host for TLS: {error}")))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(setup)?;
        let mut config = match trust {
            Trust::Authorities(path) => builder.with_root_certificates(authorities(path)?),
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
            }
        }
        .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), server_name: name })
    }

    /// The same, with tickets: each connection brings the oldest that an earlier one was given.
    pub(crate) fn resuming(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(Arc::new(Tickets::default()));
        Self { config: Arc::new(config), server_name: self.server_name.clone() }
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let shown = path.display();
    let unusable = |problem: String| Error::Usage(format!("{shown} holds no usable certificate: {problem}"));
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        authorities.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if authorities.is_empty() { Err(unusable("there is none in it".to_owned())) } else { Ok(authorities) }
}

fn setup(error: rustls::Error) -> Error {
    Error::Usage(format!("TLS cannot be set up: {error}"))
}

/// Accepts whatever a server shows and signs.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The tickets of all clients together. rustls keeps eight for a server, too few for many clients that are under
/// way at once.
#[derive(Debug, Default)]
struct Tickets {
    waiting: Mutex<VecDeque<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= TICKETS_MAX {
            waiting.pop_front();
        }
        waiting.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// A certificate that nobody has signed but its own key (ECDSA P-256), for a broker that is started to be
/// measured.
#[derive(Debug)]
pub(crate) struct TemporaryCertificate {
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

/// The files of a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl TemporaryCertificate {
    /// For this machine.
    pub(crate) fn new() -> Result<Self, Error> {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)
            .map_err(|error| Error::Usage(format!("no certificate can be made: {error}")))?;
        Ok(Self { certificate: cert, key: signing_key })
    }

    /// Writes it and its key into a directory, as PEM.
    pub(crate) fn write(&self, directory: &Path) -> Result<CertificateFiles, Error> {
        let files = CertificateFiles { cert: directory.join("cert.pem"), key: directory.join("key.pem") };
        let write =
            |path: &Path, text| fs::write(path, text).map_err(Error::io(format!("write {}", path.display())));
        write(&files.cert, self.certificate.pem())?;
        write(&files.key, self.key.serialize_pem())?;
        Ok(files)
    }

    /// A server that shows it, and gives tickets that it need not remember.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![self.certificate.der().clone()], key)
            })
            .map_err(setup)?;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_needs_a_name_and_somebody_to_trust() {
        let directory = tempfile::tempdir().unwrap();
        let files = TemporaryCertificate::new().unwrap().write(directory.path()).unwrap();
        for name in ["localhost", "127.0.0.1", "[::1]"] {
            TlsClient::new(&Trust::Authorities(files.cert.clone()), name).unwrap();
        }
        let problem = |trust, name: &str| TlsClient::new(&trust, name).unwrap_err().to_string();
        assert!(problem(Trust::Anybody, "a b").contains("names no host"));
        for unusable in [files.key, directory.path().join("nothing.pem")] {
            assert!(
                problem(Trust::Authorities(unusable), "localhost").contains("holds no usable certificate")
            );
        }
    }
}
