//! mosquitto_pub and mosquitto_sub, in all their versions of the protocol.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;

use crate::script::HINT;
use crate::site::Site;
use crate::support::process::{DEADLINE, Ended, Process};

/// What mosquitto_sub prints for a message, so that its other lines cannot be mistaken for one.
const FORMAT: &str = "message %t qos %q retain %r: %p";

/// A retained message on this topic tells that a subscriber's SUBSCRIBE was carried out. mosquitto_sub would
/// tell itself, but keeps that back until it has more to say.
const READY: &str = "ready";

/// One broker, and how to reach it.
struct Desk {
    site: Site,
    /// What every command needs: port, certificates, credentials.
    arguments: Vec<String>,
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

impl Desk {
    /// `access` is how the messages about readiness are published.
    fn new(mut site: Site, access: &str) -> Self {
        let mut arguments = words("-h 127.0.0.1 -p");
        arguments.push(site.port(0));
        arguments.extend(words(access));
        let desk = Self { site, arguments };
        desk.publish(&format!("-t {READY} -m yes -r -q 1"));
        desk
    }

    fn open() -> Self {
        Self::new(Site::new(&["mqtt"], ""), "")
    }

    fn command(&self, program: &str, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.arguments).args(words(line));
        command
    }

    /// Runs mosquitto_pub; words of `line` have no blanks in them.
    fn try_publish(&self, line: &str) -> Ended {
        Process::start(&mut self.command("mosquitto_pub", line), HINT).finish()
    }

    fn publish(&self, line: &str) {
        let ended = self.try_publish(line);
        assert_eq!(ended.status, 0, "mosquitto_pub {line}: {}{}", ended.output, ended.error);
    }

    /// Starts mosquitto_sub without waiting for anything.
    fn start_subscriber(&self, line: &str) -> Process {
        let mut command = self.command("mosquitto_sub", line);
        command.args(["-F", FORMAT]);
        Process::start(&mut command, HINT)
    }

    /// Starts mosquitto_sub; its Subscriptions exist when this returns.
    fn subscribe(&self, line: &str) -> Process {
        let mut subscriber = self.start_subscriber(&format!("{line} -t {READY}"));
        subscriber.wait_for(&format!("message {READY} "));
        subscriber
    }
}

/// Each QoS from a publisher of `version` to subscribers of all versions.
fn publishes_at_every_qos(version: &str) {
    let desk = Desk::open();
    let mut subscribers =
        ["mqttv31", "mqttv311", "mqttv5"].map(|other| desk.subscribe(&format!("-V {other} -t room/+ -q 2")));
    for qos in 0..=2 {
        desk.publish(&format!("-V {version} -t room/{qos} -m warm -q {qos}"));
        for subscriber in &mut subscribers {
            let line = subscriber.wait_for("message ");
            assert_eq!(line, format!("message room/{qos} qos {qos} retain 0: warm"));
        }
    }
    for subscriber in subscribers {
        subscriber.signal(Signal::TERM);
        subscriber.finish();
    }
    let log = desk.site.broker.stop().error;
    assert!(!log.contains("broke the protocol"), "{log}");
}

#[test]
fn mqtt_3_1_publishers_reach_subscribers_of_every_version_at_every_qos() {
    publishes_at_every_qos("mqttv31");
}

#[test]
fn mqtt_3_1_1_publishers_reach_subscribers_of_every_version_at_every_qos() {
    publishes_at_every_qos("mqttv311");
}

#[test]
fn mqtt_5_publishers_reach_subscribers_of_every_version_at_every_qos() {
    publishes_at_every_qos("mqttv5");
}

#[test]
fn a_subscription_lowers_the_qos_of_what_it_delivers() {
    let desk = Desk::open();
    let mut subscriber = desk.subscribe("-t lamp -q 1");
    desk.publish("-t lamp -m on -q 2");
    assert_eq!(subscriber.wait_for("message "), "message lamp qos 1 retain 0: on");
}

