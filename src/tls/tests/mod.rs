//! Certificates are made for each test and handshakes run in memory: what rustls does on a socket does not
//! depend on it.

mod clients;
mod complaints;
mod handshakes;
mod reload;

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConnection, SupportedProtocolVersion,
    version,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::config::{TlsCertificateOptions, TlsOptions};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A directory with `NAME.pem` and `NAME-key.pem` for each name, and the `ca.pem` that signs them. Certificates
/// have the serial numbers 1, 2, ... in the order of the names.
struct Files {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Files {
    fn new(names: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap();
        let files = Self { directory, issuer: Issuer::new(params, key) };
        files.write("ca.pem", &ca.pem());
        for (index, name) in names.iter().enumerate() {
            files.make(name, &["localhost"], index as u64 + 1, &rcgen::PKCS_ECDSA_P256_SHA256);
        }
        files
    }

    /// Makes a certificate with these DNS names.
    fn make(&self, name: &str, dns_names: &[&str], serial: u64, algorithm: &'static SignatureAlgorithm) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let dns_names: Vec<_> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns_names).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.write(&format!("{name}.pem"), &params.signed_by(&key, &self.issuer).unwrap().pem());
        self.write(&format!("{name}-key.pem"), &key.serialize_pem());
    }

    /// Writes `crl.pem`, which revokes the certificates with these serial numbers, good until this year.
    fn revoke(&self, serials: &[u64], until: i32) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write("crl.pem", &list.signed_by(&self.issuer).unwrap().pem().unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn options(&self) -> TlsOptions {
        TlsOptions {
            cert: Some(self.path("server.pem")),
            key: Some(self.path("server-key.pem")),
            ..TlsOptions::default()
        }
    }

    /// The same for clients with certificates.
    fn mutual(&self) -> TlsOptions {
        TlsOptions { client_ca: Some(self.path("ca.pem")), require_client_cert: true, ..self.options() }
    }

    fn further(&self, name: &str) -> TlsCertificateOptions {
        TlsCertificateOptions {
            cert: Some(self.path(&format!("{name}.pem"))),
            key: Some(self.path(&format!("{name}-key.pem"))),
        }
    }

    /// What is said about the files, with the directory left out.
    fn complaint(&self, options: &TlsOptions) -> String {
        let text = TlsEndpoint::new(Application::Mqtt, options).unwrap_err().to_string();
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }

    /// A client that trusts the authority, with a certificate of its own if it has a name.
    fn client(&self, name: Option<&str>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        Arc::new(self.client_config(name, version))
    }

    fn client_config(&self, name: Option<&str>, version: &'static SupportedProtocolVersion) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => builder
                .with_client_auth_cert(
                    CertificateDer::pem_file_iter(self.path(&format!("{name}.pem")))
                        .unwrap()
                        .collect::<Result<_, _>>()
                        .unwrap(),
                    PrivateKeyDer::from_pem_file(self.path(&format!("{name}-key.pem"))).unwrap(),
                )
                .unwrap(),
        };
        config.resumption = Resumption::in_memory_sessions(8);
        config
    }
}

fn endpoint(options: &TlsOptions) -> TlsEndpoint {
    TlsEndpoint::new(Application::Mqtt, options).unwrap()
}

/// A handshake that has ended well.
struct Shaken {
    kind: HandshakeKind,
    /// Whether the client has shown a certificate.
    is_known: bool,
    /// What the server has shown.
    certificate: CertificateDer<'static>,
    application: Option<Vec<u8>>,
}

/// Runs a handshake, as [`TlsEndpoint::accept`] does, with a client that looks for `name`.
fn shake(endpoint: &TlsEndpoint, client: Arc<ClientConfig>, name: &str) -> Result<Shaken, rustls::Error> {
    let (begun, mut ends) = begin(endpoint, client, name);
    ends.finish()?;
    endpoint.judge(&begun, &ends.server)?;
    let certificate = ends.client.peer_certificates().unwrap()[0].clone().into_owned();
    Ok(Shaken {
        kind: ends.server.handshake_kind().expect("the handshake is complete"),
        is_known: ends.server.peer_certificates().is_some(),
        certificate,
        application: ends.server.alpn_protocol().map(<[u8]>::to_vec),
    })
}

/// The same for a client that looks for the host of [`Files::new`]'s certificates.
fn handshake(endpoint: &TlsEndpoint, client: Arc<ClientConfig>) -> Result<Shaken, rustls::Error> {
    shake(endpoint, client, "localhost")
}

/// Two ends that have said nothing yet.
fn begin(endpoint: &TlsEndpoint, client: Arc<ClientConfig>, name: &str) -> (Arc<endpoint::Served>, Ends) {
    let begun = endpoint.current();
    let client = ClientConnection::new(client, name.to_owned().try_into().unwrap()).unwrap();
    let server = ServerConnection::new(Arc::clone(&begun.config)).unwrap();
    (begun, Ends { client, server })
}

/// Both ends of a connection.
struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

impl Ends {
    /// Exchanges until neither has more to say.
    fn finish(&mut self) -> Result<(), rustls::Error> {
        let Self { client, server } = self;
        while client.wants_write() || server.wants_write() {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                server.read_tls(&mut unread).unwrap();
                server.process_new_packets()?;
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut unread = wire.as_slice();
            while !unread.is_empty() {
                client.read_tls(&mut unread).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }
}
