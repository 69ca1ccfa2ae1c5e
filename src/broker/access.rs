//! The rules about topics as the core asks for them, replaceable while running.
//!
//! Most clients fall under the ACL of `[auth]`. Those of a listener with an `auth` table of its own, and those whose
//! rights came with their credentials, have a [`Policy`], which the core keeps as text; it is understood once and
//! remembered here.

use crate::auth::{Acl, Policy, Question, Rulebook, Who as AclWho};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use dunlin_codec::{QoS, SubscriptionFilter};
use dunlin_core::authorize::{Authorizer, Who};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Policies remembered at once; beyond it, all are forgotten and understood again when they are needed.
const POLICIES_MAX: usize = 100_000;

/// Asks the ACL that concerns a client; without one, everything is allowed.
pub(super) struct AclAuthorizer {
    rulebook: ArcSwap<Rulebook>,
    /// Policies by their text, understood.
    policies: DashMap<Box<str>, Arc<Understood>>,
    /// 0 while nobody has rules. For the way of every message: a plain load, where the rulebook takes a debt slot.
    version: AtomicU64,
    /// The last version there was: none comes twice.
    versions: AtomicU64,
}

/// What a policy comes to.
enum Understood {
    /// Rights of the client's own.
    Own(Box<Acl>),
    /// The rules of this listener.
    Listener(String),
    /// Those of `[auth]`.
    General,
    /// Nobody knows: nothing is allowed.
    Nothing,
}

impl Understood {
    /// Whether it limits its client even where no ACL is configured.
    fn is_of_its_own(&self) -> bool {
        matches!(self, Self::Own(_) | Self::Nothing)
    }
}

impl AclAuthorizer {
    pub(super) fn new(rulebook: Rulebook) -> Self {
        let version = AtomicU64::new(u64::from(rulebook.has_rules()));
        Self {
            rulebook: ArcSwap::from_pointee(rulebook),
            policies: DashMap::new(),
            version,
            versions: AtomicU64::new(1),
        }
    }

    pub(super) fn replace(&self, rulebook: Rulebook) {
        let has_rules = rulebook.has_rules() || self.policies.iter().any(|policy| policy.is_of_its_own());
        self.rulebook.store(Arc::new(rulebook));
        let next = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        self.version.store(if has_rules { next } else { 0 }, Ordering::Release);
    }

    fn ask<T>(
        &self,
        who: Who<'_>,
        everything: T,
        nothing: T,
        question: impl FnOnce(&Acl, &AclWho<'_>) -> T,
    ) -> T {
        let user_name = who.identity.user_name.as_deref();
        let acl_who = AclWho { client_identifier: who.client_identifier, user_name };
        let rulebook = self.rulebook.load();
        let understood = who.identity.policy.as_deref().map(|policy| self.understand(policy));
        let acl = match understood.as_deref() {
            Some(Understood::Own(acl)) => Some(&**acl),
            Some(Understood::Nothing) => return nothing,
            // A listener that is not there any more admitted the client: what is left are the general rules.
            Some(Understood::Listener(url)) => {
                rulebook.by_listener.get(url).unwrap_or(&rulebook.general).as_ref()
            }
            Some(Understood::General) | None => rulebook.general.as_ref(),
        };
        acl.map_or(everything, |acl| question(acl, &acl_who))
    }

    fn understand(&self, policy: &str) -> Arc<Understood> {
        if let Some(understood) = self.policies.get(policy) {
            return Arc::clone(&understood);
        }
        let understood = Arc::new(match Policy::from_text(policy) {
            Some(Policy { grants: Some(grants), .. }) => match Acl::of_grants(grants.as_str()) {
                Ok(acl) => Understood::Own(Box::new(acl)),
                Err(_) => Understood::Nothing,
            },
            Some(Policy { listener: Some(url), .. }) => Understood::Listener(url),
            Some(Policy { grants: None, listener: None }) => Understood::General,
            None => Understood::Nothing,
        });
        if self.policies.len() >= POLICIES_MAX {
            self.policies.clear();
        }
        self.policies.insert(policy.into(), Arc::clone(&understood));
        understood
    }
}

impl Authorizer for AclAuthorizer {
    fn rules_version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn note_policy(&self, policy: &str) {
        if self.understand(policy).is_of_its_own() {
            // From now on somebody must be asked. What was answered before holds.
            let version = self.versions.load(Ordering::Relaxed);
            let _ = self.version.compare_exchange(0, version, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    fn may_publish(&self, who: Who<'_>, topic: &str, qos: QoS, retain: bool) -> bool {
        let question = Question::publish(topic).at_qos(qos.bits()).retained(retain);
        self.ask(who, true, false, |acl, who| acl.explain(who, question).allowed)
    }

    fn may_subscribe(&self, who: Who<'_>, filter: SubscriptionFilter<'_>) -> Option<QoS> {
        let question = Question::subscribe(filter.as_str());
        self.ask(who, Some(QoS::ExactlyOnce), None, |acl, who| {
            let explanation = acl.explain(who, question);
            explanation.allowed.then(|| QoS::from_bits(explanation.maximum_qos).unwrap_or(QoS::AtMostOnce))
        })
    }

    fn may_receive(&self, who: Who<'_>, topic: &str) -> bool {
        self.ask(who, true, false, |acl, who| acl.explain(who, Question::receive(topic)).allowed)
    }
}
