//! The tables of statements, `spec/*.tsv`.
//!
//! One line a statement: identifier, whom it binds, our short paraphrase, and, where it asks nothing of
//! Dunlin, the reason. Columns are separated by tabs. A line that begins with `# ` opens a section and names
//! it.

use anyhow::{Result, bail, ensure};

use super::Version;

/// The longest paraphrase, in characters, so that a table row stays readable.
const PARAPHRASE_LENGTH_MAX: usize = 120;

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binds {
    Server,
    Client,
    Both,
}

impl Binds {
    pub(super) fn server(self) -> bool {
        self != Binds::Client
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Binds::Server => "server",
            Binds::Client => "client",
            Binds::Both => "both",
        }
    }
}

/// One normative statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// `MQTT-3.3.1-2`
    pub(super) id: String,
    pub(super) binds: Binds,
    /// What it asks, in our words.
    pub(super) paraphrase: String,
    /// Why it asks nothing of Dunlin.
    pub(super) exception: Option<String>,
}

/// The statements below one heading.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: String,
    pub(super) statements: Vec<Statement>,
}

/// All statements of one version, in the order of the specification.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) version: Version,
    pub(super) sections: Vec<Section>,
}

impl Table {
    pub(super) fn parse(version: Version, text: &str) -> Result<Table> {
        let mut table = Table { version, sections: Vec::new() };
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if let Some(title) = line.strip_prefix("# ") {
                table.sections.push(Section { title: title.to_owned(), statements: Vec::new() });
                continue;
            }
            let statement = parse_statement(line).map_err(|error| error.context(format!("line {number}")))?;
            ensure!(!table.contains(&statement.id), "line {number}: {} is there twice", statement.id);
            let Some(section) = table.sections.last_mut() else {
                bail!(
                    "line {number}: a statement before the first section, which is a line such as `# 3.1 CONNECT`"
                );
            };
            section.statements.push(statement);
        }
        ensure!(!table.sections.is_empty(), "the table is empty");
        Ok(table)
    }

    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.sections.iter().flat_map(|section| &section.statements)
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.statements().any(|statement| statement.id == id)
    }
}

fn parse_statement(line: &str) -> Result<Statement> {
    let mut columns = line.split('\t');
    let (Some(id), Some(binds), Some(paraphrase)) = (columns.next(), columns.next(), columns.next()) else {
        bail!("expected id, whom, paraphrase and perhaps an exception, separated by tabs");
    };
    let exception = columns.next().map(str::to_owned);
    ensure!(columns.next().is_none(), "{id}: more than four columns");
    ensure!(is_identifier(id), "`{id}` is not an identifier such as MQTT-3.3.1-2");
    let length = paraphrase.chars().count();
    ensure!(
        (1..=PARAPHRASE_LENGTH_MAX).contains(&length),
        "{id}: the paraphrase has {length} characters, at most {PARAPHRASE_LENGTH_MAX} are read easily"
    );
    ensure!(exception.as_deref() != Some(""), "{id}: an exception without a reason");
    let binds = match binds {
        "server" => Binds::Server,
        "client" => Binds::Client,
        "both" => Binds::Both,
        other => bail!("{id}: `{other}` is none of server, client, both"),
    };
    Ok(Statement { id: id.to_owned(), binds, paraphrase: paraphrase.to_owned(), exception })
}

/// Whether `text` looks like `MQTT-3.3.1-2`.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("MQTT-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(section, number)| section.split('.').all(is_number) && is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    #[test]
    fn a_table_is_read_by_section() -> Result<()> {
        let text = "# 3.3 PUBLISH\nMQTT-3.3.1-2\tboth\tQoS 0 has no DUP\n# 6 WebSocket\nMQTT-6.0.0-3\tclient\toffers mqtt\twhy\n";
        let table = Table::parse(Version::V5, text)?;
        assert_eq!(table.sections.len(), 2);
        assert_eq!(table.sections[0].title, "3.3 PUBLISH");
        assert_eq!(table.sections[0].statements[0].binds, Binds::Both);
        assert_eq!(table.sections[1].statements[0].exception.as_deref(), Some("why"));
        Ok(())
    }

    #[test]
    fn a_bad_line_is_refused_with_its_number() {
        let refused =
            |line: &str| format!("{:#}", Table::parse(Version::V5, &format!("# a\n{line}\n")).unwrap_err());
        assert!(refused("MQTT-1.5.4-1\tboth").starts_with("line 2: "));
        assert!(refused("MQTT-1.5.4\tboth\tx").contains("not an identifier"));
        assert!(refused("MQTT-1.5.4-1\teveryone\tx").contains("none of server, client, both"));
        assert!(refused("MQTT-1.5.4-1\tboth\tx\t").contains("without a reason"));
        assert!(refused("MQTT-1.5.4-1\tboth\tx\ty\tz").contains("more than four"));
        assert!(refused(&format!("MQTT-1.5.4-1\tboth\t{}", "x".repeat(200))).contains("200 characters"));
        assert!(refused("MQTT-1.5.4-1\tboth\tx\nMQTT-1.5.4-1\tboth\tx").contains("there twice"));
        assert!(Table::parse(Version::V5, "MQTT-1.5.4-1\tboth\tx").is_err(), "no section");
    }

    #[test]
    fn the_tables_of_the_project_are_complete() -> Result<()> {
        for (version, count) in [(Version::V5, 251), (Version::V3_1_1, 141)] {
            let table = Table::parse(version, &std::fs::read_to_string(root().join(version.table()))?)?;
            assert_eq!(table.statements().count(), count, "{}", version.title());
        }
        Ok(())
    }
}
