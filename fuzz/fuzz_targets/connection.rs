//! A connection fed with arbitrary bytes, and other clients beside it.
//!
//! No panic, the others unaffected, memory bounded. What happens and what is asserted is in `crates/dunlin-core/tests/hostile/mod.rs`, which an ordinary
//! test uses too: `tests/arbitrary_bytes.rs`.
#![no_main]

#[path = "../../crates/dunlin-core/tests/hostile/mod.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::attack(bytes));
