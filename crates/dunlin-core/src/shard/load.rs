//! Bodies that there is no memory for: given up when they are durable, read back when their turn is near.
//!
//! ```text
//!   it waits, memory is full ──> noted with its position ──durable──> given up (`queue.rs`)
//!   the front is in the store alone and somebody can take it ──> Output::Load ──> handle_loaded ──> sent
//! ```
//!
//! Only what waits for Sessions and groups does this; what is in flight or retained stays in memory, and so does the
//! rare message with several Subscription Identifiers.

use super::clients::Clients;
use super::{DropReason, Holder, Output, Shard};
use crate::message::ApplicationMessage;
use crate::queue::Queue;
use crate::slots::Key;
use crate::time::Timestamp;

impl Clients {
    /// A message waits. If bodies take more memory than they may, it gives up its own as soon as it is durable.
    pub fn note_queued(&mut self, holder: Holder, order: u64) {
        if self.journal.is_enabled() && self.gauge.bytes() > self.settings.body_memory_bytes {
            self.giving_up.push_back((self.journal.position(), holder, order));
        }
    }

    /// Does something with a Session's queue that may bring bodies into memory or out of it.
    pub fn with_queue<R>(&mut self, session: Key, change: impl FnOnce(&mut Queue) -> R) -> Option<R> {
        let queue = self.sessions.get_mut(session)?.outbound.queue_mut();
        let before = queue.stored_bytes();
        let result = change(queue);
        self.gauge.note_stored(before, queue.stored_bytes());
        Some(result)
    }

    /// Has the bodies read that the client is to be sent next.
    pub fn load_front(&mut self, session: Key) {
        if let Some(value) = self.sessions.get_mut(session)
            && value.outbound.queue().needs_loading()
        {
            let places = value.outbound.queue_mut().begin_loading();
            self.outputs.push_back(Output::Load { holder: Holder::Session(session), places });
        }
    }
}

impl Shard {
    /// Does something with a queue that may bring bodies into memory or out of it.
    pub(super) fn with_queue<R>(
        &mut self,
        holder: Holder,
        change: impl FnOnce(&mut Queue) -> R,
    ) -> Option<R> {
        match holder {
            Holder::Session(session) => self.clients.with_queue(session, change),
            Holder::Group(group) => {
                let queue = self.groups.get_mut(group)?.queue_mut();
                let before = queue.stored_bytes();
                let result = change(queue);
                self.clients.gauge.note_stored(before, queue.stored_bytes());
                Some(result)
            }
        }
    }

    /// Has the bodies read that a group's members are to be sent next.
    pub(super) fn load_front_of_group(&mut self, group: Key) {
        if let Some(value) = self.groups.get_mut(group)
            && value.has_ready_member()
            && value.queue().needs_loading()
        {
            let places = value.queue_mut().begin_loading();
            self.clients.outputs.push_back(Output::Load { holder: Holder::Group(group), places });
        }
    }

    /// Lets messages that have become durable give up their bodies.
    pub(super) fn give_up_bodies(&mut self) {
        while let Some((position, holder, order)) = self.clients.giving_up.front().copied() {
            if !self.clients.journal.is_durable(position) {
                return;
            }
            self.clients.giving_up.pop_front();
            let is_connected = self.is_connected(holder);
            self.with_queue(holder, |queue| queue.give_up_bodies(order, is_connected));
        }
    }

    /// Whether somebody is there who may take what waits.
    fn is_connected(&self, holder: Holder) -> bool {
        match holder {
            Holder::Session(session) => {
                self.clients.sessions.get(session).is_some_and(|value| value.connection.is_some())
            }
            Holder::Group(group) => self.groups.get(group).is_some_and(|value| value.has_online_member()),
        }
    }

    /// The store has read what [`Output::Load`] asked for: each message by its place, or none if it cannot be
    /// read any more.
    pub fn handle_loaded(
        &mut self,
        now: Timestamp,
        holder: Holder,
        messages: Vec<(u64, Option<ApplicationMessage>)>,
    ) {
        let is_walked = self.vacating_goes_on(holder, messages.first().map_or(0, |(order, _)| *order));
        for (order, message) in messages {
            let forgotten = self.with_queue(holder, |queue| match message {
                Some(message) => {
                    queue.load(order, message);
                    None
                }
                None => queue.forget(order),
            });
            match (holder, forgotten.flatten()) {
                (Holder::Session(session), Some(finished)) => {
                    self.clients.note_dropped(session, finished, DropReason::Unreadable);
                }
                (Holder::Group(group), Some(finished)) => {
                    self.note_dropped_by_group(group, finished, DropReason::Unreadable);
                }
                (_, None) => {}
            }
        }
        self.with_queue(holder, Queue::end_loading);
        // Whoever they were read for may have gone meanwhile.
        if !is_walked && !self.is_connected(holder) {
            self.clients.note_queued(holder, u64::MAX);
            self.give_up_bodies();
        }
        match holder {
            Holder::Session(session) => self.pump(now, session),
            Holder::Group(group) => self.drain(now, group),
        }
        self.run_follow_ups(now);
    }
}
