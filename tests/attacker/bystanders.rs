//! Clients that behave, and notice when they are disturbed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use dunlin_codec::{Packet, QoS, ReasonCode};

use crate::support::client::{Client, bytes_of, publish, success, tcp};
use crate::support::process::DEADLINE;
use crate::support::tls;
use crate::{Addresses, login};

/// Two pairs of them, each on a thread of its own.
pub struct Bystanders {
    is_over: Arc<AtomicBool>,
    pairs: Vec<(Receiver<u128>, JoinHandle<()>)>,
}

impl Bystanders {
    /// Lets them connect and begin.
    pub fn begin(addresses: Addresses, authority: &Path) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let trust = tls::trusting(authority, tls::EVERY_VERSION);
        let plain = [0, 1].map(|_| Client::over(tcp(addresses[0])));
        let secure = [0, 1].map(|_| Client::over(tls::connect(addresses[1], &trust)));
        let pair = |clients: [Client; 2], name: &'static str, qos| {
            let (report, reports) = channel();
            let is_over = Arc::clone(&is_over);
            let life = move || {
                let mut pair = Pair::begin(clients, name, qos);
                while !is_over.load(Relaxed) {
                    if report.send(pair.round_trip_us()).is_err() {
                        // Nobody listens any more: the test has failed.
                        return;
                    }
                }
                pair.end();
            };
            (reports, std::thread::spawn(life))
        };
        let pairs = vec![pair(plain, "plain", QoS::AtLeastOnce), pair(secure, "secure", QoS::ExactlyOnce)];
        Self { is_over, pairs }
    }

    /// The median of all round trips since this was called last, in microseconds. Each pair has made at least so many
    /// since.
    pub fn median_us(&self, count_min: usize) -> u128 {
        let mut times: Vec<u128> = Vec::new();
        for (reports, _) in &self.pairs {
            for _ in 0..count_min {
                times.push(reports.recv_timeout(DEADLINE).expect("a pair goes on without an error"));
            }
            times.extend(reports.try_iter());
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// Lets them end; that none has met an error.
    pub fn end(self) {
        self.is_over.store(true, Relaxed);
        for (_, pair) in self.pairs {
            pair.join().expect("a pair of bystanders met no error");
        }
    }
}

/// A publisher and its subscriber.
struct Pair {
    publisher: Client,
    subscriber: Client,
    topic: String,
    qos: QoS,
    number: u64,
}

impl Pair {
    fn begin([mut publisher, mut subscriber]: [Client; 2], name: &str, qos: QoS) -> Self {
        assert_eq!(publisher.connect(&login(&format!("{name}-publisher"))), ReasonCode::Success);
        assert_eq!(subscriber.connect(&login(&format!("{name}-subscriber"))), ReasonCode::Success);
        let topic = format!("bystanders/{name}");
        subscriber.subscribe(&topic);
        Self { publisher, subscriber, topic, qos, number: 0 }
    }

    /// Both are there to the end, and nothing came twice.
    fn end(mut self) {
        self.publisher.ping();
        self.subscriber.ping();
        self.publisher.disconnect();
        self.subscriber.disconnect();
    }

    /// One message, whole and once, with all its acknowledgements.
    fn round_trip_us(&mut self) -> u128 {
        self.number += 1;
        let payload = self.number.to_be_bytes();
        let began = Instant::now();
        self.publisher.send(&publish(&self.topic, &payload, self.qos, 1));
        let message = self.subscriber.message();
        let elapsed_us = began.elapsed().as_micros();
        assert_eq!((message.payload.as_slice(), message.qos), (&payload[..], self.qos));
        let (mine, theirs) = (success(1), success(message.packet_identifier));
        match self.qos {
            QoS::ExactlyOnce => {
                self.subscriber.send(&bytes_of(&Packet::PubRec(theirs)));
                self.subscriber.expect(&Packet::PubRel(theirs));
                self.subscriber.send(&bytes_of(&Packet::PubComp(theirs)));
                self.publisher.expect(&Packet::PubRec(mine));
                self.publisher.send(&bytes_of(&Packet::PubRel(mine)));
                self.publisher.expect(&Packet::PubComp(mine));
            }
            _ => {
                self.subscriber.send(&bytes_of(&Packet::PubAck(theirs)));
                self.publisher.expect(&Packet::PubAck(mine));
            }
        }
        elapsed_us
    }
}

/// Connects from one of the addresses that this machine has in plenty: those of the loopback network.
pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), DEADLINE)?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.set_write_timeout(Some(DEADLINE))?;
    Ok(socket.into())
}
