//! All the glue between a shard and its runtime, on one screen.
//!
//! The driver is woken when inputs were fed, and runs after the tasks that were ready then: this is the
//! deferred flush. It takes mail from other threads, does what is due, and gives each output to whom it
//! concerns: records to the store and batches to the other workers first (so that they start), then one write per connection, then
//! what is to be closed or resumed.

use super::link::Link;
use super::{Ending, Mail, Worker};
use crate::trace::Tracers;
use dunlin_codec::ReasonCode;
use dunlin_core::connection::Cause;
use dunlin_core::shard::Output;
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use dunlin_store::Event;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Mail taken in one turn.
const MAIL_MAX: usize = 256;

/// How long a connection that is being closed may take to accept its last bytes.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// How long the client may then take to close its side.
const LINGER_DEADLINE: Duration = Duration::from_millis(200);

/// Bytes read and thrown away while a client closes its side.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// The future that is a worker's life.
pub(crate) struct Driver {
    worker: Rc<Worker>,
    mailbox: mpsc::UnboundedReceiver<Mail>,
    timer: Pin<Box<Sleep>>,
    stop: Option<oneshot::Sender<()>>,
    is_cut: bool,
    /// The connections flushed in this turn; kept for its memory.
    flushing: Vec<Key>,
}

impl Driver {
    pub fn new(worker: Rc<Worker>, mailbox: mpsc::UnboundedReceiver<Mail>) -> Self {
        Self {
            worker,
            mailbox,
            timer: Box::pin(sleep_until(Instant::now())),
            stop: None,
            is_cut: false,
            flushing: Vec::new(),
        }
    }

    fn take_mail(&mut self, context: &mut Context<'_>) -> bool {
        for taken in 0..MAIL_MAX {
            let Poll::Ready(Some(mail)) = self.mailbox.poll_recv(context) else {
                return taken > 0;
            };
            match mail {
                // Whoever still comes is not let in any more.
                Mail::Arrival(_) | Mail::Client(_) if self.worker.is_stopping.get() => {}
                Mail::Arrival(arrival) => arrival.admit(Rc::clone(&self.worker)),
                Mail::Client(mut client) => match client.transport.attach() {
                    Ok(()) => self.worker.adopt(*client),
                    Err(error) => client.lost_on_its_way(&error),
                },
                Mail::Batch(from, batch) => {
                    let now = self.worker.now();
                    let mut shard = self.worker.shard.borrow_mut();
                    for message in batch {
                        shard.handle_peer(now, from, message);
                    }
                    shard.handle_peer_batch_end(from);
                }
                Mail::Store(event) => {
                    let now = self.worker.now();
                    let mut shard = self.worker.shard.borrow_mut();
                    match event {
                        Event::Durable { position, segment } => shard.handle_durable(now, position, segment),
                        Event::Vacate { before } => shard.handle_vacate(before),
                        Event::State(state) => shard.handle_store_state(now, state),
                    }
                }
                Mail::Loaded(holder, messages) => {
                    self.worker.shard.borrow_mut().handle_loaded(self.worker.now(), holder, messages);
                }
                Mail::Visit(visit) => (visit.0)(&self.worker),
                Mail::Settings(settings) => {
                    self.worker.shard.borrow_mut().handle_settings(settings);
                    // There may be limits now for those who are connected.
                    self.worker.links.borrow().iter().flatten().for_each(|link| link.begin_throttling());
                }
                Mail::ListenerClosed(listener) => self.worker.close_listener(&listener),
                Mail::Ping(ping) => ping.answer(),
                Mail::Cut => self.is_cut = true,
                Mail::Stop(done) => {
                    self.worker.is_stopping.set(true);
                    let now = self.worker.now();
                    let detail = "the Server is shutting down";
                    self.worker.shard.borrow_mut().disconnect_all(
                        now,
                        ReasonCode::ServerShuttingDown,
                        detail,
                    );
                    self.stop = Some(done);
                }
            }
        }
        true
    }

