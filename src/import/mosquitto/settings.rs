//! The options beside listeners and users that follow from several lines, or from none: mosquitto's defaults are written
//! where they decide what a client notices and Dunlin's are others.

use std::fmt::Write as _;
use std::path::Path;

use super::Remark;
use super::draft::{Draft, ListenerDraft, LogLevel, Written};
use super::value::{PACKET_BYTES_MAX, PACKET_BYTES_MIN, quoted, size};

/// The options beside listeners and users.
pub(super) fn complete(draft: &mut Draft, listeners: &[ListenerDraft]) {
    const DEFAULT: &str = "mosquitto's default";
    let mut set_default = |option: &'static str, value: &str| {
        if !draft.settings.iter().any(|setting| setting.option == option) {
            draft.set(option, value.to_owned(), DEFAULT.to_owned());
        }
    };
    set_default("session.max_inflight", "20");
    set_default("session.max_queued_messages", "1000");
    set_default("session.overflow", "\"drop-newest\"");
    if let Some(packet) = draft.packet_bytes.take() {
        let bytes = packet.value.clamp(PACKET_BYTES_MIN, PACKET_BYTES_MAX);
        draft.set("limits.max_packet_size", size(bytes), packet.place.to_string());
    }
    aliases(draft, "session.topic_alias_maximum", listeners.iter().map(|it| it.topic_aliases.as_ref()));
    aliases(
        draft,
        "session.server_topic_aliases",
        listeners.iter().map(|it| it.server_topic_aliases.as_ref()),
    );
    store(draft);
    log(draft);
}

/// A number of Topic Aliases, which Dunlin has once for all listeners; mosquitto's default is 10.
fn aliases<'a>(
    draft: &mut Draft,
    option: &'static str,
    said: impl Iterator<Item = Option<&'a Written<i64>>> + Clone,
) {
    const DEFAULT: i64 = 10;
    let Some(place) =
        said.clone().flatten().min_by_key(|aliases| aliases.value).map(|aliases| &aliases.place)
    else {
        return;
    };
    let numbers = said.map(|aliases| aliases.map_or(DEFAULT, |aliases| aliases.value));
    let (smallest, greatest) = (numbers.clone().min().unwrap_or(DEFAULT), numbers.max().unwrap_or(DEFAULT));
    draft.set(option, smallest.to_string(), place.to_string());
    if smallest != greatest {
        let text = format!(
            "max_topic_alias: {option} holds for all listeners, so it is the smallest number that any of them has"
        );
        draft.remarks.push(Remark::new(place, text));
    }
}

fn store(draft: &mut Draft) {
    let Some(persistence) = draft.persistence.take().filter(|persistence| persistence.value) else {
        draft.unneeded.extend(draft.persistence_location.take().map(|location| {
            Remark::new(&location.place, "persistence_location: not used, because persistence is not true")
        }));
        let origin =
            "mosquitto keeps nothing without persistence true; name a directory to keep what is acknowledged";
        return draft.set("store.path", quoted(""), origin.to_owned());
    };
    let text = "what mosquitto has stored is not read; docs/migrating-from-mosquitto.md says how to bring Retained Messages along";
    draft.remarks.push(Remark::new(&persistence.place, text));
    let (path, place) = match draft.persistence_location.take() {
        Some(location) if location.value == Path::new("/var/lib/mosquitto") => {
            ("/var/lib/dunlin".into(), location.place)
        }
        Some(location) => (location.value.join("dunlin-data"), location.place),
        None => ("dunlin-data".into(), persistence.place),
    };
    draft.set("store.path", quoted(&path.to_string_lossy()), place.to_string());
}

fn log(draft: &mut Draft) {
    let log = std::mem::take(&mut draft.log);
    let (level, place) = match (log.none, log.level, &log.without_connections) {
        (Some(place), _, _) => (LogLevel::Off, place),
        (None, Some(level), _) => (level.value, level.place),
        (None, None, Some(place)) => (LogLevel::Info, place.clone()),
        (None, None, None) => return,
    };
    let word = match level {
        LogLevel::Off => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let mut directives = word.to_owned();
    let mut origin = place.to_string();
    // Connections are told at `info`; at what is more severe they are not told anyway.
    if let Some(place) = log.without_connections.filter(|_| level >= LogLevel::Info) {
        directives += ",dunlin::worker::link=warn";
        if origin != place.to_string() {
            let _ = write!(origin, ", {place}");
        }
    }
    draft.set("log.level", quoted(&directives), origin);
}
