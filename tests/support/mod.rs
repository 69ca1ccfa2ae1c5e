//! What the tests of the whole program share: running it, certificates, and clients that are all under a
//! test's control.

pub mod certificates;
pub mod client;
pub mod dunlin;
pub mod http;
pub mod process;
pub mod service;
pub mod tls;
pub mod websocket;
