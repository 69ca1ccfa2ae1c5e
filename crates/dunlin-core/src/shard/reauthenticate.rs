//! AUTH from a connected client: re-authentication (5.0 section 4.12.1).

use super::{Shard, Violation, protocol_error};
use crate::authenticate::Step;
use crate::handshake::auth_bytes;
use crate::slots::Key;
use dunlin_codec::{Auth, ReasonCode};
use std::sync::Arc;

impl Shard {
    // spec(v5): [MQTT-4.12.1-1] [MQTT-4.12.0-5] [MQTT-4.12.0-7]
    pub(super) fn handle_auth(&mut self, key: Key, auth: Auth<'_>) -> Result<(), Violation> {
        let mechanisms = Arc::clone(&self.mechanisms);
        let Some(connection) = self.clients.connections.get_mut(key) else {
            return Ok(());
        };
        let Some(extras) = connection.extras.as_mut().filter(|extras| extras.method.is_some()) else {
            return Err(protocol_error("MQTT-4.12.0-7", "AUTH without an Authentication Method in CONNECT"));
        };
        if auth.method != extras.method.as_deref() {
            return Err(protocol_error(
                "MQTT-4.12.1-1",
                "AUTH names another Authentication Method than CONNECT",
            ));
        }
        let mechanism = match (auth.reason_code, extras.mechanism.take()) {
            (ReasonCode::ReAuthenticate, None) => auth.method.and_then(|method| mechanisms.begin(method)),
            (ReasonCode::ContinueAuthentication, Some(mechanism)) => Some(mechanism),
            _ => return Err(protocol_error("4.12.1", "AUTH does not fit the state of the authentication")),
        };
        let Some(mut mechanism) = mechanism else {
            let detail = "the Authentication Method is no longer supported";
            return Err(Violation {
                reason_code: ReasonCode::BadAuthenticationMethod,
                statement: "MQTT-4.12.1-2",
                detail,
            });
        };
        match mechanism.step(auth.data) {
            Step::Continue(data) => {
                let bytes =
                    auth_bytes(ReasonCode::ContinueAuthentication, extras.method.as_deref(), Some(&data));
                extras.mechanism = Some(mechanism);
                self.clients.write(key, |outbox| outbox.push(&bytes));
                Ok(())
            }
            Step::Success { data, identity } => {
                let bytes = auth_bytes(ReasonCode::Success, extras.method.as_deref(), data.as_deref());
                if let Some((_, session)) = self.clients.session_of(key) {
                    session.identity = Arc::new(identity);
                }
                self.clients.write(key, |outbox| outbox.push(&bytes));
                Ok(())
            }
            // spec(v5): [MQTT-4.12.1-2]
            Step::Refuse(reason_code) => {
                Err(Violation { reason_code, statement: "MQTT-4.12.1-2", detail: "re-authentication failed" })
            }
        }
    }
}
