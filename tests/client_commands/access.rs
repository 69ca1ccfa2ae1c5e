//! Who may come in and do what: credentials from everywhere, and refusals by name.

use std::process::Stdio;

use crate::desk::{Desk, HINT};
use crate::support::dunlin::write;
use crate::support::process::{Ended, Process};

/// The hash of `anna-knows-this`, made by mosquitto_passwd.
const ANNA: &str = "anna:$7$101$xQMSy+BHTqHz+9+W$WuHfjO4WdySQ7RGbO53Kydw+mg0kPorwiGtd8l38aypNFsatHbJ0TEmoRrpPTOlq+XnY3Zs9+XJjgQrdgZbLuA==\n";

const PASSWORD: &str = "anna-knows-this";

fn desk() -> Desk {
    let config = "auth.password_file = 'passwords'\nauth.acl_file = 'rules'\nauth.allow_anonymous = false\n\
                  auth.denied_publish = 'disconnect'";
    Desk::with(config, |directory| {
        write(directory, "passwords", ANNA);
        write(directory, "rules", "user anna\ntopic readwrite own/#\n");
        write(directory, "secret", &format!("{PASSWORD}\n"));
        write(directory, "wrong", "something else\n");
    })
}

fn publish(desk: &Desk, line: &str, environment: Option<&str>) -> Ended {
    let mut command = desk.command(&format!("pub -d -t own/t -m x -q 1 {line}"), &[]);
    command.env_remove("DUNLIN_PASSWORD").envs(environment.map(|password| ("DUNLIN_PASSWORD", password)));
    let file = std::fs::File::open(desk.path().join("secret")).expect("it was written");
    Process::start(command.stdin(Stdio::from(file)), HINT).finish()
}

#[test]
fn a_password_comes_from_the_command_line_a_file_standard_input_or_the_environment_and_is_never_shown() {
    let desk = desk();
    for (line, environment) in [
        ("-u anna -P anna-knows-this", None),
        ("-u anna -P anna-knows-this", Some("something else")),
        ("-u anna --password-file secret", None),
        ("-u anna --password-file -", None),
        ("-u anna", Some(PASSWORD)),
        ("-V 5 --username anna --pw anna-knows-this", None),
    ] {
        let ended = publish(&desk, line, environment);
        assert_eq!(ended.status, 0, "{line}: {}", ended.error);
        assert!(!ended.error.contains(PASSWORD), "{line}: {}", ended.error);
    }
    for (line, status, sentence) in [
        ("-u anna --password-file wrong", 4, "Bad User Name or Password (return code 4)"),
        ("-V 31 -u anna --password-file wrong", 4, "Bad User Name or Password (return code 4)"),
        ("-V 5 -u anna --password-file wrong", 0x86, "Bad User Name or Password (0x86)"),
        ("-V 5", 0x87, "Not authorized (0x87)"),
    ] {
        let ended = publish(&desk, line, None);
        assert_eq!(ended.status, status, "{line}: {}", ended.error);
        let sentence = format!("dunlin: the broker refuses the connection: {sentence}");
        assert!(ended.error.contains(&sentence), "{line}: {}", ended.error);
    }
}

#[test]
fn what_is_not_allowed_is_refused_by_name_and_by_exit_status() {
    let desk = desk();
    let who = "-u anna --password-file secret";
    let ended = desk.run(&format!("pub {who} -V 5 -t foreign -m x -q 1"), &[]);
    let expected = "dunlin: message 1 is not published: Not authorized (0x87)";
    assert_eq!(ended.status, 0x87);
    assert!(ended.error.starts_with(expected), "{}", ended.error);
    let ended = desk.run(&format!("sub {who} -V 5 -t foreign -t alien"), &[]);
    assert_eq!(ended.status, 0x87);
    for filter in ["foreign", "alien"] {
        let expected =
            format!("dunlin: the broker refuses the subscription to \"{filter}\": Not authorized (0x87)");
        assert!(ended.error.contains(&expected), "{}", ended.error);
    }
    let ended = desk.run(&format!("sub {who} -t foreign"), &[]);
    assert_eq!(ended.status, 0x80);
    assert!(ended.error.contains("\"foreign\": Unspecified error (0x80)"), "{}", ended.error);
    // One that is allowed is enough to go on.
    let mut subscriber = desk.subscribe(&format!("{who} -V 5 -t foreign -t own/# -v -C 1"), &[]);
    desk.publish(&format!("{who} -t own/t -m mine"));
    assert_eq!(subscriber.wait_for("own/t mine"), "own/t mine");
    assert_eq!(subscriber.finish().status, 0);
}

#[test]
fn a_broker_that_is_not_there_is_told_with_its_address() {
    let desk = Desk::open();
    let port = desk.port;
    let path = desk.path().to_owned();
    desk.broker.stop();
    for command in ["pub -t t -m x", "sub -t t"] {
        let ended = crate::desk::dunlin(&path, &format!("{command} -h localhost -p {port}")).finish();
        assert_eq!(ended.status, 1);
        let expected = format!("dunlin: no broker answers at mqtt://localhost:{port}: ");
        assert!(ended.error.starts_with(&expected), "{}", ended.error);
    }
    let ended = crate::desk::dunlin(&path, "pub -t t -m x -h host.invalid").finish();
    assert_eq!(ended.status, 1);
    assert!(ended.error.starts_with("dunlin: the host \"host.invalid\" is not known: "), "{}", ended.error);
}
