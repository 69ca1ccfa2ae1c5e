//! `cargo xtask package`: the deb and the rpm package of a release.
//!
//! What goes where is in `Cargo.toml` (`package.metadata.deb` and `.generate-rpm`), scripts and unit are in `packaging/`.
//! Both tools look for built files in a `target/release`; here that is a folder of its own, the stage, with the program
//! without debug information, and what this very program says about its command line: manual pages and completions.
//!
//! `--check` makes both packages of the debug build, because nobody waits for a release build in the tests, and installs
//! them (`package/root.rs`, `package/life.rs`).

mod life;
mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::machine;
use crate::process::{self, cargo, command, root as project};
use crate::steps::Ended;

/// Where packages are made, from the project's root.
const FOLDER: &str = "target/package";

/// The names that completions have in the stage, and the shells they are for.
const COMPLETIONS: [(&str, &str); 3] = [("dunlin", "bash"), ("_dunlin", "zsh"), ("dunlin.fish", "fish")];

/// Makes packages to hand out, or tries them.
pub(crate) fn run(is_check: bool) -> Result<()> {
    if is_check {
        match check()? {
            Ended::Passed(note) => println!("packages: {note}"),
            Ended::Skipped(reason) => println!("skipped: {reason}"),
        }
        return Ok(());
    }
    machine::packagers()?;
    process::run(&mut cargo("build --release --locked --package dunlin --bin dunlin"))?;
    // Names of functions stay for backtraces; lines of code are what makes it large.
    let stage = Stage { folder: Path::new(FOLDER).join("release"), is_draft: false };
    stage.fill(Path::new("target/release/dunlin"), "--strip-debug")?;
    for package in [stage.deb(None)?, stage.rpm()?] {
        let size = fs::metadata(&package)?.len();
        println!("made {} ({:.1} MB)", package.display(), size as f64 / 1e6);
    }
    Ok(())
}

/// The step of `cargo xtask test`.
pub(crate) fn check() -> Result<Ended> {
    if let Some(reason) = root::obstacle() {
        return Ok(Ended::Skipped(reason));
    }
    machine::packagers()?;
    process::run(&mut cargo("build --package dunlin --bin dunlin"))?;
    let stage = Stage { folder: Path::new(FOLDER).join("check"), is_draft: true };
    stage.fill(Path::new("target/debug/dunlin"), "--strip-all")?;
    let packages =
        life::Packages { deb: stage.deb(None)?, newer_deb: stage.deb(Some("999.0.0-1"))?, rpm: stage.rpm()? };
    let files = compare(&packages)?;
    life::lead(&packages)?;
    Ok(Ended::Passed(format!("{files} files; installed, upgraded, removed and purged")))
}

/// A folder that looks like a `target` of cargo to the tools that make packages.
struct Stage {
    folder: PathBuf,
    /// Whether packages shall be made quickly rather than small.
    is_draft: bool,
}

impl Stage {
    fn fill(&self, program: &Path, strip: &str) -> Result<()> {
        let built = self.folder.join("release");
        for folder in ["man", "completions"] {
            let folder = project().join(&built).join(folder);
            // A command that is gone must not leave its page.
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
            }
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let staged = text(&built.join("dunlin"));
        process::run(&mut command("strip", &[strip, "-o", &staged, &text(program)]))?;
        process::run(&mut command(&staged, &["man", &text(&built.join("man"))]))?;
        for (file, shell) in COMPLETIONS {
            let script = process::output(&mut command(&staged, &["completions", shell]))?;
            fs::write(project().join(&built).join("completions").join(file), script)?;
        }
        Ok(())
    }

    fn deb(&self, version: Option<&str>) -> Result<PathBuf> {
        let file = self.folder.join(format!("dunlin{}.deb", version.unwrap_or_default()));
        let mut make = cargo("deb --no-build --no-strip --locked");
        if self.is_draft {
            make.arg("--fast");
        }
        if let Some(version) = version {
            make.args(["--deb-version", version]);
        }
        self.make(make.arg("--output").arg(&file))?;
        Ok(file)
    }

    fn rpm(&self) -> Result<PathBuf> {
        let file = self.folder.join("dunlin.rpm");
        let mut make = cargo("generate-rpm");
        if self.is_draft {
            make.args(["--payload-compress", "none"]);
        }
        self.make(make.arg("--target-dir").arg(&self.folder).arg("--output").arg(&file))?;
        Ok(file)
    }

    fn make(&self, tool: &mut std::process::Command) -> Result<()> {
        process::run(tool.env("CARGO_TARGET_DIR", project().join(&self.folder)))
    }
}

/// Both packages install the same, but for what the two families of systems name differently. The number of files.
fn compare(packages: &life::Packages) -> Result<usize> {
    let deb = process::output(&mut command("dpkg-deb", &["--contents", &text(&packages.deb)]))?;
    let rpm =
        process::output(&mut command("rpm", &["--query", "--list", "--package", &text(&packages.rpm)]))?;
    let deb = deb_files(&deb);
    let rpm: BTreeSet<String> = rpm.lines().map(common_name).collect();
    let only = |one: &BTreeSet<String>, other| {
        one.difference(other).map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    ensure!(
        deb == rpm,
        "the packages differ: only the deb has [{}], only the rpm has [{}]",
        only(&deb, &rpm),
        only(&rpm, &deb)
    );
    Ok(deb.len())
}

/// The files in a listing of `dpkg-deb --contents`: mode, owner, size, date, time, and `./path`.
fn deb_files(listing: &str) -> BTreeSet<String> {
    let files = listing.lines().filter(|line| line.starts_with('-'));
    let paths = files.filter_map(|line| line.split_whitespace().nth(5)?.strip_prefix('.'));
    // Debian wants the licence in a file of its own form.
    paths.filter(|path| !path.ends_with("/copyright")).map(common_name).collect()
}

/// A path, with what is named differently under one name.
fn common_name(path: &str) -> String {
    path.trim_end_matches(".gz").replace("/zsh/vendor-completions/", "/zsh/site-functions/")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_deb_are_found_under_the_names_of_the_rpm() {
        let listing = "\
            drwxr-xr-x 0/0       0 2026-11-28 00:00 ./usr/bin/\n\
            -rwxr-xr-x 0/0 4325223 2026-11-28 00:00 ./usr/bin/dunlin\n\
            -rw-r--r-- 0/0    1544 2026-11-28 00:00 ./usr/share/man/man1/dunlin.1.gz\n\
            -rw-r--r-- 0/0   50806 2026-11-28 00:00 ./usr/share/zsh/vendor-completions/_dunlin\n\
            -rw-r--r-- 0/0    1230 2026-11-28 00:00 ./usr/share/doc/dunlin/copyright\n";
        let expected =
            ["/usr/bin/dunlin", "/usr/share/man/man1/dunlin.1", "/usr/share/zsh/site-functions/_dunlin"];
        assert_eq!(deb_files(listing), expected.map(str::to_owned).into());
    }
}
