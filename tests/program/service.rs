//! Beside a service manager: what it is told, and the sockets it hands over. No systemd runs here; the tests speak its
//! two protocols themselves.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::client::{Client, tcp};
use crate::support::dunlin::{Dunlin, QUIET, command, directory, write};
use crate::support::process::DEADLINE;

const LOCAL: &str = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\n";

/// The socket of a service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(directory: &Path) -> Self {
        let socket = UnixDatagram::bind(directory.join("notify")).expect("the directory is new");
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        Self(socket)
    }

    /// What is said next, line by line.
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("something is said in time");
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }
}

/// The broker with this configuration, as a service manager starts it.
fn supervised(directory: &Path, config: &str) -> Command {
    write(directory, "dunlin.toml", config);
    let mut command = command(directory, &["serve", "--config", "dunlin.toml"]);
    command.env("NOTIFY_SOCKET", directory.join("notify"));
    command
}

/// The same, with this socket as descriptor 3 and all that tells of it.
fn activated(directory: &Path, config: &str, socket: OwnedFd) -> Command {
    write(directory, "dunlin.toml", config);
    let script =
        "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" serve --config dunlin.toml";
    let mut command = Command::new("sh");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_dunlin")])
        .current_dir(directory)
        .stdin(Stdio::from(socket));
    command
}

#[test]
fn a_service_manager_is_told_of_start_reload_and_end() {
    let directory = directory();
    let manager = Manager::listen(directory.path());
    let dunlin = Dunlin::run(&mut supervised(directory.path(), &format!("{QUIET}{LOCAL}")));
    assert_eq!(manager.next(), ["STATUS=reading the store and opening the listeners"]);
    assert_eq!(manager.next(), ["READY=1", "STATUS=serving clients on 1 listener"]);

    let reload = |config: &str| {
        write(directory.path(), "dunlin.toml", config);
        dunlin.signal(Signal::HUP);
        let begin = manager.next();
        assert_eq!(begin[0], "RELOADING=1");
        let time = begin[1].strip_prefix("MONOTONIC_USEC=").expect("the time of the reload");
        assert!(time.parse::<u64>().is_ok_and(|microseconds| microseconds > 0), "{time}");
        manager.next()
    };
    assert_eq!(reload(&format!("{QUIET}{LOCAL}")), ["READY=1", "STATUS=serving clients on 1 listener"]);
    let failed = "STATUS=serving clients on 1 listener; the last reload changed nothing, the log says why";
    assert_eq!(reload("nonsense"), ["READY=1", failed]);

    dunlin.signal(Signal::TERM);
    assert_eq!(manager.next(), ["STOPPING=1", "STATUS=disconnecting clients and closing the store"]);
    assert_eq!(dunlin.finish().status, 0);
}

#[test]
fn a_broker_that_does_not_start_is_never_said_to_be_ready() {
    let directory = directory();
    let manager = Manager::listen(directory.path());
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = taken.local_addr().expect("it has an address");
    let config = format!("{QUIET}listener = [{{ url = 'mqtt://{address}' }}]\n");
    let ended = Dunlin::run(&mut supervised(directory.path(), &config)).finish();
    assert_eq!(ended.status, 1, "{}", ended.error);
    manager.0.set_nonblocking(true).expect("a socket can be asked without waiting");
    assert_eq!(manager.next(), ["STATUS=reading the store and opening the listeners"]);
    let mut nothing = [0; 1];
    assert!(manager.0.recv(&mut nothing).is_err(), "it said something more");
}

#[test]
fn the_watchdog_gets_signs_of_life_again_and_again() {
    let directory = directory();
    let manager = Manager::listen(directory.path());
    let mut command = supervised(directory.path(), &format!("{QUIET}{LOCAL}"));
    let _dunlin = Dunlin::run(command.env("WATCHDOG_USEC", "300000"));
    let mut signs = 0;
    while signs < 3 {
        signs += usize::from(manager.next() == ["WATCHDOG=1"]);
    }
}

#[test]
fn a_listener_takes_the_open_socket_with_its_address_and_serves_who_came_before_it() {
    let directory = directory();
    let socket = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = socket.local_addr().expect("it has an address");
    let early = tcp(address);
    let config = format!("{QUIET}listener = [{{ url = 'mqtt://{address}' }}]\n");
    let mut dunlin = Dunlin::run(&mut activated(directory.path(), &config, socket.into()));
    let line = dunlin.wait_for("listening");
    assert!(line.contains(&format!("address={address} inherited=true")), "{line}");
    Client::connected(early, "early").ping();
    Client::connected(tcp(address), "late").ping();
    assert_eq!(dunlin.stop().status, 0);
}

#[test]
fn the_file_of_an_inherited_unix_socket_stays_for_the_next_broker() {
    let directory = directory();
    let path = directory.path().join("mqtt.sock");
    let socket = UnixListener::bind(&path).expect("the directory is new");
    // Ours, as the service manager keeps one.
    let kept = socket.try_clone().expect("a descriptor can be copied");
    let config = format!("{QUIET}listener = [{{ url = 'unix://{}' }}]\n", path.display());
    for _ in 0..2 {
        let socket = kept.try_clone().expect("a descriptor can be copied");
        let mut dunlin = Dunlin::run(&mut activated(directory.path(), &config, socket.into()));
        dunlin.wait_for("listening");
        let stream = UnixStream::connect(&path).expect("the socket is there");
        Client::connected(stream, "local").ping();
        assert_eq!(dunlin.stop().status, 0);
    }
    assert!(path.exists());
}

#[test]
fn an_open_socket_that_no_listener_has_ends_the_start_and_is_named() {
    let directory = directory();
    let socket = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = socket.local_addr().expect("it has an address");
    let ended =
        Dunlin::run(&mut activated(directory.path(), &format!("{QUIET}{LOCAL}"), socket.into())).finish();
    assert_eq!(ended.status, 1);
    let problem = format!(
        "dunlin: no listener has the address of these inherited sockets: mqtt://{address}; add a listener such as url = \
         \"mqtt://{address}\", or remove them from the socket unit"
    );
    assert!(ended.error.contains(&problem), "{}", ended.error);
}

#[test]
fn a_connection_is_no_socket_to_listen_on() {
    let directory = directory();
    let (connection, _other_end) = UnixStream::pair().expect("there are descriptors");
    let ended =
        Dunlin::run(&mut activated(directory.path(), &format!("{QUIET}{LOCAL}"), connection.into())).finish();
    assert_eq!(ended.status, 1);
    let problem = "dunlin: socket 1 of 1 in LISTEN_FDS is none to listen on (a connection): use ListenStream= and \
                   Accept=no in the socket unit";
    assert!(ended.error.contains(problem), "{}", ended.error);
}
