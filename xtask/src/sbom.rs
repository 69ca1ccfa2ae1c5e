//! `cargo xtask sbom`: the list of components (CycloneDX) that is part of a release.
//!
//! cargo-cyclonedx writes it from `Cargo.lock`: each crate that is built into the broker or builds it, on this kind of
//! machine, with its version, licence and checksum. It writes one file beside each package of the workspace, of which
//! the broker's is kept. The list is then judged, because nobody reads 200 entries: every direct dependency is there
//! in the version that is locked, and nothing is there without a licence.
//!
//! What must stay true: nothing but `target/` changes, and no path of this machine is in the list.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::machine;
use crate::process::{self, cargo, root};
use crate::steps::Ended;

/// Where the list is written, from the project's root.
const LIST: &str = "target/sbom/dunlin.cdx.json";

/// What cargo-cyclonedx calls its files beside the packages, without `.json`. Git ignores them.
const DRAFT: &str = "dunlin-components.cdx";

/// Writes the list and judges it.
pub(crate) fn run() -> Result<()> {
    machine::cargo_cyclonedx()?;
    if let Ended::Passed(note) = write()? {
        println!("wrote {LIST}: {note}");
    }
    Ok(())
}

/// The step of `cargo xtask test`.
pub(crate) fn write() -> Result<Ended> {
    let metadata = process::output(&mut cargo("metadata --format-version 1 --locked"))?;
    let metadata: Value = serde_json::from_str(&metadata).context("what cargo metadata says")?;
    let drafts = drafts(&metadata);
    let made = process::run(&mut cargo(&format!(
        "cyclonedx --quiet --format json --spec-version 1.5 --override-filename {DRAFT}"
    )));
    let text = made.and_then(|()| read(&root().join(format!("{DRAFT}.json"))));
    for draft in drafts.iter().filter(|draft| draft.exists()) {
        fs::remove_file(draft).with_context(|| draft.display().to_string())?;
    }
    // Whoever reads the list has nothing at the place where it was made.
    let text = text?.replace(&format!("file://{}", root().display()), "file://.");
    let count = judge(&serde_json::from_str(&text).context("the list is no JSON")?, &metadata)?;
    let path = root().join(LIST);
    fs::create_dir_all(path.parent().unwrap_or(root()))?;
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(Ended::Passed(format!("{count} components")))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The files beside the packages of the workspace.
fn drafts(metadata: &Value) -> Vec<PathBuf> {
    let members: BTreeSet<&str> =
        list(&metadata["workspace_members"]).iter().filter_map(Value::as_str).collect();
    list(&metadata["packages"])
        .iter()
        .filter(|package| package["id"].as_str().is_some_and(|id| members.contains(id)))
        .filter_map(|package| {
            Some(Path::new(package["manifest_path"].as_str()?).with_file_name(format!("{DRAFT}.json")))
        })
        .collect()
}

/// Compares a list with what cargo knows of the workspace; the number of its components.
fn judge(bom: &Value, metadata: &Value) -> Result<usize> {
    ensure!(bom["bomFormat"] == "CycloneDX", "bomFormat is {} instead of \"CycloneDX\"", bom["bomFormat"]);
    let broker = &bom["metadata"]["component"]["name"];
    ensure!(broker == "dunlin", "the list is of {broker}, not of \"dunlin\"");
    let locked: BTreeSet<_> = list(&metadata["packages"]).iter().map(name_and_version).collect();
    let components = list(&bom["components"]);
    for component in components {
        let (name, version) = name_and_version(component);
        ensure!(locked.contains(&(name, version)), "{name} {version} is listed and not in Cargo.lock");
        ensure!(!list(&component["licenses"]).is_empty(), "{name} {version} is listed without a licence");
    }
    let listed: BTreeSet<&str> = components.iter().map(|component| name_and_version(component).0).collect();
    let missing: Vec<&str> = direct_dependencies(metadata).filter(|name| !listed.contains(name)).collect();
    ensure!(missing.is_empty(), "not listed: {}", missing.join(", "));
    Ok(components.len())
}

/// What the broker itself names in `[dependencies]`.
fn direct_dependencies(metadata: &Value) -> impl Iterator<Item = &str> {
    list(&metadata["packages"])
        .iter()
        .filter(|package| package["name"] == "dunlin")
        .flat_map(|package| list(&package["dependencies"]))
        .filter(|dependency| dependency["kind"].is_null() && dependency["target"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
}

fn name_and_version(of: &Value) -> (&str, &str) {
    let text = |key| of[key].as_str().unwrap_or_default();
    (text("name"), text("version"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is said about a list with these components, for a broker that depends on tokio 1.2.3.
    fn verdict(components: Value) -> String {
        let bom = json!({
            "bomFormat": "CycloneDX",
            "metadata": { "component": { "name": "dunlin" } },
            "components": components,
        });
        let metadata = json!({ "packages": [
            { "name": "dunlin", "version": "0.1.0", "dependencies": [
                { "name": "tokio", "kind": null, "target": null },
                { "name": "proptest", "kind": "dev", "target": null },
            ] },
            { "name": "tokio", "version": "1.2.3", "dependencies": [] },
        ] });
        judge(&bom, &metadata).map_or_else(|error| error.to_string(), |count| count.to_string())
    }

    #[test]
    fn a_list_has_every_direct_dependency_as_it_is_locked_and_with_its_licence() {
        let licences = json!([{ "expression": "MIT" }]);
        assert_eq!(verdict(json!([{ "name": "tokio", "version": "1.2.3", "licenses": licences }])), "1");
        assert_eq!(verdict(json!([])), "not listed: tokio");
        assert_eq!(
            verdict(json!([{ "name": "tokio", "version": "1.2.4", "licenses": licences }])),
            "tokio 1.2.4 is listed and not in Cargo.lock"
        );
        assert_eq!(
            verdict(json!([{ "name": "tokio", "version": "1.2.3" }])),
            "tokio 1.2.3 is listed without a licence"
        );
    }
}
