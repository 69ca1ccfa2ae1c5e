//! A crash, and the broker's next life.
//!
//! Everything in memory goes: connections with the bytes on their way, mail between shards, records that
//! were not durable. The clients keep what is theirs. What the log adds up to is then held against what the
//! clients were told, before a new broker is made of it: a Session whose CONNACK has left is there, and with
//! it its Will; one that a CONNACK has ended is not; and absence counts from when it began, or from the crash.

use super::log::is_gone;
use super::wires::Wire;
use super::{Expectation, World};
use dunlin_core::image::{BodyImage, SessionImage, ShardImage};
use dunlin_core::journal::SessionNumber;
use dunlin_core::message::{ApplicationMessage, MemoryGauge};
use dunlin_core::settings::SessionExpiryInterval;
use dunlin_core::time::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

impl World {
    /// The broker crashes, and starts again after a while with so many shards.
    pub fn crash(&mut self, downtime: Duration, shards: u16) {
        let event = self.history.event();
        self.history.crashes.push(event);
        for wire in 0..self.wires.len() {
            self.cut(wire, event);
        }
        // What was durable when the power went is more than the shards had heard of.
        for _ in 0..self.random.below(self.log.waiting() + 1) {
            self.log.write();
        }
        self.log.crash();
        if self.forgets_batches {
            self.log.forget_last_batch();
        }
        self.forget_unsettled_wills();
        let ended_at = self.now;
        self.now = self.now + downtime;
        let gauge = MemoryGauge::default();
        let parts = self.log.recover(&gauge, self.settings.body_memory_bytes == 0).split(shards);
        self.trace(|| {
            format!("crash; {shards} shards after {downtime:?}; log from {:?}", self.log.first_segment())
        });
        self.judge_bodies(&parts);
        self.judge_sessions(&parts, ended_at);
        self.start(parts, ended_at, gauge);
    }

    /// A connection ends at any byte in both directions.
    fn cut(&mut self, wire: usize, event: u64) {
        let rest = self.random.below(self.wires[wire].to_client.len() + 1);
        let value = &mut self.wires[wire];
        if !value.broker_is_there {
            return;
        }
        (value.broker_is_there, value.place) = (false, None);
        value.closed.get_or_insert(event);
        value.left.get_or_insert(event);
        value.to_broker.clear();
        value.inbox.clear();
        value.to_client.truncate(rest);
        value.promises.clear();
    }

    /// New shards take up what is left. What they tell each other arrives, and what is due is done, before
    /// any client comes.
    fn start(&mut self, parts: Vec<ShardImage>, ended_at: Timestamp, gauge: MemoryGauge) {
        let shards = parts.len();
        self.loads.clear();
        self.gauge = gauge.clone();
        self.renew(shards as u16, gauge);
        for (shard, part) in parts.into_iter().enumerate() {
            self.nodes[shard].shard.restore(self.now, part, ended_at);
            self.collect(shard);
        }
        while self.mail.iter().any(|mail| !mail.is_empty()) {
            for place in 0..shards * shards {
                self.deliver_mail(place / shards, place % shards, usize::MAX);
            }
        }
        self.pass(Duration::ZERO);
    }

    /// Everything that was recovered has its body.
    fn judge_bodies(&mut self, parts: &[ShardImage]) {
        // One that has expired is nobody's any more.
        let is_lost = |message: &ApplicationMessage| is_gone(message) && !message.is_expired(self.now);
        let is_body_lost = |body: &BodyImage| match body {
            BodyImage::Here(message) => is_lost(message),
            BodyImage::Stored { location, .. } => self.log.read(*location, &MemoryGauge::default()).is_none(),
        };
        let deliveries = |session: &SessionImage| {
            let mut contents = session.deliveries.values().filter_map(|delivery| delivery.content.as_ref());
            contents.any(|content| is_body_lost(&content.body))
        };
        let will = |session: &SessionImage| session.will.as_ref().is_some_and(|will| is_gone(&will.message));
        for part in parts {
            let sessions = || part.sessions.iter().map(|(.., session)| session);
            let waiting = || part.groups.iter().flat_map(|group| &group.waiting);
            let mut lent = part.groups.iter().flat_map(|group| &group.lent);
            let found = [
                ("message of a Session", sessions().any(deliveries)),
                ("Will", sessions().any(will)),
                ("message of a group", waiting().any(|(_, body, _)| is_body_lost(body))),
                ("message of a member", lent.any(|lent| is_gone(&lent.message))),
                ("Retained Message", part.retained.iter().any(|(message, _)| is_lost(message))),
            ];
            for (what, _) in found.iter().filter(|(_, is_gone)| *is_gone) {
                self.history.complain(format!("a {what} was vacated without its body"));
            }
        }
    }

