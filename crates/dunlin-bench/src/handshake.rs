//! Connecting: CONNECT and SUBSCRIBE over a blocking stream, before the poll loop takes the connection over.
//!
//! Nothing here is measured, so it is written for clear errors and not for speed: every packet is decoded
//! whole, and every answer has ten seconds.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

use dunlin_codec::{
    Connect, ConnectProperties, Packet, PacketIdentifier, PacketType, ProtocolVersion, QoS, Split, Subscribe,
    SubscribeFilters, SubscriptionFilter, SubscriptionOptions, UserProperties, VARIABLE_BYTE_INTEGER_MAX,
    decode, encode_subscribe_filters, split,
};

use crate::Error;
use crate::stream::{Layers, Stream};
use crate::tls::{TlsClient, Trust};
use crate::transport::{BrokerUrl, Transport};

/// A Session Expiry Interval that never ends.
const NEVER_S: u32 = u32::MAX;

/// How long the broker may take for each answer. Some wait for its disk, which others may keep from it for ten seconds
/// and more.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How many filters a SUBSCRIBE has when there are many.
const FILTERS_OF_A_PACKET: usize = 500;

/// Long enough that no run outlives one and a half of it, and not 0: a broker that keeps a timer per
/// connection shall keep it.
pub(crate) const KEEP_ALIVE_S: u16 = 3_600;

/// Where the broker is, how it is reached and which protocol to speak.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where the broker listens.
    pub address: SocketAddr,
    /// What is spoken.
    pub version: ProtocolVersion,
    pub(crate) layers: Layers,
}

/// What a CONNECT says about its Session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// It is new, and ends with the connection.
    Clean,
    /// It goes on if there is one, and outlives the connection.
    Persistent,
}

/// A connection on which the broker has accepted CONNECT.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    /// Whether the broker had a Session of this client.
    pub(crate) session_present: bool,
    /// The broker's Receive Maximum; 65,535 unless it said otherwise.
    pub(crate) receive_maximum: u16,
    /// Bytes that came with the last answer and belong to what follows.
    pub(crate) unread: Vec<u8>,
    version: ProtocolVersion,
}

impl Target {
    /// A broker that is reached over TCP alone.
    #[must_use]
    pub fn new(address: SocketAddr, version: ProtocolVersion) -> Self {
        Self { address, version, layers: Layers::default() }
    }

    /// A broker at a URL that is reached over `transport`. With TLS it has to be trusted, as `server_name` or, if
    /// there is none, as the host of the URL.
    ///
    /// # Errors
    /// When nobody is said to be trusted with TLS, the certificates of `trust` cannot be used, or the URL names
    /// no host for TLS or WebSocket.
    pub fn at(
        url: &BrokerUrl,
        transport: Transport,
        version: ProtocolVersion,
        trust: Option<&Trust>,
        server_name: Option<&str>,
    ) -> Result<Self, Error> {
        let tls = match (transport.is_encrypted(), trust) {
            (false, _) => None,
            (true, Some(trust)) => Some(TlsClient::new(trust, server_name.unwrap_or(&url.host))?),
            (true, None) => {
                return Err(Error::Usage(format!(
                    "{}:// needs --ca FILE, which says whose certificates to trust, or --insecure",
                    transport.scheme()
                )));
            }
        };
        let websocket = match transport.is_websocket() {
            false => None,
            true => Some(url.websocket(transport)?),
        };
        Ok(Self { address: url.address, version, layers: Layers { tls, websocket } })
    }

