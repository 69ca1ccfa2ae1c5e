//! The messages of a SCRAM Client (RFC 5802, section 7), understood.
//!
//! Both borrow the parts that are signed later: a signature is over the text as it was sent, not over what we make
//! of it. Optional extensions are passed over, as the RFC wants; a mandatory one (`m=`) is not supported.

use base64::Engine;

use super::super::password_hash::BASE64;
use super::verifier::{KEY_BYTES, prepared};

/// The longest message: names, nonces and proofs are far shorter, and an exchange keeps a copy.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The client-first-message.
pub(super) struct ClientFirst<'a> {
    /// What it begins with, as the Client has to repeat it: whether it binds to a channel, and for whom it acts.
    pub(super) header: &'a str,
    /// All that follows.
    pub(super) bare: &'a str,
    /// Who it says it is, decoded and prepared.
    pub(super) user_name: String,
    /// Its nonce.
    pub(super) nonce: &'a str,
}

/// The client-final-message.
pub(super) struct ClientFinal<'a> {
    /// All but the proof.
    pub(super) without_proof: &'a str,
    /// What should be the header of the first message.
    pub(super) channel_binding: Box<[u8]>,
    /// What should be both nonces.
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; KEY_BYTES],
}

impl<'a> ClientFirst<'a> {
    /// `None` for what is no such message, asks for channel binding, or wants to act for another user.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let text = text(data)?;
        let (binding, rest) = text.split_once(',')?;
        let (acting_for, bare) = rest.split_once(',')?;
        let header = &text[..text.len() - bare.len()];
        let mut attributes = bare.split(',');
        let user_name = user_name(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let is_itself = match acting_for.strip_prefix("a=") {
            Some(other) => self::user_name(other)? == user_name,
            None => acting_for.is_empty(),
        };
        let is_understood =
            matches!(binding, "n" | "y") && is_itself && attributes.all(is_optional_extension);
        is_understood.then_some(Self { header, bare, user_name, nonce })
    }
}

impl<'a> ClientFinal<'a> {
    /// `None` for what is no such message.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (without_proof, proof) = text(data)?.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let channel_binding = BASE64.decode(attributes.next()?.strip_prefix("c=")?).ok()?.into_boxed_slice();
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let proof = BASE64.decode(proof).ok()?.try_into().ok()?;
        let is_understood = attributes.all(is_optional_extension);
        is_understood.then_some(Self { without_proof, channel_binding, nonce, proof })
    }
}

fn text(data: &[u8]) -> Option<&str> {
    let data = Some(data).filter(|data| data.len() <= MESSAGE_BYTES_MAX)?;
    std::str::from_utf8(data).ok()
}

/// A name with `=2C` for a comma and `=3D` for an equals sign.
fn user_name(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (character, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        name.push(character);
        name.push_str(rest);
    }
    let name = prepared(&name)?.into_owned();
    (!name.is_empty()).then_some(name)
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// A letter, `=` and a value; `m` would be one that must be understood.
fn is_optional_extension(attribute: &str) -> bool {
    matches!(attribute.as_bytes(), [letter, b'=', _, ..] if letter.is_ascii_alphabetic() && *letter != b'm')
}
