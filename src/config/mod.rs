//! The configuration: one value, [`Config`], made of defaults, a TOML file, the environment and flags, in
//! this order.
//!
//! Every option is declared once, in `options.rs`; its field, default, range, error messages, the sample file
//! `config/dunlin.toml` and the reference `docs/configuration.md` come from that declaration. Unknown keys
//! are errors, and every error names the place, the option, the value and what would be right
//! ([`ConfigError`]).
//!
//! A [`Sources`] remembers where a configuration came from and can be loaded again: that is how a reload
//! works. What must stay true: loading has no effect but reading, so a wrong configuration never disturbs a
//! running broker.
//!
//! Read next: `options.rs` (what there is), `layers.rs` (where values come from), `reader.rs` (how they are
//! judged), `listeners.rs` and `settings.rs` (what the options come to for a listener and for the core).

mod options;

mod declare;
mod value;

mod host_port;
mod listener_url;
mod network;
mod units;
mod web_url;

mod error;
mod layers;
mod reader;
mod validate;

mod effective;
mod change;
mod listeners;
pub mod machine;
pub mod reference;
mod settings;

use std::path::PathBuf;

pub use change::Change;
pub use declare::{OptionDoc, SectionDoc};
pub use effective::EffectiveOption;
pub use error::{ConfigError, ConfigErrors, Place};
pub use host_port::HostPort;
pub use layers::{ENVIRONMENT_PREFIX, Flags, Places};
pub use listener_url::{ListenerUrl, WEBSOCKET_PATH};
pub use listeners::Listener;
pub(crate) use listeners::same_listeners;
pub use network::Network;
pub use options::{
    AuthOptions, BanOptions, HttpAuthOptions, HttpOptions, HttpTlsOptions, JwtOptions, LimitOptions,
    ListenerOptions, LogOptions, OtlpOptions, ServerOptions, SessionOptions, StoreOptions, SysOptions,
    TlsCertificateOptions, TlsOptions,
};
pub use units::{ByteSize, Seconds, parse_duration};
pub use value::{
    DeniedPublish, LogFilter, LogFormat, Scope, SignatureAlgorithm, SyncMode, TlsVersion, WhenDown,
};
pub use web_url::WebUrl;

use declare::Section;
use layers::Layer;
use reader::Reader;

/// A whole, valid configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: ServerOptions,
    /// `[[listener]]` as written; [`Config::listeners`] gives what they come to.
    pub listener: Vec<ListenerOptions>,
    /// `[tls]`
    pub tls: TlsOptions,
    /// `[auth]`
    pub auth: AuthOptions,
    /// `[session]`
    pub session: SessionOptions,
    /// `[limits]`
    pub limits: LimitOptions,
    /// `[ban]`
    pub ban: BanOptions,
    /// `[store]`
    pub store: StoreOptions,
    /// `[log]`
    pub log: LogOptions,
    /// `[otlp]`
    pub otlp: OtlpOptions,
    /// `[http]`
    pub http: HttpOptions,
    /// Topics about the broker.
    pub sys: SysOptions,
    /// Where the values above were written.
    pub places: Places,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `--config`: the file.
    pub file: Option<PathBuf>,
    /// The variables of the environment, names and values; those without [`ENVIRONMENT_PREFIX`] are ignored.
    pub environment: Vec<(String, String)>,
    /// The flags.
    pub flags: Flags,
    /// How the program was called, for advice that can be typed as it stands; `dunlin` if unknown.
    pub program: Option<String>,
}

impl Sources {
    /// Reads and judges everything; the error holds all that is wrong.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        let (layers, errors) = self.layers()?;
        if errors.is_empty() { Config::from_layers(layers) } else { Err(ConfigErrors(errors)) }
    }

    /// Reads what can be read, for who needs a few options only: where one is wrong, its default stands in, and what is
    /// wrong comes with it.
    ///
    /// # Errors
    /// The file cannot be read at all, so nobody knows what it says.
    pub fn load_readable(&self) -> Result<(Config, Vec<ConfigError>), ConfigErrors> {
        let (layers, mut errors) = self.layers()?;
        let (config, more) = Config::judged(layers);
        errors.extend(more);
        Ok((config, errors))
    }

    /// What there is in each layer, and what is wrong with their form.
    fn layers(&self) -> Result<(Vec<Layer>, Vec<ConfigError>), ConfigErrors> {
        let file = self.file.as_deref().map(Layer::from_file).transpose()?;
        let (file, mut errors) = file.unwrap_or_default();
        let (environment, more) = Layer::from_environment(&self.environment);
        errors.extend(more);
        Ok((vec![file, environment, Layer::from_flags(&self.flags)], errors))
    }
}

impl Config {
    /// Reads a configuration from text alone, as if it were a file of this name.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let (layer, errors) = Layer::from_toml(name.as_ref(), text);
        if errors.is_empty() { Self::from_layers(vec![layer]) } else { Err(ConfigErrors(errors)) }
    }

    /// Whether an option such as `http.address` was set rather than left to its default.
    pub fn is_set(&self, option: &str) -> bool {
        self.places.contains(option)
    }

    /// An error about an option's value that shows only when it is used, such as a file that cannot be
    /// opened.
    pub fn error(&self, option: &str, value: Option<String>, problem: String) -> ConfigError {
        ConfigError { place: self.places.of(option), option: option.to_owned(), value, problem }
    }

    fn from_layers(layers: Vec<Layer>) -> Result<Self, ConfigErrors> {
        let (config, errors) = Self::judged(layers);
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }

    /// With defaults where something is wrong.
    fn judged(layers: Vec<Layer>) -> (Self, Vec<ConfigError>) {
        let (tree, places) = match layers::merge(layers) {
            Ok(merged) => merged,
            Err(error) => {
                let (place, option, problem) = (Place::Default, String::new(), error.to_string());
                return (Self::default(), vec![ConfigError { place, option, value: None, problem }]);
            }
        };
        let mut errors = Vec::new();
        let mut reader = Reader::new(tree, &places, &mut errors);
        let mut config = Self {
            server: reader.section(),
            listener: reader.tables(ListenerOptions::NAME),
            tls: reader.section(),
            auth: reader.section(),
            session: reader.section(),
            limits: reader.section(),
            ban: reader.section(),
            store: reader.section(),
            log: reader.section(),
            otlp: reader.section(),
            http: reader.section(),
            sys: reader.section(),
            places: Places::default(),
        };
        reader.finish();
        config.places = places;
        if errors.is_empty() {
            errors = validate::contradictions(&config);
        }
        errors.sort_by_key(|error| error.place.line());
        (config, errors)
    }
}

/// Every section, in the order of the sample file and the reference.
pub fn sections() -> Vec<SectionDoc> {
    vec![
        ServerOptions::doc(),
        ListenerOptions::doc(),
        TlsOptions::doc(),
        AuthOptions::doc(),
        SessionOptions::doc(),
        LimitOptions::doc(),
        BanOptions::doc(),
        StoreOptions::doc(),
        LogOptions::doc(),
        OtlpOptions::doc(),
        HttpOptions::doc(),
        SysOptions::doc(),
    ]
}
