//! From nothing to a connection that the broker has accepted.

use std::time::Duration;

use dunlin_codec::{Packet, ReasonCode};
use tokio::time::timeout;

use super::connection::Connection;
use super::error::ClientError;
use super::options::{ClientOptions, Way};
use super::stream;

/// How long the broker may take to answer CONNECT, TLS included.
const ANSWER: Duration = Duration::from_secs(30);

/// What CONNACK says of the Session.
#[derive(Debug, Default)]
pub(super) struct Welcome {
    /// Whether the broker has the Session.
    pub(super) session_present: bool,
    /// The name it gave to a client without one.
    pub(super) assigned_client_identifier: Option<String>,
}

/// Connects, and waits for CONNACK.
pub(super) async fn open(options: ClientOptions, number: u64) -> Result<(Connection, Welcome), ClientError> {
    let address = options.address.to_string();
    let opening = async {
        let stream = stream::open(&options).await?;
        let mut connection = Connection::new(stream, &options, number);
        connection.send(&options, &Packet::Connect(options.connect()))?;
        match welcome(&options, &mut connection).await {
            Ok(welcome) => Ok((connection, welcome)),
            Err(error) => {
                if let Some(reason_code) = error.complaint() {
                    connection.complain(&options, reason_code).await;
                }
                Err(error)
            }
        }
    };
    timeout(ANSWER, opening).await.unwrap_or(Err(ClientError::NoAnswer { address }))
}

async fn welcome(options: &ClientOptions, connection: &mut Connection) -> Result<Welcome, ClientError> {
    let frame = loop {
        match connection.take_frame()? {
            Some(frame) => break frame,
            None => connection.exchange(options).await?,
        }
    };
    let packet = connection.decode(&frame)?;
    options.observe(Way::In, &packet);
    match packet {
        // spec(v5): [MQTT-3.2.2-4]
        Packet::ConnAck(connack) if connack.session_present && options.clean_start => {
            Err(ClientError::Unexpected("a CONNACK with a Session, where a new one was asked for"))
        }
        Packet::ConnAck(connack) if connack.reason_code == ReasonCode::Success => {
            connection.accept(&connack);
            let assigned = connack.properties.assigned_client_identifier;
            Ok(Welcome {
                session_present: connack.session_present,
                assigned_client_identifier: assigned.map(str::to_owned),
            })
        }
        Packet::ConnAck(connack) => {
            let explanation = connack.properties.reason_string.or(connack.properties.server_reference);
            Err(ClientError::Refused {
                reason_code: connack.reason_code,
                version: options.version,
                explanation: explanation.map(str::to_owned),
            })
        }
        Packet::Auth(_) => Err(ClientError::AuthenticationContinues),
        _ => Err(ClientError::Unexpected("another packet than CONNACK in answer to CONNECT")),
    }
}
