//! A run: a broker and a handful of clients thrown together by a seed, some hundred random steps, and the
//! end.
//!
//! The end has three parts. Everybody comes back and everything that can move moves, until nothing does: then
//! the history is judged. A new subscriber on each shard looks at the Retained Messages. Last, all Sessions
//! end and all Retained Messages are cleared: then nothing may be left, no Session, connection, subscription,
//! timer or byte.

mod ending;

use crate::checks;
use crate::client::{Client, Fault, Habits};
use crate::random::Random;
use crate::world::{FRAME_BYTES_MAX, World};
use dunlin_codec::{ProtocolVersion, QoS, ReasonCode, RetainHandling};
use dunlin_core::settings::{OverflowPolicy, Settings};
use ending::RESTLESS;
use std::time::Duration;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
const TOPICS: [&str; 4] = ["t/a/x", "t/a/y", "t/b/x", "t/b/y"];
const RETAINED_TOPICS: [&str; 3] = ["r/0", "r/1", "r/2"];
const JOBS: [&str; 2] = ["jobs/0", "jobs/1"];
const WILLS: [&str; 2] = ["w/0", "w/1"];
const FILTERS: [&str; 10] = ["t/#", "t/a/+", "t/+/x", "t/a/x", "t/b/y", "+/a/x", "r/+", "r/0", "w/#", "w/1"];
const SHARES: [&str; 2] = ["$share/workers/jobs/+", "$share/others/jobs/#"];

/// Steps of a run before its end.
const STEPS_MAX: usize = 900;

/// A broker, its clients, and what is special about this run.
struct Scenario {
    world: World,
    clients: Vec<Client>,
    is_stalled: Vec<bool>,
    is_lossy: bool,
    /// What most messages of this run are about, if it has a favourite.
    favourite: Option<&'static [&'static str]>,
    /// How often the broker crashes, in steps of a thousand.
    crashes_per_mille: u32,
    /// The planted fault that is in the retained answer rather than in a client.
    shows_old_retained: bool,
}

/// What a run did, to see that it did something.
#[derive(Default)]
pub struct Figures {
    pub publications: usize,
    pub arrivals: usize,
    pub connections: usize,
    pub shared_arrivals: usize,
    pub resent: usize,
    pub crashes: usize,
    pub vacated: usize,
    /// Deliveries that were owed without an excuse.
    pub obligations: usize,
}

/// Runs a seed. The error is the first complaint.
pub fn run(seed: u64, fault: Option<Fault>) -> Result<Figures, String> {
    let mut scenario = Scenario::new(seed, fault);
    if scenario.world.random.chance(70) {
        scenario.warm_up()?;
    }
    let steps = scenario.world.random.between(100, STEPS_MAX);
    for _ in 0..steps {
        scenario.step();
        scenario.world.history.verdict()?;
    }
    // A client whose own messages overflow its own queue is disconnected by them for ever: that policy has no
    // rest.
    let may_be_restless = scenario.is_lossy && scenario.world.settings.overflow == OverflowPolicy::Disconnect;
    match scenario.come_to_rest() {
        Err(complaint) if complaint == RESTLESS && may_be_restless => return Ok(scenario.figures()),
        result => result?,
    }
    scenario.check_rest()?;
    if scenario.crashes_per_mille > 0 && scenario.world.random.chance(30) {
        scenario.crash();
        match scenario.come_to_rest() {
            Err(complaint) if complaint == RESTLESS && may_be_restless => return Ok(scenario.figures()),
            result => result?,
        }
        scenario.check_rest()?;
    }
    let obligations = checks::check(&scenario.world, scenario.is_lossy)?;
    scenario.check_retained()?;
    let figures = Figures { obligations, ..scenario.figures() };
    scenario.check_expired()?;
    scenario.end()?;
    Ok(figures)
}

fn habits(random: &mut Random) -> Habits {
    let version = random.pick(&[ProtocolVersion::V3_1_1, ProtocolVersion::V5]);
    let is_v5 = version == ProtocolVersion::V5;
    let is_clean = random.chance(25);
    Habits {
        version,
        is_clean,
        expiry_s: match is_v5 {
            _ if is_clean => 0,
            true => random.pick(&[5, 3600, u32::MAX, u32::MAX]),
            false => u32::MAX,
        },
        receive_maximum: random.pick(&[1, 2, 5, 100]),
        maximum_packet_size: (is_v5 && random.chance(20)).then_some(200),
        topic_alias_maximum: random.pick(&[0, 0, 2, 10]),
        keep_alive_s: random.pick(&[0, 0, 2]),
        acknowledges_late: random.chance(50),
        is_hasty: random.chance(30),
        share: random.chance(60).then(|| random.pick(&[SHARES[0], SHARES[0], SHARES[1]])),
        will: random.chance(40).then(|| (random.pick(&WILLS), random.pick(&[0, 0, 1, 20]))),
    }
}

