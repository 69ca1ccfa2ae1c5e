//! Certificates of a test, made when it runs: an authority, and servers and clients of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::dunlin::write;

/// One who signs certificates, and where they are written.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Writes `ca.pem`, `server.pem`, `server-key.pem`, `client.pem` and `client-key.pem`. Each call makes a new
/// authority, of another name.
pub fn make(directory: &Path, authority: &str) -> Authority {
    let authority = Authority::new(directory, authority);
    authority.server("server", &["localhost", "127.0.0.1"]);
    authority.client("client", "client", 1000);
    authority
}

impl Authority {
    /// Makes an authority, and writes its `ca.pem`.
    pub fn new(directory: &Path, name: &str) -> Self {
        let key = key();
        let mut ca = parameters(name, &[]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        write(directory, "ca.pem", &ca.self_signed(&key).expect("the authority signs itself").pem());
        Self { directory: directory.to_owned(), issuer: Issuer::new(ca, key) }
    }

    /// Writes `FILE.pem` and `FILE-key.pem` for a server.
    pub fn server(&self, file: &str, names: &[&str]) {
        self.server_until(file, names, None);
    }

    /// The same for one whose certificate ends in so much time.
    pub fn server_until(&self, file: &str, names: &[&str], left: Option<Duration>) {
        let mut leaf = parameters(file, names);
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if let Some(left) = left {
            let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
            leaf.not_after = date_time_ymd(1970, 1, 1) + now + left;
        }
        self.sign(file, &leaf);
    }

    /// Writes them for a client with this Common Name and serial number; none if the name is empty.
    pub fn client(&self, file: &str, common_name: &str, serial: u64) {
        let mut leaf = parameters(common_name, &[]);
        if common_name.is_empty() {
            leaf.distinguished_name = rcgen::DistinguishedName::new();
        }
        leaf.serial_number = Some(SerialNumber::from(serial));
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, &leaf);
    }

    /// Writes `crl.pem`, which revokes the certificates with these serial numbers.
    pub fn revoke(&self, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("the authority signs");
        write(&self.directory, "crl.pem", &list.pem().expect("a list has a text"));
    }

    fn sign(&self, file: &str, leaf: &CertificateParams) {
        let key = key();
        let certificate = leaf.signed_by(&key, &self.issuer).expect("the authority signs");
        write(&self.directory, &format!("{file}.pem"), &certificate.pem());
        write(&self.directory, &format!("{file}-key.pem"), &key.serialize_pem());
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
