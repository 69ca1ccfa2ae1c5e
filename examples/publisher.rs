//! Publishes a number of messages at QoS 1 and ends when the broker has acknowledged all of them.
//!
//! ```text
//! cargo run --example publisher -- [HOST] [PORT] [COUNT]      (127.0.0.1 1883 10)
//! ```
//!
//! `subscriber.rs` is the other side. With rumqttc nothing is sent unless somebody polls the event loop, and
//! `publish` only hands the message to it: a message is safe when its PUBACK has come.

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::error::Error;
use std::time::Duration;

/// Where `subscriber.rs` listens, too.
const TOPIC: &str = "examples/temperature";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = arguments.next().map_or(Ok(1883), |port| port.parse())?;
    let count = arguments.next().map_or(Ok(10), |count| count.parse())?;
    publish(&host, port, count).await
}

/// Publishes `count` messages.
pub async fn publish(host: &str, port: u16, count: usize) -> Result<(), Box<dyn Error>> {
    let mut options = MqttOptions::new(format!("publisher-{}", std::process::id()), host, port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, count + 1);
    for number in 1..=count {
        let reading = format!("{number}: {:.1} degrees", 20.0 + (number as f64).sin());
        client.publish(TOPIC, QoS::AtLeastOnce, false, reading).await?;
    }
    let mut acknowledged = 0;
    while acknowledged < count {
        if let Event::Incoming(Packet::PubAck(_)) = events.poll().await? {
            acknowledged += 1;
        }
    }
    client.disconnect().await?;
    while let Ok(event) = events.poll().await {
        if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
            break;
        }
    }
    println!("{count} messages published to {TOPIC} and acknowledged");
    Ok(())
}
