//! MQTT over WebSocket: the handshake, and frames other than one packet each.

use std::io::Read;

use dunlin_codec::{Packet, QoS, ReasonCode};

use crate::start_everywhere;
use crate::support::client::{Client, bytes_of, hello, publish, subscribe, tcp};
use crate::support::websocket::{Opcode, WebSocket, connect, frame, request};

/// The head of the answer to a request for a WebSocket, and what comes after it until the end.
fn ask(path: &str, subprotocols: Option<&str>) -> (String, String) {
    let (_broker, listeners) = start_everywhere("limits.connect_timeout = '500ms'");
    let mut stream = tcp(listeners.addresses[2]);
    let head = request(&mut stream, path, subprotocols).expect("the broker answers");
    let mut body = String::new();
    if !head.starts_with("HTTP/1.1 101 ") {
        stream.read_to_string(&mut body).expect("the broker closes");
    }
    (head.to_ascii_lowercase(), body)
}

#[test]
fn the_subprotocol_mqtt_is_chosen() {
    // spec(v5): [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    // spec(v3.1.1): [MQTT-6.0.0-3] [MQTT-6.0.0-4]
    for (offered, chosen) in
        [("mqtt", "mqtt"), ("chat, mqtt", "mqtt"), ("mqttv3.1, mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1")]
    {
        let (head, _) = ask("/mqtt", Some(offered));
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains(&format!("\r\nsec-websocket-protocol: {chosen}\r\n")), "{offered}: {head}");
    }
}

#[test]
fn a_websocket_without_the_subprotocol_mqtt_is_refused() {
    // spec(v5): [MQTT-6.0.0-3]
    // spec(v3.1.1): [MQTT-6.0.0-3]
    for offered in [None, Some("chat"), Some("mqttx, xmqtt")] {
        let (head, body) = ask("/mqtt", offered);
        assert!(head.starts_with("http/1.1 400 "), "{offered:?}: {head}");
        assert_eq!(body, "the subprotocol mqtt is missing\n");
    }
}

#[test]
fn a_websocket_at_another_path_is_not_found() {
    for path in ["/", "/mqtt/", "/MQTT", "/other"] {
        let (head, body) = ask(path, Some("mqtt"));
        assert!(head.starts_with("http/1.1 404 "), "{path}: {head}");
        assert_eq!(body, "MQTT is served at the path /mqtt\n");
    }
    assert!(ask("/mqtt?token=1", Some("mqtt")).0.starts_with("http/1.1 101 "), "a query changes no path");
}

/// A WebSocket of a connected client.
fn connected(address: std::net::SocketAddr) -> WebSocket<std::net::TcpStream> {
    let mut socket = connect(tcp(address));
    socket.send(&frame(Opcode::Binary, true, &bytes_of(&Packet::Connect(hello("client")))));
    let (opcode, payload) = socket.receive().expect("CONNACK");
    assert_eq!((opcode, payload[0]), (Opcode::Binary, 0x20));
    socket
}

#[test]
fn a_text_frame_closes_the_connection_before_and_after_connect() {
    // spec(v5): [MQTT-6.0.0-1]
    // spec(v3.1.1): [MQTT-6.0.0-1]
    let (_broker, listeners) = start_everywhere("");
    let mut early = connect(tcp(listeners.addresses[2]));
    early.send(&frame(Opcode::Text, true, &bytes_of(&Packet::Connect(hello("writer")))));
    let mut late = connected(listeners.addresses[2]);
    late.send(&frame(Opcode::Text, true, &bytes_of(&Packet::PingReq)));
    for socket in [&mut early, &mut late] {
        match socket.receive() {
            Ok((opcode, _)) => assert_eq!(opcode, Opcode::Close),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection is still open")
            }
        }
    }
}

#[test]
fn a_packet_may_span_the_fragments_of_a_message_with_a_ping_between_them() {
    // spec(v5): [MQTT-6.0.0-2]
    // spec(v3.1.1): [MQTT-6.0.0-2]
    let (_broker, listeners) = start_everywhere("");
    let mut socket = connected(listeners.addresses[2]);
    socket.send(&frame(Opcode::Binary, true, b""));
    socket.send(&frame(Opcode::Binary, true, &subscribe("scraps")));
    assert_eq!(socket.receive().expect("SUBACK").1[0], 0x90);
    let packet = publish("scraps", b"in three pieces", QoS::AtMostOnce, 0);
    let (first, rest) = packet.split_at(1);
    let (second, third) = rest.split_at(9);
    socket.send(&frame(Opcode::Binary, false, first));
    socket.send(&frame(Opcode::Continuation, false, second));
    socket.send(&frame(Opcode::Ping, true, b"there?"));
    assert_eq!(socket.receive().expect("a Pong"), (Opcode::Pong, b"there?".to_vec()));
    socket.send(&frame(Opcode::Continuation, true, third));
    assert_eq!(Client::over(socket).message().payload, b"in three pieces");
}

