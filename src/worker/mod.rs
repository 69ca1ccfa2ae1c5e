//! A worker: one thread, one tokio runtime, one shard.
//!
//! Everything on a worker is `!Send` and shared by `Rc`; no lock is taken on the way of a message. Three
//! kinds of tasks run on it:
//!
//! * a `reader` for each connection: reads bytes and feeds them to the shard;
//! * the `driver`, one: when inputs have been fed, it takes the shard's outputs, so that all writes of a
//!   turn happen at its end;
//! * an `admission` for each connection that is not yet a client's.
//!
//! A connection is accepted on the control thread, admitted on any worker, and moved to the worker of its
//! Session.

mod gate;
mod ticket;
mod watch;
mod doorway;
mod refusal;
mod bans;
mod guesses;
mod pace;
mod delay;
mod allowance;
mod recent;
mod admission;
mod login;
mod driver;
mod link;
mod reader;
mod throttle;
mod endings;
mod durable;
mod taps;

pub use admission::{Arrival, ListenerContext};
pub use bans::{Ban, BanCause, Banned};
pub use delay::DelayReason;
pub(crate) use endings::{Ending, RefusedConnection};
pub use gate::{Gate, Spared};
pub(crate) use recent::{Held, Recent};
pub use refusal::RefusalReason;
pub(crate) use taps::{Heard, TapReceiver, tap_channel};
pub use ticket::Ticket;

use crate::broker::Ping;
use crate::otlp::Otlp;
use crate::trace::{Tracers, connected_line};
use crate::transport::Transport;
use crate::worker::durable::DurableWaiters;
use crate::worker::endings::{Endings, RefusedConnections};
use crate::worker::link::Link;
use crate::worker::taps::Taps;
use dunlin_codec::ReasonCode;
use dunlin_core::handshake::ConnectRequest;
use dunlin_core::identity::{ShardId, partition};
use dunlin_core::image::ShardImage;
use dunlin_core::journal::{Position, Segment};
use dunlin_core::peer::PeerMessage;
use dunlin_core::session::Place;
use dunlin_core::settings::Settings;
use dunlin_core::shard::{Holder, Shard, ShardConfig};
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use dunlin_store::{Batch, Clock, Event, Loaded, LoaderHandle, StoreHandle};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::task::Waker;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

/// Bytes read from a connection at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// What reaches a worker from other threads.
pub enum Mail {
    /// A new connection to admit.
    Arrival(Arrival),
    /// An admitted client whose Session lives here.
    Client(Box<Client>),
    /// What another shard says, in order.
    Batch(ShardId, Vec<PeerMessage>),
    /// What the store says.
    Store(Event),
    /// Messages that the store has read for a Session.
    Loaded(Holder, Loaded),
    /// Something an operator wants to know or done, between two turns.
    Visit(Visit),
    /// The settings that are in force from now on.
    Settings(Arc<Settings>),
    /// This listener has left the configuration: disconnect its clients.
    ListenerClosed(Arc<ListenerContext>),
    /// Say that this worker still turns.
    Ping(Ping),
    /// Disconnect everybody, then end; answer when nobody is left.
    Stop(oneshot::Sender<()>),
    /// End now, whoever is left.
    Cut,
}

/// What [`Mail::Visit`] brings: it runs on the worker's thread and must be short, because messages wait meanwhile.
pub struct Visit(pub(crate) Box<dyn FnOnce(&Worker) + Send>);

/// An admitted client on its way to its worker.
pub struct Client {
    pub(crate) request: Box<ConnectRequest>,
    pub(crate) transport: Transport,
    /// Bytes that came after CONNECT.
    pub(crate) pending: Vec<u8>,
    pub(crate) arrival: Ticket,
}

impl Client {
    /// The connection ended while it moved to its worker.
    fn lost_on_its_way(&self, error: &io::Error) {
        let (client, address) = (&self.request.client_identifier, &self.arrival.peer);
        tracing::debug!(?client, %address, %error, "a connection ended while it moved to its worker");
    }
}

/// The way to each worker.
pub type Mailboxes = Arc<[mpsc::UnboundedSender<Mail>]>;

