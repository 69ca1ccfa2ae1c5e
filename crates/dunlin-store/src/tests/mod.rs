//! The store under test: what everybody here needs.
//!
//! `log.rs` has what the log does on a disk that works, `records.rs` the encoding, `power_cut.rs`,
//! `vacating.rs` and `failing.rs` what must hold when it does not. All but `thread.rs` drive the log without
//! its thread and without time.

mod material;
#[path = "../../../dunlin-core/tests/simulation/random.rs"]
mod random;
mod simulated_disk;
mod model;
mod world;
mod release;
mod log;
mod power_cut;
mod damage;
mod failing;
mod vacating;
mod rescue;
mod records;
mod thread;
