//! Messages to the broker, within what it allows.

use dunlin_codec::{Packet, PacketIdentifier, Publish, ReasonCode};

use super::driver::{Client, Link};
use super::error::ClientError;
use super::event::Event;
use super::message::OutgoingMessage;
use super::outbound::Step;
use super::session::release;

impl Client {
    /// Sends what may be sent now.
    pub(super) fn transmit(&mut self) -> Result<(), ClientError> {
        loop {
            let Link::Up(connection) = &mut self.link else { return Ok(()) };
            if !connection.has_room() {
                return Ok(());
            }
            let window = self.options.in_flight_max.min(connection.allowance.receive_maximum);
            match self.session.next(window.into()) {
                None => return Ok(()),
                Some(Step::Release(identifier)) => self.reply(&release(identifier, ReasonCode::Success)),
                Some(Step::Publish { number, message, identifier, dup }) => {
                    match self.send_message(&message, identifier, dup) {
                        Ok(()) if identifier.is_none() => self.events.push_back(Event::Published),
                        Ok(()) => {}
                        Err((reason_code, explanation)) => {
                            identifier.into_iter().for_each(|taken| self.session.outbound.forget(taken));
                            let explanation = Some(explanation);
                            self.events.push_back(Event::NotPublished { number, reason_code, explanation });
                        }
                    }
                }
            }
        }
    }

    /// Sends PUBLISH, if the broker takes such a one.
    fn send_message(
        &mut self,
        message: &OutgoingMessage,
        packet_identifier: Option<PacketIdentifier>,
        dup: bool,
    ) -> Result<(), (ReasonCode, String)> {
        let Link::Up(connection) = &mut self.link else { return Ok(()) };
        let allowance = connection.allowance;
        let refuse = |reason_code, why: String| Err((reason_code, why));
        // spec(v5): [MQTT-3.2.2-11]
        if message.qos > allowance.maximum_qos {
            let maximum = allowance.maximum_qos.bits();
            return refuse(ReasonCode::QoSNotSupported, format!("the broker takes QoS {maximum} at most"));
        }
        // spec(v5): [MQTT-3.2.2-14]
        if message.retain && !allowance.is_retain_available {
            return refuse(ReasonCode::RetainNotSupported, "the broker retains nothing".to_owned());
        }
        // spec(v5): [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-9]
        let maximum = allowance.topic_alias_maximum;
        if let Some(alias) = message.topic_alias.filter(|alias| alias.get() > maximum) {
            let why = format!("the alias {alias} is above the broker's Topic Alias Maximum, {maximum}");
            return refuse(ReasonCode::TopicAliasInvalid, why);
        }
        let is_known = message.topic_alias.is_some_and(|alias| connection.is_alias_of(alias, &message.topic));
        let publish = Publish {
            dup,
            qos: message.qos,
            retain: message.retain,
            topic: if is_known { "" } else { &message.topic },
            packet_identifier,
            topic_alias: message.topic_alias,
            properties: message.properties.view(),
            payload: &message.payload,
            ..Publish::default()
        };
        connection
            .send(&self.options, &Packet::Publish(publish))
            .map_err(|error| (ReasonCode::PacketTooLarge, error.to_string()))?;
        if let Some(alias) = message.topic_alias {
            connection.set_alias(alias, &message.topic);
        }
        Ok(())
    }
}