/// What workers share with each other.
pub struct Shared {
    /// The way to each worker.
    pub mailboxes: Mailboxes,
    /// Bounds on connections.
    pub gate: Arc<Gate>,
    /// One clock for all shards.
    pub clock: Clock,
    /// The ways to the store, if there is one: to its log, and to what is in it.
    pub store: Option<(StoreHandle, LoaderHandle)>,
    /// Who is told of publications that are traced, if anybody is.
    pub otlp: Option<Otlp>,
}

/// What runs on one thread.
pub(crate) struct Worker {
    pub id: ShardId,
    pub shard: RefCell<Shard>,
    /// The connections, by the index of their key.
    pub links: RefCell<Vec<Option<Rc<Link>>>>,
    pub shared: Arc<Shared>,
    /// Up to which position of the records something waits, as the store was told.
    pub awaited: Cell<Position>,
    /// What every reader reads into.
    pub scratch: RefCell<Box<[u8]>>,
    /// Wakes the driver.
    pub driver: Cell<Option<Waker>>,
    /// Nobody is let in any more.
    pub is_stopping: Cell<bool>,
    /// Who watches clients of this worker.
    pub tracers: RefCell<Tracers>,
    /// Why connections of clients ended.
    pub endings: RefCell<Endings>,
    /// Why clients were refused here, wherever their Sessions live.
    pub refusals: RefCell<RefusedConnections>,
    /// Who waits for the store beside clients.
    pub durable: RefCell<DurableWaiters>,
    /// Who listens to what is published here.
    pub taps: RefCell<Taps>,
}

impl Worker {
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Inputs were fed: the driver takes the outputs once the tasks that are ready now have run.
    pub(crate) fn wake_driver(&self) {
        if let Some(waker) = self.driver.take() {
            waker.wake();
        }
    }

    /// Hands what was recorded to the store.
    pub(crate) fn send_to_store(&self) {
        let Some((store, _)) = &self.shared.store else {
            return;
        };
        let mut shard = self.shard.borrow_mut();
        let records: Vec<_> = std::iter::from_fn(|| shard.poll_record()).collect();
        let awaited = shard.awaited_position();
        // Something may have begun to wait for records that were handed over earlier and had time then.
        if !records.is_empty() || awaited > self.awaited.get() {
            let (end, segment) = (shard.staged_position(), shard.journal_segment());
            self.awaited.set(awaited);
            store.append(Batch { shard: self.id, records, end, awaited, segment });
        }
    }

    /// Everything that the store wants to forget has been recorded again, and handed over.
    pub(crate) fn store_vacated(&self, before: Segment) {
        if let Some((store, _)) = &self.shared.store {
            store.vacated(self.id, before);
        }
    }

    /// Messages are needed that are in the store alone.
    pub(crate) fn load(&self, holder: Holder, places: Vec<Place>) {
        if let Some((_, loader)) = &self.shared.store {
            loader.load(self.id, holder, places);
        }
    }

    /// Gives the other workers what the shard has for them.
    pub(crate) fn send_to_peers(&self) {
        let mut shard = self.shard.borrow_mut();
        for (peer, mailbox) in self.shared.mailboxes.iter().enumerate() {
            let peer = peer as u16;
            if peer == self.id {
                continue;
            }
            let batch: Vec<_> = std::iter::from_fn(|| shard.poll_peer(peer)).collect();
            if !batch.is_empty() {
                // A worker whose mailbox is closed is stopping, and this one too.
                drop(mailbox.send(Mail::Batch(self.id, batch)));
            }
        }
    }

    pub(crate) fn link(&self, key: Key) -> Option<Rc<Link>> {
        let links = self.links.borrow();
        links.get(key.index as usize)?.as_ref().filter(|link| link.key == key).map(Rc::clone)
    }

    /// Gives an admitted client to the worker of its Session.
    pub(crate) fn settle(self: &Rc<Self>, mut client: Box<Client>) {
        let home = partition(client.request.client_identifier.as_str(), self.shared.mailboxes.len() as u16);
        if home == self.id {
            return self.adopt(*client);
        }
        if let Err(error) = client.transport.detach() {
            client.lost_on_its_way(&error);
            return;
        }
        if let Some(mailbox) = self.shared.mailboxes.get(usize::from(home)) {
            // A worker whose mailbox is closed is stopping, and its clients with it.
            drop(mailbox.send(Mail::Client(client)));
        }
    }

