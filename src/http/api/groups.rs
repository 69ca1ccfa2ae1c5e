//! `/api/v1/groups`: shared groups as work queues, with who has what.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use dunlin_core::group::MemberId;
use dunlin_core::identity::{ClientIdentifier, ShardId};
use dunlin_core::shard::GroupView;
use dunlin_core::slots::Key;
use dunlin_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::page::{self, TablePlace};
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::operations::Operations;

/// Places in a worker's table of groups that one visit looks at.
const VISIT: u32 = 64;

/// Members of a group that are named; it may have more.
const MEMBERS_MAX: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// Entries of the page; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of groups.
#[derive(Debug, Serialize, ToSchema)]
struct GroupList {
    groups: Vec<SharedGroup>,
    next: Option<String>,
}

/// A shared group.
#[derive(Debug, Serialize, ToSchema)]
struct SharedGroup {
    /// `$share/SHARE/FILTER`.
    name: String,
    share: String,
    filter: String,
    /// Messages that wait for a member.
    queued_messages: usize,
    queued_bytes: usize,
    /// Of the first of them; none while that is in the store alone.
    oldest_age_s: Option<u64>,
    /// Messages that members have and have not finished.
    lent_messages: usize,
    /// How many members there are.
    members_count: usize,
    /// The first 100.
    members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Serialize, ToSchema)]
struct GroupMember {
    client: String,
    qos: u8,
    is_connected: bool,
    /// Whether it can take another message of QoS 1 or 2, as far as is known.
    is_ready: bool,
    /// Messages that it has and has not finished.
    outstanding: u32,
}

/// Lists shared groups with their members, in pages.
#[utoipa::path(
    get, path = "/api/v1/groups", tag = "clients", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = GroupList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<GroupList>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let mut place = TablePlace::open(wanted.after.as_deref())?;
    let mut groups = Vec::new();
    while place.worker < operations.workers_count() && groups.len() < limit {
        let (from, room) = (place.index, limit - groups.len());
        let visit = move |worker: &crate::worker::Worker| {
            worker.shard.borrow().groups_page(from, VISIT, room, MEMBERS_MAX)
        };
        let found = operations.ask(place.worker, visit).await?;
        groups.extend(found.groups);
        place = match found.next {
            Some(index) => TablePlace { index, ..place },
            None => TablePlace { worker: place.worker + 1, ..TablePlace::default() },
        };
    }
    let names = names(&operations, &groups).await?;
    let now = operations.gate.now();
    Ok(Json(GroupList {
        groups: groups.into_iter().map(|group| SharedGroup::new(group, &names, now)).collect(),
        next: (place.worker < operations.workers_count()).then(|| place.seal()),
    }))
}

/// The client identifiers of all members; each worker is asked once for those whose Sessions it has.
async fn names(
    operations: &Operations,
    groups: &[GroupView],
) -> Result<HashMap<(ShardId, Key), ClientIdentifier>, Problem> {
    let mut sessions: HashMap<ShardId, Vec<Key>> = HashMap::new();
    for member in groups.iter().flat_map(|group| &group.members) {
        sessions.entry(member.id.shard).or_default().push(member.id.session);
    }
    let mut names = HashMap::new();
    for (worker, sessions) in sessions {
        let found = operations.names_of(worker, sessions.clone()).await?;
        let named = sessions.into_iter().zip(found);
        names.extend(named.filter_map(|(session, name)| Some(((worker, session), name?))));
    }
    Ok(names)
}

impl SharedGroup {
    fn new(view: GroupView, names: &HashMap<(ShardId, Key), ClientIdentifier>, now: Timestamp) -> Self {
        let mut parts = view.name.splitn(3, '/').skip(1);
        // Who has left since has no name any more.
        let name_of = |MemberId { shard, session }: MemberId| Some(names.get(&(shard, session))?.to_string());
        let members = view.members.iter().filter_map(|member| {
            Some(GroupMember {
                client: name_of(member.id)?,
                qos: member.subscription.maximum_qos,
                is_connected: member.is_online,
                is_ready: member.is_online && member.is_ready,
                outstanding: member.outstanding,
            })
        });
        Self {
            share: parts.next().unwrap_or_default().to_owned(),
            filter: parts.next().unwrap_or_default().to_owned(),
            name: view.name.to_string(),
            queued_messages: view.queued_messages,
            queued_bytes: view.queued_bytes,
            oldest_age_s: view.oldest_at.map(|at| now.since(at).as_secs()),
            lent_messages: view.lent_messages,
            members_count: view.members_count,
            members: members.collect(),
        }
    }
}
