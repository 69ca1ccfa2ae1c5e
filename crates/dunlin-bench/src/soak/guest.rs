//! A client that comes for a moment: one connection, which blocks, and every packet answered as the protocol
//! says.
//!
//! Nothing here is measured, so it is written to notice what a broker leaves out: what was asked for has to be
//! answered, and what is awaited has to come, within a minute.

use std::time::Instant;

use dunlin_codec::{
    Connect, ConnectProperties, Frame, PacketIdentifier, PacketType, ProtocolVersion, PublishParts, QoS,
    SubscriptionFilter, Unsubscribe, UnsubscribeFilters, UserProperties, Will, encode_unsubscribe_filters,
};

use crate::Error;
use crate::connection::{acknowledge, next_frame, packet_identifier};
use crate::handshake::{ANSWER_TIMEOUT, Connected, KEEP_ALIVE_S, Target};
use crate::stamp::{STAMP_BYTES, Stamp};

/// A Session Expiry Interval that never ends.
const NEVER_S: u32 = u32::MAX;

/// How a guest comes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stay {
    /// With a Session that ends with the connection.
    Clean,
    /// The same, and with a Will Message at QoS 1 on this topic.
    Doomed {
        /// Where the Will Message is published.
        topic: &'static str,
        /// What is in it.
        stamp: Stamp,
    },
    /// With a new Session that outlives the connection by so many seconds. MQTT 5.0 only.
    Passing(u32),
    /// With a Session that goes on if there is one, and stays.
    Persistent,
}

/// A connected client.
#[derive(Debug)]
pub(super) struct Guest {
    connected: Connected,
    name: String,
    version: ProtocolVersion,
    last_identifier: u16,
    /// Requests that are not answered to the end.
    open: u32,
    /// Messages of QoS 2 that were received and not released yet.
    held: u32,
    /// Messages that have come, in their order; `None` for one without a stamp.
    arrived: Vec<Option<Stamp>>,
    chunk: Vec<u8>,
}

impl Guest {
    /// Connects and waits until the broker has accepted.
    pub(super) fn connect(target: &Target, name: String, stay: Stay) -> Result<Self, Error> {
        let mut connected = target.begin_with(&name, &connect_packet(target.version, &name, stay))?;
        connected.finish(&name)?;
        Ok(Self {
            connected,
            name,
            version: target.version,
            last_identifier: 0,
            open: 0,
            held: 0,
            arrived: Vec::new(),
            chunk: vec![0; 16 * 1024],
        })
    }

    /// Whether the broker had a Session of this client.
    pub(super) fn had_session(&self) -> bool {
        self.connected.session_present
    }

    /// Subscribes and waits until the broker has granted the QoS. Nothing else may be under way.
    pub(super) fn subscribe(&mut self, filter: &str, qos: QoS) -> Result<(), Error> {
        self.connected.subscribe(filter, qos)
    }

    /// Sends UNSUBSCRIBE.
    pub(super) fn unsubscribe(&mut self, filter: &str) -> Result<(), Error> {
        let filter = SubscriptionFilter::parse(filter)
            .map_err(|error| Error::Usage(format!("cannot unsubscribe from \"{filter}\": {error}")))?;
        let packet_identifier = self.identifier()?;
        let filters = encode_unsubscribe_filters(&[filter]);
        let unsubscribe = Unsubscribe {
            packet_identifier,
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from_encoded(&filters),
        };
        let mut packet = Vec::new();
        unsubscribe.encode(self.version, &mut packet);
        self.open += 1;
        self.connected.send(&packet)
    }

