//! The options of mosquitto.conf that hold for the whole broker, but those about who may do what
//! (`security_options.rs`).

use super::draft::{LogLevel, Written};
use super::lines::Line;
use super::reading::Reading;
use super::table::{MosquittoOption, missing, missing_if, said, unneeded};
use super::value::{self, PACKET_BYTES_MIN, flag, limit, number, one_of, quoted, size, text};

/// What `max_queued_messages 0` and `global_max_... -1` come to where Dunlin has to have a limit.
const MESSAGES_MAX: i64 = 1_000_000_000;
const CONNECTIONS_MAX: i64 = 10_000_000;
const KB: i64 = 1024;

pub(super) static OPTIONS: &[MosquittoOption] = &[
    // Where the rest is.
    said(
        &["include_dir"],
        "",
        "The files are read, and their lines are part of the one dunlin.toml.",
        Reading::include,
    ),
    // Sessions and messages.
    said(
        &["max_inflight_messages"],
        "session.max_inflight",
        "0, no limit, becomes 65535. Where the line is missing, mosquitto's 20 is written.",
        |reading, line| {
            let messages = number(line, i64::from(i32::MIN)..=65_535)?;
            reading.set(
                line,
                "session.max_inflight",
                if messages > 0 { messages } else { 65_535 }.to_string(),
            );
            Ok(())
        },
    ),
    missing_if(
        &["max_inflight_bytes"],
        "What is in flight is limited by number only: session.max_inflight.",
        |line| Ok(limit(line)?.is_some()),
    ),
    said(
        &["max_queued_messages"],
        "session.max_queued_messages",
        "0, no limit, becomes 1,000,000,000. Where the line is missing, mosquitto's 1000 is written; session.overflow is drop-newest, as in mosquitto.",
        |reading, line| {
            let messages = limit(line)?.unwrap_or(MESSAGES_MAX).min(MESSAGES_MAX);
            reading.set(line, "session.max_queued_messages", messages.to_string());
            Ok(())
        },
    ),
    said(
        &["max_queued_bytes"],
        "session.max_queued_bytes",
        "1KB at least. 0, no limit, leaves Dunlin's limit of 64MB.",
        |reading, line| {
            if let Some(bytes) = limit(line)? {
                reading.set(line, "session.max_queued_bytes", size(bytes.max(KB)));
            } else {
                reading.say_unneeded(line, "Dunlin's limit of 64MB stays");
            }
            Ok(())
        },
    ),
    missing_if(
        &["queue_qos0_messages"],
        "QoS 0 messages do not wait for absent clients; subscribe at QoS 1 and publish at QoS 1 what must.",
        flag,
    ),
    missing_if(
        &["upgrade_outgoing_qos"],
        "Messages are never sent at a higher QoS than they were published at, as the specification demands.",
        flag,
    ),
    unneeded(
        &["allow_duplicate_messages"],
        "A client gets a message once, or once for each overlapping subscription, as the specification allows.",
    ),
    said(
        &["max_keepalive"],
        "session.max_keep_alive",
        "0 is no limit. 3.x clients, which cannot be told, keep their own.",
        |reading, line| {
            match number(line, 0..=65_535)? {
                0 => reading.say_unneeded(line, "0 is no limit, as in Dunlin"),
                seconds => reading.set(line, "session.max_keep_alive", quoted(&format!("{seconds}s"))),
            }
            Ok(())
        },
    ),
    said(
        &["persistent_client_expiration"],
        "session.max_expiry",
        "A month has 30 days, a year 365.",
        |reading, line| {
            reading.set(line, "session.max_expiry", quoted(&value::duration(line)?));
            Ok(())
        },
    ),
    // Limits.
    said(
        &["max_packet_size"],
        "limits.max_packet_size",
        "128B at least, 255MB at most. Where the line is missing, Dunlin's 2MB holds, as in mosquitto 2.1; 2.0 has no limit.",
        |reading, line| {
            let bytes = number(line, 20..=i64::from(i32::MAX))?;
            if bytes < PACKET_BYTES_MIN {
                reading.remark(line, "128 bytes are the least that Dunlin can be told");
            }
            reading.limit_packets(line, bytes);
            Ok(())
        },
    ),
    said(
        &["message_size_limit"],
        "limits.max_packet_size",
        "Counts the whole packet, not the payload alone, and ends the connection of who exceeds it. 0 is no limit.",
        |reading, line| {
            match number(line, 0..=268_435_455)? {
                0 => reading.say_unneeded(line, "0 is no limit of its own"),
                bytes => {
                    reading.remark(line, "limits.max_packet_size counts the whole packet, not the payload alone: raise it by the length of your topics and properties if messages come close to it");
                    reading.limit_packets(line, bytes);
                }
            }
            Ok(())
        },
    ),
    said(
        &["memory_limit"],
        "limits.max_memory",
        "Messages beyond it are refused, nobody is disconnected. 0, no limit, leaves Dunlin's: half of the memory there is.",
        |reading, line| {
            match number(line, 0..=16 * KB * KB * KB * KB)? {
                0 => reading.say_unneeded(line, "Dunlin's limit of half the memory stays"),
                bytes => reading.set(line, "limits.max_memory", size(bytes)),
            }
            Ok(())
        },
    ),
    said(
        &["global_max_connections"],
        "limits.max_connections",
        "-1, no limit, leaves Dunlin's 100,000.",
        |reading, line| {
            match limit(line)? {
                None => reading.say_unneeded(line, "Dunlin's limit of 100,000 stays"),
                Some(count) => {
                    reading.set(line, "limits.max_connections", count.min(CONNECTIONS_MAX).to_string())
                }
            }
            Ok(())
        },
    ),
    said(
        &["global_max_clients"],
        "limits.max_sessions",
        "A client beyond it is admitted, but its Session ends with its connection. -1, no limit, leaves Dunlin's 1,000,000.",
        |reading, line| {
            match limit(line)? {
                None => reading.say_unneeded(line, "Dunlin's limit of 1,000,000 stays"),
                Some(count) => {
                    reading.remark(line, "a client beyond limits.max_sessions is admitted, with a Session that ends with its connection; limits.max_connections bounds connections");
                    reading.set(line, "limits.max_sessions", count.min(MESSAGES_MAX).to_string());
                }
            }
            Ok(())
        },
    ),
    said(
        &["retain_available"],
        "limits.max_retained_messages",
        "false becomes 0: a Retained Message is refused, its publisher stays connected.",
        |reading, line| {
            if flag(line)? {
                reading.say_unneeded(line, "Retained Messages are available");
            } else {
                reading.set(line, "limits.max_retained_messages", "0".to_owned());
            }
            Ok(())
        },
    ),
    missing(
        &["retain_expiry_interval"],
        "Retained messages stay until they are replaced or cleared; 5.0 publishers can give them a Message Expiry Interval.",
    ),
    // What is kept.
    said(
        &["persistence", "retained_persistence"],
        "store.path",
        "Where the line is missing or false, store.path is \"\", and nothing outlives the broker, as in mosquitto. With true, an acknowledged message is on the disk. mosquitto.db is not read.",
        |reading, line| {
            reading.draft.persistence = Some(Written::new(flag(line)?, &line.place));
            Ok(())
        },
    ),
    said(
        &["persistence_location"],
        "store.path",
        "A directory dunlin-data in it; /var/lib/mosquitto becomes /var/lib/dunlin.",
        |reading, line| {
            reading.draft.persistence_location = Some(Written::new(reading.path(line)?, &line.place));
            Ok(())
        },
    ),
    unneeded(&["persistence_file"], "The files in the data directory have names of their own."),
    unneeded(&["autosave_interval"], "What is acknowledged is on the disk already (store.sync)."),
    unneeded(&["autosave_on_changes"], "What is acknowledged is on the disk already (store.sync)."),
    // Logs.
    said(
        &["log_type"],
        "log.level",
        "The least severe type of all such lines decides; notice is info. subscribe, unsubscribe, websockets and internal have no equivalent.",
        log_type,
    ),
    said(
        &["log_dest"],
        "log.level",
        "none becomes off. Logs go to standard error: the journal under systemd, or a file with `2>>FILE`.",
        log_dest,
    ),
    said(
        &["connection_messages"],
        "log.level",
        "false becomes a directive that leaves them out.",
        |reading, line| {
            reading.draft.log.without_connections = (!flag(line)?).then(|| line.place.clone());
            Ok(())
        },
    ),
    missing(
        &["log_facility"],
        "Logs go to standard error, and under systemd to the journal (SyslogFacility= in the unit).",
    ),
    missing_if(&["log_timestamp"], "Every line of the log has its time.", |line| Ok(!flag(line)?)),
    missing(&["log_timestamp_format"], "The log has times as RFC 3339 writes them."),
    unneeded(&["websockets_log_level"], "There is no libwebsockets here; see log.level."),
    // The process.
    said(
        &["sys_interval"],
        "sys.interval",
        "The topics below `$SYS/broker` have mosquitto's names.",
        |reading, line| {
            let seconds = number(line, 0..=65_535)?;
            reading.set(line, "sys.interval", quoted(&format!("{seconds}s")));
            Ok(())
        },
    ),
    missing(
        &["user"],
        "Dunlin runs as who starts it: say User= in the systemd unit. That user must be able to read the files named in the output.",
    ),
    unneeded(&["pid_file"], "systemd and containers know the process without one."),
    unneeded(&["set_tcp_nodelay"], "TCP_NODELAY is always set, and packets are sent together all the same."),
    unneeded(&["websockets_headers_size", "packet_buffer_size"], "Buffers have the size they need."),
    unneeded(
        &["retry_interval"],
        "Messages are sent again when a client reconnects, as the specification demands.",
    ),
    unneeded(&["store_clean_interval"], "Messages that nobody needs are gone at once."),
    unneeded(
        &["ffdc_output", "max_log_entries", "trace_level", "trace_output"],
        "Options of another broker, which mosquitto ignores.",
    ),
];

