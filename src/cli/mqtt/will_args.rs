//! The options about the Will Message.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use clap::Args;
use dunlin_codec::QoS;

use super::connection_args::{qos, topic};
use super::property::PropertySet;
use crate::client::Will;

/// The Will Message, which the broker publishes if the client vanishes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Will")]
pub struct WillArgs {
    /// Its topic
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    will_topic: Option<String>,
    /// Its payload
    #[arg(long, value_name = "TEXT", requires = "will_topic", allow_hyphen_values = true)]
    will_payload: Option<OsString>,
    /// Its QoS
    #[arg(long, value_name = "N", requires = "will_topic", value_parser = qos)]
    will_qos: Option<QoS>,
    /// The broker shall retain it
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
}

impl WillArgs {
    /// The Will, with its properties.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn build(self, properties: &mut PropertySet) -> Result<Option<Will>, String> {
        let Some(topic) = self.will_topic else {
            return match properties.has_will() {
                true => Err("-D will: there is no Will; give it a topic with --will-topic".into()),
                false => Ok(None),
            };
        };
        let payload = self.will_payload.map(OsStringExt::into_vec).unwrap_or_default();
        if payload.len() > usize::from(u16::MAX) {
            return Err("--will-payload: must not have more than 65535 bytes".into());
        }
        Ok(Some(Will {
            topic,
            payload: payload.into(),
            qos: self.will_qos.unwrap_or_default(),
            retain: self.will_retain,
            delay_interval_s: properties.will_delay_interval_s,
            properties: std::mem::take(&mut properties.will),
        }))
    }
}
