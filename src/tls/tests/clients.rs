//! Clients with certificates: who is let in, at first and when it comes back.

use super::*;

#[test]
fn a_client_certificate_is_optional_until_it_is_required() {
    let files = Files::new(&["server", "client"]);
    let optional = endpoint(&TlsOptions { require_client_cert: false, ..files.mutual() });
    let required = endpoint(&files.mutual());
    for version in VERSIONS {
        let (stranger, known) = (files.client(None, version), files.client(Some("client"), version));
        assert!(!handshake(&optional, stranger.clone()).unwrap().is_known);
        assert!(handshake(&optional, known.clone()).unwrap().is_known);
        assert!(handshake(&required, stranger).is_err());
        assert!(handshake(&required, known).unwrap().is_known);
    }
}

#[test]
fn a_client_certificate_of_another_authority_is_refused() {
    let (files, foreign) = (Files::new(&["server"]), Files::new(&["client"]));
    let server = endpoint(&TlsOptions { require_client_cert: false, ..files.mutual() });
    for name in ["client.pem", "client-key.pem"] {
        std::fs::copy(foreign.path(name), files.path(name)).unwrap();
    }
    for version in VERSIONS {
        assert!(handshake(&server, files.client(Some("client"), version)).is_err());
    }
}

#[test]
fn a_revoked_certificate_is_refused_even_where_none_is_required() {
    let files = Files::new(&["server", "revoked", "good"]);
    files.revoke(&[2], 2100);
    let options = TlsOptions { client_crl: Some(files.path("crl.pem")), ..files.mutual() };
    for require_client_cert in [true, false] {
        let server = endpoint(&TlsOptions { require_client_cert, ..options.clone() });
        for version in VERSIONS {
            let refused = handshake(&server, files.client(Some("revoked"), version)).err();
            assert_eq!(refused, Some(rustls::CertificateError::Revoked.into()));
            assert!(handshake(&server, files.client(Some("good"), version)).unwrap().is_known);
        }
    }
}

#[test]
fn who_cannot_be_looked_up_is_refused() {
    let (files, other) = (Files::new(&["server", "client"]), Files::new(&[]));
    let refused = |files: &Files| {
        let options = TlsOptions { client_crl: Some(files.path("crl.pem")), ..files.mutual() };
        handshake(&endpoint(&options), files.client(Some("client"), &version::TLS13)).err()
    };
    // The list of an authority of the same name with another key is not this one's list.
    other.revoke(&[], 2100);
    std::fs::copy(other.path("crl.pem"), files.path("crl.pem")).unwrap();
    assert!(refused(&files).is_some());
    // A list whose time is over.
    files.revoke(&[], 2025);
    let expired = refused(&files);
    assert!(
        matches!(
            expired,
            Some(rustls::Error::InvalidCertificate(
                rustls::CertificateError::ExpiredRevocationListContext { .. }
            ))
        ),
        "{expired:?}"
    );
    files.revoke(&[], 2100);
    assert_eq!(refused(&files), None);
}

#[test]
fn a_revoked_intermediate_takes_its_clients_with_it() {
    let files = Files::new(&["server"]);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "intermediate");
    params.serial_number = Some(SerialNumber::from(77));
    let intermediate = params.signed_by(&key, &files.issuer).unwrap().pem();
    let below = Files { directory: tempfile::tempdir().unwrap(), issuer: Issuer::new(params, key) };
    below.make("client", &["client"], 1, &rcgen::PKCS_ECDSA_P256_SHA256);
    below.revoke(&[], 2100);
    let read = |files: &Files, name: &str| std::fs::read_to_string(files.path(name)).unwrap();
    files.write("client.pem", &format!("{}{intermediate}", read(&below, "client.pem")));
    files.write("client-key.pem", &read(&below, "client-key.pem"));

    for (revoked, expected) in [(&[][..], None), (&[77], Some(rustls::CertificateError::Revoked.into()))] {
        files.revoke(revoked, 2100);
        files.write("lists.pem", &format!("{}{}", read(&below, "crl.pem"), read(&files, "crl.pem")));
        let options = TlsOptions { client_crl: Some(files.path("lists.pem")), ..files.mutual() };
        let client = files.client(Some("client"), &version::TLS13);
        assert_eq!(handshake(&endpoint(&options), client).err(), expected);
    }
}
