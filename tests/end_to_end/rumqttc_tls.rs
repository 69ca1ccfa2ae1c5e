//! rumqttc over TLS, in 3.1.1 and in 5.0. Its client is driven by hand, so that a test reads as an exchange.

use std::time::Duration;

use rumqttc::{Event, MqttOptions, Packet, QoS, Transport};

use crate::site::Site;
use crate::support::process::DEADLINE;

const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Larger than one TLS record.
const PAYLOAD_BYTES: usize = 100_000;

const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A broker that asks for client certificates, and how to reach it with one.
fn site() -> (Site, u16, Transport) {
    // Other tests of this process install the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = "[tls]\ncert = 'server.pem'\nkey = 'server-key.pem'\nclient_ca = 'ca.pem'\nrequire_client_cert = true\n\
                  [[listener]]\nurl = 'mqtts://127.0.0.1:0'";
    let mut site = Site::prepared(&[], config, |directory| {
        crate::support::certificates::make(directory, "the authority of a test");
    });
    let port = site.broker.address(0).port();
    let read = |name: &str| std::fs::read(site.file(name)).expect("the certificates were made");
    let transport = Transport::tls(read("ca.pem"), Some((read("client.pem"), read("client-key.pem"))), None);
    (site, port, transport)
}

/// What a payload of this number holds.
fn payload(number: usize) -> Vec<u8> {
    (0..PAYLOAD_BYTES).map(|index| (index * 7 + number) as u8).collect()
}

struct Client3 {
    client: rumqttc::Client,
    connection: rumqttc::Connection,
}

impl Client3 {
    fn connect(identifier: &str, port: u16, transport: &Transport) -> (Self, bool) {
        let mut options = MqttOptions::new(identifier, "127.0.0.1", port);
        options.set_transport(transport.clone()).set_keep_alive(KEEP_ALIVE).set_clean_session(false);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, connection) = rumqttc::Client::new(options, 10);
        let mut this = Self { client, connection };
        let session_present = this.wait(|packet| match packet {
            Packet::ConnAck(connack) => Some(connack.session_present),
            _ => None,
        });
        (this, session_present)
    }

    /// The next packet of interest.
    fn wait<T>(&mut self, of_interest: impl Fn(Packet) -> Option<T>) -> T {
        loop {
            let event = self.connection.recv_timeout(DEADLINE).expect("a packet comes in time");
            if let Event::Incoming(packet) = event.expect("the connection holds")
                && let Some(found) = of_interest(packet)
            {
                return found;
            }
        }
    }

    fn publish(&mut self, topic: &str, qos: QoS, payload: Vec<u8>) {
        self.client.publish(topic, qos, false, payload).expect("there is room for a request");
    }
}

#[test]
fn rumqttc_exchanges_messages_at_every_qos_over_tls_in_3_1_1() {
    let (_site, port, transport) = site();
    let (mut receiver, _) = Client3::connect("receiver", port, &transport);
    receiver.client.subscribe("every/#", QoS::ExactlyOnce).expect("there is room for a request");
    receiver.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    let (mut sender, _) = Client3::connect("sender", port, &transport);
    for (number, qos) in EVERY_QOS.into_iter().enumerate() {
        sender.publish(&format!("every/{number}"), qos, payload(number));
    }
    sender.wait(|packet| matches!(packet, Packet::PubComp(_)).then_some(()));
    for (number, qos) in EVERY_QOS.into_iter().enumerate() {
        let message = receiver.wait(|packet| match packet {
            Packet::Publish(message) => Some(message),
            _ => None,
        });
        assert_eq!((message.topic, message.qos), (format!("every/{number}"), qos));
        assert!(message.payload == payload(number), "the payload has changed");
    }
}

