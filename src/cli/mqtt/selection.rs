//! Which of the messages that come to `dunlin sub` count, and what SUBSCRIBE says about it.

use clap::{Args, ValueEnum};
use dunlin_codec::{ProtocolVersion, QoS, RetainHandling, SubscriptionOptions, TopicFilter, TopicName};

use crate::client::{ClientOptions, Message};

/// Which messages count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Pass over messages of these topics; repeat for several
    #[arg(short = 'T', long, value_name = "FILTER", value_parser = plain_filter, allow_hyphen_values = true)]
    filter_out: Vec<String>,
    /// Pass over Retained Messages
    #[arg(short = 'R', conflicts_with = "retained_only")]
    pub no_retained: bool,
    /// Only Retained Messages: end with the first other message
    #[arg(long)]
    pub retained_only: bool,
    /// Clear the Retained Messages that come
    #[arg(long)]
    pub remove_retained: bool,
    /// Messages say whether they were published with RETAIN [MQTT 5]
    #[arg(long)]
    retain_as_published: bool,
    /// When Retained Messages are sent: always, new (when the Subscription is), or never [default: always; MQTT 5]
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    retain_handling: Option<RetainedWhen>,
    /// Print so many in a hundred messages, by chance
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    random_filter: Option<f64>,
}

/// The words of `--retain-handling`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RetainedWhen {
    /// At every SUBSCRIBE
    Always,
    /// When the Subscription is new
    New,
    /// Not at all
    Never,
}

fn plain_filter(text: &str) -> Result<String, String> {
    TopicFilter::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.1..=100.0).contains(percent));
    percent.ok_or_else(|| "must be a number from 0.1 to 100".into())
}

impl SelectionArgs {
    /// What SUBSCRIBE says of each filter.
    ///
    /// # Errors
    /// A sentence that names an option that this version of MQTT has not.
    pub fn subscription_options(
        &self,
        qos: QoS,
        options: &ClientOptions,
    ) -> Result<SubscriptionOptions, String> {
        let is_5 = options.version == ProtocolVersion::V5;
        for (name, is_given) in [
            ("--retain-as-published", self.retain_as_published),
            ("--retain-handling", self.retain_handling.is_some()),
        ] {
            if is_given && !is_5 {
                return Err(format!("{name}: needs MQTT 5 (-V 5)"));
            }
        }
        let retain_handling = match self.retain_handling {
            Some(RetainedWhen::Always) => RetainHandling::SendAtSubscribe,
            Some(RetainedWhen::New) => RetainHandling::SendIfNew,
            Some(RetainedWhen::Never) => RetainHandling::DoNotSend,
            // Why have sent what is passed over? To be cleared.
            None if self.no_retained && !self.remove_retained && is_5 => RetainHandling::DoNotSend,
            None => RetainHandling::SendAtSubscribe,
        };
        let retain_as_published = self.retain_as_published;
        Ok(SubscriptionOptions { retain_handling, retain_as_published, ..SubscriptionOptions::with_qos(qos) })
    }

    /// Whether a message is passed over without a word.
    pub fn passes_over(&self, message: &Message) -> bool {
        let Ok(topic) = TopicName::parse(&message.topic) else { return true };
        let matches = |filter: &String| TopicFilter::parse(filter).is_ok_and(|filter| filter.matches(topic));
        self.filter_out.iter().any(matches)
    }

    /// Whether chance has it printed.
    pub fn is_chosen(&self) -> bool {
        self.random_filter.is_none_or(|percent| {
            let chance = getrandom::u32().unwrap_or(0);
            f64::from(chance) / f64::from(u32::MAX) * 100.0 < percent
        })
    }
}
