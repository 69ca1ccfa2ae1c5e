//! Whether the threads that serve clients still turn.
//!
//! A [`Pulse`] sends a [`Ping`] to the control thread and to each worker, by the way that everything else reaches them,
//! and waits for the answers. An answer therefore means that the thread takes its mail, not merely that it exists. It
//! is asked every few seconds by the watchdog of a service manager (`service_manager.rs`), never for a message.

use crate::worker::{Mail, Mailboxes};
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A question to one thread: do you still turn?
pub struct Ping {
    thread: usize,
    answers: std_mpsc::Sender<usize>,
}

impl Ping {
    /// Yes.
    pub fn answer(self) {
        // Whoever asked may have stopped waiting.
        let _ = self.answers.send(self.thread);
    }
}

/// See the top of the file.
pub struct Pulse {
    control: mpsc::UnboundedSender<Ping>,
    mailboxes: Mailboxes,
}

impl Pulse {
    pub(super) fn new(control: mpsc::UnboundedSender<Ping>, mailboxes: Mailboxes) -> Self {
        Self { control, mailboxes }
    }

    /// The names of the threads that have not answered within this time; a thread that has ended never answers.
    pub fn silent_after(&self, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let (answers, answered) = std_mpsc::channel();
        let control = self.mailboxes.len();
        for (thread, mailbox) in self.mailboxes.iter().enumerate() {
            // What cannot be sent is not answered, and that is what this is about.
            drop(mailbox.send(Mail::Ping(Ping { thread, answers: answers.clone() })));
        }
        drop(self.control.send(Ping { thread: control, answers }));
        let mut silent: Vec<usize> = (0..=control).collect();
        while !silent.is_empty() {
            match answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(thread) => silent.retain(|candidate| *candidate != thread),
                Err(_) => break,
            }
        }
        let name = |thread| match thread {
            _ if thread == control => "dunlin-control".to_owned(),
            worker => format!("dunlin-worker-{worker}"),
        };
        silent.into_iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for a thread that answers at once, on any machine.
    const LONG: Duration = Duration::from_secs(60);

    /// A thread that answers every ping until nobody can ask any more.
    fn answering() -> mpsc::UnboundedSender<Ping> {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Ping>();
        std::thread::spawn(move || {
            while let Some(ping) = receiver.blocking_recv() {
                ping.answer();
            }
        });
        sender
    }

    fn answering_worker() -> mpsc::UnboundedSender<Mail> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            while let Some(mail) = receiver.blocking_recv() {
                if let Mail::Ping(ping) = mail {
                    ping.answer();
                }
            }
        });
        sender
    }

    #[test]
    fn nobody_is_silent_when_all_threads_turn() {
        let pulse = Pulse::new(answering(), vec![answering_worker(), answering_worker()].into());
        assert!(pulse.silent_after(LONG).is_empty());
    }

    #[test]
    fn a_worker_that_does_not_take_its_mail_is_named() {
        let (stuck, _mailbox) = mpsc::unbounded_channel();
        let pulse = Pulse::new(answering(), vec![answering_worker(), stuck].into());
        // The others may be late on a busy machine; the stuck one is silent however long it takes.
        let silent = pulse.silent_after(Duration::from_millis(50));
        assert!(silent.contains(&"dunlin-worker-1".to_owned()), "{silent:?}");
    }

    #[test]
    fn threads_that_have_ended_are_named_at_once() {
        let pulse = Pulse::new(mpsc::unbounded_channel().0, vec![mpsc::unbounded_channel().0].into());
        assert_eq!(pulse.silent_after(LONG), ["dunlin-worker-0", "dunlin-control"]);
    }
}
