//! What a user reads when a file is not what it should be.

use super::*;
use crate::config::Config;

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
    let client_crl = |name: &str| TlsOptions { client_crl: Some(files.path(name)), ..files.mutual() };
    let further = |name: &str| TlsOptions { certificate: vec![files.further(name)], ..files.options() };
    files.make("nameless", &[], 9, &rcgen::PKCS_ECDSA_P256_SHA256);
    files.write("damaged-crl.pem", "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n");
    let cases = [
        (TlsOptions::default(), "cert = \"\": must be set for a listener that speaks TLS"),
        (
            cert("none.pem"),
            "cert = \"none.pem\": the file cannot be read: No such file or directory (os error 2)",
        ),
        (cert("/dev/zero"), "cert = \"/dev/zero\": the file is larger than 16 MB"),
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
        (
            client_crl("ca.pem"),
            "client_crl = \"ca.pem\": the file holds no list of revoked certificates (X509 CRL) in PEM format",
        ),
        (
            further("none"),
            "certificate.0.cert = \"none.pem\": the file cannot be read: No such file or directory (os error 2)",
        ),
        (
            further("nameless"),
            "certificate.0.cert = \"nameless.pem\": the certificate has no DNS name among its subject alternative \
             names, so no client could ask for it",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(files.complaint(&options), expected);
    }
    let cut = files.complaint(&cert("cut.pem"));
    assert!(cut.starts_with("cert = \"cut.pem\": the file is not valid PEM: "), "{cut}");
    let damaged = files.complaint(&client_crl("damaged-crl.pem"));
    let expected = "client_crl = \"damaged-crl.pem\": the list of revoked certificates is not valid: ";
    assert!(damaged.starts_with(expected), "{damaged}");
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
