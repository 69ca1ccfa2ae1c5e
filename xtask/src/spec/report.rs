//! `docs/compliance.md`: statements joined with the places that cite them.
//!
//! The text depends on nothing but the tables and the citations, and places are functions and not lines, so
//! it changes exactly when a citation is added, removed or moved.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::Version;
use super::citations::Citation;
use super::table::{Statement, Table};

/// A cell lists at most so many places; what goes beyond is counted.
const PLACES_SHOWN_MAX: usize = 6;

/// Where one statement is cited.
#[derive(Default)]
struct Places<'a> {
    code: Vec<&'a Citation>,
    tests: Vec<&'a Citation>,
}

/// What a statement still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Binds only Clients.
    Client,
    /// Binds a Server, asks nothing of Dunlin.
    Exception,
    /// Has code and test.
    Shown,
    /// Lacks code, test or both.
    Missing { code: bool, test: bool },
}

/// The tables joined with the citations.
pub(super) struct Report<'a> {
    tables: &'a [Table],
    citations: &'a [Citation],
    places: BTreeMap<(Version, &'a str), Places<'a>>,
}

#[derive(Default)]
struct Count {
    server: usize,
    shown: usize,
    exceptions: usize,
    missing: usize,
    client: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(tables: &'a [Table], citations: &'a [Citation]) -> Report<'a> {
        let mut places: BTreeMap<_, Places<'a>> = BTreeMap::new();
        for citation in citations {
            let places = places.entry((citation.version, &*citation.id)).or_default();
            if citation.is_test {
                places.tests.push(citation);
            } else {
                places.code.push(citation);
            }
        }
        Report { tables, citations, places }
    }

    /// Citations of statements that do not exist.
    pub(super) fn unknown(&self) -> Vec<String> {
        let exists = |version: Version, id: &str| {
            self.tables.iter().any(|table| table.version == version && table.contains(id))
        };
        let unknown = self.citations.iter().filter(|citation| !exists(citation.version, &citation.id));
        unknown
            .map(|Citation { version, id, file, line, .. }| {
                let elsewhere = Version::ALL.into_iter().find(|other| exists(*other, id));
                let hint = elsewhere
                    .map(|other| format!("; {} has one of this name", other.title()))
                    .unwrap_or_default();
                format!("{file}:{line}: {} has no statement [{id}]{hint}", version.title())
            })
            .collect()
    }

    /// Statements that bind a Server and lack code or test.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (table, statement) in self.statements() {
            if let Standing::Missing { code, test } = self.standing(table.version, statement) {
                let what = lacking(code, test);
                lines.push(format!(
                    "{} [{}] lacks {what}: {}",
                    table.version.title(),
                    statement.id,
                    statement.paraphrase
                ));
            }
        }
        lines
    }

    /// One line for each version.
    pub(super) fn summary(&self) -> String {
        let line = |table: &Table| {
            let Count { server, shown, exceptions, missing, client } = self.count(table);
            let title = table.version.title();
            format!(
                "{title}: {server} Server statements, {shown} with code and test, {exceptions} exceptions, {missing} missing; {client} bind only Clients"
            )
        };
        self.tables.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn statements(&self) -> impl Iterator<Item = (&'a Table, &'a Statement)> {
        self.tables.iter().flat_map(|table| table.statements().map(move |statement| (table, statement)))
    }

    fn standing(&self, version: Version, statement: &Statement) -> Standing {
        if !statement.binds.server() {
            return Standing::Client;
        }
        if statement.exception.is_some() {
            return Standing::Exception;
        }
        let places = self.places.get(&(version, &*statement.id));
        let code = places.is_some_and(|places| !places.code.is_empty());
        let test = places.is_some_and(|places| !places.tests.is_empty());
        if code && test { Standing::Shown } else { Standing::Missing { code: !code, test: !test } }
    }

    fn count(&self, table: &Table) -> Count {
        let mut count = Count::default();
        for statement in table.statements() {
            match self.standing(table.version, statement) {
                Standing::Client => count.client += 1,
                Standing::Exception => count.exceptions += 1,
                Standing::Shown => count.shown += 1,
                Standing::Missing { .. } => count.missing += 1,
            }
        }
        count.server = count.shown + count.exceptions + count.missing;
        count
    }

    fn row(&self, version: Version, statement: &Statement) -> String {
        let places = self.places.get(&(version, &*statement.id));
        let mut code = places.map(|places| cell(&places.code)).unwrap_or_default();
        let mut tests = places.map(|places| cell(&places.tests)).unwrap_or_default();
        match self.standing(version, statement) {
            Standing::Missing { code: no_code, test: no_test } => {
                code = if no_code { "**missing**".to_owned() } else { code };
                tests = if no_test { "**missing**".to_owned() } else { tests };
            }
            Standing::Exception => {
                let reason = statement.exception.as_deref().map(escaped).unwrap_or_default();
                let separator = if code.is_empty() { "" } else { "<br>" };
                code = format!("exception: {reason}{separator}{code}");
            }
            Standing::Client | Standing::Shown => {}
        }
        let Statement { id, binds, paraphrase, .. } = statement;
        format!("| {id} | {} | {} | {code} | {tests} |", binds.name(), escaped(paraphrase))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# Compliance with the MQTT specifications\n\n\
             Written by `cargo xtask spec`; do not edit. Each normative statement of MQTT 5.0 and 3.1.1, in our words\n\
             (`spec/*.tsv`), with the code that decides it and the tests that show it. A place is a file and the function,\n\
             type or test case in it whose comment cites the statement.\n\n\
             | | bind a Server | code and test | exceptions | missing | bind only Clients |\n\
             |---|---|---|---|---|---|\n",
        )?;
        for table in self.tables {
            let Count { server, shown, exceptions, missing, client } = self.count(table);
            let title = table.version.title();
            writeln!(f, "| {title} | {server} | {shown} | {exceptions} | {missing} | {client} |")?;
        }
        for table in self.tables {
            writeln!(f, "\n## {}", table.version.title())?;
            for section in &table.sections {
                writeln!(f, "\n### {}\n", section.title)?;
                f.write_str("| statement | binds | what it asks | code | tests |\n|---|---|---|---|---|\n")?;
                for statement in &section.statements {
                    writeln!(f, "{}", self.row(table.version, statement))?;
                }
            }
        }
        Ok(())
    }
}

