//! Entries of the systemd journal: one datagram each, with the line, its priority and every field by name.
//!
//! The message is the same line that a text log has, so that `journalctl` and fail2ban see who was refused and why; the
//! fields are there once more for queries (`journalctl DUNLIN_CLIENT='"sensor-7"'`). The crate tracing-journald would
//! keep them out of the message, and all that `journalctl` shows would be "refused".
//!
//! The protocol is systemd's (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): `NAME`, a line end, the length as 64 bits,
//! the value, a line end. So no text of a client can end a field or begin another.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Where the journal listens.
pub(super) const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// The longest value of a field; what is longer is cut. A datagram has to hold all of them.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The way to the journal. It names the socket with each entry, so that a journal that starts anew is reached.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Fails where there is no journal.
    pub fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // An empty datagram is no entry.
        socket.send_to(&[], path)?;
        Ok(Self { socket, path: path.to_owned() })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = Entry { target: event.metadata().target().to_owned(), ..Entry::default() };
        event.record(&mut entry);
        let line = format!("{}{}", entry.message, entry.details);
        let datagram = entry.datagram(&line, event.metadata().level());
        if self.socket.send_to(&datagram, &self.path).is_err() {
            // What the journal does not take there it takes from here, if it runs. There is nowhere else to complain.
            drop(writeln!(io::stderr(), "{line}"));
        }
    }
}

/// An event as the journal has it.
#[derive(Default)]
struct Entry {
    target: String,
    message: String,
    /// What follows the message in the line.
    details: String,
    /// The fields, encoded.
    fields: Vec<u8>,
}

impl Entry {
    fn add(&mut self, field: &Field, in_line: fmt::Arguments<'_>, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            // Libraries that log through the crate `log` say so.
            "log.target" => self.target = value.to_owned(),
            name if name.starts_with("log.") => {}
            name => {
                // Writing to a String cannot fail.
                let _ = write!(self.details, " {name}={in_line}");
                encode(&mut self.fields, &format!("DUNLIN_{}", name.to_ascii_uppercase()), value);
            }
        }
    }

    fn datagram(self, line: &str, level: &Level) -> Vec<u8> {
        // As syslog counts.
        let priority = match *level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        let mut datagram = Vec::new();
        encode(&mut datagram, "MESSAGE", line);
        encode(&mut datagram, "PRIORITY", priority);
        encode(&mut datagram, "SYSLOG_IDENTIFIER", "dunlin");
        encode(&mut datagram, "TARGET", &self.target);
        datagram.extend(self.fields);
        datagram
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value:?}"), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.add(field, format_args!("{value}"), &value);
    }
}

fn encode(datagram: &mut Vec<u8>, name: &str, value: &str) {
    // The journal knows letters, digits and underscores.
    let is_known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    datagram.extend(name.bytes().map(|byte| if is_known(byte) { byte } else { b'_' }));
    let value = &value.as_bytes()[..value.floor_char_boundary(VALUE_BYTES_MAX)];
    datagram.push(b'\n');
    datagram.extend((value.len() as u64).to_le_bytes());
    datagram.extend(value);
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tracing_subscriber::layer::SubscriberExt;

    /// A journal of a test.
    struct Reading {
        socket: UnixDatagram,
        _directory: tempfile::TempDir,
        journal: Option<Journal>,
    }

    impl Reading {
        fn begin() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("socket");
            let socket = UnixDatagram::bind(&path).expect("a socket");
            socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
            let journal = Some(Journal::open(&path).expect("it listens"));
            let mut reading = Self { socket, _directory: directory, journal };
            assert_eq!(reading.entry(), []);
            reading
        }

        /// The fields of the next entry.
        fn entry(&mut self) -> Vec<(String, String)> {
            let mut bytes = vec![0; 256 * 1024];
            let length = self.socket.recv(&mut bytes).expect("an entry");
            let (mut rest, mut fields) = (&bytes[..length], Vec::new());
            while !rest.is_empty() {
                let end = rest.iter().position(|byte| *byte == b'\n').expect("a name");
                let (name, value) = (&rest[..end], &rest[end + 1..]);
                let length = u64::from_le_bytes(value[..8].try_into().expect("eight bytes")) as usize;
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                fields.push((text(name), text(&value[8..8 + length])));
                assert_eq!(value[8 + length], b'\n');
                rest = &value[9 + length..];
            }
            fields
        }

        fn while_logging(&mut self, log: impl FnOnce()) -> Vec<(String, String)> {
            let subscriber = tracing_subscriber::registry().with(self.journal.take());
            tracing::subscriber::with_default(subscriber, log);
            self.entry()
        }
    }

    fn value<'a>(entry: &'a [(String, String)], name: &str) -> &'a str {
        entry.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn an_entry_has_the_line_the_priority_and_every_field() {
        let entry = Reading::begin().while_logging(|| {
            let (client, address) = ("x\nPRIORITY=0", "127.0.0.1:1");
            tracing::warn!(?client, %address, kind = "login", unlogged = 3, "refused");
        });
        let line = r#"refused client="x\nPRIORITY=0" address=127.0.0.1:1 kind="login" unlogged=3"#;
        assert_eq!(value(&entry, "MESSAGE"), line);
        assert_eq!((value(&entry, "PRIORITY"), value(&entry, "SYSLOG_IDENTIFIER")), ("4", "dunlin"));
        assert_eq!(value(&entry, "DUNLIN_CLIENT"), r#""x\nPRIORITY=0""#);
        assert_eq!((value(&entry, "DUNLIN_ADDRESS"), value(&entry, "DUNLIN_KIND")), ("127.0.0.1:1", "login"));
        assert_eq!(value(&entry, "TARGET"), module_path!());
        assert_eq!(entry.len(), 8);
    }

    #[test]
    fn what_is_too_long_for_a_datagram_is_cut_and_arrives() {
        let entry = Reading::begin().while_logging(|| {
            let client = "ä".repeat(65_535 / 2);
            tracing::info!(?client, "connected");
        });
        assert_eq!(value(&entry, "MESSAGE").len(), VALUE_BYTES_MAX);
        assert_eq!(value(&entry, "DUNLIN_CLIENT").len(), VALUE_BYTES_MAX - 1);
    }

    #[test]
    fn without_a_journal_there_is_none_to_write_to() {
        assert!(Journal::open(Path::new("/nowhere/socket")).is_err());
    }
}
