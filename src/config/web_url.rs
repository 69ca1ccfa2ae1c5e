//! The address of a service that is asked over HTTP.
//!
//! A URL has no user and no password in it: it is shown in logs and errors.

use std::fmt;

use config::Value;
use ureq::http::Uri;

use super::value::{OptionValue, quoted, text};

/// An `http://` or `https://` URL; valid by construction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebUrl(Uri);

impl WebUrl {
    /// What an example shows.
    pub(super) fn example() -> Self {
        Self(Uri::from_static("https://auth.example.com/mqtt"))
    }

    /// Understands a URL; the error says what would be right.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("must start with http:// or https://");
        }
        let parsed: Uri =
            url.parse().map_err(|_| "must be a URL such as \"https://auth.example.com/mqtt\"")?;
        let authority = parsed.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("must have no user and no password before its host, because it is shown in logs");
        }
        if parsed.host().is_none_or(str::is_empty) {
            return Err("must name a host");
        }
        Ok(Self(parsed))
    }

    /// Whether TLS protects what is sent there.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// Whether what is sent there in the clear can be read on a network.
    pub fn is_readable_on_the_way(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_local =
            host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        !self.is_https() && !is_local
    }

    /// The same as the HTTP client wants it.
    pub fn as_uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl OptionValue for WebUrl {
    const REQUIRED: bool = true;

    fn kind() -> String {
        "URL".to_owned()
    }
    fn expected() -> String {
        "a URL such as \"https://auth.example.com/mqtt\"".to_owned()
    }
    fn parse(value: &Value) -> Option<Self> {
        Self::parse(text(value)?).ok()
    }
    fn problem(value: &Value, _bounds: Option<&str>) -> String {
        match text(value).map(Self::parse) {
            Some(Err(problem)) => problem.to_owned(),
            _ => format!("must be {}", Self::expected()),
        }
    }
    fn may_be_shown(value: &Value) -> bool {
        text(value).is_none_or(|url| !url.contains('@'))
    }
    fn to_toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_in_the_clear_beyond_this_machine_can_be_read_on_the_way() {
        for (url, expected) in [
            ("http://auth.example.com/", true),
            ("http://192.0.2.1:80/x", true),
            ("https://auth.example.com/", false),
            ("http://localhost:9000/", false),
            ("http://127.1.2.3/", false),
            ("http://[::1]:9000/", false),
        ] {
            assert_eq!(WebUrl::parse(url).unwrap().is_readable_on_the_way(), expected, "{url}");
        }
    }

    #[test]
    fn what_cannot_be_asked_or_shown_is_refused() {
        for url in ["", "auth.example.com", "ftp://a/", "https://", "https://me:secret@host/", "http://a b/"]
        {
            assert!(WebUrl::parse(url).is_err(), "{url}");
        }
    }
}