impl Scenario {
    fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut random = Random::new(seed);
        let is_lossy = random.chance(20) && fault.is_none();
        let policies = [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Disconnect];
        let settings = Settings {
            receive_maximum: random.pick(&[3, 10, 1000]),
            inflight_max: random.pick(&[1, 3, 10, 1000]),
            server_topic_aliases: random.pick(&[0, 1, 8]),
            outbox_bytes_max: random.pick(&[300, 2048, 1024 * 1024]),
            queued_messages_max: if is_lossy { 4 } else { 100_000 },
            overflow: random.pick(&policies),
            // Without memory for bodies, messages that wait give up theirs.
            body_memory_bytes: random.pick(&[0, usize::MAX]),
            vacating_slice: random.pick(&[1, 2, 5, 512]),
            durable: random.chance(60) || fault.is_some_and(Fault::is_of_store),
            ..Settings::default()
        };
        let shards = random.between(1, 4) as u16;
        let count = random.between(3, 7);
        let clients = (0..count)
            .map(|number| {
                let mut client = Client::new(number, format!("client-{number}"), habits(&mut random));
                client.fault = fault;
                client
            })
            .collect();
        let crashes_per_mille = match random.pick(&[0, 2, 5, 15]) {
            _ if !settings.durable => 0,
            0 if fault.is_some_and(Fault::is_of_store) => 5,
            often => often,
        };
        let favourite = random.pick(&[None, None, Some(&JOBS[..]), Some(&RETAINED_TOPICS[..])]);
        let rolls_percent = random.pick(&[0, 2, 10, 30]);
        let mut world = World::new(random, settings, shards);
        world.rolls_percent = rolls_percent;
        world.store_lies = matches!(fault, Some(Fault::AcknowledgeEarly | Fault::LieAndCrash));
        world.overlooks_lies = fault == Some(Fault::LieAndCrash);
        world.forgets_batches = fault == Some(Fault::ForgetBatch);
        world.deletes_early = fault == Some(Fault::DeleteEarly);
        world.forgets_to_remove = fault == Some(Fault::KeepConnection);
        let shows_old_retained = fault == Some(Fault::ShowOldRetained);
        let is_stalled = vec![false; count];
        Self { world, clients, is_stalled, is_lossy, favourite, crashes_per_mille, shows_old_retained }
    }

    /// Everybody connects and subscribes before the trouble begins, so that much is owed to them.
    fn warm_up(&mut self) -> Result<(), String> {
        self.settle(true)?;
        for number in 0..self.clients.len() {
            for _ in 0..self.world.random.between(1, 3) {
                self.subscribe(number);
            }
        }
        self.settle(true)
    }

    /// One random thing happens.
    fn step(&mut self) {
        if self.world.random.below(1000) < self.crashes_per_mille as usize {
            return self.crash();
        }
        let world = &mut self.world;
        let count = world.random.pick(&[1, 2, 7, 40, 1000, usize::MAX]);
        let shards = world.nodes.len();
        match world.random.below(100) {
            0..28 => {
                if let Some(wire) = self.some_wire() {
                    self.world.carry(wire, count);
                }
            }
            28..50 => {
                if let Some(wire) = self.some_wire() {
                    self.world.write(wire, count);
                }
            }
            50..66 => {
                let number = self.world.random.below(self.clients.len());
                if !self.is_stalled[number] {
                    self.clients[number].read(&mut self.world, count);
                }
            }
            66..76 => {
                let (from, to) = (world.random.below(shards), world.random.below(shards));
                world.deliver_mail(from, to, count.min(5));
            }
            76..78 => {
                world.write_log(count);
            }
            78..80 => {
                let shard = world.random.below(shards);
                world.tell(shard);
                if world.random.chance(60) {
                    world.vacate();
                }
            }
            80..82 => {
                let time = world.random.pick(&[10, 1_000, 20_000, 60_000, 110_000, 1_000_000]);
                world.pass(Duration::from_micros(time));
            }
            82 => {
                if world.random.chance(5) {
                    world.pass(Duration::from_secs(7));
                }
            }
            83 => {
                let shard = world.random.below(shards);
                world.do_due(shard);
                world.read_bodies(shard);
            }
            _ => self.act(),
        }
    }

    /// The broker crashes, now and then again as soon as it is back.
    fn crash(&mut self) {
        loop {
            let downtime = self.world.random.pick(&[0, 10, 1_000, 4_000_000, 25_000_000]);
            self.crash_for(downtime);
            if !self.world.random.chance(20) {
                return;
            }
        }
    }

    fn crash_for(&mut self, downtime_us: u64) {
        let world = &mut self.world;
        let shards = if world.random.chance(30) { world.random.between(1, 4) } else { world.nodes.len() };
        world.crash(Duration::from_micros(downtime_us), shards as u16);
    }

    fn some_wire(&mut self) -> Option<usize> {
        let open: Vec<usize> =
            (0..self.world.wires.len()).filter(|wire| self.world.wires[*wire].broker_is_there).collect();
        (!open.is_empty()).then(|| self.world.random.pick(&open))
    }

    /// One client does something.
    fn act(&mut self) {
        let number = self.world.random.below(self.clients.len());
        let (client, world) = (&mut self.clients[number], &mut self.world);
        if client.wire.is_none() {
            self.connect(number);
            return;
        }
        match world.random.below(100) {
            0..45 => self.publish(number),
            45..62 => self.subscribe(number),
            62..66 => {
                let filter = world.random.pick(&FILTERS);
                let filter = client.habits.share.filter(|_| world.random.chance(20)).unwrap_or(filter);
                client.unsubscribe(world, filter);
            }
            66..78 => {
                let count = world.random.between(1, 4);
                client.acknowledge(world, count);
            }
            78..82 => client.ping(world),
            82..86 => self.is_stalled[number] = !self.is_stalled[number],
            86..91 => client.vanish(world),
            91..94 => self.connect(number),
            94..97 => {
                let reason_code =
                    world.random.pick(&[ReasonCode::Success, ReasonCode::DisconnectWithWillMessage]);
                client.disconnect(world, reason_code);
            }
            _ => {}
        }
    }

    fn connect(&mut self, number: usize) {
        let (client, world) = (&mut self.clients[number], &mut self.world);
        let clean_start = client.habits.is_clean || world.random.chance(5);
        let expiry_s = client.habits.expiry_s;
        client.connect(world, clean_start, expiry_s);
    }

    fn publish(&mut self, number: usize) {
        let (client, world) = (&mut self.clients[number], &mut self.world);
        let topics: &[&str] = world.random.pick(&[&TOPICS[..], &TOPICS[..], &JOBS[..], &RETAINED_TOPICS[..]]);
        let topics = self.favourite.filter(|_| world.random.chance(70)).unwrap_or(topics);
        let topic = world.random.pick(topics);
        let is_retained = topic.starts_with("r/") && world.random.chance(80);
        let expiry_s = world.random.chance(8).then(|| world.random.between(1, 10) as u32);
        for _ in 0..world.random.between(1, 3) {
            let qos = world.random.pick(&QOS);
            let length = match world.random.below(20) {
                0 if is_retained => 0,
                0..3 => world.random.between(2_000, FRAME_BYTES_MAX - 200),
                _ => world.random.between(8, 90),
            };
            client.publish(world, topic, qos, is_retained, length, expiry_s);
        }
    }

    fn subscribe(&mut self, number: usize) {
        let (client, world) = (&mut self.clients[number], &mut self.world);
        let no_local = world.random.chance(15);
        let handling = world.random.pick(&[
            RetainHandling::SendAtSubscribe,
            RetainHandling::SendIfNew,
            RetainHandling::DoNotSend,
        ]);
        if let Some(share) = client.habits.share.filter(|_| world.random.chance(40)) {
            let qos = world.random.pick(&[QoS::AtLeastOnce, QoS::ExactlyOnce]);
            return client.subscribe(world, &[(share, qos)], false, handling);
        }
        let one = (world.random.pick(&FILTERS), world.random.pick(&QOS));
        let other = (world.random.pick(&FILTERS), world.random.pick(&QOS));
        let filters =
            if one.0 == other.0 || world.random.chance(60) { &[one][..] } else { &[one, other][..] };
        client.subscribe(world, filters, no_local, handling);
    }
}
