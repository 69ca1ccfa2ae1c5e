//! Who a client with a certificate is.

use std::path::Path;
use std::sync::Arc;

use dunlin::Broker;
use dunlin_codec::{Connect, Packet, ReasonCode};
use rustls::{ClientConfig, HandshakeKind};

use crate::start;
use crate::support::client::{Client, hello};
use crate::support::dunlin::{directory, write};
use crate::support::{certificates, tls, websocket};

/// The hash of [`BORIS_PASSWORD`], made by mosquitto_passwd.
const BORIS: &str = "boris:$7$101$mPSOKoHfnFt8rkKz$zuH8fhlIr3UvphCv/cUJhLLcef/LFv0ZlnhLyGgU5vB4/BqAVDlgAwIhr4txBljxRrurUY8pUCK9nhTHexNyMA==\n";

const BORIS_PASSWORD: &[u8] = b"boris-knows-that";

/// A broker where the Common Name of a certificate is the user name, over TLS and over WebSocket on TLS.
fn named_by_certificate(directory: &Path, auth: &str) -> Broker {
    let authority = certificates::make(directory, "the authority of a test");
    authority.client("nameless", "", 1001);
    write(directory, "passwords", BORIS);
    write(directory, "acl", "user client\ntopic readwrite of-client\nuser boris\ntopic readwrite of-boris\n");
    let path = |name: &str| directory.join(name).display().to_string();
    start(&format!(
        "store.path = ''\nhttp.address = ''\n\
         listener = [{{ url = 'mqtts://127.0.0.1:0' }}, {{ url = 'wss://127.0.0.1:0' }}]\n\
         [tls]\ncert = '{}'\nkey = '{}'\nclient_ca = '{}'\n\
         [auth]\nallow_anonymous = false\ncertificate_user = 'common-name'\npassword_file = '{}'\nacl_file = '{}'\n{auth}\n",
        path("server.pem"),
        path("server-key.pem"),
        path("ca.pem"),
        path("passwords"),
        path("acl"),
    ))
}

fn over_tls(broker: &Broker, config: &Arc<ClientConfig>) -> Client {
    Client::over(tls::connect(broker.addresses()[0], config))
}

/// What a subscription to `of-client` and one to `of-boris` are told.
fn rights(client: &mut Client) -> [u8; 2] {
    ["of-client", "of-boris"].map(|filter| {
        client.send(&crate::support::client::subscribe(filter));
        client.next(|packet| match packet {
            Some(Packet::SubAck(suback)) => suback.reason_codes[0],
            other => panic!("{other:?} instead of SUBACK"),
        })
    })
}

const REFUSED: u8 = ReasonCode::NotAuthorized as u8;

#[test]
fn a_client_is_the_user_that_its_certificate_names_whatever_user_name_it_sends() {
    let directory = directory();
    let broker = named_by_certificate(directory.path(), "");
    let certificate = tls::showing(directory.path(), "client");
    let claims = [
        hello("a"),
        Connect { user_name: Some("boris"), ..hello("a") },
        Connect { user_name: Some("boris"), password: Some(BORIS_PASSWORD), ..hello("a") },
        Connect { user_name: Some("boris"), password: Some(b"wrong"), ..hello("a") },
    ];
    for claim in claims {
        let mut client = over_tls(&broker, &certificate);
        assert_eq!(client.connect(&claim), ReasonCode::Success);
        assert_eq!(rights(&mut client), [2, REFUSED]);
    }
    let stream = tls::connect(broker.addresses()[1], &certificate);
    let mut client = Client::over(websocket::connect(stream));
    assert_eq!(client.connect(&hello("b")), ReasonCode::Success);
    assert_eq!(rights(&mut client), [2, REFUSED]);
}

#[test]
fn a_client_that_resumes_its_tls_session_is_the_same_user() {
    let directory = directory();
    let broker = named_by_certificate(directory.path(), "");
    let certificate = tls::showing(directory.path(), "client");
    let rights = [HandshakeKind::Full, HandshakeKind::Resumed].map(|expected| {
        let mut stream = tls::connect(broker.addresses()[0], &certificate);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the handshake is made");
        }
        assert_eq!(stream.conn.handshake_kind(), Some(expected));
        let mut client = Client::over(stream);
        assert_eq!(client.connect(&hello("a")), ReasonCode::Success);
        self::rights(&mut client)
    });
    assert_eq!(rights, [[2, REFUSED]; 2]);
}

#[test]
fn a_client_without_a_certificate_needs_a_password_and_one_without_a_name_in_it_is_refused() {
    let directory = directory();
    let broker = named_by_certificate(directory.path(), "");
    let trust = tls::trusting(&directory.path().join("ca.pem"), tls::EVERY_VERSION);
    let login = Connect { user_name: Some("boris"), password: Some(BORIS_PASSWORD), ..hello("boris") };
    let mut boris = over_tls(&broker, &trust);
    assert_eq!(boris.connect(&login), ReasonCode::Success);
    assert_eq!(rights(&mut boris), [REFUSED, 2]);
    assert_eq!(over_tls(&broker, &trust).connect(&hello("a")), ReasonCode::NotAuthorized);

    // Its certificate is as good as any to TLS; a password does not make up for the name.
    let nameless = tls::showing(directory.path(), "nameless");
    assert_eq!(over_tls(&broker, &nameless).connect(&login), ReasonCode::NotAuthorized);
}

#[test]
fn a_certificate_can_be_bound_to_its_client_identifiers() {
    let directory = directory();
    for (pattern, own, foreign) in [("%u", "client", "client-1"), ("%u-*", "client-1", "client")] {
        let broker = named_by_certificate(directory.path(), &format!("client_identifier = '{pattern}'"));
        let certificate = tls::showing(directory.path(), "client");
        assert_eq!(over_tls(&broker, &certificate).connect(&hello(own)), ReasonCode::Success);
        for other in [foreign, "boris", "boris-1"] {
            let refused = over_tls(&broker, &certificate).connect(&hello(other));
            assert_eq!(refused, ReasonCode::ClientIdentifierNotValid, "{pattern} {other}");
        }
    }
}
