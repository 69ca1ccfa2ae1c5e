//! Clients, searched and sorted: the few that are wanted among a hundred thousand.
//!
//! Every page walks over all Sessions, [`SESSIONS_OF_A_VISIT`] at a time so that messages do not wait long, and keeps
//! the best in a heap of the page's size. Nothing is kept between pages: a page begins behind the last row of the one
//! before, by what that row was sorted by and its client identifier. So a client whose value changes between two
//! pages may be seen twice or not at all, as in any list that moves while one turns its pages; sorted by client
//! identifier, one that is there all the time is seen exactly once.

use super::{Operations, Stopping};
use crate::transport::Peer;
use crate::worker::{Ending, ListenerContext, RefusedConnection, Worker};
use dunlin_core::identity::{ClientIdentifier, ShardId};
use dunlin_core::shard::{ClientDetail, ClientSight, ClientView};
use dunlin_core::time::Timestamp;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// Places in a worker's table of Sessions that one visit looks at.
const SESSIONS_OF_A_VISIT: u32 = 2048;

/// Which clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientState {
    /// All that have a Session.
    #[default]
    All,
    /// Those that are connected.
    Connected,
    /// Those that are not.
    Away,
}

/// By what they are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientSort {
    #[default]
    Client,
    MessagesReceived,
    MessagesSent,
    QueuedMessages,
    QueuedBytes,
    InFlightMessages,
    Dropped,
    Subscriptions,
    ConnectedAt,
}

/// In which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientOrder {
    #[default]
    Ascending,
    Descending,
}

/// What a row is sorted by: where the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowPlace {
    pub value: u64,
    pub client: String,
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientsQuery {
    /// A part of the client identifier, the user name or the address; empty is all.
    pub search: String,
    pub state: ClientState,
    pub sort: ClientSort,
    pub order: ClientOrder,
    /// The size of the page.
    pub limit: usize,
    /// Behind which row it begins.
    pub after: Option<RowPlace>,
}

/// A client with what the runtime knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct ClientRow {
    pub view: ClientView,
    pub connected_at: Option<Timestamp>,
    pub peer: Option<Peer>,
    pub listener: Option<Arc<ListenerContext>>,
    pub last_ending: Option<Ending>,
}

/// A page.
#[derive(Debug)]
pub(crate) struct ClientsPage {
    /// In order.
    pub rows: Vec<ClientRow>,
    /// Behind which row the next page begins; none if this is the last.
    pub next: Option<RowPlace>,
    /// How many clients match in all.
    pub matched: u64,
}

/// A row in the heap, the greatest on top: the one that goes first when there is no room.
struct Ranked {
    rank: Rank,
    row: Box<ClientRow>,
}

/// What the order is by. A descending value is stored as its complement.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    value: u64,
    name: RankName,
}

#[derive(Clone, PartialEq, Eq)]
struct RankName {
    client: ClientIdentifier,
    is_descending: bool,
}

impl Ord for RankName {
    fn cmp(&self, other: &Self) -> Ordering {
        by_name(self.is_descending, self.client.as_str(), other.client.as_str())
    }
}

impl PartialOrd for RankName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

fn by_name(is_descending: bool, one: &str, other: &str) -> Ordering {
    let order = one.cmp(other);
    if is_descending { order.reverse() } else { order }
}

/// A search under way. It goes from worker to worker.
struct Search {
    query: ClientsQuery,
    best: BinaryHeap<Ranked>,
    matched: u64,
    /// There are more behind the best.
    has_more: bool,
}

impl Search {
    fn new(query: ClientsQuery) -> Self {
        Self { query, best: BinaryHeap::new(), matched: 0, has_more: false }
    }

    /// Looks at some of a worker's Sessions; where to go on.
    fn visit(&mut self, worker: &Worker, from: u32) -> Option<u32> {
        let shard = worker.shard.borrow();
        shard.visit_clients(from, SESSIONS_OF_A_VISIT, |sight| self.consider(worker, &sight))
    }

    fn consider(&mut self, worker: &Worker, sight: &ClientSight<'_>) {
        let session = sight.session();
        let is_wanted = match self.query.state {
            ClientState::All => true,
            ClientState::Connected => session.connection.is_some(),
            ClientState::Away => session.connection.is_none(),
        };
        if !is_wanted || !self.finds(worker, sight) {
            return;
        }
        self.matched += 1;
        let value = self.value(worker, sight);
        let client = &session.client_identifier;
        let is_behind = |place: &RowPlace| {
            self.compare((value, client.as_str()), (self.rank_value(place.value), &place.client)).is_gt()
        };
        if !self.query.after.as_ref().is_none_or(is_behind) {
            return;
        }
        if self.best.len() == self.query.limit {
            self.has_more = true;
            let is_better = |worst: &Ranked| {
                let worst = (worst.rank.value, worst.rank.name.client.as_str());
                self.compare((value, client.as_str()), worst).is_lt()
            };
            if !self.best.peek().is_some_and(is_better) {
                return;
            }
            self.best.pop();
        }
        let name = RankName { client: client.clone(), is_descending: self.is_by_name_descending() };
        let row = Box::new(row_of(worker, sight.view()));
        self.best.push(Ranked { rank: Rank { value, name }, row });
    }

