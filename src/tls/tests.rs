//! Certificates are made for each test and handshakes run in memory: what rustls does on a socket does not
//! depend on it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ServerConnection, SupportedProtocolVersion, version,
};

use super::*;

/// A directory with `NAME.pem` and `NAME-key.pem` for each name, and the `ca.pem` that signs them.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(names: &[&str]) -> Self {
        let files = Self { directory: tempfile::tempdir().unwrap() };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        files.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        for name in names {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            files.write(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
            files.write(&format!("{name}-key.pem"), &key.serialize_pem());
        }
        files
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

    /// What is said about the files, with the directory left out.
    fn complaint(&self, options: &TlsOptions) -> String {
        let text = server_config(options).unwrap_err().to_string();
        text.replace(&format!("{}/", self.directory.path().display()), "")
    }

    /// A client that trusts the authority, with a certificate of its own if it has a name.
    fn client(&self, name: Option<&str>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
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
                    vec![CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap()],
                    PrivateKeyDer::from_pem_file(self.path(&format!("{name}-key.pem"))).unwrap(),
                )
                .unwrap(),
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Arc::new(config)
    }
}

/// Runs a handshake and says of which kind it was and whether the client showed a certificate.
fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<(HandshakeKind, bool), rustls::Error> {
    let mut client = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
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
    let kind = server.handshake_kind().expect("the handshake is complete");
    Ok((kind, server.peer_certificates().is_some()))
}

const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

#[test]
fn both_versions_are_spoken_and_a_client_that_comes_back_resumes_its_session() {
    let files = Files::new(&["server"]);
    let server = server_config(&files.options()).unwrap();
    for version in VERSIONS {
        let client = files.client(None, version);
        let (first, _) = handshake(server.clone(), client.clone()).unwrap();
        assert_eq!(first, HandshakeKind::Full);
        let (second, _) = handshake(server.clone(), client).unwrap();
        assert_eq!(second, HandshakeKind::Resumed);
    }
}

#[test]
fn a_client_certificate_is_optional_until_it_is_required() {
    let files = Files::new(&["server", "client"]);
    let mut options = TlsOptions { client_ca: Some(files.path("ca.pem")), ..files.options() };
    let optional = server_config(&options).unwrap();
    options.require_client_cert = true;
    let required = server_config(&options).unwrap();
    for version in VERSIONS {
        let (stranger, known) = (files.client(None, version), files.client(Some("client"), version));
        assert!(matches!(handshake(optional.clone(), stranger.clone()), Ok((_, false))));
        assert!(matches!(handshake(optional.clone(), known.clone()), Ok((_, true))));
        assert!(handshake(required.clone(), stranger).is_err());
        assert!(matches!(handshake(required.clone(), known), Ok((_, true))));
    }
}

#[test]
fn a_client_certificate_of_another_authority_is_refused() {
    let (files, foreign) = (Files::new(&["server"]), Files::new(&["client"]));
    let options = TlsOptions { client_ca: Some(files.path("ca.pem")), ..files.options() };
    let server = server_config(&options).unwrap();
    for name in ["client.pem", "client-key.pem"] {
        std::fs::copy(foreign.path(name), files.path(name)).unwrap();
    }
    for version in VERSIONS {
        assert!(handshake(server.clone(), files.client(Some("client"), version)).is_err());
    }
}

#[test]
fn a_reload_uses_the_new_authority_even_for_sessions_begun_under_the_old_one() {
    let (files, fresh) = (Files::new(&["server", "client"]), Files::new(&[]));
    let mut options =
        TlsOptions { client_ca: Some(files.path("ca.pem")), require_client_cert: true, ..files.options() };
    let endpoint = TlsEndpoint::new(&options).unwrap();
    for version in VERSIONS {
        let client = files.client(Some("client"), version);
        handshake(endpoint.current(), client.clone()).unwrap();
        assert_eq!(handshake(endpoint.current(), client.clone()).unwrap().0, HandshakeKind::Resumed);

        options.client_ca = Some(fresh.path("ca.pem"));
        endpoint.reload(&options).unwrap();
        assert!(handshake(endpoint.current(), client).is_err());

        options.client_ca = Some(files.path("ca.pem"));
        endpoint.reload(&options).unwrap();
    }
}

#[test]
fn a_reload_that_fails_leaves_the_endpoint_as_it_was() {
    let files = Files::new(&["server"]);
    let endpoint = TlsEndpoint::new(&files.options()).unwrap();
    files.write("server-key.pem", "not a key");
    assert!(endpoint.reload(&files.options()).is_err());
    assert!(handshake(endpoint.current(), files.client(None, &version::TLS13)).is_ok());
}

#[test]
fn what_is_wrong_with_a_file_is_one_sentence() {
    let files = Files::new(&["server", "other"]);
    files.write("empty.pem", "");
    files.write("damaged.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    files.write("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    files.write("encrypted.pem", encrypted);

    let cert = |name: &str| TlsOptions { cert: Some(files.path(name)), ..files.options() };
    let key = |name: &str| TlsOptions { key: Some(files.path(name)), ..files.options() };
    let client_ca = |name: &str| TlsOptions { client_ca: Some(files.path(name)), ..files.options() };
    let cases = [
        (TlsOptions::default(), "cert = \"\": must be set for a listener that speaks TLS"),
        (
            cert("none.pem"),
            "cert = \"none.pem\": the file cannot be read: No such file or directory (os error 2)",
        ),
        (cert("empty.pem"), "cert = \"empty.pem\": the file holds no certificate in PEM format"),
        (
            cert("damaged.pem"),
            "cert = \"damaged.pem\": the certificate is not valid: invalid peer certificate: BadEncoding",
        ),
        (
            key("none.pem"),
            "key = \"none.pem\": the file cannot be read: No such file or directory (os error 2)",
        ),
        (key("server.pem"), "key = \"server.pem\": the file holds no private key in PEM format"),
        (
            key("encrypted.pem"),
            "key = \"encrypted.pem\": the private key is encrypted; it must be stored unencrypted (openssl pkey -in FILE \
             -out FILE)",
        ),
        (
            key("other-key.pem"),
            "key = \"other-key.pem\": the private key does not belong to the certificate server.pem",
        ),
        (client_ca("empty.pem"), "client_ca = \"empty.pem\": the file holds no certificate in PEM format"),
    ];
    for (options, expected) in cases {
        assert_eq!(files.complaint(&options), expected);
    }
    let cut = files.complaint(&cert("cut.pem"));
    assert!(cut.starts_with("cert = \"cut.pem\": the file is not valid PEM: "), "{cut}");
}

#[test]
fn the_error_of_a_listener_names_the_line_of_the_option() {
    let files = Files::new(&["server", "other"]);
    let (cert, key) = (files.path("server.pem"), files.path("other-key.pem"));
    let text = format!(
        "[[listener]]\nurl = 'mqtts://[::1]:1'\n[listener.tls]\ncert = {cert:?}\nkey = {key:?}\n\
         [[listener]]\nurl = 'mqtts://[::1]:2'\n[[listener]]\nurl = 'mqtts://[::1]:3'\n[tls]\ncert = 'none'\nkey = 'none'"
    );
    let config = Config::from_toml("dunlin.toml", &text).unwrap();
    assert_eq!(
        endpoints(&config, &config.listeners()).unwrap_err().to_string(),
        format!(
            "dunlin.toml:5: listener.tls.key = {key:?}: the private key does not belong to the certificate {}\n\
             dunlin.toml:11: tls.cert = \"none\": the file cannot be read: No such file or directory (os error 2)",
            cert.display()
        )
    );
}
