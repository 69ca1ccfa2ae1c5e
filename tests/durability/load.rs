//! A run: a broker and a crowd of clients thrown together by a seed, blows at random moments, and the end.
//!
//! A moment is counted in events ("after the 212th acknowledgement since the start"), never in time. Who
//! is away comes back after so many events, too. At the end everybody comes back and nothing new is said, but
//! for a last message on every topic: when all that is owed has come, and each client has had an answer to a
//! PINGREQ after it, the history is judged.

use std::thread;
use std::time::{Duration, Instant};

use dunlin_codec::QoS;

use crate::broker::Broker;
use crate::checks::{self, Owed};
use crate::client::{Client, Presence};
use crate::crowd;
use crate::history::{Count, History, Kind};
use crate::random::Random;
use crate::retained;

/// How long a run waits for anything to move before it gives up. It decides nothing else.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause after a round in which nothing moved.
const PAUSE: Duration = Duration::from_micros(300);

/// Rounds without movement after which somebody comes back who is away.
const IDLE_ROUNDS: usize = 10;

/// The longest life of a broker that is killed while it starts. A debug build starts in about that time.
const SHORT_LIFE_MS: usize = 60;

/// The largest filler of a payload.
const FILLER_LENGTH_MAX: usize = 4000;

const QOS: [QoS; 2] = [QoS::AtLeastOnce, QoS::ExactlyOnce];

/// What happens at a moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Blow {
    /// Nothing; the load goes on to the next one.
    Missed,
    /// Every client that is connected loses its connection. The broker lives, so this is about the clients of
    /// these tests.
    Cut,
    /// The broker is killed and comes back.
    Kill,
}

/// What a run did, to see that it did something.
pub struct Figures {
    pub connections: usize,
    pub publications: usize,
    pub acknowledgements: usize,
    pub arrivals: usize,
    pub owed: Owed,
}

/// When the broker is killed: when so many of these have been counted.
struct Moment {
    count: Count,
    number: usize,
}

struct Load {
    random: Random,
    history: History,
    broker: Broker,
    clients: Vec<Client>,
    moved_last: Instant,
    idle_rounds: usize,
}

/// Runs a seed with so many blows. The error is the first complaint, with the broker's log and data.
pub fn run(seed: u64, blow: Blow, count: usize) -> Result<Figures, String> {
    let mut load = Load::new(seed);
    load.run(blow, count).map_err(|complaint| {
        let (log, data) = load.broker.autopsy();
        format!("{complaint}\nThe broker's data directory: {}, its log:\n{log}", data.display())
    })
}

