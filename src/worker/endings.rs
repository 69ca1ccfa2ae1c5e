//! Why connections ended lately, by client, for whoever looks for the one client that comes and goes.
//!
//! A client that disconnects as it should leaves nothing here. The memory is bounded: the clients whose connections
//! ended longest ago are forgotten first.

use super::recent::{Held, Recent};
use dunlin_codec::ReasonCode;
use dunlin_core::connection::Cause;
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::time::Timestamp;

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

/// See the top of the file.
pub(crate) struct Endings(Recent<ClientIdentifier, Last>);

#[derive(Default)]
struct Last(Option<Ending>);

impl Held for Last {
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
}
