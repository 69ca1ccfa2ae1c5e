//! Request and response with MQTT 5.0: Response Topic, Correlation Data and Response Information.
//!
//! ```text
//! cargo run --example request_response
//! ```
//!
//! The requester asks the broker where it may await responses (Response Information,
//! `session.response_information`), sends several requests at once and tells the answers apart by their
//! Correlation Data. The responder knows nothing about it: it answers to the topic that each request names.

use dunlin::{Broker, Config};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;
use tokio::time::timeout;

const CONFIGURATION: &str = "
listener = [{ url = 'mqtt://127.0.0.1:0' }]
session.response_information = 'responses/%c'
store.path = ''
http.address = ''
";

/// Where requests go.
const SERVICE: &str = "services/square-root";

/// Starts a broker, a responder and a requester; ends when all requests are answered.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::start(Config::from_toml("example", CONFIGURATION)?)?;
    let port = broker.addresses()[0].port();
    let conversation = async {
        let (client, mut events) = AsyncClient::new(MqttOptions::new("responder", "127.0.0.1", port), 10);
        client.subscribe(SERVICE, QoS::AtLeastOnce).await?;
        wait_for(&mut events, |packet| matches!(packet, Packet::SubAck(_)).then_some(())).await?;
        tokio::select! {
            ended = respond(client, events) => ended,
            done = request(port, &[2.0, 9.0, 1764.0]) => done,
        }
    };
    timeout(Duration::from_secs(10), conversation).await??;
    broker.stop();
    Ok(())
}

/// Polls until `wanted` finds what it wants in a packet from the broker.
async fn wait_for<T>(
    events: &mut EventLoop,
    wanted: impl Fn(Packet) -> Option<T>,
) -> Result<T, Box<dyn Error>> {
    loop {
        if let Event::Incoming(packet) = events.poll().await?
            && let Some(found) = wanted(packet)
        {
            return Ok(found);
        }
    }
}

async fn next_message(events: &mut EventLoop) -> Result<Publish, Box<dyn Error>> {
    wait_for(events, |packet| if let Packet::Publish(publish) = packet { Some(publish) } else { None }).await
}

/// Answers requests for ever.
async fn respond(client: AsyncClient, mut events: EventLoop) -> Result<(), Box<dyn Error>> {
    loop {
        let request = next_message(&mut events).await?;
        let number: f64 = std::str::from_utf8(&request.payload)?.parse()?;
        let properties = request.properties.unwrap_or_default();
        // A request without a Response Topic wants no answer.
        if let Some(response_topic) = properties.response_topic {
            let properties = PublishProperties {
                correlation_data: properties.correlation_data,
                ..PublishProperties::default()
            };
            let answer = number.sqrt().to_string();
            client
                .publish_with_properties(response_topic, QoS::AtLeastOnce, false, answer, properties)
                .await?;
        }
    }
}

/// Sends a request for each number, and prints the answers.
async fn request(port: u16, numbers: &[f64]) -> Result<(), Box<dyn Error>> {
    let mut options = MqttOptions::new("requester", "127.0.0.1", port);
    options.set_request_response_info(Some(1));
    let (client, mut events) = AsyncClient::new(options, 10);
    let connack =
        wait_for(
            &mut events,
            |packet| if let Packet::ConnAck(connack) = packet { Some(connack) } else { None },
        );
    let response_topic =
        response_information(connack.await?).ok_or("the broker gave no Response Information")?;
    println!("responses come to {response_topic}");
    client.subscribe(&response_topic, QoS::AtLeastOnce).await?;

    let mut waiting = HashMap::new();
    for (correlation, number) in numbers.iter().enumerate() {
        let correlation = (correlation as u32).to_be_bytes().to_vec();
        let properties = PublishProperties {
            response_topic: Some(response_topic.clone()),
            correlation_data: Some(correlation.clone().into()),
            ..PublishProperties::default()
        };
        client
            .publish_with_properties(SERVICE, QoS::AtLeastOnce, false, number.to_string(), properties)
            .await?;
        waiting.insert(correlation, *number);
    }
    while !waiting.is_empty() {
        let response = next_message(&mut events).await?;
        let correlation = response.properties.and_then(|properties| properties.correlation_data);
        let correlation = correlation.ok_or("a response without Correlation Data")?;
        let number = waiting.remove(&correlation.to_vec()).ok_or("a response to nothing that was asked")?;
        let answer: f64 = std::str::from_utf8(&response.payload)?.parse()?;
        println!("the square root of {number} is {answer}");
        if (answer * answer - number).abs() > 1e-9 {
            return Err(format!("{answer} is not the square root of {number}").into());
        }
    }
    Ok(())
}

fn response_information(connack: ConnAck) -> Option<String> {
    connack.properties?.response_information
}
