//! What a packet from the broker does: events, answers, or the end of the connection.

use bytes::Bytes;
use dunlin_codec::{Packet, ProtocolVersion, QoS, ReasonCode};

use super::driver::{Client, Link};
use super::error::ClientError;
use super::event::Event;
use super::message::Message;
use super::options::Way;
use super::session::{Arrival, Request, received};

impl Client {
    /// A packet has come.
    pub(super) fn receive(&mut self, frame: &Bytes) -> Result<(), ClientError> {
        let Link::Up(connection) = &mut self.link else { return Ok(()) };
        let packet = connection.decode(frame)?;
        self.options.observe(Way::In, &packet);
        let explanation = |text: Option<&str>| text.map(str::to_owned);
        match packet {
            Packet::Publish(publish) => {
                let topic = connection.topic_of(&publish)?;
                let message = Message::new(&publish, topic, frame, connection.number);
                self.arrive(message);
            }
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                let reaction = self.session.acknowledged(&packet);
                if let Some(answer) = reaction.answer {
                    self.reply(&answer);
                }
                self.events.extend(reaction.done.map(|(number, reason_code)| {
                    if reason_code.is_error() {
                        let explanation = explanation(ack.reason_string);
                        Event::NotPublished { number, reason_code, explanation }
                    } else {
                        Event::Published
                    }
                }));
            }
            Packet::SubAck(suback) => {
                if !self.session.answered(suback.packet_identifier, Request::Subscribe) {
                    return Err(ClientError::Unexpected("a SUBACK that nobody asked for"));
                }
                let reason_codes = codes(suback.reason_codes);
                let explanation = explanation(suback.reason_string);
                self.events.push_back(Event::Subscribed { reason_codes, explanation });
            }
            Packet::UnsubAck(unsuback) => {
                if !self.session.answered(unsuback.packet_identifier, Request::Unsubscribe) {
                    return Err(ClientError::Unexpected("an UNSUBACK that nobody asked for"));
                }
                self.events.push_back(Event::Unsubscribed { reason_codes: codes(unsuback.reason_codes) });
            }
            Packet::PingResp => connection.is_answered(),
            Packet::Disconnect(disconnect) if self.options.version == ProtocolVersion::V5 => {
                return Err(ClientError::Disconnected {
                    reason_code: disconnect.reason_code,
                    explanation: explanation(disconnect.reason_string.or(disconnect.server_reference)),
                });
            }
            Packet::Auth(_) => return Err(ClientError::AuthenticationContinues),
            Packet::ConnAck(_) => return Err(ClientError::Unexpected("a second CONNACK")),
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Disconnect(_) => {
                return Err(ClientError::Unexpected("a packet that only clients send"));
            }
        }
        Ok(())
    }

    fn arrive(&mut self, message: Message) {
        if let (QoS::ExactlyOnce, Some(identifier)) = (message.qos, message.packet_identifier) {
            match self.session.arrives(identifier) {
                Arrival::New => {}
                Arrival::InHand => return,
                Arrival::Received => return self.reply(&received(identifier)),
            }
        }
        self.events.push_back(Event::Message(Box::new(message)));
    }
}

fn codes(bytes: &[u8]) -> Vec<ReasonCode> {
    bytes.iter().filter_map(|byte| ReasonCode::from_code(*byte)).collect()
}
