//! AUTH from a connected client: re-authentication (5.0 section 4.12.1).

use super::{Shard, Violation, protocol_error};
use crate::authenticate::Step;
use crate::handshake::auth_bytes;
use crate::identity::Identity;
use crate::session::Session;
use crate::slots::Key;
use dunlin_codec::{Auth, PacketType, ReasonCode};
use std::sync::Arc;

impl Shard {
    // spec(v5): [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-4.12.0-7]
    pub(super) fn handle_auth(&mut self, key: Key, auth: Auth<'_>) -> Result<(), Violation> {
        let Some(authentication) = self
            .clients
            .connections
            .get_mut(key)
            .and_then(|connection| connection.extras.as_mut()?.authentication.as_mut())
        else {
            return Err(protocol_error("MQTT-4.12.0-7", "AUTH without an Authentication Method in CONNECT"));
        };
        if auth.method != Some(&*authentication.method) {
            return Err(protocol_error(
                "MQTT-4.12.1-1",
                "AUTH names another Authentication Method than CONNECT",
            ));
        }
        let exchange = match (auth.reason_code, authentication.exchange.take()) {
            (ReasonCode::ReAuthenticate, None) => authentication.mechanisms.begin(&authentication.method),
            (ReasonCode::ContinueAuthentication, Some(exchange)) => Some(exchange),
            _ => return Err(protocol_error("4.12.1", "AUTH does not fit the state of the authentication")),
        };
        let Some(mut exchange) = exchange else {
            let detail = "the Authentication Method is no longer supported";
            return Err(refused(ReasonCode::BadAuthenticationMethod, detail));
        };
        let (reason_code, data) = match exchange.step(auth.data) {
            Step::Continue(data) => {
                authentication.exchange = Some(exchange);
                (ReasonCode::ContinueAuthentication, Some(data))
            }
            Step::Success { data, identity } => {
                self.renew_identity(key, identity)?;
                (ReasonCode::Success, data)
            }
            Step::Refuse(reason_code) => return Err(refused(reason_code, "re-authentication failed")),
        };
        let bytes = auth_bytes(reason_code, auth.method, data.as_deref());
        self.clients.write(key, PacketType::Auth, |outbox| outbox.push(&bytes));
        Ok(())
    }

    /// The client has shown again who it is: what it may do, and for how long, is as it was found this time.
    fn renew_identity(&mut self, key: Key, identity: Identity) -> Result<(), Violation> {
        let valid_until = identity.valid_until;
        let Some((session, value)) = self.clients.session_of(key) else {
            return Ok(());
        };
        // The Session, its queue and its subscriptions belong to who connected.
        if value.identity.user_name != identity.user_name {
            return Err(refused(ReasonCode::NotAuthorized, "re-authentication gave another user"));
        }
        value.identity = identity.into_shared();
        value.answers = None;
        let identity = Arc::clone(&value.identity);
        self.clients.note_policy(&identity);
        self.clients.record(session, Session::record);
        if let Some(valid_until) = valid_until {
            self.clients.arm_identity(key, valid_until);
        }
        Ok(())
    }
}

// spec(v5): [MQTT-4.12.1-2]
fn refused(reason_code: ReasonCode, detail: &'static str) -> Violation {
    Violation { reason_code, statement: "MQTT-4.12.1-2", detail }
}
