//! Several authenticators asked in order, and the one that lets strangers in.
//!
//! The first [`Authenticator`] that says yes or no decides. When all say "not mine" the Client is refused: a
//! chain fails closed, and an empty chain lets nobody in. The reason then depends on the Client alone: one
//! that presented credentials learns that they are bad, one that presented none learns that it needs some.
//!
//! [`Anonymous`] is an authenticator like any other, so that "may strangers connect here?" is a property of a
//! listener's chain and not a special case of the connection. A Client it lets in has no user name, even if
//! the CONNECT packet carried one: a name nobody checked must not select a `user` section of an ACL.

use std::fmt;
use std::sync::Arc;

use super::authenticator::{Authenticator, Cost, Credentials, Decision, Identity, RefuseReason};

/// The authenticators of a listener, in the order in which they are asked. Cheap to clone.
#[derive(Clone)]
pub struct AuthenticatorChain {
    authenticators: Arc<[Arc<dyn Authenticator>]>,
}

impl AuthenticatorChain {
    /// Asks `authenticators` from first to last.
    pub fn new(authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Self {
        Self { authenticators: authenticators.into_iter().collect() }
    }

    /// The chain of a listener where `judges` check credentials, in their order, and strangers come last, if they
    /// may come at all.
    ///
    /// Where nothing checks credentials but strangers are welcome, a Client that sends a User Name all the
    /// same is welcome too, as a stranger. Where somebody does, credentials that nobody accepts are never
    /// downgraded to an anonymous connection.
    pub fn for_listener(judges: Vec<Arc<dyn Authenticator>>, anonymous_allowed: bool) -> Self {
        let anonymous = anonymous_allowed.then(|| match judges.is_empty() {
            false => Anonymous::without_credentials(),
            true => Anonymous::whatever_is_presented(),
        });
        let anonymous = anonymous.map(|anonymous| Arc::new(anonymous) as Arc<dyn Authenticator>);
        Self::new(judges.into_iter().chain(anonymous))
    }

    /// Says who the Client is, or why it is refused, all on this thread, which may block for as long as the slowest of
    /// them needs ([`Authenticator::cost`]). The runtime asks them one by one instead (`worker/login.rs`).
    pub fn authenticate(&self, request: &Credentials<'_>) -> Result<Identity, RefuseReason> {
        for authenticator in self.authenticators.iter() {
            match authenticator.authenticate(request) {
                Decision::Allow(identity) => return Ok(identity),
                Decision::Refuse(reason) => return Err(reason),
                Decision::NotMine => {}
            }
        }
        Err(Self::refuse_unknown(request))
    }

    /// Those who are asked, in their order.
    pub fn authenticators(&self) -> &[Arc<dyn Authenticator>] {
        &self.authenticators
    }

    /// Why a Client is refused that nobody in the chain knows.
    pub fn refuse_unknown(request: &Credentials<'_>) -> RefuseReason {
        if request.is_empty() { RefuseReason::NotAuthorized } else { RefuseReason::BadUserNameOrPassword }
    }
}

impl fmt::Debug for AuthenticatorChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthenticatorChain({} authenticators)", self.authenticators.len())
    }
}

/// Lets Clients in without knowing who they are.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous {
    ignores_credentials: bool,
}

impl Anonymous {
    /// Lets in Clients that present no credentials; those that present some are for another authenticator.
    pub fn without_credentials() -> Self {
        Self { ignores_credentials: false }
    }

    /// Lets in every Client that gets this far, as an anonymous one. Right only as the last of a chain in
    /// which nothing else checks credentials.
    pub fn whatever_is_presented() -> Self {
        Self { ignores_credentials: true }
    }
}

impl Authenticator for Anonymous {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        if request.is_empty() || self.ignores_credentials {
            Decision::Allow(Identity::anonymous())
        } else {
            Decision::NotMine
        }
    }

    fn cost(&self, _request: &Credentials<'_>) -> Cost {
        Cost::Instant
    }

    fn can_be_guessed(&self, _request: &Credentials<'_>) -> bool {
        false
    }
}