    /// First to the store, so that its disk has work while everything else happens.
    fn hand_over(&self) {
        self.worker.send_to_store();
        self.worker.send_to_peers();
    }

    /// One write for each connection with bytes to write. What flushing itself lets go has its turn after the
    /// others': a client that swallows Retained Messages must not keep the worker for itself.
    fn flush(&mut self) {
        {
            let mut shard = self.worker.shard.borrow_mut();
            self.flushing.extend(std::iter::from_fn(|| shard.poll_flush()));
        }
        if self.flushing.is_empty() {
            // Nothing was sent, so the time does not matter.
            return self.worker.shard.borrow_mut().handle_turn_end(Timestamp::ZERO);
        }
        for key in self.flushing.drain(..) {
            if let Some(link) = self.worker.link(key) {
                flush_now(&self.worker, &link);
            }
        }
        self.worker.shard.borrow_mut().handle_turn_end(self.worker.now());
    }

    /// What operators wait for: that something is durable, and what is published.
    fn answer_operators(&self) {
        let mut durable = self.worker.durable.borrow_mut();
        let taps = self.worker.taps.borrow();
        if !durable.is_empty() {
            durable.release(&self.worker.shard.borrow());
        }
        if !taps.is_empty() {
            taps.take(&mut self.worker.shard.borrow_mut());
        }
    }

    fn carry_out(&self) -> bool {
        let mut has_done = false;
        loop {
            let Some(output) = self.worker.shard.borrow_mut().poll_output() else {
                return has_done;
            };
            has_done = true;
            match output {
                Output::Resume { connection } => {
                    if let Some(waker) = self.worker.link(connection).and_then(|link| link.take_paused()) {
                        waker.wake();
                    }
                }
                Output::Vacated { before } => self.worker.store_vacated(before),
                Output::Load { holder, places } => self.worker.load(holder, places),
                Output::Traced { connection, publication } => {
                    if let Some(otlp) = &self.worker.shared.otlp {
                        let shard = self.worker.shard.borrow();
                        otlp.published(shard.client_identifier(connection), *publication, self.worker.now());
                    }
                }
                Output::Refused { connection, reason_code, topic } => {
                    if let Some(link) = self.worker.link(connection) {
                        link.description.refused(reason_code, &topic);
                    }
                }
                Output::Close { connection, cause } => {
                    if let Some(link) = self.worker.link(connection) {
                        link.stop_tasks();
                        link.description.closed(&cause);
                        if !self.worker.tracers.borrow().is_empty() {
                            Tracers::closed(&self.worker, connection, &cause);
                        }
                        let ending = Ending { at: self.worker.now(), cause };
                        self.worker.endings.borrow_mut().note(link.description.client(), ending);
                        tokio::task::spawn_local(close(Rc::clone(&self.worker), link, cause));
                    }
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        self.worker.shard.borrow().poll_timeout().is_some_and(|deadline| deadline <= self.worker.now())
    }

    /// Sets the timer to the shard's next deadline. True if that has passed already.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.worker.shard.borrow().poll_timeout() else {
            return false;
        };
        let now = self.worker.now();
        if deadline <= now {
            return true;
        }
        let instant = Instant::from_std(self.worker.shared.clock.instant(deadline));
        if self.timer.deadline() != instant {
            self.timer.as_mut().reset(instant);
        }
        self.timer.as_mut().poll(context).is_ready()
    }

    /// One turn. True if there may be more to do at once.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let has_mail = self.take_mail(context);
        if self.is_due() {
            self.worker.shard.borrow_mut().handle_timeout(self.worker.now());
        }
        self.hand_over();
        self.flush();
        // What flushing let go may concern store and peers, too.
        self.hand_over();
        if !self.worker.tracers.borrow().is_empty() {
            Tracers::take(&self.worker);
        }
        let has_done = self.carry_out();
        self.answer_operators();
        // Last, because everything above may have set a deadline.
        let is_due = self.poll_timer(context);
        has_mail || is_due || has_done || self.worker.shard.borrow().has_flush()
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // Whatever made it panic was taken out before: the next turn goes on without it.
        let has_more = catch_unwind(AssertUnwindSafe(|| this.turn(context))).unwrap_or_else(|_| {
            tracing::error!("a turn of the broker panicked; please report this");
            true
        });
        if this.is_cut {
            return Poll::Ready(());
        }
        if this.stop.is_some() && this.worker.shard.borrow().connections_count() == 0 {
            // Nobody listens for the answer if the deadline has passed.
            let _ = this.stop.take().map(|done| done.send(()));
            return Poll::Ready(());
        }
        if has_more {
            // The readers have their turn in between.
            context.waker().wake_by_ref();
        } else {
            this.worker.driver.set(Some(context.waker().clone()));
        }
        Poll::Pending
    }
}

