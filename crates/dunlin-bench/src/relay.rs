//! A relay: it passes messages on and decides nothing.
//!
//! It is the floor under every broker's figures, because what it spends is what sockets cost, and the ceiling
//! of the generator, because a generator that saturates a relay saturates any broker. With TLS it is an accept loop
//! that has rustls and nothing else. It reads large, appends to outboxes and writes each outbox once per turn. It
//! knows exact topics only, passes each PUBLISH on as it came, packet identifier included, answers for the other
//! side at QoS 1 and 2, and has no limits: nothing but this generator should connect.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dunlin_codec::{
    ConnAck, ConnAckProperties, Frame, Packet, PacketType, ProtocolVersion, QoS, ReasonCode, SubAck, decode,
    decode_connect,
};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;

use crate::Error;
use crate::connection::{Connection, READ_BYTES, acknowledge, next_frame, packet_identifier};
use crate::stream::Stream;
use crate::tls::TemporaryCertificate;
use crate::transport::Transport;

/// The token of the listener; connections count from 0.
const LISTENER: Token = Token(usize::MAX);
/// How long it may take until the wish to stop is noticed.
const STOP_CHECK: Duration = Duration::from_millis(20);

/// A relay that listens.
#[derive(Debug)]
pub struct Relay {
    poll: Poll,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    /// By token; `None` when the connection has ended. Tokens are not used again.
    clients: Vec<Option<Client>>,
    routes: Routes,
    readable: Vec<usize>,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    version: ProtocolVersion,
    is_readable: bool,
}

/// Who subscribes to which topic, and whose outbox has grown in this turn.
#[derive(Debug, Default)]
struct Routes {
    subscribers: HashMap<Vec<u8>, Vec<usize>>,
    dirty: Vec<usize>,
}

impl Relay {
    /// Listens; port 0 lets the system choose. With TLS it shows a certificate that was made for the occasion.
    ///
    /// # Errors
    /// When the address cannot be had, or the transport is a WebSocket, which a relay does not speak.
    pub fn bind(address: SocketAddr, transport: Transport) -> Result<Self, Error> {
        let tls = match transport {
            Transport::Tcp => None,
            Transport::Tls => Some(TemporaryCertificate::new()?.server()?),
            Transport::WebSocket | Transport::SecureWebSocket => {
                return Err(Error::Usage(format!("a relay speaks no {transport}; use mqtt:// or mqtts://")));
            }
        };
        let poll = Poll::new().map_err(Error::io("create a poll"))?;
        let mut listener = TcpListener::bind(address).map_err(Error::io(format!("listen on {address}")))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(Error::io("watch the listener"))?;
        let (clients, routes, readable) = (Vec::new(), Routes::default(), Vec::new());
        Ok(Self { poll, listener, tls, clients, routes, readable })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listener.local_addr().map_err(Error::io("ask for the address of the listener"))
    }

    /// Relays until `stop` is set.
    ///
    /// # Errors
    /// When the poll or the listener fails; a connection that fails only ends.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), Error> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BYTES];
        while !stop.load(Ordering::Relaxed) {
            let timeout = if self.readable.is_empty() { STOP_CHECK } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::Io { doing: "wait for connections".to_owned(), source: error });
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(token) => self.note(token, event.is_readable(), event.is_writable()),
                }
            }
            self.turn(&mut buffer);
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(source) => return Err(Error::Io { doing: "accept a connection".to_owned(), source }),
            };
            stream.set_nodelay(true).map_err(Error::io("set TCP_NODELAY"))?;
            let token = self.clients.len();
            let stream = Stream::of_server(stream.into(), self.tls.as_ref())?;
            let connection = Connection::new(stream, format!("connection {token}"));
            connection.register(self.poll.registry(), token)?;
            let version = ProtocolVersion::V3_1_1;
            self.clients.push(Some(Client { connection, version, is_readable: false }));
        }
    }

    fn note(&mut self, token: usize, readable: bool, writable: bool) {
        let Some(client) = &mut self.clients[token] else { return };
        if writable && client.connection.unblock().is_err() {
            self.close(token);
        } else if readable && !client.is_readable {
            client.is_readable = true;
            self.readable.push(token);
        }
    }

    fn turn(&mut self, buffer: &mut Vec<u8>) {
        for token in std::mem::take(&mut self.readable) {
            match self.read(token, buffer) {
                Ok(true) => {}
                Ok(false) => self.readable.push(token),
                Err(_) => self.close(token),
            }
        }
        for token in std::mem::take(&mut self.routes.dirty) {
            let Some(client) = &mut self.clients[token] else { continue };
            if client.connection.flush().is_err() {
                self.close(token);
            }
        }
    }

    fn close(&mut self, token: usize) {
        self.clients[token] = None;
        self.routes.forget(token);
    }

    /// Reads once from a connection and passes on what came. The result says whether its socket has no more
    /// for now.
    fn read(&mut self, token: usize, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        // The client is taken out of its place, so that it and the others can be written to.
        let Some(mut client) = self.clients[token].take() else { return Ok(true) };
        let received = client.connection.receive(buffer)?;
        client.is_readable = !received.emptied;
        let mut rest = &buffer[..received.length];
        loop {
            let before = rest;
            let Some(frame) = next_frame(&mut rest)? else { break };
            match frame.packet_type()? {
                PacketType::Publish => {
                    let bytes = &before[..before.len() - rest.len()];
                    self.routes.pass_on(frame, bytes, &mut client.connection, &mut self.clients)?;
                }
                other => self.routes.answer(other, frame, token, &mut client)?,
            }
        }
        client.connection.keep(rest);
        client.connection.flush()?;
        self.clients[token] = Some(client);
        Ok(received.emptied)
    }
}

