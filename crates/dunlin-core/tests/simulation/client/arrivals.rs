//! PUBLISH from the broker: judged, written down, acknowledged.
//!
//! What is written down is what the application behind the client would see: a QoS 2 message once, however
//! often it is sent. Planted faults come in here, between the broker and the history.

use super::{Client, Fault};
use crate::checks::check_arrival;
use crate::history::Arrival;
use crate::world::World;
use dunlin_codec::{PacketIdentifier, PacketType, ProtocolVersion, Publish, QoS};

impl Client {
    pub(super) fn handle_publish(&mut self, world: &mut World, wire: usize, publish: &Publish<'_>) {
        let mut topic = publish.topic.to_owned();
        if let Some(alias) = publish.topic_alias {
            if alias.get() > self.habits.topic_alias_maximum {
                world.history.complain(format!("an alias that was not allowed: {alias}"));
            }
            if topic.is_empty() {
                topic = self.aliases.get(&alias.get()).cloned().unwrap_or_default();
            } else {
                self.aliases.insert(alias.get(), topic.clone());
            }
        }
        if publish.retain {
            self.retained.push((topic.clone(), publish.payload.to_vec()));
        }
        let mut payload = publish.payload.to_vec();
        if self.take_fault(Fault::DamageMessage)
            && let Some(last) = payload.last_mut()
        {
            *last ^= 1;
        }
        let publication = world.history.recognise(&payload);
        if let Some(publication) = publication
            && world.history.publications[publication].topic != topic
        {
            return world.history.complain(format!("message {publication} came with the topic {topic:?}"));
        }
        // The message that clears a Retained Message is empty, and so has no number.
        if publication.is_none() && !(payload.is_empty() && topic.starts_with("r/")) {
            return world.history.complain(format!("nobody sent this to {topic:?}: {payload:?}"));
        }
        let Some(packet_identifier) = publish.packet_identifier else {
            return self.arrive(world, wire, publish, publication, None);
        };
        if !self.unacknowledged.insert(packet_identifier.get()) {
            world.history.complain(format!("sent again, or identifier in use: {publish:?}"));
        }
        let maximum = usize::from(self.habits.receive_maximum);
        if self.habits.version == ProtocolVersion::V5 && self.unacknowledged.len() > maximum {
            world.history.complain(format!("more than Receive Maximum {maximum}: {publish:?}"));
        }
        if publish.qos == QoS::AtLeastOnce {
            return self.arrive(world, wire, publish, publication, Some(packet_identifier));
        }
        match (self.incoming.insert(packet_identifier.get(), publication.unwrap_or(usize::MAX)), publish.dup)
        {
            (Some(other), true) if Some(other) == publication || publication.is_none() => {
                self.owed.push_back((PacketType::PubRec, packet_identifier, None));
            }
            (Some(other), _) => {
                world.history.complain(format!("identifier of message {other} used for {publish:?}"))
            }
            (None, _) => self.arrive(world, wire, publish, publication, Some(packet_identifier)),
        }
    }

    /// A message has arrived by the rules of its QoS.
    fn arrive(
        &mut self,
        world: &mut World,
        wire: usize,
        publish: &Publish<'_>,
        publication: Option<usize>,
        packet_identifier: Option<PacketIdentifier>,
    ) {
        let Some(session) = self.session else { return };
        let packet_type =
            if publish.qos == QoS::ExactlyOnce { PacketType::PubRec } else { PacketType::PubAck };
        let mut number = None;
        if let Some(publication) = publication {
            let event = world.history.event();
            let arrival = Arrival {
                event,
                publication,
                qos: publish.qos,
                dup: publish.dup,
                retain: publish.retain,
                wire,
                acknowledged_at: None,
            };
            check_arrival(&mut world.history, session, &arrival);
            let is_live = !publish.retain && publish.qos != QoS::AtMostOnce;
            if !(is_live && self.take_fault(Fault::LoseMessage)) {
                number = self.note(world, session, arrival);
            }
        }
        if let Some(packet_identifier) = packet_identifier {
            self.owed.push_back((packet_type, packet_identifier, number));
        }
    }

    /// Writes an arrival down, with whatever fault is planted.
    fn note(&mut self, world: &mut World, session: usize, arrival: Arrival) -> Option<usize> {
        let is_live = !arrival.retain && arrival.qos != QoS::AtMostOnce;
        let publication = &world.history.publications;
        let arrivals = &mut world.history.sessions[session].arrivals;
        if is_live && self.fault == Some(Fault::SwapMessages) {
            match self.held_back.take() {
                None => {
                    self.held_back = Some(arrival);
                    return None;
                }
                Some(earlier) => {
                    let (one, other) = (&publication[earlier.publication], &publication[arrival.publication]);
                    let is_alike =
                        one.publisher == other.publisher && one.topic == other.topic && one.qos == other.qos;
                    if is_alike && earlier.publication < arrival.publication && arrival.qos == earlier.qos {
                        self.fault = None;
                        arrivals.push(arrival);
                        arrivals.push(earlier);
                    } else {
                        arrivals.push(earlier);
                        self.held_back = Some(arrival);
                    }
                    return None;
                }
            }
        }
        if is_live && !arrival.dup && self.take_fault(Fault::RepeatMessage) {
            arrivals.push(arrival.clone());
        }
        arrivals.push(arrival);
        Some(arrivals.len() - 1)
    }

    fn take_fault(&mut self, fault: Fault) -> bool {
        self.fault.take_if(|planted| *planted == fault).is_some()
    }
}
