//! Bodies that there is no memory for: given up when they are durable, read back when their turn is near.
//!
//! ```text
//!   enqueue, memory is full ──> noted with its position ──durable──> given up (`session/queue.rs`)
//!   pump, the front is in the store alone ──> Output::Load ──> handle_loaded ──> pump
//! ```
//!
//! Only the queues of Sessions do this; what is in flight, retained or with a shared group stays in memory, and so
//! does the rare message with several Subscription Identifiers.

use super::clients::Clients;
use super::{DropReason, Output, Shard};
use crate::message::ApplicationMessage;
use crate::session::Queue;
use crate::slots::Key;
use crate::time::Timestamp;
use std::sync::Arc;

impl Clients {
    /// A message waits. If bodies take more memory than they may, it gives up its own as soon as it is durable.
    pub fn note_queued(&mut self, session: Key, order: u64) {
        if self.journal.is_enabled() && self.gauge.bytes() > self.settings.body_memory_bytes {
            self.giving_up.push_back((self.journal.position(), session, order));
        }
    }

    /// Lets messages that have become durable give up their bodies.
    pub fn give_up_bodies(&mut self) {
        while let Some((position, session, order)) = self.giving_up.front().copied() {
            if !self.journal.is_durable(position) {
                return;
            }
            self.giving_up.pop_front();
            let is_connected = self.sessions.get(session).is_some_and(|value| value.connection.is_some());
            self.with_queue(session, |queue| queue.give_up_bodies(order, is_connected));
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
            self.outputs.push_back(Output::Load { session, places });
        }
    }
}

impl Shard {
    /// The store has read what [`Output::Load`] asked for: each message by its place in the Session, or none if
    /// it cannot be read any more.
    pub fn handle_loaded(
        &mut self,
        now: Timestamp,
        session: Key,
        messages: Vec<(u64, Option<Arc<ApplicationMessage>>)>,
    ) {
        let is_walked = self.vacating_goes_on(session, messages.first().map_or(0, |(order, _)| *order));
        for (order, message) in messages {
            let forgotten = self.clients.with_queue(session, |queue| match message {
                Some(message) => {
                    queue.load(order, message);
                    None
                }
                None => queue.forget(order),
            });
            if let Some(finished) = forgotten.flatten() {
                self.clients.note_dropped(session, finished, DropReason::Unreadable);
            }
        }
        if let Some(value) = self.clients.sessions.get_mut(session) {
            value.outbound.queue_mut().end_loading();
        }
        // The client that they were read for may have gone meanwhile.
        if !is_walked && self.clients.sessions.get(session).is_some_and(|value| value.connection.is_none()) {
            self.clients.note_queued(session, u64::MAX);
            self.clients.give_up_bodies();
        }
        self.pump(now, session);
        self.run_follow_ups(now);
    }
}
