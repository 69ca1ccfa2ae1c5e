//! The server side of TLS: PEM files in, a rustls configuration out.
//!
//! TLS 1.2 and 1.3 with aws-lc. A fleet reconnects all at once after a power cut, and a resumed handshake
//! costs a sixth of a full one, so clients get session tickets (nothing is kept for them here) and those
//! without tickets a cache of `tls.session_cache` sessions, where rustls by itself keeps 256 and gives no
//! tickets.
//!
//! What must stay true: a reload makes new ticket keys and an empty cache together with the new certificates,
//! so that no client resumes a session that the new `client_ca` would refuse; a configuration that cannot be
//! built never replaces one that works; every problem is one sentence that names the file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Config, ConfigError, ConfigErrors, Listener, TlsOptions};

/// TLS 1.3 tickets given at each handshake. A client keeps one connection, so one ticket is enough.
const TICKETS_PER_HANDSHAKE: usize = 1;

/// The largest PEM file that is read. What is beyond it is not read: a path can point anywhere, even at
/// `/dev/zero`.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The TLS configuration of one listener, which a reload replaces for the connections to come.
#[derive(Debug)]
pub struct TlsEndpoint {
    current: RwLock<Arc<ServerConfig>>,
}

/// What is wrong with a file that TLS needs.
#[derive(Debug)]
pub struct TlsError {
    /// The key of `[tls]` that names the file.
    pub option: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: TlsProblem,
}

/// The ways in which a file can be wrong.
#[derive(Debug)]
pub enum TlsProblem {
    /// The option is not set.
    Missing,
    /// The file cannot be read.
    Unreadable(io::Error),
    /// The file is damaged or not in PEM format.
    NotPem(String),
    /// The file has no certificate.
    NoCertificate,
    /// The file has no private key.
    NoPrivateKey,
    /// The private key is encrypted.
    EncryptedKey,
    /// The private key is of a kind that TLS cannot use.
    UnusableKey(rustls::Error),
    /// The private key belongs to another certificate than this one.
    KeyMismatch(PathBuf),
    /// The certificate is damaged.
    BrokenCertificate(String),
    /// The cryptographic library failed.
    Setup(rustls::Error),
}

impl TlsEndpoint {
    /// Reads the files of a listener.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        Ok(Self { current: RwLock::new(server_config(options)?) })
    }

    /// The configuration for the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again. On an error the configuration stays as it is.
    pub fn reload(&self, options: &TlsOptions) -> Result<(), TlsError> {
        let fresh = server_config(options)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

/// Builds what each listener needs, in their order; `None` for those without TLS. The errors name option and
/// place.
pub fn endpoints(config: &Config, listeners: &[Listener]) -> Result<Vec<Option<TlsEndpoint>>, ConfigErrors> {
    let mut endpoints = Vec::new();
    let mut errors: Vec<ConfigError> = Vec::new();
    for listener in listeners {
        let endpoint = listener.tls.as_ref().map(TlsEndpoint::new).transpose().unwrap_or_else(|error| {
            let error = error.located(config, &listener.tls_section);
            if !errors.contains(&error) {
                errors.push(error);
            }
            None
        });
        endpoints.push(endpoint);
    }
    if errors.is_empty() { Ok(endpoints) } else { Err(ConfigErrors(errors)) }
}

/// Builds the configuration of one listener.
pub fn server_config(options: &TlsOptions) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let identity = identity(options, &provider)?;
    let verifier = client_verifier(options, &provider)?;
    let setup = |error| TlsError {
        option: "cert",
        path: options.cert.clone().unwrap_or_default(),
        problem: TlsProblem::Setup(error),
    };

    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
    let cached_sessions = usize::try_from(options.session_cache).unwrap_or(usize::MAX);
    config.session_storage = ServerSessionMemoryCache::new(cached_sessions);
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
    config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
    Ok(Arc::new(config))
}

/// The server's certificates with the key that belongs to the first of them.
fn identity(options: &TlsOptions, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let cert_path = required("cert", &options.cert)?;
    let key_path = required("key", &options.key)?;
    let chain = certificates("cert", cert_path)?;
    let key = private_key(key_path)?;

    let about_key = |problem| TlsError { option: "key", path: key_path.to_owned(), problem };
    let signing_key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| about_key(TlsProblem::UnusableKey(error)))?;
    let identity = CertifiedKey::new(chain, signing_key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(about_key(TlsProblem::KeyMismatch(cert_path.to_owned())))
        }
        Err(error) => Err(TlsError {
            option: "cert",
            path: cert_path.to_owned(),
            problem: TlsProblem::BrokenCertificate(error.to_string()),
        }),
    }
}

fn client_verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = match &options.client_ca {
        Some(path) => path,
        None if options.require_client_cert => required("client_ca", &options.client_ca)?,
        None => return Ok(WebPkiClientVerifier::no_client_auth()),
    };
    let broken = |problem: String| TlsError {
        option: "client_ca",
        path: path.to_owned(),
        problem: TlsProblem::BrokenCertificate(problem),
    };
    let mut authorities = RootCertStore::empty();
    for certificate in certificates("client_ca", path)? {
        authorities.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider.clone());
    let builder = if options.require_client_cert { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| broken(error.to_string()))
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |problem| TlsError { option, path: path.to_owned(), problem };
    let pem = read(path).map_err(|error| fault(TlsProblem::Unreadable(error)))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| fault(TlsProblem::NotPem(error.to_string())))?;
    if certificates.is_empty() { Err(fault(TlsProblem::NoCertificate)) } else { Ok(certificates) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls_pki_types::pem::Error as PemError;
    let fault = |problem| TlsError { option: "key", path: path.to_owned(), problem };
    let pem = read(path).map_err(|error| fault(TlsProblem::Unreadable(error)))?;
    let is_encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes()));
    if is_encrypted {
        return Err(fault(TlsProblem::EncryptedKey));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => fault(TlsProblem::NoPrivateKey),
        error => fault(TlsProblem::NotPem(error.to_string())),
    })
}

fn required<'a>(option: &'static str, path: &'a Option<PathBuf>) -> Result<&'a Path, TlsError> {
    path.as_deref().ok_or_else(|| TlsError { option, path: PathBuf::new(), problem: TlsProblem::Missing })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl TlsError {
    /// The same as an error of the configuration, for the section that names the file.
    fn located(&self, config: &Config, section: &str) -> ConfigError {
        let name = if section == "tls" { "tls" } else { "listener.tls" };
        ConfigError {
            place: config.places.of(&format!("{section}.{}", self.option)),
            option: format!("{name}.{}", self.option),
            value: Some(format!("{:?}", self.path)),
            problem: self.problem.to_string(),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {:?}: {}", self.option, self.path, self.problem)
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("must be set for a listener that speaks TLS"),
            Self::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
            Self::NotPem(error) => write!(f, "the file is not valid PEM: {error}"),
            Self::NoCertificate => f.write_str("the file holds no certificate in PEM format"),
            Self::NoPrivateKey => f.write_str("the file holds no private key in PEM format"),
            Self::EncryptedKey => {
                f.write_str("the private key is encrypted; it must be stored unencrypted (openssl pkey -in FILE -out FILE)")
            }
            Self::UnusableKey(error) => write!(f, "TLS cannot use this key: {error}"),
            Self::KeyMismatch(cert) => {
                write!(f, "the private key does not belong to the certificate {}", cert.display())
            }
            Self::BrokenCertificate(error) => write!(f, "the certificate is not valid: {error}"),
            Self::Setup(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

#[cfg(test)]
mod tests;
