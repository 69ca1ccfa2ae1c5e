//! What a mosquitto.conf says, before it is written as anything else.
//!
//! Each value remembers its line. The last one wins, as in mosquitto 2.1; 2.0 refuses some that are said twice.

use std::path::{Path, PathBuf};

use super::Remark;
use super::lines::Place;

/// A value and the line that says it.
#[derive(Debug, Clone)]
pub(super) struct Written<T> {
    pub value: T,
    pub place: Place,
}

/// A whole mosquitto.conf.
#[derive(Debug)]
pub(super) struct Draft {
    /// The file itself.
    pub place: Place,
    /// Whether who may do what is said for each listener (`per_listener_settings`).
    pub per_listener: bool,
    /// Who may do what, where it is said for all.
    pub security: Security,
    /// The listener without a `listener` line, which is there when something is said of it.
    pub default_listener: ListenerDraft,
    pub listeners: Vec<ListenerDraft>,
    pub plugins: Vec<Plugin>,
    pub bridges: Vec<Bridge>,
    /// Options of Dunlin that need no further thought.
    pub settings: Vec<Setting>,
    /// The largest packet, after `max_packet_size` and `message_size_limit`.
    pub packet_bytes: Option<Written<i64>>,
    pub persistence: Option<Written<bool>>,
    pub persistence_location: Option<Written<PathBuf>>,
    pub log: LogDraft,
    /// What keeps all listeners closed.
    pub closed: Vec<Remark>,
    pub remarks: Vec<Remark>,
    /// Lines that need no option here, and why.
    pub unneeded: Vec<Remark>,
}

/// An option of Dunlin.
#[derive(Debug)]
pub(super) struct Setting {
    /// Such as `session.max_inflight`.
    pub option: &'static str,
    /// As TOML.
    pub value: String,
    /// Where it comes from: a line, or a sentence.
    pub origin: String,
}

/// Who may connect, and what they may do.
#[derive(Debug, Clone, Default)]
pub(super) struct Security {
    pub allow_anonymous: Option<Written<bool>>,
    pub password_file: Option<Written<PathBuf>>,
    pub acl_file: Option<Written<PathBuf>>,
}

/// How a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Mqtt,
    WebSockets,
    /// mosquitto's own web server, which speaks no MQTT.
    HttpApi,
}

/// `socket_domain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Domain {
    Ipv4,
    Ipv6,
}

/// Where a listener is.
#[derive(Debug, Clone)]
pub(super) enum Address {
    /// A port, and an address or a host name if one is named.
    Port(u16, Option<String>),
    /// A Unix socket.
    Unix(PathBuf),
}

/// One listener.
#[derive(Debug)]
pub(super) struct ListenerDraft {
    /// The line that makes it.
    pub place: Place,
    pub address: Address,
    pub protocol: Option<Written<Protocol>>,
    pub domain: Option<Written<Domain>>,
    pub max_connections: Option<Written<i64>>,
    pub topic_aliases: Option<Written<i64>>,
    pub server_topic_aliases: Option<Written<i64>>,
    pub certificate: Option<Written<PathBuf>>,
    pub key: Option<Written<PathBuf>>,
    pub ca: Option<Written<PathBuf>>,
    pub crl: Option<Written<PathBuf>>,
    pub tls_version: Option<Written<&'static str>>,
    pub require_certificate: Option<Written<bool>>,
    pub use_identity: Option<Written<bool>>,
    pub use_subject: Option<Written<bool>>,
    pub use_user_name: Option<Written<bool>>,
    pub proxy: Option<Written<i64>>,
    pub security: Security,
    /// What keeps it closed: protections that have no equivalent.
    pub closed: Vec<Remark>,
    /// Whether anything but its security was said of it, which brings the default listener into being.
    pub is_wanted: bool,
    /// Whether a line says where the default listener is.
    pub is_addressed: bool,
}

