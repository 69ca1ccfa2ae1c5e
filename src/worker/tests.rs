//! What a worker survives.

use super::*;
use crate::auth::AuthTable;
use crate::config::Config;
use crate::transport::{Peer, Socket};
use dunlin_codec::{QoS, SubscriptionFilter};
use dunlin_core::authorize::{Authorizer, Who};
use dunlin_core::message::MemoryGauge;
use dunlin_core::tally::SubscriptionTally;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Panics when it is asked about one topic.
struct Landmine;

impl Authorizer for Landmine {
    fn rules_version(&self) -> u64 {
        1
    }

    fn may_publish(&self, _who: Who<'_>, topic: &str, _qos: QoS, _retain: bool) -> bool {
        assert_ne!(topic, "mine", "a planted panic");
        true
    }

    fn may_subscribe(&self, _who: Who<'_>, _filter: SubscriptionFilter<'_>) -> Option<QoS> {
        Some(QoS::ExactlyOnce)
    }

    fn may_receive(&self, _who: Who<'_>, _topic: &str) -> bool {
        true
    }
}

/// One worker with a listener of its own.
struct Rig {
    listener: TcpListener,
    context: Arc<ListenerContext>,
    shared: Arc<Shared>,
}

impl Rig {
    fn start(authorizer: Arc<dyn Authorizer>) -> Self {
        let config = Config::default();
        let listener = &config.listeners()[0];
        let table = AuthTable::load(&config, "auth", &listener.auth).expect("it names no files");
        let context = Arc::new(ListenerContext::new(listener, None, table.access(true, None)));
        let (sender, mailbox) = mpsc::unbounded_channel();
        let gate = Arc::new(Gate::new(&config, 10));
        let shared = Arc::new(Shared {
            mailboxes: vec![sender].into(),
            gate,
            clock: Clock::default(),
            store: None,
            otlp: None,
        });
        let settings = Arc::new(config.settings());
        let shard = ShardConfig {
            id: 0,
            shards: 1,
            settings,
            authorizer: Some(authorizer),
            seed: 0,
            boot_epoch: 0,
            gauge: MemoryGauge::default(),
            subscriptions: SubscriptionTally::default(),
        };
        let (report, started) = std_mpsc::channel();
        let (signal, go) = std_mpsc::channel();
        signal.send(()).expect("the worker has not begun");
        let restored = (ShardImage::default(), Timestamp::ZERO);
        let start = Start { shard, shared: Arc::clone(&shared), mailbox, restored, report, go };
        std::thread::spawn(move || run(start));
        started.recv().expect("the worker answers").expect("it starts");
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port"), context, shared }
    }

    /// A connected client of MQTT 3.1.1 with this one-letter identifier.
    fn client(&self, identifier: u8) -> TcpStream {
        let address = self.listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).expect("it connects");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let (accepted, _) = self.listener.accept().expect("it is accepted");
        accepted.set_nonblocking(true).expect("it does not block");
        let ticket =
            self.shared.gate.enter(&self.context, Peer::Local).unwrap_or_else(|full| panic!("{full}"));
        let socket = Socket::tcp(accepted, usize::MAX).expect("a socket");
        assert!(self.shared.mailboxes[0].send(Mail::Arrival(Arrival { socket, ticket })).is_ok());
        client
            .write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, identifier])
            .expect("CONNECT");
        let mut connack = [0; 4];
        client.read_exact(&mut connack).expect("CONNACK");
        assert_eq!(connack, [0x20, 2, 0, 0]);
        client
    }
}

#[test]
fn a_panic_in_one_connection_ends_that_connection_and_nothing_else() {
    let rig = Rig::start(Arc::new(Landmine));
    let (mut unlucky, mut bystander) = (rig.client(b'u'), rig.client(b'b'));
    unlucky.write_all(&[0x30, 6, 0, 4, b'm', b'i', b'n', b'e']).expect("PUBLISH");
    assert_eq!(unlucky.read(&mut [0; 1]).expect("the end of the connection"), 0);
    bystander.write_all(&[0xC0, 0]).expect("PINGREQ");
    let mut pong = [0; 2];
    bystander.read_exact(&mut pong).expect("PINGRESP");
    assert_eq!(pong, [0xD0, 0]);
    // The identifier can be used again: nothing of the connection is left.
    drop(rig.client(b'u'));
}
