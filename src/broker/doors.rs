//! The listeners that are open, and how a reload changes them.
//!
//! A listener is known by its URL: one that has the same URL before and after is the same, stays open, and keeps its
//! clients, whatever else of it has changed. [`Doors::prepare`] opens what is new beside what is there, which can fail
//! and has no effect but that; [`Doors::change`] then replaces, which cannot fail. So a configuration with an address
//! that is taken changes nothing.
//!
//! The lock is for the list alone: it is taken by a reload, by a stop, and by who asks which listeners there are, never for
//! a connection, and never held while anything is waited for, because the control thread takes it, too.

use super::listen::{BoundListener, Door, Entrance, OpenSocket, bind_beside};
use crate::config::{Listener, same_listeners};
use crate::operations::OpenListener;
use crate::tls::TlsEndpoint;
use crate::worker::{Gate, ListenerContext, Mail, Mailboxes};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// How long a listener that is closed may keep its socket, should the control thread be busy.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// See the top of the file.
pub(super) struct Doors {
    gate: Arc<Gate>,
    mailboxes: Mailboxes,
    /// Where connections are accepted: the control thread's, once it runs.
    runtime: OnceLock<Handle>,
    open: Mutex<Vec<OpenDoor>>,
}

/// A listener that is open.
struct OpenDoor {
    context: Arc<ListenerContext>,
    entrance: Entrance,
    task: AbortHandle,
    /// Ends when the task has given its socket up.
    accepting: mpsc::Receiver<()>,
}

/// What becomes of a listener of a new configuration.
pub(super) enum Prepared {
    /// It is open already.
    Open(Arc<ListenerContext>),
    /// It is open from now on, and nobody accepts from it yet.
    New(Entrance),
}

impl Doors {
    /// None is open yet.
    pub fn new(gate: &Arc<Gate>, mailboxes: Mailboxes) -> Self {
        let gate = Arc::clone(gate);
        Self { gate, mailboxes, runtime: OnceLock::new(), open: Mutex::default() }
    }

    /// Opens the listeners that a broker starts with, to accept on the runtime of this thread.
    pub fn open(&self, sockets: Vec<(OpenSocket, Arc<ListenerContext>)>) -> Result<(), String> {
        let runtime = self.runtime.get_or_init(Handle::current);
        let mut open = self.lock();
        for (socket, context) in sockets {
            let door = self.open_door(runtime, socket.register()?, context);
            open.push(door);
        }
        Ok(())
    }

    /// The listeners, in the order of the configuration.
    pub fn contexts(&self) -> Vec<Arc<ListenerContext>> {
        self.lock().iter().map(|door| Arc::clone(&door.context)).collect()
    }

    /// Where they listen, in the same order.
    pub fn bound(&self) -> Vec<BoundListener> {
        self.lock().iter().map(|door| door.entrance.bound.clone()).collect()
    }

    /// Both.
    pub fn listed(&self) -> Vec<OpenListener> {
        let open = self.lock();
        let listed = open.iter().map(|door| OpenListener {
            bound: door.entrance.bound.clone(),
            context: Arc::clone(&door.context),
        });
        listed.collect()
    }

    /// Those with TLS, by their URLs.
    pub fn endpoints(&self) -> Vec<(String, Arc<TlsEndpoint>)> {
        let of = |context: Arc<ListenerContext>| {
            Some((context.url.to_string(), Arc::clone(context.tls.as_ref()?)))
        };
        self.contexts().into_iter().filter_map(of).collect()
    }

