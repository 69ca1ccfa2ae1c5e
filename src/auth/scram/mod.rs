//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as a method of enhanced authentication.
//!
//! ```text
//!   Client                                              Server
//!   CONNECT  n,,n=USER,r=NONCE  ─────────────────────>  AwaitingFirst
//!            <──────────────  AUTH 0x18  r=NONCE..,s=SALT,i=ITERATIONS
//!   AUTH 0x18  c=biws,r=NONCE..,p=PROOF  ────────────>  Challenged
//!            <──────────────────────────  CONNACK  v=SIGNATURE
//! ```
//!
//! The password crosses no network, and the Client, too, learns whom it talks to: only who has the verifier of the
//! password file can sign. Re-authentication is the same in AUTH packets.
//!
//! Nobody learns who exists. An unknown user is challenged like a known one, by a decoy (`decoy.rs`): the same name
//! gets the same salt each time, and its proof is computed with and found wrong. What is slow in SCRAM is the
//! Client's to do; here a step takes a few HMACs, so that the thread that serves connections can do it.
//!
//! There is no channel binding: it would be a method of its own (`SCRAM-SHA-256-PLUS`), which no MQTT client we know
//! speaks. One that asks for it (`p=`) is refused; one that could do it and believes that the Server cannot (`y`) is
//! right.

mod decoy;
mod message;
mod verifier;

pub(in crate::auth) use decoy::DecoyKey;
pub(in crate::auth) use verifier::{PREFIX, ScramVerifier};
pub use verifier::{ScramProblem, is_prepared_name, scram_verifier};

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::authenticator::{Identity, RefuseReason};
use super::method::{AuthenticationMethod, Exchange, ExchangeStep};
use super::password_file::PasswordFile;
use message::{ClientFinal, ClientFirst};

/// The name of the method in CONNECT and AUTH packets.
pub(in crate::auth) const NAME: &str = "SCRAM-SHA-256";

/// Random bytes of our part of a nonce; PostgreSQL takes as many.
const NONCE_BYTES: usize = 18;

/// SCRAM-SHA-256 with the verifiers of a password file.
pub struct ScramSha256 {
    passwords: Arc<PasswordFile>,
    decoy_key: DecoyKey,
}

/// One exchange with a Client.
struct ScramExchange {
    passwords: Arc<PasswordFile>,
    decoy_key: DecoyKey,
    state: State,
}

enum State {
    AwaitingFirst,
    Challenged(Box<Challenge>),
    Over,
}

/// What a Client has been asked.
struct Challenge {
    /// Who it says it is.
    user_name: String,
    /// Whether there is such a user. If not, its verifier is a decoy.
    is_known: bool,
    verifier: ScramVerifier,
    /// How the Client began, which it has to repeat.
    header: String,
    /// Both nonces.
    nonce: String,
    /// What both sides sign, as far as it has been said, with a comma at its end.
    said: String,
}

impl ScramSha256 {
    /// The method, if there is a verifier in the file.
    pub(in crate::auth) fn of(passwords: &Arc<PasswordFile>, decoy_key: &DecoyKey) -> Option<Self> {
        passwords
            .has_scram_verifiers()
            .then(|| Self { passwords: Arc::clone(passwords), decoy_key: decoy_key.clone() })
    }
}

impl AuthenticationMethod for ScramSha256 {
    fn name(&self) -> &str {
        NAME
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(ScramExchange {
            passwords: Arc::clone(&self.passwords),
            decoy_key: self.decoy_key.clone(),
            state: State::AwaitingFirst,
        })
    }
}

impl Exchange for ScramExchange {
    fn step(&mut self, data: Option<&[u8]>) -> ExchangeStep {
        let data = data.unwrap_or_default();
        match std::mem::replace(&mut self.state, State::Over) {
            State::AwaitingFirst => {
                let mut random = [0; NONCE_BYTES];
                match getrandom::fill(&mut random) {
                    Ok(()) => self.challenge(data, &BASE64.encode(random)),
                    // A nonce that can be guessed would let an old exchange be repeated.
                    Err(_) => ExchangeStep::Refuse(RefuseReason::ServerUnavailable),
                }
            }
            State::Challenged(challenge) => challenge.judge(data),
            State::Over => ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword),
        }
    }

    fn claimed_user(&self) -> Option<&str> {
        match &self.state {
            State::Challenged(challenge) => Some(&challenge.user_name),
            _ => None,
        }
    }
}

