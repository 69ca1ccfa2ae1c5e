//! What the tests need beside a Rust toolchain, and its installation.
//!
//! System packages come from apt, Python and npm packages from their registries into `.venv/` and
//! `tests/end_to_end/node_modules/`, cargo-deny, cargo-audit, cargo-cyclonedx, cargo-fuzz and what makes packages into
//! cargo's own folder. What is there already is left alone, so a second run costs about a second and needs no network. Where there is no apt the
//! packages are named instead.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, cargo, command, is_installed, root};
use crate::steps::{Ended, Steps};

/// Playwright needs at least this Node.js.
const NODE_MAJOR_MIN: u32 = 18;

/// The version of cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// The version of cargo-audit that is installed where there is none, without what looks into programs.
const CARGO_AUDIT: &str = "cargo-audit@0.22.2 --no-default-features";

/// The version of cargo-cyclonedx that is installed where there is none.
const CARGO_CYCLONEDX: &str = "cargo-cyclonedx@0.5.9";

/// The versions of what makes packages, where there is none.
const CARGO_DEB: &str = "cargo-deb@3.8.0";
const CARGO_GENERATE_RPM: &str = "cargo-generate-rpm@0.21.1";

/// The version of cargo-fuzz that is installed where there is none, but a nightly toolchain to use it with.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// Installs whatever is missing.
pub(crate) fn prepare(steps: &mut Steps) {
    steps.run("system packages", system_packages);
    steps.run("rust components", rust_components);
    steps.run("python packages", python_packages);
    steps.run("npm packages", npm_packages);
    steps.run("browser", browser);
    steps.run("cargo-deny", || cargo_tool("deny", CARGO_DENY));
    steps.run("cargo-audit", || cargo_tool("audit", CARGO_AUDIT));
    steps.run("cargo-cyclonedx", cargo_cyclonedx);
    steps.run("cargo-fuzz", cargo_fuzz);
}

fn system_packages() -> Result<Ended> {
    let mut packages = Vec::new();
    let had_mosquitto = is_installed("mosquitto");
    if !is_installed("mosquitto_pub") || !is_installed("mosquitto_sub") {
        packages.push("mosquitto-clients");
    }
    if !had_mosquitto {
        packages.push("mosquitto");
    }
    if !is_installed("valgrind") {
        packages.push("valgrind");
    }
    let had_prometheus = is_installed("prometheus");
    if !is_installed("promtool") {
        packages.push("prometheus");
    }
    if !process::succeeds(&mut command("python3", &["-c", "import venv, ensurepip"])) {
        packages.extend(["python3", "python3-venv"]);
    }
    if !is_installed("npm") || !is_installed("node") {
        packages.extend(["nodejs", "npm"]);
    }
    if packages.is_empty() {
        return Ok(Ended::Passed("all there".to_owned()));
    }
    install(&packages)?;
    // Debian starts services at once: mosquitto would hold port 1883, which is Dunlin's default as well.
    let started = [("mosquitto", had_mosquitto), ("prometheus", had_prometheus)];
    for (service, _) in started.iter().filter(|(package, was_there)| !was_there && packages.contains(package))
    {
        if Path::new("/run/systemd/system").is_dir() {
            process::run(&mut privileged(&["systemctl", "disable", "--now", service])?)?;
        }
    }
    Ok(Ended::Passed(format!("installed {}", packages.join(", "))))
}

/// Installs packages of Debian or Ubuntu.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    ensure!(
        is_installed("apt-get"),
        "the tests need {}, and this system has no apt-get: please install them and run this again",
        packages.join(", ")
    );
    let needed = || format!("the tests need {}", packages.join(", "));
    process::run(&mut privileged(&["apt-get", "update"]).with_context(needed)?)?;
    let mut install = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y"];
    install.push("--no-install-recommends");
    install.extend(packages);
    process::run(&mut privileged(&install)?)
}

/// A command with the rights to install packages.
pub(crate) fn privileged(words: &[&str]) -> Result<Command> {
    static USER: OnceLock<String> = OnceLock::new();
    let ask = || process::output(&mut command("id", &["-u"])).unwrap_or_default();
    if USER.get_or_init(ask).trim() == "0" {
        return Ok(command(words[0], &words[1..]));
    }
    if !is_installed("sudo") {
        bail!(
            "`{}` needs root, and there is no sudo: please run it as root, then run this again",
            words.join(" ")
        );
    }
    Ok(command("sudo", words))
}

fn rust_components() -> Result<Ended> {
    let mut missing = Vec::new();
    if !process::succeeds(&mut cargo("fmt --version")) {
        missing.push("rustfmt");
    }
    if !process::succeeds(&mut cargo("clippy --version")) {
        missing.push("clippy");
    }
    if missing.is_empty() {
        return Ok(Ended::Passed("all there".to_owned()));
    }
    process::run(command("rustup", &["component", "add"]).args(&missing))
        .with_context(|| format!("this Rust toolchain lacks {}", missing.join(" and ")))?;
    Ok(Ended::Passed(format!("installed {}", missing.join(", "))))
}

