//! Persist before acknowledge, apply before acknowledge: what an answer has to wait for, and whether it did.
//!
//! When a packet goes in, the records that the shard staged for it, and the message on its way to other
//! shards, become a [`Promise`]. When the answer comes out, the store must have those records, the other
//! shards must have received the message, and their stores what they staged for it. This looks at bytes,
//! records and mail alone, and knows nothing of barriers.

use super::World;
use dunlin_codec::{Packet, PacketType, Publish, QoS, Split, decode, split};
use dunlin_core::journal::Record;
use dunlin_core::message::{ApplicationMessage, MessageId};
use dunlin_core::peer::PeerMessage;

/// An acknowledgement that must not come before something.
#[derive(Default)]
pub(super) struct Promise {
    /// Records that must be durable: shard and position.
    pub records: Vec<(usize, u64)>,
    /// The message that every shard it went to must have applied.
    pub message: Option<MessageId>,
}

impl World {
    /// Notes what the answer to a packet has to wait for.
    pub(super) fn expect_answer(
        &mut self,
        wire: usize,
        shard: usize,
        packet: &Packet<'_>,
        records: &[(u64, Record)],
        newest: Option<MessageId>,
    ) {
        let last = |is_wanted: &dyn Fn(&Record) -> bool| {
            records.iter().rfind(|(_, record)| is_wanted(record)).map(|(position, _)| (shard, *position))
        };
        let (answer, identifier, record, message) = match packet {
            Packet::Publish(publish) => {
                let Some(identifier) = publish.packet_identifier else { return };
                // A copy of an earlier transmission may still be on its way; only at QoS 2 is it the same
                // message.
                let is_it = |it: &&ApplicationMessage| {
                    let is_new = publish.qos == QoS::ExactlyOnce || Some(it.id) > newest;
                    it.payload() == publish.payload && is_new && !publish.payload.is_empty()
                };
                let message = self.on_their_way().filter(is_it).map(|it| it.id).max();
                let answer = if publish.qos.bits() == 1 { PacketType::PubAck } else { PacketType::PubRec };
                let record = last(&|record| match record {
                    Record::Received { packet_identifier, .. } => *packet_identifier == identifier,
                    other => kept(other).is_some_and(|message| message.payload() == publish.payload),
                });
                (answer, identifier, record, message)
            }
            Packet::PubRel(pubrel) => {
                let record = last(&|record| matches!(record, Record::Completed { .. }));
                (PacketType::PubComp, pubrel.packet_identifier, record, None)
            }
            Packet::PubRec(pubrec) => {
                let record = last(&|record| matches!(record, Record::Released { .. }));
                (PacketType::PubRel, pubrec.packet_identifier, record, None)
            }
            Packet::Subscribe(subscribe) => {
                let record = last(&|record| matches!(record, Record::Subscribed { .. }));
                (PacketType::SubAck, subscribe.packet_identifier, record, None)
            }
            Packet::Unsubscribe(unsubscribe) => {
                let record = last(&|record| matches!(record, Record::Unsubscribed { .. }));
                (PacketType::UnsubAck, unsubscribe.packet_identifier, record, None)
            }
            _ => return,
        };
        let records = record.into_iter().collect();
        self.promise(wire, answer, identifier.get(), Promise { records, message });
    }

    pub(super) fn promise(&mut self, wire: usize, answer: PacketType, identifier: u16, promise: Promise) {
        self.wires[wire].promises.insert((answer, identifier), promise);
    }

