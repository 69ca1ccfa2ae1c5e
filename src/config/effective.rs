//! What a configuration comes to: every option with its value, where that was written, and what a change takes.
//!
//! The table is made from the declarations of the options, so it cannot forget one. It is what `dunlin check --show`
//! prints, what two configurations are compared by (`change.rs`), and safe to show to whoever may see the configuration:
//! of a secret it says only that there is one.

use serde::{Serialize, Serializer};

use super::declare::{OptionAt, Section};
use super::error::Place;
use super::{Config, Places};

/// One option of a configuration, whether it was set or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveOption {
    /// Its name, such as `session.max_inflight` or `listener.0.url`.
    pub name: String,
    /// Its value as TOML, `(set)` for a secret; none if it is unset.
    pub value: Option<String>,
    /// Where the value was written.
    #[serde(serialize_with = "as_text")]
    pub origin: Place,
    /// Whether a change takes a restart; else a reload applies it.
    pub needs_restart: bool,
    /// Whether the value is a secret.
    pub is_secret: bool,
    /// Whether it is the value that the option has without being set.
    pub is_default: bool,
}

impl EffectiveOption {
    fn new(option: OptionAt, places: &Places) -> Self {
        let OptionAt { path: name, value, reloads, is_secret, is_default } = option;
        // A default is written nowhere, though the table around it may be; the URLs of `--listen` are written where
        // their list is.
        let origin = if is_default && !places.contains(&name) { Place::Default } else { places.of(&name) };
        Self { name, value, origin, needs_restart: !reloads, is_secret, is_default }
    }
}

impl Config {
    /// Every option with what it is, in the order of the reference. Listeners count from 0; a table that may be left
    /// out and is has no options.
    pub fn effective(&self) -> Vec<EffectiveOption> {
        // By name, so that a new section cannot be forgotten.
        let Self {
            server,
            listener: _,
            tls,
            auth,
            session,
            limits,
            ban,
            store,
            log,
            otlp,
            http,
            sys,
            places,
        } = self;
        let mut options = Vec::new();
        server.collect("server", &mut options);
        for (index, listener) in self.listener_options().iter().enumerate() {
            listener.collect(&format!("listener.{index}"), &mut options);
        }
        tls.collect("tls", &mut options);
        auth.collect("auth", &mut options);
        session.collect("session", &mut options);
        limits.collect("limits", &mut options);
        ban.collect("ban", &mut options);
        store.collect("store", &mut options);
        log.collect("log", &mut options);
        otlp.collect("otlp", &mut options);
        http.collect("http", &mut options);
        sys.collect("sys", &mut options);
        options.into_iter().map(|option| EffectiveOption::new(option, places)).collect()
    }
}

fn as_text<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::declare::options;
    use crate::config::value::OptionValue;
    use crate::config::{Flags, Sources, reader, sections};

    /// A value that nobody may see.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Password(String);

    impl OptionValue for Password {
        const IS_SECRET: bool = true;

        fn kind() -> String {
            "password".to_owned()
        }
        fn parse(value: &::config::Value) -> Option<Self> {
            value.clone().into_string().ok().filter(|text| text.len() > 3).map(Self)
        }
        fn to_toml(&self) -> Option<String> {
            Some(self.0.clone())
        }
    }

    options! {
        /// A section with a secret.
        ["vault"] VaultOptions {
            /// What opens it.
            password: Option<Password> = None, example "\"...\"", reloads true;
        }
    }

    fn find<'a>(options: &'a [EffectiveOption], name: &str) -> &'a EffectiveOption {
        options.iter().find(|option| option.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    #[test]
    fn every_option_is_there_with_its_value_and_where_that_comes_from() {
        let sources = Sources {
            environment: vec![("DUNLIN__SESSION__MAX_INFLIGHT".to_owned(), "7".to_owned())],
            flags: Flags { listen: vec!["ws://127.0.0.1:1".to_owned()], ..Flags::default() },
            ..Sources::default()
        };
        let options = sources.load().expect("it is good").effective();
        let shown = |name: &str| {
            let option = find(&options, name);
            (option.value.as_deref().unwrap_or("unset"), option.origin.to_string(), option.needs_restart)
        };
        let from = |place: &str| place.to_owned();
        assert_eq!(shown("session.max_inflight"), ("7", from("DUNLIN__SESSION__MAX_INFLIGHT"), false));
        assert_eq!(shown("listener.0.url"), ("\"ws://127.0.0.1:1/mqtt\"", from("--listen"), false));
        assert_eq!(shown("listener.0.allow_anonymous"), ("unset", from("default"), false));
        assert_eq!(shown("server.workers"), ("0", from("default"), true));
        for section in sections() {
            let first = if section.name == "listener" { "listener.0" } else { section.name };
            for option in section.options {
                find(&options, &format!("{first}.{}", option.name));
            }
        }
    }

    #[test]
    fn a_default_is_not_said_to_be_written_where_its_section_is() {
        let config = Config::from_toml("a.toml", "\n[session]\nmax_inflight = 1000").expect("it is good");
        let options = config.effective();
        assert_eq!(find(&options, "session.max_inflight").origin.to_string(), "a.toml:3");
        assert_eq!(find(&options, "session.overflow").origin, Place::Default);
    }

    #[test]
    fn a_secret_is_neither_in_what_is_shown_nor_in_an_error() {
        let read = |password: &str| {
            let tree = [("password".to_owned(), ::config::Value::from(password))].into_iter().collect();
            let (places, mut errors) = (Places::default(), Vec::new());
            let vault = VaultOptions::read(&mut reader::Reader::new(tree, &places, &mut errors));
            let mut options = Vec::new();
            vault.collect("vault", &mut options);
            (options.remove(0), errors)
        };
        let (option, errors) = read("sesame");
        assert_eq!((option.value.as_deref(), option.is_secret, errors.len()), (Some("(set)"), true, 0));
        let (_, errors) = read("ses");
        assert_eq!(errors[0].value, None);
    }
}