impl Routes {
    fn forget(&mut self, token: usize) {
        for subscribers in self.subscribers.values_mut() {
            subscribers.retain(|&subscriber| subscriber != token);
        }
    }

    fn pass_on(
        &mut self,
        frame: Frame<'_>,
        bytes: &[u8],
        publisher: &mut Connection,
        clients: &mut [Option<Client>],
    ) -> Result<(), Error> {
        let topic_end = 2 + usize::from(packet_identifier(frame.body, 0)?);
        let topic = frame.body.get(2..topic_end).unwrap_or_default();
        for &subscriber in self.subscribers.get(topic).map(Vec::as_slice).unwrap_or_default() {
            let Some(client) = &mut clients[subscriber] else { continue };
            if client.connection.outbox().is_empty() {
                self.dirty.push(subscriber);
            }
            client.connection.outbox().extend_from_slice(bytes);
        }
        match QoS::from_bits(frame.first_byte >> 1 & 0b11) {
            Some(QoS::AtLeastOnce) => {
                acknowledge(
                    publisher.outbox(),
                    PacketType::PubAck,
                    packet_identifier(frame.body, topic_end)?,
                );
            }
            Some(QoS::ExactlyOnce) => {
                acknowledge(
                    publisher.outbox(),
                    PacketType::PubRec,
                    packet_identifier(frame.body, topic_end)?,
                );
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        packet_type: PacketType,
        frame: Frame<'_>,
        token: usize,
        client: &mut Client,
    ) -> Result<(), Error> {
        let answer = match packet_type {
            PacketType::PubAck | PacketType::PubComp => return Ok(()),
            PacketType::PubRec => PacketType::PubRel,
            PacketType::PubRel => PacketType::PubComp,
            _ => return self.answer_slowly(frame, token, client),
        };
        acknowledge(client.connection.outbox(), answer, packet_identifier(frame.body, 0)?);
        Ok(())
    }

    fn answer_slowly(&mut self, frame: Frame<'_>, token: usize, client: &mut Client) -> Result<(), Error> {
        if let Ok(connect) = decode_connect(frame) {
            client.version = connect.version;
            let (reason_code, properties) = (ReasonCode::Success, ConnAckProperties::default());
            let connack = ConnAck { session_present: false, reason_code, properties };
            connack.encode(client.version, client.connection.outbox());
            return Ok(());
        }
        match decode(frame, client.version)? {
            Packet::Subscribe(subscribe) => {
                let mut granted = Vec::new();
                for (filter, options) in subscribe.filters.iter() {
                    self.subscribers.entry(filter.as_str().into()).or_default().push(token);
                    granted.push(options.maximum_qos.bits());
                }
                let suback = SubAck::new(subscribe.packet_identifier, &granted);
                suback.encode(client.version, client.connection.outbox());
            }
            Packet::PingReq => Packet::PingResp.encode(client.version, client.connection.outbox()),
            other => return Err(Error::Peer(format!("a relay does not do {other:?}"))),
        }
        Ok(())
    }
}
