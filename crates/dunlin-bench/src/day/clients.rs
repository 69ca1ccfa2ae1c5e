//! Who sends and receives in a small day: devices, a controller, a dashboard and workers, in one poll.

use std::io;
use std::time::{Duration, Instant};

use dunlin_codec::{Frame, PacketType, QoS};

use super::classes::{Arrivals, Role};
use super::streams::{Kind, Stream};
use crate::Error;
use crate::alarm::Alarm;
use crate::connection::{Connection, READ_BYTES, acknowledge, next_frame, packet_identifier};
use crate::handshake::{Session, Target};
use crate::latency::{Latencies, Latency};
use crate::numbered::numbered;
use crate::scenario::Day;
use crate::stamp::Stamp;
use crate::subscriber::foreign_message;

/// The longest sleep in the poll, so that the clock is looked at.
const POLL_MAX: Duration = Duration::from_millis(20);
/// The token of the alarm; clients count from 0.
const ALARM: mio::Token = mio::Token(usize::MAX);
/// Messages of one client that may be unacknowledged; a Receive Maximum of the broker lowers it.
const UNACKNOWLEDGED_MAX: u16 = 1_000;

/// How long draining may take as a whole.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// When nothing arrives for so long while draining, the rest is lost.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// Everybody. Poll tokens are places: devices come first, then the controller, the dashboard and the workers.
pub(crate) struct Clients {
    poll: mio::Poll,
    events: mio::Events,
    alarm: Alarm,
    all: Vec<Client>,
    devices: u32,
    streams: [Stream; 3],
    /// Nothing is due after this.
    end: Option<Instant>,
    /// Places of clients that may have something to read, each at most once.
    readable: Vec<usize>,
    /// Places of clients that have something to send.
    unsent: Vec<usize>,
    pub(crate) arrivals: Arrivals,
    last_arrival: Instant,
    buffer: Vec<u8>,
}

struct Client {
    connection: Connection,
    role: Role,
    is_readable: bool,
    unacknowledged: u16,
    unacknowledged_max: u16,
    last_identifier: u16,
}

