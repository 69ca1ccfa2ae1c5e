//! Topic Aliases of one Network Connection (5.0 section 3.3.2.3.4). They end with it.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::num::NonZeroU16;

/// Aliases the client has set: what an alias stands for.
#[derive(Debug, Default)]
pub struct ClientAliases {
    topics: Vec<Box<str>>,
}

impl ClientAliases {
    /// Sets or replaces an alias, which the caller has found to be within Topic Alias Maximum.
    // spec(v5): [MQTT-3.3.2-12]
    pub fn set(&mut self, alias: NonZeroU16, topic: &str) {
        let position = usize::from(alias.get()) - 1;
        if self.topics.len() <= position {
            self.topics.resize_with(position + 1, Box::default);
        }
        if let Some(place) = self.topics.get_mut(position) {
            *place = topic.into();
        }
    }

    /// Whether none was set.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The Topic Name an alias stands for.
    pub fn get(&self, alias: NonZeroU16) -> Option<&str> {
        self.topics.get(usize::from(alias.get()) - 1).map(|topic| &**topic).filter(|topic| !topic.is_empty())
    }
}

/// A longer topic gets no alias.
const ALIASED_TOPIC_BYTES_MAX: usize = 512;

/// Aliases the Server has set: the first topics sent get the aliases there are.
#[derive(Debug)]
pub struct ServerAliases {
    aliases: HashMap<Box<str>, NonZeroU16, FixedState>,
    maximum: u16,
}

/// How a topic is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// In full; no alias is free.
    None,
    /// In full, with its new alias.
    New(NonZeroU16),
    /// By its alias alone.
    Known(NonZeroU16),
}

impl ServerAliases {
    /// Up to `maximum` aliases.
    pub fn new(maximum: u16) -> Self {
        Self { aliases: HashMap::with_hasher(FixedState::default()), maximum }
    }

    /// How to send a topic.
    // spec(v5): [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
    pub fn of(&mut self, topic: &str) -> Alias {
        // Every client keeps its own copies of its aliases' topics.
        if topic.len() > ALIASED_TOPIC_BYTES_MAX {
            return Alias::None;
        }
        if let Some(alias) = self.aliases.get(topic) {
            return Alias::Known(*alias);
        }
        let next = u16::try_from(self.aliases.len() + 1).ok().filter(|next| *next <= self.maximum);
        match next.and_then(NonZeroU16::new) {
            Some(alias) => {
                self.aliases.insert(topic.into(), alias);
                Alias::New(alias)
            }
            None => Alias::None,
        }
    }

    /// The alias that [`Self::of`] just gave this topic was not sent after all.
    pub fn give_back(&mut self, topic: &str) {
        self.aliases.remove(topic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(number: u16) -> NonZeroU16 {
        NonZeroU16::new(number).unwrap()
    }

    #[test]
    fn a_client_alias_can_be_set_again_and_one_never_set_stands_for_nothing() {
        let mut aliases = ClientAliases::default();
        aliases.set(alias(3), "a");
        assert_eq!(aliases.get(alias(3)), Some("a"));
        assert_eq!(aliases.get(alias(2)), None);
        assert_eq!(aliases.get(alias(9)), None);
        aliases.set(alias(3), "b");
        assert_eq!(aliases.get(alias(3)), Some("b"));
    }

    #[test]
    fn the_server_sends_a_topic_in_full_once_and_stops_at_the_maximum() {
        let mut aliases = ServerAliases::new(1);
        assert_eq!(aliases.of("a"), Alias::New(alias(1)));
        assert_eq!(aliases.of("a"), Alias::Known(alias(1)));
        assert_eq!(aliases.of("b"), Alias::None);
    }
}
