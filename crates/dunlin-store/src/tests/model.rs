//! A shard as the log sees it: Sessions with queues, and Retained Messages, each with the segment that it is
//! recorded in, as `dunlin-core` keeps it. Asked to vacate, it says again what it holds, a few things at a
//! time.
//!
//! The first record of each batch says the number of the batch: a Session called the marker, whose user name
//! is the number. It tells how far a recovered log goes.

use super::material::{body, queued, removed};
use super::random::Random;
use crate::Event;
use dunlin_codec::PacketIdentifier;
use dunlin_core::identity::{ClientIdentifier, ShardId};
use dunlin_core::image::ShardImage;
use dunlin_core::journal::{Record, Segment, SessionNumber};
use dunlin_core::message::ApplicationMessage;
use dunlin_core::settings::SessionExpiryInterval;
use std::collections::{BTreeMap, VecDeque};

/// Sessions of each shard.
const SESSIONS: u64 = 3;

/// Things said again in one turn.
const SLICE: usize = 4;

struct Waiting {
    message: ApplicationMessage,
    is_sent: bool,
    recorded_in: Segment,
}

/// See the top of the file.
pub struct Shard {
    pub id: ShardId,
    pub segment: Segment,
    /// What it was told and has not read.
    pub events: VecDeque<Event>,
    /// Messages for its Sessions that it has not taken in.
    pub mail: VecDeque<ApplicationMessage>,
    /// Batches that it has handed over.
    pub batches: u64,
    staged: Vec<Record>,
    queues: BTreeMap<u64, BTreeMap<u64, Waiting>>,
    sessions_recorded_in: Option<Segment>,
    next_order: u64,
    retained: BTreeMap<String, (ApplicationMessage, Segment)>,
    vacating: Option<Segment>,
}

impl Shard {
    pub fn new(id: ShardId) -> Self {
        let first = u64::from(id) * 100 + 1;
        Self {
            id,
            segment: Segment(1),
            events: VecDeque::new(),
            mail: VecDeque::new(),
            batches: 0,
            staged: Vec::new(),
            queues: (first..first + SESSIONS).map(|session| (session, BTreeMap::new())).collect(),
            sessions_recorded_in: None,
            next_order: 1,
            retained: BTreeMap::new(),
            vacating: None,
        }
    }

    /// Takes up what is its own of an image.
    pub fn restore(&mut self, image: &ShardImage) {
        self.batches = marked(image, self.id);
        for (number, _, session) in &image.sessions {
            let Some(queue) = self.queues.get_mut(&number.0) else { continue };
            self.sessions_recorded_in = Some(image.first_segment);
            for (order, delivery) in &session.deliveries {
                let content = delivery.content.as_ref().expect("nothing is released here");
                let (message, is_sent) = (body(content), delivery.packet_identifier.is_some());
                queue.insert(*order, Waiting { message, is_sent, recorded_in: delivery.recorded_in });
                self.next_order = self.next_order.max(order + 1);
            }
        }
        // Orders of what is gone may be used again only when the log cannot know them.
        self.next_order += self.batches * 1000;
        for (message, recorded_in) in image.retained.iter() {
            if message.topic().starts_with(&format!("{}/", self.id)) {
                self.retained.insert(message.topic().into(), (message.clone(), *recorded_in));
            }
        }
    }

    /// Reads an event. Gives what it has vacated, if it was asked and held nothing from there.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Durable { segment, .. } => self.segment = self.segment.max(segment),
            Event::Vacate { before } => self.vacating = Some(before),
            Event::State(_) => {}
        }
    }

    /// Something happens.
    pub fn act(&mut self, random: &mut Random, queue_max: usize) {
        if self.sessions_recorded_in.is_none() {
            self.say_sessions();
        }
        while let Some(message) = self.mail.pop_front().filter(|_| random.chance(90)) {
            let session = u64::from(self.id) * 100 + 1 + random.below(SESSIONS as usize) as u64;
            let order = self.next_order;
            self.next_order += 1;
            self.staged.push(queued(session, order, &message));
            let recorded_in = self.segment;
            self.queue(session).insert(order, Waiting { message, is_sent: false, recorded_in });
        }
        for (session, queue) in &mut self.queues {
            if let Some((order, waiting)) = queue.iter_mut().find(|(_, waiting)| !waiting.is_sent)
                && random.chance(50)
            {
                waiting.is_sent = true;
                self.staged.push(sent(*session, *order));
            }
            while queue.len() > queue_max || (random.chance(20) && !queue.is_empty()) {
                let (order, _) = queue.pop_first().expect("it is not empty");
                self.staged.push(removed(*session, order));
            }
        }
    }

    /// Sets a Retained Message, or clears it.
    pub fn retain(&mut self, message: &ApplicationMessage) {
        self.staged.push(Record::Retained { message: message.clone() });
        if message.payload().is_empty() {
            self.retained.remove(message.topic());
        } else {
            self.retained.insert(message.topic().into(), (message.clone(), self.segment));
        }
    }

    /// Says a few things again, if it was asked to; what it has vacated, when there is no more to say.
    pub fn say_again(&mut self) -> Option<Segment> {
        let before = self.vacating?;
        if self.sessions_recorded_in.is_some_and(|recorded_in| recorded_in < before) {
            self.say_sessions();
        }
        let mut said = 0;
        let queues = self.queues.iter_mut().flat_map(|(session, queue)| {
            queue.iter_mut().map(move |(order, waiting)| (*session, *order, waiting))
        });
        for (session, order, waiting) in
            queues.filter(|(.., waiting)| waiting.recorded_in < before).take(SLICE)
        {
            said += 1;
            waiting.recorded_in = self.segment;
            self.staged.push(queued(session, order, &waiting.message));
            if waiting.is_sent {
                self.staged.push(sent(session, order));
            }
        }
        let retained = self.retained.values_mut().filter(|(_, recorded_in)| *recorded_in < before);
        for (message, recorded_in) in retained.take(SLICE) {
            said += 1;
            *recorded_in = self.segment;
            self.staged.push(Record::Retained { message: message.clone() });
        }
        if said > 0 {
            return None;
        }
        self.vacating.take()
    }

    /// The records of this turn, the marker first.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.batches += 1;
        let mut records = vec![Record::Session {
            session: marker(self.id),
            client: ClientIdentifier::new(&format!("marker-{}", self.id)).expect("it is not empty"),
            user_name: Some(self.batches.to_string().into()),
            policy: None,
            expiry: SessionExpiryInterval::Never,
            away_since: None,
        }];
        records.append(&mut self.staged);
        records
    }

    fn say_sessions(&mut self) {
        self.sessions_recorded_in = Some(self.segment);
        self.staged.extend(self.queues.keys().map(|session| super::material::session(*session)));
    }

    fn queue(&mut self, session: u64) -> &mut BTreeMap<u64, Waiting> {
        self.queues.get_mut(&session).expect("a Session of this shard")
    }
}

fn marker(shard: ShardId) -> SessionNumber {
    SessionNumber(1_000_000 + u64::from(shard))
}

/// The number of the last batch of a shard that an image has.
pub fn marked(image: &ShardImage, shard: ShardId) -> u64 {
    let marker = image.sessions.iter().find(|(number, ..)| *number == marker(shard));
    marker.and_then(|(.., session)| session.user_name.as_deref()?.parse().ok()).unwrap_or(0)
}

fn sent(session: u64, order: u64) -> Record {
    let packet_identifier = PacketIdentifier::new((order % 65_535) as u16 + 1).expect("not 0");
    Record::Sent { session: SessionNumber(session), order, packet_identifier }
}