#[test]
fn a_websocket_that_is_closed_is_closed_in_return() {
    let (_broker, listeners) = start_everywhere("");
    let mut socket = connected(listeners.addresses[2]);
    let normal = 1000_u16.to_be_bytes();
    socket.send(&frame(Opcode::Close, true, &normal));
    assert_eq!(socket.receive().expect("a Close"), (Opcode::Close, normal.to_vec()));
    assert!(socket.receive().is_err(), "the connection is still open");
}

#[test]
fn a_client_that_is_disconnected_gets_disconnect_and_then_a_close_frame() {
    let (_broker, listeners) = start_everywhere("");
    let mut socket = connected(listeners.addresses[2]);
    // A second CONNECT is a Protocol Error.
    socket.send(&frame(Opcode::Binary, true, &bytes_of(&Packet::Connect(hello("client")))));
    let (opcode, payload) = socket.receive().expect("DISCONNECT");
    assert_eq!((opcode, payload[0], payload[2]), (Opcode::Binary, 0xE0, ReasonCode::ProtocolError.code()));
    assert_eq!(socket.receive().expect("a Close").0, Opcode::Close);
}

/// What a client sends after CONNECT: it subscribes, and publishes a megabyte to itself.
fn parcel() -> [Vec<u8>; 2] {
    [subscribe("parcels"), publish("parcels", &vec![7; 1_000_000], QoS::AtMostOnce, 0)]
}

/// SUBACK comes and the client's own message, whole. A Server may deliver before it sends SUBACK.
fn receives_its_parcel(socket: WebSocket<std::net::TcpStream>) {
    let mut client = Client::over(socket);
    let (mut is_subscribed, mut has_parcel) = (false, false);
    while !is_subscribed || !has_parcel {
        client.next(|packet| match packet {
            Some(Packet::SubAck(_)) => is_subscribed = true,
            Some(Packet::Publish(publish)) => {
                assert!(publish.payload == vec![7; 1_000_000], "the payload has changed");
                has_parcel = true;
            }
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn a_client_may_send_a_megabyte_in_one_frame_once_it_is_connected() {
    let (_broker, listeners) = start_everywhere("");
    let mut socket = connected(listeners.addresses[2]);
    socket.send(&frame(Opcode::Binary, true, &parcel().concat()));
    receives_its_parcel(socket);
}

#[test]
fn frames_that_come_together_with_connect_are_served_however_large_they_are() {
    // spec(v5): [MQTT-6.0.0-2]
    // spec(v3.1.1): [MQTT-6.0.0-2]
    let (_broker, listeners) = start_everywhere("");
    let hello = bytes_of(&Packet::Connect(hello("hasty")));
    let [subscribe, publish] = parcel();
    // SUBSCRIBE is in the frame of CONNECT, or in one of its own; the PUBLISH begins in the same segment.
    for frames in [vec![[hello.clone(), subscribe.clone()].concat()], vec![hello, subscribe]] {
        let mut socket = connect(tcp(listeners.addresses[2]));
        let frames = frames.iter().chain([&publish]).map(|payload| frame(Opcode::Binary, true, payload));
        socket.send(&frames.collect::<Vec<_>>().concat());
        let (opcode, payload) = socket.receive().expect("CONNACK");
        assert_eq!((opcode, payload[0]), (Opcode::Binary, 0x20));
        receives_its_parcel(socket);
    }
}

#[test]
fn a_frame_larger_than_any_packet_closes_the_connection_before_its_payload_comes() {
    let (_broker, listeners) = start_everywhere("limits.max_packet_size = '64KB'");
    let mut socket = connected(listeners.addresses[2]);
    let announced = frame(Opcode::Binary, true, &vec![0; 200_000]);
    socket.send(&announced[..14]);
    match socket.receive() {
        Ok((opcode, _)) => assert_eq!(opcode, Opcode::Close),
        Err(error) => {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection is still open")
        }
    }
}