    /// Holds the recovered Sessions against what their clients know, and expects from now on what they say.
    fn judge_sessions(&mut self, parts: &[ShardImage], ended_at: Timestamp) {
        let mut found: HashMap<usize, (SessionNumber, &SessionImage)> = HashMap::new();
        for (number, client, session) in parts.iter().flat_map(|part| &part.sessions) {
            match self.numbers.get(number) {
                Some(life) => {
                    let earlier = found.insert(self.history.sessions[*life].client, (*number, session));
                    if earlier.is_some() {
                        self.history.complain(format!("{client} has two Sessions after a crash"));
                    }
                }
                None => self.history.complain(format!("nobody began the Session {number:?} of {client}")),
            }
        }
        let mut clients: Vec<usize> = self.expectations.keys().copied().collect();
        clients.sort_unstable();
        for client in clients {
            let expectation = self.expectations.remove(&client).unwrap_or_default();
            let expectation = match found.get(&client) {
                None => self.judge_absent(client, &expectation, ended_at),
                Some((number, image)) => {
                    let life = self.numbers[number];
                    self.judge_present(client, &expectation, life, image, ended_at)
                }
            };
            self.expectations.insert(client, expectation);
        }
    }

    /// The last life of a client's Session of which the client may have heard.
    fn known_life(&self, client: usize) -> Option<usize> {
        let sessions = self.history.sessions.iter().enumerate();
        sessions.rev().find(|(_, one)| one.client == client && one.is_known).map(|(life, _)| life)
    }

    /// There is no Session any more. None that its client knows of may be missing, unless it was to end with
    /// its connection or its expiry has passed.
    fn judge_absent(&mut self, client: usize, expectation: &Expectation, ended_at: Timestamp) -> Expectation {
        if let Some(known) = self.known_life(client) {
            let session = &self.history.sessions[known];
            // A later one, of which the client does not know, may have ended it, and then with its connection or by
            // its own expiry.
            let has_successor = self
                .history
                .sessions
                .iter()
                .skip(known + 1)
                .any(|later| later.client == client && (later.number.is_none() || later.is_gone));
            let may_be_over = session.number.is_none()
                || has_successor
                || session.is_gone
                || has_passed(expectation.expiry, expectation.absent_since, ended_at);
            if !may_be_over {
                self.history.complain(format!("the Session of client {client} is not there after a crash"));
            }
        }
        for session in self.history.sessions.iter_mut().filter(|session| session.client == client) {
            (session.is_over, session.is_gone) = (true, true);
        }
        Expectation::default()
    }

