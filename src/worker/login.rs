//! Finding out who a client is: the way from the credentials of a CONNECT to an identity.
//!
//! The authenticators of the listener are asked in their order, each where its [`Cost`] says: on the worker, or on
//! a thread that may block. How many do so at once is bounded for the whole process, so that a crowd that logs in
//! takes neither the cores nor the memory of those who are there; whoever has to wait for its turn has
//! `limits.connect_timeout` for it. Where somebody guesses at a user name, its passwords are judged slowly (`guesses.rs`).

use super::refusal::RefusalReason;
use super::ticket::Ticket;
use crate::auth::{
    Access, Authenticator, AuthenticatorChain, ClientCertificate, Cost, Credentials, Decision, Exchange,
    ExchangeStep, Identity, Policy, RefuseReason,
};
use crate::transport::Transport;
use dunlin_codec::ReasonCode;
use dunlin_core::authenticate::{Mechanism, Step};
use dunlin_core::handshake::{ConnectRequest, Password, Refusal};
use dunlin_core::identity::{ClientIdentifier, Identity as CoreIdentity};
use dunlin_core::time::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Passwords verified at once.
pub(super) const VERIFICATIONS_MAX: usize = 2;

/// Questions to files and other machines at once.
pub(super) const INQUIRIES_MAX: usize = 32;

/// How much less of a core than a worker a thread gets that verifies passwords, where both want it: nice 10 is about a
/// tenth.
const NICE: i32 = 10;

/// Called on each thread that may block, before its first work: a crowd that logs in must not take the cores from who
/// is there already.
pub(super) fn give_way() {
    // On Linux the priority belongs to the thread. Where it cannot be lowered, two threads are still few.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
        tracing::debug!(%error, "the threads that verify passwords keep the priority of the workers");
    }
}

/// What a client presents, for whichever thread judges it.
pub(super) struct Login {
    client_identifier: ClientIdentifier,
    user_name: Option<Box<str>>,
    password: Option<Password>,
    certificate: Option<ClientCertificate>,
    address: Option<IpAddr>,
    listener: String,
}

impl Login {
    /// That of a CONNECT on its connection.
    pub fn new(request: &ConnectRequest, transport: &Transport, ticket: &Ticket) -> Self {
        Self {
            client_identifier: request.client_identifier.clone(),
            user_name: request.user_name.clone(),
            password: request.password.clone(),
            certificate: transport.client_certificate(),
            address: ticket.peer.ip(),
            listener: ticket.listener.url.to_string(),
        }
    }

    fn credentials(&self) -> Credentials<'_> {
        let password = self.password.as_ref().map(Password::as_bytes);
        Credentials::new(self.client_identifier.as_str(), self.user_name.as_deref(), password)
            .with_certificate(self.certificate.as_ref())
            .with_address(self.address)
            .with_listener(Some(&self.listener))
    }

    /// Who the client is, or why it is refused.
    // spec(v5): [MQTT-3.1.4-2]
    pub async fn verify(self, ticket: &Ticket) -> Result<CoreIdentity, Refusal> {
        let access = ticket.listener.access.load_full();
        let login = Arc::new(self);
        // The user name, once somebody was asked about it who could be taken in by a guess.
        let mut guarded = None;
        let mut decision = Decision::NotMine;
        for authenticator in access.chain.authenticators() {
            let guess = login
                .user_name
                .as_deref()
                .filter(|_| guarded.is_none() && authenticator.can_be_guessed(&login.credentials()));
            decision = login.ask(authenticator, ticket, guess).await?;
            guarded = guarded.or(guess);
            if decision != Decision::NotMine {
                break;
            }
        }
        let identity = match decision {
            Decision::Allow(identity) => Ok(identity),
            Decision::Refuse(reason) => Err(reason),
            Decision::NotMine => Err(AuthenticatorChain::refuse_unknown(&login.credentials())),
        };
        // That nobody could be asked says nothing about the password.
        if let (Some(user_name), Ok(_) | Err(RefuseReason::BadUserNameOrPassword)) = (guarded, &identity) {
            ticket.note_login(user_name, identity.is_ok());
        }
        identity.map(|identity| core_identity(&access, &identity)).map_err(refusal)
    }

    /// What an authenticator says, on whichever thread it may. A `guess` at the password of a user is judged when it is
    /// its turn; who waits for that takes nobody else's place.
    async fn ask(
        self: &Arc<Self>,
        authenticator: &Arc<dyn Authenticator>,
        ticket: &Ticket,
        guess: Option<&str>,
    ) -> Result<Decision, Refusal> {
        let turns = match authenticator.cost(&self.credentials()) {
            Cost::Instant => None,
            Cost::Computing => Some(&ticket.gate.verifications),
            Cost::Waiting => Some(&ticket.gate.inquiries),
        };
        let mut permit = permit_of(turns).await;
        // Not before there is a permit: of a thousand that come at once, all but a few know by then how the first fared.
        let wait =
            guess.map_or(Ok(Duration::ZERO), |user_name| ticket.login_turn(user_name)).map_err(too_often)?;
        if !wait.is_zero() {
            drop(permit);
            sleep(wait).await;
            permit = permit_of(turns).await;
        }
        let Some(permit) = permit else {
            return Ok(authenticator.authenticate(&self.credentials()));
        };
        let (authenticator, login) = (Arc::clone(authenticator), Arc::clone(self));
        let judge = move || {
            let _permit = permit;
            authenticator.authenticate(&login.credentials())
        };
        // It is refused if the authenticator panics.
        let decision = tokio::task::spawn_blocking(judge).await;
        Ok(decision.unwrap_or(Decision::Refuse(RefuseReason::ServerUnavailable)))
    }
}

