//! `-D COMMAND NAME VALUE`: properties of MQTT 5.0, named as mosquitto's clients name them.
//!
//! A User Property has two values, its name and its value: `-D publish user-property colour red`. How many words
//! belong to `-D` is thus known only when NAME is read; [`join`] makes one word of them before clap sees them.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroU16;
use std::str::FromStr;

use clap::ArgAction;
use dunlin_codec::{TopicName, VARIABLE_BYTE_INTEGER_MAX};

use crate::client::{ClientOptions, DisconnectOptions, Properties, Secret, UserProperties};

/// Stands between the words of one `-D`. No argument of a program can hold it.
const SEPARATOR: char = '\0';

/// The properties that each command can be given.
const ALLOWED: [(&str, &[&str]); 6] = [
    (
        "connect",
        &[
            AUTHENTICATION_DATA,
            "authentication-method",
            "maximum-packet-size",
            "receive-maximum",
            "request-problem-information",
            "request-response-information",
            "session-expiry-interval",
            "topic-alias-maximum",
            USER_PROPERTY,
        ],
    ),
    (
        "publish",
        &[
            "content-type",
            "correlation-data",
            "message-expiry-interval",
            "payload-format-indicator",
            "response-topic",
            "topic-alias",
            USER_PROPERTY,
        ],
    ),
    ("subscribe", &["subscription-identifier", USER_PROPERTY]),
    ("unsubscribe", &[USER_PROPERTY]),
    ("disconnect", &["session-expiry-interval", USER_PROPERTY]),
    (
        "will",
        &[
            "content-type",
            "correlation-data",
            "message-expiry-interval",
            "payload-format-indicator",
            "response-topic",
            USER_PROPERTY,
            "will-delay-interval",
        ],
    ),
];

const USER_PROPERTY: &str = "user-property";
const AUTHENTICATION_DATA: &str = "authentication-data";

/// The properties of CONNECT.
#[derive(Debug, Default)]
pub struct ConnectSet {
    pub session_expiry_interval_s: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_packet_size: Option<u32>,
    pub topic_alias_maximum: Option<u16>,
    pub request_response_information: Option<bool>,
    pub request_problem_information: Option<bool>,
    pub authentication_method: Option<String>,
    pub authentication_data: Option<Secret>,
    pub user_properties: UserProperties,
}

/// All properties that are given.
#[derive(Debug, Default)]
pub struct PropertySet {
    pub connect: ConnectSet,
    pub publish: Properties,
    pub topic_alias: Option<NonZeroU16>,
    pub subscription_identifier: Option<u32>,
    pub subscribe: UserProperties,
    pub unsubscribe: UserProperties,
    pub disconnect: DisconnectOptions,
    pub will: Properties,
    pub will_delay_interval_s: Option<u32>,
}

/// Makes one word of all that belongs to each `-D` of this command.
pub fn join(arguments: Vec<OsString>, command: &clap::Command) -> Vec<OsString> {
    let mut joined = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "-D" || argument == "--property" {
            let mut words: Vec<_> = arguments.by_ref().take(3).collect();
            if words.get(1).is_some_and(|name| name == USER_PROPERTY) {
                words.extend(arguments.next());
            }
            let mut whole = OsString::from("--property=");
            whole.push(words.join(OsStr::new("\0")));
            joined.push(whole);
            continue;
        }
        let takes_value = takes_value(command, &argument);
        joined.push(argument);
        if takes_value {
            joined.extend(arguments.next());
        }
    }
    joined
}

/// Whether the next word is this option's value, whatever it looks like.
fn takes_value(command: &clap::Command, argument: &OsStr) -> bool {
    let Some(option) = argument.to_str().and_then(|text| text.strip_prefix('-')) else { return false };
    let is_it = |candidate: &&clap::Arg| match option.strip_prefix('-') {
        Some(long) => candidate.get_long() == Some(long),
        None => candidate.get_short().is_some_and(|short| option.chars().eq([short])),
    };
    command.get_arguments().find(is_it).is_some_and(|found| {
        matches!(found.get_action(), ArgAction::Set | ArgAction::Append)
            && found.get_num_args().is_none_or(|count| count.min_values() > 0)
    })
}