    /// Sends a message at QoS 1 or 2: a stamp, or nothing at all.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        qos: QoS,
        retain: bool,
        stamp: Option<Stamp>,
    ) -> Result<(), Error> {
        let mut packet = Vec::new();
        let payload_length = stamp.map_or(0, |_| STAMP_BYTES);
        let packet_identifier = Some(self.identifier()?);
        let parts =
            PublishParts { qos, retain, topic, packet_identifier, payload_length, ..PublishParts::default() };
        parts.encode_head(self.version, &mut packet);
        packet.resize(packet.len() + payload_length, 0);
        if let Some(stamp) = stamp {
            stamp.write(&mut packet);
        }
        self.open += 1;
        self.connected.send(&packet)
    }

    /// Sends packets that need no answer.
    pub(super) fn send(&mut self, packets: &[u8]) -> Result<(), Error> {
        self.connected.send(packets)
    }

    /// Waits until all requests are answered, so many messages have come, and all that came is acknowledged
    /// to the end. The result is what has come since the last time.
    pub(super) fn settle(&mut self, messages: usize) -> Result<Vec<Option<Stamp>>, Error> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            self.handle_unread()?;
            if self.open == 0 && self.held == 0 && self.arrived.len() >= messages {
                return Ok(std::mem::take(&mut self.arrived));
            }
            let longest = deadline.saturating_duration_since(Instant::now());
            if longest.is_zero() {
                return Err(Error::Peer(format!(
                    "{} got {} of {messages} messages, and {} requests are not answered",
                    self.name,
                    self.arrived.len(),
                    self.open
                )));
            }
            self.connected.read_more(&mut self.chunk, longest)?;
        }
    }

    /// Says good-bye and waits until the broker has closed.
    pub(super) fn leave(mut self) -> Result<(), Error> {
        self.connected.begin_disconnect()?;
        self.connected.finish_disconnect()
    }

    /// Waits until the broker closes the connection by itself.
    pub(super) fn await_close(self) -> Result<(), Error> {
        self.connected.finish_disconnect()
    }

    fn identifier(&mut self) -> Result<PacketIdentifier, Error> {
        self.last_identifier = self.last_identifier.checked_add(1).unwrap_or(1);
        PacketIdentifier::new(self.last_identifier)
            .ok_or_else(|| Error::Usage("0 is no packet identifier".to_owned()))
    }

    fn handle_unread(&mut self) -> Result<(), Error> {
        let unread = std::mem::take(&mut self.connected.unread);
        let mut rest = &unread[..];
        let mut answers = Vec::new();
        while let Some(frame) = next_frame(&mut rest)? {
            self.handle(frame, &mut answers)?;
        }
        self.connected.unread = rest.to_vec();
        if answers.is_empty() { Ok(()) } else { self.connected.send(&answers) }
    }

    fn handle(&mut self, frame: Frame<'_>, answers: &mut Vec<u8>) -> Result<(), Error> {
        match frame.packet_type()? {
            PacketType::Publish => self.handle_publish(frame, answers),
            PacketType::PubRec => {
                self.check(frame)?;
                acknowledge(answers, PacketType::PubRel, packet_identifier(frame.body, 0)?);
                Ok(())
            }
            PacketType::PubAck | PacketType::PubComp | PacketType::UnsubAck => {
                self.check(frame)?;
                self.open = self.open.checked_sub(1).ok_or_else(|| self.unexpected("a second answer"))?;
                Ok(())
            }
            PacketType::PubRel => {
                self.held = self.held.saturating_sub(1);
                acknowledge(answers, PacketType::PubComp, packet_identifier(frame.body, 0)?);
                Ok(())
            }
            other => Err(self.unexpected(&format!("{other:?}"))),
        }
    }

    fn handle_publish(&mut self, frame: Frame<'_>, answers: &mut Vec<u8>) -> Result<(), Error> {
        let topic_bytes = usize::from(packet_identifier(frame.body, 0)?);
        let at = 2 + topic_bytes;
        match frame.first_byte >> 1 & 0b11 {
            0 => {}
            1 => acknowledge(answers, PacketType::PubAck, packet_identifier(frame.body, at)?),
            _ => {
                self.held += 1;
                acknowledge(answers, PacketType::PubRec, packet_identifier(frame.body, at)?);
            }
        }
        self.arrived.push(Stamp::read(frame.body));
        Ok(())
    }

    /// A reason code that says no is an answer that nobody here can use.
    fn check(&self, frame: Frame<'_>) -> Result<(), Error> {
        match frame.body.get(2) {
            Some(&code) if code >= 0x80 => Err(self.unexpected(&format!("reason code 0x{code:02X}"))),
            _ => Ok(()),
        }
    }

    fn unexpected(&self, what: &str) -> Error {
        Error::Peer(format!("the broker sent {what} to {}", self.name))
    }
}

fn connect_packet(version: ProtocolVersion, client_identifier: &str, stay: Stay) -> Vec<u8> {
    let mut payload = [0; STAMP_BYTES];
    let will = match stay {
        Stay::Doomed { topic, stamp } => {
            stamp.write(&mut payload);
            Some(Will { qos: QoS::AtLeastOnce, topic, payload: &payload, ..Will::default() })
        }
        Stay::Clean | Stay::Passing(_) | Stay::Persistent => None,
    };
    let expiry_s = match stay {
        Stay::Clean | Stay::Doomed { .. } => None,
        Stay::Passing(seconds) => Some(seconds),
        Stay::Persistent => Some(NEVER_S),
    };
    let connect = Connect {
        version,
        clean_start: !matches!(stay, Stay::Persistent),
        keep_alive_s: KEEP_ALIVE_S,
        properties: ConnectProperties {
            session_expiry_interval_s: expiry_s.filter(|_| version == ProtocolVersion::V5),
            ..ConnectProperties::default()
        },
        client_identifier,
        will,
        user_name: None,
        password: None,
    };
    let mut packet = Vec::new();
    connect.encode(version, &mut packet);
    packet
}