impl Clients {
    /// Connects everybody, the dashboard with a filter that holds all the day's topics; the first messages are
    /// due when all are there.
    pub(crate) fn connect(target: &Target, day: &Day, dashboard: &str) -> Result<Self, Error> {
        let poll = mio::Poll::new().map_err(Error::io("create a poll"))?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let mut all = Vec::new();
        for number in 0..day.devices {
            let filter = numbered(Kind::Command.pattern(), number);
            let name = format!("bench-device-{number}");
            all.push(Client::connect(target, name, Role::Device(number), Some(&filter))?);
        }
        all.push(Client::connect(target, "bench-controller".to_owned(), Role::Controller, None)?);
        all.push(Client::connect(target, "bench-dashboard".to_owned(), Role::Dashboard, Some(dashboard))?);
        for number in 0..day.workers {
            let filter = "$share/workers/dunlin-day/+/state";
            let name = format!("bench-worker-{number}");
            all.push(Client::connect(target, name, Role::Worker, Some(filter))?);
        }
        for (place, client) in all.iter_mut().enumerate() {
            client.connection.register(poll.registry(), place)?;
        }
        let streams = Stream::all(day, target.version, Instant::now());
        let schedules = [streams[0].schedule, streams[1].schedule, streams[2].schedule];
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(1024),
            alarm,
            all,
            devices: day.devices,
            streams,
            end: None,
            readable: Vec::new(),
            unsent: Vec::new(),
            arrivals: Arrivals::new(schedules),
            last_arrival: Instant::now(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Records latency and lateness of what becomes due at `from` or later.
    pub(crate) fn time_from(&mut self, from: Instant) {
        self.streams.iter_mut().for_each(|stream| stream.pace.record_from(from));
        self.arrivals.time_from(from);
    }

    /// Nothing is due after `end`.
    pub(crate) fn end_at(&mut self, end: Instant) {
        self.end = Some(end);
    }

    /// Messages of each kind that were sent.
    pub(crate) fn sent(&self) -> [u64; 3] {
        [self.streams[0].sent, self.streams[1].sent, self.streams[2].sent]
    }

    /// Messages that were due at `now` and have not left.
    pub(super) fn behind(&self, now: Instant) -> u64 {
        self.streams.iter().map(|stream| stream.pace.count_due(now).saturating_sub(stream.sent)).sum()
    }

    /// How late messages left that the broker did not hold back.
    pub(super) fn lateness(&self) -> Option<Latency> {
        let mut all = Latencies::new();
        self.streams.iter().for_each(|stream| all.add(&stream.pace.lateness));
        all.sum_up()
    }

    /// Messages that the broker held back.
    pub(super) fn held_back(&self) -> u64 {
        self.streams.iter().map(|stream| stream.pace.held_back).sum()
    }

    /// Sends what is due and receives what comes until `end`.
    pub(crate) fn go_on_until(&mut self, end: Instant) -> Result<(), Error> {
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Sends what was due before the end and could not leave, and receives what is under way.
    pub(crate) fn drain(&mut self, end: Instant) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN_MAX;
        while self.behind(end) > 0 || !self.arrivals.are_complete(self.sent()) {
            self.turn()?;
            if self.last_arrival.elapsed() > DRAIN_SILENCE || Instant::now() > deadline {
                break;
            }
        }
        Ok(())
    }

    /// Sends what is due, sleeps until there is something to do, and gives every readable client one read.
    fn turn(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        self.send_due(now)?;
        let next = self.streams.iter().map(|stream| stream.schedule.next_due(now)).min().unwrap_or(now);
        let next = self.end.filter(|&end| end > now).map_or(next, |end| end.min(next));
        let now = Instant::now();
        let timeout = if next <= now || !self.readable.is_empty() { Duration::ZERO } else { POLL_MAX };
        if !timeout.is_zero() {
            self.alarm.set(next, now)?;
        }
        self.poll(timeout)?;
        self.receive()
    }

    fn send_due(&mut self, now: Instant) -> Result<(), Error> {
        let until = self.end.map_or(now, |end| end.min(now));
        for stream in &mut self.streams {
            let due = stream.pace.count_due(until);
            while stream.sent < due {
                let place = match stream.kind {
                    Kind::Command => self.devices as usize,
                    Kind::Telemetry | Kind::State => stream.next_device() as usize,
                };
                let client = &mut self.all[place];
                if !client.has_room(stream.is_acknowledged()) {
                    // Whoever is behind waits for this one: messages of a kind leave in their order.
                    stream.pace.hold(due);
                    break;
                }
                if client.connection.outbox().is_empty() {
                    self.unsent.push(place);
                }
                let identifier = client.identifier(stream.is_acknowledged());
                stream.append(client.connection.outbox(), identifier, now);
            }
        }
        for place in self.unsent.drain(..) {
            self.all[place].connection.flush()?;
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<(), Error> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(source) => return Err(Error::Io { doing: "wait for connections".to_owned(), source }),
        }
        for event in self.events.iter().filter(|event| event.token() != ALARM) {
            let place = event.token().0;
            let client = &mut self.all[place];
            if event.is_writable() {
                client.connection.unblock()?;
            }
            if (event.is_readable() || event.is_read_closed()) && !client.is_readable {
                client.is_readable = true;
                self.readable.push(place);
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Error> {
        let delivered = self.arrivals.delivered();
        let (all, arrivals, buffer) = (&mut self.all, &mut self.arrivals, &mut self.buffer);
        let mut result = Ok(());
        self.readable.retain(|&place| {
            let client = &mut all[place];
            match client.receive(buffer, arrivals, self.devices) {
                Ok(emptied) => client.is_readable = !emptied,
                Err(error) => result = Err(error),
            }
            client.is_readable
        });
        if self.arrivals.delivered() > delivered {
            self.last_arrival = Instant::now();
        }
        result
    }
}

impl Client {
    fn connect(target: &Target, name: String, role: Role, filter: Option<&str>) -> Result<Self, Error> {
        let mut connected = target.connect(&name, Session::Clean)?;
        if let Some(filter) = filter {
            connected.subscribe(filter, QoS::AtLeastOnce)?;
        }
        let unacknowledged_max = connected.receive_maximum.min(UNACKNOWLEDGED_MAX);
        let connection = Connection::of_client(connected, name)?;
        Ok(Self {
            connection,
            role,
            is_readable: false,
            unacknowledged: 0,
            unacknowledged_max,
            last_identifier: 0,
        })
    }

    /// Whether it may send a message now.
    fn has_room(&self, is_acknowledged: bool) -> bool {
        !self.connection.is_blocked() && (!is_acknowledged || self.unacknowledged < self.unacknowledged_max)
    }

    /// A packet identifier for the next message. They go round, and far fewer are in use at a time.
    fn identifier(&mut self, is_acknowledged: bool) -> u16 {
        if is_acknowledged {
            self.unacknowledged += 1;
            self.last_identifier = self.last_identifier.checked_add(1).unwrap_or(1);
        }
        self.last_identifier
    }

    /// Reads once, counts what came and acknowledges it. The result says whether the socket has no more for now.
    fn receive(
        &mut self,
        buffer: &mut Vec<u8>,
        arrivals: &mut Arrivals,
        devices: u32,
    ) -> Result<bool, Error> {
        let received = self.connection.receive(buffer)?;
        let now = Instant::now();
        let mut rest = &buffer[..received.length];
        while let Some(frame) = next_frame(&mut rest)? {
            match frame.packet_type()? {
                PacketType::Publish => self.handle_publish(frame, arrivals, devices, now)?,
                PacketType::PubAck => {
                    let left = self.unacknowledged.checked_sub(1);
                    self.unacknowledged = left
                        .ok_or_else(|| Error::Peer("the broker acknowledged a message twice".to_owned()))?;
                }
                other => return Err(self.connection.unexpected(other)),
            }
        }
        self.connection.keep(rest);
        self.connection.flush()?;
        Ok(received.emptied)
    }

    fn handle_publish(
        &mut self,
        frame: Frame<'_>,
        arrivals: &mut Arrivals,
        devices: u32,
        now: Instant,
    ) -> Result<(), Error> {
        // With RETAIN it is the state of an earlier day, which a new Subscription gets first.
        if frame.first_byte & 1 == 0 {
            let stamp = Stamp::read(frame.body).ok_or_else(foreign_message)?;
            if matches!(self.role, Role::Device(number) if Kind::Command.device(stamp.sequence, devices) != number)
            {
                return Err(Error::Peer("a device received the command of another one".to_owned()));
            }
            arrivals.count(stamp, self.role, now).ok_or_else(foreign_message)?;
        }
        if frame.first_byte >> 1 & 0b11 == 1 {
            let topic_bytes = usize::from(packet_identifier(frame.body, 0)?);
            let identifier = packet_identifier(frame.body, 2 + topic_bytes)?;
            acknowledge(self.connection.outbox(), PacketType::PubAck, identifier);
        }
        Ok(())
    }
}
