//! Topic Names and Topic Filters (section 4.7): what may be published to, and what may be subscribed to.
//!
//! Both are borrowed strings that were parsed once; who holds one need not check it again. Nothing is ever
//! normalised: `/a`, `a` and `a/` are three topics, an empty level is a level, and case counts
//! ([MQTT-4.7.3-4]).
//!
//! [`TopicFilter::matches`] is the definition of matching in its plainest form. The router finds the same
//! answers in sublinear time and is tested against it.

use std::fmt;

use crate::error::MalformedPacket;
use crate::reason_code::ReasonCode;
use crate::scan::{contains_null, contains_null_or_wildcard};

/// The longest topic in bytes: what a UTF-8 Encoded String can hold.
const LENGTH_MAX: usize = 65_535;

/// The topic an Application Message is published to: at least one byte, no wildcards, no U+0000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicName<'a>(&'a str);

/// What a Subscription asks for: a topic in which `+` may stand for one level and a final `#` for any number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicFilter<'a>(&'a str);

/// Why a string is no Topic Name, Topic Filter or Share Name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicError {
    /// It has no characters.
    Empty,
    /// It has more than 65,535 bytes.
    TooLong,
    /// It contains U+0000.
    NullCharacter,
    /// It is a Topic Name and contains `+` or `#`.
    Wildcard,
    /// `+` does not fill its level, or `#` does not fill the last level.
    MisplacedWildcard,
    /// It begins with `$share/`, but the Share Name is empty, contains `+` or `#`, or no `/` follows it.
    InvalidShareName,
    /// The Share Name is not followed by a Topic Filter.
    ShareWithoutTopicFilter,
}

impl<'a> TopicName<'a> {
    /// Parses a Topic Name.
    ///
    /// # Errors
    /// When the string is empty, too long, or contains a wildcard or U+0000.
    #[inline]
    pub fn parse(topic: &'a str) -> Result<Self, TopicError> {
        // spec(v5): [MQTT-4.7.3-1]
        // spec(v3.1.1): [MQTT-4.7.3-1]
        if topic.is_empty() {
            return Err(TopicError::Empty);
        }
        // spec(v5): [MQTT-4.7.3-3]
        // spec(v3.1.1): [MQTT-4.7.3-3]
        if topic.len() > LENGTH_MAX {
            return Err(TopicError::TooLong);
        }
        if contains_null_or_wildcard(topic.as_bytes()) {
            Err(reserved_character(topic))
        } else {
            Ok(Self(topic))
        }
    }

    /// The whole topic.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels between the separators; `/a` has two, the first of them empty.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('/')
    }

    /// How many levels there are, at least 1.
    #[must_use]
    pub fn level_count(self) -> usize {
        level_count(self.0)
    }

    /// Whether the topic begins with `$`, so that no filter with a leading wildcard matches it.
    #[inline]
    #[must_use]
    pub fn is_system(self) -> bool {
        self.0.as_bytes().first() == Some(&b'$')
    }
}

impl<'a> TopicFilter<'a> {
    /// Parses a Topic Filter. `$share/` has no meaning here; see
    /// [`SubscriptionFilter`](crate::SubscriptionFilter).
    ///
    /// # Errors
    /// When the string is empty, too long, contains U+0000, or has a wildcard where none may stand.
    pub fn parse(filter: &'a str) -> Result<Self, TopicError> {
        // spec(v5): [MQTT-4.7.3-1]
        // spec(v3.1.1): [MQTT-4.7.3-1]
        if filter.is_empty() {
            return Err(TopicError::Empty);
        }
        // spec(v5): [MQTT-4.7.3-3]
        // spec(v3.1.1): [MQTT-4.7.3-3]
        if filter.len() > LENGTH_MAX {
            return Err(TopicError::TooLong);
        }
        if contains_null_or_wildcard(filter.as_bytes()) {
            Self::parse_wildcards(filter)
        } else {
            Ok(Self(filter))
        }
    }

