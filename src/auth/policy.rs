//! What decides for a Client beside its names: rights that came with its credentials, or the rules of the
//! listener it came through.
//!
//! The core keeps it with the Session, as text, also in the store, because messages are judged while their
//! Client is away; for it the text is opaque. A Client that only the general ACL concerns has none.

use serde::{Deserialize, Serialize};

use super::grants::Grants;

/// What decides for a Client beside its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Rights of its own.
    pub grants: Option<Grants>,
    /// The URL of the listener whose `auth` table has the rules; none for those of `[auth]`.
    pub listener: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Text {
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
}

impl Policy {
    /// The text that the core keeps; none if there is nothing to say.
    pub fn to_text(&self) -> Option<Box<str>> {
        if *self == Self::default() {
            return None;
        }
        let text = Text {
            grants: self.grants.as_ref().map(|grants| grants.as_str().to_owned()),
            listener: self.listener.clone(),
        };
        serde_json::to_string(&text).ok().map(Into::into)
    }

    /// Understands such a text; `None` if it is none, which a later version may have written.
    pub fn from_text(text: &str) -> Option<Self> {
        let Text { grants, listener } = serde_json::from_str(text).ok()?;
        let grants = grants.map(|grants| Grants::parse(&grants)).transpose().ok()?;
        Some(Self { grants, listener })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_as_text() {
        let grants = Grants::parse(r#"{"publish": ["a/%c"], "max_qos": 1}"#).unwrap();
        for policy in [
            Policy { grants: Some(grants.clone()), listener: None },
            Policy { grants: None, listener: Some("mqtt://[::]:1883".to_owned()) },
            Policy { grants: Some(grants), listener: Some("unix:///run/\"odd\"".to_owned()) },
        ] {
            assert_eq!(Policy::from_text(&policy.to_text().unwrap()), Some(policy));
        }
        assert_eq!(Policy::default().to_text(), None);
    }

    #[test]
    fn a_text_that_is_not_understood_is_no_policy() {
        for text in ["", "{", r#"{"grants": "{\"publish\": [\"a/#/b\"]}"}"#] {
            assert_eq!(Policy::from_text(text), None, "{text}");
        }
    }
}
