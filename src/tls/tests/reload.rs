//! Files that change under a listener.

use std::os::unix::fs::symlink;

use super::*;

/// Looks until a change counts, or twice.
fn look(endpoint: &TlsEndpoint) -> Option<Result<(), String>> {
    let looked = endpoint.look().or_else(|| endpoint.look());
    looked.map(|result| result.map_err(|error| error.to_string()))
}

#[test]
fn new_authorities_count_even_for_sessions_begun_under_the_old_ones() {
    let (files, fresh) = (Files::new(&["server", "client"]), Files::new(&[]));
    let server = endpoint(&files.mutual());
    for version in VERSIONS {
        let client = files.client(Some("client"), version);
        handshake(&server, client.clone()).unwrap();
        assert_eq!(handshake(&server, client.clone()).unwrap().kind, HandshakeKind::Resumed);

        let other_authority = TlsOptions { client_ca: Some(fresh.path("ca.pem")), ..files.mutual() };
        server.replace(endpoint(&other_authority));
        assert!(handshake(&server, client).is_err());
        server.replace(endpoint(&files.mutual()));
    }
}

#[test]
fn a_client_that_was_revoked_is_refused_at_once_whether_it_resumes_a_session_or_not() {
    let files = Files::new(&["server", "client", "other"]);
    let options = TlsOptions { client_crl: Some(files.path("crl.pem")), ..files.mutual() };
    for version in VERSIONS {
        files.revoke(&[], 2100);
        let server = endpoint(&options);
        let (client, other) = (files.client(Some("client"), version), files.client(Some("other"), version));
        for client in [&client, &other] {
            handshake(&server, client.clone()).unwrap();
            assert_eq!(handshake(&server, client.clone()).unwrap().kind, HandshakeKind::Resumed);
        }
        files.revoke(&[2], 2100);
        assert_eq!(look(&server), Some(Ok(())));
        // It still has its session and tries to resume it; with a new configuration it has none.
        assert!(handshake(&server, client).is_err());
        assert!(handshake(&server, files.client(Some("client"), version)).is_err());
        assert!(handshake(&server, other).is_ok());
    }
}

