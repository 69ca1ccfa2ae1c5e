//! What the log holds, and what it must not hold.

use dunlin_codec::{Packet, QoS, ReasonCode};
use serde_json::Value;

use crate::support::client::{Client, bytes_of, hello, publish, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::support::{certificates, tls, websocket};
use crate::{ANNA, ANNA_PASSWORD, BORIS_PASSWORD, log_in, login};

const PAYLOAD: &str = "the payload is nobody's business";

/// How a secret could be written: as text, as hexadecimal digits, as a list of bytes.
fn spellings(secret: &str) -> [String; 3] {
    let bytes = secret.as_bytes();
    let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    [secret.to_owned(), hex, list]
}

#[test]
fn no_password_and_no_payload_is_in_the_log_even_at_its_finest_level() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    write(directory.path(), "passwords", ANNA);
    let config = format!(
        "auth.password_file = 'passwords'\nlog.level = 'trace'\n{QUIET}\
         tls = {{ cert = 'server.pem', key = 'server-key.pem' }}\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}, {{ url = 'mqtts://127.0.0.1:0' }}, {{ url = 'ws://127.0.0.1:0' }}]\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let addresses = [dunlin.address(0), dunlin.address(1), dunlin.address(2)];
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    for password in [ANNA_PASSWORD, BORIS_PASSWORD] {
        let clients = [
            Client::over(tcp(addresses[0])),
            Client::over(tls::connect(addresses[1], &trust)),
            Client::over(websocket::connect(tcp(addresses[2]))),
        ];
        for mut client in clients {
            let reason = client.connect(&login("anna", password));
            if password == ANNA_PASSWORD {
                assert_eq!(reason, ReasonCode::Success);
                client.subscribe("anything");
                client.send(&publish("anything", PAYLOAD.as_bytes(), QoS::AtMostOnce, 0));
                assert_eq!(client.message().payload, PAYLOAD.as_bytes());
                client.disconnect();
            } else {
                assert_eq!(reason, ReasonCode::BadUserNameOrPassword);
            }
        }
    }
    let log = dunlin.stop().error;
    assert!(log.contains("TRACE") && log.contains("anna"), "the log is at its finest level");
    for secret in [ANNA_PASSWORD, BORIS_PASSWORD, PAYLOAD] {
        for spelling in spellings(secret) {
            let line = log.lines().find(|line| line.contains(&spelling));
            assert_eq!(line, None, "a secret is in the log");
        }
    }
}

#[test]
fn each_line_of_a_json_log_is_an_object_with_client_address_and_reason() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    let config = format!(
        "auth.password_file = 'passwords'\nlog.format = 'json'\n{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let (client, reason) = log_in(address, "anna", ANNA_PASSWORD);
    assert_eq!(reason, ReasonCode::Success);
    client.disconnect();
    assert_eq!(log_in(address, "boris", BORIS_PASSWORD).1, ReasonCode::BadUserNameOrPassword);
    // A second CONNECT is a Protocol Error.
    let mut rude = Client::over(tcp(address));
    assert_eq!(rude.connect(&login("anna", ANNA_PASSWORD)), ReasonCode::Success);
    rude.send(&bytes_of(&Packet::Connect(hello("again"))));
    assert_eq!(rude.end(), Some(ReasonCode::ProtocolError));
    let log = dunlin.stop().error;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no {message:?} in\n{log}"))
    };
    for message in ["connected", "disconnected", "closed: the client broke the protocol"] {
        assert_eq!(line(message)["client"], "\"anna\"", "{message}");
    }
    assert_eq!(line("refused")["client"], "\"boris\"");
    for message in ["connected", "disconnected", "refused", "closed: the client broke the protocol"] {
        let client_address = line(message)["address"].as_str().unwrap_or_default();
        assert!(client_address.starts_with("127.0.0.1:"), "{message}: {client_address}");
        assert!(line(message)["level"].is_string() && line(message)["timestamp"].is_string());
    }
    assert_eq!(line("refused")["reason"], "the user name or password is wrong");
    assert_eq!(line("closed: the client broke the protocol")["statement"], "MQTT-3.1.0-2");
}

#[test]
fn a_client_cannot_write_lines_of_its_own_into_the_log() {
    let directory = directory();
    let mut dunlin =
        Dunlin::start(directory.path(), &format!("{QUIET}listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"));
    let forged = "x\n2030-01-01T00:00:00Z ERROR the vault is open\u{1b}[31m";
    Client::connected(tcp(dunlin.address(0)), forged).disconnect();
    let log = dunlin.stop().error;
    assert!(log.contains("connected client="), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2030")) && !log.contains('\u{1b}'), "{log}");
}
