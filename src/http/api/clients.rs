//! `/api/v1/clients`: who has a Session, connected or not; one of them in detail; ending what it has.
//!
//! A list is searched and sorted by the broker (`operations/clients.rs` says what a page means while things change).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dunlin_codec::{ProtocolVersion, QoS};
use dunlin_core::identity::ClientIdentifier;
use dunlin_core::settings::SessionExpiryInterval;
use dunlin_core::shard::{ClientDetail, InFlightView, QueuedView, SubscriptionView};
use dunlin_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page;
use crate::http::moment::Moment;
use crate::http::parameters::Parameters;
use crate::http::path::NamedBy;
use crate::http::problem::Problem;
use crate::operations::{
    ClientOrder, ClientRow, ClientSort, ClientState, ClientsQuery, Operations, RowPlace,
};
use crate::worker::{Ending, RefusedConnection};

/// Entries of each list of one client; it may have more.
const DETAILS_MAX: usize = 1000;

/// Messages of the lists of one client; it may have more.
const MESSAGES_MAX: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(show, remove)).routes(routes!(disconnect))
}

/// Which clients, in which order.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// A part of the client identifier, the user name or the address.
    search: String,
    state: Presence,
    sort: Sort,
    order: Order,
    /// Entries of the page; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Whether they are connected.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Presence {
    #[default]
    All,
    Connected,
    Away,
}

/// By what they are sorted.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
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
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Order {
    #[default]
    Asc,
    Desc,
}

/// A page of clients.
#[derive(Debug, Serialize, ToSchema)]
struct ClientList {
    clients: Vec<Client>,
    /// Where the next page begins; none if this is the last.
    next: Option<String>,
    /// How many match in all.
    matched: u64,
}

/// A Session, and its connection if it has one.
#[derive(Debug, Serialize, ToSchema)]
struct Client {
    /// The client identifier.
    client: String,
    /// The user name that was verified.
    user: Option<String>,
    /// Address and port; none over a Unix socket.
    address: Option<String>,
    /// The URL of the listener.
    listener: Option<String>,
    /// `3.1`, `3.1.1` or `5.0`.
    version: Option<&'static str>,
    is_connected: bool,
    connected_at: Option<Moment>,
    away_since: Option<Moment>,
    /// When the Session ends unless the client comes back.
    expires_at: Option<Moment>,
    /// The Keep Alive in force; 0 is off or without a connection.
    keep_alive_s: u16,
    /// Shared ones included.
    subscriptions: usize,
    queued_messages: usize,
    /// Topics, properties and payloads, and what keeping them takes.
    queued_bytes: usize,
    in_flight_messages: usize,
    /// PUBLISH packets from it on this connection, modulo 2^32.
    messages_received: u32,
    /// PUBLISH packets to it on this connection, modulo 2^32.
    messages_sent: u32,
    /// Messages that did not reach it, or were not accepted from it, modulo 2^32.
    dropped: u32,
    /// Bytes that wait until the network takes them.
    outbox_bytes: usize,
    /// It reads too slowly, and its publishers no longer wait for it.
    is_slow: bool,
    /// Why and when a connection of it ended last, if not as it should; forgotten after some thousand others. One client
    /// alone also shows when a connection that called itself so was refused.
    last_error: Option<String>,
}

/// One client with what it has.
#[derive(Debug, Serialize, ToSchema)]
struct ClientDetails {
    #[serde(flatten)]
    client: Client,
    /// How long the Session lasts without a connection; null is for ever.
    session_expiry_s: Option<u32>,
    will: Option<Will>,
    /// The first 1,000.
    subscription_list: Vec<Subscription>,
    /// The first 100, in the order of sending.
    in_flight: Vec<InFlight>,
    /// The first 100.
    queue: Vec<Queued>,
}

/// What is published if the connection ends without DISCONNECT.
#[derive(Debug, Serialize, ToSchema)]
struct Will {
    topic: String,
    qos: u8,
    retain: bool,
    /// How long after the connection it waits.
    delay_s: u32,
}

/// A subscription, as lists of them show it, too.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscription {
    /// The Topic Filter, without the `$share/NAME/` of a Shared Subscription.
    filter: String,
    /// The ShareName of a Shared Subscription.
    share: Option<String>,
    /// The highest QoS.
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    /// The Subscription Identifier.
    identifier: Option<u32>,
}

impl From<SubscriptionView> for Subscription {
    fn from(view: SubscriptionView) -> Self {
        Self {
            filter: view.filter.into(),
            share: view.share.map(Into::into),
            qos: view.options.maximum_qos,
            no_local: view.options.no_local,
            retain_as_published: view.options.retain_as_published,
            identifier: Some(view.options.identifier).filter(|identifier| *identifier > 0),
        }
    }
}