    /// Whether TLS is on the way.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.layers.tls.is_some()
    }

    /// The same broker, and clients that resume the TLS sessions of those before them; `None` without TLS.
    pub(crate) fn resuming(&self) -> Option<Self> {
        let tls = Some(self.layers.tls.as_ref()?.resuming());
        let websocket = self.layers.websocket.clone();
        Some(Self { layers: Layers { tls, websocket }, ..*self })
    }

    /// Connects and waits until the broker has accepted.
    pub(crate) fn connect(&self, client_identifier: &str, session: Session) -> Result<Connected, Error> {
        let mut connected = self.begin(client_identifier, session)?;
        connected.finish(client_identifier)?;
        Ok(connected)
    }

    /// Sends CONNECT; [`Connected::finish`] waits for the answer.
    pub(crate) fn begin(&self, client_identifier: &str, session: Session) -> Result<Connected, Error> {
        self.begin_with(client_identifier, &self.connect_packet(client_identifier, session))
    }

    /// The same with a CONNECT that says more than [`Session`] can.
    pub(crate) fn begin_with(&self, client_identifier: &str, connect: &[u8]) -> Result<Connected, Error> {
        let failed = || Error::io(format!("connect {client_identifier} to {}", self.address));
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_TIMEOUT).map_err(failed())?;
        stream.set_nodelay(true).map_err(failed())?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(failed())?;
        let mut connected = Connected {
            stream: Stream::of_client(stream, &self.layers)?,
            session_present: false,
            receive_maximum: u16::MAX,
            unread: Vec::new(),
            version: self.version,
        };
        connected.send(connect)?;
        Ok(connected)
    }

    /// The CONNECT of a client.
    pub(crate) fn connect_packet(&self, client_identifier: &str, session: Session) -> Vec<u8> {
        let connect = Connect {
            version: self.version,
            clean_start: session == Session::Clean,
            keep_alive_s: KEEP_ALIVE_S,
            properties: ConnectProperties {
                session_expiry_interval_s: match (self.version, session) {
                    (ProtocolVersion::V5, Session::Persistent) => Some(NEVER_S),
                    _ => None,
                },
                ..ConnectProperties::default()
            },
            client_identifier,
            will: None,
            user_name: None,
            password: None,
        };
        let mut packet = Vec::new();
        connect.encode(self.version, &mut packet);
        packet
    }
}

impl Connected {
    /// Waits until the broker has accepted the CONNECT of [`Target::begin`].
    pub(crate) fn finish(&mut self, client_identifier: &str) -> Result<(), Error> {
        let (session_present, receive_maximum) = self.answer(|answer| match answer {
            Packet::ConnAck(connack) if !connack.reason_code.is_error() => {
                Ok((connack.session_present, connack.properties.receive_maximum.unwrap_or(u16::MAX)))
            }
            Packet::ConnAck(connack) => {
                Err(Error::Peer(format!("the broker refused {client_identifier}: {}", connack.reason_code)))
            }
            other => Err(Error::Peer(format!("the broker answered CONNECT with {other:?}"))),
        })?;
        (self.session_present, self.receive_maximum) = (session_present, receive_maximum);
        Ok(())
    }

    /// Subscribes to one Topic Filter and waits until the broker has granted the QoS.
    pub(crate) fn subscribe(&mut self, topic_filter: &str, qos: QoS) -> Result<(), Error> {
        self.begin_subscribe(topic_filter, qos)?;
        self.finish_subscribe(topic_filter, qos)
    }

    /// Subscribes to many Topic Filters, a few hundred in each packet.
    pub(crate) fn subscribe_all(&mut self, topic_filters: &[String], qos: QoS) -> Result<(), Error> {
        for chunk in topic_filters.chunks(FILTERS_OF_A_PACKET) {
            let names: Vec<_> = chunk.iter().map(String::as_str).collect();
            self.send_subscribe(&names, qos)?;
            self.finish_subscribes(&names, qos)?;
        }
        Ok(())
    }

    /// Sends SUBSCRIBE; [`Connected::finish_subscribe`] waits for the answer.
    pub(crate) fn begin_subscribe(&mut self, topic_filter: &str, qos: QoS) -> Result<(), Error> {
        self.send_subscribe(&[topic_filter], qos)
    }

