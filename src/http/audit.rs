//! The audit log: one line for every change by the API, made or refused, at the log target `dunlin::audit` and, where
//! `http.audit_file` says so, as JSON in a file.
//!
//! A line says who, from where, what and how it ended; what was sent is never in it, since that may be a password. A
//! handler can say more about what was changed where the path does not ([`Subject`]). The file is opened for each line,
//! so that whoever rotates it needs to tell nobody.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;

use super::access::Caller;
use crate::config::Scope;

/// The longest part of a path or of a subject that is written, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// What a change was about, where the path does not say it: an extension of the response.
#[derive(Debug, Clone)]
pub struct Subject(pub String);

/// Where lines go, beside the log.
#[derive(Debug, Clone)]
pub struct Audit {
    file: Option<Arc<PathBuf>>,
}

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Change {
    #[serde(with = "rfc3339")]
    at: OffsetDateTime,
    /// The token or the certificate; none of who has shown none.
    who: Option<String>,
    scope: Option<Scope>,
    from: SocketAddr,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    status: u16,
}

impl Change {
    pub fn new(caller: Option<Caller>, from: SocketAddr, method: String, path: &str) -> Self {
        let (who, scope) = caller.map(|caller| (caller.name.to_string(), caller.scope)).unzip();
        let path = shortened(path);
        Self { at: OffsetDateTime::now_utc(), who, scope, from, method, path, subject: None, status: 0 }
    }

    /// The same with how it ended.
    pub fn ended(self, status: u16, subject: Option<&Subject>) -> Self {
        Self { status, subject: subject.map(|Subject(text)| shortened(text)), ..self }
    }
}

impl Audit {
    /// Begins; the error is about the file.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        if let Some(path) = file {
            append(path, b"")?;
        }
        Ok(Self { file: file.map(|path| Arc::new(path.to_owned())) })
    }

    /// Writes a line. What cannot be written is in the log all the same.
    pub(super) async fn note(&self, change: Change) {
        let Change { who, from, method, path, subject, status, .. } = &change;
        let (who, subject) = (who.as_deref().unwrap_or("nobody"), subject.as_deref());
        tracing::info!(target: "dunlin::audit", who, %from, method, path, subject, status, "a change by the API");
        let Some(file) = self.file.clone() else { return };
        let Ok(mut line) = serde_json::to_vec(&change) else { return };
        line.push(b'\n');
        let path = Arc::clone(&file);
        // A disk may be slow, and this thread accepts connections.
        let written = tokio::task::spawn_blocking(move || append(&file, &line)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::error!(file = ?path, %error, "http.audit_file cannot be written; the line is in this log only");
        }
    }
}

/// One call adds the whole line, or lines of two requests could mix.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?.write_all(line)
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