    /// Whether the text that is searched for is a part of the client identifier, the user name or the address.
    fn finds(&self, worker: &Worker, sight: &ClientSight<'_>) -> bool {
        let search = self.query.search.as_str();
        let session = sight.session();
        search.is_empty()
            || session.client_identifier.as_str().contains(search)
            || session.identity.user_name.as_deref().is_some_and(|user| user.contains(search))
            || (search.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:[]".contains(&byte))
                && session
                    .connection
                    .and_then(|key| worker.link(key))
                    .is_some_and(|link| link.description.peer().to_string().contains(search)))
    }

    /// What the client is sorted by.
    fn value(&self, worker: &Worker, sight: &ClientSight<'_>) -> u64 {
        let session = sight.session();
        let value = match self.query.sort {
            ClientSort::Client => 0,
            ClientSort::MessagesReceived => sight.connection().map_or(0, |one| one.messages_received.into()),
            ClientSort::MessagesSent => sight.connection().map_or(0, |one| one.messages_sent.into()),
            ClientSort::QueuedMessages => session.outbound.queued_messages() as u64,
            ClientSort::QueuedBytes => session.outbound.queued_bytes() as u64,
            ClientSort::InFlightMessages => session.outbound.in_flight_messages() as u64,
            ClientSort::Dropped => session.dropped.into(),
            ClientSort::Subscriptions => session.subscriptions_count() as u64,
            ClientSort::ConnectedAt => {
                let link = session.connection.and_then(|key| worker.link(key));
                link.map_or(0, |link| link.description.connected_at().as_micros())
            }
        };
        self.rank_value(value)
    }

    fn rank_value(&self, value: u64) -> u64 {
        let is_complement =
            self.query.order == ClientOrder::Descending && self.query.sort != ClientSort::Client;
        if is_complement { u64::MAX - value } else { value }
    }

    /// Among equals the names ascend, also where the values descend.
    fn is_by_name_descending(&self) -> bool {
        self.query.order == ClientOrder::Descending && self.query.sort == ClientSort::Client
    }

    fn compare(&self, one: (u64, &str), other: (u64, &str)) -> Ordering {
        one.0.cmp(&other.0).then_with(|| by_name(self.is_by_name_descending(), one.1, other.1))
    }

    fn end(self) -> ClientsPage {
        let is_complement =
            self.query.order == ClientOrder::Descending && self.query.sort != ClientSort::Client;
        let ranked = self.best.into_sorted_vec();
        let place_of = |last: &Ranked| RowPlace {
            value: if is_complement { u64::MAX - last.rank.value } else { last.rank.value },
            client: last.rank.name.client.as_str().to_owned(),
        };
        let next = ranked.last().filter(|_| self.has_more).map(place_of);
        ClientsPage { rows: ranked.into_iter().map(|one| *one.row).collect(), next, matched: self.matched }
    }
}

fn row_of(worker: &Worker, view: ClientView) -> ClientRow {
    let link = view.connection.and_then(|connection| worker.link(connection.key));
    ClientRow {
        connected_at: link.as_ref().map(|link| link.description.connected_at()),
        peer: link.as_ref().map(|link| link.description.peer()),
        listener: link.as_ref().map(|link| Arc::clone(link.description.listener())),
        last_ending: worker.endings.borrow().of(&view.client_identifier),
        view,
    }
}

impl Operations {
    /// A page of the clients that are asked for.
    pub(crate) async fn clients(&self, query: ClientsQuery) -> Result<ClientsPage, Stopping> {
        let mut search = Search::new(query);
        for worker in 0..self.workers_count() {
            let mut from = Some(0);
            while let Some(start) = from {
                (search, from) = self
                    .ask(worker, move |worker| {
                        let next = search.visit(worker, start);
                        (search, next)
                    })
                    .await?;
            }
        }
        Ok(search.end())
    }

    /// One client, with at most `most` of each thing it has.
    pub(crate) async fn client(
        &self,
        client: ClientIdentifier,
        most: usize,
    ) -> Result<Option<(ClientRow, ClientDetail)>, Stopping> {
        self.ask(self.home_of(&client), move |worker| {
            let detail = worker.shard.borrow().client_detail(&client, most)?;
            Some((row_of(worker, detail.client.clone()), detail))
        })
        .await
    }

    /// The last connection that named a client and was refused, on whichever worker.
    pub(crate) async fn last_refusal(
        &self,
        client: &ClientIdentifier,
    ) -> Result<Option<RefusedConnection>, Stopping> {
        let client = client.clone();
        let found = self.ask_all(move |worker| worker.refusals.borrow().of(&client)).await?;
        Ok(found.into_iter().flatten().max_by_key(|refused| refused.at))
    }

    /// Ends the connection of a client, and its Session too if `ends_session`. False if there is neither.
    pub(crate) async fn disconnect(
        &self,
        client: ClientIdentifier,
        ends_session: bool,
    ) -> Result<bool, Stopping> {
        self.ask(self.home_of(&client), move |worker| {
            worker.shard.borrow_mut().disconnect_client(worker.now(), &client, ends_session)
        })
        .await
    }

    /// The client identifiers of Sessions by their keys on a worker; none for those that are gone.
    pub(crate) async fn names_of(
        &self,
        worker: ShardId,
        sessions: Vec<dunlin_core::slots::Key>,
    ) -> Result<Vec<Option<ClientIdentifier>>, Stopping> {
        self.ask(worker, move |worker| {
            let shard = worker.shard.borrow();
            sessions.iter().map(|session| shard.client_at(*session).cloned()).collect()
        })
        .await
    }
}
