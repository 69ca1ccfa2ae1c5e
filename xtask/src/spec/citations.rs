//! The citations in code and tests.
//!
//! A citation is a comment that begins with `spec(v5):` or `spec(v3.1.1):` and then names statements in
//! brackets; more brackets may follow in comments on the next lines, and any words may stand behind them.
//! Rust files cite with `//`, test data and scripts with `#` or `//`. A comment that begins like a citation
//! and is none is reported: a statement must not lose its proof through a slip of the pen.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Version;
use super::scopes::Scopes;
use super::table::is_identifier;

/// One statement cited at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Citation {
    pub(super) version: Version,
    pub(super) id: String,
    /// Relative to the project's root, with `/`.
    pub(super) file: String,
    pub(super) line: usize,
    /// The function, type or test case around it; empty at file level.
    pub(super) name: String,
    pub(super) is_test: bool,
}

/// What a search found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) citations: Vec<Citation>,
    /// Comments that look like citations and cannot be read, as `file:line: what is wrong`.
    pub(super) problems: Vec<String>,
}

/// Searches the folders `scanned` below `root`, in a fixed order.
pub(super) fn find(root: &Path, scanned: &[&str]) -> Result<Found> {
    let mut found = Found::default();
    for folder in scanned {
        if root.join(folder).is_dir() {
            search(root, folder, &mut found)?;
        }
    }
    Ok(found)
}

fn search(root: &Path, folder: &str, found: &mut Found) -> Result<()> {
    let path = root.join(folder);
    let mut entries = Vec::new();
    for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        entries.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()));
    }
    entries.sort();
    for (name, is_folder) in entries {
        let file = format!("{folder}/{name}");
        if is_folder {
            let is_ours =
                !name.starts_with('.') && !matches!(&*name, "target" | "node_modules" | "__pycache__");
            if is_ours {
                search(root, &file, found)?;
            }
        } else if !name.ends_with(".md") {
            // What is not text holds no comments.
            let bytes = fs::read(root.join(&file)).with_context(|| format!("cannot read {file}"))?;
            if let Ok(text) = String::from_utf8(bytes) {
                found.read(&file, &text);
            }
        }
    }
    Ok(())
}

impl Found {
    /// Adds the citations of one file.
    fn read(&mut self, file: &str, text: &str) {
        if !text.contains("spec(") {
            return;
        }
        let is_test_file = is_test_file(file);
        if file.ends_with(".rs") {
            let scopes = Scopes::of(text);
            let comments: Vec<_> =
                scopes.comments.iter().map(|comment| (comment.line, comment.text)).collect();
            self.read_comments(file, &comments, |line| {
                let place = scopes.place(line);
                (place.name, place.is_test || is_test_file)
            });
        } else {
            let lines: Vec<&str> = text.lines().collect();
            let comments: Vec<_> =
                (1..).zip(&lines).filter_map(|(line, text)| Some((line, comment_of(text)?))).collect();
            self.read_comments(file, &comments, |line| (case_name(&lines, line), is_test_file));
        }
    }

    fn read_comments(
        &mut self,
        file: &str,
        comments: &[(usize, &str)],
        place: impl Fn(usize) -> (String, bool),
    ) {
        // Set while the comment above, a citation, may go on.
        let mut above: Option<(usize, Version)> = None;
        for &(line, text) in comments {
            let continued = above.filter(|(last, _)| last + 1 == line && text.starts_with("[MQTT-"));
            let parsed = match (text.strip_prefix("spec("), continued) {
                (Some(rest), _) => parse(rest),
                (None, Some((_, version))) => identifiers(text).map(|ids| (version, ids)),
                (None, None) => {
                    above = None;
                    continue;
                }
            };
            match parsed {
                Ok((version, ids)) => {
                    above = Some((line, version));
                    let (name, is_test) = place(line);
                    self.citations.extend(ids.into_iter().map(|id| Citation {
                        version,
                        id,
                        file: file.to_owned(),
                        line,
                        name: name.clone(),
                        is_test,
                    }));
                }
                Err(problem) => self.problems.push(format!("{file}:{line}: {problem}")),
            }
        }
    }
}

/// Reads what follows `spec(`. A citation of a section, such as `spec(v5): 4.13`, names no statement and is
/// fine.
fn parse(rest: &str) -> Result<(Version, Vec<String>), String> {
    let (version, rest) = rest.split_once("):").ok_or("a citation looks like `spec(v5): [MQTT-3.3.1-2]`")?;
    let known = Version::ALL.into_iter().find(|known| known.cited_as() == version);
    let known = known.ok_or_else(|| format!("`spec({version})`: the version is v5 or v3.1.1"))?;
    let rest = rest.trim_start();
    let section = rest.trim_start_matches("section").trim_start();
    if section.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok((known, Vec::new()));
    }
    Ok((known, identifiers(rest)?))
}