#[test]
fn a_retained_message_awaits_later_subscribers_until_it_is_cleared() {
    let desk = Desk::open();
    desk.publish("-t door -m open -r -q 1");
    desk.publish("-t door -m closed -r -q 1");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let mut subscriber = desk.start_subscriber(&format!("-V {version} -t door -q 1"));
        assert_eq!(subscriber.wait_for("message "), "message door qos 1 retain 1: closed");
    }
    desk.publish("-t door -n -r -q 1");
    let mut subscriber = desk.subscribe("-t door -q 1");
    desk.publish("-t door -m ajar -q 1");
    assert_eq!(subscriber.wait_for("message "), "message door qos 1 retain 0: ajar");
}

#[test]
fn the_will_of_a_client_that_is_killed_is_published() {
    let desk = Desk::open();
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        let mut witness = desk.subscribe(&format!("-V {version} -t obituaries -q 2"));
        let will = "--will-topic obituaries --will-payload gone --will-qos 2";
        let patient = desk.subscribe(&format!("-V {version} -i patient -t anything {will}"));
        patient.signal(Signal::KILL);
        assert_eq!(witness.wait_for("message "), "message obituaries qos 2 retain 0: gone");
    }
}

#[test]
fn no_will_is_published_when_a_client_says_goodbye() {
    let desk = Desk::open();
    let mut witness = desk.subscribe("-t obituaries -q 1");
    let patient =
        desk.subscribe("-i patient -t anything --will-topic obituaries --will-payload gone --will-qos 1");
    // mosquitto_sub disconnects at SIGTERM.
    patient.signal(Signal::TERM);
    patient.finish();
    desk.publish("-t obituaries -m nobody -q 1");
    assert_eq!(witness.wait_for("message "), "message obituaries qos 1 retain 0: nobody");
}

#[test]
fn a_persistent_session_keeps_what_comes_while_its_client_is_away() {
    for (version, qos) in [("mqttv31", 1), ("mqttv311", 2), ("mqttv5", 1), ("mqttv5", 2)] {
        let desk = Desk::open();
        let line = format!("-V {version} -c -i sleeper -t night/# -q 2");
        let sleeper = desk.subscribe(&line);
        sleeper.signal(Signal::KILL);
        sleeper.finish();
        for count in 0..20 {
            desk.publish(&format!("-t night/{count} -m boo -q {qos}"));
        }
        let mut sleeper = desk.start_subscriber(&line);
        for count in 0..20 {
            let line = sleeper.wait_for("message ");
            assert_eq!(line, format!("message night/{count} qos {qos} retain 0: boo"), "{version}");
        }
    }
}

/// Three members of one group get `JOBS` jobs, each of them one member.
fn shares_work(version: &str, qos: u8) {
    const JOBS: usize = 300;
    let desk = Desk::open();
    let (sender, jobs) = mpsc::channel();
    for member in 0..3 {
        let mut subscriber = desk.subscribe(&format!("-V {version} -t $share/crew/jobs -t over -q {qos}"));
        let sender = sender.clone();
        thread::spawn(move || {
            loop {
                let line = subscriber.wait_for("message ");
                let is_over = line.starts_with("message over ");
                let job = line.rsplit(' ').next().unwrap_or_default().to_owned();
                if sender.send((member, (!is_over).then_some(job))).is_err() || is_over {
                    return;
                }
            }
        });
    }
    drop(sender);
    let numbers: String = (0..JOBS).map(|job| format!("{job}\n")).collect();
    let file = desk.site.file("jobs");
    std::fs::write(&file, numbers).expect("the jobs can be written");
    let mut publish = desk.command("mosquitto_pub", &format!("-V {version} -t jobs -l -q {qos}"));
    publish.stdin(File::open(&file).expect("the jobs were written"));
    assert_eq!(Process::start(&mut publish, HINT).finish().status, 0);

    let mut done = BTreeSet::new();
    let mut members = BTreeSet::new();
    while done.len() < JOBS {
        let (member, job) = jobs.recv_timeout(DEADLINE).expect("all jobs are done in time");
        let job = job.expect("it is not over yet");
        assert!(done.insert(job.clone()), "job {job} was done twice");
        members.insert(member);
    }
    assert_eq!(members.len(), 3, "every member had work");
    desk.publish("-t over -m yes -q 1");
    for (_, job) in jobs {
        assert_eq!(job, None, "a job was done twice");
    }
}