/// A message that was sent and not finished.
#[derive(Debug, Serialize, ToSchema)]
struct InFlight {
    packet_identifier: u16,
    /// None once PUBREC has come.
    topic: Option<String>,
    qos: u8,
    /// `published`, or `released` once PUBREC has come.
    state: &'static str,
}

/// A message that waits.
#[derive(Debug, Serialize, ToSchema)]
struct Queued {
    /// None while it is in the store alone.
    topic: Option<String>,
    qos: u8,
    /// Its topic, properties and payload together.
    size_bytes: usize,
    /// None while it is in the store alone.
    age_s: Option<u64>,
}

impl From<ClientRow> for Client {
    fn from(row: ClientRow) -> Self {
        let ClientRow { view, connected_at, peer, listener, last_ending } = row;
        let connection = view.connection;
        Self {
            client: view.client_identifier.as_str().to_owned(),
            user: view.identity.user_name.as_deref().map(str::to_owned),
            address: peer.filter(|peer| peer.ip().is_some()).map(|peer| peer.to_string()),
            listener: listener.map(|listener| listener.url.to_string()),
            version: connection.map(|connection| match connection.version {
                ProtocolVersion::V3_1 => "3.1",
                ProtocolVersion::V3_1_1 => "3.1.1",
                ProtocolVersion::V5 => "5.0",
            }),
            is_connected: connection.is_some(),
            connected_at: connected_at.map(Moment::from),
            away_since: view.away_since.map(Moment::from),
            expires_at: view.expires_at.map(Moment::from),
            keep_alive_s: connection.map_or(0, |connection| connection.keep_alive_s),
            subscriptions: view.subscriptions,
            queued_messages: view.queued_messages,
            queued_bytes: view.queued_bytes,
            in_flight_messages: view.in_flight_messages,
            messages_received: connection.map_or(0, |connection| connection.messages_received),
            messages_sent: connection.map_or(0, |connection| connection.messages_sent),
            dropped: view.dropped,
            outbox_bytes: connection.map_or(0, |connection| connection.outbox_bytes),
            is_slow: connection.is_some_and(|connection| connection.is_lagging),
            last_error: last_ending.map(ended),
        }
    }
}

/// How a connection ended, and when.
fn ended(ending: Ending) -> String {
    format!("{} at {}", ending.text(), Moment::from(ending.at))
}

/// Why it was refused, and when.
fn refused(refused: RefusedConnection) -> String {
    format!("{} at {}", refused.text(), Moment::from(refused.at))
}

/// What happened last, and of the other kind before: anybody can be refused in the name of a client, and that must not
/// hide how its own connection ended.
fn last_error(ending: Option<Ending>, refusal: Option<RefusedConnection>) -> Option<String> {
    match (ending, refusal) {
        (Some(ending), Some(refusal)) if refusal.at > ending.at => {
            Some(format!("{}; before, {}", refused(refusal), ended(ending)))
        }
        (Some(ending), Some(refusal)) => Some(format!("{}; before, {}", ended(ending), refused(refusal))),
        (ending, refusal) => ending.map(ended).or(refusal.map(refused)),
    }
}

impl ClientDetails {
    fn new(row: ClientRow, refusal: Option<RefusedConnection>, detail: ClientDetail, now: Timestamp) -> Self {
        let last_error = last_error(row.last_ending, refusal);
        Self {
            session_expiry_s: match row.view.expiry {
                SessionExpiryInterval::After(seconds) => Some(seconds),
                SessionExpiryInterval::Never => None,
            },
            client: Client { last_error, ..row.into() },
            will: detail.will.map(|will| Will {
                topic: will.message.topic().to_owned(),
                qos: will.message.qos as u8,
                retain: will.message.retain,
                delay_s: will.delay_s,
            }),
            subscription_list: detail.subscriptions.into_iter().map(Subscription::from).collect(),
            in_flight: detail.in_flight.into_iter().take(MESSAGES_MAX).map(InFlight::from).collect(),
            queue: detail.queue.into_iter().take(MESSAGES_MAX).map(|view| Queued::new(view, now)).collect(),
        }
    }
}

impl From<InFlightView> for InFlight {
    fn from(view: InFlightView) -> Self {
        let (qos, topic) = match &view.message {
            Some((qos, message)) => (*qos, Some(message.topic().to_owned())),
            None => (QoS::ExactlyOnce, None),
        };
        let state = if topic.is_some() { "published" } else { "released" };
        Self { packet_identifier: view.packet_identifier.get(), topic, qos: qos as u8, state }
    }
}

