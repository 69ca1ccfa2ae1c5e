//! A load generator for MQTT brokers: it measures what a broker spends, in CPU time per delivered message and
//! in memory per connection, and compares brokers in interleaved rounds.
//!
//! A [`scenario::Scenario`] is data: how many publishers and subscribers, which QoS, how large a window, over which
//! [`transport`]. [`traffic`] runs the ones that move messages and [`idle`] the ones that hold connections; both talk
//! to any broker by its address and read its process from `/proc`. [`storm`] connects thousands of clients at once,
//! [`subscriptions`] holds a million Subscriptions, and [`day`] does a little of everything. [`soak`] goes on with such
//! a day for hours, and sees whether the broker grows; [`start`] sees how soon one is there. [`queue`] and
//! [`retained`] fill brokers with what waits, in memory or in a store; [`beside`] and [`recovery`] run what concerns a
//! store alone, and [`commits`] is the raw loop that it is measured against. [`relay`] is the floor under all
//! brokers. [`compare`] starts brokers itself, each on a core of its own, and [`report`] prints what came out.
//! [`cli`] is the command line of all that, for the program `dunlin-bench` and for whoever ships it inside another.
//! [`progress`] shows a run while it goes on.
//!
//! What must stay true:
//! * the generator is one thread, and one core of it saturates one core of broker: on the path of a message
//!   it does not decode what it does not need, allocates nothing and makes one system call per batch;
//! * every broker of a comparison gets the same bytes, windows and rounds; what is set in a broker is named
//!   in the report;
//! * a run that loses, repeats or reorders messages says so beside its figures.
//!
//! The method and the rules of fairness for readers of the figures are in `docs/benchmarks.md`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod scenario;
pub mod traffic;

pub mod transport;
mod stream;
mod tls;

mod alarm;
mod arrivals;
mod connection;
mod generator;
mod group;
mod handshake;
mod numbered;
mod pace;
mod publisher;
mod schedule;
mod stamp;
mod subscriber;

pub mod idle;
pub mod relay;
pub mod day;
pub mod soak;
pub mod start;
pub mod storm;
pub mod subscriptions;

pub mod beside;
pub mod queue;
pub mod recovery;
pub mod retained;

pub mod churn;
mod collector;
mod crowd;
mod filters;

pub mod course;
pub mod progress;

pub mod commits;
pub mod disk;
pub mod latency;

pub mod broker;
pub mod compare;
mod cores;
mod open_files;
pub mod process;
pub mod usage;

pub mod report;
pub mod statistics;

mod error;

pub use error::Error;
pub use handshake::Target;
pub use tls::Trust;
