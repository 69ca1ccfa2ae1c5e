//! `dunlin sub`: when it ends, and which messages count.

use std::process::Stdio;

use rustix::process::Signal;

use crate::desk::{Desk, HINT};
use crate::support::process::Process;

#[test]
fn it_ends_after_a_count_a_time_a_subscription_or_a_signal() {
    let desk = Desk::open();
    let subscriber = desk.subscribe("-t t -C 2", &[]);
    desk.publish("-t t -m one");
    desk.publish("-t t -m two");
    let ended = subscriber.finish();
    assert_eq!((ended.status, ended.output.as_str()), (0, "one\ntwo\n"));
    let ended = desk.run("sub -t t -W 1", &[]);
    assert_eq!((ended.status, ended.error.as_str()), (27, "dunlin: the time of -W is over\n"));
    assert_eq!(desk.run("sub -t t -W 1 --quiet", &[]).error, "");
    let ended = desk.run("sub -t t -E", &[]);
    assert_eq!((ended.status, ended.output.as_str(), ended.error.as_str()), (0, "", ""));
    for signal in [Signal::INT, Signal::TERM] {
        let subscriber = desk.subscribe("-t t", &[]);
        subscriber.signal(signal);
        let ended = subscriber.finish();
        assert_eq!(ended.status, 0);
        assert!(ended.error.ends_with("sending DISCONNECT\n"), "{}", ended.error);
    }
}

#[test]
fn what_comes_after_the_count_stays_with_the_broker() {
    for qos in [1, 2] {
        let desk = Desk::open();
        assert_eq!(desk.run(&format!("sub -V 5 -c -i worker -t jobs -q {qos} -E"), &[]).status, 0);
        let jobs: String = (0..30).map(|job| format!("{job}\n")).collect();
        assert_eq!(desk.publish_input(&format!("-t jobs -l -q {qos}"), &jobs).status, 0);
        for first in [0, 10, 20] {
            let ended = desk.run(&format!("sub -V 5 -c -i worker -t jobs -q {qos} -C 10"), &[]);
            let expected: String = (first..first + 10).map(|job| format!("{job}\n")).collect();
            assert_eq!((ended.status, ended.output), (0, expected), "QoS {qos}: {}", ended.error);
        }
    }
}

#[test]
fn a_session_is_kept_and_its_subscriptions_can_be_ended() {
    let desk = Desk::open();
    assert_eq!(desk.run("sub -c -i sleeper -t night/# -t day -q 1 -E", &[]).status, 0);
    desk.publish("-t night/1 -m owl -q 1");
    desk.publish("-t day -m sun -q 1");
    let ended = desk.run("sub -c -i sleeper -U night/# -t day -q 1 -C 2 -v", &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "night/1 owl\nday sun\n"));
    desk.publish("-t night/2 -m bat -q 1");
    desk.publish("-t day -m rain -q 1");
    let ended = desk.run("sub -c -i sleeper -t day -q 1 -C 1 -v", &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "day rain\n"));
}

#[test]
fn retained_messages_are_chosen_and_cleared() {
    let desk = Desk::open();
    for topic in ["a", "b", "c"] {
        desk.publish(&format!("-t house/{topic} -m {topic} -r -q 1"));
    }
    // A message that is not retained ends --retained-only.
    let mut reader = desk.subscribe("-t house/# -t end --retained-only -T house/b -v -F message:%t", &[]);
    assert_eq!([reader.wait_for("message:"), reader.wait_for("message:")].len(), 2);
    desk.publish("-t end -m now");
    let ended = reader.finish();
    assert_eq!(ended.status, 0);
    assert_eq!(ended.output, "message:house/a\nmessage:house/c\n");
    for version in ["311", "5"] {
        let mut fresh = desk.subscribe(&format!("-V {version} -t house/# -R -v -C 1"), &[]);
        desk.publish("-t house/d -m new");
        assert_eq!(fresh.wait_for("house/d new"), "house/d new");
        assert_eq!(fresh.finish().status, 0);
    }
    let ended = desk.run("sub -t house/# -T house/b --remove-retained -q 1 -C 2", &[]);
    assert_eq!((ended.status, ended.error.as_str()), (0, ""));
    let ended = desk.run("sub -t house/# -C 1 -v", &[]);
    assert_eq!(ended.output, "house/b b\n", "only this one is left");
}

#[test]
fn mqtt_5_subscribers_say_when_retained_messages_are_sent_and_how_they_look() {
    let desk = Desk::open();
    desk.publish("-t lamp -m on -r -q 1");
    let subscriber =
        desk.subscribe("-V 5 -t lamp -q 1 --retain-handling never --retain-as-published -C 1 -F %r:%p", &[]);
    desk.publish("-t lamp -m off -r -q 1");
    assert_eq!(subscriber.finish().output, "1:off\n");
    let ended = desk.run("sub -t lamp --retain-handling new", &[]);
    assert_eq!((ended.status, ended.error.as_str()), (2, "dunlin: --retain-handling: needs MQTT 5 (-V 5)\n"));
}

