//! Why connections ended lately or came to nothing, by client, for whoever looks for the one client that comes and goes.
//!
//! A client that disconnects as it should leaves nothing here. The memory is bounded: the clients whose connections
//! ended longest ago are forgotten first. Refusals have a bound of their own, because whoever is refused may be anybody
//! and may call himself anything: he can make the broker forget other refusals, but no ending. They stay on the worker
//! that refused, so that a flood of them is no mail, and whoever looks for a client asks all workers.

use super::recent::{Held, Recent};
use crate::transport::Peer;
use dunlin_codec::ReasonCode;
use dunlin_core::connection::Cause;
use dunlin_core::handshake::Refusal;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::time::Timestamp;
use std::hash::{BuildHasher, RandomState};

/// Clients that a worker remembers.
const CLIENTS_MAX: usize = 4096;

/// The end of a connection that did not end as it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub at: Timestamp,
    pub cause: Cause,
}

impl Ending {
    /// Why, in a sentence fragment, and the Reason Code where there was one.
    pub fn text(&self) -> String {
        match &self.cause {
            Cause::ClientDisconnected(reason_code) => format!("the client disconnected: {reason_code}"),
            Cause::Violation { reason_code, detail, .. } => {
                format!("the client broke the protocol: {detail} ({reason_code})")
            }
            cause => match cause.reason_code() {
                Some(reason_code) => format!("{} ({reason_code})", cause.detail()),
                None => cause.detail().to_owned(),
            },
        }
    }
}

/// A connection that was refused when it named the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedConnection {
    pub at: Timestamp,
    pub peer: Peer,
    pub refusal: Refusal,
}

impl RefusedConnection {
    /// Why and from where, in a sentence fragment, and the Reason Code.
    pub fn text(&self) -> String {
        let Refusal { reason_code, detail } = self.refusal;
        format!("refused: {detail} ({reason_code}), from {},", self.peer)
    }
}

/// See the top of the file.
pub(crate) struct Endings(Recent<ClientIdentifier, Last<Ending>>);

/// The refusals that happened on a worker, by the hash of the client identifier: that of a stranger may be long.
pub(crate) struct RefusedConnections {
    hasher: RandomState,
    recent: Recent<u64, Last<RefusedConnection>>,
}

struct Last<T>(Option<T>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Held for Last<T> {
    fn is_held(&self) -> bool {
        false
    }
}

impl Default for Endings {
    fn default() -> Self {
        Self(Recent::new(CLIENTS_MAX))
    }
}

impl Endings {
    /// A connection of a client ended.
    pub fn note(&mut self, client: &ClientIdentifier, ending: Ending) {
        if ending.cause != Cause::ClientDisconnected(ReasonCode::Success) {
            self.0.entry(client.clone()).0 = Some(ending);
        }
    }

    /// How the last one ended that did not end as it should.
    pub fn of(&self, client: &ClientIdentifier) -> Option<Ending> {
        self.0.get(client)?.0
    }
}

impl Default for RefusedConnections {
    fn default() -> Self {
        Self { hasher: RandomState::new(), recent: Recent::new(CLIENTS_MAX) }
    }
}

impl RefusedConnections {
    /// Somebody who calls himself so was refused.
    pub fn note(&mut self, client: &ClientIdentifier, refused: RefusedConnection) {
        self.recent.entry(self.hasher.hash_one(client)).0 = Some(refused);
    }

    /// The last one of a client.
    pub fn of(&self, client: &ClientIdentifier) -> Option<RefusedConnection> {
        self.recent.get(&self.hasher.hash_one(client))?.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_a_proper_goodbye_is_no_error() {
        let mut endings = Endings::default();
        let client = |number: usize| ClientIdentifier::new(&format!("c{number}")).unwrap();
        let ending = |cause| Ending { at: Timestamp::ZERO, cause };
        endings.note(&client(0), ending(Cause::ClientDisconnected(ReasonCode::Success)));
        assert!(endings.of(&client(0)).is_none());
        for number in 0..10 * CLIENTS_MAX {
            endings.note(&client(number), ending(Cause::KeepAliveTimeout));
        }
        let remembered =
            (0..10 * CLIENTS_MAX).filter(|number| endings.of(&client(*number)).is_some()).count();
        assert!((CLIENTS_MAX / 2..=CLIENTS_MAX).contains(&remembered), "{remembered}");
        let last = endings.of(&client(10 * CLIENTS_MAX - 1)).unwrap();
        assert!(last.text().starts_with("nothing was received"), "{}", last.text());
    }

    #[test]
    fn of_refusals_the_newest_are_remembered_whatever_clients_call_themselves() {
        let mut refusals = RefusedConnections::default();
        let client = |number: usize| ClientIdentifier::new(&format!("c{number}")).unwrap();
        let peer = Peer::from("192.0.2.7:4711".parse::<std::net::SocketAddr>().unwrap());
        let reason_code = ReasonCode::BadUserNameOrPassword;
        let refusal = Refusal { reason_code, detail: "the user name or password is wrong" };
        for number in 0..10 * CLIENTS_MAX {
            refusals.note(&client(number), RefusedConnection { at: Timestamp::ZERO, peer, refusal });
        }
        let remembered =
            (0..10 * CLIENTS_MAX).filter(|number| refusals.of(&client(*number)).is_some()).count();
        assert!((CLIENTS_MAX / 2..=CLIENTS_MAX).contains(&remembered), "{remembered}");
        let last = refusals.of(&client(10 * CLIENTS_MAX - 1)).unwrap().text();
        assert!(last.starts_with("refused: the user name or password is wrong ("), "{last}");
        assert!(last.ends_with("from 192.0.2.7:4711,"), "{last}");
    }
}