/// Writes what the network takes at once; what is left gets a task that waits for the network.
///
/// tokio's budget for one task ends the writes of a turn after about 128 connections, and the rest get such
/// a task, too. That is wanted: exempting the driver cost 1.03 to 1.36 times the CPU at 1 to 1,000.
fn flush_now(worker: &Rc<Worker>, link: &Rc<Link>) {
    if link.is_closing() {
        // Its last task writes everything.
        return;
    }
    if let Some(writer) = link.take_writer()
        && !writer.is_finished()
    {
        // It writes what has been added, too.
        return link.set_writer(writer);
    }
    if let Poll::Ready(result) = poll_write(worker, link, &mut Context::from_waker(Waker::noop())) {
        return written(worker, link.key, result.is_ok());
    }
    let task = {
        let (worker, link) = (Rc::clone(worker), Rc::clone(link));
        tokio::task::spawn_local(async move {
            let result = poll_fn(|context| {
                let result = poll_write(&worker, &link, context);
                if result.is_pending() {
                    // It reads, if slowly: what waits for that goes on.
                    worker.shard.borrow_mut().handle_flushed(worker.now(), link.key);
                    worker.wake_driver();
                }
                result
            })
            .await;
            written(&worker, link.key, result.is_ok());
            worker.wake_driver();
            link.take_writer();
        })
    };
    link.set_writer(task.abort_handle());
}

fn poll_write(worker: &Worker, link: &Link, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
    let mut shard = worker.shard.borrow_mut();
    let mut transport = link.transport.borrow_mut();
    match shard.outbox(link.key) {
        Some(outbox) => transport.poll_write(context, outbox),
        None => transport.poll_flush(context),
    }
}

fn written(worker: &Worker, key: Key, is_ok: bool) {
    let mut shard = worker.shard.borrow_mut();
    if is_ok {
        shard.handle_flushed(worker.now(), key);
    } else {
        shard.handle_lost(worker.now(), key);
    }
}

/// Writes the last bytes, says goodbye, and forgets the connection.
async fn close(worker: Rc<Worker>, link: Rc<Link>, cause: Cause) {
    if cause != Cause::TransportLost {
        let goodbye = async {
            poll_fn(|context| poll_write(&worker, &link, context)).await?;
            poll_fn(|context| link.transport.borrow_mut().poll_shutdown(context)).await
        };
        // Whether the client listened to the end makes no difference any more.
        if let Ok(Ok(())) = timeout(CLOSE_DEADLINE, goodbye).await {
            drop(timeout(LINGER_DEADLINE, read_out(&link)).await);
        }
    }
    worker.shard.borrow_mut().remove(link.key);
    if let Some(place) = worker.links.borrow_mut().get_mut(link.key.index as usize) {
        *place = None;
    }
    worker.wake_driver();
}

/// Unread bytes would make the kernel reset the connection, and the client would lose our last packet.
async fn read_out(link: &Link) -> std::io::Result<()> {
    let mut left = LINGER_BYTES_MAX;
    let mut buffer = [0; 512];
    while left > 0 {
        match poll_fn(|context| link.transport.borrow_mut().poll_read(context, &mut buffer)).await? {
            0 => break,
            count => left = left.saturating_sub(count),
        }
    }
    Ok(())
}