    fn parse_wildcards(filter: &'a str) -> Result<Self, TopicError> {
        // spec(v5): [MQTT-4.7.3-2]
        // spec(v3.1.1): [MQTT-4.7.3-2]
        if contains_null(filter.as_bytes()) {
            return Err(TopicError::NullCharacter);
        }
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let is_last = levels.peek().is_none();
            let is_sound = match level {
                // spec(v5): [MQTT-4.7.1-1]
                // spec(v3.1.1): [MQTT-4.7.1-2]
                "#" => is_last,
                "+" => true,
                // spec(v5): [MQTT-4.7.1-2]
                // spec(v3.1.1): [MQTT-4.7.1-3]
                _ => !level.contains(['+', '#']),
            };
            if !is_sound {
                return Err(TopicError::MisplacedWildcard);
            }
        }
        Ok(Self(filter))
    }

    /// The whole filter.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The levels between the separators, wildcards included.
    #[inline]
    pub fn levels(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('/')
    }

    /// How many levels there are, at least 1.
    #[must_use]
    pub fn level_count(self) -> usize {
        level_count(self.0)
    }

    /// Whether it contains `+` or `#`.
    #[must_use]
    pub fn has_wildcards(self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Whether this filter matches that topic (section 4.7). A plain walk over both; the router is faster.
    #[must_use]
    pub fn matches(self, topic: TopicName<'_>) -> bool {
        // spec(v5): [MQTT-4.7.2-1]
        // spec(v3.1.1): [MQTT-4.7.2-1]
        if topic.is_system() && self.0.starts_with(['+', '#']) {
            return false;
        }
        // spec(v5): [MQTT-4.7.3-4]
        // spec(v3.1.1): [MQTT-4.7.3-4]
        let mut topic_levels = topic.levels();
        for level in self.levels() {
            if level == "#" {
                return true;
            }
            match topic_levels.next() {
                Some(topic_level) if level == "+" || level == topic_level => {}
                _ => return false,
            }
        }
        topic_levels.next().is_none()
    }
}

/// Why a Topic Name that contains U+0000, `+` or `#` is none.
#[cold]
fn reserved_character(topic: &str) -> TopicError {
    if contains_null(topic.as_bytes()) {
        // spec(v5): [MQTT-4.7.3-2]
        // spec(v3.1.1): [MQTT-4.7.3-2]
        TopicError::NullCharacter
    } else {
        // spec(v5): [MQTT-4.7.0-1]
        // spec(v3.1.1): [MQTT-4.7.1-1]
        TopicError::Wildcard
    }
}

fn level_count(topic: &str) -> usize {
    topic.as_bytes().iter().filter(|&&byte| byte == b'/').count().saturating_add(1)
}

impl fmt::Display for TopicName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl TopicError {
    const fn detail(self) -> &'static str {
        match self {
            Self::Empty => "the topic is empty",
            Self::TooLong => "the topic has more than 65,535 bytes",
            Self::NullCharacter => "the topic contains U+0000",
            Self::Wildcard => "the Topic Name contains a wildcard",
            Self::MisplacedWildcard => {
                "a wildcard of the Topic Filter does not fill a level, or # is not the last"
            }
            Self::InvalidShareName => "the ShareName is empty, contains a wildcard, or no / follows it",
            Self::ShareWithoutTopicFilter => "no Topic Filter follows the ShareName",
        }
    }

    /// The violation when this topic stands where a Topic Name belongs.
    #[cold]
    pub(crate) const fn in_topic_name(self) -> MalformedPacket {
        let statement = match self {
            // A string with U+0000 is malformed before it is a topic.
            Self::NullCharacter => return MalformedPacket::malformed("MQTT-1.5.4-2", self.detail()),
            Self::Empty => "MQTT-4.7.3-1",
            Self::TooLong => "MQTT-4.7.3-3",
            _ => "MQTT-3.3.2-2",
        };
        MalformedPacket::new(ReasonCode::TopicNameInvalid, statement, self.detail())
    }

    /// The violation when this topic stands where a Topic Filter belongs.
    #[cold]
    pub(crate) const fn in_topic_filter(self) -> MalformedPacket {
        let statement = match self {
            Self::NullCharacter => return MalformedPacket::malformed("MQTT-1.5.4-2", self.detail()),
            Self::Empty => "MQTT-4.7.3-1",
            Self::TooLong => "MQTT-4.7.3-3",
            Self::Wildcard | Self::MisplacedWildcard => "MQTT-4.7.1-1",
            Self::InvalidShareName => "MQTT-4.8.2-1",
            Self::ShareWithoutTopicFilter => "MQTT-4.8.2-2",
        };
        MalformedPacket::new(ReasonCode::TopicFilterInvalid, statement, self.detail())
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail())
    }
}

impl std::error::Error for TopicError {}