#[test]
fn each_message_of_a_shared_subscription_goes_to_exactly_one_member() {
    // spec(v5): section 4.8.2
    shares_work("mqttv5", 1);
    shares_work("mqttv5", 2);
}

#[test]
fn mqtt_3_1_1_clients_may_share_a_subscription_too() {
    shares_work("mqttv311", 1);
}

#[test]
fn mqtt_5_properties_travel_from_publisher_to_subscriber() {
    let desk = Desk::open();
    let mut command = desk.command("mosquitto_sub", "-V mqttv5 -q 1 -t letters -t ready");
    command.args(words("-D subscribe subscription-identifier 77"));
    command.args(["-F", "message %t: %C|%R|%D|%F|%P|%S|%p"]);
    let mut subscriber = Process::start(&mut command, HINT);
    subscriber.wait_for("message ready");
    desk.publish(
        "-V mqttv5 -t letters -q 1 -m hello -D publish content-type text/plain -D publish response-topic answers \
         -D publish correlation-data 4711 -D publish payload-format-indicator 1 -D publish message-expiry-interval 100 \
         -D publish user-property zeta 1 -D publish user-property alpha 2 -D publish user-property zeta 3",
    );
    // spec(v5): [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    // [MQTT-3.3.2-20]
    let line = subscriber.wait_for("message letters");
    assert_eq!(line, "message letters: text/plain|answers|4711|1|zeta:1 alpha:2 zeta:3|77|hello");
}

#[test]
fn a_payload_of_one_megabyte_arrives_unharmed() {
    let desk = Desk::open();
    let mut subscriber = desk.subscribe("-t parcels -q 2");
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    let payload: String = (0..1024 * 1024).map(|_| letter()).collect();
    let file = desk.site.file("parcel");
    std::fs::write(&file, &payload).expect("the payload can be written");
    desk.publish(&format!("-t parcels -f {file} -q 2"));
    let line = subscriber.wait_for("message parcels");
    assert!(
        line.strip_prefix("message parcels qos 2 retain 0: ") == Some(&payload),
        "the payload has changed"
    );
}

#[test]
fn clients_that_trust_the_authority_connect_over_tls() {
    let site = Site::new(&["mqtts"], "");
    let ca = site.file("ca.pem");
    let desk = Desk::new(site, &format!("--cafile {ca}"));
    let mut subscriber = desk.subscribe("-t vault -q 1 --tls-version tlsv1.2");
    desk.publish("-t vault -m shut -q 1 --tls-version tlsv1.3");
    assert_eq!(subscriber.wait_for("message vault"), "message vault qos 1 retain 0: shut");
}

#[test]
fn where_client_certificates_are_required_nobody_connects_without_one() {
    let config = "[tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\nclient_ca = 'ca.pem'\nrequire_client_cert = true\n\
                  [[listener]]\nurl = 'mqtts://127.0.0.1:0'";
    let mut site = Site::prepared(&[], config, |directory| {
        crate::support::certificates::make(directory, "the authority of a test");
    });
    let trust = format!("--cafile {}", site.file("ca.pem"));
    let proof = format!("{trust} --cert {} --key {}", site.file("client.pem"), site.file("client-key.pem"));
    let port = site.port(0);
    let desk = Desk::new(site, &proof);
    let mut subscriber = desk.subscribe("-t vault -q 1");
    let mut stranger = Command::new("mosquitto_pub");
    stranger.args(words(&format!("-h 127.0.0.1 -p {port} {trust} -t vault -m robbed -q 1")));
    assert_ne!(Process::start(&mut stranger, HINT).finish().status, 0);
    desk.publish("-t vault -m shut -q 1");
    assert_eq!(subscriber.wait_for("message vault"), "message vault qos 1 retain 0: shut");
}

