//! A case against a broker: sends what the clients send and compares what they get.
//!
//! Every packet that comes must have been expected, field by field, and in its place. At the end of a case no
//! client may have anything left. Silence is proven, not waited for: a PINGRESP answers everything that was
//! sent before its PINGREQ ([`Driver::catch_up`]).

use crate::decode::decode;
use crate::encode::encode;
use crate::packet::{Packet, Version};
use crate::script::{Case, Step};
use crate::value::{Value, Variables};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

/// What came for a client.
#[derive(Debug)]
pub enum Received {
    /// One whole packet.
    Packet(Vec<u8>),
    /// The Server closed the connection.
    Close,
    /// Nothing, although everything that was sent is dealt with.
    Nothing,
}

/// A broker and the clients' ends of its connections. Clients have names; a name that has no connection opens
/// one when it sends.
pub trait Driver {
    /// Writes for a client.
    fn send(&mut self, client: &str, bytes: &[u8]) -> Result<(), String>;

    /// What came for one of these clients, and for which; a driver on a real network waits for it within a
    /// limit.
    fn receive(&mut self, clients: &[String]) -> Result<(String, Received), String>;

    /// What has come for a client by now.
    fn received_already(&mut self, client: &str) -> Option<Received>;

    /// Lets the broker deal with everything that these clients have sent.
    fn catch_up(&mut self, clients: &[String]) -> Result<(), String>;

    /// Another client is about to send: what `last` has sent comes first.
    fn let_pass(&mut self, last: &str) -> Result<(), String>;

    /// Ends a client's connection without a word.
    fn cut(&mut self, client: &str);

    /// Lets time pass.
    fn wait(&mut self, time: Duration);

    /// Whether the client takes bytes off its connection.
    fn set_reading(&mut self, client: &str, does_read: bool);

    /// Whether what the broker stores becomes durable.
    fn hold_store(&mut self, is_held: bool);

    /// Stops the broker in an orderly way.
    fn stop(&mut self);

    /// Ends the broker and all connections at once, and starts it again so much later on what it had stored.
    fn crash(&mut self, downtime: Duration);

    /// What CONNACK announces: Receive Maximum, Maximum Packet Size and Topic Alias Maximum, where they are
    /// not the protocol's defaults.
    fn announced(&self) -> Vec<(String, Value)>;
}

/// Runs a case. The error tells the line and what was wrong there.
pub fn run(case: &Case, version: Version, driver: &mut dyn Driver) -> Result<(), String> {
    let mut run = Run {
        driver,
        version,
        clients: BTreeMap::new(),
        aliases: BTreeMap::new(),
        variables: Variables::new(),
        last_sender: None,
        trace: VecDeque::new(),
    };
    let mut steps = case.steps.iter().peekable();
    while let Some((line, step)) = steps.next() {
        let result = match step {
            Step::Expect { in_any_order: true, clients, .. } => {
                let mut group = vec![step];
                while let Some((_, next)) = steps.next_if(|(_, next)| {
                    matches!(next, Step::Expect { in_any_order: true, clients: others, .. } if others == clients)
                }) {
                    group.push(next);
                }
                run.expect_in_any_order(&group)
            }
            _ => run.step(step),
        };
        result.map_err(|error| run.report(*line, &error))?;
    }
    run.finish().map_err(|error| run.report(case.steps.last().map_or(case.line, |(line, _)| *line), &error))
}

/// A client as the runner knows it.
struct Client {
    version: Version,
    /// It got a CONNACK that accepts it.
    is_connected: bool,
    reads: bool,
    /// Written with what is sent next.
    held: Vec<u8>,
}

struct Run<'a> {
    driver: &'a mut dyn Driver,
    version: Version,
    /// Those with a connection.
    clients: BTreeMap<String, Client>,
    aliases: BTreeMap<String, String>,
    variables: Variables,
    last_sender: Option<String>,
    /// The last packets, for the report.
    trace: VecDeque<String>,
}

