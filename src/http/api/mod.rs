//! What operators see and do over HTTP: every endpoint below `/api/v1`, one file for each noun.
//!
//! A handler reads its parameters and body whole, asks [`Operations`], and shapes the answer. Lists come in pages
//! (`page.rs`), errors as problem documents, and every request has shown a token before it comes here.

mod page;
mod status;
mod clients;
mod subscriptions;
mod topics;
mod retained;
mod message;
mod publish;
mod subscribe;
mod groups;
mod listeners;
mod drops;

use axum::Router;
use axum::middleware::from_fn_with_state;

use super::bans::{self, Api};
use crate::operations::Operations;

/// All of them, behind the token.
pub(super) fn router(api: Api) -> Router {
    all().route_layer(from_fn_with_state(api.clone(), bans::guard)).with_state(api.operations)
}

fn all() -> Router<Operations> {
    Router::new()
        .merge(status::routes())
        .merge(clients::routes())
        .merge(subscriptions::routes())
        .merge(topics::routes())
        .merge(retained::routes())
        .merge(publish::routes())
        .merge(subscribe::routes())
        .merge(groups::routes())
        .merge(listeners::routes())
        .merge(drops::routes())
}
