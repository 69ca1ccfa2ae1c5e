//! What outlives a connection on the client's side: messages on their way in both directions.
//!
//! A message of QoS 2 is told of when its PUBLISH first comes, and its identifier is remembered until PUBREL, so that
//! a repetition is recognised. What is kept here ends with the process: who starts anew with an old Session has to
//! live with identifiers of before, so a Session that may be an old one begins to count at random.

use std::collections::BTreeMap;

use dunlin_codec::{Acknowledgement, Packet, PacketIdentifier, QoS, ReasonCode};

use super::outbound::{Outbound, Received, Step};

/// What a SUBACK or UNSUBACK answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Subscribe,
    Unsubscribe,
}

/// What a PUBLISH of QoS 2 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A new message.
    New,
    /// One that was told of and is not dealt with yet.
    InHand,
    /// One that is dealt with: PUBREC is due again.
    Received,
}

/// What an acknowledgement comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reaction {
    /// What is to be sent.
    pub(super) answer: Option<Packet<'static>>,
    /// The message that is done: its number, and what the broker says.
    pub(super) done: Option<(u64, ReasonCode)>,
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) outbound: Outbound,
    /// Messages of QoS 2 that have come, and whether PUBREC was owed and said.
    inbound: BTreeMap<PacketIdentifier, bool>,
    requests: BTreeMap<PacketIdentifier, Request>,
    last_identifier: u16,
}

impl Session {
    /// A Session that counts its packets from the one after this.
    pub(super) fn new(last_identifier: u16) -> Self {
        Self {
            outbound: Outbound::default(),
            inbound: BTreeMap::new(),
            requests: BTreeMap::new(),
            last_identifier,
        }
    }

    /// There is a new connection. Returns the numbers of messages that are done because of it.
    pub(super) fn begin(&mut self, is_resumed: bool) -> Vec<u64> {
        self.requests.clear();
        if is_resumed {
            self.outbound.resume();
            return Vec::new();
        }
        self.inbound.clear();
        self.outbound.restart()
    }

    /// What is to be sent next.
    pub(super) fn next(&mut self, window: usize) -> Option<Step> {
        let (last, requests) = (&mut self.last_identifier, &self.requests);
        self.outbound.next(window, |outbound| {
            free_identifier(last, |identifier| {
                !outbound.holds(identifier) && !requests.contains_key(&identifier)
            })
        })
    }

    /// An identifier for a request; `None` if all are taken.
    pub(super) fn request(&mut self, request: Request) -> Option<PacketIdentifier> {
        let (outbound, requests) = (&self.outbound, &self.requests);
        let identifier = free_identifier(&mut self.last_identifier, |identifier| {
            !outbound.holds(identifier) && !requests.contains_key(&identifier)
        })?;
        self.requests.insert(identifier, request);
        Some(identifier)
    }

    /// Whether this answers such a request.
    pub(super) fn answered(&mut self, identifier: PacketIdentifier, request: Request) -> bool {
        self.requests.get(&identifier) == Some(&request) && self.requests.remove(&identifier).is_some()
    }

    /// A PUBLISH of QoS 2 has come.
    pub(super) fn arrives(&mut self, identifier: PacketIdentifier) -> Arrival {
        match self.inbound.get(&identifier) {
            None => {
                self.inbound.insert(identifier, false);
                Arrival::New
            }
            Some(false) => Arrival::InHand,
            Some(true) => Arrival::Received,
        }
    }

