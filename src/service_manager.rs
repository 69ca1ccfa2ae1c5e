//! What the service manager (systemd) is told about this process.
//!
//! The protocol is a datagram of `KEY=value` lines to the socket in `NOTIFY_SOCKET`; without that variable nobody asks
//! and nothing is sent. `READY=1` comes when clients can connect, so what is ordered after the broker finds it;
//! `RELOADING=1` with the time, then `READY=1` again, stand around a reload, as `Type=notify-reload` wants it;
//! `STOPPING=1` comes with the signal. `WATCHDOG=1` is sent only when the control thread and every worker have just
//! answered ([`Pulse`]): a broker that runs but serves nobody is restarted.
//!
//! What must stay true: a status is one line of our own words. Text from a configuration or a client could have a line
//! end in it and say something else to the service manager. The sockets that a service manager hands over are in
//! `broker/inherited.rs`.

use std::convert::Infallible;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::broker::Pulse;

/// The process has begun; a store may take its time.
pub fn starting() {
    tell(&[NotifyState::Status("reading the store and opening the listeners")]);
}

/// Clients can connect, for the first time or again after a reload.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it, whatever came of it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload: no time"),
    }
}

/// No more clients are let in, and threads end: what watched them must not complain of it.
pub fn stopping(watch: Option<Watch>) {
    drop(watch);
    tell(&[NotifyState::Stopping, NotifyState::Status("disconnecting clients and closing the store")]);
}

/// Gives signs of life, until it is dropped.
pub struct Watch {
    _end: mpsc::Sender<Infallible>,
}

/// Gives signs of life for as long as the broker gives some, if the service manager wants any (`WatchdogSec=`).
pub fn watch(pulse: Pulse) -> Option<Watch> {
    // Two rounds fit into the limit even when each takes as long as it may.
    let round = sd_notify::watchdog_enabled()? / 3;
    let (end, ended) = mpsc::channel();
    let life = move || {
        loop {
            let asked = Instant::now();
            let silent = pulse.silent_after(round);
            if silent.is_empty() {
                tell(&[NotifyState::Watchdog]);
            } else if is_over(&ended, Duration::ZERO) {
                // They were told to end.
                return;
            } else {
                let threads = silent.join(", ");
                tracing::error!(
                    threads,
                    "no answer for {round:?}: the service manager is given no sign of life"
                );
            }
            if is_over(&ended, round.saturating_sub(asked.elapsed())) {
                return;
            }
        }
    };
    match thread::Builder::new().name("dunlin-watchdog".into()).spawn(life) {
        Ok(_) => Some(Watch { _end: end }),
        Err(error) => {
            tracing::error!(%error, "the watchdog thread could not start: the service manager will end the broker");
            None
        }
    }
}

/// Whether the watch ends within this time.
fn is_over(ended: &mpsc::Receiver<Infallible>, within: Duration) -> bool {
    ended.recv_timeout(within) == Err(RecvTimeoutError::Disconnected)
}

/// The status of a broker that serves with the configuration that it was last given, or with an older one.
pub fn serving(listeners: usize, is_up_to_date: bool) -> String {
    let listeners = match listeners {
        1 => "1 listener".to_owned(),
        count => format!("{count} listeners"),
    };
    let reload = if is_up_to_date { "" } else { "; the last reload changed nothing, the log says why" };
    format!("serving clients on {listeners}{reload}")
}

/// A service manager that does not listen is a reason to say so, not one to end.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told ({})", state[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_counts_listeners_and_is_one_line() {
        assert_eq!(serving(1, true), "serving clients on 1 listener");
        let failed = serving(2, false);
        assert_eq!(
            failed,
            "serving clients on 2 listeners; the last reload changed nothing, the log says why"
        );
        assert!(!failed.contains('\n'));
    }
}
