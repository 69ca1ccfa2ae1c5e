//! What a case says about its broker, as the core takes it: settings, rules, credentials, and two
//! Authentication Methods.

use crate::script::Setup;
use crate::value::Value;
use dunlin_codec::{QoS, ReasonCode, SubscriptionFilter};
use dunlin_core::authenticate::{Mechanism, Mechanisms, Step};
use dunlin_core::authorize::{Authorizer, Who};
use dunlin_core::handshake::{Handshake, Next};
use dunlin_core::identity::Identity;
use dunlin_core::settings::{OverflowPolicy, SessionExpiryInterval, Settings};

/// What CONNACK announces with these settings, where it is not the protocol's default.
pub fn announced(settings: &Settings) -> Vec<(String, Value)> {
    let number = |name: &str, value: u64| (name.to_owned(), Value::Number(value));
    let mut announced = vec![number("maximum_packet_size", u64::from(settings.maximum_packet_size_bytes))];
    if settings.receive_maximum < u16::MAX {
        announced.push(number("receive_maximum", u64::from(settings.receive_maximum)));
    }
    if settings.topic_alias_maximum > 0 {
        announced.push(number("topic_alias_maximum", u64::from(settings.topic_alias_maximum)));
    }
    announced
}

/// Judges the credentials of a CONNECT.
pub fn verify(handshake: &mut Handshake, credentials: Option<&(String, Vec<u8>)>) -> Next {
    let Some(request) = handshake.request() else {
        return handshake.refuse(ReasonCode::UnspecifiedError, "no request");
    };
    let user_name = request.user_name.clone();
    let is_known = credentials.is_none_or(|(known, password)| {
        user_name.as_deref() == Some(known)
            && request.password.as_ref().is_some_and(|given| given.as_bytes() == password)
    });
    if is_known {
        handshake.accept(Identity { user_name, ..Identity::default() })
    } else {
        handshake.refuse(ReasonCode::BadUserNameOrPassword, "wrong user name or password")
    }
}

/// The settings of a case. The error names one that does not exist.
pub fn settings(setup: &Setup, is_durable: bool) -> Result<Settings, String> {
    let mut settings = Settings { durable: is_durable, ..Settings::default() };
    for (name, value) in &setup.settings {
        set(&mut settings, name, value).ok_or_else(|| format!("`{name}={value}` is no setting"))?;
    }
    Ok(settings)
}

/// Sets the setting that a script names as `Settings` does.
fn set(settings: &mut Settings, name: &str, value: &str) -> Option<()> {
    match name {
        "maximum_packet_size_bytes" => settings.maximum_packet_size_bytes = value.parse().ok()?,
        "receive_maximum" => settings.receive_maximum = value.parse().ok()?,
        "topic_alias_maximum" => settings.topic_alias_maximum = value.parse().ok()?,
        "server_topic_aliases" => settings.server_topic_aliases = value.parse().ok()?,
        "inflight_max" => settings.inflight_max = value.parse().ok()?,
        "queued_messages_max" => settings.queued_messages_max = value.parse().ok()?,
        "queued_bytes_max" => settings.queued_bytes_max = value.parse().ok()?,
        "overflow" => {
            settings.overflow = match value {
                "drop_oldest" => OverflowPolicy::DropOldest,
                "drop_newest" => OverflowPolicy::DropNewest,
                "disconnect" => OverflowPolicy::Disconnect,
                _ => return None,
            }
        }
        "session_expiry_max" => {
            settings.session_expiry_max = SessionExpiryInterval::from_seconds(value.parse().ok()?)
        }
        "subscriptions_max" => settings.subscriptions_max = value.parse().ok()?,
        "subscription_bytes_max" => settings.subscription_bytes_max = value.parse().ok()?,
        "sessions_max" => settings.sessions_max = value.parse().ok()?,
        "keep_alive_max_s" => settings.keep_alive_max_s = value.parse().ok()?,
        "topic_length_max" => settings.topic_length_max = value.parse().ok()?,
        "topic_levels_max" => settings.topic_levels_max = value.parse().ok()?,
        "retained_messages_max" => settings.retained_messages_max = value.parse().ok()?,
        "retained_bytes_max" => settings.retained_bytes_max = value.parse().ok()?,
        "body_memory_bytes" => settings.body_memory_bytes = value.parse().ok()?,
        "memory_bytes_max" => settings.memory_bytes_max = value.parse().ok()?,
        "outbox_bytes_max" => settings.outbox_bytes_max = value.parse().ok()?,
        "response_information" => settings.response_information = Some(value.to_owned()),
        "durable" => settings.durable = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

/// The `denied` lines of a case.
pub struct Rules(pub Vec<(String, String)>);

impl Rules {
    fn allow(&self, action: &str, topic: &str) -> bool {
        !self.0.iter().any(|(denied, name)| denied == action && name == topic)
    }
}

impl Authorizer for Rules {
    fn rules_version(&self) -> u64 {
        1
    }

    fn may_publish(&self, _who: Who<'_>, topic: &str, _qos: QoS, _retain: bool) -> bool {
        self.allow("publish", topic)
    }

    fn may_subscribe(&self, _who: Who<'_>, filter: SubscriptionFilter<'_>) -> Option<QoS> {
        self.allow("subscribe", filter.topic_filter.as_str()).then_some(QoS::ExactlyOnce)
    }

    fn may_receive(&self, _who: Who<'_>, topic: &str) -> bool {
        self.allow("receive", topic)
    }
}

/// Two Authentication Methods: `OPEN` believes everybody at once, `QUESTION` asks once and wants the answer
/// `42`.
#[derive(Debug)]
pub struct Questions;

impl Mechanisms for Questions {
    fn begin(&self, method: &str) -> Option<Box<dyn Mechanism>> {
        match method {
            "OPEN" => Some(Box::new(Question { was_asked: true, answer: None })),
            "QUESTION" => Some(Box::new(Question { was_asked: false, answer: Some(b"42") })),
            _ => None,
        }
    }
}

struct Question {
    was_asked: bool,
    answer: Option<&'static [u8]>,
}

impl Mechanism for Question {
    fn step(&mut self, data: Option<&[u8]>) -> Step {
        if !std::mem::replace(&mut self.was_asked, true) {
            return Step::Continue(b"what is it?".to_vec());
        }
        if self.answer.is_none_or(|answer| data == Some(answer)) {
            Step::Success { data: self.answer.map(|_| b"so it is".to_vec()), identity: Identity::default() }
        } else {
            Step::Refuse(ReasonCode::NotAuthorized)
        }
    }
}
