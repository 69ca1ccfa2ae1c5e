//! A mosquitto.conf, read as mosquitto 2.0 and 2.1 read it and written as a dunlin.toml.
//!
//! The way of a line: `lines.rs` splits files, `table.rs` finds the option and what becomes of it (the options
//! themselves are in `general_options.rs`, `security_options.rs`, `listener_options.rs` and `bridge_options.rs`),
//! `reading.rs` notes what it says in a `Draft`, and `output.rs` has that written. `users.rs` looks into
//! password and ACL files, which Dunlin uses as they are.
//!
//! What must stay true:
//!
//! * The text is accepted by our own parser, whatever the file said.
//! * It admits nobody whom mosquitto did not admit, and shows nobody more. A listener of which that could not be said is
//!   written as a comment, with the reason in a remark.
//! * Every value names the line it came from. No line is passed over in silence: it is a value, a remark or a comment.
//! * Nothing that may be secret is repeated: values of options that have no equivalent are never shown.

mod lines;

mod table;
mod general_options;
mod security_options;
mod listener_options;
mod bridge_options;

mod draft;
mod reading;
mod value;

mod output;
mod plugins;
mod listener;
mod settings;
mod users;
mod toml_text;

pub mod reference;

use std::fmt;
use std::path::Path;

pub use lines::Place;

/// What a mosquitto.conf comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The text of a dunlin.toml.
    pub toml: String,
    /// What has no equivalent, or needs a look, in the order of the files.
    pub remarks: Vec<Remark>,
}

/// Something to tell about a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file and the line.
    pub place: Place,
    /// What there is to tell, and what to do.
    pub text: String,
}

/// Why a file cannot be translated: everything that is wrong with it. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportErrors(pub Vec<Remark>);

/// Translates the mosquitto.conf at `path`. Relative paths in it start at `directory`, where mosquitto would have been
/// started, or else where the file is.
///
/// # Errors
/// When a file cannot be read, or says what mosquitto would not accept either.
pub fn translate(path: &Path, directory: &Path) -> Result<Translation, ImportErrors> {
    let draft = reading::read(path, directory)?;
    let output = output::write(draft);
    if output.problems.is_empty() { Ok(output.translation) } else { Err(ImportErrors(output.problems)) }
}

impl Remark {
    fn new(place: &Place, text: impl Into<String>) -> Self {
        Self { place: place.clone(), text: text.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

impl fmt::Display for ImportErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ImportErrors {}