    /// Looks at what the broker sends: acknowledgements must keep their promises.
    pub(super) fn tap(&mut self, wire: usize, bytes: &[u8]) {
        let mut tapped = std::mem::take(&mut self.wires[wire].tapped);
        tapped.extend(bytes);
        let mut start = 0;
        while let Split::Packet { frame, length } = split(&tapped[start..], u32::MAX).unwrap() {
            let packet = decode(frame, self.wires[wire].version).unwrap();
            start += length;
            self.trace(|| {
                format!("client {} on {wire} <- {}", self.wires[wire].client, self.describe(&packet))
            });
            let key = match packet {
                Packet::ConnAck(connack) => {
                    if connack.session_present != self.wires[wire].session_present {
                        self.history.complain(String::from("Session Present does not tell the truth"));
                    }
                    self.note_known(wire);
                    (PacketType::ConnAck, 0)
                }
                Packet::PubAck(packet) => (PacketType::PubAck, packet.packet_identifier.get()),
                Packet::PubRec(packet) => (PacketType::PubRec, packet.packet_identifier.get()),
                Packet::PubRel(packet) => (PacketType::PubRel, packet.packet_identifier.get()),
                Packet::PubComp(packet) => (PacketType::PubComp, packet.packet_identifier.get()),
                Packet::SubAck(packet) => (PacketType::SubAck, packet.packet_identifier.get()),
                Packet::UnsubAck(packet) => (PacketType::UnsubAck, packet.packet_identifier.get()),
                _ => continue,
            };
            if let Some(promise) = self.wires[wire].promises.remove(&key) {
                self.check_promise(key, &promise);
            }
        }
        tapped.drain(..start);
        self.wires[wire].tapped = tapped;
    }

    /// From here on the client can know of its Session.
    fn note_known(&mut self, wire: usize) {
        self.wires[wire].is_known = true;
        let Some(session) = self.wires[wire].session.map(|life| &mut self.history.sessions[life]) else {
            return;
        };
        session.is_known = true;
        let is_latest = self.expectations.get(&self.wires[wire].client).and_then(|it| it.wire) == Some(wire);
        if is_latest && self.wires[wire].closed.is_none() {
            session.absences.clear();
        }
    }

    fn check_promise(&mut self, (answer, identifier): (PacketType, u16), promise: &Promise) {
        let elsewhere = promise.message.and_then(|message| self.applied.get(&message));
        for (shard, position) in promise.records.iter().chain(elsewhere.into_iter().flatten()) {
            let durable = self.nodes[*shard].durable;
            if *position > durable && !self.overlooks_lies {
                self.history.complain(format!(
                    "{answer:?} {identifier} left before its record was durable: shard {shard}, {position} > {durable}"
                ));
            }
        }
        if self.on_their_way().any(|message| Some(message.id) == promise.message) {
            self.history
                .complain(format!("{answer:?} {identifier} left before every shard had applied the message"));
        }
    }

    /// Messages that one shard has sent and another has not received.
    pub(super) fn on_their_way(&self) -> impl Iterator<Item = &ApplicationMessage> {
        self.mail.iter().flatten().filter_map(|message| match message {
            PeerMessage::Publish(message) | PeerMessage::PublishExactly(message) => Some(message),
            _ => None,
        })
    }

    pub(super) fn note_applied(
        &mut self,
        shard: usize,
        message: &ApplicationMessage,
        records: &[(u64, Record)],
    ) {
        let is_kept = |record: &Record| kept(record).is_some_and(|other| other.id == message.id);
        let position = records.iter().rfind(|(_, record)| is_kept(record)).map(|(position, _)| *position);
        if let Some(position) = position {
            self.applied.entry(message.id).or_default().push((shard, position));
        }
    }

    pub(super) fn describe(&self, packet: &Packet<'_>) -> String {
        match packet {
            Packet::Publish(publish) => {
                let Publish { topic, qos, dup, retain, packet_identifier, .. } = publish;
                let number = self.history.recognise(publish.payload);
                format!(
                    "PUBLISH {packet_identifier:?} message {number:?} {topic} {qos:?} dup {dup} retain {retain}"
                )
            }
            other => format!("{other:?}"),
        }
    }
}

/// The message that a record keeps.
fn kept(record: &Record) -> Option<&ApplicationMessage> {
    match record {
        Record::Queued { message, .. }
        | Record::Retained { message }
        | Record::GroupQueued { message, .. } => Some(message),
        _ => None,
    }
}
