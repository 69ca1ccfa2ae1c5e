//! The end of a run: rest, the last looks, and nothing left behind.

use super::{Figures, RETAINED_TOPICS, Scenario, habits};
use crate::checks;
use crate::client::{Client, Habits};
use crate::random::Random;
use dunlin_codec::{ProtocolVersion, QoS, ReasonCode, RetainHandling};
use std::time::Duration;

/// Rounds in which a run must come to rest.
const ROUNDS_MAX: usize = 1_000;

/// Rounds without any movement, each as long as the grace of a slow consumer, that make a rest.
const QUIET_ROUNDS: usize = 2;

pub(super) const RESTLESS: &str = "the broker does not come to rest";

impl Scenario {
    /// Everybody comes back, nobody is slow any more, and nothing new is said, until nothing moves.
    pub(super) fn come_to_rest(&mut self) -> Result<(), String> {
        for client in &mut self.clients {
            client.habits.acknowledges_late = false;
            client.ping(&mut self.world);
        }
        self.settle(true)?;
        self.publish_at_once()?;
        self.settle(true)
    }

    /// Lets everything move until nothing does, and gives whoever waits for a slow consumer its grace.
    pub(super) fn settle(&mut self, comes_back: bool) -> Result<(), String> {
        let mut quiet_rounds = 0;
        for _ in 0..ROUNDS_MAX {
            quiet_rounds = if self.flow(comes_back)? { 0 } else { quiet_rounds + 1 };
            let is_paused = self.world.wires.iter().any(|wire| wire.is_paused && wire.broker_is_there);
            if quiet_rounds > QUIET_ROUNDS && !is_paused {
                return Ok(());
            }
            self.world.pass(self.world.settings.slow_consumer_grace);
        }
        Err(String::from(RESTLESS))
    }

    /// Lets everything move until nothing does without time passing; true if anything did.
    fn flow(&mut self, comes_back: bool) -> Result<bool, String> {
        for round in 0..ROUNDS_MAX {
            let mut has_moved = self.world.move_all();
            for client in &mut self.clients {
                has_moved |= client.read(&mut self.world, usize::MAX);
                has_moved |= client.acknowledge(&mut self.world, usize::MAX);
                if comes_back && client.wire.is_none() {
                    client.connect(&mut self.world, client.habits.is_clean, client.habits.expiry_s);
                    has_moved = true;
                }
            }
            self.world.history.verdict()?;
            if !has_moved {
                return Ok(round > 0);
            }
        }
        Err(String::from(RESTLESS))
    }

    /// Many Retained Messages by one client and then, when they are acknowledged, one by another: all at one
    /// moment, so that only their order and no clock can tell which is the latest.
    pub(super) fn publish_at_once(&mut self) -> Result<(), String> {
        let topic = self.world.random.pick(&RETAINED_TOPICS);
        for count in [3, 1] {
            let number = self.world.random.below(self.clients.len());
            for _ in 0..count {
                self.clients[number].publish(&mut self.world, topic, QoS::AtLeastOnce, true, 20, None);
            }
            self.flow(true)?;
            if self.crashes_per_mille > 0 && self.world.random.chance(30) {
                self.crash_for(0);
                self.flow(true)?;
            }
        }
        Ok(())
    }

    /// Nothing is left on its way.
    pub(super) fn check_rest(&self) -> Result<(), String> {
        for client in &self.clients {
            if !client.is_connected || !client.is_quiet() {
                return Err(format!("{} waits for something that does not come", client.identifier));
            }
        }
        if self.world.is_vacating() {
            return Err(String::from("the log waits for a shard that does not come to say everything again"));
        }
        let connections: usize = self.world.nodes.iter().map(|node| node.shard.connections_count()).sum();
        if connections != self.clients.len() {
            return Err(format!("{connections} connections of {} clients", self.clients.len()));
        }
        Ok(())
    }

