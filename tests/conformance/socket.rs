//! A broker as it runs: `dunlin::Broker` in this process, TCP on the loopback interface, blocking clients.
//!
//! A thread for each connection turns bytes into packets, and the script waits for these, for a bounded time
//! and never for a fixed one. The broker has one worker: with several, what one client has sent may reach
//! another client's worker after that client's PINGREQ, and silence would prove nothing. Several workers are
//! the business of the memory driver and of the simulation.

use crate::decode::frame_length;
use crate::run::{Driver, Received};
use crate::script::Setup;
use crate::value::Value;
use dunlin::{Broker, Config};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Far more than a busy machine needs for any answer.
const PATIENCE: Duration = Duration::from_secs(20);

const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];

/// What a connection's thread has read; `None` is the end.
type Event = (u64, Option<Vec<u8>>);

struct Link {
    /// Tells it from earlier connections of the same client.
    number: u64,
    stream: TcpStream,
    packets: VecDeque<Vec<u8>>,
    is_closed: bool,
}

/// See the top of the file.
pub struct Sockets {
    broker: Option<Broker>,
    address: SocketAddr,
    announced: Vec<(String, Value)>,
    links: BTreeMap<String, Link>,
    numbers: u64,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

impl Sockets {
    /// A broker as the case wants it.
    pub fn start(setup: &Setup) -> Result<Self, String> {
        let config = configuration(setup)?;
        let config =
            Config::from_toml("conformance", &config).map_err(|error| format!("{error}\n{config}"))?;
        let settings = config.settings();
        let broker = Broker::start(config).map_err(|error| error.to_string())?;
        let address = *broker.addresses().first().ok_or("the broker listens nowhere")?;
        let (sender, events) = channel();
        let announced = crate::setup::announced(&settings);
        Ok(Self {
            broker: Some(broker),
            address,
            announced,
            links: BTreeMap::new(),
            numbers: 0,
            events,
            sender,
        })
    }

    fn open(&mut self, client: &str) -> Result<(), String> {
        let explain = |error: std::io::Error| format!("{client} cannot connect: {error}");
        let stream = TcpStream::connect(self.address).map_err(explain)?;
        stream.set_nodelay(true).map_err(explain)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(explain)?;
        self.numbers += 1;
        let number = self.numbers;
        let (reader, sender) = (stream.try_clone().map_err(explain)?, self.sender.clone());
        std::thread::spawn(move || read_packets(reader, |packet| drop(sender.send((number, packet)))));
        self.links
            .insert(client.to_owned(), Link { number, stream, packets: VecDeque::new(), is_closed: false });
        Ok(())
    }

    /// Waits for the next event of any connection; false when there is none until `deadline`.
    fn wait_for_event(&mut self, deadline: Instant) -> bool {
        let Ok((number, packet)) =
            self.events.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        else {
            return false;
        };
        if let Some(link) = self.links.values_mut().find(|link| link.number == number) {
            match packet {
                Some(packet) => link.packets.push_back(packet),
                None => link.is_closed = true,
            }
        }
        true
    }

    fn take(&mut self, client: &str) -> Option<Received> {
        let link = self.links.get_mut(client)?;
        match link.packets.pop_front() {
            Some(packet) => Some(Received::Packet(packet)),
            None => link.is_closed.then_some(Received::Close),
        }
    }
}

impl Driver for Sockets {
    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String> {
        if !self.links.contains_key(client) {
            self.open(client)?;
        }
        if let Some(link) = self.links.get_mut(client) {
            // A connection that the broker has closed meanwhile is seen when its end is read.
            drop(link.stream.write_all(bytes));
        }
        Ok(())
    }

