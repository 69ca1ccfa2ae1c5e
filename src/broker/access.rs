//! The rules of `auth.acl_file` as the core asks for them, replaceable while running.

use crate::auth::{Acl, Who as AclWho};
use arc_swap::ArcSwapOption;
use dunlin_codec::TopicFilter;
use dunlin_core::authorize::{Authorizer, Who};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks the ACL; without one, everything is allowed.
pub(super) struct AclAuthorizer {
    acl: ArcSwapOption<Acl>,
    /// Whether there is one, for the way of every message: a plain load, where the other takes a debt slot.
    has_acl: AtomicBool,
}

impl AclAuthorizer {
    pub(super) fn new(acl: Option<Acl>) -> Self {
        Self { has_acl: AtomicBool::new(acl.is_some()), acl: ArcSwapOption::new(acl.map(Arc::new)) }
    }

    pub(super) fn replace(&self, acl: Option<Acl>) {
        let has_acl = acl.is_some();
        self.acl.store(acl.map(Arc::new));
        self.has_acl.store(has_acl, Ordering::Release);
    }

    fn ask(&self, who: Who<'_>, question: impl FnOnce(&Acl, &AclWho<'_>) -> bool) -> bool {
        let user_name = who.identity.user_name.as_deref();
        let who = AclWho { client_identifier: who.client_identifier, user_name };
        self.acl.load().as_ref().is_none_or(|acl| question(acl, &who))
    }
}

impl Authorizer for AclAuthorizer {
    fn allows_everything(&self) -> bool {
        !self.has_acl.load(Ordering::Acquire)
    }

    fn may_publish(&self, who: Who<'_>, topic: &str, _retain: bool) -> bool {
        self.ask(who, |acl, who| acl.may_publish(who, topic))
    }

    fn may_subscribe(&self, who: Who<'_>, filter: TopicFilter<'_>) -> bool {
        self.ask(who, |acl, who| acl.may_subscribe(who, filter.as_str()))
    }

    fn may_receive(&self, who: Who<'_>, topic: &str) -> bool {
        self.ask(who, |acl, who| acl.may_receive(who, topic))
    }
}
