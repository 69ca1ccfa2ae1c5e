//! `dunlin pub`: where the payload comes from, in which version, how often.

use crate::desk::Desk;
use crate::support::dunlin::write;

const FORMAT: [&str; 2] = ["-F", "message %t %q %r: %p"];

#[test]
fn every_version_publishes_at_every_qos_to_every_version() {
    let desk = Desk::open();
    let mut subscribers = ["31", "mqttv311", "5"]
        .map(|version| desk.subscribe(&format!("-V {version} -t room/+ -q 2 -C 9"), &FORMAT));
    for version in ["mqttv31", "311", "mqttv5"] {
        for qos in 0..=2 {
            desk.publish(&format!("-V {version} -t room/{qos} -m {version} -q {qos}"));
            for subscriber in &mut subscribers {
                let line = subscriber.wait_for("message ");
                assert_eq!(line, format!("message room/{qos} {qos} 0: {version}"));
            }
        }
    }
    for subscriber in subscribers {
        assert_eq!(subscriber.finish().status, 0);
    }
    let log = desk.broker.stop().error;
    assert!(!log.contains("broke the protocol"), "{log}");
}

#[test]
fn a_payload_is_taken_as_it_is_wherever_it_comes_from() {
    let desk = Desk::open();
    let mut subscriber = desk.subscribe("-t t -q 1 -F message:%l:%p", &[]);
    let mut next = || subscriber.wait_for("message:");
    assert_eq!(desk.run("pub -t t -q 1 -m", &["-r -n"]).status, 0);
    assert_eq!(next(), "message:5:-r -n");
    write(desk.path(), "payload", "of a file");
    desk.publish("-t t -q 1 -f payload");
    assert_eq!(next(), "message:9:of a file");
    assert_eq!(desk.publish_input("-t t -q 1 -s", "of standard input").status, 0);
    assert_eq!(next(), "message:17:of standard input");
    desk.publish("-t t -q 1 -n");
    assert_eq!(next(), "message:0:");
    assert_eq!(desk.publish_input("-t t -q 1 -l", "one\n\nthree").status, 0);
    assert_eq!([next(), next(), next()], ["message:3:one", "message:0:", "message:5:three"]);
    assert_eq!(desk.publish_input("-t t -q 1 -l", "").status, 0);
    desk.publish("-t t -q 1 -m last --repeat 3 --repeat-delay 0.01");
    assert_eq!([next(), next(), next()], ["message:4:last"; 3]);
}

#[test]
fn a_retained_message_stays_until_a_message_without_payload_clears_it() {
    let desk = Desk::open();
    desk.publish("-t door -m open -r -q 1");
    let ended = desk.run("sub -t door -C 1 -v", &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "door open\n"));
    desk.publish("-t door -r -n -q 1");
    desk.publish("-t end -r -m of -q 1");
    let ended = desk.run("sub -t door -t end -C 1 -v", &[]);
    assert_eq!((ended.status, ended.output.as_str()), (0, "end of\n"));
}

#[test]
fn a_url_says_all_that_is_needed() {
    let desk = Desk::open();
    let url = format!("mqtt://anna:secret@127.0.0.1:{}/a/b", desk.port);
    let mut subscriber = crate::desk::dunlin(desk.path(), &format!("sub -d -v -C 1 -L {url}"));
    subscriber.wait_for("received SUBACK");
    let published = crate::desk::dunlin(desk.path(), &format!("pub -L {url} -m hello")).finish();
    assert_eq!(published.status, 0, "{}", published.error);
    let ended = subscriber.finish();
    assert_eq!(ended.output, "a/b hello\n");
    assert!(!ended.error.contains("secret"), "{}", ended.error);
}

#[test]
fn what_the_broker_does_not_take_is_not_sent() {
    // spec(v5): [MQTT-3.2.2-15] [MQTT-3.2.2-17] [MQTT-3.3.2-9]
    let desk = Desk::with("limits.max_packet_size = '1KB'\nsession.topic_alias_maximum = 2", |_| {});
    let large = "x".repeat(2000);
    let ended = desk.run("pub -V 5 -t t -q 1 -m", &[&large]);
    let expected = "dunlin: message 1 is not published: Packet too large (0x95): a packet of 2009 bytes cannot be sent: \
                    the broker takes 1024 (Maximum Packet Size)\n";
    assert_eq!((ended.status, ended.error.as_str()), (0x95, expected));
    let ended = desk.run("pub -V 5 -t t -m x -D publish topic-alias 3", &[]);
    let expected = "dunlin: message 1 is not published: Topic Alias invalid (0x94): the alias 3 is above the broker's \
                    Topic Alias Maximum, 2\n";
    assert_eq!((ended.status, ended.error.as_str()), (0x94, expected));
    let log = desk.broker.stop().error;
    assert!(!log.contains("broke the protocol"), "{log}");
}

#[test]
fn a_topic_alias_stands_for_the_topic_from_the_second_message_on() {
    let desk = Desk::open();
    let subscriber = desk.subscribe("-t long/topic -q 1 -C 2 -v", &[]);
    let ended = desk.run("pub -d -t long/topic -q 1 -m x --repeat 2 -D publish topic-alias 1", &[]);
    assert!(ended.error.contains("m1, 'long/topic'") && ended.error.contains("m2, ''"), "{}", ended.error);
    assert_eq!(subscriber.finish().output, "long/topic x\nlong/topic x\n");
}
