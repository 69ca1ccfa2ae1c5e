//! `dunlin import mosquitto`: its streams and exit statuses, and a broker that runs on what it writes.

use std::os::unix::net::UnixStream;

use dunlin_codec::{Connect, Packet, QoS, ReasonCode};

use crate::support::client::{Client, Stream, hello, publish};
use crate::support::dunlin::{Dunlin, command, directory, write};
use crate::support::process::DEADLINE;
use crate::{ANNA, ANNA_PASSWORD, login, run};

fn unix(path: &std::path::Path) -> impl Stream + use<> {
    let stream = UnixStream::connect(path).expect("the broker listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout can be set");
    stream
}

#[test]
fn a_broker_on_what_was_imported_admits_the_same_users_and_gives_them_the_same_rights() {
    let directory = directory();
    let socket = directory.path().join("mosquitto.sock");
    write(directory.path(), "users", ANNA);
    write(directory.path(), "rules", "user anna\ntopic home/#\n");
    let conf =
        format!("listener 0 {}\npassword_file users\nacl_file rules\nsys_interval 0\n", socket.display());
    write(directory.path(), "mosquitto.conf", &conf);

    let (status, output, error) = run(directory.path(), &["import", "mosquitto", "mosquitto.conf"]);
    assert_eq!((status, error.as_str()), (0, ""));
    write(directory.path(), "dunlin.toml", &output);
    let (status, checked, error) = run(directory.path(), &["check", "--config", "dunlin.toml"]);
    assert_eq!((status, error.as_str()), (0, ""), "{checked}");

    let arguments = ["serve", "--config", "dunlin.toml", "--http", ""];
    let mut dunlin = Dunlin::run(&mut command(directory.path(), &arguments));
    dunlin.wait_for("listening");
    let connect = |client_identifier| {
        let mut client = Client::over(unix(&socket));
        let connect = Connect { client_identifier, ..login("anna", ANNA_PASSWORD) };
        assert_eq!(client.connect(&connect), ReasonCode::Success);
        client
    };
    let (mut subscriber, mut publisher) = (connect("hall"), connect("door"));
    subscriber.subscribe("#");
    publisher.send(&publish("office/door", b"not hers", QoS::AtLeastOnce, 1));
    publisher.next(|packet| match packet {
        Some(Packet::PubAck(puback)) => assert_eq!(puback.reason_code, ReasonCode::NotAuthorized),
        other => panic!("{other:?} instead of PUBACK"),
    });
    publisher.publish("home/door", b"open");
    assert_eq!(subscriber.message().payload, b"open");
    assert_eq!(Client::over(unix(&socket)).connect(&hello("nobody")), ReasonCode::NotAuthorized);
    let wrong = Client::over(unix(&socket)).connect(&login("anna", "a guess"));
    assert_eq!(wrong, ReasonCode::BadUserNameOrPassword);
    assert_eq!(dunlin.stop().status, 0);
}

#[test]
fn remarks_go_to_standard_error_and_leave_the_status_at_0() {
    let directory = directory();
    write(directory.path(), "mosquitto.conf", "listener 1883\nmax_qos 1\n");
    let (status, output, error) = run(directory.path(), &["import", "mosquitto", "mosquitto.conf"]);
    assert_eq!(status, 0);
    assert!(output.contains("url = \"mqtt://[::]:1883\"  # mosquitto.conf:1\n"), "{output}");
    assert!(error.starts_with("mosquitto.conf:2: max_qos: has no equivalent. "), "{error}");
}

#[test]
fn a_file_that_is_wrong_or_not_there_ends_with_2_and_no_output() {
    let directory = directory();
    write(directory.path(), "mosquitto.conf", "listener 1883\nmax_qos 4\nmax_quality 2\n");
    let (status, output, error) = run(directory.path(), &["import", "mosquitto", "mosquitto.conf"]);
    assert_eq!((status, output.as_str()), (2, ""));
    let expected = "mosquitto.conf:2: max_qos: must be a whole number, 0 to 2, not \"4\"\n\
        mosquitto.conf:3: max_quality: is no option of mosquitto 2.0 or 2.1\n";
    assert_eq!(error, expected);
    let (status, output, error) = run(directory.path(), &["import", "mosquitto", "nowhere.conf"]);
    assert_eq!((status, output.as_str()), (2, ""));
    assert_eq!(error, "nowhere.conf: cannot be read: No such file or directory (os error 2)\n");
}