    fn receive(&mut self, clients: &[String]) -> Result<(String, Received), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for client in clients {
                if let Some(received) = self.take(client) {
                    return Ok((client.clone(), received));
                }
            }
            if !self.wait_for_event(deadline) {
                return Ok((clients[0].clone(), Received::Nothing));
            }
        }
    }

    fn received_already(&mut self, client: &str) -> Option<Received> {
        while self.wait_for_event(Instant::now()) {}
        self.take(client)
    }

    /// Every client asks for a PINGRESP. When these are here, the one worker has dealt with everything that
    /// was sent before.
    fn catch_up(&mut self, clients: &[String]) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        for client in clients {
            self.send(client, &PINGREQ)?;
        }
        for client in clients {
            while let Some(link) = self.links.get_mut(client).filter(|link| !link.is_closed) {
                if let Some(place) = link.packets.iter().rposition(|packet| *packet == PINGRESP) {
                    link.packets.remove(place);
                    break;
                }
                if !self.wait_for_event(deadline) {
                    return Err(format!("{client} got no PINGRESP"));
                }
            }
        }
        Ok(())
    }

    fn let_pass(&mut self, last: &str) -> Result<(), String> {
        self.catch_up(&[last.to_owned()])
    }

    /// Says no more, and waits until the broker has noticed.
    fn cut(&mut self, client: &str) {
        let deadline = Instant::now() + PATIENCE;
        if let Some(link) = self.links.get(client) {
            drop(link.stream.shutdown(Shutdown::Write));
        }
        while self.links.get(client).is_some_and(|link| !link.is_closed) && self.wait_for_event(deadline) {}
        self.links.remove(client);
    }

    fn wait(&mut self, _time: Duration) {
        unreachable!("only in memory")
    }

    fn set_reading(&mut self, _client: &str, _does_read: bool) {
        unreachable!("only in memory")
    }

    fn hold_store(&mut self, _is_held: bool) {
        unreachable!("only in memory")
    }

    fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.stop();
        }
    }

    fn crash(&mut self, _downtime: Duration) {
        unreachable!("only in memory")
    }

    fn announced(&self) -> Vec<(String, Value)> {
        self.announced.clone()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for link in self.links.values() {
            drop(link.stream.shutdown(Shutdown::Both));
        }
        self.stop();
    }
}

/// The life of a connection's thread.
fn read_packets(mut stream: TcpStream, tell: impl Fn(Option<Vec<u8>>)) {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
        // What is no packet goes to the script as it is, which says what is wrong with it.
        while let Some(length) =
            frame_length(&bytes).unwrap_or(Some(bytes.len())).filter(|length| *length > 0)
        {
            tell(Some(bytes.drain(..length).collect()));
        }
    }
    tell(None);
}

/// The configuration of a case: its settings under the names that users know.
fn configuration(setup: &Setup) -> Result<String, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &setup.settings {
        let (section, option) = match name.as_str() {
            "maximum_packet_size_bytes" => ("limits", "max_packet_size"),
            "topic_length_max" => ("limits", "max_topic_length"),
            "topic_levels_max" => ("limits", "max_topic_levels"),
            "retained_messages_max" => ("limits", "max_retained_messages"),
            "retained_bytes_max" => ("limits", "max_retained_bytes"),
            "memory_bytes_max" => ("limits", "max_memory"),
            "outbox_bytes_max" => ("limits", "max_outbox_bytes"),
            "receive_maximum" => ("session", "receive_maximum"),
            "topic_alias_maximum" => ("session", "topic_alias_maximum"),
            "server_topic_aliases" => ("session", "server_topic_aliases"),
            "inflight_max" => ("session", "max_inflight"),
            "queued_messages_max" => ("session", "max_queued_messages"),
            "queued_bytes_max" => ("session", "max_queued_bytes"),
            "overflow" => ("session", "overflow"),
            "session_expiry_max" => ("session", "max_expiry"),
            "subscriptions_max" => ("session", "max_subscriptions"),
            "keep_alive_max_s" => ("session", "max_keep_alive"),
            "response_information" => ("session", "response_information"),
            _ => return Err(format!("`{name}` is no option")),
        };
        let value = match name.as_str() {
            "overflow" | "response_information" => format!("'{}'", value.replace('_', "-")),
            "session_expiry_max" | "keep_alive_max_s" => format!("'{value}s'"),
            _ => value.clone(),
        };
        let _ = writeln!(sections.entry(section).or_default(), "{option} = {value}");
    }
    let mut text = "listener = [{ url = 'mqtt://127.0.0.1:0' }]\nserver.workers = 1\nstore.path = ''\nhttp.address = ''\nsys.interval = '0s'\n".to_owned();
    for (section, options) in sections {
        let _ = write!(text, "[{section}]\n{options}");
    }
    Ok(text)
}
