//! `cargo xtask certs`: certificates for development and tests, never for production.
//!
//! A certificate authority signs a server certificate for this machine's own names and a client certificate.
//! The authority's key is thrown away at once, so that nobody can sign anything else with what lies around in
//! `certs/`; whoever needs another certificate runs the command again and gets a new set. Keys are readable
//! by their owner alone.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// How long the certificates are valid: as long as the pickiest clients accept.
const VALID_DAYS: u32 = 397;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The names under which clients on this machine reach the server.
const SERVER_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Writes `ca.pem`, `server.pem`, `server-key.pem`, `client.pem` and `client-key.pem`, replacing an older
/// set.
pub(crate) fn run(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;

    let ca_key = KeyPair::generate()?;
    let mut ca = params("Dunlin development CA", &[])?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    write(&directory.join("ca.pem"), &ca.self_signed(&ca_key)?.pem(), 0o644)?;
    let issuer = Issuer::new(ca, ca_key);

    let server = params("dunlin", &SERVER_NAMES)?;
    leaf(directory, "server", server, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
    let client = params("dunlin-client", &[])?;
    leaf(directory, "client", client, ExtendedKeyUsagePurpose::ClientAuth, &issuer)?;

    println!(
        "wrote ca.pem, server.pem, server-key.pem, client.pem, client-key.pem to {}",
        directory.display()
    );
    Ok(())
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::UNIX_EPOCH.elapsed()?;
    // A day back, for clients whose clock is slow.
    params.not_before = now - DAY;
    params.not_after = now + DAY * (VALID_DAYS - 1);
    Ok(params)
}

fn leaf(
    directory: &Path,
    name: &str,
    mut params: CertificateParams,
    purpose: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<()> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    write(&directory.join(format!("{name}.pem")), &certificate.pem(), 0o644)?;
    write(&directory.join(format!("{name}-key.pem")), &key.serialize_pem(), 0o600)
}

/// Writes a file anew with these permissions: an older one could have others.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let write = || {
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _ = mode;
        options.open(path)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_replaces_the_first_and_keys_stay_private() {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let first = read("server.pem");
        run(directory.path()).unwrap();
        assert_ne!(read("server.pem"), first);
        assert!(read("client-key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode =
                std::fs::metadata(directory.path().join("server-key.pem")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
