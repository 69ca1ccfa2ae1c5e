//! The thread that publishes and subscribes: one poll, many connections.
//!
//! Subscribers have their turn before publishers: what is there is counted before more is sent, and a broker
//! is never kept waiting by a generator that only sends. Where messages are stored, progress is what the broker
//! has acknowledged; elsewhere, what it has delivered.
//!
//! With a rate, publishers have their turn first, as soon as the alarm rings: what is due shall leave, and no
//! progress is waited for. Between what is due the thread sleeps.
//!
//! How they come to be connected is in `members.rs`.

use std::io;
use std::time::{Duration, Instant};

use dunlin_codec::QoS;

use crate::Error;
use crate::alarm::Alarm;
use crate::arrivals::{Arrivals, Tally};
use crate::connection::READ_BYTES;
use crate::course::{Course, Sample, Totals};
use crate::latency::{Latencies, Latency};
use crate::progress::Watch;
use crate::publisher::Publisher;
use crate::schedule::Schedule;
use crate::subscriber::Subscriber;

mod members;

/// How long the warm-up may take.
const WARM_UP_MAX: Duration = Duration::from_secs(60);
/// How long draining may take as a whole.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// When nothing arrives for so long while draining, the rest is lost.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);
/// When nothing arrives for so long at QoS 0 while publishers wait for it, they stop waiting for what they have
/// sent.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);
/// When nothing arrives for so long at QoS 1 or 2, the broker has stopped.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// The longest sleep in the poll, so that the clock is looked at.
const POLL_MAX: Duration = Duration::from_millis(20);
/// The token of the alarm; connections count from 0.
const ALARM: mio::Token = mio::Token(usize::MAX);

/// The connections of a run and what they have seen. Poll tokens count subscribers first, then publishers.
pub(crate) struct Generator {
    poll: mio::Poll,
    events: mio::Events,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    /// Tokens of connections that may have something to read, each at most once.
    readable: Vec<usize>,
    is_readable: Vec<bool>,
    arrivals: Arrivals,
    timetable: Option<Timetable>,
    last_arrival: Instant,
    /// When publishers last stopped to wait for what they had sent.
    gave_up: Instant,
    qos: QoS,
    is_stored: bool,
    course: Course,
    buffer: Vec<u8>,
}

/// When messages are due, for a run with a rate.
struct Timetable {
    schedule: Schedule,
    /// Nothing is due after this.
    end: Option<Instant>,
    alarm: Alarm,
}

/// How publishers have kept to a schedule.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Punctuality {
    pub(crate) rate_per_s: u32,
    pub(crate) lateness: Option<Latency>,
    /// See [`Pace::held_back`](crate::pace::Pace::held_back).
    pub(crate) held_back: u64,
    /// Messages that were due and never left.
    pub(crate) unsent: u64,
}

