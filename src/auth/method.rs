//! Enhanced authentication (MQTT 5.0, section 4.12) as this package speaks of it.
//!
//! An [`AuthenticationMethod`] begins [`Exchange`]s; each is fed the Authentication Data of the Client's packets
//! and says what to answer. Unlike an [`Authenticator`](super::Authenticator), an exchange runs on the thread that
//! serves connections, so it must neither block nor compute for long. The same method serves CONNECT and
//! re-authentication.

use super::authenticator::{Identity, RefuseReason};

/// One Authentication Method of a listener.
pub trait AuthenticationMethod: Send + Sync {
    /// Its name in CONNECT and AUTH packets.
    fn name(&self) -> &str;

    /// Begins an exchange with one Client.
    fn begin(&self) -> Box<dyn Exchange>;
}

/// An exchange under way.
pub trait Exchange: Send {
    /// Takes the Client's Authentication Data and says how to go on.
    fn step(&mut self, data: Option<&[u8]>) -> ExchangeStep;

    /// The user that the Client says to be, if the next step judges whether it knows the password: then it may guess.
    fn claimed_user(&self) -> Option<&str> {
        None
    }
}

/// How an exchange goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExchangeStep {
    /// Send this to the Client and wait for its answer.
    Continue(Vec<u8>),
    /// The Client is who it says.
    Success {
        /// Authentication Data for the packet that ends the exchange.
        data: Option<Vec<u8>>,
        /// Who it is.
        identity: Identity,
    },
    /// It is not.
    Refuse(RefuseReason),
}
