//! Who a Client is, and what it may do.
//!
//! Two questions, two answers that never mix:
//!
//! * *Who is it?* An [`AuthenticatorChain`] is asked once per CONNECT and gives an [`Identity`] or a
//!   [`RefuseReason`]. Built in are [`ClientCertificates`], tokens ([`TokenLogin`]), the [`PasswordFile`] (mosquitto's
//!   format), a service that is asked ([`Callout`]) and [`Anonymous`]; an embedder adds its own [`Authenticator`].
//! * *What may it do?* An [`Acl`] (mosquitto's format, or TOML with roles) is asked per topic: [`Acl::explain`].
//!   Rights may also come with the credentials ([`Grants`]). Whatever no rule allows is refused.
//!
//! What must stay true: nothing here is async or knows a connection; a value once loaded never changes (a reload
//! makes a new one and swaps an `Arc`), but for the keys and answers that `token/` and `callout/` fetch; a file that cannot be understood whole is not
//! loaded at all; no password and no hash reaches a log, an error or a `Debug` text. Checking a password is
//! slow on purpose: [`Authenticator::cost`] tells the caller which requests must go to a blocking thread.
//!
//! Read next: `authenticator.rs` for the seam, `password_file.rs`, then `acl.rs`.

mod authenticator;
mod chain;
mod client_identifiers;
mod grants;
mod method;
mod policy;

mod certificate;

mod token;

mod password_file;
mod password_hash;
mod password_lines;
mod scram;

mod callout;
pub(crate) mod web;

mod acl;
mod acl_file;
mod acl_toml;
mod role;
mod rule_tree;

mod text_file;

mod access;

#[cfg(test)]
#[allow(dead_code, reason = "each test uses its part")]
#[path = "../../tests/support/service.rs"]
mod service;

pub use access::{Access, AuthTable, ListenerRules, Rulebook, keep_decoys, load};
pub use acl::{Acl, Cause, Explanation, Question, Who};
pub use acl_file::{AclFileError, AclFileProblem};
pub use authenticator::{Authenticator, Cost, Credentials, Decision, Identity, RefuseReason};
pub use callout::{Callout, CalloutOptionError};
pub use certificate::{CertificateName, ClientCertificate, ClientCertificates};
pub use chain::{Anonymous, AuthenticatorChain};
pub use client_identifiers::ClientIdentifierPattern;
pub use grants::{Grants, GrantsProblem};
pub use method::{AuthenticationMethod, Exchange, ExchangeStep};
pub use password_file::{PasswordFile, PasswordFileError, PasswordFileProblem, Verdict};
pub use password_hash::{HashProblem, hash_password};
pub use password_lines::{PasswordLines, user_name_problem};
pub use policy::Policy;
pub use scram::{ScramProblem, ScramSha256, is_prepared_name, scram_verifier};
pub use text_file::FileError;
pub use token::{TokenLogin, TokenMethod, TokenOptionError, TokenVerifier, WaitingTokenLogin};
