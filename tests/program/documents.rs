//! `dunlin man` and `dunlin completions`.

use crate::support::dunlin::{command, directory};

#[test]
fn who_has_read_enough_of_a_document_is_told_of_no_broken_pipe() {
    let directory = directory();
    for arguments in [&["man"][..], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().expect("the system has pipes");
        drop(reader);
        let mut command = command(directory.path(), arguments);
        let ended = command.stdout(writer).output().expect("cargo builds it for the tests");
        let error = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), error.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}
