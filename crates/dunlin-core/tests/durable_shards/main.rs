//! Shards and their store, step by step: what a review found between the steps, so that it stays found.
//!
//! A shard stages records and learns later that they are durable; it has bodies read, and goes on meanwhile; it
//! says again what it holds when the store wants to forget old segments. Here the test is the store: it decides
//! what happens between any two of these steps, and whether the process ends there. What the store has is judged
//! by the [`Image`] that its log gives.
//!
//! [`World`](world::World) is one shard with its store, [`Pair`](pair::Pair) two shards with a store that only counts. The same steps in
//! random order are in `simulation/`.

mod packets;
mod world;
mod pair;

mod bodies;
mod vacating;
mod groups;
mod retained;
mod no_room;
mod rules;
mod subscription_limits;
