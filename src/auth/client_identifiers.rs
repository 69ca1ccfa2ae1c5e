//! Which Client Identifiers a user may take (`auth.client_identifier`).
//!
//! A Session belongs to a Client Identifier, and whoever connects with it takes the Session over. Where users do
//! not trust each other, each must be kept to names of its own: `%u` for the user name itself, `%u-*` for all
//! names that begin with it and a hyphen.
//!
//! What stands behind `%u` matters: with `%u*`, the user `ann` could take what belongs to `anna`. Such a pattern
//! is refused, and so is one without `%u`, which would keep nobody apart.

use std::fmt;

/// A pattern for Client Identifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentifierPattern {
    before: Box<str>,
    after: Box<str>,
    /// Whether anything may follow.
    is_open_ended: bool,
}

impl ClientIdentifierPattern {
    /// Understands a pattern; the error says what would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (before, after) = text.split_once("%u").ok_or("must contain %u, the user name")?;
        let (after, is_open_ended) = match after.strip_suffix('*') {
            Some("") => return Err("must have a separator between %u and *, as in %u-*"),
            Some(after) => (after, true),
            None => (after, false),
        };
        if [before, after].iter().any(|part| part.contains('*') || part.contains("%u")) {
            return Err("must have %u once, and * only at its end");
        }
        if is_open_ended && after.chars().any(char::is_alphanumeric) {
            return Err("must have only punctuation between %u and *, as in %u-*");
        }
        Ok(Self { before: before.into(), after: after.into(), is_open_ended })
    }

    /// Whether this user may be the Client of this name. A user whose own name contains the separator could stand
    /// for two users and gets nothing from an open-ended pattern; neither does an anonymous Client.
    pub fn allows(&self, user_name: Option<&str>, client_identifier: &str) -> bool {
        let Some(user_name) = user_name.filter(|name| !self.is_open_ended || !name.contains(&*self.after))
        else {
            return false;
        };
        let rest = client_identifier
            .strip_prefix(&*self.before)
            .and_then(|rest| rest.strip_prefix(user_name))
            .and_then(|rest| rest.strip_prefix(&*self.after));
        rest.is_some_and(|rest| self.is_open_ended || rest.is_empty())
    }
}

impl fmt::Display for ClientIdentifierPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_open_ended { "*" } else { "" };
        write!(f, "{}%u{}{star}", self.before, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> ClientIdentifierPattern {
        let pattern = ClientIdentifierPattern::parse(text).unwrap();
        assert_eq!(pattern.to_string(), text);
        pattern
    }

    #[test]
    fn an_exact_pattern_gives_a_user_one_client_identifier() {
        let pattern = pattern("device:%u");
        assert!(pattern.allows(Some("anna"), "device:anna"));
        for other in ["anna", "device:ann", "device:anna1", "device:", "Device:anna", ""] {
            assert!(!pattern.allows(Some("anna"), other), "{other}");
        }
    }

    #[test]
    fn an_open_ended_pattern_gives_a_user_what_begins_with_its_name_and_the_separator() {
        let pattern = pattern("%u-*");
        for own in ["anna-", "anna-1", "anna-phone-2"] {
            assert!(pattern.allows(Some("anna"), own), "{own}");
        }
        for other in ["anna", "ann-1", "annab-1", "x-anna-1"] {
            assert!(!pattern.allows(Some("anna"), other), "{other}");
        }
    }

    #[test]
    fn nobody_takes_what_belongs_to_a_user_with_a_longer_name() {
        assert!(!pattern("%u-*").allows(Some("anna-maria"), "anna-maria-1"), "anna could take it too");
        assert!(ClientIdentifierPattern::parse("%u*").is_err());
        assert!(ClientIdentifierPattern::parse("%uab*").is_err());
    }

    #[test]
    fn an_anonymous_client_gets_no_client_identifier_of_a_user() {
        assert!(!pattern("%u").allows(None, "anna"));
        assert!(!pattern("%u-*").allows(None, "-1"));
    }

    #[test]
    fn a_pattern_that_keeps_nobody_apart_is_refused() {
        for text in ["", "*", "device-*", "%u-%u", "%u-*-*", "*%u"] {
            assert!(ClientIdentifierPattern::parse(text).is_err(), "{text}");
        }
    }
}
