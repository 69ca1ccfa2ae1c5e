//! `cargo xtask spec`: each statement of the specification, the code that decides it and the test that shows
//! it.
//!
//! `spec/*.tsv` lists the normative statements of MQTT 5.0 and 3.1.1 in our own words. Code and tests cite
//! them in comments, `// spec(v5): [MQTT-3.3.1-2]`, and this command joins the two into `docs/compliance.md`.
//! What must stay true: a statement that binds a Server has code and a test, or an exception with its reason.
//!
//! `table.rs` reads the tables, `citations.rs` finds the comments, `scopes.rs` (on `tokens.rs`) names the
//! function around one, and `report.rs` joins and writes.

mod citations;
mod report;
mod scopes;
mod table;
mod tokens;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::process::root;
use report::Report;
use table::Table;

/// Where citations are looked for.
const SCANNED: [&str; 3] = ["crates", "src", "tests"];

const REPORT: &str = "docs/compliance.md";

/// A version of the specification. Most identifiers exist in both, often with different meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V5,
    V3_1_1,
}

impl Version {
    const ALL: [Version; 2] = [Version::V5, Version::V3_1_1];

    /// As a citation writes it: `spec(v5)`.
    fn cited_as(self) -> &'static str {
        match self {
            Version::V5 => "v5",
            Version::V3_1_1 => "v3.1.1",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Version::V5 => "MQTT 5.0",
            Version::V3_1_1 => "MQTT 3.1.1",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Version::V5 => "spec/mqtt5.tsv",
            Version::V3_1_1 => "spec/mqtt311.tsv",
        }
    }
}

/// Writes the report, or with `check` compares it and demands that it is complete.
pub(crate) fn run(check: bool) -> Result<()> {
    let mut tables = Vec::new();
    for version in Version::ALL {
        let path = root().join(version.table());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        tables.push(Table::parse(version, &text).with_context(|| version.table().to_owned())?);
    }
    let found = citations::find(root(), &SCANNED)?;
    let report = Report::new(&tables, &found.citations);
    let text = report.to_string();
    let path = root().join(REPORT);

    let mut problems = found.problems;
    problems.extend(report.unknown());
    if check {
        problems.extend(report.missing());
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            problems.push(format!("{REPORT} is stale: run `cargo xtask spec`"));
        }
    } else {
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {REPORT}");
    }
    println!("{}", report.summary());
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} problems with the compliance report", problems.len());
    }
    Ok(())
}
