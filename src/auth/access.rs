//! Who may connect to one listener: everything of its `auth` table but the rules about topics.
//!
//! A table names files, and each is read whole here. What is wrong with any of them is an error of the
//! configuration, so that a start or a reload has all of it or nothing.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::acl::Acl;
use super::authenticator::Authenticator;
use super::callout::{Callout, CalloutOptionError};
use super::certificate::{CertificateName, ClientCertificates};
use super::chain::AuthenticatorChain;
use super::client_identifiers::ClientIdentifierPattern;
use super::method::AuthenticationMethod;
use super::password_file::PasswordFile;
use super::scram::{self, DecoyKey, ScramSha256};
use super::token::{TokenLogin, TokenMethod, TokenOptionError, TokenVerifier, WaitingTokenLogin};
use crate::config::{AuthOptions, Config, ConfigError, ConfigErrors, DeniedPublish, Listener};

/// Who may connect to a listener. A reload makes a new one.
pub struct Access {
    /// Who says whose credentials those of CONNECT are.
    pub chain: AuthenticatorChain,
    /// The methods of enhanced authentication.
    pub methods: Vec<Arc<dyn AuthenticationMethod>>,
    /// Which Client Identifiers a user may take; none allows all.
    pub client_identifiers: Option<ClientIdentifierPattern>,
    /// What becomes of a 3.x client that publishes what it may not.
    pub denied_publish: DeniedPublish,
    /// What names the rules of the listener, if they are not those of `[auth]`.
    pub rules_of: Option<String>,
}

impl Access {
    /// The listener is about to use it.
    pub fn begin(&self) {
        self.chain.authenticators().iter().for_each(|authenticator| authenticator.begin());
    }
}

/// An `auth` table with its files read.
pub struct AuthTable {
    certificate_user: Option<CertificateName>,
    tokens: Option<Arc<TokenVerifier>>,
    passwords: Option<Arc<PasswordFile>>,
    scram: Option<Arc<ScramSha256>>,
    service: Option<Arc<Callout>>,
    client_identifiers: Option<ClientIdentifierPattern>,
    denied_publish: DeniedPublish,
    /// The rules about topics; none allows everything.
    pub acl: Option<Acl>,
}

impl AuthTable {
    /// Reads the files of a table; `section` is its path in the configuration, such as `auth` or `listener.0.auth`.
    pub fn load(config: &Config, section: &str, options: &AuthOptions) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut note = |option: &str, problem: String| {
            errors.push(config.error(&format!("{section}.{option}"), None, problem));
        };
        let tokens = options.jwt.as_ref().and_then(|jwt| {
            let noted = |error: TokenOptionError| note(&format!("jwt.{}", error.option), error.problem);
            TokenVerifier::load(jwt).map_err(noted).ok()
        });
        let service = options.http.as_ref().and_then(|http| {
            let noted = |error: CalloutOptionError| note(&format!("http.{}", error.option), error.problem);
            Callout::load(http).map_err(noted).ok()
        });
        let passwords = options.password_file.as_ref().and_then(|path| {
            PasswordFile::load(path).map_err(|error| note("password_file", error.to_string())).ok()
        });
        let acl = options
            .acl_file
            .as_ref()
            .and_then(|path| Acl::load(path).map_err(|error| note("acl_file", error.to_string())).ok());
        if let Some(passwords) = passwords.as_ref().filter(|passwords| passwords.is_readable_by_others()) {
            tracing::warn!(file = ?passwords.path(), "other users of this machine can read the password hashes: chmod 600 it");
        }
        let passwords = passwords.map(Arc::new);
        let decoy_key = DecoyKey::load(config.store.path.as_deref()).map_err(|error| {
            note("password_file", format!("there is no randomness for its decoys: {error}"));
        });
        let scram =
            passwords.as_ref().zip(decoy_key.ok()).and_then(|(file, key)| ScramSha256::of(file, &key));
        if errors.is_empty() {
            Ok(Self {
                certificate_user: options.certificate_user,
                tokens: tokens.map(Arc::new),
                passwords,
                scram: scram.map(Arc::new),
                service: service.map(Arc::new),
                client_identifiers: options.client_identifier.clone(),
                denied_publish: options.denied_publish,
                acl,
            })
        } else {
            Err(errors)
        }
    }

    /// Who may connect to a listener that this table is for.
    pub fn access(&self, allow_anonymous: bool, rules_of: Option<String>) -> Access {
        Access {
            chain: AuthenticatorChain::for_listener(self.judges(), allow_anonymous),
            methods: self.methods(),
            client_identifiers: self.client_identifiers.clone(),
            denied_publish: self.denied_publish,
            rules_of,
        }
    }

    /// Who is asked about credentials: first who can tell from what a Client shows alone, then who looks into a
    /// file, last who has to ask elsewhere. The order is part of docs/security.md.
    fn judges(&self) -> Vec<Arc<dyn Authenticator>> {
        let mut judges: Vec<Arc<dyn Authenticator>> = Vec::new();
        // A certificate that names a user leaves nothing to ask the others.
        if let Some(name) = self.certificate_user {
            judges.push(Arc::new(ClientCertificates::new(name)));
        }
        if let Some(tokens) = &self.tokens {
            judges.push(Arc::new(TokenLogin(Arc::clone(tokens))));
            if tokens.has_address() {
                judges.push(Arc::new(WaitingTokenLogin(Arc::clone(tokens))));
            }
        }
        judges.extend(self.passwords.clone().map(|passwords| passwords as Arc<dyn Authenticator>));
        judges.extend(self.service.clone().map(|service| service as Arc<dyn Authenticator>));
        judges
    }

    /// The methods of enhanced authentication.
    fn methods(&self) -> Vec<Arc<dyn AuthenticationMethod>> {
        let mut methods: Vec<Arc<dyn AuthenticationMethod>> = Vec::new();
        methods.extend(self.scram.clone().map(|scram| scram as Arc<dyn AuthenticationMethod>));
        if let Some(tokens) = &self.tokens {
            methods.push(Arc::new(TokenMethod(Arc::clone(tokens))));
        }
        methods
    }
}