fn lacking(code: bool, test: bool) -> &'static str {
    match (code, test) {
        (true, true) => "code and test",
        (true, false) => "code",
        _ => "a test",
    }
}

/// The places by file, each file once with the names in it.
fn cell(citations: &[&Citation]) -> String {
    let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut shown, mut more) = (0, 0);
    for citation in citations {
        let names = by_file.entry(&citation.file).or_default();
        if names.contains(&&*citation.name) {
            continue;
        }
        if shown == PLACES_SHOWN_MAX {
            more += 1;
            continue;
        }
        names.push(&citation.name);
        shown += 1;
    }
    by_file.retain(|_, names| !names.is_empty());
    let mut cell = String::new();
    for (file, names) in by_file {
        if !cell.is_empty() {
            cell.push_str("<br>");
        }
        let _ = write!(cell, "[{file}](../{file})");
        let names: Vec<String> =
            names.into_iter().filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
        if !names.is_empty() {
            let _ = write!(cell, " {}", names.join(", "));
        }
    }
    if more > 0 {
        let _ = write!(cell, "<br>and {more} more");
    }
    escaped(&cell)
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# 3.3 PUBLISH\n\
        MQTT-3.3.1-1\tboth\tre-delivery has DUP\n\
        MQTT-3.3.1-2\tboth\tQoS 0 | no DUP\n\
        MQTT-3.3.2-9\tclient\taliases stay in range\n\
        MQTT-3.3.4-5\tserver\tone copy each\tnot applicable: Dunlin sends one copy\n";

    fn citation(id: &str, name: &str, is_test: bool) -> Citation {
        let file = if is_test { "tests/a.rs" } else { "src/a.rs" };
        Citation {
            version: Version::V5,
            id: id.to_owned(),
            file: file.to_owned(),
            line: 7,
            name: name.to_owned(),
            is_test,
        }
    }

    fn tables() -> Vec<Table> {
        vec![Table::parse(Version::V5, TEXT).expect("the table is well formed")]
    }

    #[test]
    fn a_statement_with_code_and_test_is_shown_with_both() {
        let tables = tables();
        let citations =
            [citation("MQTT-3.3.1-2", "encode", false), citation("MQTT-3.3.1-2", "no_dup_at_qos_0", true)];
        let report = Report::new(&tables, &citations);
        let row = "| MQTT-3.3.1-2 | both | QoS 0 \\| no DUP | [src/a.rs](../src/a.rs) `encode` | [tests/a.rs](../tests/a.rs) `no_dup_at_qos_0` |\n";
        assert!(report.to_string().contains(row), "{report}");
        assert!(report.to_string().contains("| MQTT 5.0 | 3 | 1 | 1 | 1 | 1 |"), "{report}");
    }

    #[test]
    fn what_binds_a_server_and_lacks_code_or_test_is_missing() {
        let tables = tables();
        let citations =
            [citation("MQTT-3.3.1-2", "encode", false), citation("MQTT-3.3.1-1", "dup_on_redelivery", true)];
        let missing = Report::new(&tables, &citations).missing();
        assert_eq!(missing.len(), 2);
        assert!(missing[0].contains("[MQTT-3.3.1-1] lacks code: "), "{missing:?}");
        assert!(missing[1].contains("[MQTT-3.3.1-2] lacks a test: "), "{missing:?}");
        assert!(Report::new(&tables, &[]).missing()[0].contains("lacks code and test"));
    }

    #[test]
    fn exceptions_and_what_binds_clients_need_nothing() {
        let tables = tables();
        let report = Report::new(&tables, &[]);
        assert!(report.missing().iter().all(|line| !line.contains("3.3.2-9") && !line.contains("3.3.4-5")));
        assert!(
            report.to_string().contains("| exception: not applicable: Dunlin sends one copy |"),
            "{report}"
        );
    }

    #[test]
    fn a_citation_of_what_does_not_exist_is_reported() {
        let tables = tables();
        let report_of = |citations: &[Citation]| Report::new(&tables, citations).unknown();
        assert_eq!(report_of(&[citation("MQTT-3.3.1-2", "f", false)]), Vec::<String>::new());
        assert_eq!(
            report_of(&[citation("MQTT-9.9.9-9", "f", false)]),
            ["src/a.rs:7: MQTT 5.0 has no statement [MQTT-9.9.9-9]"]
        );
        let wrong_version = Citation { version: Version::V3_1_1, ..citation("MQTT-3.3.1-2", "f", false) };
        assert!(report_of(&[wrong_version])[0].ends_with("MQTT 5.0 has one of this name"));
    }

    #[test]
    fn many_places_are_counted_instead_of_listed() {
        let tables = tables();
        let citations: Vec<_> = (0..9).map(|n| citation("MQTT-3.3.1-2", &format!("f{n}"), false)).collect();
        let text = Report::new(&tables, &citations).to_string();
        assert!(text.contains("`f5`<br>and 3 more |") && !text.contains("`f6`"), "{text}");
    }

    #[test]
    fn a_place_that_cites_twice_is_listed_once() {
        let tables = tables();
        let citations = [citation("MQTT-3.3.1-2", "f", false), citation("MQTT-3.3.1-2", "f", false)];
        assert!(Report::new(&tables, &citations).to_string().contains("(../src/a.rs) `f` |"));
    }
}
