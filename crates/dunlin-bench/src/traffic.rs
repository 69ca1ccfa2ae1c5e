//! Running a scenario that moves messages: one thread, one poll, three phases.
//!
//! ```text
//! warm-up --(warm_up_messages delivered)--> measuring --(duration)--> draining --(all there, or silence)--> figures
//! ```
//!
//! CPU time and deliveries are read together at both ends of the measuring phase, so that neither connecting
//! nor draining is in the figures; what is lost is only known after draining. Subscribers have their turn
//! before publishers: what is there is counted before more is sent, and a broker is never kept waiting by a
//! generator that only sends.

use std::io;
use std::time::{Duration, Instant};

use dunlin_codec::QoS;
use serde::Serialize;

use crate::Error;
use crate::connection::{Connection, READ_BYTES};
use crate::handshake::Target;
use crate::process::{CpuTime, Process};
use crate::publisher::Publisher;
use crate::scenario::Traffic;
use crate::subscriber::{Subscriber, Tally};

/// How long the warm-up may take.
const WARM_UP_MAX: Duration = Duration::from_secs(60);
/// How long draining may take as a whole.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// When nothing arrives for so long while draining, the rest is lost.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);
/// When nothing arrives for so long at QoS 0 while publishers wait for it, they stop waiting.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);
/// When nothing arrives for so long at QoS 1 or 2, the broker has stopped.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// The longest sleep in the poll, so that the clock is looked at.
const POLL_MAX: Duration = Duration::from_millis(20);

/// What a run that moves messages has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficFigures {
    /// How long was measured, in seconds.
    pub measured_s: f64,
    /// Messages delivered while it was measured.
    pub delivered: u64,
    /// Messages delivered per second.
    pub delivered_per_s: f64,
    /// CPU time of the broker's process per delivered message in microseconds, when its process is known.
    pub broker_cpu_us_per_message: Option<f64>,
    /// The share of one core that the broker used; about 1 when it was saturated.
    pub broker_cpu_share: Option<f64>,
    /// The share of the time in which the broker had work and others had its core; 0 on a quiet machine.
    pub broker_wait_share: Option<f64>,
    /// The share of one core that the generator used; below 1 when it was not the limit.
    pub generator_cpu_share: f64,
    /// The share of the time in which the generator had work and others had its core.
    pub generator_wait_share: f64,
    /// Messages published in the whole run.
    pub published: u64,
    /// Deliveries that these should make.
    pub expected: u64,
    /// Deliveries that were made, without repeated ones.
    pub received: u64,
    /// `expected - received`.
    pub lost: u64,
    /// Messages that came twice, or after a later one of the same publisher.
    pub repeated: u64,
}

/// Runs a scenario; `process` is the broker's, when it is known.
///
/// # Errors
/// When the broker refuses, closes a connection, breaks the protocol or stops delivering.
pub fn run(target: &Target, traffic: &Traffic, process: Option<Process>) -> Result<TrafficFigures, Error> {
    let mut generator = Generator::connect(target, traffic)?;
    generator.warm_up(traffic.warm_up_messages)?;
    let before = Reading::take(process, generator.tally.received)?;
    generator.publish_until(before.at + Duration::from_millis(traffic.duration_ms))?;
    let after = Reading::take(process, generator.tally.received)?;
    generator.drain()?;
    Ok(figures(&before, &after, &generator))
}

/// What is read together at both ends of the measuring phase.
struct Reading {
    at: Instant,
    received: u64,
    broker: Option<CpuTime>,
    generator: CpuTime,
}

impl Reading {
    fn take(process: Option<Process>, received: u64) -> Result<Self, Error> {
        let broker = process.map(|process| process.cpu_time()).transpose()?;
        Ok(Self { at: Instant::now(), received, broker, generator: Process::this().cpu_time()? })
    }
}

fn figures(before: &Reading, after: &Reading, generator: &Generator) -> TrafficFigures {
    let measured = after.at - before.at;
    let share = |used: Duration| used.as_secs_f64() / measured.as_secs_f64();
    let delivered = after.received - before.received;
    let broker = before.broker.as_ref().zip(after.broker.as_ref()).map(|(before, after)| after.since(before));
    let own = after.generator.since(&before.generator);
    let expected = generator.publishers.iter().map(Publisher::expected).sum::<u64>();
    let received = generator.tally.received - generator.tally.repeated;
    TrafficFigures {
        measured_s: measured.as_secs_f64(),
        delivered,
        delivered_per_s: delivered as f64 / measured.as_secs_f64(),
        broker_cpu_us_per_message: broker
            .filter(|_| delivered > 0)
            .map(|used| used.ran.as_secs_f64() * 1e6 / delivered as f64),
        broker_cpu_share: broker.map(|used| share(used.ran)),
        broker_wait_share: broker.map(|used| share(used.waited)),
        generator_cpu_share: share(own.ran),
        generator_wait_share: share(own.waited),
        published: generator.publishers.iter().map(Publisher::sent).sum(),
        expected,
        received,
        lost: expected.saturating_sub(received),
        repeated: generator.tally.repeated,
    }
}

/// The connections of a run and what they have seen. Poll tokens count subscribers first, then publishers.
struct Generator {
    poll: mio::Poll,
    events: mio::Events,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    /// Tokens of connections that may have something to read, each at most once.
    readable: Vec<usize>,
    is_readable: Vec<bool>,
    /// Deliveries that the subscribers of each publisher are past, together.
    progress: Vec<u64>,
    tally: Tally,
    last_arrival: Instant,
    qos: QoS,
    buffer: Vec<u8>,
}