    /// Makes an admitted client a connection of this worker's shard.
    pub(crate) fn adopt(self: &Rc<Self>, client: Client) {
        if self.is_stopping.get() {
            return;
        }
        let Client { request, transport, pending, arrival } = client;
        let peer = arrival.peer;
        if !self.tracers.borrow().is_empty() {
            let line = connected_line(&request, peer.to_string());
            self.tracers.borrow().hand_on(&line, peer.ip(), None);
        }
        let log = link::Description::new(&request, arrival, self.now());
        log.connected(request.version);
        let key = self.shard.borrow_mut().handle_connect(self.now(), *request);
        let link = Rc::new(Link::new(key, transport, log, pending));
        {
            let mut links = self.links.borrow_mut();
            let index = key.index as usize;
            if links.len() <= index {
                links.resize_with(index + 1, || None);
            }
            if let Some(place) = links.get_mut(index) {
                *place = Some(Rc::clone(&link));
            }
        }
        if self.tracers.borrow().want_address(peer.ip()) {
            self.shard.borrow_mut().trace_connection(key);
        }
        let reader = tokio::task::spawn_local(reader::Reader::new(Rc::clone(self), Rc::clone(&link)));
        link.reader.set(Some(reader.abort_handle()));
        // It closed while the client was on its way here, so that the mail about it came before.
        if link.description.listener().is_closed() {
            self.close_listener_of(key);
        }
        self.wake_driver();
    }

    /// Disconnects the clients of a listener.
    pub(crate) fn close_listener(&self, listener: &Arc<ListenerContext>) {
        let links = self.links.borrow();
        let its = |link: &&Rc<Link>| Arc::ptr_eq(link.description.listener(), listener);
        for link in links.iter().flatten().filter(its) {
            self.close_listener_of(link.key);
        }
    }

    fn close_listener_of(&self, key: Key) {
        let (reason_code, detail) =
            (ReasonCode::AdministrativeAction, "its listener was removed from the configuration");
        self.shard.borrow_mut().disconnect(self.now(), key, reason_code, detail);
    }
}

/// What a worker begins with.
pub struct Start {
    /// Its shard.
    pub shard: ShardConfig,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// What reaches it from other threads.
    pub mailbox: mpsc::UnboundedReceiver<Mail>,
    /// What the store kept of the shard, and when the connections ended that there were.
    pub restored: (ShardImage, Timestamp),
    /// Hears when everything is in its place and the other workers know what this one wants.
    pub report: std_mpsc::Sender<io::Result<()>>,
    /// Says that all have come so far. Without it the worker ends.
    pub go: std_mpsc::Receiver<()>,
}

/// Runs a worker until it is stopped. This is the whole life of its thread.
pub fn run(start: Start) {
    let Start { shard: config, shared, mailbox, restored: (image, ended_at), report, go } = start;
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(login::VERIFICATIONS_MAX + login::INQUIRIES_MAX)
        .on_thread_start(login::give_way)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return drop(report.send(Err(error))),
    };
    let id = config.id;
    let mut shard = Shard::new(config);
    shard.restore(shared.clock.now(), image, ended_at);
    let worker = Rc::new(Worker {
        id,
        shard: RefCell::new(shard),
        links: RefCell::default(),
        shared,
        awaited: Cell::default(),
        scratch: RefCell::new(vec![0; READ_BUFFER_BYTES].into_boxed_slice()),
        driver: Cell::new(None),
        is_stopping: Cell::new(false),
        tracers: RefCell::default(),
        endings: RefCell::default(),
        refusals: RefCell::default(),
        durable: RefCell::default(),
        taps: RefCell::default(),
    });
    worker.send_to_store();
    worker.send_to_peers();
    // Whoever started it waits for this. What the others have sent is in the mailbox when it may go on, before
    // any client.
    drop(report.send(Ok(())));
    if go.recv().is_err() {
        return;
    }
    let tasks = LocalSet::new();
    let life = async { driver::Driver::new(worker, mailbox).await };
    runtime.block_on(tasks.run_until(life));
    drop(tasks);
    // A question to another machine may be under way; nobody is left to hear the answer.
    runtime.shutdown_background();
}

#[cfg(test)]
mod tests;
