//! What guests do, visit after visit, in a thread of their own: all that makes a broker create and forget.
//!
//! ```text
//! newcomer    a new identifier: subscribes, publishes a Retained Message at QoS 2, receives it, removes it, leaves
//! doomed      a new identifier: is gone without a word, and its Will Message comes to the witness
//! returning   one of a few persistent Sessions: receives what was published while it was away, QoS 1 and 2, once each
//! cut off     the same, and is gone again before it has acknowledged anything; then it returns
//! takeover    one of a few identifiers that are connected already: the earlier connection is closed
//! passing     a new Session with messages for nobody, which expires (MQTT 5.0)
//! ```
//!
//! Whatever does not come, or comes twice where the protocol says once, ends the run with an error.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::{ProtocolVersion, QoS};
use serde::Serialize;

use super::guest::{Guest, Stay};
use crate::Error;
use crate::handshake::Target;
use crate::stamp::Stamp;

/// Persistent Sessions that leave and come back.
const RETURNING: u64 = 40;
/// Client identifiers that are taken over.
const TAKEN: u64 = 10;
/// Messages for a Session that is away.
const MESSAGES_AWAY: u64 = 8;
/// How long a Session of a passing guest is kept.
const PASSING_EXPIRY_S: u32 = 2;
/// What the Will Messages of guests are published to.
const WILLS: &str = "dunlin-soak/will";
/// What every passing guest has subscribed to.
const PASSING: &str = "dunlin-soak/passing";
/// The longest sleep, so that the wish to stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Visits that were made, by their kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Visits {
    /// Clients with a new identifier that came and left.
    pub newcomers: u64,
    /// Clients whose Will Message has come.
    pub doomed: u64,
    /// Returns to a persistent Session in which all messages were.
    pub returning: u64,
    /// Connections that were lost before anything was acknowledged.
    pub cut_off: u64,
    /// Connections that were taken over.
    pub takeovers: u64,
    /// Sessions that were left to expire.
    pub passing: u64,
}

/// How far the visits are, for whoever measures meanwhile.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    visits: AtomicU64,
    has_ended: AtomicBool,
    shall_stop: AtomicBool,
}

impl Pulse {
    /// Visits so far.
    pub(super) fn visits(&self) -> u64 {
        self.visits.load(Ordering::Relaxed)
    }

    /// Whether no more visits will come: one has failed.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

/// Does `work` while guests come and go.
pub(super) fn during<T>(
    target: &Target,
    rate_per_s: u32,
    work: impl FnOnce(&Pulse) -> Result<T, Error>,
) -> Result<(T, Visits), Error> {
    let mut guests = Guests::connect(target)?;
    let pulse = Pulse::default();
    thread::scope(|scope| {
        let visiting = scope.spawn(|| {
            let ended = guests.come_and_go(rate_per_s, &pulse).and_then(|()| guests.farewell());
            pulse.has_ended.store(true, Ordering::Relaxed);
            ended
        });
        let done = work(&pulse);
        pulse.shall_stop.store(true, Ordering::Relaxed);
        let visits = visiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((done?, visits))
    })
}

/// Those who stay, and what they know of the others.
struct Guests {
    target: Target,
    /// Publishes for those who are away.
    poster: Guest,
    /// Receives the Will Messages.
    witness: Guest,
    taken: Vec<Guest>,
    /// For each persistent Session, messages that were published for it.
    posted: Vec<u64>,
    visits: Visits,
    /// Client identifiers that were used once.
    identifiers: u64,
}

impl Guests {
    fn connect(target: &Target) -> Result<Self, Error> {
        let poster = Guest::connect(target, "soak-poster".to_owned(), Stay::Clean)?;
        let mut witness = Guest::connect(target, "soak-witness".to_owned(), Stay::Clean)?;
        witness.subscribe(WILLS, QoS::AtLeastOnce)?;
        for number in 0..RETURNING {
            // Whatever an earlier run has left is not this one's.
            Guest::connect(target, returning(number), Stay::Clean)?.leave()?;
            let mut guest = Guest::connect(target, returning(number), Stay::Persistent)?;
            guest.subscribe(&away(number), QoS::ExactlyOnce)?;
            guest.leave()?;
        }
        let taken = (0..TAKEN).map(|number| Guest::connect(target, taken(number), Stay::Clean));
        Ok(Self {
            target: target.clone(),
            poster,
            witness,
            taken: taken.collect::<Result<_, _>>()?,
            posted: vec![0; RETURNING as usize],
            visits: Visits::default(),
            identifiers: 0,
        })
    }

    fn come_and_go(&mut self, rate_per_s: u32, pulse: &Pulse) -> Result<(), Error> {
        let interval = Duration::from_secs(1) / rate_per_s;
        let (mut next, mut made) = (Instant::now(), 0);
        while !pulse.shall_stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now < next {
                thread::sleep((next - now).min(SLEEP_MAX));
                continue;
            }
            self.visit(made)?;
            made += 1;
            pulse.visits.store(made, Ordering::Relaxed);
            // What a stall has kept from coming does not come at once afterwards: more guests at a time than ever
            // before are no growth of the broker's.
            next = now + interval;
        }
        Ok(())
    }

    fn visit(&mut self, number: u64) -> Result<(), Error> {
        let turn = number / 6;
        match number % 6 {
            0 => self.newcomer(),
            1 => self.doomed(),
            2 => self.returning(turn % RETURNING),
            3 => self.cut_off(turn * 7 % RETURNING),
            4 => self.takeover(turn % TAKEN),
            _ if self.target.version == ProtocolVersion::V5 => self.passing(),
            _ => self.newcomer(),
        }
    }