    /// A message is dealt with: what is owed for it.
    pub(super) fn dealt_with(&mut self, identifier: PacketIdentifier, qos: QoS) -> Option<Packet<'static>> {
        match qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(Packet::PubAck(Acknowledgement::new(identifier, ReasonCode::Success))),
            QoS::ExactlyOnce => {
                *self.inbound.get_mut(&identifier)? = true;
                Some(received(identifier))
            }
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP has come.
    pub(super) fn acknowledged(&mut self, packet: &Packet<'_>) -> Reaction {
        let (mut answer, mut done) = (None, None);
        match packet {
            Packet::PubAck(ack) => {
                done =
                    self.outbound.acknowledge(ack.packet_identifier).map(|number| (number, ack.reason_code));
            }
            Packet::PubRec(ack) => {
                let identifier = ack.packet_identifier;
                match self.outbound.receive(identifier, ack.reason_code.is_error()) {
                    Received::Refused(number) => done = Some((number, ack.reason_code)),
                    Received::Release => answer = Some(release(identifier, ReasonCode::Success)),
                    Received::Unknown if ack.reason_code.is_error() => {}
                    Received::Unknown => {
                        answer = Some(release(identifier, ReasonCode::PacketIdentifierNotFound));
                    }
                }
            }
            Packet::PubRel(ack) => {
                let was_there = self.inbound.remove(&ack.packet_identifier).is_some();
                let reason =
                    if was_there { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                answer = Some(Packet::PubComp(Acknowledgement::new(ack.packet_identifier, reason)));
            }
            Packet::PubComp(ack) => {
                done =
                    self.outbound.complete(ack.packet_identifier).map(|number| (number, ReasonCode::Success));
            }
            _ => {}
        }
        Reaction { answer, done }
    }

    /// Whether nothing is under way: no message, no request, no PUBREL that is owed to us.
    pub(super) fn is_settled(&self) -> bool {
        self.outbound.unfinished() == 0
            && self.requests.is_empty()
            && !self.inbound.values().any(|is_received| *is_received)
    }
}

/// PUBREC.
pub(super) fn received(identifier: PacketIdentifier) -> Packet<'static> {
    Packet::PubRec(Acknowledgement::new(identifier, ReasonCode::Success))
}

/// PUBREL.
pub(super) fn release(identifier: PacketIdentifier, reason_code: ReasonCode) -> Packet<'static> {
    Packet::PubRel(Acknowledgement::new(identifier, reason_code))
}

/// The next identifier that is free; `None` when all 65,535 are taken.
// spec(v5): [MQTT-2.2.1-3]
// spec(v3.1.1): [MQTT-2.3.1-2]
fn free_identifier(last: &mut u16, is_free: impl Fn(PacketIdentifier) -> bool) -> Option<PacketIdentifier> {
    (0..=u16::MAX).find_map(|_| {
        *last = last.wrapping_add(1);
        PacketIdentifier::new(*last).filter(|identifier| is_free(*identifier))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::OutgoingMessage;

    fn identifier(number: u16) -> PacketIdentifier {
        PacketIdentifier::new(number).unwrap()
    }

    #[test]
    fn a_repeated_message_of_qos_2_is_recognised_until_its_pubrel() {
        let mut session = Session::new(0);
        assert_eq!(session.arrives(identifier(7)), Arrival::New);
        assert_eq!(session.arrives(identifier(7)), Arrival::InHand, "it is not dealt with yet");
        assert!(session.is_settled());
        assert_eq!(session.dealt_with(identifier(7), QoS::ExactlyOnce), Some(received(identifier(7))));
        assert!(!session.is_settled());
        session.begin(true);
        assert_eq!(session.arrives(identifier(7)), Arrival::Received);
        let release = Packet::PubRel(Acknowledgement::new(identifier(7), ReasonCode::Success));
        let completed = |reason| Some(Packet::PubComp(Acknowledgement::new(identifier(7), reason)));
        assert_eq!(session.acknowledged(&release).answer, completed(ReasonCode::Success));
        assert_eq!(session.acknowledged(&release).answer, completed(ReasonCode::PacketIdentifierNotFound));
        assert_eq!(session.arrives(identifier(7)), Arrival::New);
    }

    #[test]
    fn a_new_session_knows_no_message_of_the_old_one() {
        let mut session = Session::new(0);
        assert_eq!(session.arrives(identifier(7)), Arrival::New);
        session.begin(false);
        assert_eq!(session.arrives(identifier(7)), Arrival::New);
    }

    #[test]
    fn identifiers_of_messages_and_requests_do_not_meet_when_the_count_wraps() {
        let mut session = Session::new(u16::MAX - 1);
        session.outbound.push(1, OutgoingMessage { qos: QoS::AtLeastOnce, ..OutgoingMessage::default() });
        assert!(
            matches!(session.next(1), Some(Step::Publish { identifier: Some(id), .. }) if id.get() == 65_535)
        );
        assert_eq!(session.request(Request::Subscribe), Some(identifier(1)));
        session.last_identifier = u16::MAX - 1;
        assert_eq!(session.request(Request::Unsubscribe), Some(identifier(2)));
        assert!(!session.answered(identifier(2), Request::Subscribe));
        assert!(session.answered(identifier(2), Request::Unsubscribe));
    }
}
