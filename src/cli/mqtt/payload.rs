//! What `dunlin pub` sends: from the command line, a file or standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use dunlin_codec::VARIABLE_BYTE_INTEGER_MAX;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{Instant, sleep_until};

/// Lines that are read ahead of the network.
const LINES_AHEAD: usize = 16;

/// Where the payload comes from; one of them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Message")]
#[group(required = true, multiple = false)]
pub struct PayloadArgs {
    /// The payload
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// Send the contents of a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Send all of standard input as one message
    #[arg(short, long)]
    stdin_file: bool,
    /// Send each line of standard input as a message, as they come
    #[arg(short = 'l', long)]
    stdin_line: bool,
    /// Send a message without payload; with --retain it clears the topic's Retained Message
    #[arg(short, long)]
    null_message: bool,
}

/// How often one message is sent.
#[derive(Debug, Clone, Copy)]
pub struct Repetition {
    pub count: u32,
    pub delay: Duration,
}

/// Payloads, one after the other.
pub enum Feed {
    /// The lines of standard input.
    Lines(Receiver<io::Result<Bytes>>),
    /// The same one several times, each when the one before is delivered.
    Same { payload: Bytes, left: u32, delay: Duration, due: Option<Instant> },
}

impl PayloadArgs {
    /// Whether there are as many messages as lines.
    pub fn is_lines(&self) -> bool {
        self.stdin_line
    }

    /// The payloads.
    ///
    /// # Errors
    /// A sentence, when a file cannot be read.
    pub fn feed(&self, repetition: Repetition) -> Result<Feed, String> {
        if self.stdin_line {
            return Ok(Feed::Lines(lines()));
        }
        let payload = match (&self.message, &self.file) {
            (Some(message), _) => message.clone().into_vec(),
            (None, Some(file)) => File::open(file)
                .and_then(read)
                .map_err(|error| format!("{}: cannot be read: {error}", file.display()))?,
            (None, None) if self.stdin_file => {
                read(io::stdin()).map_err(|error| format!("standard input cannot be read: {error}"))?
            }
            (None, None) => Vec::new(),
        };
        let Repetition { count, delay } = repetition;
        Ok(Feed::Same { payload: payload.into(), left: count, delay, due: Some(Instant::now()) })
    }
}

fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::from(VARIABLE_BYTE_INTEGER_MAX);
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than the {limit} bytes of a message"),
        ));
    }
    Ok(bytes)
}

/// Reads on a thread of its own: a terminal or a pipe keeps whoever reads from it.
fn lines() -> Receiver<io::Result<Bytes>> {
    let (sender, receiver) = channel(LINES_AHEAD);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let limit = u64::from(VARIABLE_BYTE_INTEGER_MAX);
            let line = match input.by_ref().take(limit).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.ends_with(b"\n") {
                        line.pop();
                    }
                    Ok(Bytes::from(line))
                }
                Err(error) => Err(error),
            };
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

impl Feed {
    /// The next payload, when it is due; `None` after the last. It may be dropped while it waits, and asked again.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self {
            Self::Lines(receiver) => receiver.recv().await,
            Self::Same { left: 0, .. } => None,
            Self::Same { payload, left, due, .. } => {
                match *due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
                *due = None;
                *left -= 1;
                Some(Ok(payload.clone()))
            }
        }
    }

    /// The last payload is with the broker.
    pub fn delivered(&mut self) {
        if let Self::Same { delay, due, .. } = self {
            *due = Some(Instant::now() + *delay);
        }
    }
}
