//! Reads one connection and feeds the shard.
//!
//! Bytes are read into the worker's one buffer and decoded there; only the beginning of a packet that has not
//! come whole is kept, so an idle connection owns no buffer. The task itself holds nothing but its two pointers,
//! which makes it fit into 128 bytes with all that tokio adds. One read of at most that buffer is one turn:
//! then others have theirs.

use super::Worker;
use super::link::Link;
use dunlin_core::shard::NextInput;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// An incomplete packet of more than this is read in its own buffer instead of the worker's.
const OWN_BUFFER_FROM_BYTES: usize = 16 * 1024;

/// The task of one connection.
pub(crate) struct Reader {
    worker: Rc<Worker>,
    link: Rc<Link>,
}

/// How one turn ended.
enum Turn {
    /// The network has nothing: its waker is registered.
    Waiting,
    /// More may be there at once.
    Again,
    Over,
}

impl Reader {
    pub fn new(worker: Rc<Worker>, link: Rc<Link>) -> Self {
        Self { worker, link }
    }

    /// Hands bytes to the shard. A panic ends this connection and nothing else.
    fn feed(worker: &Worker, link: &Link, bytes: &[u8]) -> (usize, NextInput) {
        let now = worker.now();
        let all = bytes;
        let delays = &worker.shared.gate.delays;
        let bytes = link.throttle().map_or(all, |throttle| throttle.admitted(now, all, delays));
        let fed =
            catch_unwind(AssertUnwindSafe(|| worker.shard.borrow_mut().handle_input(now, link.key, bytes)));
        match fed {
            Ok(progress) => {
                let Some(throttle) = link.throttle() else {
                    return (progress.consumed, progress.next);
                };
                throttle.handed_over(progress.consumed);
                if throttle.is_waiting() {
                    worker.shard.borrow_mut().handle_unread(link.key);
                }
                let has_held_back = bytes.len() < all.len();
                let next = match progress.next {
                    NextInput::Read { .. } if has_held_back => NextInput::Yield,
                    next => next,
                };
                (progress.consumed, next)
            }
            Err(_) => {
                link.description.panicked();
                worker.shard.borrow_mut().handle_lost(now, link.key);
                (all.len(), NextInput::Close)
            }
        }
    }

    fn feed_pending(&self) {
        self.feed_all(self.link.take_pending());
    }

    /// Hands in `pending`, and keeps what is not taken.
    fn feed_all(&self, mut pending: Vec<u8>) {
        let (consumed, next) = Self::feed(&self.worker, &self.link, &pending);
        pending.drain(..consumed);
        self.link.set_pending(pending);
        self.link.next.set(next);
    }

    /// Reads once, and hands in what came.
    fn read(&self, context: &mut Context<'_>, packet_length: Option<u32>) -> Turn {
        let mut transport = self.link.transport.borrow_mut();
        let mut pending = self.link.take_pending();
        let start = pending.len();
        let missing = (packet_length.unwrap_or(0) as usize).saturating_sub(start);
        if start.max(missing) >= OWN_BUFFER_FROM_BYTES {
            // The buffer grows with what has come, not with what was announced.
            let room = missing.clamp(1, start.max(OWN_BUFFER_FROM_BYTES));
            pending.resize(start + room, 0);
            let result = transport.poll_read(context, &mut pending[start..]);
            pending.truncate(start + if let Poll::Ready(Ok(count)) = result { count } else { 0 });
            drop(transport);
            return match result {
                Poll::Pending => {
                    self.link.set_pending(pending);
                    Turn::Waiting
                }
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.feed_all(pending);
                    Turn::Again
                }
                Poll::Ready(result) => self.lost(result.err()),
            };
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        scratch[..start].copy_from_slice(&pending);
        let result = transport.poll_read(context, &mut scratch[start..]);
        drop(transport);
        match result {
            Poll::Pending => {
                self.link.set_pending(pending);
                Turn::Waiting
            }
            Poll::Ready(Ok(count)) if count > 0 => {
                let bytes = &scratch[..start + count];
                let (consumed, next) = Self::feed(&self.worker, &self.link, bytes);
                pending.clear();
                pending.extend_from_slice(&bytes[consumed..]);
                self.link.set_pending(pending);
                self.link.next.set(next);
                Turn::Again
            }
            Poll::Ready(result) => {
                drop(scratch);
                self.lost(result.err())
            }
        }
    }

    fn lost(&self, error: Option<std::io::Error>) -> Turn {
        if let Some(error) = error {
            self.link.description.failed(&error);
        }
        self.worker.shard.borrow_mut().handle_lost(self.worker.now(), self.link.key);
        Turn::Over
    }
}

impl Future for Reader {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(throttle) = this.link.throttle().filter(|throttle| throttle.is_waiting()) {
            if throttle.poll_ready(&this.worker, context).is_pending() {
                return Poll::Pending;
            }
            this.worker.shard.borrow_mut().handle_read_again(this.worker.now(), this.link.key);
        }
        let turn = match this.link.next.get() {
            NextInput::Read { packet_length } => this.read(context, packet_length),
            NextInput::Yield => {
                this.feed_pending();
                Turn::Again
            }
            NextInput::Pause if this.worker.shard.borrow().is_paused(this.link.key) => {
                // The driver wakes this task when the shard says so.
                this.link.set_paused(context.waker().clone());
                return Poll::Pending;
            }
            NextInput::Pause => {
                this.link.next.set(NextInput::Yield);
                Turn::Again
            }
            NextInput::Close => Turn::Over,
        };
        match turn {
            Turn::Waiting => Poll::Pending,
            Turn::Again => {
                this.worker.wake_driver();
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Turn::Over => {
                this.worker.wake_driver();
                Poll::Ready(())
            }
        }
    }
}
