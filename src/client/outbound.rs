//! Messages to the broker: those that wait, and those on their way.
//!
//! ```text
//! waiting --next--> Publish --PUBACK--> done               (QoS 1)
//!                   Publish --PUBREC--> Release --PUBCOMP--> done   (QoS 2)
//! waiting --next--> done                                    (QoS 0)
//! ```
//!
//! A lost connection turns nothing back: [`Outbound::resume`] has the same steps taken again, in their order, if the
//! broker has the Session, and [`Outbound::restart`] makes new messages of those that it may not have, if it has not.
//!
//! What must stay true: those sent over this connection come before those that were not.

use std::collections::VecDeque;
use std::sync::Arc;

use dunlin_codec::{PacketIdentifier, QoS};

use super::message::OutgoingMessage;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Publish,
    Release,
}

#[derive(Debug)]
struct InFlight {
    identifier: PacketIdentifier,
    number: u64,
    message: Arc<OutgoingMessage>,
    stage: Stage,
    is_again: bool,
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// PUBLISH.
    Publish { number: u64, message: Arc<OutgoingMessage>, identifier: Option<PacketIdentifier>, dup: bool },
    /// PUBREL.
    Release(PacketIdentifier),
}

/// What a PUBREC means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The broker has the message; it is to be released.
    Release,
    /// The broker has refused the message of this number.
    Refused(u64),
    /// There is no such message.
    Unknown,
}

/// See the top of the file.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    waiting: VecDeque<(u64, Arc<OutgoingMessage>)>,
    in_flight: VecDeque<InFlight>,
    /// How many of those in flight were sent over this connection.
    sent: usize,
}

impl Outbound {
    /// Takes a message, which gets its turn after those before it.
    pub(super) fn push(&mut self, number: u64, message: OutgoingMessage) {
        self.waiting.push_back((number, Arc::new(message)));
    }