async fn permit_of(turns: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    // The semaphore is never closed.
    Arc::clone(turns?).acquire_owned().await.ok()
}

/// Waits until the password of this user may be judged.
pub(super) async fn wait_for_turn(ticket: &Ticket, user_name: &str) -> Result<(), Refusal> {
    sleep(ticket.login_turn(user_name).map_err(too_often)?).await;
    Ok(())
}

/// Logins with a name have failed too often (`guesses.rs`).
fn too_often(reason: RefusalReason) -> Refusal {
    Refusal { reason_code: ReasonCode::ConnectionRateExceeded, detail: reason.sentence() }
}

/// An identity in the words of the core.
fn core_identity(access: &Access, identity: &Identity) -> CoreIdentity {
    let policy = Policy { grants: identity.grants().cloned(), listener: access.rules_of.clone() };
    CoreIdentity {
        user_name: identity.user_name().map(Into::into),
        policy: policy.to_text(),
        valid_until: identity.expires_at().map(timestamp),
    }
}

/// The time of the clock on the wall as shards count it.
fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}

fn refusal(reason: RefuseReason) -> Refusal {
    let (reason_code, detail) = match reason {
        RefuseReason::BadUserNameOrPassword => {
            (ReasonCode::BadUserNameOrPassword, "the user name or password is wrong")
        }
        RefuseReason::NotAuthorized => {
            (ReasonCode::NotAuthorized, "this listener needs a user name and password")
        }
        RefuseReason::NamelessCertificate => (ReasonCode::NotAuthorized, "the certificate names no user"),
        RefuseReason::ServerUnavailable => {
            (ReasonCode::ServerUnavailable, "the credentials cannot be verified at present")
        }
    };
    Refusal { reason_code, detail }
}

/// Begins an exchange of enhanced authentication, if the listener has the method.
pub(super) fn begin_exchange(access: &Arc<Access>, method: &str) -> Option<Box<dyn Mechanism>> {
    let method = access.methods.iter().find(|known| known.name() == method)?;
    Some(Box::new(Bridge { exchange: method.begin(), access: Arc::clone(access) }))
}

/// An exchange in the words of the core.
struct Bridge {
    exchange: Box<dyn Exchange>,
    access: Arc<Access>,
}

impl Mechanism for Bridge {
    fn claimed_user(&self) -> Option<&str> {
        self.exchange.claimed_user()
    }

    fn step(&mut self, data: Option<&[u8]>) -> Step {
        match self.exchange.step(data) {
            ExchangeStep::Continue(data) => Step::Continue(data),
            ExchangeStep::Success { data, identity } => {
                Step::Success { data, identity: core_identity(&self.access, &identity) }
            }
            ExchangeStep::Refuse(reason) => Step::Refuse(match refusal(reason).reason_code {
                // Neither is a code of DISCONNECT (5.0, section 3.14.2.1), and re-authentication may end in one.
                ReasonCode::BadUserNameOrPassword => ReasonCode::NotAuthorized,
                ReasonCode::ServerUnavailable => ReasonCode::ServerBusy,
                reason_code => reason_code,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_codec::{Disconnect, Packet, ProtocolVersion, Split, decode, split};

    /// Refuses for one reason.
    struct Refusing(RefuseReason);

    impl Exchange for Refusing {
        fn step(&mut self, _data: Option<&[u8]>) -> ExchangeStep {
            ExchangeStep::Refuse(self.0)
        }
    }

    #[test]
    fn whatever_an_exchange_refuses_for_a_disconnect_can_say() {
        let access = Arc::new(Access {
            chain: AuthenticatorChain::new([]),
            methods: Vec::new(),
            denied_publish: crate::config::DeniedPublish::Drop,
            client_identifiers: None,
            rules_of: None,
        });
        for reason in [
            RefuseReason::BadUserNameOrPassword,
            RefuseReason::NotAuthorized,
            RefuseReason::ServerUnavailable,
        ] {
            let mut bridge = Bridge { exchange: Box::new(Refusing(reason)), access: Arc::clone(&access) };
            let Step::Refuse(reason_code) = bridge.step(None) else { panic!("{reason:?} is refused") };
            let mut bytes = Vec::new();
            Packet::Disconnect(Disconnect::new(reason_code)).encode(ProtocolVersion::V5, &mut bytes);
            let Ok(Split::Packet { frame, .. }) = split(&bytes, u32::MAX) else { panic!("a whole packet") };
            assert!(
                decode(frame, ProtocolVersion::V5).is_ok(),
                "{reason:?}: {reason_code} is no code of DISCONNECT"
            );
        }
    }
}