/// The ACLs of a configuration.
#[derive(Debug, Default)]
pub struct Rulebook {
    /// That of `[auth]`; none allows everything.
    pub general: Option<Acl>,
    /// What holds at each listener, by URL.
    pub by_listener: HashMap<String, ListenerRules>,
}

/// What holds for the clients of a listener. Cheap to clone.
#[derive(Debug, Clone)]
pub enum ListenerRules {
    /// The rules of `[auth]`.
    General,
    /// Those of its own `auth` table; none allows everything.
    Own(Option<Arc<Acl>>),
}

impl Rulebook {
    /// Whether anything is forbidden to anybody.
    pub fn has_rules(&self) -> bool {
        let limits = |rules: &ListenerRules| matches!(rules, ListenerRules::Own(Some(_)));
        self.general.is_some() || self.by_listener.values().any(limits)
    }
}

/// Who may connect to each listener, in their order, and the rules for all.
///
/// # Errors
/// All that is wrong with any file.
pub fn load(config: &Config, listeners: &[Listener]) -> Result<(Vec<Access>, Rulebook), ConfigErrors> {
    let mut errors = Vec::new();
    let mut load = |section: &str, options: &AuthOptions| {
        AuthTable::load(config, section, options).map_err(|problems| errors.extend(problems)).ok()
    };
    let general = load("auth", &config.auth);
    let own: Vec<_> = listeners
        .iter()
        .map(|listener| match &*listener.auth_section {
            "auth" => None,
            section => load(section, &listener.auth),
        })
        .collect();
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    let mut rulebook = Rulebook::default();
    let mut accesses = Vec::new();
    for (listener, own) in listeners.iter().zip(own) {
        let url = listener.url.to_string();
        let rules_of = own.is_some().then(|| url.clone());
        accesses.extend(
            own.as_ref().or(general.as_ref()).map(|table| table.access(listener.allow_anonymous, rules_of)),
        );
        let rules = own.map_or(ListenerRules::General, |own| ListenerRules::Own(own.acl.map(Arc::new)));
        rulebook.by_listener.insert(url, rules);
    }
    rulebook.general = general.and_then(|table| table.acl);
    Ok((accesses, rulebook))
}

/// Keeps in the data directory what has to be the same after a restart. Without it everything works, but names that
/// do not exist can be told from others then; so a problem is for the log.
pub fn keep_decoys(data_dir: &Path, accesses: &[Access]) {
    let methods = accesses.iter().flat_map(|access| &access.methods);
    if !methods.into_iter().any(|method| method.name() == scram::NAME) {
        return;
    }
    if let Err(error) = DecoyKey::load(Some(data_dir)).and_then(|key| key.keep(data_dir)) {
        tracing::warn!(%error, "the key of decoys for SCRAM-SHA-256 cannot be kept in the data directory");
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|method| method.name()).collect();
        f.debug_struct("Access")
            .field("chain", &self.chain)
            .field("methods", &methods)
            .field("client_identifiers", &self.client_identifiers)
            .field("rules_of", &self.rules_of)
            .finish()
    }
}