#[test]
fn rumqttc_resumes_its_session_over_tls_in_3_1_1() {
    let (_site, port, transport) = site();
    let (mut sleeper, session_present) = Client3::connect("sleeper", port, &transport);
    assert!(!session_present);
    sleeper.client.subscribe("night", QoS::AtLeastOnce).expect("there is room for a request");
    sleeper.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
    drop(sleeper);
    let (mut sender, _) = Client3::connect("sender", port, &transport);
    sender.publish("night", QoS::AtLeastOnce, b"missed".to_vec());
    sender.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(()));
    let (mut sleeper, session_present) = Client3::connect("sleeper", port, &transport);
    assert!(session_present);
    let payload = sleeper.wait(|packet| match packet {
        Packet::Publish(message) => Some(message.payload),
        _ => None,
    });
    assert_eq!(payload, "missed");
}

mod v5 {
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
    use rumqttc::v5::{Client, Connection, Event, MqttOptions};

    use super::*;

    const EVERY_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

    struct Client5 {
        client: Client,
        connection: Connection,
    }

    impl Client5 {
        fn connect(identifier: &str, port: u16, transport: &Transport) -> (Self, bool) {
            let mut options = MqttOptions::new(identifier, "127.0.0.1", port);
            options.set_transport(transport.clone()).set_keep_alive(KEEP_ALIVE).set_clean_start(false);
            options
                .set_session_expiry_interval(Some(3600))
                .set_topic_alias_max(Some(10))
                .set_max_packet_size(Some(1 << 20));
            let (client, connection) = Client::new(options, 10);
            let mut this = Self { client, connection };
            let session_present = this.wait(|packet| match packet {
                Packet::ConnAck(connack) => Some(connack.session_present),
                _ => None,
            });
            (this, session_present)
        }

        fn wait<T>(&mut self, of_interest: impl Fn(Packet) -> Option<T>) -> T {
            loop {
                let event = self.connection.recv_timeout(DEADLINE).expect("a packet comes in time");
                if let Event::Incoming(packet) = event.expect("the connection holds")
                    && let Some(found) = of_interest(packet)
                {
                    return found;
                }
            }
        }

        fn subscribe(&mut self, filter: &str) {
            self.client.subscribe(filter, QoS::ExactlyOnce).expect("there is room for a request");
            self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(()));
        }

        fn message(&mut self) -> Publish {
            self.wait(|packet| match packet {
                Packet::Publish(message) => Some(message),
                _ => None,
            })
        }
    }

    #[test]
    fn rumqttc_exchanges_messages_at_every_qos_over_tls_in_5_0() {
        let (_site, port, transport) = site();
        let (mut receiver, _) = Client5::connect("receiver", port, &transport);
        receiver.subscribe("every/#");
        let (mut sender, _) = Client5::connect("sender", port, &transport);
        let user_properties: Vec<_> = [("z", "1"), ("a", "2"), ("z", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (number, qos) in EVERY_QOS.into_iter().enumerate() {
            let properties = PublishProperties {
                user_properties: user_properties.clone(),
                ..PublishProperties::default()
            };
            let topic = format!("every/{number}");
            sender
                .client
                .publish_with_properties(topic, qos, false, payload(number), properties)
                .expect("there is room for a request");
        }
        sender.wait(|packet| matches!(packet, Packet::PubComp(_)).then_some(()));
        for (number, qos) in EVERY_QOS.into_iter().enumerate() {
            let message = receiver.message();
            assert_eq!(message.qos, qos);
            assert!(message.payload == payload(number), "the payload has changed");
            let properties = message.properties.expect("the properties were forwarded");
            assert_eq!(properties.user_properties, user_properties);
        }
    }

    #[test]
    fn rumqttc_resumes_its_session_over_tls_in_5_0() {
        let (_site, port, transport) = site();
        let (mut sleeper, session_present) = Client5::connect("sleeper", port, &transport);
        assert!(!session_present);
        sleeper.subscribe("night");
        drop(sleeper);
        let (mut sender, _) = Client5::connect("sender", port, &transport);
        sender
            .client
            .publish("night", QoS::ExactlyOnce, false, "missed")
            .expect("there is room for a request");
        sender.wait(|packet| matches!(packet, Packet::PubComp(_)).then_some(()));
        let (mut sleeper, session_present) = Client5::connect("sleeper", port, &transport);
        assert!(session_present);
        assert_eq!(sleeper.message().payload, "missed");
    }
}
