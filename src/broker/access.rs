//! The rules about topics as the core asks for them, replaceable while running.
//!
//! Most clients fall under the ACL of `[auth]`. Those of a listener with an `auth` table of its own, and those whose
//! rights came with their credentials, have a [`Policy`], which the core keeps as text; it is understood once and
//! remembered here.

use crate::auth::{Acl, ListenerRules, Policy, Question, Rulebook, Who as AclWho};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use dunlin_codec::{QoS, SubscriptionFilter};
use dunlin_core::authorize::{Authorizer, Right, Who};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Bytes of the policies that are remembered; beyond it, all are forgotten and understood again when they are needed.
/// Understood, one takes a few times its text.
const POLICY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks the ACL that concerns a client; without one, everything is allowed.
pub(super) struct AclAuthorizer {
    rulebook: ArcSwap<Rulebook>,
    /// Policies by their text, understood.
    policies: DashMap<Box<str>, Arc<Understood>>,
    policy_bytes: AtomicUsize,
    /// Somebody has had a policy that limits it whatever the rulebook says: from then on everybody is asked, since
    /// such a policy may be forgotten here while its Session is there.
    has_limiting: AtomicBool,
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
    fn is_limiting(&self, rulebook: &Rulebook) -> bool {
        match self {
            Self::Own(_) | Self::Nothing => true,
            Self::Listener(url) => !rulebook.by_listener.contains_key(url),
            Self::General => false,
        }
    }
}

impl AclAuthorizer {
    pub(super) fn new(rulebook: Rulebook) -> Self {
        let version = AtomicU64::new(u64::from(rulebook.has_rules()));
        Self {
            rulebook: ArcSwap::from_pointee(rulebook),
            policies: DashMap::new(),
            policy_bytes: AtomicUsize::new(0),
            has_limiting: AtomicBool::new(false),
            version,
            versions: AtomicU64::new(1),
        }
    }

    /// Replaces the rules.
    pub(super) fn replace(&self, rulebook: Rulebook) {
        let has_rules = rulebook.has_rules() || self.has_limiting.load(Ordering::Acquire);
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
            Some(Understood::Listener(url)) => match rulebook.by_listener.get(url) {
                Some(ListenerRules::Own(acl)) => acl.as_deref(),
                Some(ListenerRules::General) => rulebook.general.as_ref(),
                // The listener that admitted the client is gone, and its rules with it. The client has to come again.
                None => return nothing,
            },
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
        if self.policy_bytes.fetch_add(policy.len(), Ordering::Relaxed) > POLICY_BYTES_MAX {
            self.policies.clear();
            self.policy_bytes.store(policy.len(), Ordering::Relaxed);
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
        if self.understand(policy).is_limiting(&self.rulebook.load()) {
            self.has_limiting.store(true, Ordering::Release);
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

    fn explain(&self, who: Who<'_>, right: Right<'_>) -> Option<String> {
        let question = match right {
            Right::Publish(topic, qos, retain) => {
                Question::publish(topic).at_qos(qos.bits()).retained(retain)
            }
            Right::Subscribe(filter) => Question::subscribe(filter),
            Right::Receive(topic) => Question::receive(topic),
        };
        self.ask(who, None, None, |acl, who| Some(acl.explain(who, question).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Grants;
    use dunlin_core::identity::Identity;
    use std::collections::HashMap;

    const LISTENER: &str = "mqtt://0.0.0.0:1883";

    fn acl(text: &str) -> Acl {
        Acl::parse(text.as_bytes(), "acl").expect("the file is good")
    }

    fn rulebook(general: Option<&str>, listener: Option<ListenerRules>) -> Rulebook {
        let by_listener =
            listener.map(|rules| (LISTENER.to_owned(), rules)).into_iter().collect::<HashMap<_, _>>();
        Rulebook { general: general.map(acl), by_listener }
    }

    fn own(text: &str) -> Option<ListenerRules> {
        Some(ListenerRules::Own(Some(Arc::new(acl(text)))))
    }

    fn identity(policy: Policy) -> Identity {
        Identity { policy: policy.to_text(), ..Identity::default() }
    }

    fn through_listener() -> Identity {
        identity(Policy { listener: Some(LISTENER.to_owned()), grants: None })
    }

    fn may_receive(authorizer: &AclAuthorizer, identity: &Identity, topic: &str) -> bool {
        authorizer.rules_version() == 0
            || authorizer.may_receive(Who { client_identifier: "c", identity }, topic)
    }

    #[test]
    fn rights_that_came_with_credentials_limit_their_client_where_no_acl_does_also_after_a_reload() {
        let grants = Grants::parse(r#"{"subscribe": ["own"]}"#).expect("a role");
        let limited = identity(Policy { grants: Some(grants), listener: None });
        let authorizer = AclAuthorizer::new(Rulebook::default());
        authorizer.note_policy(limited.policy.as_deref().expect("it has one"));
        for round in 0..2 {
            assert!(may_receive(&authorizer, &limited, "own"), "{round}");
            assert!(!may_receive(&authorizer, &limited, "other"), "{round}");
            assert!(may_receive(&authorizer, &Identity::default(), "other"), "{round}");
            // So many others have come that it is forgotten here.
            authorizer.policies.clear();
            authorizer.replace(Rulebook::default());
        }
    }

    #[test]
    fn a_client_of_a_listener_that_is_gone_may_do_nothing_until_it_comes_again() {
        for general in [None, Some("topic news\n")] {
            let authorizer = AclAuthorizer::new(rulebook(general, None));
            let client = through_listener();
            authorizer.note_policy(client.policy.as_deref().expect("it has one"));
            assert!(!may_receive(&authorizer, &client, "news"), "{general:?}");
            assert!(may_receive(&authorizer, &Identity::default(), "news"), "{general:?}");
        }
    }

    #[test]
    fn a_listener_that_loses_its_own_rules_has_the_general_ones_and_one_that_is_removed_has_none() {
        let authorizer = AclAuthorizer::new(rulebook(Some("topic news\n"), own("topic guests\n")));
        let client = through_listener();
        let may = |topic: &str| may_receive(&authorizer, &client, topic);
        assert!(may("guests") && !may("news"));
        authorizer.replace(rulebook(Some("topic news\n"), Some(ListenerRules::General)));
        assert!(may("news") && !may("guests"));
        authorizer.replace(rulebook(Some("topic news\n"), None));
        assert!(!may("news") && !may("guests"));
    }

    #[test]
    fn what_is_remembered_of_policies_is_bounded_whatever_comes() {
        let authorizer = AclAuthorizer::new(Rulebook::default());
        for number in 0..3000 {
            let grants = format!(r#"{{"publish": ["{number}/{}"]}}"#, "x".repeat(8000));
            let grants = Grants::parse(&grants).expect("a role");
            authorizer
                .note_policy(&Policy { grants: Some(grants), listener: None }.to_text().expect("a text"));
            let bytes: usize = authorizer.policies.iter().map(|policy| policy.key().len()).sum();
            assert!(bytes <= POLICY_BYTES_MAX + 16 * 1024, "{bytes} bytes after {number}");
        }
    }
}