#[test]
fn it_ends_in_order_when_nobody_reads_what_it_prints() {
    let desk = Desk::open();
    desk.publish("-t t -m x -r -q 1");
    let mut reader = std::process::Command::new("true").stdin(Stdio::piped()).spawn().expect("there is true");
    let input = reader.stdin.take().expect("it is piped");
    reader.wait().expect("it ends");
    // `start` pipes the output to itself, so the closed pipe is handed over by a shell.
    let mut command = desk.command("sub -t t", &[]);
    command.stdout(Stdio::from(input)).stderr(Stdio::piped());
    let ended = command.spawn().and_then(std::process::Child::wait_with_output).expect("it runs");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn what_cannot_be_written_stays_with_the_broker() {
    let desk = Desk::open();
    for qos in [1, 2] {
        let session = format!("-c -i writer-{qos} -t t -q {qos}");
        assert_eq!(desk.run(&format!("sub {session} -E"), &[]).status, 0);
        desk.publish(&format!("-t t -m precious -q {qos}"));
        let full =
            std::fs::File::options().write(true).open("/dev/full").expect("there is a disk that is full");
        let mut command = desk.command(&format!("sub {session}"), &[]);
        command.stdout(Stdio::from(full)).stderr(Stdio::piped());
        let ended = command.spawn().and_then(std::process::Child::wait_with_output).expect("it runs");
        assert_eq!(ended.status.code(), Some(1));
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(error.starts_with("dunlin: standard output cannot be written: No space left"), "{error}");
        let ended = desk.run(&format!("sub {session} -C 1"), &[]);
        assert_eq!((ended.status, ended.output.as_str()), (0, "precious\n"), "QoS {qos}");
    }
}

#[test]
fn the_will_of_a_subscriber_that_is_killed_is_published_with_its_properties() {
    let desk = Desk::open();
    let will = "--will-topic obituaries --will-payload gone --will-qos 1 --will-retain";
    let properties = "-D will content-type text/plain -D will user-property name value";
    let patient = desk.subscribe(&format!("-V 5 -i patient -t x {will} {properties}"), &[]);
    let witness = desk.subscribe("-V 5 -t obituaries -q 1 -C 1 -F", &["%t|%p|%q|%C|%P"]);
    patient.signal(Signal::KILL);
    assert_eq!(witness.finish().output, "obituaries|gone|1|text/plain|name:value\n");
    let ended = desk.run("sub -t obituaries -C 1 -F %r:%p", &[]);
    assert_eq!(ended.output, "1:gone\n");
}

#[test]
fn a_will_is_published_at_a_signal_in_mqtt_5_as_mosquitto_sub_has_it() {
    let desk = Desk::open();
    for (version, is_published) in [("5", true), ("311", false)] {
        let mut witness = desk.subscribe("-t obituaries -q 1 -F message:%p", &[]);
        let patient =
            desk.subscribe(&format!("-V {version} -t x --will-topic obituaries --will-payload gone"), &[]);
        patient.signal(Signal::TERM);
        assert_eq!(patient.finish().status, 0);
        desk.publish("-t obituaries -m end -q 1");
        let first = witness.wait_for("message:");
        assert_eq!(first == "message:gone", is_published, "{version}: {first}");
    }
}

#[test]
fn members_of_a_group_share_the_work() {
    let desk = Desk::open();
    let members = [1, 2].map(|_| desk.subscribe("-t $share/crew/jobs -q 1 -C 5", &[]));
    let jobs: String = (0..10).map(|job| format!("{job}\n")).collect();
    assert_eq!(desk.publish_input("-t jobs -l -q 1", &jobs).status, 0);
    let mut done: Vec<u32> = members
        .into_iter()
        .flat_map(|member| {
            member.finish().output.lines().map(|job| job.parse().expect("a job")).collect::<Vec<_>>()
        })
        .collect();
    done.sort_unstable();
    assert_eq!(done, (0..10).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_messages_arrive_in_order() {
    let desk = Desk::open();
    for qos in 0..=2 {
        let subscriber = desk.start(&format!("sub -d -t t -q {qos} -C 10000"), &[]);
        let mut subscriber = subscriber;
        subscriber.wait_for("received SUBACK");
        let lines: String = (0..10_000).map(|number| format!("{number}\n")).collect();
        assert_eq!(desk.publish_input(&format!("-t t -l -q {qos} -M 200"), &lines).status, 0);
        assert!(subscriber.finish().output == lines, "QoS {qos}");
    }
}

#[test]
fn every_subscriber_has_a_name_in_mqtt_3_1() {
    let desk = Desk::open();
    let ended = Process::start(&mut desk.command("sub -V 31 -t t -E -d", &[]), HINT).finish();
    assert_eq!(ended.status, 0, "{}", ended.error);
    assert!(ended.error.starts_with("Client dunlin-"), "{}", ended.error);
    let ended = desk.run("sub -I shop- -t t -E -d", &[]);
    let name = ended.error.split(' ').nth(1).and_then(|name| name.strip_prefix("shop-"));
    assert!(name.is_some_and(|pid| pid.parse::<u32>().is_ok()), "{}", ended.error);
}
