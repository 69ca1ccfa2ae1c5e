//! What operators want that only whoever owns the broker can do: reading the configuration again.
//!
//! The broker does not know where its configuration comes from. Whoever started it takes [`Operations::wishes`] and
//! fulfils what arrives there, one wish after the other; the program `dunlin` does so beside SIGHUP, in the same way.
//! Where nobody has taken them, operators are told so.
//!
//! [`Operations::wishes`]: super::Operations::wishes

use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use utoipa::ToSchema;

use crate::config::ConfigErrors;

/// Wishes that wait at once.
const WAITING_MAX: usize = 16;

/// What shall be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// The sources of the configuration, and the files that it names.
    Configuration,
    /// The files that the configuration names, which itself stays as it is: users, rules, certificates.
    Files,
}

/// What has become of the options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reloaded {
    /// Options that have another value from now on.
    pub changed: Vec<String>,
    /// Options that have another value than the broker was started with, and only a restart applies.
    pub need_restart: Vec<String>,
}

/// A wish of an operator.
#[derive(Debug)]
pub struct Wish {
    /// What shall be done.
    pub reread: Reread,
    answer: oneshot::Sender<Result<Reloaded, ConfigErrors>>,
}

/// Where wishes arrive.
pub type Wishes = mpsc::Receiver<Wish>;

/// Why a wish was not fulfilled.
#[derive(Debug)]
pub enum Unfulfilled {
    /// Whoever runs the broker takes no wishes.
    NobodyThere,
    /// What was read is wrong, and nothing has changed.
    Wrong(ConfigErrors),
}

impl Wish {
    /// Says what has come of it.
    pub fn answer(self, result: Result<Reloaded, ConfigErrors>) {
        // Whoever asked may have gone.
        drop(self.answer.send(result));
    }
}

impl fmt::Display for Unfulfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyThere => {
                f.write_str("the program that runs this broker has no way to read its configuration again")
            }
            Self::Wrong(errors) => errors.fmt(f),
        }
    }
}

impl std::error::Error for Unfulfilled {}

/// The way to whoever owns the broker.
#[derive(Default)]
pub(super) struct Owner(Mutex<Option<mpsc::Sender<Wish>>>);

impl Owner {
    /// From now on wishes arrive at this receiver, and at no earlier one.
    pub fn wishes(&self) -> Wishes {
        let (sender, wishes) = mpsc::channel(WAITING_MAX);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        wishes
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, reread: Reread) -> Result<Reloaded, Unfulfilled> {
        let way = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (answer, answered) = oneshot::channel();
        let way = way.ok_or(Unfulfilled::NobodyThere)?;
        way.send(Wish { reread, answer }).await.map_err(|_| Unfulfilled::NobodyThere)?;
        answered.await.map_err(|_| Unfulfilled::NobodyThere)?.map_err(Unfulfilled::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wish_is_answered_by_whoever_has_taken_them_last() {
        let owner = Owner::default();
        assert!(matches!(owner.ask(Reread::Files).await, Err(Unfulfilled::NobodyThere)));
        let earlier = owner.wishes();
        let mut wishes = owner.wishes();
        let reloaded = Reloaded { changed: Vec::new(), need_restart: vec!["http.address".to_owned()] };
        let expected = reloaded.clone();
        let fulfil = async move {
            let wish = wishes.recv().await.expect("it arrives");
            assert_eq!(wish.reread, Reread::Files);
            wish.answer(Ok(reloaded));
            wishes
        };
        let (answer, wishes) = tokio::join!(owner.ask(Reread::Files), fulfil);
        assert_eq!(answer.expect("it is fulfilled"), expected);
        drop((earlier, wishes));
        assert!(matches!(owner.ask(Reread::Files).await, Err(Unfulfilled::NobodyThere)));
    }
}
