//! A packet as names and printed values, the same for all decoders.

use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Debug, PartialEq, Default)]
pub(crate) struct Description(BTreeMap<&'static str, String>);

impl Description {
    pub(crate) fn of(packet_type: &'static str) -> Self {
        Self::default().with("packet", packet_type)
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Debug) -> Self {
        let former = self.0.insert(name, format!("{value:?}"));
        assert!(former.is_none(), "{name} is described twice");
        self
    }

    /// Adds a field if it is present.
    pub(crate) fn maybe(self, name: &'static str, value: Option<impl Debug>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// Name-value pairs as borrowed strings, whatever holds them.
pub(crate) fn pairs<S: AsRef<str>>(properties: &[(S, S)]) -> Vec<(&str, &str)> {
    properties.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect()
}
