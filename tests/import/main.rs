//! `dunlin import mosquitto`: what becomes of a mosquitto.conf.
//!
//! `cases/` has configurations and, beside each, what they come to. `options.txt` has every option of mosquitto; the
//! tests that go through it hold what must be so for all of them: nothing is passed over in silence, and whatever comes
//! out is a configuration.

mod outcomes;
mod promises;

use std::path::{Path, PathBuf};

use dunlin::Config;
use dunlin::config::Listener;
use dunlin::import::mosquitto::{ImportErrors, Translation, translate};
use tempfile::TempDir;

/// Where the tests of this program run: file names in the cases are relative to it.
fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A mosquitto.conf in a directory of its own.
struct Conf {
    directory: TempDir,
}

impl Conf {
    fn new(text: &str) -> Self {
        let conf = Self { directory: tempfile::tempdir().unwrap() };
        conf.with("mosquitto.conf", text)
    }

    /// Another file beside it.
    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// What it comes to, without the name of the directory.
    fn import(&self) -> Result<Translation, ImportErrors> {
        translate(&self.path().join("mosquitto.conf"), &project())
    }

    /// The configuration it comes to.
    fn config(&self) -> Config {
        accepted(&self.import().unwrap_or_else(|errors| panic!("{errors}")))
    }

    /// What is told of it, one line each, without the directory.
    fn remarks(&self) -> String {
        let translation = self.import().unwrap_or_else(|errors| panic!("{errors}"));
        accepted(&translation);
        self.shown(&lines(&translation.remarks))
    }

    /// Why it is refused.
    fn errors(&self) -> String {
        let errors = self.import().expect_err("it should be refused");
        self.shown(&errors.to_string())
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.path().display()), "")
    }
}

/// The output as a configuration: it always is one.
fn accepted(translation: &Translation) -> Config {
    Config::from_toml("dunlin.toml", &translation.toml)
        .unwrap_or_else(|errors| panic!("{errors}\n{}", translation.toml))
}

fn lines(remarks: &[dunlin::import::mosquitto::Remark]) -> String {
    remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

/// The listeners of a mosquitto.conf, as Dunlin would open them.
fn listeners(text: &str) -> Vec<Listener> {
    Conf::new(text).config().listeners()
}

/// The lines of `options.txt`: names and values.
fn every_option() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(project().join("tests/import/options.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options: Vec<_> =
        lines.map(|line| split(line).unwrap_or_else(|| panic!("{line} has no value"))).collect();
    assert!(options.len() > 100);
    options
}