impl Load {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut history = History::default();
        let broker = Broker::start(random.between(1, 3));
        let clients = crowd::gather(&mut random, &mut history);
        Self { random, history, broker, clients, moved_last: Instant::now(), idle_rounds: 0 }
    }

    fn run(&mut self, blow: Blow, count: usize) -> Result<Figures, String> {
        for _ in 0..count {
            self.go_on()?;
            match blow {
                Blow::Missed => {}
                Blow::Cut => self.cut(),
                Blow::Kill => self.kill()?,
            }
        }
        self.go_on()?;
        self.come_to_rest()?;
        let owed = checks::check(&self.history)?;
        retained::look(&self.broker, &self.history)?;
        let [connections, publications, acknowledgements, arrivals] = self.history.counts;
        Ok(Figures { connections, publications, acknowledgements, arrivals, owed })
    }

    /// Everybody does what they do until a random moment.
    fn go_on(&mut self) -> Result<(), String> {
        let (count, most) = self.random.pick(&[
            (Count::Connections, 2 * self.clients.len()),
            (Count::Publications, 400),
            (Count::Acknowledgements, 400),
            (Count::Acknowledgements, 100),
            (Count::Arrivals, 1500),
        ]);
        let number = self.history.counts[count as usize] + self.random.between(1, most);
        let moment = Moment { count, number };
        while !self.round(Some(&moment))? {}
        Ok(())
    }

    fn is_now(&self, moment: &Moment) -> bool {
        self.history.counts[moment.count as usize] >= moment.number
    }

    /// Every client has a turn. Whether the moment has come, in the middle of a round as a rule.
    fn round(&mut self, moment: Option<&Moment>) -> Result<bool, String> {
        let mut has_moved = false;
        for number in 0..self.clients.len() {
            has_moved |= self.clients[number].pump(&mut self.history);
            self.history.verdict()?;
            match moment {
                Some(moment) if self.is_now(moment) => return Ok(true),
                Some(_) => self.act(number),
                None => self.help(number),
            }
        }
        self.rest(has_moved)?;
        Ok(false)
    }

    /// After a round: nobody waits for a time, but a thread that finds nothing to do pauses.
    fn rest(&mut self, has_moved: bool) -> Result<(), String> {
        if has_moved {
            (self.moved_last, self.idle_rounds) = (Instant::now(), 0);
            return Ok(());
        }
        if self.moved_last.elapsed() > PATIENCE {
            return Err(String::from("nothing moves any more"));
        }
        self.idle_rounds += 1;
        if self.idle_rounds > IDLE_ROUNDS
            && let Some(client) = self.clients.iter_mut().find(|it| it.presence == Presence::Away)
        {
            client.returns_at = 0;
        }
        thread::sleep(PAUSE);
        Ok(())
    }

    /// One client's turn.
    fn act(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.presence == Presence::Away && self.history.events >= client.returns_at {
            client.connect(self.broker.address(), &mut self.history);
        }
        if client.presence != Presence::Connected {
            return;
        }
        if client.habits.acknowledges_late && self.random.chance(40) {
            client.acknowledge(self.random.between(1, 8));
        }
        self.publish(number);
        self.wander(number);
        self.go_away(number);
    }

    /// A burst into the window.
    fn publish(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if client.habits.topics.is_empty() || !self.random.chance(50) {
            return;
        }
        for _ in 0..self.random.between(1, client.habits.window) {
            if !client.has_room() {
                return;
            }
            let topic = self.random.pick(client.habits.topics);
            let filler_length = match self.random.below(10) {
                0 => 0,
                1..=7 => self.random.below(200),
                _ => self.random.below(FILLER_LENGTH_MAX),
            };
            let publication =
                client.announce(topic, self.random.pick(&QOS), filler_length, &mut self.history);
            if client.habits.retains && self.random.chance(25) {
                self.history.publications[publication].kind = Kind::Clearing;
            }
            client.publish(publication, &mut self.history);
        }
    }

    fn wander(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let Some((filter, qos)) = client.habits.wanders.filter(|_| self.random.chance(10)) else { return };
        if !client.requests.is_empty() {
            return;
        }
        match client.standing(filter, &self.history) {
            Some(subscription) => client.unsubscribe(subscription, &mut self.history),
            None => client.subscribe(filter, qos, &mut self.history),
        }
    }

    fn go_away(&mut self, number: usize) {
        let client = &mut self.clients[number];
        if self.random.below(1000) >= client.habits.leaves_per_mille {
            return;
        }
        let (least, most) = client.habits.absence_events;
        client.returns_at = self.history.events + self.random.between(least, most) as u64;
        match self.random.chance(50) {
            true => client.disconnect(),
            false => client.vanish(&mut self.history),
        }
    }

    fn cut(&mut self) {
        // A CONNECT that is still on its way would take the next connection over.
        for client in self.clients.iter_mut().filter(|client| client.presence != Presence::Connecting) {
            client.vanish(&mut self.history);
        }
    }

    /// Kills the broker, lets the clients see it, and starts it again.
    fn kill(&mut self) -> Result<(), String> {
        self.broker.kill();
        for client in &mut self.clients {
            client.outlive(&mut self.history);
        }
        self.history.verdict()?;
        self.history.kills += 1;
        if self.random.chance(20) {
            self.broker.workers = self.random.between(1, 3);
        }
        if self.random.chance(20) {
            let life = Duration::from_millis(self.random.below(SHORT_LIFE_MS) as u64);
            self.broker.restart_in_vain(life);
        }
        self.broker.restart();
        self.moved_last = Instant::now();
        retained::look(&self.broker, &self.history)
    }

    /// A turn after the end of the load: come back, and acknowledge.
    fn help(&mut self, number: usize) {
        let client = &mut self.clients[number];
        client.habits.acknowledges_late = false;
        if client.presence == Presence::Away {
            client.connect(self.broker.address(), &mut self.history);
        }
    }

    /// Everybody is back, and everything that is owed has come.
    fn come_to_rest(&mut self) -> Result<(), String> {
        self.settle()?;
        self.publish_last();
        self.settle()?;
        let mut missing = checks::missing(&self.history);
        let mut until = Instant::now() + PATIENCE;
        while !missing.is_empty() {
            self.round(None)?;
            let count = missing.len();
            missing.retain(|debt| checks::is_open(&self.history, debt));
            if missing.len() < count {
                until = Instant::now() + PATIENCE;
            } else if Instant::now() > until {
                return Err(checks::describe_missing(&self.history, &missing));
            }
        }
        for client in &mut self.clients {
            client.ping();
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !self.clients.iter().all(Client::is_quiet) {
            self.round(None)?;
            if Instant::now() > until
                && let Some(client) = self.clients.iter().find(|client| !client.is_quiet())
            {
                return Err(format!("{} waits for something that does not come", client.identifier));
            }
        }
        Ok(())
    }

    /// What comes behind everything else.
    fn publish_last(&mut self) {
        for client in &mut self.clients {
            for topic in client.habits.topics {
                for qos in QOS {
                    let publication = client.announce(topic, qos, 0, &mut self.history);
                    client.publish(publication, &mut self.history);
                }
            }
        }
    }
}
