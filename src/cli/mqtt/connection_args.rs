//! The options that `dunlin pub` and `dunlin sub` share: where the broker is, and who the client is.

use std::io::{self, BufRead, Read};
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, value_parser};
use dunlin_codec::{ProtocolVersion, QoS, TopicName};

use super::broker_url::{BrokerUrl, usual_port};
use super::narration;
use super::property::PropertySet;
use super::tls_args::TlsArgs;
use super::will_args::WillArgs;
use crate::client::{Address, ClientOptions, Reconnect, Secret, Transport};

/// The variable with the password of a user for whom neither an option nor the URL has one.
const PASSWORD_VARIABLE: &str = "DUNLIN_PASSWORD";

/// The longest password that MQTT can carry, in bytes.
const PASSWORD_BYTES_MAX: u64 = 65_535;

/// See the top of the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// The broker's host [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", allow_hyphen_values = true)]
    host: Option<String>,
    /// Its port [default: 1883; 8883 with TLS, 8083 with WebSocket, 8084 with both]
    #[arg(short, long, value_name = "PORT")]
    port: Option<u16>,
    /// Connect to a Unix socket instead
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port", "url", "ws", "bind"])]
    unix: Option<PathBuf>,
    /// All in one: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], ws[s]://..., unix://PATH
    #[arg(short = 'L', long, value_name = "URL", value_parser = secret(), conflicts_with_all = ["host", "ws"])]
    url: Option<Secret>,
    /// Speak MQTT over WebSocket (path /mqtt)
    #[arg(long)]
    ws: bool,
    /// Connect from this address
    #[arg(short = 'A', value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The version of MQTT: 5, 311 or 31, also mqttv5 and so on [default: 311, and 5 with -D or -x]
    #[arg(short = 'V', long, value_name = "VERSION", value_parser = version)]
    protocol_version: Option<ProtocolVersion>,
    /// The client identifier [default: the broker chooses one]
    #[arg(short, long, value_name = "ID", allow_hyphen_values = true)]
    id: Option<String>,
    /// The beginning of a client identifier that ends with the process identifier
    #[arg(short = 'I', long, value_name = "PREFIX", conflicts_with = "id", allow_hyphen_values = true)]
    id_prefix: Option<String>,
    /// The user name
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    username: Option<String>,
    /// The password; others can see it, so prefer --password-file or the variable DUNLIN_PASSWORD
    #[arg(short = 'P', long, value_name = "PASSWORD", value_parser = secret(), allow_hyphen_values = true)]
    pw: Option<Secret>,
    /// A file whose first line is the password; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "pw")]
    password_file: Option<PathBuf>,
    /// Seconds after which a silent connection is tested; 0 is never
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,
    /// Go on with the Session of this client identifier, and keep it
    #[arg(short = 'c', long)]
    disable_clean_session: bool,
    /// Keep the Session for so many seconds after the end; -1 is for ever [MQTT 5]
    #[arg(short = 'x', long, value_name = "SECONDS", value_parser = expiry, allow_hyphen_values = true)]
    session_expiry_interval: Option<u32>,
    /// A property of MQTT 5, such as publish content-type text/plain, or publish user-property NAME VALUE
    #[arg(short = 'D', long, value_name = "COMMAND NAME VALUE", value_parser = secret())]
    property: Vec<Secret>,
    /// The most messages of QoS 1 and 2 on their way at once
    #[arg(short = 'M', value_name = "N", default_value_t = 20, value_parser = value_parser!(u16).range(1..))]
    max_inflight: u16,
    /// Keep trying, also while no broker answers
    #[arg(long, overrides_with = "no_reconnect")]
    reconnect: bool,
    /// End when the connection is lost
    #[arg(long, overrides_with = "reconnect")]
    no_reconnect: bool,
    /// Accepted for mosquitto's sake: small packets are always sent at once
    #[arg(long)]
    nodelay: bool,
    /// Say each packet on standard error
    #[arg(short, long)]
    debug: bool,
    /// Say nothing on standard error but what is wrong with the options
    #[arg(long)]
    pub quiet: bool,
    #[command(flatten)]
    will: WillArgs,
    #[command(flatten)]
    tls: TlsArgs,
}

