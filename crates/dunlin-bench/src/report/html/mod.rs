//! The report as one HTML file: it asks for nothing else, so that it opens offline and can be sent around.
//!
//! [`html`] writes the page: the machine and the settings, a table of brokers, and for each scenario its plots and,
//! where a line of that table does not hold them, its figures. Style sheet and plots are in the file. What it says is
//! what the other reports say; what it adds are the course of each run and its percentiles.

mod course;
mod markup;
mod page;
mod percentiles;
mod plot;
mod results;
mod scale;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

pub use page::{Subject, html};

use crate::Error;

/// A file for a report.
///
/// It is opened before anything runs, so that minutes of measuring do not end in a wrong path.
#[derive(Debug)]
pub struct HtmlFile {
    path: PathBuf,
}

impl HtmlFile {
    /// The file of this name; what was in it stays until there is something new.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: PathBuf) -> Result<Self, Error> {
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        opened.map_err(Error::io(format!("write {}", path.display())))?;
        Ok(Self { path })
    }

    /// Writes the report.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, html: &str) -> Result<(), Error> {
        fs::write(&self.path, html).map_err(Error::io(format!("write {}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_written_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(HtmlFile::open(directory.path().join("no/such.html")), Err(Error::Io { .. })));
        let path = directory.path().join("report.html");
        fs::write(&path, "the last one").unwrap();
        let file = HtmlFile::open(path.clone()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "the last one");
        file.write("new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }
}