    /// Finds out which of these listeners are open, and opens the others. The error says which one cannot be, and why.
    pub fn prepare(&self, listeners: &[Listener]) -> Result<Vec<Prepared>, (usize, String)> {
        let Some(runtime) = self.runtime.get() else {
            return Err((0, "cannot be opened before the broker has started".to_owned()));
        };
        let _context = runtime.enter();
        let open: Vec<_> =
            self.lock().iter().map(|door| (Arc::clone(&door.context), door.entrance.clone())).collect();
        let urls: Vec<_> = listeners.iter().map(|listener| &listener.url).collect();
        let kept = same_listeners(&urls, &open.iter().map(|(context, _)| &context.url).collect::<Vec<_>>());
        let (mut taken, mut leaving) = (Vec::new(), Vec::new());
        for (index, (_, entrance)) in open.iter().enumerate() {
            match kept.contains(&Some(index)) {
                true => taken.extend(entrance.bound.address),
                false => leaving.push(entrance.clone()),
            }
        }
        let mut prepared = Vec::new();
        for (index, (listener, kept)) in listeners.iter().zip(kept).enumerate() {
            prepared.push(match kept {
                Some(kept) => Prepared::Open(Arc::clone(&open[kept].0)),
                None => match bind_beside(&listener.url, &leaving, &taken) {
                    Ok(entrance) => {
                        taken.extend(entrance.bound.address);
                        Prepared::New(entrance)
                    }
                    Err(problem) => {
                        prepared.iter().for_each(Prepared::give_up);
                        return Err((index, problem));
                    }
                },
            });
        }
        Ok(prepared)
    }

    /// Accepts from those of these listeners that are new, closes every one that is not among them, and tells the workers
    /// to disconnect its clients. They are in the order of the configuration. It waits for the control thread, so that
    /// must not call it.
    pub fn change(&self, listeners: Vec<(Arc<ListenerContext>, Option<Entrance>)>) {
        let Some(runtime) = self.runtime.get() else { return };
        let mut open = self.lock();
        let mut removed = std::mem::take(&mut *open);
        for (context, entrance) in listeners {
            let is_it = |door: &OpenDoor| Arc::ptr_eq(&door.context, &context);
            match (removed.iter().position(is_it), entrance) {
                (Some(index), _) => open.push(removed.remove(index)),
                (None, Some(entrance)) => {
                    entrance.bound.announce();
                    open.push(self.open_door(runtime, entrance, context));
                }
                (None, None) => {}
            }
        }
        drop(open);
        for door in removed {
            let listener = Arc::clone(&door.context);
            tracing::info!(url = %listener.url, "listener removed");
            door.close();
            for mailbox in &*self.mailboxes {
                // A closed mailbox means that the broker is stopping.
                drop(mailbox.send(Mail::ListenerClosed(Arc::clone(&listener))));
            }
        }
    }

    /// Accepts nobody any more. It does not wait, so the control thread may call it.
    pub fn stop_accepting(&self) {
        self.lock().iter().for_each(|door| door.task.abort());
    }

    /// Closes all of them.
    pub fn close(&self) {
        let open = std::mem::take(&mut *self.lock());
        open.into_iter().for_each(OpenDoor::close);
    }

    fn open_door(&self, runtime: &Handle, entrance: Entrance, context: Arc<ListenerContext>) -> OpenDoor {
        let door = Door::new(&context, &self.gate, &self.mailboxes);
        let (until_dropped, accepting) = mpsc::channel();
        let socket = entrance.clone();
        let task = runtime.spawn(async move {
            let _until_dropped: mpsc::Sender<()> = until_dropped;
            door.accept(socket).await;
        });
        OpenDoor { context, entrance, task: task.abort_handle(), accepting }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OpenDoor>> {
        // A list that a panic left half changed is still a list of open listeners.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenDoor {
    /// Closes the socket: when this returns, nobody can connect any more.
    fn close(self) {
        let Self { context, entrance, task, accepting } = self;
        context.close();
        // First, because a successor may already wait for the path.
        entrance.bound.remove_file();
        drop(entrance);
        task.abort();
        // The task ends on the control thread, at once unless that is busy.
        let _ = accepting.recv_timeout(CLOSE_DEADLINE);
    }
}

impl Prepared {
    /// It will not be used.
    fn give_up(&self) {
        if let Self::New(entrance) = self {
            entrance.bound.remove_file();
        }
    }
}
