//! One connection: bytes to packets and back, Keep Alive, and what the broker allows on it.
//!
//! [`Connection::exchange`] is the only place that waits for the network. It may be dropped at any time and called
//! again: nothing is lost, because what was read and what is to be written are here and not in the future.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dunlin_codec::{
    ConnAck, Disconnect, Packet, ProtocolVersion, Publish, QoS, ReasonCode, Split, VARIABLE_BYTE_INTEGER_MAX,
    decode, split,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};

use super::address::Address;
use super::error::ClientError;
use super::options::{ClientOptions, Way};
use super::stream::{self, Stream};

/// How long saying goodbye may take: what is left to write, and the broker's end.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes that wait for the network beyond which no more is taken from who publishes.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// The largest packet that MQTT has: its Remaining Length and five bytes before.
const PACKET_BYTES_MAX: u32 = VARIABLE_BYTE_INTEGER_MAX + 5;

/// What stands in a PUBLISH beside topic, forwarded properties and payload, at most.
const FRAME_HEAD_BYTES_MAX: usize = 24;

/// What the broker allows, as CONNACK says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub(super) receive_maximum: u16,
    pub(super) maximum_qos: QoS,
    pub(super) is_retain_available: bool,
    pub(super) topic_alias_maximum: u16,
    maximum_packet_size: usize,
}

/// See the top of the file.
pub(super) struct Connection {
    /// Which connection of the client it is.
    pub(super) number: u64,
    pub(super) allowance: Allowance,
    version: ProtocolVersion,
    address: Address,
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    input: BytesMut,
    output: BytesMut,
    is_flushed: bool,
    input_packet_max: u32,
    keep_alive: Option<Duration>,
    last_sent: Instant,
    /// When an answer to PINGREQ is missing.
    answer_due: Option<Instant>,
    topic_alias_maximum: u16,
    aliases_of_broker: HashMap<NonZeroU16, String>,
    aliases_of_client: HashMap<NonZeroU16, String>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            maximum_qos: QoS::ExactlyOnce,
            is_retain_available: true,
            topic_alias_maximum: 0,
            maximum_packet_size: PACKET_BYTES_MAX as usize,
        }
    }
}

