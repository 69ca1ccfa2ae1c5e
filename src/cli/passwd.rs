//! `dunlin passwd`: the users of a password file.
//!
//! Where standard input is a terminal, the password is asked for there, without showing it, and twice when it is a
//! new one. Otherwise the first line of standard input is the password. There is no flag for it: other users of
//! the machine see command lines.
//!
//! Exit status 1 says that the password is wrong, that there is no such user or that the file cannot be used; 2 that
//! the command cannot be meant so.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use crate::auth::{self, PasswordFile, PasswordLines, Verdict};

/// The longest password that MQTT can carry, in bytes (5.0, section 1.5.6).
const PASSWORD_BYTES_MAX: usize = 65_535;

/// What shall be done with a password file.
#[derive(Debug, Subcommand)]
pub enum PasswdCommand {
    /// Add a user, or give it another password; a missing file is made
    #[command(after_help = "Example:\n  dunlin passwd add /etc/dunlin/passwords anna\n  \
        dunlin passwd add /etc/dunlin/passwords anna < secret")]
    Add(NewUser),
    /// Remove a user
    #[command(after_help = "Example:\n  dunlin passwd remove /etc/dunlin/passwords anna")]
    Remove(User),
    /// Say whether a password is the user's; exit status 1 if it is not, or there is no such user
    #[command(after_help = "Example:\n  dunlin passwd verify /etc/dunlin/passwords anna")]
    Verify(User),
}

/// A user of a password file.
#[derive(Debug, Args)]
pub struct User {
    /// The password file (`auth.password_file`)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The user name
    #[arg(value_name = "USER")]
    name: String,
}

/// A user with a new password.
#[derive(Debug, Args)]
pub struct NewUser {
    #[command(flatten)]
    user: User,
    /// Keep a verifier for SCRAM-SHA-256 instead of a hash with argon2id
    #[arg(long)]
    scram: bool,
    /// How slow guessing a password is made, and logging in for a SCRAM client: 4096 for microcontrollers, more for
    /// anything else
    #[arg(long, value_name = "N", requires = "scram", default_value_t = 100_000)]
    iterations: u32,
}

/// Why a command was not carried out.
struct Problem {
    status: u8,
    sentence: String,
}

/// The command cannot be meant so.
fn misuse(sentence: impl Into<String>) -> Problem {
    Problem { status: 2, sentence: sentence.into() }
}

/// It was meant so, and did not work.
fn failure(sentence: impl Into<String>) -> Problem {
    Problem { status: 1, sentence: sentence.into() }
}

impl PasswdCommand {
    /// Carries it out.
    pub fn run(self) -> ExitCode {
        let done = match &self {
            Self::Add(new) => new.add(),
            Self::Remove(user) => user.remove(),
            Self::Verify(user) => user.verify(),
        };
        done.unwrap_or_else(|Problem { status, sentence }| {
            eprintln!("dunlin: {sentence}");
            ExitCode::from(status)
        })
    }
}

impl NewUser {
    fn add(&self) -> Result<ExitCode, Problem> {
        let user = &self.user;
        user.check_name()?;
        if self.scram && !auth::is_prepared_name(&user.name) {
            return Err(misuse(format!(
                "no SCRAM client can be the user {:?}: SASLprep (RFC 4013) does not leave that name as it is",
                user.name
            )));
        }
        let password = new_password(&user.name)?;
        let hash = if self.scram {
            auth::scram_verifier(&password, self.iterations).map_err(|problem| misuse(problem.to_string()))
        } else {
            auth::hash_password(&password)
                .map_err(|error| failure(format!("the password cannot be hashed: {error}")))
        };
        let mut lines = user.open()?;
        let was_there = lines.set(&user.name, &hash?);
        user.save(lines)?;
        let what = if was_there { "has another password now" } else { "is added" };
        println!("{}: user {:?} {what}", user.file.display(), user.name);
        Ok(ExitCode::SUCCESS)
    }
}

impl User {
    fn remove(&self) -> Result<ExitCode, Problem> {
        self.check_name()?;
        let mut lines = self.open()?;
        if !lines.exists() {
            return Err(failure(format!("{}: there is no such file", self.file.display())));
        }
        if !lines.remove(&self.name) {
            return Err(failure(format!("{}: there is no user {:?}", self.file.display(), self.name)));
        }
        self.save(lines)?;
        println!("{}: user {:?} is removed", self.file.display(), self.name);
        Ok(ExitCode::SUCCESS)
    }

    fn verify(&self) -> Result<ExitCode, Problem> {
        self.check_name()?;
        let file = PasswordFile::load(&self.file).map_err(|error| failure(error.to_string()))?;
        let password = password(&format!("Password of {}: ", self.name))?;
        let (verdict, status) = match file.verify(&self.name, &password) {
            Verdict::Correct => ("the password is right", ExitCode::SUCCESS),
            Verdict::WrongPassword => ("the password is wrong", ExitCode::FAILURE),
            Verdict::UnknownUser => ("there is no such user", ExitCode::FAILURE),
        };
        println!("{}: user {:?}: {verdict}", self.file.display(), self.name);
        Ok(status)
    }

    fn check_name(&self) -> Result<(), Problem> {
        match auth::user_name_problem(&self.name) {
            Some(problem) => Err(misuse(format!("the user name {:?} {problem}; choose another", self.name))),
            None => Ok(()),
        }
    }

    fn open(&self) -> Result<PasswordLines, Problem> {
        PasswordLines::open(&self.file).map_err(|error| failure(error.to_string()))
    }

    /// Writes the file, and tells if a broker would not load it for another line.
    fn save(&self, lines: PasswordLines) -> Result<(), Problem> {
        let objection = PasswordFile::parse(lines.text(), &self.file).err();
        lines
            .save()
            .map_err(|error| failure(format!("{}: cannot be written: {error}", self.file.display())))?;
        if let Some(objection) = objection {
            eprintln!("dunlin: no broker will load the file as it is: {objection}");
        }
        Ok(())
    }
}

/// Asks for a password that is not known yet.
fn new_password(user_name: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let first = password(&format!("Password for {user_name}: "))?;
    if first.is_empty() {
        return Err(misuse("the password is empty; give one on a terminal, or as a line of standard input"));
    }
    if is_at_terminal() && password("The same again: ")? != first {
        return Err(misuse("the two passwords differ"));
    }
    Ok(first)
}

fn is_at_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a password, on the terminal or by reading a line.
fn password(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let password = if is_at_terminal() {
        rpassword::prompt_password(prompt).map(|password| Zeroizing::new(password.into_bytes()))
    } else {
        first_line(&mut io::stdin().lock())
    };
    let password = password.map_err(|error| failure(format!("the password cannot be read: {error}")))?;
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(misuse(format!("the password has more than {PASSWORD_BYTES_MAX} bytes")));
    }
    Ok(password)
}

/// The first line, without what ends it.
fn first_line(input: &mut impl BufRead) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all that is read: growing would leave copies behind.
    let length_max = PASSWORD_BYTES_MAX + "\r\n".len() + 1;
    let mut line = Zeroizing::new(Vec::with_capacity(length_max));
    input.take(length_max as u64).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    Ok(line)
}
