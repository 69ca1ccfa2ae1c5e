//! Certificates of a test, made when it runs: an authority, a server and a client of it.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::dunlin::write;

/// Writes `ca.pem`, `server.pem`, `server-key.pem`, `client.pem` and `client-key.pem`. Each call makes a new
/// authority, of another name.
pub fn make(directory: &Path, authority: &str) {
    let ca_key = key();
    let mut ca = parameters(authority, &[]);
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    write(directory, "ca.pem", &ca.self_signed(&ca_key).expect("the authority signs itself").pem());
    let issuer = Issuer::new(ca, ca_key);
    for (name, names, purpose) in [
        ("server", &["localhost", "127.0.0.1"][..], ExtendedKeyUsagePurpose::ServerAuth),
        ("client", &[], ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut leaf = parameters(name, names);
        leaf.extended_key_usages = vec![purpose];
        let leaf_key = key();
        let certificate = leaf.signed_by(&leaf_key, &issuer).expect("the authority signs");
        write(directory, &format!("{name}.pem"), &certificate.pem());
        write(directory, &format!("{name}-key.pem"), &leaf_key.serialize_pem());
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn parameters(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("the names are valid");
    parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    parameters
}