    /// A new subscriber on each shard finds the latest Retained Messages, and on every shard the same.
    pub(super) fn check_retained(&mut self) -> Result<(), String> {
        let mut views = Vec::new();
        for shard in 0..self.world.nodes.len() {
            let identifier = (0..).map(|n| format!("probe-{n}")).find(|it| self.world.home(it) == shard);
            let mut random = Random::new(0);
            let habits = Habits {
                version: ProtocolVersion::V5,
                is_clean: true,
                expiry_s: 0,
                maximum_packet_size: None,
                share: None,
                will: None,
                keep_alive_s: 0,
                acknowledges_late: false,
                ..habits(&mut random)
            };
            self.clients.push(Client::new(self.clients.len(), identifier.unwrap_or_default(), habits));
            self.settle(true)?;
            if let Some(probe) = self.clients.last_mut() {
                probe.subscribe(
                    &mut self.world,
                    &[("r/#", QoS::AtLeastOnce)],
                    false,
                    RetainHandling::SendAtSubscribe,
                );
            }
            self.settle(true)?;
            let mut view = self.clients.last().map(|probe| probe.retained.clone()).unwrap_or_default();
            view.sort();
            if std::mem::take(&mut self.shows_old_retained) {
                self.swap_for_older(&mut view);
            }
            for topic in RETAINED_TOPICS {
                let mut found =
                    view.iter().filter(|(other, _)| other == topic).map(|(_, payload)| &payload[..]);
                checks::check_retained(&self.world, topic, found.next())?;
                if found.next().is_some() {
                    return Err(format!("{topic} has more than one Retained Message"));
                }
            }
            // What has an expiry may expire between two looks.
            let history = &self.world.history;
            let lasts = |payload: &[u8]| {
                history
                    .recognise(payload)
                    .is_none_or(|number| history.publications[number].expires_at.is_none())
            };
            view.retain(|(_, payload)| lasts(payload));
            views.push(view);
        }
        if views.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("shards differ in their Retained Messages: {views:?}"));
        }
        Ok(())
    }

    /// Long after, no Retained Message is left that had an expiry.
    pub(super) fn check_expired(&mut self) -> Result<(), String> {
        self.world.pass(Duration::from_secs(3600));
        self.settle(true)?;
        if let Some(probe) = self.clients.last_mut() {
            probe.subscribe(
                &mut self.world,
                &[("r/#", QoS::AtLeastOnce)],
                false,
                RetainHandling::SendAtSubscribe,
            );
        }
        self.settle(true)?;
        let view = self.clients.last().map(|probe| probe.retained.clone()).unwrap_or_default();
        let history = &self.world.history;
        let mut found = view.iter().filter_map(|(_, payload)| history.recognise(payload));
        let expired = found.find(|number| history.publications[*number].expires_at.is_some());
        expired
            .map_or(Ok(()), |number| Err(format!("Retained Message {number} has expired and is still sent")))
    }

    /// Plants a fault: the first Retained Message that ever was instead of the last.
    fn swap_for_older(&self, view: &mut [(String, Vec<u8>)]) {
        for (topic, payload) in view {
            let publications = &self.world.history.publications;
            if let Some(first) =
                publications.iter().position(|one| one.retain && one.topic == topic && one.began.is_some())
            {
                *payload = self.world.history.payload(first);
            }
        }
    }

    pub(super) fn figures(&self) -> Figures {
        let history = &self.world.history;
        let arrivals = || history.sessions.iter().flat_map(|session| &session.arrivals);
        Figures {
            publications: history.publications.len(),
            arrivals: arrivals().count(),
            connections: self.world.wires.len(),
            shared_arrivals: arrivals()
                .filter(|it| history.publications[it.publication].topic.starts_with("jobs/"))
                .count(),
            resent: arrivals().filter(|arrival| arrival.dup).count(),
            crashes: history.crashes.len(),
            vacated: self.world.vacated,
            obligations: 0,
        }
    }

    /// Everybody leaves for good, and nothing stays behind.
    pub(super) fn end(mut self) -> Result<(), String> {
        if let Some(probe) = self.clients.last_mut() {
            for topic in RETAINED_TOPICS {
                probe.publish(&mut self.world, topic, QoS::AtLeastOnce, true, 0, None);
            }
        }
        self.settle(false)?;
        for client in &mut self.clients {
            client.habits.will = None;
            client.connect(&mut self.world, true, 0);
        }
        self.settle(false)?;
        for client in &mut self.clients {
            client.disconnect(&mut self.world, ReasonCode::Success);
        }
        self.settle(false)?;
        self.world.pass(Duration::from_secs(3 * 3600));
        self.settle(false)?;
        for (number, node) in self.world.nodes.iter().enumerate() {
            let shard = &node.shard;
            let left = [
                ("Sessions", shard.sessions_count()),
                ("connections", shard.connections_count()),
                ("subscriptions", shard.subscriptions_count()),
                ("Retained Messages", shard.retained_count()),
                ("bytes of messages", shard.memory_gauge().bytes()),
                ("timers", usize::from(shard.poll_timeout().is_some())),
            ];
            if let Some((what, count)) = left.iter().find(|(_, count)| *count > 0) {
                return Err(format!("{count} {what} are left on shard {number}"));
            }
        }
        match self.world.subscriptions.in_all() {
            0 => Ok(()),
            // One that was given back twice makes it very large.
            count => Err(format!("{count} subscriptions are counted that nobody has")),
        }
    }
}
