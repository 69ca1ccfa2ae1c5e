//! `/api/v1/subscriptions`: who has subscribed to what, over all clients.
//!
//! In the order of the workers' tables of Sessions. A subscription that is there all the time is on exactly one page,
//! unless others of the same client come or go meanwhile.

use axum::Json;
use axum::extract::State;
use dunlin_core::shard::SubscriptionPlace;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::clients::Subscription;
use super::page::{self, TablePlace};
use crate::http::parameters::Parameters;
use crate::http::problem::Problem;
use crate::operations::Operations;

/// Sessions and subscriptions that one visit to a worker looks at.
const VISIT: usize = 2048;

pub(super) fn routes() -> OpenApiRouter<Operations> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which subscriptions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
struct Wanted {
    /// A part of the filter; that of a Shared Subscription begins with `$share/`.
    filter: String,
    /// A part of the client identifier.
    client: String,
    /// Entries of the page; 100 unless something else is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of subscriptions.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionList {
    subscriptions: Vec<SubscriptionEntry>,
    next: Option<String>,
}

/// A subscription and whose it is.
#[derive(Debug, Serialize, ToSchema)]
struct SubscriptionEntry {
    client: String,
    #[serde(flatten)]
    subscription: Subscription,
}

/// Lists subscriptions of all clients, in pages.
#[utoipa::path(
    get, path = "/api/v1/subscriptions", tag = "clients", security(("token" = ["read"])), params(Wanted),
    responses((status = 200, body = SubscriptionList))
)]
async fn list(
    State(operations): State<Operations>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Json<SubscriptionList>, Problem> {
    let limit = page::limit(wanted.limit)?;
    let mut place = TablePlace::open(wanted.after.as_deref())?;
    let mut subscriptions = Vec::new();
    while place.worker < operations.workers_count() {
        let (filter, client) = (wanted.filter.clone(), wanted.client.clone());
        let room = limit - subscriptions.len();
        let from = SubscriptionPlace { index: place.index, skip: place.skip };
        let visit = move |worker: &crate::worker::Worker| {
            let mut found = Vec::new();
            let next = worker.shard.borrow().visit_subscriptions(from, VISIT, |name, view| {
                let is_meant = name.as_str().contains(&client)
                    && match &view.share {
                        None => view.filter.contains(&filter),
                        Some(share) => format!("$share/{share}/{}", view.filter).contains(&filter),
                    };
                if is_meant {
                    found.push(SubscriptionEntry {
                        client: name.as_str().to_owned(),
                        subscription: view.into(),
                    });
                }
                found.len() < room
            });
            (found, next)
        };
        let (found, next) = operations.ask(place.worker, visit).await?;
        subscriptions.extend(found);
        place = match next {
            Some(SubscriptionPlace { index, skip }) => TablePlace { index, skip, ..place },
            None => TablePlace { worker: place.worker + 1, ..TablePlace::default() },
        };
        if subscriptions.len() == limit {
            break;
        }
    }
    let next = (place.worker < operations.workers_count()).then(|| place.seal());
    Ok(Json(SubscriptionList { subscriptions, next }))
}