/// What the options come to.
pub struct Setup {
    /// For the client.
    pub options: ClientOptions,
    /// All properties.
    pub properties: PropertySet,
    /// The topic in the URL.
    pub topic: Option<String>,
}

/// Takes any bytes, and shows them to nobody.
fn secret() -> impl TypedValueParser<Value = Secret> {
    OsStringValueParser::new().map(|text| Secret::new(text.into_vec()))
}

fn version(text: &str) -> Result<ProtocolVersion, String> {
    match text {
        "mqttv31" | "31" | "3.1" => Ok(ProtocolVersion::V3_1),
        "mqttv311" | "311" | "3.1.1" => Ok(ProtocolVersion::V3_1_1),
        "mqttv5" | "5" | "5.0" => Ok(ProtocolVersion::V5),
        _ => Err("must be 5, 311 or 31, or mqttv5, mqttv311 or mqttv31".into()),
    }
}

fn expiry(text: &str) -> Result<u32, String> {
    match text {
        "-1" | "∞" => Ok(u32::MAX),
        _ => text.parse().map_err(|_| "must be a number of seconds from 0 to 4294967295, or -1".into()),
    }
}

/// Reads a QoS.
pub fn qos(text: &str) -> Result<QoS, String> {
    text.parse().ok().and_then(QoS::from_bits).ok_or_else(|| "must be 0, 1 or 2".into())
}

/// Reads a Topic Name.
pub fn topic(text: &str) -> Result<String, String> {
    TopicName::parse(text).map(|topic| topic.as_str().to_owned()).map_err(|error| error.to_string())
}