    fn judge_present(
        &mut self,
        client: usize,
        expectation: &Expectation,
        life: usize,
        image: &SessionImage,
        ended_at: Timestamp,
    ) -> Expectation {
        if self.known_life(client).is_some_and(|known| known > life) {
            self.history.complain(format!("a Session of client {client} that had ended is back"));
        }
        for earlier in self.history.sessions.iter_mut().take(life).filter(|earlier| earlier.client == client)
        {
            earlier.is_gone = true;
        }
        let is_current = expectation.session == Some(life);
        if let Some(current) = expectation.session.filter(|_| !is_current) {
            // Its CONNACK never left.
            self.history.sessions[current].is_over = true;
        }
        if image.away_since.is_some_and(|since| !self.history.sessions[life].absences.contains(&since)) {
            self.history.complain(format!("client {client} was not away since {:?}", image.away_since));
        }
        let is_settled = expectation.absent_event < self.settled_at && expectation.absent_since.is_some();
        if is_current && is_settled && image.away_since != expectation.absent_since {
            self.history.complain(format!("that client {client} is away is not recorded"));
        }
        if is_current && image.expiry != expectation.expiry {
            self.history.complain(format!("client {client} has the expiry {:?}", image.expiry));
        }
        let since = image.away_since.unwrap_or(ended_at);
        self.history.sessions[life].absences.push(since);
        let will = image.will.as_ref().map(|will| (self.will_of(&will.message), will.delay_s));
        if is_current {
            self.judge_will(client, expectation, will.and_then(|(will, _)| will));
        }
        let ends_at = match image.expiry {
            Some(SessionExpiryInterval::After(seconds)) => Some(since.after_s(seconds)),
            _ => None,
        };
        let will = will.and_then(|(will, delay_s)| {
            let due_at = since.after_s(delay_s);
            will.map(|will| (will, ends_at.map_or(due_at, |ends_at| ends_at.min(due_at))))
        });
        if let Some((will, _)) = will {
            // Nobody acknowledges a DISCONNECT, so nobody waited for the record that deleted the Will.
            self.history.publications[will].withdrawn = None;
            // That it was published was not durable either: it will be.
            self.history.publications[will].acknowledged = None;
        }
        Expectation {
            session: Some(life),
            wire: None,
            expiry: image.expiry,
            absent_since: Some(since),
            absent_event: self.history.event(),
            will,
        }
    }

    fn will_of(&self, message: &ApplicationMessage) -> Option<usize> {
        self.history.recognise(message.payload())
    }

    /// A Will that waits, or whose client is connected and knows it, is not lost.
    fn judge_will(&mut self, client: usize, expectation: &Expectation, found: Option<usize>) {
        let wire = expectation.wire.map(|wire| &self.wires[wire]);
        // A client whose DISCONNECT has come and whose connection has not ended may have its Will or not.
        let is_leaving = |wire: &Wire| wire.left_at.is_some() && wire.closed.is_none();
        if wire.is_some_and(|wire| !wire.is_known || is_leaving(wire)) {
            return;
        }
        let expected = match wire.filter(|_| expectation.absent_since.is_none()) {
            Some(wire) => wire.will.map(|(will, _)| will),
            None => expectation.will.map(|(will, _)| will),
        };
        if expected.is_some() && found != expected {
            self.history
                .complain(format!("after a crash client {client} has the Will {found:?}, not {expected:?}"));
        }
    }

    /// The store does not know the Will of a Session that ends with its connection, or whose CONNACK never left.
    /// Nobody waits for what becomes of such a Will, so one that was published just before the crash is lost or
    /// not.
    fn forget_unsettled_wills(&mut self) {
        for wire in &self.wires {
            let is_durable = wire.session.is_some_and(|life| self.history.sessions[life].number.is_some());
            if let Some((will, _)) = wire.will.filter(|_| !is_durable || !wire.is_known) {
                let will = &mut self.history.publications[will];
                will.acknowledged = will.acknowledged.filter(|event| *event <= self.settled_at);
            }
        }
    }

    /// Nothing is on its way between shards or to the disk: what was published is where it belongs.
    pub(super) fn note_settled(&mut self) {
        let is_applied = self.applied_counts.iter().all(|(sent, applied)| sent == applied);
        if is_applied && self.log.waiting() == 0 {
            self.settled_at = self.history.event();
        }
    }

    /// The Wills whose delay has passed are published now.
    pub(super) fn note_due_wills(&mut self) {
        let now = self.now;
        for expectation in self.expectations.values_mut() {
            if let Some((will, _)) = expectation.will.take_if(|(_, due_at)| *due_at <= now) {
                let event = self.history.event();
                let will = &mut self.history.publications[will];
                (will.began, will.acknowledged) = (Some(event), Some(event));
            }
        }
    }
}

/// Whether a Session has ended by itself until then.
pub(super) fn has_passed(
    expiry: Option<SessionExpiryInterval>,
    since: Option<Timestamp>,
    until: Timestamp,
) -> bool {
    match (expiry, since) {
        (Some(SessionExpiryInterval::After(seconds)), Some(since)) => since.after_s(seconds) <= until,
        _ => false,
    }
}
