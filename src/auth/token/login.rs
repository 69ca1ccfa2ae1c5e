//! The two ways in for a token: as the Password of CONNECT, and as the Authentication Data of the method `JWT`.
//!
//! As a Password it meets two authenticators, one after the other: [`TokenLogin`] judges with the keys in memory and
//! never waits; what it cannot judge for want of a key goes on to [`WaitingTokenLogin`], which has the key fetched.
//! Two, because an answer that never waits is given on the thread that serves connections, and which of the two it
//! will be cannot be told beforehand without a race against the thread that fetches.
//!
//! The method (MQTT 5.0, section 4.12) never waits: a token whose key is not there is refused, and the fetch that it
//! has caused lets the next attempt in.

use std::sync::Arc;

use tracing::field;

use super::{Fault, TokenVerifier, as_token};
use crate::auth::authenticator::{Authenticator, Cost, Credentials, Decision, Identity, RefuseReason};
use crate::auth::method::{AuthenticationMethod, Exchange, ExchangeStep};

/// The name of the Authentication Method.
const METHOD: &str = "JWT";

/// Judges Passwords that are tokens, with the keys in memory.
#[derive(Debug)]
pub struct TokenLogin(pub Arc<TokenVerifier>);

/// Judges Passwords that are tokens, after having asked the address for a key that is not in memory.
#[derive(Debug)]
pub struct WaitingTokenLogin(pub Arc<TokenVerifier>);

/// The Authentication Method `JWT`.
#[derive(Debug)]
pub struct TokenMethod(pub Arc<TokenVerifier>);

impl Authenticator for TokenLogin {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        let Some(token) = request.password().and_then(as_token) else {
            return Decision::NotMine;
        };
        match self.0.judge(token) {
            Err(Fault::UnknownKey) => Decision::NotMine,
            judgement => self.0.decide(judgement, Some(request)),
        }
    }

    fn cost(&self, _request: &Credentials<'_>) -> Cost {
        Cost::Instant
    }

    fn can_be_guessed(&self, _request: &Credentials<'_>) -> bool {
        false
    }

    fn begin(&self) {
        if let Some(address) = &self.0.address {
            address.begin();
        }
    }
}

impl Authenticator for WaitingTokenLogin {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        let (Some(token), Some(address)) = (request.password().and_then(as_token), &self.0.address) else {
            return Decision::NotMine;
        };
        address.want_and_wait();
        self.0.decide(self.0.judge(token), Some(request))
    }

    fn cost(&self, request: &Credentials<'_>) -> Cost {
        match request.password().and_then(as_token) {
            Some(_) => Cost::Waiting,
            None => Cost::Instant,
        }
    }

    fn can_be_guessed(&self, _request: &Credentials<'_>) -> bool {
        false
    }
}

impl AuthenticationMethod for TokenMethod {
    fn name(&self) -> &str {
        METHOD
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(OneToken(Arc::clone(&self.0)))
    }
}

/// An exchange: the first step is the last.
struct OneToken(Arc<TokenVerifier>);

impl Exchange for OneToken {
    fn step(&mut self, data: Option<&[u8]>) -> ExchangeStep {
        let Some(token) = data.and_then(as_token) else {
            return ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword);
        };
        let judgement = self.0.judge(token);
        if let (Err(Fault::UnknownKey), Some(address)) = (&judgement, &self.0.address) {
            address.want();
        }
        match self.0.decide(judgement, None) {
            Decision::Allow(identity) => ExchangeStep::Success { data: None, identity },
            Decision::Refuse(reason) => ExchangeStep::Refuse(reason),
            Decision::NotMine => ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword),
        }
    }
}

impl TokenVerifier {
    /// The answer to a judged token; `request` is the CONNECT that had it as its Password.
    fn decide(&self, judgement: Result<Identity, Fault>, request: Option<&Credentials<'_>>) -> Decision {
        let client = request.map(|request| field::debug(request.client_identifier()));
        let address = request.and_then(Credentials::address).map(field::display);
        match judgement {
            Ok(identity) => {
                let user_name = request.and_then(Credentials::user_name);
                let is_another = user_name.is_some_and(|name| identity.user_name() != Some(name));
                if is_another && self.options.match_user_name {
                    tracing::debug!(
                        client,
                        address,
                        "a token is refused: it is another user's than CONNECT names"
                    );
                    return Decision::Refuse(RefuseReason::NotAuthorized);
                }
                Decision::Allow(identity)
            }
            Err(Fault::UnknownKey) if self.has_no_keys() => Decision::Refuse(RefuseReason::ServerUnavailable),
            Err(fault) => {
                tracing::debug!(client, address, reason = %fault, "a token is refused");
                Decision::Refuse(RefuseReason::BadUserNameOrPassword)
            }
        }
    }

    /// Whether the address has never answered.
    fn has_no_keys(&self) -> bool {
        self.address.as_ref().is_some_and(|address| address.keys().is_none())
    }
}
