//! The seam between a CONNECT packet and whatever can say who sent it.
//!
//! An [`Authenticator`] looks at [`Credentials`] and answers yes, no or "not mine" ([`Decision`]). It is a
//! plain blocking function: an answer may need 20 ms of hashing or a database, so the caller decides on which
//! thread to wait, helped by [`Authenticator::is_cheap`]. The answer "not mine" exists so that several
//! sources of identity can stand side by side (`chain.rs`); it must never be used for a password that was
//! wrong, or the next authenticator would get a second try at it.
//!
//! `Credentials` and `Identity` grow with every new source (certificates, tokens); both hide their fields or
//! are built by constructors, so that growing breaks no embedder.

use std::fmt;
use std::sync::Arc;

use super::acl::Who;

/// One source of identities. Asked once per CONNECT, from any thread.
///
/// The runtime may call [`authenticate`](Self::authenticate) for several Clients at once, and waits for it on
/// a bounded pool of blocking threads unless [`is_cheap`](Self::is_cheap) says that this is not needed.
pub trait Authenticator: Send + Sync {
    /// Says who sent these credentials, that nobody may use them, or that they concern another authenticator.
    fn authenticate(&self, request: &Credentials<'_>) -> Decision;

    /// Whether [`authenticate`](Self::authenticate) answers this request within a few microseconds and
    /// without blocking. A wrong `true` stalls every Client of a worker; the default is therefore `false`.
    fn is_cheap(&self, _request: &Credentials<'_>) -> bool {
        false
    }
}

/// What a Client presents in its CONNECT packet (MQTT 5.0, section 3.1.3). `Debug` shows no password.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    client_identifier: &'a str,
    user_name: Option<&'a str>,
    password: Option<&'a [u8]>,
}

impl<'a> Credentials<'a> {
    /// The Client Identifier, and the User Name and Password where the packet has them. MQTT 5.0 allows a
    /// Password without a User Name.
    pub const fn new(
        client_identifier: &'a str,
        user_name: Option<&'a str>,
        password: Option<&'a [u8]>,
    ) -> Self {
        Self { client_identifier, user_name, password }
    }

    /// The Client Identifier, as sent or as assigned by the Server.
    pub fn client_identifier(&self) -> &'a str {
        self.client_identifier
    }

    /// The User Name, if there is one. It may be empty.
    pub fn user_name(&self) -> Option<&'a str> {
        self.user_name
    }

    /// The Password, if there is one: any bytes, up to 65,535.
    pub fn password(&self) -> Option<&'a [u8]> {
        self.password
    }

    /// Whether the Client presents neither a User Name nor a Password.
    pub fn is_empty(&self) -> bool {
        self.user_name.is_none() && self.password.is_none()
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_identifier", &self.client_identifier)
            .field("user_name", &self.user_name)
            .field("password", &self.password.map(|_| "(redacted)"))
            .finish()
    }
}

/// The answer of one [`Authenticator`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// These credentials prove this identity.
    Allow(Identity),
    /// These credentials are refused, and nobody else is asked.
    Refuse(RefuseReason),
    /// These credentials are not of the kind, or the Client not one, that this authenticator knows.
    NotMine,
}

/// A Client whose credentials were accepted. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    user_name: Option<Arc<str>>,
}

impl Identity {
    /// A Client that may connect without saying who it is.
    pub fn anonymous() -> Self {
        Self { user_name: None }
    }

    /// A Client that proved to be the user `user_name`.
    pub fn user(user_name: &str) -> Self {
        Self { user_name: Some(user_name.into()) }
    }

    /// The proven user name; `None` for an anonymous Client, whatever User Name its CONNECT packet carried.
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// This identity together with the Client Identifier, as an ACL wants to know it.
    pub fn who<'a>(&'a self, client_identifier: &'a str) -> Who<'a> {
        Who { client_identifier, user_name: self.user_name() }
    }
}

/// Why a Client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefuseReason {
    /// The credentials are wrong or unknown: Reason Code 0x86 in MQTT 5.0, return code 4 in MQTT 3.x.
    BadUserNameOrPassword,
    /// The Client presented no credentials where some are needed: 0x87 in MQTT 5.0, return code 5 in MQTT
    /// 3.x.
    NotAuthorized,
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadUserNameOrPassword => "the user name or the password is wrong",
            Self::NotAuthorized => "a user name and a password are needed here",
        })
    }
}