impl Connection {
    /// A connection over this stream, before its CONNECT.
    pub(super) fn new(stream: Box<dyn Stream>, options: &ClientOptions, number: u64) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            number,
            allowance: Allowance::default(),
            version: options.version,
            address: options.address.clone(),
            reader,
            writer,
            input: BytesMut::new(),
            output: BytesMut::new(),
            is_flushed: true,
            input_packet_max: options.maximum_packet_size.unwrap_or(PACKET_BYTES_MAX),
            keep_alive: keep_alive(options.keep_alive_s),
            last_sent: Instant::now(),
            answer_due: None,
            topic_alias_maximum: options.topic_alias_maximum.unwrap_or(0),
            aliases_of_broker: HashMap::new(),
            aliases_of_client: HashMap::new(),
        }
    }

    /// The broker has accepted.
    pub(super) fn accept(&mut self, connack: &ConnAck<'_>) {
        let properties = &connack.properties;
        let default = Allowance::default();
        self.allowance = Allowance {
            receive_maximum: properties.receive_maximum.unwrap_or(default.receive_maximum),
            maximum_qos: properties.maximum_qos.unwrap_or(default.maximum_qos),
            is_retain_available: properties.retain_available.unwrap_or(true),
            topic_alias_maximum: properties.topic_alias_maximum.unwrap_or(0),
            maximum_packet_size: properties
                .maximum_packet_size
                .map_or(default.maximum_packet_size, |maximum| maximum as usize),
        };
        // spec(v5): [MQTT-3.1.2-21] [MQTT-3.2.2-21]
        if let Some(server_keep_alive_s) = properties.server_keep_alive_s {
            self.keep_alive = keep_alive(server_keep_alive_s);
        }
    }

    /// Hands a packet to the network.
    ///
    /// # Errors
    /// When the broker does not take one of this length.
    pub(super) fn send(&mut self, options: &ClientOptions, packet: &Packet<'_>) -> Result<(), ClientError> {
        let maximum = self.allowance.maximum_packet_size;
        if let Packet::Publish(publish) = packet
            && greatest_length(publish) > PACKET_BYTES_MAX as usize
        {
            return Err(ClientError::TooLarge { length: greatest_length(publish), maximum });
        }
        let mut frame = Vec::new();
        packet.encode(self.version, &mut frame);
        // spec(v5): [MQTT-3.2.2-15]
        if frame.len() > maximum {
            return Err(ClientError::TooLarge { length: frame.len(), maximum });
        }
        options.observe(Way::Out, packet);
        self.output.extend_from_slice(&frame);
        self.is_flushed = false;
        Ok(())
    }

    /// Whether the network takes what it is given.
    pub(super) fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_BYTES_MAX
    }

    /// The next packet's bytes, if they have come.
    pub(super) fn take_frame(&mut self) -> Result<Option<Bytes>, ClientError> {
        match split(&self.input, self.input_packet_max).map_err(ClientError::Broken)? {
            Split::Packet { length, .. } => Ok(Some(self.input.split_to(length).freeze())),
            Split::Incomplete { packet_length } => {
                // Room for all of a large packet at once, but not for more than is likely to come.
                self.input.reserve(packet_length.unwrap_or(0).saturating_sub(self.input.len()).min(1 << 20));
                Ok(None)
            }
        }
    }

    /// Decodes what [`Self::take_frame`] gave.
    pub(super) fn decode<'a>(&self, frame: &'a [u8]) -> Result<Packet<'a>, ClientError> {
        match split(frame, self.input_packet_max).map_err(ClientError::Broken)? {
            Split::Packet { frame, .. } => decode(frame, self.version).map_err(ClientError::Broken),
            Split::Incomplete { .. } => Err(ClientError::Unexpected("a packet that is not whole")),
        }
    }

    /// The topic of a PUBLISH that came, whatever stands for it.
    pub(super) fn topic_of(&mut self, publish: &Publish<'_>) -> Result<String, ClientError> {
        let Some(alias) = publish.topic_alias else { return Ok(publish.topic.to_owned()) };
        // spec(v5): [MQTT-3.3.2-10]
        if alias.get() > self.topic_alias_maximum {
            return Err(ClientError::Unexpected("a Topic Alias above the Topic Alias Maximum"));
        }
        if publish.topic.is_empty() {
            let known = self.aliases_of_broker.get(&alias).cloned();
            return known.ok_or(ClientError::Unexpected("a Topic Alias that stands for nothing"));
        }
        self.aliases_of_broker.insert(alias, publish.topic.to_owned());
        Ok(publish.topic.to_owned())
    }

    /// Whether this alias stands for that topic.
    pub(super) fn is_alias_of(&self, alias: NonZeroU16, topic: &str) -> bool {
        self.aliases_of_client.get(&alias).is_some_and(|known| known == topic)
    }

    /// The broker was told that this alias stands for that topic.
    pub(super) fn set_alias(&mut self, alias: NonZeroU16, topic: &str) {
        if !self.is_alias_of(alias, topic) {
            self.aliases_of_client.insert(alias, topic.to_owned());
        }
    }

    /// PINGRESP has come.
    pub(super) fn is_answered(&mut self) {
        self.answer_due = None;
    }

    /// Waits for the network: some bytes came or went, or PINGREQ is due.
    pub(super) async fn exchange(&mut self, options: &ClientOptions) -> Result<(), ClientError> {
        let failed = |error: io::Error| stream::failed(&options.address, error);
        // spec(v5): [MQTT-3.1.2-20]
        // spec(v3.1.1): [MQTT-3.1.2-23]
        let ping_due = self.keep_alive.map(|keep_alive| self.last_sent + keep_alive);
        let due = self.answer_due.or(ping_due);
        let (writer, output) = (&mut self.writer, &mut self.output);
        let has_more = !output.is_empty() || !self.is_flushed;
        let push = async move {
            match output.is_empty() {
                true => writer.flush().await.map(|()| None),
                false => writer.write_buf(output).await.map(Some),
            }
        };
        tokio::select! {
            pushed = push, if has_more => match pushed.map_err(failed)? {
                None => self.is_flushed = true,
                Some(0) => return Err(ClientError::Lost(Some(io::ErrorKind::WriteZero.into()))),
                Some(_) => self.last_sent = Instant::now(),
            },
            read = self.reader.read_buf(&mut self.input) => {
                if read.map_err(failed)? == 0 {
                    return Err(ClientError::Lost(None));
                }
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if self.answer_due.is_some() {
                    return Err(ClientError::Silent);
                }
                self.send(options, &Packet::PingReq)?;
                self.last_sent = Instant::now();
                self.answer_due = self.keep_alive.map(|keep_alive| self.last_sent + keep_alive);
            }
        }
        Ok(())
    }

    /// Says goodbye: writes all there is to write, and then waits for the broker's end. Whoever closes with bytes
    /// unread makes the network throw away what the broker has not read yet.
    pub(super) async fn leave(
        mut self,
        options: &ClientOptions,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), ClientError> {
        self.send(options, &Packet::Disconnect(*disconnect))?;
        let address = self.address.clone();
        let farewell = async {
            self.writer.write_all_buf(&mut self.output).await?;
            self.writer.flush().await?;
            // From here on the broker has all; how it closes does not matter.
            if self.writer.shutdown().await.is_ok() {
                while self.reader.read_buf(&mut self.input).await.is_ok_and(|count| count > 0) {
                    self.input.clear();
                }
            }
            Ok(())
        };
        match timeout(FAREWELL, farewell).await {
            Ok(left) => left.map_err(|error| stream::failed(&address, error)),
            Err(_) if self.output.is_empty() => Ok(()),
            Err(_) => Err(ClientError::Lost(Some(io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Tells a broker that broke the protocol, if it can be told, and closes.
    pub(super) async fn complain(self, options: &ClientOptions, reason_code: ReasonCode) {
        // The connection ends whether or not it hears of it. 3.x has no word for it and closes.
        // spec(v3.1.1): [MQTT-4.8.0-1]
        if self.version == ProtocolVersion::V5 {
            let _ = self.leave(options, &Disconnect::new(reason_code)).await;
        }
    }
}

/// What a PUBLISH takes at most: beyond the largest packet there is no encoding.
fn greatest_length(publish: &Publish<'_>) -> usize {
    FRAME_HEAD_BYTES_MAX + publish.topic.len() + publish.properties.forwarded_length() + publish.payload.len()
}

fn keep_alive(seconds: u16) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}
