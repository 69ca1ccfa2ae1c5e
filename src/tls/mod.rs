//! The server side of TLS: PEM files in, handshakes out.
//!
//! TLS 1.2 and 1.3 with aws-lc. A fleet reconnects all at once after a power cut, and a resumed handshake
//! costs a sixth of a full one, so clients get session tickets (nothing is kept for them here) and those
//! without tickets a cache of `tls.session_cache` sessions, where rustls by itself keeps 256 and gives no
//! tickets.
//!
//! What must stay true: new files mean new ticket keys and an empty cache, and who resumes a session is judged
//! by the authorities and lists of revoked certificates of now, so that nobody comes back by an old session who
//! would be refused as a stranger; a configuration that cannot be built never replaces one that works; every
//! problem is one sentence that names the file.
//!
//! Read next: `endpoint.rs`, where it all meets.

mod endpoint;

mod server_certificates;
mod client_verification;

mod files;
mod error;

mod expiry;
mod watch;

pub use endpoint::{Application, TlsEndpoint, endpoints};
pub use error::{TlsError, TlsProblem};
pub use expiry::{Expiring, Expiry, ExpiryLog, Validity};
pub use watch::watch;

#[cfg(test)]
mod tests;