const TRACE_LINES: usize = 16;

impl Run<'_> {
    fn report(&self, line: usize, error: &str) -> String {
        let mut report = format!("{line}: {error}");
        for line in &self.trace {
            let _ = write!(report, "\n      {line}");
        }
        report
    }

    fn trace(&mut self, line: String) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn name(&self, client: &str) -> String {
        self.aliases.get(client).map_or(client, String::as_str).to_owned()
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send { client, packet, is_held } => {
                let client = self.name(client);
                let version = match packet.get("version") {
                    Some(Value::Text(name)) => {
                        Version::named(&String::from_utf8_lossy(name)).ok_or("no such version")?
                    }
                    _ => self.client(&client).version,
                };
                self.client(&client).version = version;
                let bytes = encode(packet, version, &client, &self.variables)?;
                self.trace(format!("{client} -> {packet}"));
                self.send(&client, &bytes, *is_held)
            }
            Step::SendBytes { client, bytes, is_held } => {
                let client = self.name(client);
                self.trace(format!("{client} -> bytes {bytes:02x?}"));
                self.send(&client, bytes, *is_held)
            }
            Step::Expect { .. } => self.expect_in_any_order(&[step]),
            Step::ExpectClose { client } => {
                let client = self.name(client);
                self.is_open(&client)?;
                self.expect_close(&client)
            }
            Step::ExpectNothing { client } => {
                let client = self.name(client);
                self.is_open(&client)?;
                self.expect_nothing(&client)
            }
            Step::Cut { client } => {
                let client = self.name(client);
                self.is_open(&client)?;
                self.trace(format!("{client} cut"));
                self.clients.remove(&client);
                self.driver.cut(&client);
                Ok(())
            }
            Step::Read { client, does_read } => {
                let client = self.name(client);
                self.is_open(&client)?;
                self.client(&client).reads = *does_read;
                self.driver.set_reading(&client, *does_read);
                Ok(())
            }
            Step::Wait(time) => {
                self.trace(format!("wait {time:?}"));
                self.driver.wait(*time);
                Ok(())
            }
            Step::Stop => {
                self.trace("broker stops".to_owned());
                self.driver.stop();
                Ok(())
            }
            Step::Crash { downtime } => {
                self.trace("broker crashes".to_owned());
                self.clients.clear();
                self.last_sender = None;
                self.driver.crash(*downtime);
                Ok(())
            }
            Step::Store { is_held } => {
                self.driver.hold_store(*is_held);
                Ok(())
            }
        }
    }

    /// The client of this name, whose connection opens with this if it has none.
    fn client(&mut self, name: &str) -> &mut Client {
        let version = self.version;
        self.clients.entry(name.to_owned()).or_insert(Client {
            version,
            is_connected: false,
            reads: true,
            held: Vec::new(),
        })
    }

    fn is_open(&self, client: &str) -> Result<(), String> {
        if self.clients.contains_key(client) { Ok(()) } else { Err(format!("{client} has no connection")) }
    }

    fn send(&mut self, name: &str, bytes: &[u8], is_held: bool) -> Result<(), String> {
        let client = self.client(name);
        client.held.extend_from_slice(bytes);
        if is_held {
            return Ok(());
        }
        let bytes = std::mem::take(&mut client.held);
        if let Some(last) = self.last_sender.replace(name.to_owned()).filter(|last| last != name)
            && self.clients.get(&last).is_some_and(|client| client.is_connected && client.reads)
        {
            self.driver.let_pass(&last)?;
        }
        self.driver.send(name, &bytes)
    }

    fn expect_in_any_order(&mut self, steps: &[&Step]) -> Result<(), String> {
        let mut wanted = Vec::new();
        for step in steps {
            let Step::Expect { clients, packet, alias, .. } = step else {
                return Err("only expected packets come in any order".to_owned());
            };
            let clients: Vec<String> = clients.iter().map(|client| self.name(client)).collect();
            for client in &clients {
                self.is_open(client)?;
            }
            let version = self.client(&clients[0]).version;
            if let Some(packet) = self.announcing(packet, version).as_expected_in(version) {
                wanted.push((clients, packet, alias));
            }
        }
        while let Some((clients, first, _)) = wanted.first() {
            let (client, received) = self.driver.receive(clients)?;
            let got = match received {
                Received::Packet(bytes) => self.decoded(&client, &bytes)?,
                Received::Close => {
                    return Err(format!("{client} <- {first}\n    got the end of the connection"));
                }
                Received::Nothing => return Err(format!("{client} <- {first}\n    got nothing")),
            };
            let fitting = wanted.iter().position(|(_, packet, _)| {
                let mut variables = self.variables.clone();
                let fits = packet.differences(&got, &mut variables).is_empty();
                if fits {
                    self.variables = variables;
                }
                fits
            });
            let Some(fitting) = fitting else {
                return Err(mismatch(&client, first, &got, &mut self.variables.clone()));
            };
            let (_, _, alias) = wanted.remove(fitting);
            if let Some(alias) = alias {
                self.aliases.insert(alias.clone(), client.clone());
            }
            if got.name() == "CONNACK" {
                self.client(&client).is_connected = got.get("reason").is_none();
            }
        }
        Ok(())
    }

    /// An expected CONNACK that accepts announces what the broker's settings say, unless the script says
    /// otherwise.
    fn announcing(&self, packet: &Packet, version: Version) -> Packet {
        let mut packet = packet.clone();
        let accepts = matches!(packet.get("reason"), None | Some(Value::Reason(0)));
        if packet.name() == "CONNACK" && version == Version::V5 && accepts && !packet.is_open {
            for (name, value) in self.driver.announced() {
                if packet.get(&name).is_none() {
                    packet = packet.with(&name, value);
                }
            }
        }
        packet
    }

    fn decoded(&mut self, client: &str, bytes: &[u8]) -> Result<Packet, String> {
        let version = self.client(client).version;
        let packet = decode(bytes, version).map_err(|error| format!("{client} got {error}: {bytes:02x?}"))?;
        self.trace(format!("{client} <- {packet}"));
        Ok(packet)
    }

    fn expect_close(&mut self, client: &str) -> Result<(), String> {
        match self.driver.receive(&[client.to_owned()])?.1 {
            Received::Close => {
                self.clients.remove(client);
                self.driver.cut(client);
                Ok(())
            }
            Received::Packet(bytes) => {
                Err(format!("{client} <- close\n    got {}", self.decoded(client, &bytes)?))
            }
            Received::Nothing => Err(format!("{client} <- close\n    the connection is still open")),
        }
    }

    fn expect_nothing(&mut self, name: &str) -> Result<(), String> {
        if !self.client(name).reads {
            return Ok(());
        }
        let connected = self.clients.iter().filter(|(_, client)| client.is_connected && client.reads);
        let connected: Vec<String> = connected.map(|(name, _)| name.clone()).collect();
        self.driver.catch_up(&connected)?;
        let got = match self.driver.received_already(name) {
            None => return Ok(()),
            Some(Received::Packet(bytes)) => self.decoded(name, &bytes)?.to_string(),
            Some(Received::Close | Received::Nothing) => "the end of the connection".to_owned(),
        };
        Err(format!("{name} <- nothing\n    got {got}"))
    }

    fn finish(&mut self) -> Result<(), String> {
        let open: Vec<String> = self.clients.keys().cloned().collect();
        open.iter().try_for_each(|client| {
            self.expect_nothing(client).map_err(|error| format!("at the end of the case: {error}"))
        })
    }
}

fn mismatch(client: &str, expected: &Packet, got: &Packet, variables: &mut Variables) -> String {
    let mut error = format!("{client} <- {expected}\n    got {got}");
    for difference in expected.differences(got, variables) {
        let _ = write!(error, "\n    {difference}");
    }
    error
}
