//! Answers that are remembered for a while, by what was asked.
//!
//! A question holds a password, so it is not kept: what stands for it is a SHA-256 over a secret of this process and
//! the question. Nobody sees the digest; the secret keeps a copy of the memory from being a list of hashes to try
//! passwords on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sha2::Digest as _;
use sha2::Sha256;

use crate::auth::authenticator::Decision;

/// What stands for a question.
pub(super) type Digest = [u8; 32];

/// The answers of a while, as many as are allowed.
pub(super) struct Answers {
    secret: [u8; 32],
    kept_for: Duration,
    count_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_question: HashMap<Digest, (Instant, Decision)>,
    /// In the order of their end, which is that of their beginning.
    order: VecDeque<(Instant, Digest)>,
}

impl Answers {
    pub fn new(kept_for: Duration, count_max: usize) -> Self {
        let mut secret = [0; 32];
        // Without the system's randomness nothing here is safe: better to end than to guess.
        getrandom::fill(&mut secret).expect("the system has randomness");
        Self { secret, kept_for, count_max, kept: Mutex::default() }
    }

    pub fn digest(&self, question: &[u8]) -> Digest {
        Sha256::new().chain_update(self.secret).chain_update(question).finalize().into()
    }

    /// The answer, if it still holds.
    pub fn get(&self, question: &Digest) -> Option<Decision> {
        let (until, decision) = self.kept().by_question.get(question).cloned()?;
        let has_expired = match &decision {
            Decision::Allow(identity) => identity.expires_at().is_some_and(|at| at <= SystemTime::now()),
            _ => false,
        };
        (until > Instant::now() && !has_expired).then_some(decision)
    }

    /// Remembers an answer.
    pub fn put(&self, question: Digest, decision: &Decision) {
        if self.kept_for.is_zero() {
            return;
        }
        let now = Instant::now();
        let until = now + self.kept_for;
        let mut kept = self.kept();
        kept.by_question.insert(question, (until, decision.clone()));
        kept.order.push_back((until, question));
        while kept.order.front().is_some_and(|(until, _)| *until <= now) || kept.order.len() > self.count_max
        {
            let Some((until, question)) = kept.order.pop_front() else { break };
            // It may have been asked again since.
            if kept.by_question.get(&question).is_some_and(|(latest, _)| *latest == until) {
                kept.by_question.remove(&question);
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_answer_is_remembered_for_its_question_alone() {
        let answers = Answers::new(HOUR, 10);
        let question = answers.digest(b"a");
        answers.put(question, &Decision::NotMine);
        assert_eq!(answers.get(&question), Some(Decision::NotMine));
        assert_eq!(answers.get(&answers.digest(b"b")), None);
    }

    #[test]
    fn the_oldest_answers_are_forgotten_when_there_are_too_many() {
        let answers = Answers::new(HOUR, 2);
        let digests = [b"a", b"b", b"c"].map(|question| answers.digest(question));
        for digest in digests {
            answers.put(digest, &Decision::NotMine);
        }
        assert_eq!(answers.get(&digests[0]), None);
        assert!(answers.get(&digests[1]).is_some() && answers.get(&digests[2]).is_some());
        assert_eq!(answers.kept().by_question.len(), 2);
    }

    #[test]
    fn an_answer_ends_with_the_identity_that_it_gives() {
        let answers = Answers::new(HOUR, 10);
        let question = answers.digest(b"a");
        let past = SystemTime::now() - Duration::from_secs(1);
        answers.put(question, &Decision::Allow(Identity::user("anna").valid_until(past)));
        assert_eq!(answers.get(&question), None);
    }

    #[test]
    fn with_no_time_to_keep_them_no_answers_are_kept() {
        let answers = Answers::new(Duration::ZERO, 10);
        let question = answers.digest(b"a");
        answers.put(question, &Decision::NotMine);
        assert_eq!(answers.get(&question), None);
    }

    #[test]
    fn the_digest_of_a_question_differs_from_process_to_process() {
        assert_ne!(Answers::new(HOUR, 1).digest(b"a"), Answers::new(HOUR, 1).digest(b"a"));
    }
}