    /// How many are not done.
    pub(super) fn unfinished(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// Whether a message in flight has this identifier.
    pub(super) fn holds(&self, identifier: PacketIdentifier) -> bool {
        self.position(identifier).is_some()
    }

    /// What is to be sent while no more than `window` messages of QoS 1 and 2 may be on their way; `identify` gives a
    /// free identifier.
    pub(super) fn next(
        &mut self,
        window: usize,
        identify: impl FnOnce(&Self) -> Option<PacketIdentifier>,
    ) -> Option<Step> {
        // spec(v5): [MQTT-3.3.4-7]
        let is_open = self.sent < window;
        if let Some(entry) = self.in_flight.get(self.sent) {
            if !is_open {
                return None;
            }
            self.sent += 1;
            return Some(match entry.stage {
                Stage::Release => Step::Release(entry.identifier),
                Stage::Publish => Step::Publish {
                    number: entry.number,
                    message: Arc::clone(&entry.message),
                    identifier: Some(entry.identifier),
                    dup: entry.is_again,
                },
            });
        }
        let is_free = self.waiting.front().is_some_and(|(_, message)| message.qos == QoS::AtMostOnce);
        if !is_free && !is_open {
            return None;
        }
        let identifier = if is_free || self.waiting.is_empty() { None } else { Some(identify(self)?) };
        let (number, message) = self.waiting.pop_front()?;
        if let Some(identifier) = identifier {
            let message = Arc::clone(&message);
            self.in_flight.push_back(InFlight {
                identifier,
                number,
                message,
                stage: Stage::Publish,
                is_again: false,
            });
            self.sent += 1;
        }
        Some(Step::Publish { number, message, identifier, dup: false })
    }

    /// PUBACK has come: the number of the message that is done.
    pub(super) fn acknowledge(&mut self, identifier: PacketIdentifier) -> Option<u64> {
        self.finish(identifier, |entry| entry.message.qos == QoS::AtLeastOnce)
    }

    /// PUBREC has come.
    pub(super) fn receive(&mut self, identifier: PacketIdentifier, is_refused: bool) -> Received {
        if is_refused {
            // spec(v5): [MQTT-4.3.3-4]
            let refused = self.finish(identifier, |entry| entry.message.qos == QoS::ExactlyOnce);
            return refused.map_or(Received::Unknown, Received::Refused);
        }
        let position = self.position(identifier);
        match position.and_then(|position| self.in_flight.get_mut(position)) {
            Some(entry) if entry.message.qos == QoS::ExactlyOnce => {
                entry.stage = Stage::Release;
                Received::Release
            }
            _ => Received::Unknown,
        }
    }

    /// PUBCOMP has come: the number of the message that is done.
    pub(super) fn complete(&mut self, identifier: PacketIdentifier) -> Option<u64> {
        self.finish(identifier, |entry| entry.stage == Stage::Release)
    }

    /// Gives a message up that cannot be sent.
    pub(super) fn forget(&mut self, identifier: PacketIdentifier) {
        self.finish(identifier, |_| true);
    }

    /// A new connection, and the broker has the Session: all in flight is to be sent again.
    // spec(v5): [MQTT-4.4.0-1] [MQTT-4.6.0-1]
    // spec(v3.1.1): [MQTT-2.3.1-3] [MQTT-4.4.0-1]
    pub(super) fn resume(&mut self) {
        for entry in self.in_flight.iter_mut().take(self.sent) {
            entry.is_again = true;
        }
        self.sent = 0;
    }

    /// A new connection, and a new Session: nothing of the old one is gone on with. What the broker has received it has; the numbers of these messages are
    /// returned. The others are new ones again.
    // spec(v5): [MQTT-3.2.2-5]
    pub(super) fn restart(&mut self) -> Vec<u64> {
        let mut done = Vec::new();
        self.sent = 0;
        for entry in std::mem::take(&mut self.in_flight).into_iter().rev() {
            match entry.stage {
                Stage::Release => done.push(entry.number),
                Stage::Publish => self.waiting.push_front((entry.number, entry.message)),
            }
        }
        done.reverse();
        done
    }

    fn position(&self, identifier: PacketIdentifier) -> Option<usize> {
        self.in_flight.iter().position(|entry| entry.identifier == identifier)
    }

    fn finish(&mut self, identifier: PacketIdentifier, fits: impl FnOnce(&InFlight) -> bool) -> Option<u64> {
        let position = self.position(identifier)?;
        if !self.in_flight.get(position).is_some_and(fits) {
            return None;
        }
        let entry = self.in_flight.remove(position)?;
        self.sent -= usize::from(position < self.sent);
        Some(entry.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifier(number: u16) -> PacketIdentifier {
        PacketIdentifier::new(number).unwrap()
    }

    fn outbound(qos: QoS, count: u64) -> Outbound {
        let mut outbound = Outbound::default();
        for number in 1..=count {
            outbound.push(number, OutgoingMessage { qos, ..OutgoingMessage::default() });
        }
        outbound
    }

    /// The steps that may be taken now: numbers of PUBLISH, with a minus sign if DUP is set; 1000 and the identifier
    /// of PUBREL.
    fn steps(outbound: &mut Outbound, window: usize) -> Vec<i64> {
        let mut steps = Vec::new();
        let mut next = 1;
        while let Some(step) = outbound.next(window, |outbound| {
            while outbound.holds(identifier(next)) {
                next += 1;
            }
            Some(identifier(next))
        }) {
            steps.push(match step {
                Step::Publish { number, dup, .. } => number as i64 * if dup { -1 } else { 1 },
                Step::Release(identifier) => 1000 + i64::from(identifier.get()),
            });
        }
        steps
    }

    #[test]
    fn no_more_is_on_its_way_than_the_window_allows() {
        let mut outbound = outbound(QoS::AtLeastOnce, 5);
        assert_eq!(steps(&mut outbound, 2), [1, 2]);
        assert_eq!(outbound.acknowledge(identifier(1)), Some(1));
        assert_eq!(outbound.acknowledge(identifier(1)), None);
        assert_eq!(steps(&mut outbound, 2), [3]);
        assert_eq!(outbound.unfinished(), 4);
    }

    #[test]
    fn qos_0_waits_for_nobody() {
        let mut outbound = outbound(QoS::AtMostOnce, 3);
        assert_eq!(steps(&mut outbound, 0), [1, 2, 3]);
        assert_eq!(outbound.unfinished(), 0);
    }

    #[test]
    fn a_session_that_goes_on_gets_the_same_steps_again_in_order_and_within_the_window() {
        let mut outbound = outbound(QoS::ExactlyOnce, 4);
        assert_eq!(steps(&mut outbound, 3), [1, 2, 3]);
        assert_eq!(outbound.receive(identifier(2), false), Received::Release);
        outbound.resume();
        assert_eq!(steps(&mut outbound, 2), [-1, 1002]);
        assert_eq!(outbound.complete(identifier(2)), Some(2));
        assert_eq!(steps(&mut outbound, 2), [-3]);
        assert_eq!(outbound.complete(identifier(1)), None, "it was not received");
    }

    #[test]
    fn a_new_session_gets_what_the_broker_may_not_have_as_new_messages() {
        let mut outbound = outbound(QoS::ExactlyOnce, 4);
        assert_eq!(steps(&mut outbound, 3), [1, 2, 3]);
        assert_eq!(outbound.receive(identifier(2), false), Received::Release);
        assert_eq!(outbound.restart(), [2]);
        assert_eq!(steps(&mut outbound, 10), [1, 3, 4]);
    }

    #[test]
    fn a_refused_message_is_done() {
        let mut outbound = outbound(QoS::ExactlyOnce, 1);
        assert_eq!(steps(&mut outbound, 1), [1]);
        assert_eq!(outbound.receive(identifier(1), true), Received::Refused(1));
        assert_eq!(outbound.receive(identifier(1), false), Received::Unknown);
        assert_eq!(outbound.unfinished(), 0);
    }
}
