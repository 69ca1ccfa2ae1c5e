//! A broker inside your own program.
//!
//! ```text
//! cargo run --example embed
//! ```
//!
//! The configuration is the TOML that `dunlin serve --config` reads. Here the system chooses the port,
//! nothing is kept on disk and there is no operations port, so that any number of such brokers can run side
//! by side, in tests for example. Look next at `request_response.rs` for a broker with clients that talk to
//! each other.

use dunlin::{Broker, Config};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

const CONFIGURATION: &str = "
listener = [{ url = 'mqtt://127.0.0.1:0' }]
store.path = ''
http.address = ''
";

/// Starts a broker, sends a message through it and stops it.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::start(Config::from_toml("embedded", CONFIGURATION)?)?;
    let port = broker.addresses()[0].port();
    println!("a broker listens on 127.0.0.1:{port}");

    let (client, mut events) = AsyncClient::new(MqttOptions::new("embedder", "127.0.0.1", port), 10);
    client.subscribe("greetings/#", QoS::AtLeastOnce).await?;
    client.publish("greetings/first", QoS::AtLeastOnce, false, "hello from inside").await?;
    let (topic, payload) = timeout(Duration::from_secs(10), next_message(&mut events)).await??;
    println!("{topic}: {payload}");
    println!("{} connection at present", broker.connections());

    // A client that is still there is told that the Server shuts down (0x8B, MQTT 5.0) and has a moment to
    // go.
    drop((client, events));
    broker.stop();
    if topic == "greetings/first" { Ok(()) } else { Err(format!("{topic} is not what was published").into()) }
}

async fn next_message(events: &mut EventLoop) -> Result<(String, String), Box<dyn Error>> {
    loop {
        if let Event::Incoming(Packet::Publish(publish)) = events.poll().await? {
            return Ok((publish.topic, String::from_utf8(publish.payload.to_vec())?));
        }
    }
}