impl Generator {
    /// Nobody yet.
    pub(crate) fn new(qos: QoS, is_stored: bool) -> Result<Self, Error> {
        Ok(Self {
            poll: mio::Poll::new().map_err(Error::io("create a poll"))?,
            events: mio::Events::with_capacity(1024),
            subscribers: Vec::new(),
            publishers: Vec::new(),
            readable: Vec::new(),
            is_readable: Vec::new(),
            arrivals: Arrivals::default(),
            timetable: None,
            last_arrival: Instant::now(),
            gave_up: Instant::now(),
            qos,
            is_stored,
            course: Course::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Whether the broker has to store what is published.
    pub(crate) fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// What subscribers have received.
    pub(crate) fn tally(&self) -> Tally {
        self.arrivals.tally
    }

    /// Messages published so far.
    pub(crate) fn published(&self) -> u64 {
        self.publishers.iter().map(Publisher::sent).sum()
    }

    /// Messages acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.publishers.iter().map(Publisher::acknowledged).sum()
    }

    /// Deliveries that these should make.
    pub(crate) fn expected(&self) -> u64 {
        self.publishers.iter().map(Publisher::expected).sum()
    }

    /// From now on, whoever watches is told what was sent and received.
    pub(crate) fn watched(&mut self, watch: &Watch) {
        self.course.told_to(watch.teller());
    }

    /// Begins anew to take samples; what follows goes on for so long.
    pub(crate) fn begin_course(&mut self, duration: Duration) {
        self.course.begin(self.totals(Instant::now()), duration);
    }

    /// The samples since then.
    pub(crate) fn course(&mut self) -> Vec<Sample> {
        self.course.take()
    }

    fn totals(&self, at: Instant) -> Totals {
        let (sent, acknowledged) = (self.published(), self.acknowledged());
        Totals { at, sent, received: self.tally().received, acknowledged }
    }

    #[cold]
    fn take_sample(&mut self, now: Instant) {
        let is_told = self.course.is_told(now);
        let latency = if is_told { self.latency().or_else(|| self.waits()) } else { None };
        self.course.add(self.totals(now), self.is_stored, latency);
    }

    /// Begins anew to record how long acknowledgements take and, with a schedule, how long messages take that
    /// become due from now on.
    pub(crate) fn forget_waits(&mut self) {
        self.publishers.iter_mut().filter_map(Publisher::waits).for_each(|waits| waits.clear());
        let now = Instant::now();
        self.publishers.iter_mut().filter_map(Publisher::pace).for_each(|pace| pace.record_from(now));
        if let Some(timetable) = &self.timetable {
            self.arrivals.time_from(timetable.schedule, now);
        }
    }

    /// With a schedule: how long messages took, from when they were due until they were received.
    pub(crate) fn latency(&self) -> Option<Latency> {
        self.arrivals.waits()?.sum_up()
    }

    /// With a schedule: how publishers have kept to it.
    pub(crate) fn punctuality(&mut self) -> Option<Punctuality> {
        let Timetable { schedule, end, .. } = self.timetable.as_ref()?;
        let end = end.unwrap_or_else(Instant::now);
        let mut lateness = Latencies::new();
        let mut punctuality = Punctuality { rate_per_s: schedule.rate_per_s, ..Punctuality::default() };
        for publisher in &mut self.publishers {
            punctuality.unsent += publisher.behind(end);
            if let Some(pace) = publisher.pace() {
                lateness.add(&pace.lateness);
                punctuality.held_back += pace.held_back;
            }
        }
        Some(Punctuality { lateness: lateness.sum_up(), ..punctuality })
    }

    /// How long acknowledgements took.
    pub(crate) fn waits(&mut self) -> Option<Latency> {
        let mut all = Latencies::new();
        self.publishers.iter_mut().filter_map(Publisher::waits).for_each(|waits| all.add(waits));
        all.sum_up()
    }

    /// What grows while the broker does its work.
    fn done(&self) -> u64 {
        if self.is_stored { self.acknowledged() } else { self.tally().received }
    }

    /// What grows while the broker does anything.
    fn arrived(&self) -> u64 {
        if self.is_stored { self.acknowledged() + self.tally().received } else { self.tally().received }
    }

    /// Publishes until so many messages are through.
    pub(crate) fn warm_up(&mut self, messages: u64) -> Result<(), Error> {
        let deadline = Instant::now() + WARM_UP_MAX;
        self.last_arrival = Instant::now();
        while self.done() < messages {
            let now = self.publishing_turn()?;
            if now > deadline {
                let done = self.done();
                return Err(Error::Peer(format!(
                    "only {done} of {messages} messages were through in the {} s of the warm-up",
                    WARM_UP_MAX.as_secs()
                )));
            }
        }
        Ok(())
    }

    /// Publishes until `end`. With a schedule nothing is due after it.
    pub(crate) fn publish_until(&mut self, end: Instant) -> Result<(), Error> {
        if let Some(timetable) = &mut self.timetable {
            timetable.end = Some(end);
        }
        while self.publishing_turn()? < end {}
        Ok(())
    }

    /// With a schedule: sends what was due and could not leave, however late, so that its latency counts.
    pub(crate) fn catch_up(&mut self) -> Result<(), Error> {
        let Some(end) = self.timetable.as_ref().and_then(|timetable| timetable.end) else { return Ok(()) };
        let deadline = Instant::now() + DRAIN_MAX;
        while self.publishers.iter().any(|publisher| publisher.behind(end) > 0) {
            if self.publishing_turn()? > deadline {
                break;
            }
        }
        Ok(())
    }

    /// Publishes until the broker has acknowledged so many messages.
    pub(crate) fn publish_all(&mut self, messages: u64) -> Result<(), Error> {
        self.last_arrival = Instant::now();
        while self.acknowledged() < messages {
            self.publishing_turn()?;
        }
        Ok(())
    }

    /// Receives what is under way, until all is there or nothing comes any more.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN_MAX;
        let expected = self.expected();
        loop {
            let all_there = self.tally().received - self.tally().repeated >= expected;
            let settled = self.publishers.iter_mut().all(Publisher::is_settled);
            if all_there && settled || Instant::now() > deadline {
                return Ok(());
            }
            self.poll(POLL_MAX)?;
            self.receive()?;
            for publisher in &mut self.publishers {
                publisher.connection.flush()?;
            }
            // Only now: a thread that others kept from its core has not listened.
            if self.last_arrival.elapsed() > DRAIN_SILENCE {
                return Ok(());
            }
        }
    }

    fn publishing_turn(&mut self) -> Result<Instant, Error> {
        match self.timetable {
            Some(_) => self.due_turn()?,
            None => self.eager_turn()?,
        }
        let now = Instant::now();
        self.judge_silence(now)?;
        if self.course.is_due(now) {
            self.take_sample(now);
        }
        Ok(now)
    }

    /// Publishes as much as limits and sockets take.
    fn eager_turn(&mut self) -> Result<(), Error> {
        let publishers = self.publishers.iter().zip(&self.arrivals.progress);
        let sender_waits = publishers.clone().any(|(publisher, &progress)| publisher.can_send(progress));
        self.poll(if sender_waits { Duration::ZERO } else { POLL_MAX })?;
        self.receive()?;
        for (publisher, &progress) in self.publishers.iter_mut().zip(&self.arrivals.progress) {
            publisher.send(progress)?;
        }
        Ok(())
    }

    /// Publishes what is due, and sleeps until there is something to do.
    fn due_turn(&mut self) -> Result<(), Error> {
        let Some(Timetable { schedule, end, alarm }) = &mut self.timetable else { return Ok(()) };
        let now = Instant::now();
        let until = end.map_or(now, |end| end.min(now));
        for publisher in &mut self.publishers {
            publisher.send_due(until, now)?;
        }
        let next = schedule.next_due(now);
        let next = end.filter(|&end| end > now).map_or(next, |end| end.min(next));
        let now = Instant::now();
        let timeout = if next <= now { Duration::ZERO } else { POLL_MAX };
        if next > now {
            alarm.set(next, now)?;
        }
        self.poll(timeout)?;
        self.receive()
    }

    fn judge_silence(&mut self, now: Instant) -> Result<(), Error> {
        let silence = now - self.last_arrival;
        // What is sent after giving up has as long to arrive.
        if self.qos == QoS::AtMostOnce && now - self.last_arrival.max(self.gave_up) > GIVE_UP_AFTER {
            self.publishers.iter_mut().for_each(Publisher::give_up_outstanding);
            self.gave_up = now;
        }
        if silence > STALLED_AFTER {
            let seconds = STALLED_AFTER.as_secs();
            let what = if self.is_stored { "acknowledged" } else { "delivered" };
            return Err(Error::Peer(format!("the broker has {what} nothing for {seconds} s")));
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
        for event in self.events.iter().filter(|event| event.token() != ALARM) {
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
        let arrived_before = self.arrived();
        let mut still_readable = 0;
        for position in 0..self.readable.len() {
            let token = self.readable[position];
            let emptied = match token.checked_sub(self.subscribers.len()) {
                None => self.subscribers[token].turn(&mut self.buffer, &mut self.arrivals)?,
                Some(publisher) => self.publishers[publisher].receive(&mut self.buffer)?,
            };
            self.is_readable[token] = !emptied;
            if !emptied {
                self.readable[still_readable] = token;
                still_readable += 1;
            }
        }
        self.readable.truncate(still_readable);
        if self.arrived() > arrived_before {
            self.last_arrival = Instant::now();
        }
        Ok(())
    }
}
