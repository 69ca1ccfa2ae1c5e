//! The thread that asks the broker, so that the screen answers to keys while the broker takes its time.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::figures::Snapshot;
use super::metrics::{Answer, Metrics};
use super::order::Order;
use super::topics;
use crate::cli::remote::broker::encode;
use crate::cli::remote::clients::{Client, Sort};
use crate::cli::remote::{Broker, Failure, groups, kick};

/// Clients of one question: one page of the API.
const CLIENTS_MAX: usize = 1000;

/// Groups that are looked at.
const GROUPS_MAX: usize = 1000;

/// What the screen wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To see these clients, or topics.
    See(View),
    /// To end the connection of one.
    Disconnect(String),
}

/// Which clients, and whether topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    pub order: Order,
    pub search: String,
    pub has_topics: bool,
}

/// What has come of it.
#[derive(Debug)]
pub enum News {
    /// How the broker is.
    Seen(Box<Snapshot>),
    /// The client is disconnected.
    Disconnected(String),
    /// The broker said no, or nothing.
    Failed(Failure),
}

#[derive(Debug, Deserialize)]
struct Clients {
    clients: Vec<Client>,
    matched: u64,
}

/// Begins to ask, every so often. It ends when the other side is gone.
pub fn watch(broker: Broker, interval: Duration) -> (Sender<Wish>, Receiver<News>) {
    let (wishes, wanted) = channel();
    let (news, told) = channel();
    thread::spawn(move || {
        let mut view = View::default();
        loop {
            let seen = look(&broker, &view);
            if news.send(seen.map_or_else(News::Failed, |seen| News::Seen(Box::new(seen)))).is_err() {
                return;
            }
            match wanted.recv_timeout(interval) {
                Ok(Wish::See(wanted)) => view = wanted,
                Ok(Wish::Disconnect(client)) => {
                    let done = kick::disconnect(&broker, &client);
                    if news.send(done.map_or_else(News::Failed, |()| News::Disconnected(client))).is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    (wishes, told)
}

/// Asks for everything once.
pub fn look(broker: &Broker, view: &View) -> Result<Snapshot, Failure> {
    let mut found = Clients { clients: Vec::new(), matched: 0 };
    for sort in view.order.questions() {
        let answer = clients(broker, *sort, &view.search)?;
        found.matched = answer.matched;
        found.clients.extend(answer.clients);
    }
    found.clients.sort_by(|a, b| a.client.cmp(&b.client));
    found.clients.dedup_by(|a, b| a.client == b.client);
    Ok(Snapshot {
        status: broker.read("/api/v1/status")?,
        metrics: Metrics::from(broker.read::<Answer>("/api/v1/metrics")?),
        groups: groups::first(broker, GROUPS_MAX)?,
        at: Instant::now(),
        clients: found.clients,
        matched: found.matched,
        // To look is to have them counted, so nobody looks in vain.
        topics: view.has_topics.then(|| topics::ask(broker)).transpose()?,
    })
}

fn clients(broker: &Broker, sort: Sort, search: &str) -> Result<Clients, Failure> {
    let order = if sort == Sort::Client { "asc" } else { "desc" };
    let (sort, search) = (sort.name(), encode(search));
    broker.read(&format!("/api/v1/clients?limit={CLIENTS_MAX}&sort={sort}&order={order}&search={search}"))
}
