//! The password and ACL files that a mosquitto.conf names: Dunlin uses them as they are, if it understands every line.
//!
//! Each line is judged alone, so that all that would keep Dunlin from loading a file are told at once. No remark holds
//! a password or a hash: it says what the loader says, which never does.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Remark;
use super::draft::Written;
use super::lines::{self, Place};
use crate::auth::{Acl, FileError, PasswordFile};

/// Tells what is wrong with a password file.
pub(super) fn check_passwords(file: &Written<PathBuf>) -> Vec<Remark> {
    check("password_file", file, |bytes, path| PasswordFile::parse(bytes, path).err())
}

/// Tells what is wrong with an ACL file.
pub(super) fn check_rules(file: &Written<PathBuf>) -> Vec<Remark> {
    if file.value.extension().is_some_and(|extension| extension == "toml") {
        let text =
            "acl_file: a name that ends in .toml means rules in TOML to Dunlin; give the file another name";
        return vec![Remark::new(&file.place, text)];
    }
    check("acl_file", file, |bytes, path| Acl::parse(bytes, path).err())
}

fn check<P: fmt::Display>(
    option: &str,
    file: &Written<PathBuf>,
    parse: impl Fn(&[u8], &Path) -> Option<FileError<P>>,
) -> Vec<Remark> {
    let path = &file.value;
    let bytes = match lines::bytes(path) {
        Ok(bytes) => bytes,
        Err(problem) => {
            let text = format!("{option}: {} {problem}; Dunlin must be able to read it", path.display());
            return vec![Remark::new(&file.place, text)];
        }
    };
    let place = Place::file(path);
    let told = |line: usize, problem: String| {
        Remark::new(&place.line(line), format!("{problem} (Dunlin loads the file when this is put right)"))
    };
    let mut remarks: Vec<_> = (1..)
        .zip(bytes.split(|byte| *byte == b'\n'))
        .filter_map(|(number, line)| Some(told(number, problem(parse(line, path)?))))
        .collect();
    // What no line shows alone, such as a user who is there twice.
    if remarks.is_empty()
        && let Some(FileError::Line { line, problem, .. }) = parse(&bytes, path)
    {
        remarks.push(told(line as usize, problem.to_string()));
    }
    remarks
}

fn problem<P: fmt::Display>(error: FileError<P>) -> String {
    match error {
        FileError::Line { problem, .. } => problem.to_string(),
        FileError::NotUtf8 { .. } => "is not UTF-8; save the file in that encoding".to_owned(),
        FileError::Unreadable { .. } | FileError::TooLarge { .. } => error.to_string(),
    }
}