impl PropertySet {
    /// Reads what [`join`] has joined; only these commands are sent.
    ///
    /// # Errors
    /// A sentence that says what is wrong with which.
    pub fn parse(joined: &[Secret], commands: &[&str]) -> Result<Self, String> {
        let mut set = Self::default();
        for joined in joined {
            let joined = std::str::from_utf8(joined.as_bytes()).map_err(|_| "-D: must be UTF-8")?;
            let words: Vec<_> = joined.split(SEPARATOR).collect();
            // What authenticates must not be shown.
            let is_secret = words.get(1).is_some_and(|name| name.eq_ignore_ascii_case(AUTHENTICATION_DATA));
            let shown = words.iter().take(if is_secret { 2 } else { words.len() });
            let shown = shown.copied().collect::<Vec<_>>().join(" ");
            let wrong = |problem: String| format!("-D {shown}: {problem}");
            let [command, name, values @ ..] = &words[..] else {
                return Err(wrong(
                    "must be COMMAND NAME VALUE, such as publish content-type text/plain".into(),
                ));
            };
            let (command, name) = (command.to_ascii_lowercase(), name.to_ascii_lowercase());
            let allowed = ALLOWED.iter().find(|(known, _)| *known == command && commands.contains(known));
            let Some((_, allowed)) = allowed else {
                return Err(wrong(format!("must begin with one of {}", commands.join(", "))));
            };
            if !allowed.contains(&name.as_str()) {
                return Err(wrong(format!("{command} can have {}", allowed.join(", "))));
            }
            let values_needed = if name == USER_PROPERTY { 2 } else { 1 };
            if values.len() != values_needed {
                return Err(wrong(if values_needed == 2 {
                    "a user property has a name and a value".into()
                } else {
                    "the value is missing".into()
                }));
            }
            set.set(&command, &name, values).map_err(wrong)?;
        }
        if set.connect.authentication_data.is_some() && set.connect.authentication_method.is_none() {
            return Err("-D connect authentication-data: needs authentication-method, too".into());
        }
        Ok(set)
    }

    /// Whether there are any for the Will.
    pub fn has_will(&self) -> bool {
        !self.will.is_empty() || self.will_delay_interval_s.is_some()
    }

    fn set(&mut self, command: &str, name: &str, values: &[&str]) -> Result<(), String> {
        let value = values.first().copied().unwrap_or_default();
        if name == USER_PROPERTY {
            let list = match command {
                "connect" => &mut self.connect.user_properties,
                "publish" => &mut self.publish.user_properties,
                "subscribe" => &mut self.subscribe,
                "unsubscribe" => &mut self.unsubscribe,
                "disconnect" => &mut self.disconnect.user_properties,
                _ => &mut self.will.user_properties,
            };
            let second = values.get(1).copied().unwrap_or_default();
            list.push(text(value)?, text(second)?);
            return Ok(());
        }
        match (command, name) {
            ("connect", name) => return self.connect.set(name, value),
            ("publish", "topic-alias") => {
                self.topic_alias = Some(NonZeroU16::new(number(value, 1, u16::MAX)?).ok_or("must not be 0")?);
            }
            ("publish", name) => return set_of_message(&mut self.publish, name, value),
            ("subscribe", _) => {
                self.subscription_identifier = Some(number(value, 1, VARIABLE_BYTE_INTEGER_MAX)?);
            }
            ("disconnect", _) => {
                self.disconnect.session_expiry_interval_s = Some(number(value, 0, u32::MAX)?)
            }
            (_, "will-delay-interval") => self.will_delay_interval_s = Some(number(value, 0, u32::MAX)?),
            (_, name) => return set_of_message(&mut self.will, name, value),
        }
        Ok(())
    }
}

impl ConnectSet {
    /// Has CONNECT say them.
    pub fn apply(self, options: &mut ClientOptions) {
        options.session_expiry_interval_s = self.session_expiry_interval_s;
        options.receive_maximum = self.receive_maximum;
        options.maximum_packet_size = self.maximum_packet_size;
        options.topic_alias_maximum = self.topic_alias_maximum;
        options.request_response_information = self.request_response_information;
        options.request_problem_information = self.request_problem_information;
        options.authentication_method = self.authentication_method;
        options.authentication_data = self.authentication_data;
        options.user_properties = self.user_properties;
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            AUTHENTICATION_DATA => self.authentication_data = Some(Secret::from(text(value)?)),
            "authentication-method" => self.authentication_method = Some(text(value)?.to_owned()),
            "maximum-packet-size" => self.maximum_packet_size = Some(number(value, 1, u32::MAX)?),
            "receive-maximum" => self.receive_maximum = Some(number(value, 1, u16::MAX)?),
            "request-problem-information" => self.request_problem_information = Some(flag(value)?),
            "request-response-information" => self.request_response_information = Some(flag(value)?),
            "session-expiry-interval" => self.session_expiry_interval_s = Some(number(value, 0, u32::MAX)?),
            _ => self.topic_alias_maximum = Some(number(value, 0, u16::MAX)?),
        }
        Ok(())
    }
}

