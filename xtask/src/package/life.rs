//! The life of a package, from its installation to its end, and what must be there after each step.
//!
//! A Retained Message that mosquitto's client leaves with the broker is what must survive. Where systemd would make the
//! data directory (`StateDirectory=`), this does, because none runs in the root.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::root::{Root, Service, mosquitto};

/// What is installed.
pub(super) struct Packages {
    pub deb: PathBuf,
    /// The same, as a later version.
    pub newer_deb: PathBuf,
    pub rpm: PathBuf,
}

/// What every installed package has.
const PROGRAM: [&str; 6] = [
    "/usr/bin/dunlin",
    "/usr/lib/systemd/system/dunlin.service",
    "/usr/lib/sysusers.d/dunlin.conf",
    "/usr/share/bash-completion/completions/dunlin",
    "/usr/share/fish/vendor_completions.d/dunlin.fish",
    "/usr/share/doc/dunlin/examples/dunlin.toml",
];

/// What systemd starts with the machine.
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/dunlin.service";

const CONFIGURATION: &str = "/etc/dunlin/dunlin.toml";

const DATA: &str = "/var/lib/dunlin";

/// A file of the administrator.
const PASSWORDS: &str = "/etc/dunlin/passwords";

const TOPIC: &str = "package/check";

/// Leads both packages through it.
pub(super) fn lead(packages: &Packages) -> Result<()> {
    let root = Root::make()?;
    root.bring(&packages.deb, "/dunlin.deb")?;
    root.bring(&packages.newer_deb, "/newer.deb")?;

    root.run(&["dpkg", "--install", "/dunlin.deb"])?;
    root.expect("after the installation", true, &PROGRAM)?;
    root.expect("after the installation", true, &[ENABLED, CONFIGURATION])?;
    expect_private(&root)?;
    make_data_directory(&root)?;
    serve(&root, "kept by the deb", None)?;

    // What the administrator does: a changed configuration, a file beside it.
    root.run(&["sh", "-c", &format!("echo '# changed here' >> {CONFIGURATION}")])?;
    root.run(&["touch", PASSWORDS])?;
    root.run(&["dpkg", "--install", "/newer.deb"])?;
    let version = root.ask(&["dpkg-query", "--show", "--showformat=${Version}", "dunlin"])?;
    ensure!(version == "999.0.0-1", "after the upgrade, the version is {version}");
    root.expect("after the upgrade", true, &[ENABLED, PASSWORDS])?;
    expect_changed_configuration(&root)?;
    expect_private(&root)?;
    serve(&root, "kept by the newer deb", Some("kept by the deb"))?;

    root.run(&["dpkg", "--remove", "dunlin"])?;
    root.expect("after the removal", false, &PROGRAM)?;
    root.expect("after the removal", true, &[CONFIGURATION, PASSWORDS, DATA])?;
    root.run(&["dpkg", "--install", "/newer.deb"])?;
    expect_changed_configuration(&root)?;
    serve(&root, "kept by the newer deb", Some("kept by the newer deb"))?;

    root.run(&["dpkg", "--purge", "dunlin"])?;
    root.expect("after the purge", false, &[CONFIGURATION, DATA, ENABLED])?;
    let find = "find / -xdev ! -path '/*.deb' -name '*dunlin*'";
    let left = root.ask(&["sh", "-c", find])?;
    ensure!(left == "/etc/dunlin", "after the purge, this is left: {left}");
    root.expect("after the purge", true, &[PASSWORDS])?;
    root.run(&["rm", "-r", "/etc/dunlin"])?;

    let rpm = packages.rpm.to_string_lossy();
    root.rpm(&["--install", &rpm])?;
    root.expect("after the installation of the rpm", true, &PROGRAM)?;
    expect_private(&root)?;
    make_data_directory(&root)?;
    serve(&root, "kept by the rpm", None)?;
    root.run(&["sh", "-c", &format!("echo '# changed here' >> {CONFIGURATION}")])?;
    root.rpm(&["--upgrade", "--replacepkgs", &rpm])?;
    expect_changed_configuration(&root)?;
    serve(&root, "kept by the rpm", Some("kept by the rpm"))?;
    root.rpm(&["--erase", "dunlin"])?;
    root.expect("after the removal of the rpm", false, &PROGRAM)?;
    root.expect("after the removal of the rpm", true, &[DATA, &format!("{CONFIGURATION}.rpmsave")])
}

/// Nobody but the service and root reads what may hold passwords and keys.
fn expect_private(root: &Root) -> Result<()> {
    let owners = root.ask(&["stat", "--format=%U %a", "/etc/dunlin", CONFIGURATION])?;
    ensure!(owners == "dunlin 700\ndunlin 600", "owners and modes in /etc/dunlin are {owners:?}");
    Ok(())
}

fn expect_changed_configuration(root: &Root) -> Result<()> {
    let last = root.ask(&["tail", "-n", "1", CONFIGURATION])?;
    ensure!(last == "# changed here", "what was changed in {CONFIGURATION} is lost: {last}");
    Ok(())
}

fn make_data_directory(root: &Root) -> Result<()> {
    root.run(&["install", "-d", "-o", "dunlin", "-g", "dunlin", "-m", "700", DATA])
}

/// Runs the broker once: what an earlier run left must be there, and it leaves something itself.
fn serve(root: &Root, message: &str, expected: Option<&str>) -> Result<()> {
    let service = Service::start(root)?;
    if let Some(expected) = expected {
        let kept = mosquitto("mosquitto_sub", &service, &["-t", TOPIC, "-C", "1", "-W", "10"])?;
        ensure!(kept.trim_end() == expected, "{kept:?} is there instead of {expected:?}");
    }
    mosquitto("mosquitto_pub", &service, &["-t", TOPIC, "-q", "1", "-r", "-m", message])?;
    service.stop()
}
