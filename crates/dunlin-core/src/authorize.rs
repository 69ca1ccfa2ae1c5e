//! The question "may this client do that?", asked where it decides.
//!
//! The core asks at CONNECT for the Will, at SUBSCRIBE, at PUBLISH (after a Topic Alias is resolved) and at
//! each delivery; and again, because rules change, before it sends what has waited, what it sends once more, a
//! Will, and what somebody has retained. Who answers lives outside (`auth.acl_file` in the package `dunlin`).
//! Answers must be quick and must not block.
//!
//! Each message on its way asks twice: may it be published, may it be received? Most clients use few topics again
//! and again, so each Session remembers its last answers: that keeps an ACL of 1,000 rules within a tenth of
//! the cost of a message.

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

/// What a client may want the right to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right<'a> {
    /// To send a message to this topic, at this QoS, and with RETAIN if so.
    Publish(&'a str, QoS, bool),
    /// To subscribe to this filter, `$share/...` included.
    Subscribe(&'a str),
    /// To be sent a message of this topic.
    Receive(&'a str),
}

/// Decides what clients may do. Without one, everything is allowed.
pub trait Authorizer: Send + Sync {
    /// Changes whenever an answer may have changed, and is never what it was before; 0 means that every answer is
    /// yes, so that nobody needs to ask. Answers are remembered by it.
    fn rules_version(&self) -> u64;

    /// A client has this policy ([`Identity::policy`]) from now on.
    fn note_policy(&self, _policy: &str) {}

    /// May a message be published to this Topic Name, at this QoS, and with RETAIN if so?
    fn may_publish(&self, who: Who<'_>, topic: &str, qos: QoS, retain: bool) -> bool;

    /// The highest QoS at which this filter may be subscribed to; `None` if not at all.
    fn may_subscribe(&self, who: Who<'_>, filter: SubscriptionFilter<'_>) -> Option<QoS>;

    /// May a message of this topic be delivered?
    fn may_receive(&self, who: Who<'_>, topic: &str) -> bool;

    /// The answer in words, with the rule that decides, for whoever watches. None if there is nothing to say.
    fn explain(&self, _who: Who<'_>, _right: Right<'_>) -> Option<String> {
        None
    }
}

/// Topics that a Session remembers answers about; a client with more asks anew each time.
const ANSWERS: usize = 4;

/// The longest topic to remember, in bytes.
const REMEMBERED_TOPIC_BYTES_MAX: usize = 256;

/// What was asked about a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// [`Authorizer::may_publish`].
    Publish {
        /// At this QoS.
        qos: QoS,
        /// With RETAIN.
        retain: bool,
    },
    /// [`Authorizer::may_receive`].
    Receive,
}

/// The last answers about one client.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// [`Authorizer::rules_version`] when they were given.
    version: u64,
    answers: Vec<Answer>,
    /// Which is forgotten next.
    oldest: usize,
}

#[derive(Debug)]
struct Answer {
    asked: Asked,
    topic: String,
    is_allowed: bool,
}

impl Answers {
    /// What was answered when this was asked last, if that still holds.
    #[inline]
    pub fn get(&self, version: u64, asked: Asked, topic: &str) -> Option<bool> {
        let is_it = |answer: &&Answer| answer.asked == asked && answer.topic == topic;
        let answer = self.answers.iter().find(is_it).filter(|_| self.version == version);
        answer.map(|answer| answer.is_allowed)
    }

    /// Remembers an answer.
    pub fn put(&mut self, version: u64, asked: Asked, topic: &str, is_allowed: bool) {
        if self.version != version {
            self.answers.clear();
            self.version = version;
        }
        if topic.len() > REMEMBERED_TOPIC_BYTES_MAX {
            return;
        }
        if self.answers.len() < ANSWERS {
            return self.answers.push(Answer { asked, topic: topic.to_owned(), is_allowed });
        }
        self.oldest = (self.oldest + 1) % ANSWERS;
        if let Some(answer) = self.answers.get_mut(self.oldest) {
            answer.topic.clear();
            answer.topic.push_str(topic);
            (answer.asked, answer.is_allowed) = (asked, is_allowed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_remembered_until_the_rules_change() {
        let mut answers = Answers::default();
        let publish = Asked::Publish { qos: QoS::AtMostOnce, retain: false };
        answers.put(1, publish, "a", true);
        answers.put(1, Asked::Receive, "a", false);
        assert_eq!(answers.get(1, publish, "a"), Some(true));
        assert_eq!(answers.get(1, Asked::Receive, "a"), Some(false));
        assert_eq!(answers.get(1, publish, "b"), None);
        assert_eq!(answers.get(1, Asked::Publish { qos: QoS::AtMostOnce, retain: true }, "a"), None);
        assert_eq!(answers.get(2, publish, "a"), None);
        answers.put(2, publish, "b", true);
        assert_eq!(answers.get(2, Asked::Receive, "a"), None, "an answer of the old rules");
    }

    #[test]
    fn no_more_than_a_few_short_topics_are_remembered() {
        let mut answers = Answers::default();
        for topic in 0..20 {
            answers.put(1, Asked::Receive, &topic.to_string(), true);
        }
        let remembered = (0..20).filter(|topic| answers.get(1, Asked::Receive, &topic.to_string()).is_some());
        assert_eq!(remembered.collect::<Vec<_>>(), [16, 17, 18, 19]);
        answers.put(1, Asked::Receive, &"x".repeat(300), true);
        assert_eq!(answers.get(1, Asked::Receive, &"x".repeat(300)), None);
    }
}
