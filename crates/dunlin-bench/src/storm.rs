//! Running a scenario in which many clients connect at once: how many a broker accepts per second.
//!
//! It is what happens to a broker that was restarted. A number of connections is under way at any time, each from
//! its first packet of TCP until CONNACK; when one is there the next begins. All stay open, so that the last one
//! is accepted by a broker that has all the others. With TLS, a connection is a full handshake, or one that resumes
//! an earlier session with a ticket, as each connection is given for the next.

use std::io;
use std::time::{Duration, Instant};

use dunlin_codec::PacketType;
use mio::net::TcpStream;
use serde::Serialize;

use crate::Error;
use crate::connection::{Connection, READ_BYTES, next_frame};
use crate::handshake::{Session, Target};
use crate::latency::{Latencies, Latency};
use crate::process::Process;
use crate::scenario::Storm;
use crate::stream::Stream;
use crate::usage::{Meter, Usage};

/// When nobody is accepted for so long, the broker has stopped.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// The longest sleep in the poll.
const POLL_MAX: Duration = Duration::from_millis(100);

/// What a storm of connections has met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StormFigures {
    /// Connections that were measured; all were accepted.
    pub connections: u32,
    /// Connections accepted per second.
    pub accepted_per_s: f64,
    /// From the first packet of TCP to CONNACK.
    pub latency: Option<Latency>,
    /// With TLS: how many of them have resumed an earlier session.
    pub resumed: Option<u32>,
    /// What it took.
    pub usage: Usage,
}

impl StormFigures {
    /// CPU time of the broker for each connection, in microseconds, when its process is known.
    #[must_use]
    pub fn broker_cpu_us_per_connection(&self) -> Option<f64> {
        self.usage.broker_cpu_us_each(u64::from(self.connections))
    }
}

/// Runs a scenario; `process` is the broker's, when it is known.
///
/// # Errors
/// When the broker refuses a connection or stops accepting.
pub fn run(target: &Target, storm: &Storm, process: Option<Process>) -> Result<StormFigures, Error> {
    let target = match storm.resumes {
        true => target.resuming().ok_or_else(|| Error::Usage("only TLS resumes sessions".to_owned()))?,
        false => target.clone(),
    };
    let is_encrypted = target.is_encrypted();
    let mut clients = Clients::new(target, storm.under_way)?;
    clients.connect_until(storm.warm_up_connections)?;
    clients.latencies.clear();
    clients.resumed = 0;
    let meter = Meter::begin(process)?;
    clients.connect_until(storm.warm_up_connections.saturating_add(storm.connections))?;
    let usage = meter.end()?;
    Ok(StormFigures {
        connections: storm.connections,
        accepted_per_s: f64::from(storm.connections) / usage.measured_s,
        latency: clients.latencies.sum_up(),
        resumed: is_encrypted.then_some(clients.resumed),
        usage,
    })
}

/// Clients that have connected or are about to; the poll's tokens are their places.
struct Clients {
    target: Target,
    poll: mio::Poll,
    events: mio::Events,
    all: Vec<Client>,
    under_way_max: u32,
    accepted: u32,
    resumed: u32,
    latencies: Latencies,
    buffer: Vec<u8>,
}

struct Client {
    connection: Connection,
    began: Instant,
    is_accepted: bool,
}

impl Clients {
    fn new(target: Target, under_way_max: u32) -> Result<Self, Error> {
        Ok(Self {
            target,
            poll: mio::Poll::new().map_err(Error::io("create a poll"))?,
            events: mio::Events::with_capacity(1024),
            all: Vec::new(),
            under_way_max,
            accepted: 0,
            resumed: 0,
            latencies: Latencies::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Connects until so many clients are accepted.
    fn connect_until(&mut self, count: u32) -> Result<(), Error> {
        let mut last = Instant::now();
        while self.accepted < count {
            while (self.all.len() as u32) < count.min(self.accepted.saturating_add(self.under_way_max)) {
                self.begin()?;
            }
            let before = self.accepted;
            self.turn()?;
            match self.accepted > before {
                true => last = Instant::now(),
                false if last.elapsed() > STALLED_AFTER => {
                    let (seconds, accepted) = (STALLED_AFTER.as_secs(), self.accepted);
                    return Err(Error::Peer(format!(
                        "the broker has accepted {accepted} connections, and none for {seconds} s"
                    )));
                }
                false => {}
            }
        }
        Ok(())
    }

    /// One more connection; its CONNECT leaves when the poll says that it is there.
    fn begin(&mut self) -> Result<(), Error> {
        let place = self.all.len();
        let name = format!("bench-storm-{place}");
        let began = Instant::now();
        let socket = TcpStream::connect(self.target.address).map_err(Error::io(format!("connect {name}")))?;
        socket.set_nodelay(true).map_err(Error::io("set TCP_NODELAY"))?;
        let packet = self.target.connect_packet(&name, Session::Clean);
        let mut connection = Connection::new(Stream::of_client(socket.into(), &self.target.layers)?, name);
        connection.outbox().extend_from_slice(&packet);
        connection.register(self.poll.registry(), place)?;
        self.all.push(Client { connection, began, is_accepted: false });
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Error> {
        match self.poll.poll(&mut self.events, Some(POLL_MAX)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(source) => return Err(Error::Io { doing: "wait for connections".to_owned(), source }),
        }
        for event in &self.events {
            let client = &mut self.all[event.token().0];
            if event.is_writable() {
                client.connection.unblock()?;
            }
            if event.is_readable() || event.is_read_closed() {
                if client.receive(&mut self.buffer)? {
                    self.latencies.record(client.began.elapsed());
                    self.accepted += 1;
                    self.resumed += u32::from(client.connection.is_resumed());
                } else if !client.is_accepted {
                    // A WebSocket that is open now lets the CONNECT through.
                    client.connection.unblock()?;
                }
            }
        }
        Ok(())
    }
}

impl Client {
    /// Reads what there is, which is no more than one read takes. The result says whether it was accepted now.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let mut rest = &buffer[..received.length];
        let was_accepted = self.is_accepted;
        while let Some(frame) = next_frame(&mut rest)? {
            match (frame.packet_type()?, frame.body.get(1)) {
                (PacketType::ConnAck, Some(0)) => self.is_accepted = true,
                (PacketType::ConnAck, code) => {
                    let code = code.copied().unwrap_or_default();
                    return Err(Error::Peer(format!(
                        "the broker refused a connection with code 0x{code:02X}"
                    )));
                }
                (other, _) => return Err(self.connection.unexpected(other)),
            }
        }
        self.connection.keep(rest);
        Ok(self.is_accepted && !was_accepted)
    }
}
