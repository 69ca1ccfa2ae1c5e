//! Commands that write much, for somebody who reads the beginning of it.

use crate::support::dunlin::{command, directory};

#[test]
fn who_has_read_enough_is_told_of_no_broken_pipe() {
    let directory = directory();
    for arguments in [&["man"][..], &["completions", "bash"], &["check"], &["check", "--show"]] {
        let (reader, writer) = std::io::pipe().expect("the system has pipes");
        drop(reader);
        let mut command = command(directory.path(), arguments);
        let ended = command.stdout(writer).output().expect("cargo builds it for the tests");
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), error.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}