impl ConnectionArgs {
    /// What the options come to, for a client that can send these commands and does `otherwise` without a word about
    /// reconnecting.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn setup(self, commands: &[&str], otherwise: Reconnect) -> Result<Setup, String> {
        let mut properties = PropertySet::parse(&self.property, commands)?;
        let mut url = self.url.as_ref().map(parse_url).transpose()?;
        let topic = url.as_mut().and_then(|url| url.topic.take());
        let mut options = ClientOptions::new(self.address(url.as_ref()), self.version()?);
        options.tls = if options.address.is_tls() { Some(self.tls.build()?) } else { None };
        options.bind = self.bind;
        options.reconnect = match (self.reconnect, self.no_reconnect) {
            (true, _) => Reconnect::Always,
            (_, true) => Reconnect::Never,
            _ => otherwise,
        };
        options.keep_alive_s = self.keepalive;
        options.in_flight_max = self.max_inflight;
        options.observer = self.debug.then(narration::observer);
        std::mem::take(&mut properties.connect).apply(&mut options);
        self.set_user(url, &mut options)?;
        self.set_session(&properties, &mut options)?;
        options.client_identifier = self.client_identifier(options.version)?;
        options.will = self.will.build(&mut properties)?;
        Ok(Setup { options, properties, topic })
    }

    fn version(&self) -> Result<ProtocolVersion, String> {
        let needs_5 = !self.property.is_empty() || self.session_expiry_interval.is_some();
        match self.protocol_version {
            Some(version) if version != ProtocolVersion::V5 && needs_5 => {
                Err(format!("-D and -x need MQTT 5, and -V asks for {version}"))
            }
            Some(version) => Ok(version),
            None if needs_5 => Ok(ProtocolVersion::V5),
            None => Ok(ProtocolVersion::V3_1_1),
        }
    }

    fn set_user(&self, url: Option<BrokerUrl>, options: &mut ClientOptions) -> Result<(), String> {
        let (url_name, url_password) = url.map_or((None, None), |url| (url.user_name, url.password));
        options.user_name = self.username.clone().or(url_name);
        options.password = self.password()?.or(url_password);
        if options.password.is_none() && options.user_name.is_some() {
            options.password = std::env::var_os(PASSWORD_VARIABLE).map(|text| Secret::new(text.into_vec()));
        }
        if options.password.is_some() && options.user_name.is_none() && options.version != ProtocolVersion::V5
        {
            return Err("a password needs a user name (-u) before MQTT 5".into());
        }
        Ok(())
    }

    fn set_session(&self, properties: &PropertySet, options: &mut ClientOptions) -> Result<(), String> {
        options.clean_start = !self.disable_clean_session;
        options.session_expiry_interval_s =
            self.session_expiry_interval.or(options.session_expiry_interval_s);
        let is_kept = self.disable_clean_session && options.session_expiry_interval_s.is_none();
        if is_kept && options.version == ProtocolVersion::V5 {
            options.session_expiry_interval_s = Some(u32::MAX);
        }
        let has_name = self.id.as_ref().is_some_and(|id| !id.is_empty());
        if !has_name && (is_kept || options.session_expiry_interval_s == Some(u32::MAX)) {
            return Err("a Session that is kept for ever needs a client identifier (-i)".into());
        }
        // Section 3.14.2.2.2 of 5.0: what ends with its connection cannot be kept at the end.
        let is_kept_at_end = properties.disconnect.session_expiry_interval_s.is_some_and(|s| s > 0);
        if is_kept_at_end && options.session_expiry_interval_s.unwrap_or(0) == 0 {
            return Err(
                "-D disconnect session-expiry-interval: must be 0 without one for CONNECT (-x)".into()
            );
        }
        Ok(())
    }

    fn client_identifier(&self, version: ProtocolVersion) -> Result<String, String> {
        Ok(match (&self.id, &self.id_prefix) {
            (Some(id), _) => id.clone(),
            (None, Some(prefix)) => format!("{prefix}{}", std::process::id()),
            // 3.1 has no clients without one, and takes 23 characters.
            (None, None) if version == ProtocolVersion::V3_1 => {
                let random = getrandom::u64().map_err(|error| format!("no client identifier: {error}"))?;
                format!("dunlin-{random:016x}")
            }
            (None, None) => String::new(),
        })
    }

    fn address(&self, url: Option<&BrokerUrl>) -> Address {
        if let Some(path) = &self.unix {
            return Address::Unix(path.clone());
        }
        if let Some(url) = url {
            return match (&url.address, self.port) {
                (Address::Network { transport, host, .. }, Some(port)) => {
                    Address::Network { transport: *transport, host: host.clone(), port }
                }
                _ => url.address.clone(),
            };
        }
        // Port 8883 means TLS to mosquitto's clients, too.
        let is_tls = self.tls.is_given() || self.port == Some(usual_port(Transport::Mqtts));
        let transport = match (is_tls, self.ws) {
            (false, false) => Transport::Mqtt,
            (true, false) => Transport::Mqtts,
            (false, true) => Transport::Ws,
            (true, true) => Transport::Wss,
        };
        let host = self.host.clone().unwrap_or_else(|| "localhost".to_owned());
        Address::Network { transport, host, port: self.port.unwrap_or(usual_port(transport)) }
    }

    fn password(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.password_file else { return Ok(self.pw.clone()) };
        let line = if path.as_os_str() == "-" {
            first_line(&mut io::stdin().lock())
        } else {
            std::fs::File::open(path).and_then(|file| first_line(&mut io::BufReader::new(file)))
        };
        line.map(Some).map_err(|error| format!("--password-file {}: cannot be read: {error}", path.display()))
    }
}

fn parse_url(url: &Secret) -> Result<BrokerUrl, String> {
    let text = std::str::from_utf8(url.as_bytes()).map_err(|_| "--url: must be UTF-8".to_owned())?;
    BrokerUrl::parse(text).map_err(|problem| format!("--url: {problem}"))
}

/// The first line, without what ends it.
fn first_line(input: &mut impl BufRead) -> io::Result<Secret> {
    // Room for all that is read: growing would leave copies behind.
    let length_max = PASSWORD_BYTES_MAX + "\r\n".len() as u64;
    let mut line = Vec::with_capacity(length_max as usize);
    input.take(length_max).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its first line has more than 65535 bytes"));
    }
    Ok(Secret::new(line))
}
