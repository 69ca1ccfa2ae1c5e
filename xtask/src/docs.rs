//! `cargo xtask docs`: the sample configuration and the configuration reference, written from the
//! declarations of the options.
//!
//! The comparison lives in the broker's own test `tests/config.rs`, so that plain `cargo test` notices a
//! stale file. With `DUNLIN_BLESS=1` that test writes the files instead. This command therefore builds
//! nothing of its own, and xtask needs no dependency on the broker.

use anyhow::Result;

use crate::process::{self, cargo};

pub(crate) fn run(check: bool) -> Result<()> {
    let mut test = cargo("test -p dunlin --test config");
    if !check {
        test.env("DUNLIN_BLESS", "1");
    }
    process::run_tests(&mut test)?;
    Ok(())
}
