//! TLS, WebSocket and Unix sockets.

use std::path::Path;

use crate::desk::dunlin;
use crate::support::certificates::{self, Authority};
use crate::support::dunlin::{Dunlin, QUIET, directory};

/// A broker with these listeners in a directory with certificates, and the ports of those in the network, which
/// stand first.
fn start(directory: &Path, listeners: &[&str], tls: &str) -> (Dunlin, Vec<u16>) {
    let listener = |url: &&str| format!("[[listener]]\nurl = '{url}'\n");
    let more: String = listeners.iter().map(listener).collect();
    let config = format!("{QUIET}[tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\n{tls}\n{more}");
    let mut broker = Dunlin::start(directory, &config);
    let in_network = listeners.iter().take_while(|url| !url.starts_with("unix:")).count();
    let ports = (0..in_network).map(|index| broker.address(index).port()).collect();
    (broker, ports)
}

/// A message from `pub` to `sub`, each with its options.
fn passes(directory: &Path, publish: &str, subscribe: &str) {
    let mut subscriber = dunlin(directory, &format!("sub -d -t t -C 1 -q 2 -v {subscribe}"));
    subscriber.wait_for("received SUBACK");
    let published = dunlin(directory, &format!("pub -t t -m hello -q 2 {publish}")).finish();
    assert_eq!(published.status, 0, "{publish}: {}", published.error);
    let ended = subscriber.finish();
    assert_eq!((ended.status, ended.output.as_str()), (0, "t hello\n"), "{subscribe}: {}", ended.error);
}

#[test]
fn tls_is_spoken_with_whom_an_authority_vouches_for() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    std::fs::create_dir(directory.path().join("others")).expect("it can be made");
    Authority::new(&directory.path().join("others"), "another authority");
    let (_broker, ports) = start(directory.path(), &["mqtts://127.0.0.1:0"], "");
    let port = ports[0];
    let trusting = format!("-h localhost -p {port} --cafile ca.pem");
    passes(directory.path(), &trusting, &format!("-L mqtts://127.0.0.1:{port}/ --cafile ca.pem"));
    passes(
        directory.path(),
        &format!("{trusting} --tls-version tlsv1.2"),
        &format!("{trusting} --tls-version tlsv1.3"),
    );
    passes(
        directory.path(),
        &format!("{trusting} --tls-alpn mqtt"),
        &format!("-h localhost -p {port} --capath ."),
    );
    let ended =
        dunlin(directory.path(), &format!("pub -t t -m x -h localhost -p {port} --cafile others/ca.pem"))
            .finish();
    let expected = format!(
        "dunlin: no TLS with mqtts://localhost:{port}: its certificate is from no authority that is trusted here: \
         name the one that vouches for it with --cafile FILE\n"
    );
    assert_eq!((ended.status, ended.error), (8, expected));
}

#[test]
fn a_certificate_for_another_host_is_taken_only_where_that_is_asked_for() {
    let directory = directory();
    let authority = Authority::new(directory.path(), "the authority of a test");
    authority.server("server", &["elsewhere.example"]);
    let (_broker, ports) = start(directory.path(), &["mqtts://127.0.0.1:0"], "");
    let trusting = format!("-h localhost -p {} --cafile ca.pem", ports[0]);
    let ended = dunlin(directory.path(), &format!("pub -t t -m x {trusting}")).finish();
    assert_eq!(ended.status, 8);
    assert!(
        ended.error.ends_with("its certificate is for another host: --insecure takes it, for tests\n"),
        "{}",
        ended.error
    );
    passes(directory.path(), &format!("{trusting} --insecure"), &format!("{trusting} --insecure"));
    // Whoever vouches for it still counts.
    std::fs::create_dir(directory.path().join("others")).expect("it can be made");
    Authority::new(&directory.path().join("others"), "another authority");
    let stranger = format!("pub -t t -m x -h localhost -p {} --cafile others/ca.pem --insecure", ports[0]);
    assert_eq!(dunlin(directory.path(), &stranger).finish().status, 8);
}

#[test]
fn a_client_shows_its_certificate_where_one_is_required() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let tls = "client_ca = 'ca.pem'\nrequire_client_cert = true";
    let (_broker, ports) = start(directory.path(), &["mqtts://127.0.0.1:0"], tls);
    let trusting = format!("-h localhost -p {} --cafile ca.pem", ports[0]);
    let ended = dunlin(directory.path(), &format!("pub -t t -m x {trusting}")).finish();
    assert_eq!(ended.status, 8, "{}", ended.error);
    let showing = format!("{trusting} --cert client.pem --key client-key.pem");
    passes(directory.path(), &showing, &showing);
}

#[test]
fn websocket_and_unix_sockets_carry_the_same() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let path = directory.path().join("socket");
    let listeners = ["ws://127.0.0.1:0", "wss://127.0.0.1:0", &format!("unix://{}", path.display())];
    let (_broker, ports) = start(directory.path(), &listeners, "");
    let (ws, wss) = (ports[0], ports[1]);
    passes(directory.path(), &format!("-L ws://127.0.0.1:{ws}"), &format!("--ws -h 127.0.0.1 -p {ws}"));
    passes(
        directory.path(),
        &format!("-L wss://localhost:{wss} --cafile ca.pem"),
        &format!("--unix {}", path.display()),
    );
    passes(
        directory.path(),
        &format!("-L unix://{}", path.display()),
        &format!("--ws -h localhost -p {wss} --cafile ca.pem"),
    );
    let ended = dunlin(directory.path(), &format!("pub -t t -m x -h 127.0.0.1 -p {ws}")).finish();
    assert_ne!(ended.status, 0, "MQTT alone is not understood there");
}

#[test]
fn a_large_payload_goes_through_websocket_and_tls_unharmed() {
    let directory = directory();
    certificates::make(directory.path(), "the authority of a test");
    let (_broker, ports) = start(directory.path(), &["wss://127.0.0.1:0"], "");
    let place = format!("-L wss://localhost:{} --cafile ca.pem", ports[0]);
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    let payload: String = (0..1_500_000).map(|_| letter()).collect();
    std::fs::write(directory.path().join("payload"), &payload).expect("it can be written");
    let mut subscriber = dunlin(directory.path(), &format!("sub -d -t t -C 1 -q 1 -N {place}"));
    subscriber.wait_for("received SUBACK");
    let ended = dunlin(directory.path(), &format!("pub -t t -f payload -q 1 {place}")).finish();
    assert_eq!(ended.status, 0, "{}", ended.error);
    assert!(subscriber.finish().output.trim_end() == payload, "the payload has changed");
}