impl Queued {
    fn new(view: QueuedView, now: Timestamp) -> Self {
        Self {
            topic: view.message.as_ref().map(|message| message.topic().to_owned()),
            qos: view.qos as u8,
            size_bytes: view.content_bytes,
            age_s: view.message.map(|message| now.since(message.id.received_at).as_secs()),
        }
    }
}

impl Wanted {
    fn query(self) -> Result<ClientsQuery, Problem> {
        let read = |text: &str| {
            let (value, client) = text.split_once(':')?;
            Some(RowPlace { value: value.parse().ok()?, client: client.to_owned() })
        };
        Ok(ClientsQuery {
            limit: page::limit(self.limit)?,
            after: page::open(self.after.as_deref(), read)?,
            search: self.search,
            state: match self.state {
                Presence::All => ClientState::All,
                Presence::Connected => ClientState::Connected,
                Presence::Away => ClientState::Away,
            },
            sort: match self.sort {
                Sort::Client => ClientSort::Client,
                Sort::MessagesReceived => ClientSort::MessagesReceived,
                Sort::MessagesSent => ClientSort::MessagesSent,
                Sort::QueuedMessages => ClientSort::QueuedMessages,
                Sort::QueuedBytes => ClientSort::QueuedBytes,
                Sort::InFlightMessages => ClientSort::InFlightMessages,
                Sort::Dropped => ClientSort::Dropped,
                Sort::Subscriptions => ClientSort::Subscriptions,
                Sort::ConnectedAt => ClientSort::ConnectedAt,
            },
            order: match self.order {
                Order::Asc => ClientOrder::Ascending,
                Order::Desc => ClientOrder::Descending,
            },
        })
    }
}

/// Lists clients, searched, sorted and in pages.
#[utoipa::path(
    get, path = "/api/v1/clients", tag = "clients", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = ClientList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<ClientList>, Problem> {
    let found = operations.clients(wanted.query()?).await?;
    Ok(Json(ClientList {
        clients: found.rows.into_iter().map(Client::from).collect(),
        next: found.next.map(|place| page::seal(&format!("{}:{}", place.value, place.client))),
        matched: found.matched,
    }))
}

/// Shows one client with what it has.
#[utoipa::path(
    get, path = "/api/v1/clients/{client}", tag = "clients", security(("token" = ["read"])), params(("client" = String, Path, description = "The client identifier")),
    responses((status = 200, body = ClientDetails), (status = 404, description = "there is no such Session"))
)]
async fn show(
    State(operations): State<Operations>,
    NamedBy(client): NamedBy,
) -> Result<Json<ClientDetails>, Problem> {
    let identifier = identifier(&client)?;
    let refusal = operations.last_refusal(&identifier).await?;
    match operations.client(identifier, DETAILS_MAX).await? {
        Some((row, detail)) => Ok(Json(ClientDetails::new(row, refusal, detail, operations.gate.now()))),
        None => {
            let mut problem = no_session(&client);
            if let Some(refusal) = refusal {
                problem.detail += &format!("; it was {}", refused(refusal));
            }
            Err(problem)
        }
    }
}

/// Ends the connection of a client; its Session stays if it outlives connections.
#[utoipa::path(
    post, path = "/api/v1/clients/{client}/disconnect", tag = "clients", security(("token" = ["admin"])), params(("client" = String, Path, description = "The client identifier")),
    responses((status = 204), (status = 404, description = "it is not connected"))
)]
async fn disconnect(
    State(operations): State<Operations>,
    NamedBy(client): NamedBy,
) -> Result<StatusCode, Problem> {
    if operations.disconnect(identifier(&client)?, false).await? {
        tracing::info!(client, "an operator has ended the connection");
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(Problem::not_found(format!("the client {client:?} is not connected")))
}

/// Ends the connection and the Session of a client.
#[utoipa::path(
    delete, path = "/api/v1/clients/{client}", tag = "clients", security(("token" = ["admin"])), params(("client" = String, Path, description = "The client identifier")),
    responses((status = 204), (status = 404, description = "there is no such Session"))
)]
async fn remove(
    State(operations): State<Operations>,
    NamedBy(client): NamedBy,
) -> Result<StatusCode, Problem> {
    if operations.disconnect(identifier(&client)?, true).await? {
        tracing::info!(client, "an operator has ended the Session");
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(no_session(&client))
}

fn identifier(client: &str) -> Result<ClientIdentifier, Problem> {
    ClientIdentifier::new(client).ok_or_else(|| no_session(client))
}

fn no_session(client: &str) -> Problem {
    Problem::not_found(format!("the client {client:?} has no Session"))
}
