//! A log pipeline: 200 sources, a burst of log lines, and a group of four workers that stores each line
//! exactly once although one of them dies on the way.
//!
//! ```text
//! cargo run --release --example log_pipeline
//! ```
//!
//! ```text
//!   200 sources ── QoS 1 ──> logs/<source> ──> $share/storage/logs/# ──┬─> worker 0 ──┐
//!                                                                      ├─> worker 1 ──┤
//!                                                                      ├─> worker 2 ──┼──> store, by line id
//!                                                                      └─> worker 3 ──┘
//!                                                                          dies, and comes back
//! ```
//!
//! What makes the count come out even is the division of labour. The broker promises *at least once*: a line
//! that a worker has not acknowledged goes to another worker as soon as its connection is gone. The workers
//! acknowledge only what is stored, and the store knows each line by its id, so that a line delivered twice
//! is stored once. Worker 0 dies at the worst moment, between storing a line and acknowledging it.
//!
//! The program ends with an error if a single line is lost or stored twice.

use dunlin::{Broker, Config};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, PubAckReason, Publish};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

type Failure = Box<dyn Error + Send + Sync>;

const SOURCES: usize = 200;
const LINES_PER_SOURCE: usize = 50;
const LINES: usize = SOURCES * LINES_PER_SOURCE;
const WORKERS: usize = 4;

/// Lines that worker 0 stores before it dies.
const LINES_BEFORE_DEATH: usize = 500;

/// Lines that the others store before worker 0 comes back.
const LINES_WITHOUT_IT: usize = 2_000;

/// Lines a worker has on its desk. The rest waits in the broker, where any worker can get it.
const RECEIVE_MAXIMUM: u16 = 50;

/// Publications a source has unacknowledged.
const INFLIGHT_MAX: u16 = 20;

/// Lines that must be published in a second.
const RATE_MIN: f64 = 500.0;

const DEADLINE: Duration = Duration::from_secs(120);

const CONFIGURATION: &str = "
listener = [{ url = 'mqtt://127.0.0.1:0' }]
store.path = ''
http.address = ''
";

/// Runs the pipeline and prints the count that proves it.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Failure> {
    let broker = Broker::start(Config::from_toml("example", CONFIGURATION)?)?;
    let port = broker.addresses()[0].port();
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("lines.log");
    let store = Arc::new(Store::create(&path)?);

    let run = timeout(DEADLINE, run(port, Arc::clone(&store))).await;
    let Outcome { published, rate, workers } = run.map_err(|_| format!("not done after {DEADLINE:?}"))??;
    broker.stop();

    println!("{SOURCES} sources published {published} lines, {rate:.0} a second, all acknowledged");
    for (number, (stored, duplicates)) in workers.iter().enumerate() {
        let fate = if number == 0 { ", killed once" } else { "" };
        println!(
            "worker {number} stored {stored} lines and was given {duplicates} that were stored already{fate}"
        );
    }
    let (stored, different) = read_back(&path)?;
    let duplicates: usize = workers.iter().map(|(_, duplicates)| duplicates).sum();
    let delivered = stored + duplicates;
    println!("published {published}, delivered {delivered}, stored {stored}, different {different}");
    if (published, stored, different) != (LINES, LINES, LINES) {
        return Err("lines were lost or stored twice".into());
    }
    if duplicates == 0 {
        return Err("the line that worker 0 stored and did not acknowledge was not delivered again".into());
    }
    if rate < RATE_MIN {
        return Err(format!("{rate:.0} lines a second are less than {RATE_MIN}").into());
    }
    println!("each line is stored exactly once");
    Ok(())
}

/// Lines stored, and lines that were stored already.
type Tally = (usize, usize);

/// What the run came to.
struct Outcome {
    /// Lines that the broker has acknowledged to their sources.
    published: usize,
    /// So many of them in a second.
    rate: f64,
    workers: Vec<Tally>,
}

async fn run(port: u16, store: Arc<Store>) -> Result<Outcome, Failure> {
    // The group exists before the first line is published; what is published to nobody is nobody's.
    let mut mortal = Worker::connect(0, port).await?;
    let mut others = JoinSet::new();
    for number in 1..WORKERS {
        let (mut worker, store) = (Worker::connect(number, port).await?, Arc::clone(&store));
        others.spawn(async move { worker.work(&store, usize::MAX).await.map(|tally| (number, tally)) });
    }

    let publishing = tokio::spawn(publish_all(port));
    let first_life = mortal.work(&store, LINES_BEFORE_DEATH).await?;
    // The socket is closed without DISCONNECT; the Session stays.
    drop(mortal);
    let stored = store.count();
    println!("worker 0 dies when {stored} lines are stored, the last of them by it and not acknowledged");
    store.reached((stored + LINES_WITHOUT_IT).min(LINES)).await;
    let mut risen = Worker::connect(0, port).await?;
    println!("worker 0 is back when {} lines are stored", store.count());
    let second_life = risen.work(&store, usize::MAX).await?;

    let mut workers = vec![(first_life.0 + second_life.0, first_life.1 + second_life.1); WORKERS];
    while let Some(done) = others.join_next().await {
        let (number, tally) = done??;
        workers[number] = tally;
    }
    let (published, took) = publishing.await??;
    Ok(Outcome { published, rate: published as f64 / took.as_secs_f64(), workers })
}

