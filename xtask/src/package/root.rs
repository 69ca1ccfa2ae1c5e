//! A small Debian in a folder, to install packages in: no container, no other machine.
//!
//! mmdebstrap makes it from the packages that every Debian has, and what makes users; that takes half a minute and is
//! kept as an archive in `target/package`. Everything in it is done through `chroot`, as root. No systemd runs there, so
//! maintainer scripts are tried as they are in an image that is being built, and the broker is started by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::machine::{self, privileged};
use crate::process::{self, command, is_installed, root as project};

/// The folder, from the project's root.
const FOLDER: &str = "target/package/root";

/// The same as it was before anything was installed.
const ARCHIVE: &str = "target/package/root.tar";

/// A Debian without Dunlin.
pub(super) struct Root(PathBuf);

/// Why there cannot be one here, if so.
pub(super) fn obstacle() -> Option<String> {
    let suite = suite();
    if suite.is_none() || !is_installed("apt-get") {
        return Some(
            "packages are installed in a Debian of the same version, and this is no Debian".to_owned(),
        );
    }
    privileged(&["true"])
        .err()
        .map(|error| format!("a root to install in needs the rights of root: {error:#}"))
}

/// The name of this Debian, such as `bookworm`: what is built here runs in the same one.
fn suite() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let value = |key: &str| release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    (value("ID") == Some("debian")).then(|| value("VERSION_CODENAME")).flatten().map(str::to_owned)
}

impl Root {
    /// Makes one, in the place of the last.
    pub fn make() -> Result<Self> {
        let missing: Vec<_> = ["mmdebstrap", "rpm"].into_iter().filter(|tool| !is_installed(tool)).collect();
        if !missing.is_empty() {
            machine::install(&missing)?;
        }
        let suite = suite().context("this is no Debian")?;
        if !project().join(ARCHIVE).exists() {
            let include = "--include=systemd-standalone-sysusers";
            let draft = format!("{ARCHIVE}.draft");
            let make = ["mmdebstrap", "--quiet", "--format=tar", "--variant=essential", include];
            process::run(privileged(&make)?.args([&suite, &draft]))?;
            process::run(&mut privileged(&["mv", &draft, ARCHIVE])?)?;
        }
        process::run(&mut privileged(&["rm", "-rf", FOLDER])?)?;
        process::run(&mut privileged(&["mkdir", FOLDER])?)?;
        process::run(&mut privileged(&["tar", "--extract", "--file", ARCHIVE, "--directory", FOLDER])?)?;
        Ok(Self(project().join(FOLDER)))
    }

    /// A command in it, as root.
    pub fn command(&self, words: &[&str]) -> Result<Command> {
        self.command_of("root", words)
    }

    /// A command in it, as one of its users.
    pub fn command_of(&self, user: &str, words: &[&str]) -> Result<Command> {
        let mut chroot = privileged(&["chroot", &format!("--userspec={user}:{user}")])?;
        chroot.arg(&self.0).args(words);
        Ok(chroot)
    }

    /// Runs a command in it, as root.
    pub fn run(&self, words: &[&str]) -> Result<()> {
        process::run(&mut self.command(words)?)
    }

    /// Copies a file of the project into it.
    pub fn bring(&self, file: &Path, to: &str) -> Result<()> {
        let target = self.0.join(to.trim_start_matches('/'));
        process::run(privileged(&["cp"])?.arg(file).arg(target))
    }

    /// Installs, upgrades or erases with the rpm of this machine: Debian's root has none.
    pub fn rpm(&self, words: &[&str]) -> Result<()> {
        let mut rpm = privileged(&["rpm", "--nodeps", "--root"])?;
        process::run(rpm.arg(&self.0).args(words))
    }

    /// Fails unless all these paths exist, or, if they should not, none.
    pub fn expect(&self, when: &str, is_there: bool, paths: &[&str]) -> Result<()> {
        for path in paths {
            let file = self.0.join(path.trim_start_matches('/'));
            // A link counts by itself: what it points to is inside the root.
            let exists = process::succeeds(&mut privileged(&["test", "-e", &file.to_string_lossy()])?)
                || process::succeeds(&mut privileged(&["test", "-L", &file.to_string_lossy()])?);
            let problem = if is_there { "is missing" } else { "is still there" };
            ensure!(exists == is_there, "{when}, {path} {problem}");
        }
        Ok(())
    }

    /// What a command prints, without the end of its last line.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        Ok(process::output(&mut self.command(words)?)?.trim_end().to_owned())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Nothing is mounted in it; if something is in the way, the next run says so.
        if let Ok(mut remove) = privileged(&["rm", "-rf", FOLDER]) {
            let _ = process::succeeds(&mut remove);
        }
    }
}

/// A broker that runs in a root.
pub(super) struct Service {
    process: std::process::Child,
    pub port: u16,
}

impl Service {
    /// Starts it as the unit does, but for ports that are free here, and waits until it serves.
    pub fn start(root: &Root) -> Result<Self> {
        let (port, http) = (free_port()?, format!("127.0.0.1:{}", free_port()?));
        let listen = format!("mqtt://127.0.0.1:{port}");
        let serve = ["dunlin", "serve", "--config", "/etc/dunlin/dunlin.toml"];
        let mut start = root.command_of("dunlin", &serve)?;
        start.args(["--listen", &listen, "--http", &http]);
        let process = start.spawn().context("the broker could not be started")?;
        let mut service = Self { process, port };
        for _ in 0..600 {
            if let Some(status) = service.process.try_wait()? {
                anyhow::bail!("the broker ended at once ({status})");
            }
            if process::succeeds(&mut root.command_of("dunlin", &["dunlin", "health", "--http", &http])?) {
                return Ok(service);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        anyhow::bail!("the broker did not serve within 30 s")
    }

    /// Ends it as systemd does.
    pub fn stop(mut self) -> Result<()> {
        process::run(&mut privileged(&["kill", "-TERM", &self.process.id().to_string()])?)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the broker ended with {status}");
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After `stop`, it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Runs one of mosquitto's clients against a service, and returns what it printed.
pub(super) fn mosquitto(client: &str, service: &Service, arguments: &[&str]) -> Result<String> {
    let port = service.port.to_string();
    process::output(command(client, &["-h", "127.0.0.1", "-p", &port]).args(arguments))
}
