//! Why a connection does not become a client's: every reason by name, counted.
//!
//! The name is what the log calls `kind` and a metric its label, so it never changes; the sentence is for people.
//! Whether a reason speaks against the address (a ban may follow) is said here, too.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the reasons: name, whether the address is to blame, sentence.
macro_rules! refusal_reasons {
    ($( $(#[doc = $doc:literal])* $Reason:ident = $name:literal, blames $blames:literal, $sentence:literal; )*) => {
        /// Why a connection was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RefusalReason {
            $( $(#[doc = $doc])* $Reason, )*
        }

        impl RefusalReason {
            /// All of them, in the order of their counters.
            pub const ALL: &[Self] = &[$( Self::$Reason, )*];

            /// The name in logs and metrics.
            pub fn name(self) -> &'static str {
                match self { $( Self::$Reason => $name, )* }
            }

            /// Whether it counts towards a ban of the address.
            pub fn blames_address(self) -> bool {
                match self { $( Self::$Reason => $blames, )* }
            }

            /// The reason in words, where nobody knows better ones.
            pub fn sentence(self) -> &'static str {
                match self { $( Self::$Reason => $sentence, )* }
            }
        }
    };
}

refusal_reasons! {
    /// Too many connections in all.
    Connections = "max-connections", blames false, "limits.max_connections is reached";
    /// Too many connections of the listener.
    ListenerConnections = "listener-max-connections", blames false, "the listener's max_connections is reached";
    /// The listener has left the configuration.
    ListenerClosed = "listener-closed", blames false, "the listener was removed from the configuration";
    /// Too many connections before their CONNECT.
    Handshakes = "max-pending-handshakes", blames false, "limits.max_pending_handshakes is reached";
    /// Too many connections of the address.
    AddressConnections = "max-connections-per-address", blames false, "limits.max_connections_per_address is reached";
    /// Too many connections of the address before their CONNECT.
    AddressHandshakes = "max-pending-handshakes-per-address", blames false, "limits.max_pending_handshakes_per_address is reached";
    /// Too many connections of the user.
    UserConnections = "max-connections-per-user", blames false, "limits.max_connections_per_user is reached";
    /// Too many new connections in all.
    ConnectRate = "connect-rate", blames false, "limits.connect_rate is exceeded";
    /// Too many new connections of the address.
    AddressConnectRate = "connect-rate-per-address", blames false, "limits.connect_rate_per_address is exceeded";
    /// Too many new connections of the user.
    UserConnectRate = "connect-rate-per-user", blames false, "limits.connect_rate_per_user is exceeded";
    /// Too many new connections of the client identifier.
    ClientConnectRate = "connect-rate-per-client", blames false, "limits.connect_rate_per_client is exceeded";
    /// The listener is closed to the address.
    Network = "network", blames false, "the listener's allow and deny shut this address out";
    /// A proxy was expected.
    Proxy = "proxy", blames false, "the listener's proxy_protocol does not list this address";
    /// A ban.
    Banned = "banned", blames false, "banned for a while (dunlin ban list)";
    /// Wrong credentials.
    Login = "login", blames true, "the credentials are wrong";
    /// Too many logins with the user name have failed.
    LoginRate = "login-rate", blames false, "too many logins with this user name have failed (ban.user_failures)";
    /// Something that the client has no right to.
    NotAuthorized = "not-authorized", blames true, "the client may not do what its CONNECT asks";
    /// Bytes that are no MQTT, no TLS, no WebSocket.
    Protocol = "protocol", blames true, "the client broke the protocol before CONNECT was accepted";
    /// No CONNECT in time.
    Timeout = "timeout", blames false, "no CONNECT within limits.connect_timeout";
    /// A CONNECT that asks for what there is not.
    Unacceptable = "unacceptable", blames false, "the CONNECT asks for what this broker does not offer";
    /// The broker cannot say who the client is.
    Unavailable = "unavailable", blames false, "the credentials cannot be verified at present";
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// Refusals so far, by reason.
#[derive(Debug)]
pub(super) struct RefusalCounters([AtomicU64; RefusalReason::ALL.len()]);

impl Default for RefusalCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl RefusalCounters {
    pub fn count(&self, reason: RefusalReason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn of(&self, reason: RefusalReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}
