//! An alarm that wakes the poll at a time, to the microsecond.
//!
//! The poll's own timeout counts whole milliseconds, in which twenty messages of a fast schedule are due. A
//! timer of the system is one more thing that the poll watches, and the thread sleeps until it rings.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Error;

/// A timer that the poll watches.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    rings_at: Option<Instant>,
}

impl Alarm {
    /// An alarm that the poll announces under `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> Result<Self, Error> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .map_err(|error| Error::io("create a timer")(error.into()))?;
        registry
            .register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)
            .map_err(Error::io("watch a timer"))?;
        Ok(Self { timer, rings_at: None })
    }

    /// Has it ring at `at`, and at no other time. As the poll is told of each time that it rings, nobody needs
    /// to read it.
    pub(crate) fn set(&mut self, at: Instant, now: Instant) -> Result<(), Error> {
        if self.rings_at == Some(at) && at > now {
            return Ok(());
        }
        // A time of 0 would turn it off.
        let wait = at.saturating_duration_since(now).max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .map_err(|error| Error::io("set a timer")(error.into()))?;
        self.rings_at = Some(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_wakes_the_poll_every_time_it_is_set() {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let mut alarm = Alarm::new(poll.registry(), Token(7)).unwrap();
        for _ in 0..3 {
            let now = Instant::now();
            let at = now + Duration::from_micros(300);
            alarm.set(at, now).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
            assert!(Instant::now() >= at);
        }
    }
}