    fn send_subscribe(&mut self, topic_filters: &[&str], qos: QoS) -> Result<(), Error> {
        let mut filters = Vec::new();
        for topic_filter in topic_filters {
            let filter = SubscriptionFilter::parse(topic_filter)
                .map_err(|error| Error::Usage(format!("cannot subscribe to \"{topic_filter}\": {error}")))?;
            filters.push((filter, SubscriptionOptions::with_qos(qos)));
        }
        let filters = encode_subscribe_filters(&filters);
        let subscribe = Subscribe {
            packet_identifier: PacketIdentifier::from(NonZeroU16::MIN),
            subscription_identifier: None,
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from_encoded(&filters),
        };
        let mut packet = Vec::new();
        subscribe.encode(self.version, &mut packet);
        self.send(&packet)
    }

    /// Waits until the broker has granted the QoS.
    pub(crate) fn finish_subscribe(&mut self, topic_filter: &str, qos: QoS) -> Result<(), Error> {
        self.finish_subscribes(&[topic_filter], qos)
    }

    fn finish_subscribes(&mut self, topic_filters: &[&str], qos: QoS) -> Result<(), Error> {
        let granted = qos.bits();
        self.answer(|answer| match answer {
            Packet::SubAck(suback) if suback.reason_codes.len() != topic_filters.len() => Err(Error::Peer(
                format!("the broker answered {} filters with {suback:?}", topic_filters.len()),
            )),
            Packet::SubAck(suback) => {
                let refused = suback.reason_codes.iter().zip(topic_filters).find(|(code, _)| **code != granted);
                refused.map_or(Ok(()), |(code, topic_filter)| {
                    Err(Error::Peer(format!(
                        "the broker answered a Subscription to \"{topic_filter}\" at QoS {granted} with reason \
                         code 0x{code:02X}"
                    )))
                })
            }
            other => Err(Error::Peer(format!("the broker answered SUBSCRIBE with {other:?}"))),
        })
    }

    /// Says good-bye; [`Connected::finish_disconnect`] waits until the broker has closed.
    pub(crate) fn begin_disconnect(&mut self) -> Result<(), Error> {
        // Without a reason code it is a normal one in every version.
        self.send(&[PacketType::Disconnect.first_byte(), 0])
    }

    /// Waits until the broker has closed the connection. Because the broker closes first, it is not this side
    /// that keeps the port for a while, and a hundred thousand clients need no more ports than a few.
    pub(crate) fn finish_disconnect(mut self) -> Result<(), Error> {
        let mut rest = [0; 4096];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }

    /// Sends packets.
    pub(crate) fn send(&mut self, packets: &[u8]) -> Result<(), Error> {
        let mut rest = packets;
        while !rest.is_empty() || self.stream.has_unsent() {
            match self.stream.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { doing: "send to the broker".to_owned(), source }),
            }
        }
        Ok(())
    }

    /// Reads once more to the end of what is unread; the result says whether anything came in `longest`.
    pub(crate) fn read_more(&mut self, chunk: &mut [u8], longest: Duration) -> Result<bool, Error> {
        self.stream.socket().set_read_timeout(Some(longest)).map_err(Error::io("set a timeout"))?;
        match self.stream.read(chunk) {
            Ok(0) => Err(Error::Peer("the broker closed the connection".to_owned())),
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(source) => Err(Error::Io { doing: "read from the broker".to_owned(), source }),
        }
    }

    /// Reads once; 0 when the broker has closed.
    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.stream.read(chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => return Ok(count),
                Err(source) => {
                    return Err(Error::Io { doing: "read the broker's answer".to_owned(), source });
                }
            }
        }
    }

    fn answer<T>(&mut self, judge: impl FnOnce(Packet<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut chunk = [0; 4096];
        loop {
            if let Split::Packet { frame, length } = split(&self.unread, VARIABLE_BYTE_INTEGER_MAX)? {
                let judged = judge(decode(frame, self.version)?)?;
                self.unread.drain(..length);
                return Ok(judged);
            }
            match self.read(&mut chunk)? {
                0 => {
                    return Err(Error::Peer(
                        "the broker closed the connection instead of answering".to_owned(),
                    ));
                }
                count => self.unread.extend_from_slice(&chunk[..count]),
            }
        }
    }
}
