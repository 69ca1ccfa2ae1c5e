//! Prints the messages that `publisher.rs` sends, and ends when it has seen a number of them.
//!
//! ```text
//! cargo run --example subscriber -- [HOST] [PORT] [COUNT]      (127.0.0.1 1883 10)
//! ```
//!
//! Polling the event loop after an error connects again; a Session that ends with its connection (Clean
//! Session) must then subscribe again, which is why the subscription is made whenever CONNACK comes.

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::error::Error;
use std::time::Duration;

/// Connections in a row that may fail before this gives up.
const FAILURES_MAX: u32 = 5;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = arguments.next().map_or(Ok(1883), |port| port.parse())?;
    let count = arguments.next().map_or(Ok(10), |count| count.parse())?;
    receive(&host, port, count).await
}

/// Prints `count` messages.
pub async fn receive(host: &str, port: u16, count: usize) -> Result<(), Box<dyn Error>> {
    let mut options = MqttOptions::new(format!("subscriber-{}", std::process::id()), host, port);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 10);
    let (mut received, mut failures) = (0, 0);
    while received < count {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                failures = 0;
                client.subscribe("examples/#", QoS::AtLeastOnce).await?;
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                received += 1;
                println!("{} {}", publish.topic, String::from_utf8_lossy(&publish.payload));
            }
            Ok(_) => {}
            Err(error) if failures < FAILURES_MAX => {
                failures += 1;
                println!("{error}; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // The last acknowledgement is on its way only when the event loop has been polled once more.
    client.disconnect().await?;
    while let Ok(event) = events.poll().await {
        if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
            break;
        }
    }
    Ok(())
}
