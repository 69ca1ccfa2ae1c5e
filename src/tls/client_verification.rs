//! Judging the certificates that clients show.
//!
//! Without `client_ca`, clients are not asked for one. With lists of revoked certificates (`client_crl`), every
//! certificate between the client and the authority is looked up, and whatever cannot be looked up is refused:
//! an issuer without a list, a list whose time is over. An authority that stops to make lists must not become
//! one that never revokes.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls_pki_types::CertificateRevocationListDer;

use super::error::{TlsError, TlsProblem};
use super::expiry::Expiry;
use super::files::{Files, fault, required};
use crate::config::TlsOptions;
use crate::x509::{Certificate, RevocationList};

/// Reads the authorities and their lists.
pub(super) fn client_verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    files: &mut Files,
    expiries: &mut Vec<Expiry>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = match &options.client_ca {
        Some(path) => path,
        None if options.require_client_cert || options.client_crl.is_some() => {
            required("client_ca", &options.client_ca)?
        }
        None => return Ok(WebPkiClientVerifier::no_client_auth()),
    };
    let broken = |problem: String| fault("client_ca", path, TlsProblem::BrokenCertificate(problem));
    let (mut authorities, mut subjects) = (RootCertStore::empty(), Vec::new());
    for der in files.certificates("client_ca", path)? {
        let certificate = Certificate::parse(&der).map_err(broken)?;
        expiries.push(Expiry::of_certificate(path, &certificate));
        subjects.push(certificate.subject());
        authorities.add(der.clone()).map_err(|error| broken(error.to_string()))?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider));
    if let Some(path) = &options.client_crl {
        let (lists, issuers) = revocation_lists(path, files, expiries)?;
        for authority in subjects.iter().filter(|subject| !issuers.contains(subject)) {
            tracing::warn!(
                file = ?path, authority,
                "there is no list of revoked certificates of this authority: whoever has its certificate is refused"
            );
        }
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if !options.require_client_cert {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| match (error, &options.client_crl) {
        (VerifierBuilderError::InvalidCrl(error), Some(path)) => {
            fault("client_crl", path, TlsProblem::BrokenRevocationList(format!("{error:?}")))
        }
        (error, _) => broken(error.to_string()),
    })
}

/// The lists, and who has made them.
fn revocation_lists(
    path: &Path,
    files: &mut Files,
    expiries: &mut Vec<Expiry>,
) -> Result<(Vec<CertificateRevocationListDer<'static>>, Vec<String>), TlsError> {
    let lists = files.revocation_lists("client_crl", path)?;
    let mut issuers = Vec::new();
    for der in &lists {
        let list = RevocationList::parse(der)
            .map_err(|error| fault("client_crl", path, TlsProblem::BrokenRevocationList(error)))?;
        issuers.push(list.issuer.clone());
        expiries.extend(Expiry::of_revocation_list(path, list));
    }
    Ok((lists, issuers))
}
