//! The document that results are written into.

use std::fs;
use std::path::PathBuf;

use crate::Error;
use crate::compare::{ComparedScenario, Comparison};
use crate::scenario::Scenario;

/// A document with places for results, between two lines each.
///
/// It is opened before a comparison runs, so that minutes of measuring do not end in a wrong path.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
}

/// A place for results in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Of brokers compared with each other.
    Brokers,
    /// Of what a store does.
    Store,
}

impl Section {
    /// The scenarios of a comparison whose results stand here.
    pub(super) fn scenarios(self, comparison: &Comparison) -> impl Iterator<Item = &ComparedScenario> {
        comparison.scenarios.iter().filter(move |compared| Self::of(&compared.scenario) == self)
    }

    /// Where the results of a scenario stand.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        if scenario.load.baselines().is_some() { Self::Store } else { Self::Brokers }
    }

    fn begin(self) -> &'static str {
        match self {
            Self::Brokers => "<!-- results: begin (written by dunlin-bench compare --markdown) -->",
            Self::Store => {
                "<!-- results of the store: begin (written by dunlin-bench compare --scenario store --markdown) -->"
            }
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Brokers => "<!-- results: end -->",
            Self::Store => "<!-- results of the store: end -->",
        }
    }
}

impl Document {
    /// The document in this file.
    ///
    /// # Errors
    /// When the file cannot be read, or lacks one of these places.
    pub fn open(path: PathBuf, sections: &[Section]) -> Result<Self, Error> {
        let document = Self { path };
        sections.iter().try_for_each(|&section| document.with_results(section, "").map(drop))?;
        Ok(document)
    }

    /// Replaces the results in one place of the document.
    ///
    /// # Errors
    /// When the file has changed so that it has no place for results, or cannot be written.
    pub fn write(&self, section: Section, results: &str) -> Result<(), Error> {
        let text = self.with_results(section, results)?;
        fs::write(&self.path, text).map_err(Error::io(format!("write {}", self.path.display())))
    }

    fn with_results(&self, section: Section, results: &str) -> Result<String, Error> {
        let path = self.path.display();
        let text = fs::read_to_string(&self.path).map_err(Error::io(format!("read {path}")))?;
        replace_results(&text, section, results).ok_or_else(|| {
            let (begin, end) = (section.begin(), section.end());
            Error::Usage(format!("{path} has no lines \"{begin}\" and \"{end}\""))
        })
    }
}

fn replace_results(text: &str, section: Section, results: &str) -> Option<String> {
    let (begin, end) = (section.begin(), section.end());
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", results.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_replace_those_before_and_leave_the_rest_of_the_document() {
        for section in [Section::Brokers, Section::Store] {
            let (begin, end) = (section.begin(), section.end());
            let document = format!("before\n{begin}\nold\n{end}\nafter\n");
            let replaced = replace_results(&document, section, "new\n").unwrap();
            assert_eq!(replaced, format!("before\n{begin}\nnew\n{end}\nafter\n"));
            assert_eq!(replace_results(&replaced, section, "new").unwrap(), replaced);
            assert_eq!(replace_results("no place", section, "new"), None);
        }
    }

    #[test]
    fn a_document_without_a_place_for_results_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("benchmarks.md");
        let open = || Document::open(path.clone(), &[Section::Brokers]);
        assert!(matches!(open(), Err(Error::Io { .. })));
        fs::write(&path, "nothing").unwrap();
        assert!(matches!(open(), Err(Error::Usage(_))));
        fs::write(&path, format!("{}{}", Section::Brokers.begin(), Section::Brokers.end())).unwrap();
        open().unwrap().write(Section::Brokers, "new").unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("new"));
        assert!(Document::open(path, &[Section::Store]).is_err(), "it has no place for a store");
    }
}