fn log_type(reading: &mut Reading, line: &Line) -> Result<(), String> {
    let level = one_of(
        line,
        &[
            ("none", Some(LogLevel::Off)),
            ("error", Some(LogLevel::Error)),
            ("warning", Some(LogLevel::Warn)),
            ("notice", Some(LogLevel::Info)),
            ("information", Some(LogLevel::Info)),
            ("debug", Some(LogLevel::Debug)),
            ("all", Some(LogLevel::Debug)),
            ("subscribe", None),
            ("unsubscribe", None),
            ("websockets", None),
            ("internal", None),
        ],
    )?;
    let log = &mut reading.draft.log;
    // `none` forgets what was said before; anything else adds to it.
    let before = log.level.as_ref().map_or(LogLevel::Off, |level| level.value);
    match level {
        Some(LogLevel::Off) => log.level = Some(Written::new(LogLevel::Off, &line.place)),
        Some(level) => log.level = Some(Written::new(level.max(before), &line.place)),
        None => {
            log.level.get_or_insert(Written::new(LogLevel::Off, &line.place));
            reading.remark(line, "messages of this type are not logged");
        }
    }
    Ok(())
}

fn log_dest(reading: &mut Reading, line: &Line) -> Result<(), String> {
    const DESTINATIONS: [(&str, ()); 8] = [
        ("stdout", ()),
        ("stderr", ()),
        ("syslog", ()),
        ("topic", ()),
        ("file", ()),
        ("dlt", ()),
        ("android", ()),
        ("none", ()),
    ];
    one_of(line, &DESTINATIONS)?;
    match line.word() {
        "none" => reading.draft.log.none = Some(line.place.clone()),
        "stderr" => {
            reading.draft.log.none = None;
            reading.say_unneeded(line, "where Dunlin logs");
        }
        _ => {
            text(line)?;
            reading.draft.log.none = None;
            reading.remark(line, "Dunlin logs to standard error: the journal has it under systemd, or append 2>>FILE to the command");
        }
    }
    Ok(())
}
