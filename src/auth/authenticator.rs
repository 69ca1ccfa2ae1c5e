//! The seam between a CONNECT packet and whatever can say who sent it.
//!
//! An [`Authenticator`] looks at [`Credentials`] and answers yes, no or "not mine" ([`Decision`]). It is a
//! plain blocking function: an answer may need 20 ms of hashing or a question to another machine, so it says
//! beforehand what the answer will take ([`Cost`]), and the caller decides on which thread to wait and how many
//! may do so at once. The answer "not mine" exists so that several sources of identity can stand side by side
//! (`chain.rs`); it must never be used for a password that was wrong, or the next authenticator would get a
//! second try at it.
//!
//! `Credentials` and `Identity` grow with every new source; both hide their fields and are built step by step,
//! so that growing breaks no embedder.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::acl::Who;
use super::certificate::ClientCertificate;
use super::grants::Grants;

/// One source of identities. Asked once per CONNECT, from any thread.
///
/// The runtime may call [`authenticate`](Self::authenticate) for several Clients at once, and waits for it where
/// its [`cost`](Self::cost) says.
pub trait Authenticator: Send + Sync {
    /// Says who sent these credentials, that nobody may use them, or that they concern another authenticator.
    fn authenticate(&self, request: &Credentials<'_>) -> Decision;

    /// What [`authenticate`](Self::authenticate) will take for this request. A wrong [`Cost::Instant`] stalls
    /// every Client of a worker.
    fn cost(&self, _request: &Credentials<'_>) -> Cost {
        Cost::Waiting
    }

    /// Whether somebody who tries often enough could guess what this request must have to be accepted. That holds for a
    /// password, and for no signature: the runtime slows down those who guess at one user name.
    fn can_be_guessed(&self, request: &Credentials<'_>) -> bool {
        request.user_name().is_some() && request.password().is_some()
    }

    /// A listener is about to ask it: what it needs from elsewhere, it may begin to fetch. Until then, and so in
    /// `dunlin check`, it does nothing but read its files. Must not block.
    fn begin(&self) {}
}

/// What an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A few microseconds, without blocking: the thread that serves connections answers.
    Instant,
    /// Milliseconds of a core and megabytes of memory: few at a time, on threads of their own.
    Computing,
    /// Waiting for a file or for another machine: many at a time, on threads of their own.
    Waiting,
}

/// What a Client presents in its CONNECT packet (MQTT 5.0, section 3.1.3), and what its connection shows of it.
/// `Debug` shows no password.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    client_identifier: &'a str,
    user_name: Option<&'a str>,
    password: Option<&'a [u8]>,
    certificate: Option<&'a ClientCertificate>,
    address: Option<IpAddr>,
    listener: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// The Client Identifier, and the User Name and Password where the packet has them. MQTT 5.0 allows a
    /// Password without a User Name.
    pub const fn new(
        client_identifier: &'a str,
        user_name: Option<&'a str>,
        password: Option<&'a [u8]>,
    ) -> Self {
        Self { client_identifier, user_name, password, certificate: None, address: None, listener: None }
    }

    /// The same with the certificate that the Client proved to own in the TLS handshake.
    #[must_use]
    pub const fn with_certificate(self, certificate: Option<&'a ClientCertificate>) -> Self {
        Self { certificate, ..self }
    }

    /// The same with the address that the Client connects from; none on a Unix socket.
    #[must_use]
    pub const fn with_address(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// The same with the URL of the listener that the Client has come through.
    #[must_use]
    pub const fn with_listener(self, listener: Option<&'a str>) -> Self {
        Self { listener, ..self }
    }

    /// The Client Identifier, as sent or as assigned by the Server.
    pub const fn client_identifier(&self) -> &'a str {
        self.client_identifier
    }

    /// The User Name, if there is one. It may be empty.
    pub const fn user_name(&self) -> Option<&'a str> {
        self.user_name
    }

    /// The Password, if there is one: any bytes, up to 65,535.
    pub const fn password(&self) -> Option<&'a [u8]> {
        self.password
    }

    /// The certificate, if the Client showed one. The listener's `client_ca` vouches for it.
    pub const fn certificate(&self) -> Option<&'a ClientCertificate> {
        self.certificate
    }

    /// The address, if there is one.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The URL of the listener, as configured.
    pub const fn listener(&self) -> Option<&'a str> {
        self.listener
    }

    /// Whether the CONNECT packet has neither a User Name nor a Password.
    pub const fn is_empty(&self) -> bool {
        self.user_name.is_none() && self.password.is_none()
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client_identifier", &self.client_identifier)
            .field("user_name", &self.user_name)
            .field("password", &self.password.map(|_| "(redacted)"))
            .field("certificate", &self.certificate)
            .field("address", &self.address)
            .field("listener", &self.listener)
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
    valid_until: Option<SystemTime>,
    grants: Option<Grants>,
}

impl Identity {
    /// A Client that may connect without saying who it is.
    pub fn anonymous() -> Self {
        Self { user_name: None, valid_until: None, grants: None }
    }

    /// A Client that proved to be the user `user_name`.
    pub fn user(user_name: &str) -> Self {
        Self { user_name: Some(user_name.into()), ..Self::anonymous() }
    }

    /// The same until a time; then its connection ends, unless it authenticates again (5.0, section 4.12.1).
    #[must_use]
    pub fn valid_until(self, time: SystemTime) -> Self {
        Self { valid_until: Some(time), ..self }
    }

    /// The same with rights of its own, which stand in the place of the ACL's.
    #[must_use]
    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants: Some(grants), ..self }
    }

    /// The proven user name; `None` for an anonymous Client, whatever User Name its CONNECT packet carried.
    pub fn user_name(&self) -> Option<&str> {
        self.user_name.as_deref()
    }

    /// Until when this holds, if not for ever.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.valid_until
    }

    /// The rights that came with the credentials, if any did.
    pub fn grants(&self) -> Option<&Grants> {
        self.grants.as_ref()
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
    /// The Client presented no credentials where some are needed, or is not welcome whatever it presents: 0x87
    /// in MQTT 5.0, return code 5 in MQTT 3.x.
    NotAuthorized,
    /// The Client's certificate has no name that could be a user's: 0x87 in MQTT 5.0, return code 5 in MQTT 3.x.
    NamelessCertificate,
    /// Whoever should know does not answer: 0x88 in MQTT 5.0, return code 3 in MQTT 3.x.
    ServerUnavailable,
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadUserNameOrPassword => "the user name or the password is wrong",
            Self::NotAuthorized => "a user name and a password are needed here",
            Self::NamelessCertificate => "the certificate names no user",
            Self::ServerUnavailable => "the authentication service does not answer",
        })
    }
}
