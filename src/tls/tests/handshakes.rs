//! What a client meets: versions, names, applications, sessions.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use rustls::crypto::CryptoProvider;
use rustls::{AlertDescription, ProtocolVersion, SignatureScheme};

use super::*;
use crate::config::TlsVersion;

#[test]
fn both_versions_are_spoken_and_a_client_that_comes_back_resumes_its_session() {
    let files = Files::new(&["server"]);
    let server = endpoint(&files.options());
    for version in VERSIONS {
        let client = files.client(None, version);
        assert_eq!(handshake(&server, client.clone()).unwrap().kind, HandshakeKind::Full);
        assert_eq!(handshake(&server, client).unwrap().kind, HandshakeKind::Resumed);
    }
}

#[test]
fn tls_1_2_is_refused_where_1_3_is_the_oldest_version() {
    let files = Files::new(&["server"]);
    let server = endpoint(&TlsOptions { min_version: TlsVersion::Tls13, ..files.options() });
    assert!(handshake(&server, files.client(None, &version::TLS13)).is_ok());
    let refused = handshake(&server, files.client(None, &version::TLS12)).err();
    assert!(matches!(refused, Some(rustls::Error::PeerIncompatible(_))), "{refused:?}");
}

#[test]
fn a_client_that_speaks_nothing_newer_than_tls_1_1_is_refused_with_an_alert() {
    const TLS_1_1: [u8; 2] = [3, 2];
    let files = Files::new(&["server"]);
    let mut hello = TLS_1_1.to_vec();
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, 2, 0xc0, 0x13]); // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
    hello.extend([1, 0]); // no compression
    // What rustls asks for before it looks at the version: supported_groups and signature_algorithms.
    hello.extend([0, 16, 0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);

    let mut server = ServerConnection::new(Arc::clone(&endpoint(&files.options()).current().config)).unwrap();
    server.read_tls(&mut record.as_slice()).unwrap();
    assert!(server.process_new_packets().is_err());
    let mut answer = Vec::new();
    server.write_tls(&mut answer).unwrap();
    // An alert that is fatal, and nothing else.
    assert_eq!(answer[0], 21);
    assert_eq!(answer[5..], [2, u8::from(AlertDescription::ProtocolVersion)]);
    assert_eq!(server.protocol_version(), None::<ProtocolVersion>);
}

#[test]
fn a_client_gets_the_certificate_of_the_server_it_names_and_the_first_one_otherwise() {
    let files = Files::new(&[]);
    let make = |name, dns_names: &[&str]| files.make(name, dns_names, 1, &PKCS_ECDSA_P256_SHA256);
    make("server", &["first.example"]);
    make("one", &["one.example", "uno.example"]);
    make("star", &["*.example"]);
    let server = endpoint(&TlsOptions {
        certificate: vec![files.further("one"), files.further("star")],
        ..files.options()
    });
    let shown = |name| {
        let mut client = files.client_config(None, &version::TLS13);
        // Whether it likes what it gets is not the question.
        client.dangerous().set_certificate_verifier(Arc::new(Credulous));
        shake(&server, Arc::new(client), name).unwrap().certificate
    };
    for (name, expected) in [
        ("first.example", "server"),
        ("one.example", "one"),
        ("UNO.example", "one"),
        ("two.example", "star"),
        ("deep.two.example", "server"),
        ("example", "server"),
        ("elsewhere.org", "server"),
        ("192.0.2.1", "server"),
    ] {
        let expected = CertificateDer::from_pem_file(files.path(&format!("{expected}.pem"))).unwrap();
        assert!(shown(name) == expected, "{name}");
    }
}

#[test]
fn of_two_certificates_with_one_name_a_client_gets_the_first_whose_signatures_it_understands() {
    let files = Files::new(&[]);
    files.make("server", &["localhost"], 1, &PKCS_ED25519);
    files.make("other", &["localhost"], 2, &PKCS_ECDSA_P256_SHA256);
    let server = endpoint(&TlsOptions { certificate: vec![files.further("other")], ..files.options() });
    let certificate = |name: &str| CertificateDer::from_pem_file(files.path(name)).unwrap();

    let modern = files.client(None, &version::TLS13);
    assert!(handshake(&server, modern).unwrap().certificate == certificate("server.pem"));

    let mut old = files.client_config(None, &version::TLS13);
    old.dangerous().set_certificate_verifier(Arc::new(Credulous));
    assert!(!Credulous.supported_verify_schemes().contains(&SignatureScheme::ED25519));
    assert!(handshake(&server, Arc::new(old)).unwrap().certificate == certificate("other.pem"));
}

#[test]
fn a_client_that_offers_applications_must_offer_the_one_that_is_spoken() {
    let files = Files::new(&["server"]);
    let shaken = |application, offered: &[&[u8]]| {
        let server = TlsEndpoint::new(application, &files.options()).unwrap();
        let mut client = files.client_config(None, &version::TLS13);
        client.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        handshake(&server, Arc::new(client)).map(|shaken| shaken.application)
    };
    for (application, name) in [(Application::Mqtt, &b"mqtt"[..]), (Application::WebSocket, b"http/1.1")] {
        assert_eq!(shaken(application, &[]), Ok(None));
        assert_eq!(shaken(application, &[b"other", name]), Ok(Some(name.to_vec())));
        assert_eq!(shaken(application, &[b"other"]), Err(rustls::Error::NoApplicationProtocol));
    }
}

/// Takes every certificate, and understands ECDSA with P-256 alone.
#[derive(Debug)]
struct Credulous;

impl rustls::client::danger::ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &rustls_pki_types::ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

use rustls::client::danger::ServerCertVerifier as _;

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
