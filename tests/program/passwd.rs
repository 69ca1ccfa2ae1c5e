//! `dunlin passwd`: what scripts rely on. The password comes through standard input, and a broker that reads the
//! file admits the user.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dunlin_codec::ReasonCode;
use rustix::process::Signal;

use crate::support::dunlin::{Dunlin, QUIET, command, directory, write};
use crate::support::process::Process;
use crate::{ANNA, ANNA_PASSWORD, log_in};

/// Runs `dunlin passwd` with this standard input; its status and what it wrote.
pub fn passwd(directory: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let input_file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    fs::write(&input_file, input).expect("it can be written");
    let mut command = command(directory, &[&["passwd"], arguments].concat());
    command.stdin(File::open(&input_file).expect("it can be read"));
    let ended = Process::start(&mut command, "cargo builds it for the tests").finish();
    (ended.status, ended.output, ended.error)
}

/// Runs it, and expects nothing on standard error.
#[track_caller]
pub fn succeeds(directory: &Path, arguments: &[&str], input: &str, output: &str) {
    let ended = passwd(directory, arguments, input);
    assert_eq!(ended, (0, format!("{output}\n"), String::new()));
}

/// Runs it, and expects one sentence on standard error and a file as it was.
#[track_caller]
fn is_refused(directory: &Path, arguments: &[&str], input: &str, status: i32, sentence: &str) {
    let before = fs::read(directory.join("passwords")).ok();
    let ended = passwd(directory, arguments, input);
    assert_eq!(ended, (status, String::new(), format!("dunlin: {sentence}\n")));
    assert_eq!(fs::read(directory.join("passwords")).ok(), before);
}

#[test]
fn a_user_is_added_verified_given_another_password_and_removed() {
    let directory = directory();
    let directory = directory.path();
    let verify = ["verify", "passwords", "zoë"];
    let add = ["add", "passwords", "zoë"];
    succeeds(directory, &add, "first word\n", "passwords: user \"zoë\" is added");
    let text = fs::read_to_string(directory.join("passwords")).expect("it is there");
    assert!(text.starts_with("zoë:$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    let mode = fs::metadata(directory.join("passwords")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    succeeds(directory, &verify, "first word", "passwords: user \"zoë\": the password is right");
    succeeds(directory, &add, "second\r\nnot read", "passwords: user \"zoë\" has another password now");
    succeeds(directory, &verify, "second\n", "passwords: user \"zoë\": the password is right");
    let wrong = passwd(directory, &verify, "first word\n");
    assert_eq!(wrong, (1, "passwords: user \"zoë\": the password is wrong\n".into(), String::new()));
    succeeds(directory, &["remove", "passwords", "zoë"], "", "passwords: user \"zoë\" is removed");
    let unknown = passwd(directory, &verify, "second\n");
    assert_eq!(unknown, (1, "passwords: user \"zoë\": there is no such user\n".into(), String::new()));
}

#[test]
fn a_file_of_mosquitto_is_kept_and_its_users_are_verified() {
    let directory = directory();
    let directory = directory.path();
    let text = format!("# users of the old broker\n\n{ANNA}");
    write(directory, "passwords", &text);
    succeeds(
        directory,
        &["verify", "passwords", "anna"],
        ANNA_PASSWORD,
        "passwords: user \"anna\": the password is right",
    );
    succeeds(directory, &["add", "passwords", "carla"], "new\n", "passwords: user \"carla\" is added");
    let after = fs::read_to_string(directory.join("passwords")).expect("it is there");
    assert!(after.starts_with(&format!("{text}carla:$argon2id$")), "{after}");
    succeeds(directory, &["remove", "passwords", "carla"], "", "passwords: user \"carla\" is removed");
    assert_eq!(fs::read_to_string(directory.join("passwords")).expect("it is there"), text);
}

#[test]
fn what_cannot_be_meant_is_refused_with_status_2_and_what_fails_with_status_1() {
    let directory = directory();
    let directory = directory.path();
    is_refused(
        directory,
        &["add", "passwords", "an:na"],
        "x\n",
        2,
        "the user name \"an:na\" has a colon, which ends the name in a password file; choose another",
    );
    is_refused(
        directory,
        &["verify", "passwords", "an\nna"],
        "x\n",
        2,
        "the user name \"an\\nna\" has a line break or another control character; choose another",
    );
    is_refused(
        directory,
        &["add", "passwords", "anna"],
        "\n",
        2,
        "the password is empty; give one on a terminal, or as a line of standard input",
    );
    is_refused(
        directory,
        &["add", "passwords", "anna"],
        &"x".repeat(65_536),
        2,
        "the password has more than 65535 bytes",
    );
    is_refused(directory, &["remove", "passwords", "anna"], "", 1, "passwords: there is no such file");
    write(directory, "passwords", ANNA);
    is_refused(directory, &["remove", "passwords", "ann"], "", 1, "passwords: there is no user \"ann\"");
    is_refused(
        directory,
        &["verify", "missing", "anna"],
        "x\n",
        1,
        "missing: cannot be read: No such file or directory (os error 2)",
    );
    let (status, _, error) = passwd(directory, &["add", "passwords"], "x\n");
    assert_eq!(status, 2, "{error}");
}

#[test]
fn a_file_with_a_line_that_no_broker_loads_can_be_mended() {
    let directory = directory();
    let directory = directory.path();
    write(directory, "passwords", "anna:in the clear\nboris:too\n");
    let (status, output, error) = passwd(directory, &["add", "passwords", "anna"], "secret\n");
    assert_eq!((status, output.as_str()), (0, "passwords: user \"anna\" has another password now\n"));
    let expected =
        "dunlin: no broker will load the file as it is: passwords:2: user \"boris\" has a password that";
    assert!(error.starts_with(expected), "{error}");
    assert!(!error.contains("too"), "the password is shown: {error}");
    succeeds(directory, &["remove", "passwords", "boris"], "", "passwords: user \"boris\" is removed");
    succeeds(
        directory,
        &["verify", "passwords", "anna"],
        "secret",
        "passwords: user \"anna\": the password is right",
    );
}

#[test]
fn a_running_broker_knows_the_users_after_a_reload() {
    let directory = directory();
    let path = directory.path();
    succeeds(path, &["add", "passwords", "anna"], "one\n", "passwords: user \"anna\" is added");
    // A debug build judges a password in seconds on a machine that is busy.
    let config = format!(
        "{QUIET}auth.password_file = 'passwords'\nlimits.connect_timeout = '60s'\nlistener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    let mut broker = Dunlin::start(path, &config);
    let address = broker.address(0);
    let (mut anna, reason) = log_in(address, "anna", "one");
    assert_eq!(reason, ReasonCode::Success);
    assert_eq!(log_in(address, "boris", "two").1, ReasonCode::BadUserNameOrPassword);
    succeeds(path, &["add", "passwords", "boris"], "two\n", "passwords: user \"boris\" is added");
    broker.signal(Signal::HUP);
    broker.wait_for("configuration reloaded");
    assert_eq!(log_in(address, "boris", "two").1, ReasonCode::Success);
    anna.ping();
}
