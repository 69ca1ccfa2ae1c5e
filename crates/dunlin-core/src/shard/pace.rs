//! How fast a client takes what it is sent, and for how long others wait for it.
//!
//! A consumer whose outbox or queue passes its mark is noted: its publisher is slowed for a short grace, and
//! when that is over the consumer is left behind (its QoS 0 messages are dropped) until it has caught up.

use super::clients::Clients;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;

impl Clients {
    /// Whether more may be encoded for this client now.
    pub fn outbox_has_room(&self, connection: Key) -> bool {
        self.connections.get(connection).is_some_and(|connection| {
            let bytes = connection.outbox_bytes() + connection.waiting_publications_bytes();
            bytes <= self.settings.outbox_bytes_max
        })
    }

    /// Whether a member of a shared group can take a QoS 1 or 2 message this moment.
    pub fn can_take(&self, session: Key) -> bool {
        self.live_connection(session).is_some_and(|connection| {
            self.outbox_has_room(connection)
                && self.sessions.get(session).is_some_and(|value| value.outbound.has_room())
        })
    }

    /// Whether a consumer has caught up: half of the mark.
    pub fn has_caught_up(&self, connection: Key) -> bool {
        let mark = self.settings.outbox_bytes_max / 2;
        self.connections.get(connection).is_none_or(|value| {
            value.is_closing
                || (value.outbox_bytes() <= mark
                    && self
                        .sessions
                        .get(value.session)
                        .is_none_or(|session| session.outbound.queued_bytes() <= mark))
        })
    }

    /// A message has run into a consumer that is behind. The grace runs from the first such message, so that
    /// many dead consumers share it; after that it is left behind.
    pub fn note_slow(&mut self, now: Timestamp, key: Key) {
        let grace = self.settings.slow_consumer_grace;
        let Some(connection) = self.connections.get_mut(key).filter(|connection| !connection.is_lagging)
        else {
            return;
        };
        let since = *connection.extras_mut().slow_since.get_or_insert(now);
        if since + grace <= now {
            connection.is_lagging = true;
        } else {
            self.slow_consumer = Some(key);
        }
    }

    /// Arms the timer of a slow consumer for whom somebody waits since then.
    pub fn arm_grace(&mut self, since: Timestamp, consumer: Key) {
        self.timers.arm(since + self.settings.slow_consumer_grace, Timer::SlowConsumer(consumer));
    }
}
