//! Enhanced authentication as an interface (5.0 section 4.12).
//!
//! A [`Mechanism`] is one exchange: it is fed what the client sends and says what to answer. The handshake
//! and the re-authentication of a connected client drive it; mechanisms themselves (SCRAM, ...) come with the
//! handshake, so that each listener has its own, and stay with the connection. A mechanism must not block.

use crate::identity::Identity;
use dunlin_codec::ReasonCode;
use std::fmt;
use std::sync::Arc;

/// What a mechanism answers.
#[derive(Debug)]
pub enum Step {
    /// Send this to the client and wait for its answer: AUTH 0x18.
    Continue(Vec<u8>),
    /// The client is who it says; the data goes into CONNACK or into the AUTH that ends a re-authentication.
    Success {
        /// Authentication Data of the last packet.
        data: Option<Vec<u8>>,
        /// Who it is.
        identity: Identity,
    },
    /// It is not; the code is one of CONNACK's and DISCONNECT's.
    Refuse(ReasonCode),
}

/// One exchange under way.
pub trait Mechanism: Send {
    /// Takes the client's Authentication Data and says how to go on.
    fn step(&mut self, data: Option<&[u8]>) -> Step;

    /// The user that the client says to be, if the next step judges whether it knows the password: then it may guess,
    /// and the caller may let it wait.
    fn claimed_user(&self) -> Option<&str> {
        None
    }
}

/// The Authentication Methods a Server supports on one listener.
pub trait Mechanisms: fmt::Debug + Send + Sync {
    /// Begins an exchange for the Authentication Method, if it is supported.
    fn begin(&self, method: &str) -> Option<Box<dyn Mechanism>>;
}

/// No method at all: every one is refused with 0x8C.
pub fn no_mechanisms() -> Arc<dyn Mechanisms> {
    Arc::new(NoMechanisms)
}

#[derive(Debug)]
struct NoMechanisms;

impl Mechanisms for NoMechanisms {
    fn begin(&self, _method: &str) -> Option<Box<dyn Mechanism>> {
        None
    }
}