/// Reads `[MQTT-3.3.1-2] [MQTT-3.3.1-3]`, up to the first word outside of brackets.
fn identifiers(text: &str) -> Result<Vec<String>, String> {
    let mut ids = Vec::new();
    let mut rest = text.trim_start();
    while let Some(bracket) = rest.strip_prefix('[') {
        let (id, behind) = bracket.split_once(']').ok_or("a bracket is not closed")?;
        if !is_identifier(id) {
            return Err(format!("`[{id}]` is not an identifier such as [MQTT-3.3.1-2]"));
        }
        ids.push(id.to_owned());
        rest = behind.trim_start_matches([' ', ',']);
    }
    if ids.is_empty() {
        return Err("a citation that names no statement in brackets".to_owned());
    }
    Ok(ids)
}

/// Whether all that a file cites is cited by a test: data and scripts of tests, and Rust files that hold only
/// tests.
fn is_test_file(file: &str) -> bool {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let in_test_folder = folder.split('/').any(|part| matches!(part, "tests" | "conformance" | "vectors"));
    in_test_folder || name == "tests.rs" || name.ends_with("_tests.rs")
}

/// The comment of a line that is not Rust, if it has one.
fn comment_of(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    if trimmed.starts_with('#') || trimmed.starts_with("//") {
        return Some(trimmed.trim_start_matches(['#', '/']).trim());
    }
    let begin = ["# spec(", "// spec("].into_iter().find_map(|mark| line.find(mark))?;
    Some(line[begin..].trim_start_matches(['#', '/']).trim())
}

/// The test case that line `line` of data or of a script belongs to: the first title found below the
/// comment's own block, or else the last one above it.
fn case_name(lines: &[&str], line: usize) -> String {
    let below = lines.iter().skip(line);
    let own_block = below.skip_while(|text| comment_of(text).is_some() && title_of(text).is_none());
    let directly_below = own_block.take(1).find_map(|text| title_of(text));
    let above = || lines.iter().take(line).rev().find_map(|text| title_of(text));
    directly_below.or_else(above).unwrap_or_default().to_owned()
}

