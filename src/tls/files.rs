//! The files of one TLS configuration: reading them whole, and noticing that they have changed.
//!
//! Whether files have changed is told twice. [`Stamps`] are cheap, for looking every few seconds. The digest of what
//! was read is exact: a file that was written again as it was is no reason to make new ticket keys.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use super::error::{TlsError, TlsProblem};
use crate::config::TlsOptions;
use crate::file_watch::Stamps;

/// The largest PEM file that is read; a path can point anywhere, even at `/dev/zero`. A larger one is refused
/// whole: what is left out could be what revokes somebody.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What all files of a configuration come to.
pub(super) type Digest = [u8; 32];

/// Reads files and remembers what was in them.
#[derive(Default)]
pub(super) struct Files {
    contents: Sha256,
}

impl Files {
    /// The certificates of a file: at least one.
    pub fn certificates(
        &mut self,
        option: &str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        self.all_of(option, path, TlsProblem::NoCertificate)
    }

    /// The lists of revoked certificates of a file: at least one.
    pub fn revocation_lists(
        &mut self,
        option: &str,
        path: &Path,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        self.all_of(option, path, TlsProblem::NoRevocationList)
    }

    /// The private key of a file.
    pub fn private_key(&mut self, option: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
        let pem = self.read(option, path)?;
        let is_encrypted = ["ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes()));
        if is_encrypted {
            return Err(fault(option, path, TlsProblem::EncryptedKey));
        }
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
            PemError::NoItemsFound => fault(option, path, TlsProblem::NoPrivateKey),
            error => fault(option, path, TlsProblem::NotPem(error.to_string())),
        })
    }

    /// What all that was read comes to.
    pub fn digest(self) -> Digest {
        self.contents.finalize().into()
    }

    fn all_of<T: PemObject>(
        &mut self,
        option: &str,
        path: &Path,
        none: TlsProblem,
    ) -> Result<Vec<T>, TlsError> {
        let pem = self.read(option, path)?;
        let objects = T::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| fault(option, path, TlsProblem::NotPem(error.to_string())))?;
        if objects.is_empty() { Err(fault(option, path, none)) } else { Ok(objects) }
    }

    fn read(&mut self, option: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|error| fault(option, path, TlsProblem::Unreadable(error)))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(fault(option, path, TlsProblem::TooLarge));
        }
        // The length keeps two files apart from one that holds both.
        self.contents.update(bytes.len().to_le_bytes());
        self.contents.update(&bytes);
        Ok(bytes)
    }
}

/// What is wrong with the file of an option.
pub(super) fn fault(option: &str, path: &Path, problem: TlsProblem) -> TlsError {
    TlsError { option: option.to_owned(), path: path.to_owned(), problem }
}

/// The file of an option that must be set.
pub(super) fn required<'a>(option: &str, path: &'a Option<PathBuf>) -> Result<&'a Path, TlsError> {
    path.as_deref().ok_or_else(|| fault(option, Path::new(""), TlsProblem::Missing))
}

/// How all files of a configuration look now, in the order of their options.
pub(super) fn stamps_of(options: &TlsOptions) -> Stamps {
    let further = options.certificate.iter().flat_map(|further| [&further.cert, &further.key]);
    let first = [&options.cert, &options.key, &options.client_ca, &options.client_crl];
    Stamps::of(first.into_iter().chain(further).flatten())
}