fn python_packages() -> Result<Ended> {
    let python = root().join(".venv/bin/python");
    let python = python.to_string_lossy();
    // A virtual environment dies with the Python that it was made from; a new one is made then.
    if !process::succeeds(&mut command(&python, &["-m", "pip", "--version"])) {
        process::run(&mut command("python3", &["-m", "venv", "--clear", ".venv"]))?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let lists = ["-r", "tests/end_to_end/requirements.txt", "-r", "tests/api_fuzz/requirements.txt"];
    process::run(command(&python, &install).args(lists))?;
    Ok(Ended::well())
}

fn npm_packages() -> Result<Ended> {
    let version = process::output(&mut command("node", &["--version"]))?;
    let major =
        version.trim().trim_start_matches('v').split('.').next().and_then(|part| part.parse::<u32>().ok());
    ensure!(
        major.is_some_and(|major| major >= NODE_MAJOR_MIN),
        "the tests need Node.js {NODE_MAJOR_MIN} or later; this is {}",
        version.trim()
    );
    let folder = root().join("tests/end_to_end");
    if is_up_to_date(&folder.join("node_modules/.package-lock.json"), &folder.join("package-lock.json"))? {
        return Ok(Ended::Passed("all there".to_owned()));
    }
    process::run(&mut command("npm", &["--prefix", "tests/end_to_end", "ci", "--no-audit", "--no-fund"]))?;
    Ok(Ended::well())
}

/// Chromium: Debian's, or where there is no such package (Ubuntu has a snap in its place) the one of Playwright.
fn browser() -> Result<Ended> {
    if ["chromium", "chromium-browser", "google-chrome"].into_iter().any(is_installed) {
        return Ok(Ended::Passed("all there".to_owned()));
    }
    let is_debian = fs::read_to_string("/etc/os-release").is_ok_and(|text| text.contains("\nID=debian\n"));
    if is_debian {
        install(&["chromium"])?;
    } else {
        let tool = "tests/end_to_end/node_modules/playwright-core/cli.js";
        process::run(&mut privileged(&["node", tool, "install-deps", "chromium"])?)?;
        process::run(&mut command("node", &[tool, "install", "chromium"]))?;
    }
    Ok(Ended::well())
}

/// Whether `made` exists and is no older than `source`.
fn is_up_to_date(made: &Path, source: &Path) -> Result<bool> {
    let changed = fs::metadata(source).with_context(|| format!("no {}", source.display()))?.modified()?;
    Ok(fs::metadata(made).and_then(|made| made.modified()).is_ok_and(|made| made >= changed))
}

/// Writes the list of components of a release.
pub(crate) fn cargo_cyclonedx() -> Result<Ended> {
    cargo_tool("cyclonedx", CARGO_CYCLONEDX)
}

/// Make deb and rpm packages.
pub(crate) fn packagers() -> Result<()> {
    cargo_tool("deb", CARGO_DEB)?;
    cargo_tool("generate-rpm", CARGO_GENERATE_RPM)?;
    Ok(())
}

/// libFuzzer needs a nightly compiler, which nobody must have: without one the ordinary tests drive the same
/// targets with generated bytes.
fn cargo_fuzz() -> Result<Ended> {
    if !process::succeeds(&mut command("rustup", &["run", "nightly", "cargo", "--version"])) {
        return Ok(Ended::Skipped("there is no nightly toolchain".to_owned()));
    }
    cargo_tool("fuzz", CARGO_FUZZ)
}

fn cargo_tool(name: &str, version: &str) -> Result<Ended> {
    if process::succeeds(&mut cargo(&format!("{name} --version"))) {
        return Ok(Ended::Passed("all there".to_owned()));
    }
    // Without optimisation it takes a third of the time to build and does this little work as well. Its build
    // stays out of our target/, which would otherwise hold a second copy of everything.
    let mut install = cargo(&format!("install --locked --debug {version}"));
    process::run(install.env_remove("CARGO_TARGET_DIR"))?;
    Ok(Ended::Passed("installed".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn what_was_made_before_the_last_change_is_made_again() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let (source, made) = (folder.path().join("source"), folder.path().join("made"));
        assert!(is_up_to_date(&made, &source).is_err(), "without a source there is nothing to make");
        fs::write(&source, "1")?;
        assert!(!is_up_to_date(&made, &source)?, "nothing was made yet");
        fs::write(&made, "1")?;
        let later = SystemTime::now() + Duration::from_secs(60);
        fs::File::options().write(true).open(&made)?.set_modified(later)?;
        assert!(is_up_to_date(&made, &source)?);
        fs::File::options().write(true).open(&source)?.set_modified(later + Duration::from_secs(1))?;
        assert!(!is_up_to_date(&made, &source)?);
        Ok(())
    }
}