impl ScramExchange {
    /// Takes the client-first-message and asks for a proof.
    fn challenge(&mut self, data: &[u8], server_nonce: &str) -> ExchangeStep {
        let Some(first) = ClientFirst::parse(data) else {
            return ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword);
        };
        // The decoy is made for known users too, so that they take as long.
        let decoy = self.decoy_key.verifier_for(&first.user_name, &self.passwords);
        let known = self.passwords.scram_verifier_of(&first.user_name);
        let Some(verifier) = known.or(decoy.as_ref()) else {
            return ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword);
        };
        let nonce = format!("{}{server_nonce}", first.nonce);
        let question = format!("r={nonce},s={},i={}", BASE64.encode(verifier.salt()), verifier.iterations());
        self.state = State::Challenged(Box::new(Challenge {
            is_known: known.is_some(),
            verifier: verifier.clone(),
            header: first.header.to_owned(),
            nonce,
            said: format!("{},{question},", first.bare),
            user_name: first.user_name,
        }));
        ExchangeStep::Continue(question.into_bytes())
    }
}

impl Challenge {
    /// Takes the client-final-message and judges the proof.
    fn judge(self, data: &[u8]) -> ExchangeStep {
        let refuse = ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword);
        let Some(last) = ClientFinal::parse(data) else {
            return refuse;
        };
        if *last.channel_binding != *self.header.as_bytes() || last.nonce != self.nonce {
            return refuse;
        }
        let said = format!("{}{}", self.said, last.without_proof);
        let signature = self.verifier.accept(said.as_bytes(), &last.proof);
        match signature.filter(|_| self.is_known) {
            Some(signature) => ExchangeStep::Success {
                data: Some(format!("v={}", BASE64.encode(signature)).into_bytes()),
                identity: Identity::user(&self.user_name),
            },
            None => refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user and the exchange of RFC 7677, section 3. StoredKey and ServerKey belong to the password `pencil`.
    const LINE: &str = "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    const REFUSED: ExchangeStep = ExchangeStep::Refuse(RefuseReason::BadUserNameOrPassword);

    fn exchange() -> ScramExchange {
        let passwords = PasswordFile::parse(LINE.as_bytes(), "passwords").unwrap();
        let decoy_key = DecoyKey::from([7; 32]);
        ScramExchange { passwords: Arc::new(passwords), decoy_key, state: State::AwaitingFirst }
    }

    /// What follows on a client-first-message.
    fn challenge(first: &str) -> Result<(ScramExchange, String), RefuseReason> {
        let mut exchange = exchange();
        match exchange.challenge(first.as_bytes(), SERVER_NONCE) {
            ExchangeStep::Continue(question) => Ok((exchange, String::from_utf8(question).unwrap())),
            ExchangeStep::Refuse(reason) => Err(reason),
            ExchangeStep::Success { .. } => panic!("nothing has been proven"),
        }
    }

    /// How an exchange as in the RFC ends with another last message.
    fn end(last: &str) -> ExchangeStep {
        let (mut exchange, _) = challenge(&format!("n,,n=user,r={CLIENT_NONCE}")).unwrap();
        exchange.step(Some(last.as_bytes()))
    }

    #[test]
    fn it_says_whose_password_may_be_guessed_when_the_next_message_has_the_proof() {
        assert_eq!(exchange().claimed_user(), None);
        let (mut exchange, _) = challenge(&format!("n,,n=us\u{AD}er,r={CLIENT_NONCE}")).unwrap();
        assert_eq!(exchange.claimed_user(), Some("user"));
        exchange.step(Some(b"wrong"));
        assert_eq!(exchange.claimed_user(), None);
    }

    #[test]
    fn the_exchange_of_rfc_7677_succeeds() {
        let (mut exchange, question) = challenge(&format!("n,,n=user,r={CLIENT_NONCE}")).unwrap();
        assert_eq!(question, format!("r={CLIENT_NONCE}{SERVER_NONCE},s={SALT},i=4096"));
        let last = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={PROOF}");
        let success = ExchangeStep::Success {
            data: Some(SIGNATURE.as_bytes().to_vec()),
            identity: Identity::user("user"),
        };
        assert_eq!(exchange.step(Some(last.as_bytes())), success);
        assert_eq!(exchange.step(Some(last.as_bytes())), REFUSED, "an exchange is used once");
    }

    #[test]
    fn a_proof_counts_for_its_nonce_and_its_beginning_alone() {
        let nonce = format!("{CLIENT_NONCE}{SERVER_NONCE}");
        assert!(matches!(end(&format!("c=biws,r={nonce},p={PROOF}")), ExchangeStep::Success { .. }));
        for last in [
            format!("c=biws,r={nonce},p=e{}", &PROOF[1..]),
            format!("c=biws,r={nonce}"),
            format!("c=biws,r={nonce},p="),
            format!("c=biws,r={nonce},p={PROOF}AAAA"),
            format!("c=biws,r={nonce}x,p={PROOF}"),
            format!("c=biws,r={CLIENT_NONCE},p={PROOF}"),
            format!("c=eSws,r={nonce},p={PROOF}"),
            format!("c=,r={nonce},p={PROOF}"),
            format!("r={nonce},p={PROOF}"),
            format!("c=biws,r={nonce},x=1,p={PROOF}"),
            String::new(),
        ] {
            assert_eq!(end(&last), REFUSED, "{last}");
        }
    }

    #[test]
    fn a_client_begins_without_channel_binding_and_in_no_name_but_its_own() {
        for first in ["n,,n=user,r=abc", "y,,n=user,r=abc", "n,a=user,n=user,r=abc", "n,,n=user,r=abc,x=1"] {
            assert!(challenge(first).is_ok(), "{first}");
        }
        for first in [
            "p=tls-unique,,n=user,r=abc",
            "n,a=admin,n=user,r=abc",
            "n,,m=1,n=user,r=abc",
            "n,,n=user,r=abc,m=1",
            "n,,n=,r=abc",
            "n,,n=user,r=",
            "n,,n=user,r=a c",
            "n,,n=user",
            "n,n=user,r=abc",
            "n,,r=abc,n=user",
            "x,,n=user,r=abc",
            "",
        ] {
            assert_eq!(challenge(first).err(), Some(RefuseReason::BadUserNameOrPassword), "{first}");
        }
    }

    #[test]
    fn an_unknown_user_is_asked_like_a_known_one_and_refused_with_any_proof() {
        let ask = |name: &str| challenge(&format!("n,,n={name},r=abc")).unwrap();
        let (_, question) = ask("nobody");
        assert_eq!(question.len(), ask("user").1.len());
        assert!(question.ends_with(",i=4096"));
        assert_eq!(ask("nobody").1, question, "the salt of a name stays the same");
        assert_ne!(ask("nobody2").1, question);
        // A proof that fits does not help: there is no such user.
        let (mut exchange, _) = challenge(&format!("n,,n=user,r={CLIENT_NONCE}")).unwrap();
        let State::Challenged(challenge) = &mut exchange.state else { panic!("it was asked") };
        challenge.is_known = false;
        let last = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p={PROOF}");
        assert_eq!(exchange.step(Some(last.as_bytes())), REFUSED);
    }

    #[test]
    fn a_name_with_a_comma_or_an_equals_sign_is_escaped() {
        let text = LINE.replacen("user", "a,b=c", 1);
        let passwords = Arc::new(PasswordFile::parse(text.as_bytes(), "passwords").unwrap());
        assert!(passwords.scram_verifier_of("a,b=c").is_some());
        let name_of = |first: &str| ClientFirst::parse(first.as_bytes()).map(|first| first.user_name);
        assert_eq!(name_of("n,,n=a=2Cb=3Dc,r=abc").as_deref(), Some("a,b=c"));
        for bad in ["n,,n=a=2cb,r=abc", "n,,n=a=,r=abc", "n,,n=a=3,r=abc", "n,,n=a=b,r=abc"] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_compared_as_saslprep_writes_them() {
        let name_of = |name: &str| {
            ClientFirst::parse(format!("n,,n={name},r=abc").as_bytes()).map(|first| first.user_name)
        };
        assert_eq!(name_of("I\u{AD}X").as_deref(), Some("IX"));
        assert_eq!(name_of("\u{2168}").as_deref(), Some("IX"));
        assert_eq!(name_of("USER").as_deref(), Some("USER"), "case counts");
        assert_eq!(name_of("a\u{7}"), None, "control characters are no names");
    }
}
