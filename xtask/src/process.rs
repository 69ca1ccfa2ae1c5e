//! Starting other programs: where they run, what is printed, what counts as failure.
//!
//! Every command runs in the project's root and is printed before it starts, in a form that can be pasted
//! into a shell. What `cargo run` put into our own environment about this package is taken out again: build
//! scripts watch those variables, and a nested cargo would rebuild half of the dependencies whenever it is
//! called from here.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The project's root: the folder above this package.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// A command in the project's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that runs us, with `arguments` separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&cargo, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Runs `command` with our own input and output; anything but exit status 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = announce(command);
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Runs `command` silently and says whether it could be started and ended well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs `command` and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = announce(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{line}` could not be started"))?;
    if !output.status.success() {
        bail!("`{line}` failed ({})", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` like [`run`], but ends it after `limit`: for what waits on a network that may not answer.
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Result<()> {
    let line = announce(command);
    let mut child = command.spawn().with_context(|| format!("`{line}` could not be started"))?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("`{line}` failed ({status})");
            }
            return Ok(());
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("`{line}` was ended after {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What test runners reported in their closing lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Adds the figures of a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    fn add_closing_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split([' ', ';', ',']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// Runs `cargo test` in some form, shows all it prints and adds up the closing lines. A run without a single
/// test is an error: silence is not a pass.
pub(crate) fn run_tests(command: &mut Command) -> Result<Tally> {
    let line = announce(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` could not be started"))?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            tally.add_closing_line(&text);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{line}` failed ({status}): {} passed, {} failed", tally.passed, tally.failed);
    }
    if tally.passed == 0 {
        bail!("`{line}` ran no test");
    }
    Ok(tally)
}

/// Whether a program of this name is installed. Debian keeps daemons in /usr/sbin, which only root has in its
/// PATH.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders =
        env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

/// Prints the command as it could be typed, with the variables that were set for it.
fn announce(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy().into_owned();
        Some(format!("{}={}", name.to_string_lossy(), quoted(&value)))
    });
    let program = Path::new(command.get_program());
    let program = match program.file_name() {
        Some(name) if name == "cargo" => "cargo".to_owned(),
        _ => program.display().to_string(),
    };
    let arguments = command.get_args().map(|argument| quoted(&argument.to_string_lossy()));
    let line = variables.chain([program]).chain(arguments).collect::<Vec<_>>().join(" ");
    println!("$ {line}");
    // The child writes to the same place without going through our buffer. A closed pipe shows there as well.
    let _ = std::io::stdout().flush();
    line
}

fn quoted(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '"', '\'', '$', ';', '&', '(', ')']) {
        format!("'{}'", word.replace('\'', r"'\''"))
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_several_runners_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.01s",
        ] {
            tally.add_closing_line(line);
        }
        assert_eq!(tally, Tally { passed: 5, failed: 4, ignored: 1 });
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(&mut command("false", &["x y"])).unwrap_err().to_string();
        assert!(error.starts_with("`false 'x y'` failed"), "{error}");
        assert!(run(&mut command("true", &[])).is_ok());
    }

    #[test]
    fn a_program_that_does_not_end_is_ended_at_its_limit() {
        let started = Instant::now();
        let error = run_within(Duration::from_millis(200), &mut command("sleep", &["60"])).unwrap_err();
        assert!(error.to_string().contains("was ended"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file() && root().join("xtask").is_dir());
    }
}
