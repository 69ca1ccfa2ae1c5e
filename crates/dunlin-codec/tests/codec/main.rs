//! The tests of the codec, one program so that they share what generates packets.
//!
//! `vectors` are bytes and what is to become of them, written for readers of the specification; `tables`
//! holds the specification's tables once more and compares every entry; `connecting` is about the first
//! packet, `downgrade` about what older versions cannot say; `round_trip` and `topics` are property tests;
//! `oracle` compares with two other decoders.

mod connecting;
mod downgrade;
mod generate;
mod oracle;
mod round_trip;
mod tables;
mod topics;
mod vectors;
