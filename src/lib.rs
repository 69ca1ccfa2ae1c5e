//! Dunlin, an MQTT 3.1, 3.1.1 and 5.0 broker, as a library.
//!
//! [`Broker::start`] runs a broker inside your program; [`Config`] says how. The binary `dunlin` is a thin
//! shell around the two. ARCHITECTURE.md in the repository has the map; `dunlin-core` has the protocol.

pub mod config;
pub mod auth;
mod x509;
pub mod tls;
pub mod transport;
pub mod worker;
pub mod broker;
pub mod data_dir;
mod whole_file;
mod numbers;
mod progress;
pub mod core_dumps;
pub mod operations;
pub mod metrics;
pub mod trace;
pub mod http;
pub mod log;
pub mod import;
mod lossy;
mod file_watch;
pub mod service_manager;
mod client;
mod otlp;
pub mod cli;

pub use broker::{Broker, StartError};
pub use config::Config;
pub use operations::Operations;
