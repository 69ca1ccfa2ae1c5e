//! What certificates and lists of revoked certificates say: whose they are, which names they have, when they end.
//!
//! Nothing here judges: whether a signature holds is rustls's business. What must stay true: two subjects that
//! differ are never written as the same text, because the text can be a user name. So a subject is written as
//! RFC 4514 wants it, with everything escaped that could pass for structure, and what is no text in one of the
//! usual encodings is written as the hexadecimal of its DER, or is no name at all.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{
    ASN1Time, AttributeTypeAndValue, CertificateRevocationList, FromDer, GeneralName, X509Certificate,
    X509Name,
};

/// A certificate that can be read; its signature has not been judged.
pub(crate) struct Certificate<'a> {
    parsed: X509Certificate<'a>,
}

impl<'a> Certificate<'a> {
    /// Reads DER; the error says what is wrong with it.
    pub fn parse(der: &'a [u8]) -> Result<Self, String> {
        match X509Certificate::from_der(der) {
            Ok((_, parsed)) => Ok(Self { parsed }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Its subject, in the words of RFC 4514: `CN=pump,O=Example`. Empty if it has none.
    pub fn subject(&self) -> String {
        distinguished_name(self.parsed.subject())
    }

    /// The first Common Name of its subject.
    pub fn common_name(&self) -> Option<&str> {
        self.parsed.subject().iter_common_name().next()?.as_str().ok()
    }

    /// The DNS names among its subject alternative names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.alternative_names().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
    }

    /// The URIs among them.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.alternative_names().filter_map(|name| match name {
            GeneralName::URI(name) => Some(*name),
            _ => None,
        })
    }

    /// The e-mail addresses among them.
    pub fn email_addresses(&self) -> impl Iterator<Item = &str> {
        self.alternative_names().filter_map(|name| match name {
            GeneralName::RFC822Name(name) => Some(*name),
            _ => None,
        })
    }

    /// The last moment at which it is valid.
    pub fn not_after(&self) -> SystemTime {
        system_time(self.parsed.validity().not_after)
    }

    fn alternative_names(&self) -> impl Iterator<Item = &GeneralName<'a>> {
        // A certificate that has the extension twice has no names: it is not clear which are meant.
        let extension = self.parsed.subject_alternative_name().ok().flatten();
        extension.into_iter().flat_map(|extension| &extension.value.general_names)
    }
}

/// A list of revoked certificates.
pub(crate) struct RevocationList {
    /// The authority that has made it, as RFC 4514 writes it.
    pub issuer: String,
    /// When there will be a newer one; this one then counts no more.
    pub next_update: Option<SystemTime>,
}

impl RevocationList {
    /// Reads DER; the error says what is wrong with it.
    pub fn parse(der: &[u8]) -> Result<Self, String> {
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
        Ok(Self {
            issuer: distinguished_name(list.issuer()),
            next_update: list.next_update().map(system_time),
        })
    }
}

/// A name in the words of RFC 4514: the last part first, parts between commas.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

/// How the kinds of attributes are called: those of RFC 4514, section 3, and two that OpenSSL knows as well. Written
/// down here because a user name must not change with a library.
const ATTRIBUTES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "serialNumber"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type().to_id_string();
    let name = ATTRIBUTES.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name);
    match (name, attribute.as_str()) {
        (Some(name), Ok(text)) => format!("{name}={}", escaped(text)),
        (name, _) => {
            let kind = name.unwrap_or(&kind);
            let der = attribute.attr_value().to_der_vec().unwrap_or_default();
            der.iter().fold(format!("{kind}=#"), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
        }
    }
}

/// A value as RFC 4514, section 2.4, writes it.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        match letter {
            '\0' => text.push_str("\\00"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            '#' if index == 0 => text.push_str("\\#"),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            _ => text.push(letter),
        }
    }
    text
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn subject(parts: &[(DnType, DnValue)]) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::parse(certificate.der()).unwrap().subject()
    }

    #[test]
    fn a_subject_is_written_last_part_first() {
        let parts = [(DnType::CountryName, "DE".into()), (DnType::CommonName, "pump 7".into())];
        assert_eq!(subject(&parts), "CN=pump 7,C=DE");
        assert_eq!(subject(&[]), "");
    }

    #[test]
    fn what_looks_like_structure_in_a_value_is_escaped() {
        for (value, written) in [
            ("a,O=b", "CN=a\\,O=b"),
            ("a+b", "CN=a\\+b"),
            ("\\", "CN=\\\\"),
            ("#1 ", "CN=\\#1\\ "),
            (" ", "CN=\\ "),
            ("a\0b", "CN=a\\00b"),
            ("größe", "CN=größe"),
        ] {
            assert_eq!(subject(&[(DnType::CommonName, value.into())]), written);
        }
    }

    #[test]
    fn what_is_no_usual_text_is_written_as_hexadecimal() {
        let value = DnValue::BmpString("ab".try_into().unwrap());
        assert_eq!(subject(&[(DnType::CommonName, value)]), "CN=#1e0400610062");
        let title = DnType::CustomDnType(vec![2, 5, 4, 12]);
        assert_eq!(subject(&[(title, "ab".into())]), "2.5.4.12=#0c026162");
    }

    #[test]
    fn the_end_of_a_certificate_is_a_time_of_the_clock() {
        let mut params = CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let end = Certificate::parse(certificate.der()).unwrap().not_after();
        assert_eq!(end, UNIX_EPOCH + Duration::from_secs(1_893_542_400));
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused_with_a_reason() {
        assert!(Certificate::parse(&[0x30, 0x01]).is_err());
        assert!(RevocationList::parse(&[0x30, 0x01]).is_err());
    }
}