#[test]
fn a_session_is_resumed_only_by_who_would_be_let_in_as_a_stranger() {
    let files = Files::new(&["server", "client"]);
    let options = TlsOptions { client_crl: Some(files.path("crl.pem")), ..files.mutual() };
    files.revoke(&[], 2100);
    let before = endpoint(&options);
    files.revoke(&[2], 2100);
    let after = endpoint(&options);
    for version in VERSIONS {
        let client = files.client(Some("client"), version);
        handshake(&before, client.clone()).unwrap();
        // As if the ticket keys had outlived the reload.
        let (begun, mut ends) = begin(&before, client, "localhost");
        ends.finish().unwrap();
        assert_eq!(ends.server.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(before.judge(&begun, &ends.server), Ok(()));
        assert_eq!(after.judge(&begun, &ends.server), Err(rustls::CertificateError::Revoked.into()));
    }
}

#[test]
fn a_handshake_that_a_reload_overtakes_is_judged_by_the_new_rules() {
    let files = Files::new(&["server", "client"]);
    let server = endpoint(&files.options());
    let (begun, mut anonymous) = begin(&server, files.client(None, &version::TLS13), "localhost");
    server.replace(endpoint(&files.mutual()));
    anonymous.finish().unwrap();
    assert_eq!(server.judge(&begun, &anonymous.server), Err(rustls::Error::NoCertificatesPresented));

    let (begun, mut known) = begin(&server, files.client(Some("client"), &version::TLS13), "localhost");
    // Nobody vouches for clients any more.
    server.replace(endpoint(&files.options()));
    known.finish().unwrap();
    assert!(server.judge(&begun, &known.server).is_err());
}

#[test]
fn files_that_have_changed_are_read_once_they_have_settled() {
    let files = Files::new(&["server", "next"]);
    let server = endpoint(&files.options());
    assert_eq!(look(&server), None);
    let shown = || handshake(&server, files.client(None, &version::TLS13)).unwrap().certificate;
    let certificate = |name: &str| CertificateDer::from_pem_file(files.path(name)).unwrap();
    let before = certificate("server.pem");

    std::fs::rename(files.path("next.pem"), files.path("server.pem")).unwrap();
    assert!(server.look().is_none());
    // The key comes between two looks.
    std::fs::rename(files.path("next-key.pem"), files.path("server-key.pem")).unwrap();
    assert!(server.look().is_none());
    assert!(shown() == before);
    assert!(matches!(server.look(), Some(Ok(()))));
    assert!(shown() == certificate("server.pem"));
    assert_eq!(look(&server), None);
}

#[test]
fn a_link_that_points_elsewhere_is_a_change_wherever_in_the_path_it_is() {
    // As Kubernetes mounts secrets: server.pem -> ..data/server.pem, ..data -> a directory of this version.
    let files = Files::new(&["server", "next"]);
    for (version, name) in [("v1", "server"), ("v2", "next")] {
        std::fs::create_dir(files.path(version)).unwrap();
        for (file, linked) in [(".pem", "server.pem"), ("-key.pem", "server-key.pem")] {
            let to = files.path(version).join(linked);
            std::fs::rename(files.path(&format!("{name}{file}")), to).unwrap();
        }
    }
    symlink("v1", files.path("..data")).unwrap();
    for name in ["server.pem", "server-key.pem"] {
        symlink(format!("..data/{name}"), files.path(name)).unwrap();
    }
    let server = endpoint(&files.options());
    assert_eq!(look(&server), None);
    symlink("v2", files.path("..data_tmp")).unwrap();
    std::fs::rename(files.path("..data_tmp"), files.path("..data")).unwrap();
    assert_eq!(look(&server), Some(Ok(())));
    let shown = handshake(&server, files.client(None, &version::TLS13)).unwrap().certificate;
    assert!(shown == CertificateDer::from_pem_file(files.path("v2/server.pem")).unwrap());
}

#[test]
fn a_reload_that_fails_keeps_what_there_was_and_says_so_once() {
    let files = Files::new(&["server"]);
    let key = std::fs::read_to_string(files.path("server-key.pem")).unwrap();
    let server = endpoint(&files.options());
    files.write("server-key.pem", "not a key");
    let problem = look(&server).unwrap().unwrap_err();
    assert!(problem.ends_with("server-key.pem\": the file holds no private key in PEM format"), "{problem}");
    assert_eq!(look(&server), None);
    std::fs::remove_file(files.path("server-key.pem")).unwrap();
    let problem = look(&server).unwrap().unwrap_err();
    assert!(problem.contains("server-key.pem\": the file cannot be read: "), "{problem}");
    let client = files.client(None, &version::TLS13);
    assert!(handshake(&server, client.clone()).is_ok());
    // What is there again is what there was: sessions go on.
    files.write("server-key.pem", &key);
    assert_eq!(look(&server), None);
    assert_eq!(handshake(&server, client).unwrap().kind, HandshakeKind::Resumed);
}

#[test]
fn files_are_left_alone_where_they_are_not_watched() {
    let files = Files::new(&["server", "next"]);
    let server = endpoint(&TlsOptions { watch: false, ..files.options() });
    std::fs::rename(files.path("next.pem"), files.path("server.pem")).unwrap();
    assert_eq!(look(&server), None);
}

#[test]
fn sessions_outlive_a_reload_that_changes_nothing() {
    let files = Files::new(&["server"]);
    let server = endpoint(&files.options());
    for version in VERSIONS {
        let client = files.client(None, version);
        handshake(&server, client.clone()).unwrap();
        server.replace(endpoint(&files.options()));
        assert_eq!(handshake(&server, client.clone()).unwrap().kind, HandshakeKind::Resumed);
        server.replace(endpoint(&TlsOptions { client_ca: Some(files.path("ca.pem")), ..files.options() }));
        assert_eq!(handshake(&server, client).unwrap().kind, HandshakeKind::Full);
        server.replace(endpoint(&files.options()));
    }
}

#[test]
fn everything_that_ends_is_known_with_its_file() {
    let files = Files::new(&["server", "other"]);
    files.revoke(&[], 2100);
    let options = TlsOptions {
        client_crl: Some(files.path("crl.pem")),
        certificate: vec![files.further("other")],
        ..files.mutual()
    };
    let expiries = endpoint(&options).expiries();
    let names: Vec<_> = expiries
        .iter()
        .map(|expiry| (expiry.path.file_name().unwrap().to_str().unwrap(), expiry.what))
        .collect();
    assert_eq!(
        names,
        [
            ("server.pem", Expiring::Certificate),
            ("other.pem", Expiring::Certificate),
            ("ca.pem", Expiring::Certificate),
            ("crl.pem", Expiring::RevocationList)
        ]
    );
    let end = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800);
    assert_eq!(expiries[3].not_after, end, "the first day of 2100");
}
