//! The certificate that a Client proved to own in the TLS handshake, and the user it names.
//!
//! TLS has judged it: an authority of the listener's `client_ca` has signed it, it is in its time, and no list of
//! revoked certificates has it. What is left is to find out whose it is ([`ClientCertificates`]).
//!
//! What must stay true: where certificates name users, a Client that shows one is the user that it names or
//! nobody. A User Name in its CONNECT packet neither adds to that nor takes from it, and no other authenticator
//! gets to see it.

use std::fmt;

use rustls_pki_types::CertificateDer;

use super::authenticator::{Authenticator, Cost, Credentials, Decision, Identity, RefuseReason};
use crate::x509::Certificate;

/// The longest text that could stand in a CONNECT packet as a User Name.
const USER_NAME_BYTES_MAX: usize = 65_535;

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

/// What of a certificate is the user name (`auth.certificate_user`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// The first Common Name of the subject.
    CommonName,
    /// The first URI among the subject alternative names.
    Uri,
    /// The first DNS name among them.
    Dns,
    /// The first e-mail address among them.
    Email,
    /// The whole subject, as RFC 4514 writes it.
    Subject,
}

impl CertificateName {
    /// The user that a certificate names. `None` if it has no such name, or one that could be no User Name: empty,
    /// longer than MQTT allows, or with control characters.
    pub fn user_name(self, certificate: &ClientCertificate) -> Option<String> {
        let certificate = Certificate::parse(certificate.der()).ok()?;
        let name = match self {
            Self::CommonName => certificate.common_name()?.to_owned(),
            Self::Uri => certificate.uris().next()?.to_owned(),
            Self::Dns => certificate.dns_names().next()?.to_owned(),
            Self::Email => certificate.email_addresses().next()?.to_owned(),
            Self::Subject => certificate.subject(),
        };
        let is_usable =
            !name.is_empty() && name.len() <= USER_NAME_BYTES_MAX && !name.chars().any(char::is_control);
        is_usable.then_some(name)
    }
}

/// Knows Clients by their certificates.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificates {
    name: CertificateName,
}

impl ClientCertificates {
    /// Takes this of a certificate for the user name.
    pub fn new(name: CertificateName) -> Self {
        Self { name }
    }
}

impl Authenticator for ClientCertificates {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        match request.certificate().map(|certificate| self.name.user_name(certificate)) {
            Some(Some(user_name)) => Decision::Allow(Identity::user(&user_name)),
            Some(None) => Decision::Refuse(RefuseReason::NamelessCertificate),
            None => Decision::NotMine,
        }
    }

    fn cost(&self, _request: &Credentials<'_>) -> Cost {
        Cost::Instant
    }

    fn can_be_guessed(&self, _request: &Credentials<'_>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn certificate(subject: &[(DnType, DnValue)], alternative_names: &[SanType]) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.subject_alt_names = alternative_names.to_vec();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        ClientCertificate::new(certificate.der().clone())
    }

    fn text<T: TryFrom<String, Error: fmt::Debug>>(text: &str) -> T {
        text.to_owned().try_into().unwrap()
    }

    fn pump() -> ClientCertificate {
        let subject = [(DnType::OrganizationName, "Plant".into()), (DnType::CommonName, "pump".into())];
        let names = [
            SanType::DnsName(text("pump.example")),
            SanType::DnsName(text("other.example")),
            SanType::URI(text("spiffe://plant/pump")),
            SanType::URI(text("spiffe://plant/other")),
            SanType::Rfc822Name(text("pump@example.org")),
            SanType::Rfc822Name(text("other@example.org")),
        ];
        certificate(&subject, &names)
    }

    #[test]
    fn each_option_takes_its_own_name_and_the_first_of_several() {
        for (name, expected) in [
            (CertificateName::CommonName, "pump"),
            (CertificateName::Uri, "spiffe://plant/pump"),
            (CertificateName::Dns, "pump.example"),
            (CertificateName::Email, "pump@example.org"),
            (CertificateName::Subject, "CN=pump,O=Plant"),
        ] {
            assert_eq!(name.user_name(&pump()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_certificate_without_the_name_that_counts_names_nobody() {
        let nameless = certificate(&[], &[]);
        let only_common_name = certificate(&[(DnType::CommonName, "pump".into())], &[]);
        for name in [CertificateName::Uri, CertificateName::Dns, CertificateName::Email] {
            assert_eq!(name.user_name(&only_common_name), None);
        }
        assert_eq!(CertificateName::CommonName.user_name(&nameless), None);
        assert_eq!(CertificateName::Subject.user_name(&nameless), None);
    }

    #[test]
    fn a_name_that_could_be_no_user_name_is_none() {
        for value in ["", "pump\0", "pump\nreason=forged"] {
            let certificate = certificate(&[(DnType::CommonName, value.into())], &[]);
            assert_eq!(CertificateName::CommonName.user_name(&certificate), None, "{value:?}");
        }
        let damaged = ClientCertificate::new(CertificateDer::from(vec![0x30, 0x00]));
        assert_eq!(CertificateName::Subject.user_name(&damaged), None);
    }

    #[test]
    fn the_certificate_decides_whatever_the_packet_claims() {
        let certificates = ClientCertificates::new(CertificateName::CommonName);
        let claim = Credentials::new("client", Some("boris"), Some(b"secret"));
        let (pump, nameless) = (pump(), certificate(&[], &[]));
        assert_eq!(
            certificates.authenticate(&claim.with_certificate(Some(&pump))),
            Decision::Allow(Identity::user("pump"))
        );
        assert_eq!(
            certificates.authenticate(&claim.with_certificate(Some(&nameless))),
            Decision::Refuse(RefuseReason::NamelessCertificate)
        );
        assert_eq!(certificates.authenticate(&claim), Decision::NotMine);
    }
}
