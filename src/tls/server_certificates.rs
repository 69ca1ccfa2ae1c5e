//! The certificates that a listener shows, and which of them a client gets.
//!
//! A client that names a server (SNI, RFC 6066, section 3) gets a certificate with that DNS name, by its exact name
//! before one with a `*`. Several may have the same name, such as one with an ECDSA and one with an RSA key:
//! the first of them whose signatures the client understands is shown. Everyone else gets `tls.cert`, as
//! devices do that connect to an address, and decides for itself whether that is whom it looked for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::{TlsError, TlsProblem};
use super::expiry::Expiry;
use super::files::{Files, fault, required};
use crate::config::TlsOptions;
use crate::x509::Certificate;

/// The certificates of a listener, with their keys.
#[derive(Debug)]
pub(super) struct ServerCertificates {
    first: Arc<CertifiedKey>,
    /// By DNS name in lower case, which may begin with `*.`; in the order of the configuration.
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

impl ServerCertificates {
    /// Reads them.
    pub fn load(
        options: &TlsOptions,
        provider: &CryptoProvider,
        files: &mut Files,
        expiries: &mut Vec<Expiry>,
    ) -> Result<Self, TlsError> {
        let (path, key_path) = (required("cert", &options.cert)?, required("key", &options.key)?);
        let first = Arc::new(certified_key(("cert", path), ("key", key_path), provider, files)?);
        let mut certificates = Self { first: Arc::clone(&first), by_name: HashMap::new() };
        certificates.enter(&first, "cert", path, expiries)?;
        for (index, further) in options.certificate.iter().enumerate() {
            let (cert, key) = (format!("certificate.{index}.cert"), format!("certificate.{index}.key"));
            let (path, key_path) = (required(&cert, &further.cert)?, required(&key, &further.key)?);
            let certified = Arc::new(certified_key((&cert, path), (&key, key_path), provider, files)?);
            if !certificates.enter(&certified, &cert, path, expiries)? {
                return Err(fault(&cert, path, TlsProblem::NamesNoServer));
            }
        }
        Ok(certificates)
    }

    /// Enters a certificate under its names, and says whether it has any.
    fn enter(
        &mut self,
        certified: &Arc<CertifiedKey>,
        option: &str,
        path: &Path,
        expiries: &mut Vec<Expiry>,
    ) -> Result<bool, TlsError> {
        let mut has_names = false;
        for (index, der) in certified.cert.iter().enumerate() {
            let certificate = Certificate::parse(der)
                .map_err(|error| fault(option, path, TlsProblem::BrokenCertificate(error)))?;
            expiries.push(Expiry::of_certificate(path, &certificate));
            // The others belong to authorities.
            for name in certificate.dns_names().filter(|_| index == 0) {
                has_names = true;
                let name = name.to_ascii_lowercase().into_boxed_str();
                self.by_name.entry(name).or_default().push(Arc::clone(certified));
            }
        }
        Ok(has_names)
    }

    /// Those with this name.
    fn named(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let with_wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&*format!("*.{parent}"))
        };
        self.by_name.get(&*name).or_else(with_wildcard).map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for ServerCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().map_or(&[][..], |name| self.named(name));
        let is_understood =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        let shown = named.iter().find(is_understood).or(named.first()).unwrap_or(&self.first);
        Some(Arc::clone(shown))
    }
}

/// A certificate with its intermediates and the key that belongs to it.
fn certified_key(
    (cert, cert_path): (&str, &Path),
    (key, key_path): (&str, &Path),
    provider: &CryptoProvider,
    files: &mut Files,
) -> Result<CertifiedKey, TlsError> {
    let chain = files.certificates(cert, cert_path)?;
    let private_key = files.private_key(key, key_path)?;
    let signing_key = provider
        .key_provider
        .load_private_key(private_key)
        .map_err(|error| fault(key, key_path, TlsProblem::UnusableKey(error)))?;
    let certified = CertifiedKey::new(chain, signing_key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(fault(key, key_path, TlsProblem::KeyMismatch(cert_path.to_owned())))
        }
        Err(error) => Err(fault(cert, cert_path, TlsProblem::BrokenCertificate(error.to_string()))),
    }
}