/// A plugin, and what was told to it.
#[derive(Debug)]
pub(super) struct Plugin {
    pub place: Place,
    /// The name of `plugin_load`.
    pub name: Option<String>,
    pub path: String,
    /// The file that it reads, if it is one that does nothing else.
    pub file: Option<Written<PathBuf>>,
    /// What else was told to it: the names alone, because values may be secret.
    pub options: Vec<Written<String>>,
    /// And the lines that say so.
    pub users: Vec<Written<PluginUser>>,
}

/// Whom a plugin decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PluginUser {
    Everybody,
    DefaultListener,
    Listener(usize),
}

/// A connection to another broker.
#[derive(Debug)]
pub(super) struct Bridge {
    pub place: Place,
    pub name: String,
    /// How many lines are about it, beside the first.
    pub options: usize,
}

/// What is logged.
#[derive(Debug, Default)]
pub(super) struct LogDraft {
    /// The least severe level that a `log_type` names, of Dunlin's; `off` at first when there is any.
    pub level: Option<Written<LogLevel>>,
    /// `log_dest none`.
    pub none: Option<Place>,
    /// `connection_messages false`.
    pub without_connections: Option<Place>,
}

/// Levels of Dunlin's log, the more severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
}

impl Plugin {
    /// The option of Dunlin that names the file, for a plugin of mosquitto that does nothing but read one.
    pub fn reads(&self) -> Option<&'static str> {
        match self.library() {
            "mosquitto_password_file" => Some("password_file"),
            "mosquitto_acl_file" => Some("acl_file"),
            _ => None,
        }
    }

    /// The name of its file, without directory and extension.
    pub fn library(&self) -> &str {
        Path::new(&self.path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

impl<T> Written<T> {
    pub fn new(value: T, place: &Place) -> Self {
        Self { value, place: place.clone() }
    }
}

/// Whether a flag was set.
pub(super) fn is_set(flag: &Option<Written<bool>>) -> bool {
    flag.as_ref().is_some_and(|flag| flag.value)
}

impl Draft {
    /// A file that says nothing.
    pub fn new(place: Place) -> Self {
        Self {
            per_listener: false,
            security: Security::default(),
            default_listener: ListenerDraft::new(&place, Address::Port(1883, None)),
            listeners: Vec::new(),
            plugins: Vec::new(),
            bridges: Vec::new(),
            settings: Vec::new(),
            packet_bytes: None,
            persistence: None,
            persistence_location: None,
            log: LogDraft::default(),
            closed: Vec::new(),
            remarks: Vec::new(),
            unneeded: Vec::new(),
            place,
        }
    }

    /// Sets an option; what was said earlier is forgotten.
    pub fn set(&mut self, option: &'static str, value: String, origin: String) {
        self.settings.retain(|setting| setting.option != option);
        self.settings.push(Setting { option, value, origin });
    }
}

impl ListenerDraft {
    pub fn new(place: &Place, address: Address) -> Self {
        Self {
            place: place.clone(),
            address,
            protocol: None,
            domain: None,
            max_connections: None,
            topic_aliases: None,
            server_topic_aliases: None,
            certificate: None,
            key: None,
            ca: None,
            crl: None,
            tls_version: None,
            require_certificate: None,
            use_identity: None,
            use_subject: None,
            use_user_name: None,
            proxy: None,
            security: Security::default(),
            closed: Vec::new(),
            is_wanted: false,
            is_addressed: false,
        }
    }

    pub fn speaks(&self, protocol: Protocol) -> bool {
        self.protocol.as_ref().map_or(Protocol::Mqtt, |written| written.value) == protocol
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.certificate.is_some() && self.key.is_some()
    }
}

impl Security {
    /// What this says, and where it says nothing, what another does.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            allow_anonymous: self.allow_anonymous.clone().or_else(|| other.allow_anonymous.clone()),
            password_file: self.password_file.clone().or_else(|| other.password_file.clone()),
            acl_file: self.acl_file.clone().or_else(|| other.acl_file.clone()),
        }
    }
}