    fn newcomer(&mut self) -> Result<(), Error> {
        let number = self.next_identifier();
        let (topic, stamp) = (format!("dunlin-soak/note/{number}"), Stamp { publisher: 0, sequence: number });
        let mut guest = Guest::connect(&self.target, format!("soak-new-{number}"), Stay::Clean)?;
        guest.subscribe(&format!("dunlin-soak/+/{number}"), QoS::ExactlyOnce)?;
        guest.publish(&topic, QoS::ExactlyOnce, true, Some(stamp))?;
        expect("a newcomer", &guest.settle(1)?, [stamp])?;
        guest.unsubscribe(&format!("dunlin-soak/+/{number}"))?;
        guest.publish(&topic, QoS::AtLeastOnce, true, None)?;
        expect("a newcomer", &guest.settle(0)?, [])?;
        self.visits.newcomers += 1;
        guest.leave()
    }

    fn doomed(&mut self) -> Result<(), Error> {
        let number = self.next_identifier();
        let stamp = Stamp { publisher: 1, sequence: number };
        let stay = Stay::Doomed { topic: WILLS, stamp };
        drop(Guest::connect(&self.target, format!("soak-doomed-{number}"), stay)?);
        expect("the witness of Will Messages", &self.witness.settle(1)?, [stamp])?;
        self.visits.doomed += 1;
        Ok(())
    }

    fn returning(&mut self, number: u64) -> Result<(), Error> {
        let expected = self.post(number)?;
        self.come_back(number, expected)?;
        self.visits.returning += 1;
        Ok(())
    }

    fn cut_off(&mut self, number: u64) -> Result<(), Error> {
        let expected = self.post(number)?;
        drop(Guest::connect(&self.target, returning(number), Stay::Persistent)?);
        self.come_back(number, expected)?;
        self.visits.cut_off += 1;
        Ok(())
    }

    /// Publishes messages for a Session that is away.
    fn post(&mut self, number: u64) -> Result<Vec<Stamp>, Error> {
        let first = self.posted[number as usize];
        let stamps =
            (first..first + MESSAGES_AWAY).map(|sequence| Stamp { publisher: number as u32, sequence });
        let stamps: Vec<_> = stamps.collect();
        for &stamp in &stamps {
            let qos = if stamp.sequence % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            self.poster.publish(&away(number), qos, false, Some(stamp))?;
        }
        self.poster.settle(0)?;
        self.posted[number as usize] += MESSAGES_AWAY;
        Ok(stamps)
    }

    /// A Session receives what was published for it.
    fn come_back(&self, number: u64, mut expected: Vec<Stamp>) -> Result<(), Error> {
        let name = returning(number);
        let mut guest = Guest::connect(&self.target, name.clone(), Stay::Persistent)?;
        if !guest.had_session() {
            return Err(Error::Peer(format!("the broker has forgotten the Session of {name}")));
        }
        let mut arrived = guest.settle(expected.len())?;
        // Only messages of one QoS have to keep their order.
        arrived.sort_by_key(|stamp| stamp.map(|stamp| stamp.sequence));
        expected.sort_by_key(|stamp| stamp.sequence);
        expect(&name, &arrived, expected)?;
        guest.leave()
    }

    fn takeover(&mut self, number: u64) -> Result<(), Error> {
        let guest = Guest::connect(&self.target, taken(number), Stay::Clean)?;
        let earlier = std::mem::replace(&mut self.taken[number as usize], guest);
        self.visits.takeovers += 1;
        earlier.await_close()
    }

    fn passing(&mut self) -> Result<(), Error> {
        let number = self.next_identifier();
        let stay = Stay::Passing(PASSING_EXPIRY_S);
        let mut guest = Guest::connect(&self.target, format!("soak-passing-{number}"), stay)?;
        guest.subscribe(PASSING, QoS::AtLeastOnce)?;
        guest.leave()?;
        self.poster.publish(PASSING, QoS::AtLeastOnce, false, None)?;
        self.poster.settle(0)?;
        self.visits.passing += 1;
        Ok(())
    }

    fn next_identifier(&mut self) -> u64 {
        self.identifiers += 1;
        self.identifiers
    }

    /// Ends all Sessions, so that the broker has nothing left to remember.
    fn farewell(self) -> Result<Visits, Error> {
        for number in 0..RETURNING {
            Guest::connect(&self.target, returning(number), Stay::Clean)?.leave()?;
        }
        for guest in self.taken.into_iter().chain([self.poster, self.witness]) {
            guest.leave()?;
        }
        Ok(self.visits)
    }
}

fn returning(number: u64) -> String {
    format!("soak-returning-{number}")
}

fn taken(number: u64) -> String {
    format!("soak-taken-{number}")
}

fn away(number: u64) -> String {
    format!("dunlin-soak/away/{number}")
}

/// Messages that came must be these, once each and in this order.
fn expect(
    who: &str,
    arrived: &[Option<Stamp>],
    expected: impl IntoIterator<Item = Stamp>,
) -> Result<(), Error> {
    let expected: Vec<_> = expected.into_iter().map(Some).collect();
    match arrived == expected {
        true => Ok(()),
        false => Err(Error::Peer(format!("{who} got {arrived:?} instead of {expected:?}"))),
    }
}