/// What a line calls its case: a Python or JavaScript function, a JavaScript `test('..')`, a TOML `name =
/// ".."`, a heading such as `== case`.
fn title_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let function = line.trim_start_matches("export ").trim_start_matches("async ");
    for keyword in ["def ", "function "] {
        if let Some(rest) = function.strip_prefix(keyword) {
            return rest.split('(').next().map(str::trim);
        }
    }
    for call in ["test(", "it("] {
        if let Some(rest) = line.strip_prefix(call) {
            return rest.trim_start_matches(['\'', '"', '`']).split(['\'', '"', '`']).next();
        }
    }
    if let Some((key, value)) = line.split_once('=')
        && matches!(key.trim(), "name" | "case" | "title")
    {
        return Some(value.trim().trim_matches('"'));
    }
    ["== ", "case ", "case: "]
        .into_iter()
        .find_map(|mark| line.strip_prefix(mark))
        .map(|title| title.trim_end_matches([' ', '=', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, text: &str) -> Found {
        let mut found = Found::default();
        found.read(file, text);
        found
    }

    /// Identifier, name and whether it is a test, for each citation.
    fn cited(file: &str, text: &str) -> Vec<(String, String, bool)> {
        let found = read(file, text);
        assert_eq!(found.problems, Vec::<String>::new());
        found.citations.into_iter().map(|citation| (citation.id, citation.name, citation.is_test)).collect()
    }

    fn owned(id: &str, name: &str, is_test: bool) -> (String, String, bool) {
        (id.to_owned(), name.to_owned(), is_test)
    }

    #[test]
    fn one_comment_cites_several_statements_and_may_go_on_below() {
        let text = "fn f() {\n  // spec(v5): [MQTT-3.3.1-2] [MQTT-3.3.1-3], [MQTT-3.3.1-4] because so.\n  // [MQTT-4.3.1-1]\n}\n";
        let found = read("src/a.rs", text);
        let ids: Vec<_> = found.citations.iter().map(|citation| &*citation.id).collect();
        assert_eq!(ids, ["MQTT-3.3.1-2", "MQTT-3.3.1-3", "MQTT-3.3.1-4", "MQTT-4.3.1-1"]);
        assert!(
            found.citations.iter().all(|citation| citation.version == Version::V5 && citation.name == "f")
        );
    }

    #[test]
    fn the_version_is_part_of_a_citation() {
        let found = read("src/a.rs", "// spec(v3.1.1): [MQTT-3.3.1-2]\nfn f() {}\n");
        assert_eq!(found.citations[0].version, Version::V3_1_1);
    }

    #[test]
    fn test_modules_test_folders_and_test_files_are_tests_and_all_else_is_code() {
        let code = "fn f() {\n // spec(v5): [MQTT-3.3.1-2]\n}\n";
        assert_eq!(cited("crates/x/src/a.rs", code), [owned("MQTT-3.3.1-2", "f", false)]);
        for file in [
            "tests/a.rs",
            "crates/x/tests/a.rs",
            "crates/x/src/tests.rs",
            "crates/x/src/a_tests.rs",
            "src/conformance/a.rs",
        ] {
            assert_eq!(cited(file, code), [owned("MQTT-3.3.1-2", "f", true)], "{file}");
        }
        let module =
            "#[cfg(test)]\nmod tests {\n #[test]\n fn it_holds() {\n // spec(v5): [MQTT-3.3.1-2]\n }\n}\n";
        assert_eq!(cited("src/a.rs", module), [owned("MQTT-3.3.1-2", "it_holds", true)]);
    }

    #[test]
    fn data_and_scripts_name_their_cases() {
        let python = "# spec(v5): [MQTT-3.3.1-2]\ndef test_one():\n    pass  # spec(v5): [MQTT-3.3.1-3]\n";
        assert_eq!(
            cited("tests/e.py", python),
            [owned("MQTT-3.3.1-2", "test_one", true), owned("MQTT-3.3.1-3", "test_one", true)]
        );
        let javascript = "test('an alias is kept', async () => {\n  // spec(v5): [MQTT-3.3.2-7]\n})\n";
        assert_eq!(cited("tests/e.js", javascript), [owned("MQTT-3.3.2-7", "an alias is kept", true)]);
        let toml = "[[case]]\nname = \"a zero alias\"\n# spec(v5): [MQTT-3.3.2-8]\nbytes = \"30\"\n";
        assert_eq!(cited("tests/v.toml", toml), [owned("MQTT-3.3.2-8", "a zero alias", true)]);
    }

    #[test]
    fn a_slip_in_a_citation_is_reported_with_its_place() {
        for (slip, problem) in [
            ("spec(v4): [MQTT-3.3.1-2]", "the version is v5 or v3.1.1"),
            ("spec(v5): MQTT-3.3.1-2", "names no statement"),
            ("spec(v5): [MQTT-3.3.1]", "not an identifier"),
            ("spec(v5): [MQTT-3.3.1-2", "not closed"),
            ("spec(v5) [MQTT-3.3.1-2]", "looks like"),
        ] {
            let found = read("src/a.rs", &format!("fn f() {{\n// {slip}\n}}\n"));
            assert!(found.citations.is_empty(), "{slip}");
            assert!(found.problems[0].starts_with("src/a.rs:2: "), "{:?}", found.problems);
            assert!(found.problems[0].contains(problem), "{:?}", found.problems);
        }
    }

    #[test]
    fn sections_prose_and_strings_cite_no_statement() {
        let text = "// spec(v5): section 4.13\n// spec(v5): 3.1.2.11.2 says so\n// See spec(v5) for more.\nconst S: &str = \"// spec(v5): [MQTT-3.3.1-2]\";\n";
        assert_eq!(cited("src/a.rs", text), []);
    }

    #[test]
    fn folders_of_tools_and_documents_are_not_searched() -> Result<()> {
        let root = tempfile::tempdir()?;
        for folder in ["src", "src/node_modules", "src/.hidden"] {
            fs::create_dir_all(root.path().join(folder))?;
            fs::write(root.path().join(folder).join("a.rs"), "fn f() {\n// spec(v5): [MQTT-3.3.1-2]\n}")?;
        }
        fs::write(root.path().join("src/b.md"), "# spec(v5): [MQTT-3.3.1-3]")?;
        fs::write(root.path().join("src/c.bin"), [0xff, 0xfe])?;
        let found = find(root.path(), &["src", "absent"])?;
        assert_eq!(found.citations.len(), 1);
        assert_eq!((&*found.citations[0].file, found.citations[0].line), ("src/a.rs", 2));
        Ok(())
    }
}
