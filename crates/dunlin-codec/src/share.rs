//! Shared Subscriptions (section 4.8.2): `$share/{ShareName}/{filter}`.
//!
//! What SUBSCRIBE and UNSUBSCRIBE carry is either a plain Topic Filter or one with a Share Name in front. The
//! prefix `$share/` is never part of a topic, and a string that begins with it and is no Shared Subscription
//! is refused, also in MQTT 3.x, where Shared Subscriptions are Dunlin's extension: a client that mistypes
//! one should be told.

use std::fmt;

use crate::scan::contains_null;
use crate::topic::{TopicError, TopicFilter};

const PREFIX: &str = "$share";

/// The name of a group of subscribers that shares messages: at least one character, no `/`, `+` or `#`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShareName<'a>(&'a str);

/// What SUBSCRIBE and UNSUBSCRIBE name: a Topic Filter, perhaps shared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SubscriptionFilter<'a> {
    /// The group, when this is a Shared Subscription.
    pub share_name: Option<ShareName<'a>>,
    /// What has to match, without `$share/{ShareName}/`.
    pub topic_filter: TopicFilter<'a>,
    whole: &'a str,
}

impl<'a> ShareName<'a> {
    /// Parses a Share Name on its own.
    ///
    /// # Errors
    /// When it is empty or contains `/`, `+`, `#` or U+0000.
    pub fn parse(name: &'a str) -> Result<Self, TopicError> {
        // spec(v5): [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        if name.is_empty() || name.contains(['/', '+', '#']) {
            return Err(TopicError::InvalidShareName);
        }
        if contains_null(name.as_bytes()) {
            return Err(TopicError::NullCharacter);
        }
        Ok(Self(name))
    }

    /// The name alone.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> SubscriptionFilter<'a> {
    /// Parses `$share/{ShareName}/{filter}` or a plain Topic Filter.
    ///
    /// # Errors
    /// When either part is invalid; `$share` without both parts is never taken for a plain filter.
    pub fn parse(whole: &'a str) -> Result<Self, TopicError> {
        let Some(shared) = after_prefix(whole) else {
            return Ok(Self { share_name: None, topic_filter: TopicFilter::parse(whole)?, whole });
        };
        // spec(v5): [MQTT-4.8.2-2]
        let (name, filter) = shared.split_once('/').ok_or(TopicError::InvalidShareName)?;
        let share_name = ShareName::parse(name)?;
        let topic_filter = TopicFilter::parse(filter).map_err(|error| match error {
            TopicError::Empty => TopicError::ShareWithoutTopicFilter,
            other => other,
        })?;
        Ok(Self { share_name: Some(share_name), topic_filter, whole })
    }

    /// The whole string as the client wrote it.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.whole
    }

    /// Whether this is a Shared Subscription.
    #[inline]
    #[must_use]
    pub const fn is_shared(self) -> bool {
        self.share_name.is_some()
    }
}

/// What follows `$share/`; the empty string for `$share` alone; `None` for a plain filter.
#[inline]
fn after_prefix(whole: &str) -> Option<&str> {
    let rest = whole.strip_prefix(PREFIX)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

impl fmt::Display for ShareName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for SubscriptionFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.whole)
    }
}
