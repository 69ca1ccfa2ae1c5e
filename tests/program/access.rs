//! Who may connect to which listener, and with which rights, as an operator configures it.

use dunlin_codec::{Packet, QoS, ReasonCode};

use crate::support::client::{Client, hello, publish, subscribe, tcp};
use crate::support::dunlin::{Dunlin, QUIET, directory, write};
use crate::{ANNA, ANNA_PASSWORD, BORIS, BORIS_PASSWORD, log_in, login};

/// What PUBACK says to a message of QoS 1.
fn told(client: &mut Client, topic: &str) -> ReasonCode {
    client.send(&publish(topic, b"x", QoS::AtLeastOnce, 1));
    client.next(|packet| match packet {
        Some(Packet::PubAck(puback)) => puback.reason_code,
        other => panic!("{other:?} instead of PUBACK"),
    })
}

/// What SUBACK says to a Subscription of QoS 2.
fn granted(client: &mut Client, filter: &str) -> u8 {
    client.send(&subscribe(filter));
    client.next(|packet| match packet {
        Some(Packet::SubAck(suback)) => suback.reason_codes[0],
        other => panic!("{other:?} instead of SUBACK"),
    })
}

#[test]
fn a_listener_with_an_auth_table_of_its_own_has_its_own_users_and_rules() {
    let directory = directory();
    write(directory.path(), "passwords", ANNA);
    write(directory.path(), "guests", "topic read news/#\n");
    let config = format!(
        "{QUIET}auth.password_file = 'passwords'\nauth.allow_anonymous = false\n\
         [[listener]]\nurl = 'mqtt://127.0.0.1:0'\n\
         [[listener]]\nurl = 'mqtt://localhost:0'\nauth = {{ allow_anonymous = true, acl_file = 'guests' }}\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let (users, guests) = (dunlin.address(0), dunlin.address(1));
    assert_eq!(Client::over(tcp(users)).connect(&hello("stranger")), ReasonCode::NotAuthorized);
    let (mut anna, reason) = log_in(users, "anna", ANNA_PASSWORD);
    assert_eq!(reason, ReasonCode::Success);
    let mut guest = Client::connected(tcp(guests), "guest");
    guest.subscribe("news/#");
    assert_eq!(granted(&mut guest, "home/#"), 0x87);
    assert_eq!(told(&mut guest, "news/today"), ReasonCode::NotAuthorized);
    assert_eq!(told(&mut anna, "news/today"), ReasonCode::Success, "the rules for guests are not hers");
    assert_eq!(guest.message().topic, "news/today");
}

#[test]
fn the_rules_of_a_listener_hold_for_what_waits_until_its_client_comes_back_to_it() {
    use crate::support::client::persistent;
    let directory = directory();
    write(directory.path(), "guests", "topic read news/#\n");
    let config = "http.address = ''\nserver.workers = 2\n\
         [[listener]]\nurl = 'mqtt://127.0.0.1:0'\n\
         [[listener]]\nurl = 'mqtt://localhost:0'\nauth = { allow_anonymous = true, acl_file = 'guests' }\n";
    {
        let mut dunlin = Dunlin::start(directory.path(), config);
        let guests = dunlin.address(1);
        let mut guest = Client::over(tcp(guests));
        guest.resume(&persistent("guest"));
        guest.subscribe("+/today");
    }
    // The policy of its Session survives in the store.
    let mut dunlin = Dunlin::start(directory.path(), config);
    let (open, guests) = (dunlin.address(0), dunlin.address(1));
    let mut anybody = Client::connected(tcp(open), "anybody");
    anybody.publish("secrets/today", b"not for guests");
    anybody.publish("news/today", b"for all");
    let mut guest = Client::over(tcp(guests));
    assert!(guest.resume(&persistent("guest")));
    assert_eq!(guest.message().payload, b"for all");
}

#[test]
fn a_user_takes_no_client_identifier_of_another() {
    let directory = directory();
    write(directory.path(), "passwords", &format!("{ANNA}{BORIS}"));
    let config = format!(
        "{QUIET}auth.password_file = 'passwords'\nauth.client_identifier = '%u-*'\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let connect = |user, password, client_identifier| {
        let connect = dunlin_codec::Connect { client_identifier, ..login(user, password) };
        Client::over(tcp(address)).connect(&connect)
    };
    assert_eq!(connect("anna", ANNA_PASSWORD, "anna-1"), ReasonCode::Success);
    assert_eq!(connect("boris", BORIS_PASSWORD, "anna-1"), ReasonCode::ClientIdentifierNotValid);
    assert_eq!(connect("boris", BORIS_PASSWORD, ""), ReasonCode::Success, "the broker gives it one");
    let anonymous = Client::over(tcp(address)).connect(&hello("anna-1"));
    assert_eq!(anonymous, ReasonCode::ClientIdentifierNotValid);
}

#[test]
fn roles_give_users_what_they_say_and_no_more() {
    let directory = directory();
    write(directory.path(), "passwords", &format!("{ANNA}{BORIS}"));
    write(
        directory.path(),
        "acl.toml",
        "[role.sensor]\npublish = ['sensors/%c/#']\nretain = false\nmax_qos = 1\n\
         [role.operator]\nsubscribe = ['#']\nshared = ['operators']\nmax_qos = 1\ndeny = ['private/#']\n\
         [user.anna]\nroles = ['operator']\nnamespace = 'homes/%u'\n\
         [everyone]\nroles = ['sensor']\n",
    );
    let config = format!(
        "{QUIET}auth.password_file = 'passwords'\nauth.acl_file = 'acl.toml'\n\
         listener = [{{ url = 'mqtt://127.0.0.1:0' }}]\n"
    );
    let mut dunlin = Dunlin::start(directory.path(), &config);
    let address = dunlin.address(0);
    let (mut anna, _) = log_in(address, "anna", ANNA_PASSWORD);
    let (mut boris, _) = log_in(address, "boris", BORIS_PASSWORD);
    assert_eq!(granted(&mut anna, "sensors/#"), 1, "max_qos of the role");
    assert_eq!(granted(&mut anna, "homes/anna/#"), 2, "her own namespace has no limit");
    assert_eq!(granted(&mut anna, "$share/operators/plant/#"), 1);
    assert_eq!(granted(&mut anna, "$share/others/plant/#"), 0x87);
    assert_eq!(granted(&mut anna, "private/#"), 0x87);
    assert_eq!(granted(&mut boris, "sensors/#"), 0x87);
    assert_eq!(told(&mut boris, "sensors/boris/1"), ReasonCode::Success);
    assert_eq!(told(&mut boris, "sensors/anna/1"), ReasonCode::NotAuthorized);
    boris.send(&publish("sensors/boris/1", b"x", QoS::ExactlyOnce, 2));
    boris.next(|packet| match packet {
        Some(Packet::PubRec(pubrec)) => assert_eq!(pubrec.reason_code, ReasonCode::NotAuthorized),
        other => panic!("{other:?} instead of PUBREC"),
    });
    let message = anna.message();
    assert_eq!((message.topic.as_str(), message.qos), ("sensors/boris/1", QoS::AtLeastOnce));
}
