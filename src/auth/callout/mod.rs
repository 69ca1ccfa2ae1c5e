//! A service that is asked about clients over HTTP: what `auth.http` describes. It stands in for LDAP, SQL and the
//! rest.
//!
//! A question is a POST of what the client presents, an answer says whether it may come in, as whom, with which
//! rights and for how long (`messages.rs`). Questions block their thread, so they are bounded: in time, in number
//! (`turns.rs`), and by answers that are remembered (`answers.rs`).
//!
//! What must stay true: whatever is no answer (an error, another status than 200, a key nobody knows) never lets
//! anybody in; no password, and no token of the service, reaches a log.

mod answers;
mod messages;
#[cfg(test)]
mod tests;
mod turns;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use zeroize::Zeroizing;

use self::answers::Answers;
use self::messages::{Answer, question};
use self::turns::Turns;
use super::authenticator::{Authenticator, Cost, Credentials, Decision, RefuseReason};
use super::text_file;
use super::web::Web;
use crate::config::{HttpAuthOptions, WhenDown};

/// The longest token that a service wants to see.
const BEARER_TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Asks the service.
pub struct Callout {
    web: Web,
    options: HttpAuthOptions,
    bearer_token: Option<Zeroizing<String>>,
    turns: Turns,
    answers: Answers,
    /// Whether the last question had no answer, for the log.
    is_down: AtomicBool,
}

/// What cannot be used of an `auth.http` table.
#[derive(Debug)]
pub struct CalloutOptionError {
    /// The option.
    pub option: &'static str,
    /// What is wrong with what it names.
    pub problem: String,
}

impl Callout {
    /// Reads the files of a table. The service is asked about the first client.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn load(options: &HttpAuthOptions) -> Result<Self, CalloutOptionError> {
        let error = |option| move |problem| CalloutOptionError { option, problem };
        let bearer_token = options
            .bearer_token_file
            .as_deref()
            .map(bearer_token)
            .transpose()
            .map_err(error("bearer_token_file"))?;
        let web =
            Web::new(&options.url, options.ca_file.as_deref(), options.timeout).map_err(error("ca_file"))?;
        if options.url.is_readable_on_the_way() {
            tracing::warn!(url = %options.url, "passwords go to the authentication service without TLS: everybody on the way can read them");
        }
        Ok(Self {
            web,
            bearer_token,
            turns: Turns::new(options.max_concurrent.into()),
            answers: Answers::new(options.cache_ttl, options.cache_size as usize),
            options: options.clone(),
            is_down: AtomicBool::new(false),
        })
    }

    /// What the service says, asked now.
    fn ask(&self, json: &[u8]) -> Result<Answer, String> {
        let deadline = Instant::now() + self.options.timeout;
        let _turn = self.turns.take(deadline).ok_or("too many questions are under way")?;
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = self
            .web
            .post(json, self.bearer_token.as_ref().map(|token| token.as_str()), left)
            .map_err(|error| error.to_string())?;
        Answer::parse(&bytes)
    }
}

impl Authenticator for Callout {
    fn authenticate(&self, request: &Credentials<'_>) -> Decision {
        let json = Zeroizing::new(question(request));
        let digest = self.answers.digest(&json);
        if let Some(decision) = self.answers.get(&digest) {
            return decision;
        }
        match self.ask(&json) {
            Ok(answer) => {
                if self.is_down.swap(false, Ordering::Relaxed) {
                    tracing::info!(url = %self.options.url, "the authentication service answers again");
                }
                let decision = answer.decision(request);
                self.answers.put(digest, &decision);
                decision
            }
            Err(problem) => {
                let url = &self.options.url;
                // Each client that is refused has a line of its own already.
                if self.is_down.swap(true, Ordering::Relaxed) {
                    let client = request.client_identifier();
                    tracing::debug!(?client, %url, problem, "the authentication service gives no answer");
                } else {
                    tracing::warn!(%url, problem, "the authentication service gives no answer");
                }
                match self.options.when_down {
                    WhenDown::Deny => Decision::Refuse(RefuseReason::ServerUnavailable),
                    WhenDown::Ignore => Decision::NotMine,
                }
            }
        }
    }

    // Also for an answer that is remembered: it may be forgotten before it is looked up.
    fn cost(&self, _request: &Credentials<'_>) -> Cost {
        Cost::Waiting
    }
}

impl fmt::Debug for Callout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callout({})", self.options.url)
    }
}

fn bearer_token(path: &Path) -> Result<Zeroizing<String>, String> {
    let (bytes, readable_by_others) =
        text_file::read::<std::convert::Infallible>(path).map_err(|error| error.to_string())?;
    if readable_by_others {
        tracing::warn!(file = ?path, "other users of this machine can read the token for the authentication service: chmod 600 it");
    }
    let bytes = Zeroizing::new(bytes);
    let token = bytes.trim_ascii();
    let is_usable = !token.is_empty()
        && token.len() <= BEARER_TOKEN_BYTES_MAX
        && token.iter().all(|byte| byte.is_ascii_graphic());
    match std::str::from_utf8(token) {
        Ok(token) if is_usable => Ok(Zeroizing::new(token.to_owned())),
        _ => Err(format!("{}: must have one token, in printable ASCII without spaces", path.display())),
    }
}
