//! `dunlin completions` and `dunlin man`: what a shell and `man` know about this command line, written from its
//! definition, so that it cannot be out of date. Packages are built with the output of the program that they contain.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Cli;
use super::remote::{Failure, print_bytes};

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin completions bash > /etc/bash_completion.d/dunlin")]
pub struct CompletionsCommand {
    /// The shell
    shell: Shell,
}

/// Where the pages go.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dunlin man | man -l -")]
pub struct ManCommand {
    /// Write a page for each command to this directory [default: the page of dunlin itself to standard output]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl CompletionsCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definition(), "dunlin", &mut script);
        ended(print_bytes(&script))
    }
}

impl ManCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        match &self.directory {
            None => {
                let mut page = Vec::new();
                let rendered = Man::new(definition()).render(&mut page).map_err(Failure::Output);
                ended(rendered.and_then(|()| print_bytes(&page)))
            }
            Some(directory) => ended(write_pages(directory).map_err(|error| {
                Failure::Here(format!("the pages cannot be written to {}: {error}", directory.display()))
            })),
        }
    }
}

/// The definition of the command line.
fn definition() -> clap::Command {
    <Cli as CommandFactory>::command()
}

/// One page for each command, named as `man` finds it: `dunlin-store-check.1`.
fn write_pages(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // `dunlin help serve` shows what dunlin-serve.1 says; pages about asking for help would only be in the way.
    clap_mangen::generate_to(definition().disable_help_subcommand(true), directory)
}

fn ended(done: Result<(), Failure>) -> ExitCode {
    done.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::ValueEnum;

    use super::*;

    /// The names of all pages that there should be.
    fn pages(command: &clap::Command, name: &str) -> BTreeSet<String> {
        let below =
            command.get_subcommands().flat_map(|sub| pages(sub, &format!("{name}-{}", sub.get_name())));
        below.chain([format!("{name}.1")]).collect()
    }

    #[test]
    fn every_command_has_its_page() {
        let directory = tempfile::tempdir().unwrap();
        write_pages(directory.path()).unwrap();
        let written: BTreeSet<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(written, pages(&definition(), "dunlin"));
        let page = std::fs::read_to_string(directory.path().join("dunlin-store-backup.1")).unwrap();
        assert!(page.contains("Copy a store"), "{page}");
    }

    #[test]
    fn completions_of_every_shell_know_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut definition(), "dunlin", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("passwd") && script.contains("data-dir"), "{shell}");
        }
    }
}
