//! What can be wrong with a file that TLS needs.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::{Config, ConfigError};

/// What is wrong with a file that TLS needs.
#[derive(Debug)]
pub struct TlsError {
    /// The key of `[tls]` that names the file, such as `cert` or `certificate.0.cert`.
    pub option: String,
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
    /// The file is larger than any that is read.
    TooLarge,
    /// The file is damaged or not in PEM format.
    NotPem(String),
    /// The file has no certificate.
    NoCertificate,
    /// The file has no private key.
    NoPrivateKey,
    /// The file has no list of revoked certificates.
    NoRevocationList,
    /// The private key is encrypted.
    EncryptedKey,
    /// The private key is of a kind that TLS cannot use.
    UnusableKey(rustls::Error),
    /// The private key belongs to another certificate than this one.
    KeyMismatch(PathBuf),
    /// The certificate is damaged.
    BrokenCertificate(String),
    /// The list of revoked certificates is damaged.
    BrokenRevocationList(String),
    /// The certificate is one of several and has no name by which a client could ask for it.
    NamesNoServer,
    /// The cryptographic library failed.
    Setup(rustls::Error),
}

impl TlsError {
    /// The same as an error of the configuration, for the section that names the file.
    pub(crate) fn located(&self, config: &Config, section: &str) -> ConfigError {
        let path = format!("{section}.{}", self.option);
        let is_index = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let name: Vec<_> = path.split('.').filter(|part| !is_index(part)).collect();
        ConfigError {
            place: config.places.of(&path),
            option: name.join("."),
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
            Self::TooLarge => f.write_str("the file is larger than 16 MB"),
            Self::NotPem(error) => write!(f, "the file is not valid PEM: {error}"),
            Self::NoCertificate => f.write_str("the file holds no certificate in PEM format"),
            Self::NoPrivateKey => f.write_str("the file holds no private key in PEM format"),
            Self::NoRevocationList => {
                f.write_str("the file holds no list of revoked certificates (X509 CRL) in PEM format")
            }
            Self::EncryptedKey => {
                f.write_str("the private key is encrypted; it must be stored unencrypted (openssl pkey -in FILE -out FILE)")
            }
            Self::UnusableKey(error) => write!(f, "TLS cannot use this key: {error}"),
            Self::KeyMismatch(cert) => {
                write!(f, "the private key does not belong to the certificate {}", cert.display())
            }
            Self::BrokenCertificate(error) => write!(f, "the certificate is not valid: {error}"),
            Self::BrokenRevocationList(error) => {
                write!(f, "the list of revoked certificates is not valid: {error}")
            }
            Self::NamesNoServer => f.write_str(
                "the certificate has no DNS name among its subject alternative names, so no client could ask for it",
            ),
            Self::Setup(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