/// All sources at once. Returns how many lines were acknowledged, and how long that took.
async fn publish_all(port: u16) -> Result<(usize, Duration), Failure> {
    let started = Instant::now();
    let mut sources = JoinSet::new();
    for number in 0..SOURCES {
        sources.spawn(publish(number, port));
    }
    let mut published = 0;
    while let Some(acknowledged) = sources.join_next().await {
        published += acknowledged??;
    }
    Ok((published, started.elapsed()))
}

/// One source: publishes its lines and returns how many of them the broker has acknowledged.
async fn publish(number: usize, port: u16) -> Result<usize, Failure> {
    let source = format!("source-{number:03}");
    let mut options = MqttOptions::new(&source, "127.0.0.1", port);
    options.set_outgoing_inflight_upper_limit(INFLIGHT_MAX);
    let (client, mut events) = AsyncClient::new(options, LINES_PER_SOURCE + 1);
    for line in 0..LINES_PER_SOURCE {
        let text = format!("{source}/{line} something happened and somebody may want to know");
        client.try_publish(format!("logs/{source}"), QoS::AtLeastOnce, false, text)?;
    }
    let mut acknowledged = 0;
    while acknowledged < LINES_PER_SOURCE {
        match events.poll().await? {
            Event::Incoming(Packet::PubAck(puback)) if puback.reason == PubAckReason::Success => {
                acknowledged += 1
            }
            Event::Incoming(Packet::PubAck(puback)) => {
                return Err(format!("{source}: {:?}", puback.reason).into());
            }
            _ => {}
        }
    }
    Ok(acknowledged)
}

/// One connection of a worker to the broker.
struct Worker {
    client: AsyncClient,
    events: EventLoop,
}

impl Worker {
    /// Connects; when this returns, the worker is a member of the group.
    async fn connect(number: usize, port: u16) -> Result<Self, Failure> {
        let mut options = MqttOptions::new(format!("worker-{number}"), "127.0.0.1", port);
        options.set_clean_start(false).set_manual_acks(true).set_outgoing_inflight_upper_limit(INFLIGHT_MAX);
        let mut properties = ConnectProperties::new();
        properties.session_expiry_interval = Some(3600);
        properties.receive_maximum = Some(RECEIVE_MAXIMUM);
        options.set_connect_properties(properties);
        // Room for an acknowledgement of everything on the desk.
        let (client, mut events) = AsyncClient::new(options, usize::from(RECEIVE_MAXIMUM) + 1);
        loop {
            match events.poll().await? {
                // The Session remembers that it is a member.
                Event::Incoming(Packet::ConnAck(connack)) if connack.session_present => break,
                Event::Incoming(Packet::ConnAck(_)) => {
                    client.try_subscribe("$share/storage/logs/#", QoS::AtLeastOnce)?;
                }
                Event::Incoming(Packet::SubAck(_)) => break,
                _ => {}
            }
        }
        Ok(Self { client, events })
    }

    /// Stores and acknowledges lines until all are stored, or until it has stored `last` of them: that one is
    /// not acknowledged.
    async fn work(&mut self, store: &Store, last: usize) -> Result<Tally, Failure> {
        let (mut stored, mut duplicates) = (0, 0);
        loop {
            let event = tokio::select! {
                biased;
                () = store.reached(LINES) => return Ok((stored, duplicates)),
                event = self.events.poll() => event?,
            };
            let Event::Incoming(Packet::Publish(publish)) = event else { continue };
            if store.append(&publish)? {
                stored += 1;
            } else {
                duplicates += 1;
            }
            if stored == last {
                return Ok((stored, duplicates));
            }
            self.client.try_ack(&publish)?;
        }
    }
}

/// Where the lines end up: a file, and the ids of the lines in it.
struct Store {
    lines: Mutex<Lines>,
    count: watch::Sender<usize>,
}

struct Lines {
    file: BufWriter<File>,
    ids: HashSet<String>,
}

impl Store {
    fn create(path: &Path) -> io::Result<Self> {
        let lines = Lines { file: BufWriter::new(File::create(path)?), ids: HashSet::new() };
        Ok(Self { lines: Mutex::new(lines), count: watch::Sender::new(0) })
    }

    /// Stores a line unless it is there already. True if it is new.
    fn append(&self, publish: &Publish) -> Result<bool, Failure> {
        let text = std::str::from_utf8(&publish.payload)?;
        let id = text.split(' ').next().unwrap_or_default();
        let mut lines = self.lines.lock().map_err(|_| "another worker has panicked")?;
        if !lines.ids.insert(id.to_owned()) {
            return Ok(false);
        }
        writeln!(lines.file, "{text}")?;
        if lines.ids.len() == LINES {
            lines.file.flush()?;
        }
        self.count.send_replace(lines.ids.len());
        Ok(true)
    }

    fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until so many lines are stored.
    async fn reached(&self, count: usize) {
        // The sender lives as long as the store, so this cannot fail.
        let _ = self.count.subscribe().wait_for(|stored| *stored >= count).await;
    }
}

/// Lines in the file, and how many different ids they have.
fn read_back(path: &Path) -> io::Result<(usize, usize)> {
    let text = std::fs::read_to_string(path)?;
    let ids: HashSet<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    Ok((text.lines().count(), ids.len()))
}
