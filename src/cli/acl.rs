//! `dunlin acl test`: may this client do that, and which line says so?
//!
//! The answer is the one a broker would give, from the same rules. Exit status 0 says that it may, 1 that it may
//! not; whatever keeps the question from being answered ends with 2, so that no script takes it for an answer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand, ValueEnum, value_parser};
use dunlin_codec::{SubscriptionFilter, TopicName};
use dunlin_core::settings::Settings;

use super::{EXIT_BAD_CONFIGURATION, bad_configuration, sources};
use crate::auth::{Acl, Question, Who};
use crate::config::{Config, ConfigErrors, Flags, ListenerUrl};

/// What shall be done with rules.
#[derive(Debug, Subcommand)]
pub enum AclCommand {
    /// Say whether a client may do something, and which line of which file decides
    #[command(after_help = "Exit status: 0 if it may, 1 if it may not, 2 if that cannot be said.\n\n\
        Example:\n  dunlin acl test --config /etc/dunlin/dunlin.toml --user anna publish home/kitchen\n  \
        dunlin acl test --acl-file rules.toml --user anna --client lamp-7 subscribe 'home/#'")]
    Test(AclTest),
}

/// A question about the rules.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rules").required(true).args(["config", "acl_file"])))]
pub struct AclTest {
    /// Configuration file (TOML) that names the rules
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file with rules, without a configuration
    #[arg(long, value_name = "FILE")]
    acl_file: Option<PathBuf>,
    /// The listener that the client comes through, as configured [default: what `[auth]` says]
    #[arg(long, value_name = "URL", conflicts_with = "acl_file")]
    listener: Option<String>,
    /// The user name that the client has proven [default: an anonymous client]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The client identifier; without it, rules with %c grant nothing
    #[arg(long, value_name = "ID", default_value = "")]
    client: String,
    /// The QoS of the message or the subscription
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(0..=2))]
    qos: Option<u8>,
    /// The message is to be retained
    #[arg(long)]
    retain: bool,
    /// What the client wants to do
    action: Action,
    /// A topic, or for `subscribe` a topic filter, also of a shared subscription
    topic: String,
}

/// What a client may want to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Send a message to the topic, also as its Will
    Publish,
    /// Subscribe to the topic filter
    Subscribe,
    /// Be sent a message of the topic
    Receive,
}

/// Why there is no answer.
enum Problem {
    /// The configuration cannot be used.
    Config(ConfigErrors),
    /// Another sentence.
    Other(String),
}

impl AclCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let Self::Test(test) = self;
        match test.answer() {
            Ok((allowed, sentence)) => {
                println!("{sentence}");
                if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(Problem::Config(errors)) => bad_configuration(&errors),
            Err(Problem::Other(sentence)) => {
                eprintln!("dunlin: {sentence}");
                ExitCode::from(EXIT_BAD_CONFIGURATION)
            }
        }
    }
}

impl AclTest {
    /// Whether the client may, and why.
    fn answer(&self) -> Result<(bool, String), Problem> {
        let question = self.question().map_err(Problem::Other)?;
        // The core refuses it whatever the rules say.
        if self.action == Action::Publish && Settings::is_reserved(&self.topic) {
            return Ok((false, "denied: only the server publishes to $SYS".to_owned()));
        }
        let Some(acl) = self.acl()? else {
            let sentence = "allowed: no acl_file is configured here, so every client may use every topic";
            return Ok((true, sentence.to_owned()));
        };
        let who = Who { client_identifier: &self.client, user_name: self.user.as_deref() };
        let explanation = acl.explain(&who, question);
        let mut sentence = explanation.to_string();
        let is_lowered = self.qos.is_some_and(|qos| qos > explanation.maximum_qos);
        if self.action == Action::Subscribe && explanation.allowed && is_lowered {
            sentence += &format!(" (at QoS {})", explanation.maximum_qos);
        }
        Ok((explanation.allowed, sentence))
    }

    fn question(&self) -> Result<Question<'_>, String> {
        if self.retain && self.action != Action::Publish {
            return Err("--retain is about messages that are published; leave it out here".to_owned());
        }
        if self.qos.is_some() && self.action == Action::Receive {
            return Err("--qos plays no role for what is received; leave it out here".to_owned());
        }
        let topic = &*self.topic;
        let problem = match self.action {
            Action::Subscribe => SubscriptionFilter::parse(topic).err(),
            Action::Publish | Action::Receive => TopicName::parse(topic).err(),
        };
        if let Some(problem) = problem {
            return Err(format!("{topic:?} cannot be asked about: {problem}"));
        }
        let question = match self.action {
            Action::Publish => Question::publish(topic).retained(self.retain),
            Action::Subscribe => Question::subscribe(topic),
            Action::Receive => Question::receive(topic),
        };
        Ok(question.at_qos(self.qos.unwrap_or(0)))
    }

    /// The rules; none where everything is allowed.
    fn acl(&self) -> Result<Option<Acl>, Problem> {
        let path = match &self.acl_file {
            Some(path) => Some(path.clone()),
            None => {
                let sources = sources(self.config.clone(), Flags::default());
                let config = sources.load().map_err(Problem::Config)?;
                self.acl_file_of(&config).map_err(Problem::Other)?
            }
        };
        path.map(|path| Acl::load(path).map_err(|error| Problem::Other(error.to_string()))).transpose()
    }

    fn acl_file_of(&self, config: &Config) -> Result<Option<PathBuf>, String> {
        let Some(text) = &self.listener else {
            return Ok(config.auth.acl_file.clone());
        };
        let url = ListenerUrl::parse(text).map_err(|problem| format!("--listener {text}: {problem}"))?;
        let listeners = config.listeners();
        match listeners.iter().find(|listener| listener.url == url) {
            Some(listener) => Ok(listener.auth.acl_file.clone()),
            None => {
                let urls: Vec<_> = listeners.iter().map(|listener| listener.url.to_string()).collect();
                Err(format!("--listener {text}: there is none with this URL, but {}", urls.join(", ")))
            }
        }
    }
}
