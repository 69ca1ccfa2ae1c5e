//! The MQTT broker as values.
//!
//! A [`Shard`] owns the Sessions of one partition (`hash(client identifier) mod N`), their connections, the
//! subscriptions, the Retained Messages and the shared groups it is home of. It is driven from outside, in
//! the manner of quinn's protocol objects: `handle_*` takes an input and the time, `poll_*` gives outputs.
//! Nothing here knows sockets, files, clocks, threads or randomness, so a whole broker runs in memory, with
//! virtual time and a seed, in tests (`tests/simulation/`), and the same code runs under tokio in the
//! package `dunlin`.
//!
//! Read in the order of the modules below. What must stay true:
//!
//! * A packet is judged whole before any state changes.
//! * An acknowledgement is a *completion*: it leaves when its [`journal`] position is durable and when every
//!   peer shard it concerns has applied it, in order, and never before.
//! * `session` and `router` do not know each other; `shard` joins them.
//! * No panic can come from bytes.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod time;
pub mod settings;
pub mod message;
pub mod tally;
pub mod identity;
pub mod authenticate;
pub mod authorize;
pub mod handshake;
pub mod connection;
mod delivery;
mod queue;
mod rare;
pub mod session;
pub mod router;
pub mod retained;
pub mod group;
pub mod journal;
pub mod image;
pub mod peer;
pub mod timers;
pub mod slots;
pub mod shard;

pub use shard::Shard;
pub use time::Timestamp;
