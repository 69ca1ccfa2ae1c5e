//! The client's side of TLS: whom it trusts, and what it shows.
//!
//! Without a file or directory of authorities, those of the system are trusted. `insecure` gives up one check, that
//! the certificate is for the host that was asked for, as mosquitto's clients do: a certificate must still come from
//! an authority that is trusted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme, SupportedProtocolVersion, version,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// See the top of the file.
#[derive(Clone, Debug, Default)]
pub struct TlsClientOptions {
    /// A PEM file of authorities.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files.
    pub ca_path: Option<PathBuf>,
    /// Whether the authorities of the system are trusted, too.
    pub uses_system: bool,
    /// The client's certificate and key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether the certificate may be for another host.
    pub is_insecure: bool,
    /// The protocol to ask for by ALPN.
    pub alpn: Option<String>,
    /// The only version to speak.
    pub version: Option<TlsVersion>,
}

/// TLS, ready for handshakes.
#[derive(Clone)]
pub struct TlsClient(Arc<ClientConfig>);

impl TlsClientOptions {
    /// Reads the files.
    ///
    /// # Errors
    /// A sentence that names the file, when one cannot be used.
    pub fn build(&self) -> Result<TlsClient, String> {
        let versions: &[&'static SupportedProtocolVersion] = match self.version {
            None => rustls::ALL_VERSIONS,
            Some(TlsVersion::V1_2) => &[&version::TLS12],
            Some(TlsVersion::V1_3) => &[&version::TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let setup = |error: Error| format!("TLS cannot be set up: {error}");
        let roots = Arc::new(self.roots()?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).map_err(setup)?;
        let builder = if self.is_insecure {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        } else {
            builder.with_root_certificates(roots)
        };
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?).map_err(
                    |error| format!("{}: cannot be used with its key: {error}", certificate.display()),
                )?
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(TlsClient(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(file) = &self.ca_file {
            for certificate in certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("{}: no authority can be read: {error}", file.display()))?;
            }
        }
        if let Some(directory) = &self.ca_path {
            // OpenSSL's directories hold each file twice, once by the hash of its name, and others beside them.
            let unreadable = |error| format!("{}: cannot be read: {error}", directory.display());
            for entry in std::fs::read_dir(directory).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                roots.add_parsable_certificates(certificates(&path).unwrap_or_default());
            }
            if roots.is_empty() {
                return Err(format!("{}: has no PEM file with an authority", directory.display()));
            }
        }
        if self.uses_system || (self.ca_file.is_none() && self.ca_path.is_none()) {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system trusts no authority; name one with --cafile FILE".to_owned());
            }
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| format!("{}: no certificate can be read: {error}", path.display()))?;
    if read.is_empty() {
        Err(format!("{}: has no certificate in PEM format", path.display()))
    } else {
        Ok(read)
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| format!("{}: no private key can be read: {error}", path.display()))
}

impl TlsClient {
    /// For who makes connections.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsClient(..)")
    }
}

/// The options that could have made a handshake succeed.
pub(crate) struct TlsHints {
    /// Names a file of authorities.
    pub authorities: &'static str,
    /// Takes a certificate for another host, where there is such an option.
    pub other_host: Option<&'static str>,
}

impl TlsHints {
    /// What a failed handshake means, in a sentence that fits what one can do about it.
    pub(crate) fn explain(&self, error: &Error) -> String {
        let problem = match error {
            Error::InvalidCertificate(problem) => problem,
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                return "what answers there speaks no TLS".to_owned();
            }
            other => return other.to_string(),
        };
        match problem {
            // That of another authority with the same name is no signature of the one that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "its certificate is from no authority that is trusted here: name the one that vouches for it with {} \
                 FILE",
                self.authorities
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let hint = self.other_host.map(|option| format!(": {option} takes it, for tests"));
                format!("its certificate is for another host{}", hint.unwrap_or_default())
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            _ => error.to_string(),
        }
    }
}

/// Judges certificates, whatever host they are for.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is judged last, so all else is right when it is what is wrong.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
