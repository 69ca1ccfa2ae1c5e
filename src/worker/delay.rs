//! Why a client has to wait: every reason by name, counted.
//!
//! As with refusals (`refusal.rs`), the name is a metric's label, so it never changes. Of a rate of publishing it is the
//! name of the option, with hyphens. Nobody is told of a delay and nothing is logged: it is no fault, and under load it is the rule.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the reasons by name.
macro_rules! delay_reasons {
    ($( $(#[doc = $doc:literal])* $Reason:ident = $name:literal; )*) => {
        /// Why a client has to wait.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum DelayReason {
            $( $(#[doc = $doc])* $Reason, )*
        }

        impl DelayReason {
            /// All of them, in the order of their counters.
            pub const ALL: &[Self] = &[$( Self::$Reason, )*];

            /// The name in metrics.
            pub fn name(self) -> &'static str {
                match self { $( Self::$Reason => $name, )* }
            }
        }
    };
}

delay_reasons! {
    /// The client publishes too many messages.
    Client = "publish-rate";
    /// The client publishes too many bytes.
    ClientBytes = "publish-bytes-rate";
    /// The clients of the user publish too many messages.
    User = "publish-rate-per-user";
    /// The clients of the user publish too many bytes.
    UserBytes = "publish-bytes-rate-per-user";
    /// The clients at the address publish too many messages.
    Address = "publish-rate-per-address";
    /// The clients at the address publish too many bytes.
    AddressBytes = "publish-bytes-rate-per-address";
    /// The clients of the listener publish too many messages.
    Listener = "listener-publish-rate";
    /// The clients of the listener publish too many bytes.
    ListenerBytes = "listener-publish-bytes-rate";
    /// All clients together publish too many messages.
    All = "publish-rate-in-all";
    /// All clients together publish too many bytes.
    AllBytes = "publish-bytes-rate-in-all";
    /// Too many logins with the user name have failed.
    Login = "login-rate";
}

/// Delays so far, by reason: one each time that a client begins to wait.
#[derive(Debug)]
pub(super) struct DelayCounters([AtomicU64; DelayReason::ALL.len()]);

impl Default for DelayCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl DelayCounters {
    pub fn count(&self, reason: DelayReason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn of(&self, reason: DelayReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}
