//! Configurations of other brokers, translated into ours: `dunlin import`.
//!
//! A translation never admits or shows more than the other broker did. What cannot be said in `dunlin.toml` is told to
//! whoever runs the command, by file and line; where leaving it out would open something, that stays closed until a
//! person has looked.

pub mod mosquitto;