/// Makes a password file with mosquitto_passwd.
fn make_passwords(file: &str, users: &[(&str, &str)]) {
    for (index, (user, password)) in users.iter().enumerate() {
        let mut command = Command::new("mosquitto_passwd");
        let create: &[&str] = if index == 0 { &["-c"] } else { &[] };
        let ended = Process::start(command.args(create).args(["-b", file, user, password]), HINT).finish();
        assert_eq!(ended.status, 0, "{}", ended.error);
    }
}

const USERS: [(&str, &str); 2] = [("anna", "a-secret"), ("boris", "b-secret")];

#[test]
fn users_of_a_password_file_connect_with_their_password_only() {
    let config = "auth.password_file = 'passwords'\nauth.allow_anonymous = false";
    let mut site = Site::prepared(&["mqtt"], config, |directory| {
        make_passwords(&directory.join("passwords").to_string_lossy(), &USERS);
    });
    let port = site.port(0);
    let desk = Desk::new(site, "-u anna -P a-secret");
    let mut subscriber = desk.subscribe("-t safe -q 1");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for (credentials, is_welcome) in [
            ("-u anna -P a-secret", true),
            ("-u boris -P b-secret", true),
            ("-u anna -P b-secret", false),
            ("-u carla -P a-secret", false),
            ("-u anna", false),
            ("", false),
        ] {
            let mut command = Command::new("mosquitto_pub");
            command.args(words(&format!(
                "-h 127.0.0.1 -p {port} {credentials} -V {version} -t safe -m in -q 1"
            )));
            let ended = Process::start(&mut command, HINT).finish();
            assert_eq!(ended.status == 0, is_welcome, "{version} {credentials}: {}", ended.error);
            if is_welcome {
                assert_eq!(subscriber.wait_for("message safe"), "message safe qos 1 retain 0: in");
            }
        }
    }
}

#[test]
fn an_acl_file_decides_who_publishes_and_subscribes_where() {
    const RULES: &str = "topic read ready\n\
                         user anna\ntopic write ready\ntopic read ready\ntopic readwrite rooms/#\n\
                         user boris\ntopic read ready\ntopic read rooms/kitchen\npattern write inbox/%u\n";
    let config = "auth.password_file = 'passwords'\nauth.acl_file = 'acl'";
    let site = Site::prepared(&["mqtt"], config, |directory| {
        make_passwords(&directory.join("passwords").to_string_lossy(), &USERS);
        crate::support::dunlin::write(directory, "acl", RULES);
    });
    let desk = Desk::new(site, "-u anna -P a-secret");
    let boris = "-V mqttv5 -u boris -P b-secret";
    let mut subscriber = desk.subscribe(&format!("{boris} -t rooms/kitchen -q 1"));
    // Denied to boris, so that only anna's message can arrive.
    let denied = desk.try_publish(&format!("{boris} -t rooms/kitchen -m forged -q 1"));
    assert!(denied.error.contains("Not authorized"), "{}{}", denied.output, denied.error);
    desk.publish("-t rooms/kitchen -m tea -q 1");
    assert_eq!(subscriber.wait_for("message rooms"), "message rooms/kitchen qos 1 retain 0: tea");
    let refused = desk.start_subscriber(&format!("{boris} -t rooms/cellar -q 1")).finish();
    assert!(refused.error.contains("All subscription requests were denied"), "{}", refused.error);
}
