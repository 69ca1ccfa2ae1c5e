//! What happens by itself: Keep Alive, the end of what a client authenticated with, Will Delay, Session Expiry,
//! the grace of slow consumers, and work that goes on in slices.

use super::Shard;
use crate::connection::Cause;
use crate::slots::Key;
use crate::time::Timestamp;
use crate::timers::Timer;
use dunlin_codec::ReasonCode;

impl Shard {
    /// When [`Self::handle_timeout`] is due; `Timestamp::ZERO` means now.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let goes_on = !self.retained_continues.is_empty()
            || self.has_peer_work()
            || self.can_vacate()
            || self.forwards.have_unrouted();
        if goes_on { Some(Timestamp::ZERO) } else { self.clients.timers.next_deadline() }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        for _ in 0..self.retained_continues.len() {
            if let Some(session) = self.retained_continues.pop_front() {
                if let Some(value) = self.clients.sessions.get_mut(session) {
                    value.is_walking = false;
                }
                self.pump_retained(now, session);
            }
        }
        self.continue_peers(now);
        self.continue_vacating(now);
        self.route_recovered(now);
        while let Some(timer) = self.clients.timers.pop_due(now) {
            match timer {
                Timer::KeepAlive(key) => self.check_keep_alive(now, key),
                Timer::Identity(key) => self.check_identity(now, key),
                Timer::SlowConsumer(key) => self.end_grace(now, key),
                Timer::Absence(session) => self.check_absence(now, session),
                Timer::RetainedExpiry => self.expire_retained(now),
            }
        }
        self.run_follow_ups(now);
        self.sweep_timers();
    }

    /// Drops the timers without an owner, when they have become many.
    pub(super) fn sweep_timers(&mut self) {
        let retained_at = self.retained_timer_at;
        let clients = &mut self.clients;
        clients.timers.sweep(|at, timer| match timer {
            Timer::KeepAlive(key) | Timer::Identity(key) | Timer::SlowConsumer(key) => {
                clients.connections.get(key).is_some()
            }
            Timer::Absence(key) => {
                clients.sessions.get(key).is_some_and(|session| session.extras.absence_timer_at == Some(at))
            }
            Timer::RetainedExpiry => retained_at == Some(at),
        });
    }

    /// Sends the Will of an absent client, and ends its Session, when they are due.
    // spec(v5): [MQTT-3.1.2-8] [MQTT-4.1.0-2]
    fn check_absence(&mut self, now: Timestamp, session: Key) {
        let Some(value) = self.clients.sessions.get_mut(session) else {
            return;
        };
        let Some(extras) = value.extras.existing() else {
            return;
        };
        extras.absence_timer_at.take_if(|at| *at <= now);
        let (will_due_at, expires_at) = (extras.will_due_at, extras.expires_at);
        if will_due_at.is_some_and(|at| at <= now) {
            self.publish_will(now, session);
        }
        if expires_at.is_some_and(|at| at <= now) {
            self.clients.counters.sessions_expired += 1;
            return self.end_session(now, session);
        }
        if let Some(next) = will_due_at.filter(|at| *at > now).into_iter().chain(expires_at).min() {
            self.arm_absence(session, next);
        }
    }

    // spec(v5): [MQTT-3.1.2-22]
    // spec(v3.1.1): [MQTT-3.1.2-24]
    fn check_keep_alive(&mut self, now: Timestamp, key: Key) {
        let Some(connection) =
            self.clients.connections.get_mut(key).filter(|connection| !connection.is_closing)
        else {
            return;
        };
        if connection.waits_for_us() {
            // Its packets may lie unread, and that is not its silence.
            connection.silent_since = now;
            return self.clients.timers.arm(now.after_s(1), Timer::KeepAlive(key));
        }
        let Some(deadline) = connection.keep_alive_deadline() else {
            return;
        };
        if deadline <= now {
            self.end_connection(now, key, Cause::KeepAliveTimeout);
        } else {
            self.clients.timers.arm(deadline, Timer::KeepAlive(key));
        }
    }

    /// Ends the connection of a client whose token, or whatever it showed, is not valid any more.
    fn check_identity(&mut self, now: Timestamp, key: Key) {
        if let Some(connection) = self.clients.connections.get_mut(key)
            && connection.identity_timer_at.is_some_and(|at| at <= now)
        {
            connection.identity_timer_at = None;
        }
        let Some((_, session)) = self.clients.session_of(key) else {
            return;
        };
        match session.identity.valid_until {
            Some(valid_until) if valid_until <= now => {
                let detail = "what the client authenticated with has expired";
                let reason_code = ReasonCode::NotAuthorized;
                self.end_connection(now, key, Cause::Server { reason_code, detail });
            }
            Some(valid_until) => self.clients.arm_identity(key, valid_until),
            None => {}
        }
    }

    /// The grace of a slow consumer may be over: if it has been behind all the time, it is left behind.
    fn end_grace(&mut self, now: Timestamp, key: Key) {
        let grace = self.clients.settings.slow_consumer_grace;
        let Some(extras) =
            self.clients.connections.get_mut(key).and_then(|connection| connection.extras.as_mut())
        else {
            return;
        };
        extras.has_grace_timer = false;
        let Some(since) = extras.slow_since else {
            return;
        };
        if since + grace > now {
            extras.has_grace_timer = true;
            return self.clients.arm_grace(since, key);
        }
        if self.clients.has_caught_up(key) {
            return self.caught_up(key);
        }
        if let Some(connection) = self.clients.connections.get_mut(key) {
            connection.is_lagging = true;
        }
        self.release_slowed(key);
    }

    /// Sends what the Session is owed, as far as its client takes it now.
    pub(super) fn pump(&mut self, now: Timestamp, session: Key) {
        self.clients.pump(now, session);
        let Some(value) = self.clients.sessions.get(session) else {
            return;
        };
        let is_busy = value.is_busy;
        if !value.extras.retained.is_empty() {
            self.pump_retained(now, session);
        }
        if is_busy && self.clients.can_take(session) {
            self.tell_ready(now, session);
        }
    }
}
