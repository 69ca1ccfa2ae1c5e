//! The question "may this client do that?", asked where it decides.
//!
//! The core asks at CONNECT for the Will, at SUBSCRIBE, at PUBLISH (after a Topic Alias is resolved) and at
//! each delivery. Who answers lives outside (`auth.acl_file` in the package `dunlin`). Answers must be quick
//! and must not block.

use crate::identity::Identity;
use dunlin_codec::{QoS, SubscriptionFilter};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The client identifier of the Session.
    pub client_identifier: &'a str,
    /// What authentication found out.
    pub identity: &'a Identity,
}

/// Decides what clients may do. Without one, everything is allowed.
pub trait Authorizer: Send + Sync {
    /// Whether every answer is yes at present, so that nobody needs to ask.
    fn allows_everything(&self) -> bool {
        false
    }

    /// A client has this policy ([`Identity::policy`]) from now on.
    fn note_policy(&self, _policy: &str) {}

    /// May a message be published to this Topic Name, at this QoS, and with RETAIN if so?
    fn may_publish(&self, who: Who<'_>, topic: &str, qos: QoS, retain: bool) -> bool;

    /// The highest QoS at which this filter may be subscribed to; `None` if not at all.
    fn may_subscribe(&self, who: Who<'_>, filter: SubscriptionFilter<'_>) -> Option<QoS>;

    /// May a message of this topic be delivered?
    fn may_receive(&self, who: Who<'_>, topic: &str) -> bool;
}