fn set_of_message(properties: &mut Properties, name: &str, value: &str) -> Result<(), String> {
    match name {
        "content-type" => properties.content_type = Some(text(value)?.to_owned()),
        "correlation-data" => properties.correlation_data = Some(text(value)?.as_bytes().to_vec()),
        "message-expiry-interval" => properties.message_expiry_interval_s = Some(number(value, 0, u32::MAX)?),
        "payload-format-indicator" => properties.payload_format_is_utf8 = Some(flag(value)?),
        _ => {
            let topic = TopicName::parse(value).map_err(|error| error.to_string())?;
            properties.response_topic = Some(topic.as_str().to_owned());
        }
    }
    Ok(())
}

/// A text that MQTT can carry.
fn text(value: &str) -> Result<&str, String> {
    if value.len() > usize::from(u16::MAX) {
        Err("must not have more than 65535 bytes".into())
    } else {
        Ok(value)
    }
}

fn number<T: FromStr + PartialOrd + Copy + std::fmt::Display>(
    value: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a number from {least} to {most}"))
}

fn flag(value: &str) -> Result<bool, String> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("must be 0 or 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn joined(words: &[&str]) -> Vec<String> {
        let command = <crate::cli::Cli as CommandFactory>::command();
        let arguments = words.iter().map(OsString::from).collect();
        let joined = join(arguments, command.find_subcommand("pub").unwrap());
        joined.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_words_of_a_property_become_one_and_nothing_else_does() {
        let words = [
            "-D",
            "publish",
            "user-property",
            "-t",
            "-D",
            "-m",
            "-D",
            "-D",
            "connect",
            "receive-maximum",
            "5",
            "-r",
        ];
        let expected = [
            "--property=publish\0user-property\0-t\0-D",
            "-m",
            "-D",
            "--property=connect\0receive-maximum\x005",
            "-r",
        ];
        assert_eq!(joined(&words), expected);
        assert_eq!(joined(&["--property", "will"]), ["--property=will"]);
    }

    fn parse(text: &str) -> Result<PropertySet, String> {
        let joined = Secret::from(text.replace(' ', "\0").as_str());
        PropertySet::parse(&[joined], &["connect", "publish", "disconnect", "will"])
    }

    #[test]
    fn each_property_goes_to_its_packet() {
        let set = parse("PUBLISH Content-Type text/plain").unwrap();
        assert_eq!(set.publish.content_type.as_deref(), Some("text/plain"));
        assert_eq!(parse("will will-delay-interval 5").unwrap().will_delay_interval_s, Some(5));
        assert_eq!(parse("connect receive-maximum 5").unwrap().connect.receive_maximum, Some(5));
        let set = parse("disconnect user-property a b").unwrap();
        assert!(set.disconnect.user_properties.iter().eq([("a", "b")]));
    }

    #[test]
    fn a_wrong_property_is_named_with_what_would_be_right() {
        for (text, problem) in [
            ("publish", "must be COMMAND NAME VALUE, such as publish content-type text/plain"),
            ("puback reason-string x", "must begin with one of connect, publish, disconnect, will"),
            (
                "subscribe subscription-identifier 1",
                "must begin with one of connect, publish, disconnect, will",
            ),
            ("disconnect content-type x", "disconnect can have session-expiry-interval, user-property"),
            ("publish user-property x", "a user property has a name and a value"),
            ("publish topic-alias 0", "must be a number from 1 to 65535"),
            ("publish topic-alias x", "must be a number from 1 to 65535"),
            ("publish payload-format-indicator 2", "must be 0 or 1"),
            ("publish response-topic a/#", "the Topic Name contains a wildcard"),
        ] {
            assert_eq!(parse(text).err(), Some(format!("-D {text}: {problem}")));
        }
        for command in ["connect", "publish"] {
            let error = parse(&format!("{command} authentication-data secret")).err().unwrap();
            assert!(error.starts_with(&format!("-D {command} authentication-data: ")), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
