//! An MQTT client, for `dunlin pub` and `dunlin sub`: one connection at a time, in all three versions.
//!
//! A [`Client`] is driven by calling [`Client::next`] until it has told what one waits for; nothing happens between
//! the calls, there is no task and no channel. Whoever is told of a message says when it is dealt with
//! ([`Client::acknowledge`]), so that nothing is acknowledged that was not written yet.
//!
//! What must stay true:
//! * what was handed over for QoS 1 or 2 and not acknowledged is sent again when the connection comes back, in its
//!   order, and a message of QoS 2 is told of once, for as long as the broker has the Session;
//! * the broker's Receive Maximum, Maximum Packet Size, Maximum QoS and Topic Alias Maximum are kept;
//! * nobody learns the password from an error or a `Debug` text.
//!
//! Load is not its matter: `crates/dunlin-bench` has a client for that. Read next: `session.rs`, which is what
//! outlives a connection, then `driver.rs`, where it all meets.

mod message;
mod secret;
mod options;
mod error;

mod outbound;
mod session;

mod address;
mod tls;
mod websocket;
mod stream;
mod opening;
mod connection;

mod back_off;
mod event;
mod driver;
mod receiving;
mod sending;

pub use address::{Address, Transport};
pub use driver::Client;
pub use error::{ClientError, harmless};
pub use event::Event;
pub use message::{Message, OutgoingMessage, Properties, UserProperties};
pub use options::{ClientOptions, DisconnectOptions, Observer, Reconnect, Way, Will};
pub use secret::Secret;
pub(crate) use tls::TlsHints;
pub use tls::{TlsClient, TlsClientOptions, TlsVersion};
