//! The certificate that a Client proved to own in the TLS handshake.
//!
//! TLS has judged it: an authority of the listener's `client_ca` has signed it, it is in its time, and no list of
//! revoked certificates has it. What is left is to find out whose it is.

use std::fmt;

use rustls_pki_types::CertificateDer;

/// A certificate that TLS has accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    der: CertificateDer<'static>,
}

impl ClientCertificate {
    /// The first certificate of the chain that a Client has shown.
    pub fn new(der: CertificateDer<'static>) -> Self {
        Self { der }
    }

    /// The whole of it, in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({} bytes)", self.der.len())
    }
}
