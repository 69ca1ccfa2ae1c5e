//! The client's half of a Session: what it sends and what it receives at QoS 1 and 2 (section 4.3).
//!
//! Only the broker dies in these tests. A client keeps both halves over every connection, sends again what
//! is unfinished with its Packet Identifier, and takes a repeated QoS 2 message in once. Values, no IO: a
//! connection is told what to send.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_codec::{PacketIdentifier, PacketType, QoS};

/// Packet Identifiers of messages. They are few, so that each is soon used again: a broker that has forgotten
/// the end of an exchange takes the next message for the last one.
const IDENTIFIERS: u16 = 28;

/// A message on its way to the broker.
///
/// ```text
/// QoS 1:  sent ── PUBACK ──> done
/// QoS 2:  sent ── PUBREC ──> received (PUBREL is owed) ── PUBCOMP ──> done
/// ```
pub struct Outgoing {
    pub identifier: PacketIdentifier,
    pub publication: usize,
    pub qos: QoS,
    pub is_received: bool,
}

/// The sending half.
#[derive(Default)]
pub struct Sender {
    /// Unfinished, in the order of sending.
    pub outgoing: VecDeque<Outgoing>,
    identifier_last: u16,
}

impl Sender {
    /// Begins an exchange. The caller keeps to a window below [`IDENTIFIERS`].
    pub fn begin(&mut self, publication: usize, qos: QoS) -> PacketIdentifier {
        let identifier = loop {
            self.identifier_last = self.identifier_last % IDENTIFIERS + 1;
            let identifier = PacketIdentifier::new(self.identifier_last).expect("it is not 0");
            if self.outgoing.iter().all(|outgoing| outgoing.identifier != identifier) {
                break identifier;
            }
        };
        self.outgoing.push_back(Outgoing { identifier, publication, qos, is_received: false });
        identifier
    }

    /// PUBACK, PUBREC or PUBCOMP came: the message it is about.
    pub fn handle(&mut self, packet_type: PacketType, identifier: PacketIdentifier) -> Result<usize, String> {
        let expected = |outgoing: &Outgoing| match outgoing.qos {
            QoS::ExactlyOnce if outgoing.is_received => PacketType::PubComp,
            QoS::ExactlyOnce => PacketType::PubRec,
            _ => PacketType::PubAck,
        };
        let is_it =
            |outgoing: &Outgoing| outgoing.identifier == identifier && expected(outgoing) == packet_type;
        let Some(position) = self.outgoing.iter().position(is_it) else {
            return Err(format!("{packet_type:?} {identifier} answers nothing"));
        };
        let publication = self.outgoing[position].publication;
        match packet_type {
            PacketType::PubRec => self.outgoing[position].is_received = true,
            _ => drop(self.outgoing.remove(position)),
        }
        Ok(publication)
    }
}

/// The receiving half. The application's acknowledgement may come late.
#[derive(Default)]
pub struct Receiver {
    /// QoS 2 messages taken in and not released, by their identifier. What clears a Retained Message has no
    /// number.
    unreleased: BTreeMap<PacketIdentifier, Option<usize>>,
    /// Identifiers that the broker may not use again on this connection.
    unacknowledged: BTreeSet<PacketIdentifier>,
    /// What is to be said on this connection, in this order.
    owed: VecDeque<(PacketType, PacketIdentifier)>,
}

impl Receiver {
    /// A connection ended; what it was owed is owed no longer.
    pub fn end_connection(&mut self) {
        self.unacknowledged.clear();
        self.owed.clear();
    }

    /// PUBLISH at QoS 1 or 2 came. Whether it is new to the application.
    pub fn handle_publish(
        &mut self,
        identifier: PacketIdentifier,
        qos: QoS,
        dup: bool,
        publication: Option<usize>,
    ) -> Result<bool, String> {
        if !self.unacknowledged.insert(identifier) {
            return Err(format!("Packet Identifier {identifier} is in use, and is used for {publication:?}"));
        }
        if qos == QoS::AtLeastOnce {
            self.owed.push_back((PacketType::PubAck, identifier));
            return Ok(true);
        }
        self.owed.push_back((PacketType::PubRec, identifier));
        // spec(v5): [MQTT-4.3.3-10]
        // spec(v3.1.1): [MQTT-4.3.3-2]
        match self.unreleased.insert(identifier, publication) {
            None => Ok(true),
            Some(known) if known == publication && dup => Ok(false),
            Some(known) if known == publication => {
                Err(format!("message {publication:?} is sent again without DUP"))
            }
            Some(known) => Err(format!(
                "Packet Identifier {identifier} stands for message {known:?}, and is used for {publication:?}"
            )),
        }
    }

    /// PUBREL came.
    pub fn handle_pubrel(&mut self, identifier: PacketIdentifier) {
        self.unreleased.remove(&identifier);
        self.owed.push_back((PacketType::PubComp, identifier));
    }

    /// The next acknowledgement that is owed, which the caller sends.
    pub fn acknowledge(&mut self) -> Option<(PacketType, PacketIdentifier)> {
        let (packet_type, identifier) = self.owed.pop_front()?;
        if packet_type != PacketType::PubRec {
            self.unacknowledged.remove(&identifier);
        }
        Some((packet_type, identifier))
    }

    /// Messages that count against the Receive Maximum.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Whether nothing is half done.
    pub fn is_quiet(&self) -> bool {
        self.unreleased.is_empty() && self.owed.is_empty()
    }
}