impl Generator {
    fn connect(target: &Target, traffic: &Traffic) -> Result<Self, Error> {
        let poll = mio::Poll::new().map_err(Error::io("create a poll"))?;
        let mut subscribers = Vec::new();
        for index in 0..traffic.subscribers {
            let name = format!("bench-s{index}");
            let mut connected = target.connect(&name)?;
            connected.subscribe(&traffic.topic(index), traffic.qos)?;
            let mut connection = Connection::of_client(connected, name)?;
            connection.register(poll.registry(), subscribers.len())?;
            subscribers.push(Subscriber::new(connection, traffic.senders(index), traffic.topics));
        }
        let mut publishers = Vec::new();
        for index in 0..traffic.publishers {
            let name = format!("bench-p{index}");
            let connected = target.connect(&name)?;
            let window = traffic.window.min(connected.receive_maximum);
            let mut connection = Connection::of_client(connected, name)?;
            connection.register(poll.registry(), subscribers.len() + publishers.len())?;
            publishers.push(Publisher::new(connection, index, traffic, window, target.version));
        }
        Ok(Self {
            poll,
            events: mio::Events::with_capacity(1024),
            readable: Vec::new(),
            is_readable: vec![false; subscribers.len() + publishers.len()],
            progress: vec![0; publishers.len()],
            tally: Tally::default(),
            last_arrival: Instant::now(),
            qos: traffic.qos,
            buffer: vec![0; READ_BYTES],
            subscribers,
            publishers,
        })
    }

    fn warm_up(&mut self, messages: u64) -> Result<(), Error> {
        let deadline = Instant::now() + WARM_UP_MAX;
        self.last_arrival = Instant::now();
        while self.tally.received < messages {
            let now = self.publishing_turn()?;
            if now > deadline {
                let received = self.tally.received;
                return Err(Error::Peer(format!(
                    "the broker delivered only {received} of {messages} messages in the {} s of the warm-up",
                    WARM_UP_MAX.as_secs()
                )));
            }
        }
        Ok(())
    }

    fn publish_until(&mut self, end: Instant) -> Result<(), Error> {
        while self.publishing_turn()? < end {}
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN_MAX;
        let expected = self.publishers.iter().map(Publisher::expected).sum::<u64>();
        loop {
            let all_there = self.tally.received - self.tally.repeated >= expected;
            let settled = self.publishers.iter_mut().all(Publisher::is_settled);
            let now = Instant::now();
            if all_there && settled || now > deadline || now - self.last_arrival > DRAIN_SILENCE {
                return Ok(());
            }
            self.poll(POLL_MAX)?;
            self.receive()?;
            for publisher in &mut self.publishers {
                publisher.connection.flush()?;
            }
        }
    }

    fn publishing_turn(&mut self) -> Result<Instant, Error> {
        let sender_waits =
            self.publishers.iter().zip(&self.progress).any(|(publisher, &p)| publisher.can_send(p));
        self.poll(if sender_waits { Duration::ZERO } else { POLL_MAX })?;
        self.receive()?;
        for (publisher, &progress) in self.publishers.iter_mut().zip(&self.progress) {
            publisher.send(progress)?;
        }
        let now = Instant::now();
        self.judge_silence(now)?;
        Ok(now)
    }

    fn judge_silence(&mut self, now: Instant) -> Result<(), Error> {
        let silence = now - self.last_arrival;
        if self.qos == QoS::AtMostOnce && silence > GIVE_UP_AFTER {
            self.publishers.iter_mut().for_each(Publisher::give_up_outstanding);
        }
        if silence > STALLED_AFTER {
            let seconds = STALLED_AFTER.as_secs();
            return Err(Error::Peer(format!("the broker has delivered nothing for {seconds} s")));
        }
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<(), Error> {
        let timeout = if self.readable.is_empty() { timeout } else { Duration::ZERO };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(source) => return Err(Error::Io { doing: "wait for connections".to_owned(), source }),
        }
        for event in &self.events {
            let token = event.token().0;
            if event.is_writable() {
                match token.checked_sub(self.subscribers.len()) {
                    None => self.subscribers[token].connection.unblock()?,
                    Some(publisher) => self.publishers[publisher].connection.unblock()?,
                }
            }
            if (event.is_readable() || event.is_read_closed()) && !self.is_readable[token] {
                self.is_readable[token] = true;
                self.readable.push(token);
            }
        }
        Ok(())
    }

    /// Gives every readable connection one read; those whose socket has more stay readable.
    fn receive(&mut self) -> Result<(), Error> {
        let received_before = self.tally.received;
        let mut still_readable = 0;
        for position in 0..self.readable.len() {
            let token = self.readable[position];
            let emptied = match token.checked_sub(self.subscribers.len()) {
                None => {
                    self.subscribers[token].turn(&mut self.buffer, &mut self.tally, &mut self.progress)?
                }
                Some(publisher) => self.publishers[publisher].receive(&mut self.buffer)?,
            };
            self.is_readable[token] = !emptied;
            if !emptied {
                self.readable[still_readable] = token;
                still_readable += 1;
            }
        }
        self.readable.truncate(still_readable);
        if self.tally.received > received_before {
            self.last_arrival = Instant::now();
        }
        Ok(())
    }
}
