//! `cargo xtask docs`: the sample configuration and the configuration reference, written from the declarations of the
//! options, and what is said about options of mosquitto and recorded about its configurations.
//!
//! The comparison lives in the broker's own tests (`tests/config.rs`, `tests/import`), so that plain `cargo test`
//! notices a stale file. With `DUNLIN_BLESS=1` they write the files instead. This command therefore builds nothing of
//! its own, and xtask needs no dependency on the broker.

use anyhow::Result;

use crate::process::{self, cargo};

pub(crate) fn run(check: bool) -> Result<()> {
    let mut test = cargo("test -p dunlin --test config --test import");
    if !check {
        test.env("DUNLIN_BLESS", "1");
    }
    process::run_tests(&mut test)?;
    Ok(())
}
