//! Who asks at the operations port, and what they may: the answer is a [`Caller`], or nobody.
//!
//! Three ways lead in: the token that the broker leaves in its data directory for its own user (`token.rs`), a token
//! that an operator has made (`tokens.rs`), and a certificate (`http.tls.client_ca`). A token that is shown decides
//! alone: who shows a wrong one is not let in by a certificate.
//!
//! Also here is the rule that a port which others than this machine reach must have one of them ([`check`]).

use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use time::OffsetDateTime;

use super::port::Remote;
use super::slowing::Slowing;
use super::token::ApiToken;
use super::tokens::{FollowedTokens, TOKENS_FILE, Tokens};
use crate::config::{Config, ConfigError, Scope};

/// The name of who shows the token of the data directory.
const LOCAL: &str = "local";

/// Who may ask.
pub struct Access {
    local: Option<ApiToken>,
    tokens: Option<FollowedTokens>,
    certificate_scope: Scope,
    pub(super) slowing: Slowing,
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name of the token, the subject of the certificate, or `local`.
    pub name: Arc<str>,
    /// What they may do.
    pub scope: Scope,
    /// A certificate says who they are, which a browser shows by itself.
    pub by_certificate: bool,
}

/// Why nobody may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// No token and no certificate.
    ShowsNothing,
    /// A token that is unknown, removed or expired, or something that is no token.
    ShowsWrongToken,
}

impl Access {
    /// That of a broker with this data directory, or without one.
    pub fn new(local: Option<ApiToken>, data_dir: Option<&Path>, certificate_scope: Scope) -> Self {
        Self { local, tokens: data_dir.map(FollowedTokens::new), certificate_scope, slowing: Slowing::new() }
    }

    /// Says who asks.
    pub fn identify(&self, headers: &HeaderMap, remote: &Remote) -> Result<Caller, Stranger> {
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            return self.holder(shown.as_bytes()).ok_or(Stranger::ShowsWrongToken);
        }
        let subject = remote.certificate.as_ref().ok_or(Stranger::ShowsNothing)?;
        Ok(Caller { name: Arc::clone(subject), scope: self.certificate_scope, by_certificate: true })
    }

    /// Who holds the token in an `Authorization` header.
    fn holder(&self, authorization: &[u8]) -> Option<Caller> {
        if self.local.as_ref().is_some_and(|token| token.is_shown_by(authorization)) {
            return Some(Caller { name: LOCAL.into(), scope: Scope::Admin, by_certificate: false });
        }
        let token = std::str::from_utf8(authorization).ok()?.strip_prefix("Bearer ")?;
        let tokens = self.tokens.as_ref()?.now();
        let entry = tokens.of(token, OffsetDateTime::now_utc())?;
        Some(Caller { name: entry.name.as_str().into(), scope: entry.scope, by_certificate: false })
    }
}

/// Whether everybody who reaches the operations port has to show who they are.
///
/// # Errors
/// When others than this machine reach it and nobody could.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let Some(address) = config.http.address.as_ref().filter(|address| !address.is_loopback()) else {
        return Ok(());
    };
    if config.http.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()) {
        return Ok(());
    }
    let problem = match &config.store.path {
        None => {
            "others than this machine can reach it, and without a data directory there are no tokens: set \
                 http.tls with client_ca, or store.path and make a token, or use 127.0.0.1"
                .to_owned()
        }
        Some(data_dir) => match Tokens::read(&data_dir.join(TOKENS_FILE)) {
            Ok(tokens) if tokens.any_valid(OffsetDateTime::now_utc()) => return Ok(()),
            Ok(_) => format!(
                "others than this machine can reach it, and there is no token: make one with `dunlin token create NAME \
                 --data-dir {}`, or set http.tls with client_ca, or use 127.0.0.1",
                data_dir.display()
            ),
            Err(problem) => problem,
        },
    };
    Err(config.error("http.address", Some(format!("\"{address}\"")), problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        check(&Config::from_toml("dunlin.toml", text).unwrap())
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_port_that_others_reach_needs_a_token_or_an_authority() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = format!("store.path = '{}'\n", directory.path().display());
        let open = format!("{data_dir}http.address = '0.0.0.0:0'\n");
        assert!(
            problem(&open)
                .starts_with("dunlin.toml:2: http.address = \"0.0.0.0:0\": others than this machine")
        );
        assert!(problem(&open).contains("dunlin token create"));
        assert!(problem("store.path = ''\nhttp.address = '[::]:0'").contains("without a data directory"));
        let with_tls = "[http.tls]\ncert = 'c'\nkey = 'k'\n";
        assert!(problem(&format!("{open}{with_tls}")).contains("there is no token"), "nobody is asked");
        assert_eq!(problem(&format!("{open}{with_tls}client_ca = 'ca'")), "");
        assert_eq!(problem(&format!("{data_dir}http.address = '127.0.0.1:0'")), "");
        assert_eq!(problem(&format!("{data_dir}http.address = ''")), "");
        let mut tokens = Tokens::default();
        let now = OffsetDateTime::now_utc();
        let (file, hour) = (directory.path().join(TOKENS_FILE), time::Duration::HOUR);
        tokens.create("old", Scope::Read, now - hour, Some(now - hour / 2)).unwrap();
        std::fs::write(&file, tokens.to_text().unwrap()).unwrap();
        assert!(problem(&open).contains("there is no token"), "it has expired");
        tokens.create("new", Scope::Read, now, None).unwrap();
        std::fs::write(&file, tokens.to_text().unwrap()).unwrap();
        assert_eq!(problem(&open), "");
    }
}
