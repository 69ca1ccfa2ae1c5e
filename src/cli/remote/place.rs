//! Where the broker is, whom to trust for it, and the token that it is asked with.
//!
//! On the same machine, as the same user, the configuration says it all: the address of the operations port, and the
//! data directory in which the broker leaves its `api-token`. It is read only for what the flags do not say. That token
//! is never shown to another machine: it would open this one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use clap::Args;
use ureq::http::Uri;
use zeroize::Zeroizing;

use super::broker::Trust;
use super::{Broker, Failure};
use crate::cli::{running_broker, sources};
use crate::config::{Config, Flags, HostPort, Sources};
use crate::http::token::{ApiToken, TOKEN_FILE};

/// The environment variable of a token.
const TOKEN_VARIABLE: &str = "DUNLIN_TOKEN";

/// Where the broker is.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which broker")]
pub(super) struct PortArgs {
    /// Its operations port: host:port, or http:// or https:// before that [default: the configured one]
    #[arg(long, value_name = "ADDR|URL")]
    http: Option<String>,
    /// The authorities that vouch for an https:// URL (PEM) [default: those of the system]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The broker's configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where the broker is, and by which token it is asked.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which broker")]
pub(super) struct BrokerArgs {
    #[command(flatten)]
    port: PortArgs,
    /// A file with a token for it [default: $DUNLIN_TOKEN, else the token in the data directory]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The broker's data directory [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// A token, and where it comes from.
pub(super) struct Token {
    pub text: Zeroizing<String>,
    /// For a message that says that it opens nothing.
    pub source: String,
    /// The data directory that it lies in, if the broker has left it there: it makes another at each start.
    data_dir: Option<PathBuf>,
}

/// Where to ask.
#[derive(Debug, PartialEq)]
struct Address {
    place: HostPort,
    /// What a URL says of it; without one, the configuration does.
    trust: Option<Trust>,
}

impl PortArgs {
    /// The broker for what needs no token; nothing has been sent to it yet.
    pub fn find(&self) -> Result<Broker, Failure> {
        let address = match self.given()? {
            Some(address) if address.trust.is_some() => address,
            given => completed(given, &self.configuration(None, &[])?)?,
        };
        self.broker(address, None)
    }

    fn given(&self) -> Result<Option<Address>, Failure> {
        self.http.as_deref().map(Address::parse).transpose()
    }

    /// With these options, and those that say where the port is and how it is reached.
    fn configuration(&self, data_dir: Option<&str>, options: &[&str]) -> Result<Config, Failure> {
        let address = if self.http.is_some() { None } else { Some("http.address") };
        let needed: Vec<_> = options.iter().copied().chain(address).chain(["http.tls.cert"]).collect();
        running_broker(&self.sources(data_dir), &needed).map_err(Failure::Configuration)
    }

    fn sources(&self, data_dir: Option<&str>) -> Sources {
        let flags = Flags { data_dir: data_dir.map(str::to_owned), ..Flags::default() };
        sources(self.config.clone(), flags)
    }

    fn broker(&self, address: Address, token: Option<Token>) -> Result<Broker, Failure> {
        let url = address.url();
        let trust = match (address.trust, &self.ca_file) {
            (Some(Trust::Authorities(_)), Some(ca_file)) => Trust::Authorities(Some(ca_file.clone())),
            (_, Some(_)) => {
                let problem = "--ca-file: is for an https:// URL of --http, and there is none";
                return Err(Failure::Arguments(problem.to_owned()));
            }
            (trust, None) => trust.unwrap_or(Trust::Nobody),
        };
        Broker::at(url, token, trust)
    }
}

impl BrokerArgs {
    /// As flags of other commands say it.
    pub fn of(config: Option<PathBuf>, data_dir: Option<String>, http: Option<String>) -> Self {
        Self { port: PortArgs { http, config, ca_file: None }, token_file: None, data_dir }
    }

    /// The broker, ready to be asked; nothing has been sent to it yet.
    pub fn find(&self) -> Result<Broker, Failure> {
        let (address, token) = match (self.port.given()?, self.given_token()?) {
            (Some(address), Some(token)) if address.trust.is_some() => (address, token),
            (given, token) => {
                let options = if token.is_some() { &[][..] } else { &["store.path"] };
                let config = self.port.configuration(self.data_dir.as_deref(), options)?;
                let address = completed(given, &config)?;
                let token = token.map_or_else(|| address.token(&config), Ok)?;
                (address, token)
            }
        };
        self.port.broker(address, Some(token))
    }

    /// The data directory, if there is one.
    pub fn data_dir(&self) -> Result<Option<PathBuf>, Failure> {
        let loaded = self.port.sources(self.data_dir.as_deref()).load_readable();
        Ok(loaded.map_err(Failure::Configuration)?.0.store.path)
    }

    /// The token of the flags or the environment.
    fn given_token(&self) -> Result<Option<Token>, Failure> {
        if let Some(path) = &self.token_file {
            return read_token(path).map(Some);
        }
        match std::env::var(TOKEN_VARIABLE) {
            Ok(text) => Token::judged(Zeroizing::new(text), TOKEN_VARIABLE.to_owned()).map(Some),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(no_token(TOKEN_VARIABLE)),
        }
    }
}

fn read_token(path: &Path) -> Result<Token, Failure> {
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|error| Failure::Arguments(format!("--token-file {}: {error}", path.display())))?;
    Token::judged(text, path.display().to_string())
}

impl Token {
    /// What can be sent in a header; the error does not repeat it.
    fn judged(text: Zeroizing<String>, source: String) -> Result<Self, Failure> {
        let trimmed = text.trim();
        if trimmed.is_empty() || !trimmed.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(no_token(&source));
        }
        Ok(Self { text: Zeroizing::new(trimmed.to_owned()), source, data_dir: None })
    }

    /// That of a broker on this machine.
    fn of_data_dir(data_dir: &Path) -> Result<Self, Failure> {
        let file = data_dir.join(TOKEN_FILE);
        let token = ApiToken::read(data_dir).map_err(|error| {
            Failure::Arguments(format!(
                "the broker's token cannot be read from {}: {error}; does it run on this data directory, as this user?",
                file.display()
            ))
        })?;
        let token = Self::judged(Zeroizing::new(token.as_str().to_owned()), file.display().to_string())?;
        Ok(Self { data_dir: Some(data_dir.to_owned()), ..token })
    }

    /// What the broker has left in its place since this one was read.
    pub fn newer(&self) -> Option<Self> {
        let token = Self::of_data_dir(self.data_dir.as_deref()?).ok()?;
        (token.text != self.text).then_some(token)
    }
}

fn no_token(source: &str) -> Failure {
    Failure::Arguments(format!(
        "{source}: must be one token, as `dunlin token create` prints it, and nothing else"
    ))
}

/// The token that the broker leaves for its own user.
fn token_of(config: &Config) -> Result<Token, Failure> {
    let data_dir = config.store.path.as_deref().ok_or_else(|| {
        Failure::Arguments(format!(
            "there is no data directory (store.path), where the broker would leave a token: use --token-file or {TOKEN_VARIABLE}"
        ))
    })?;
    Token::of_data_dir(data_dir)
}

/// The address of the flags, or else of the configuration, which also says how it is reached.
fn completed(given: Option<Address>, config: &Config) -> Result<Address, Failure> {
    let mut address = match given {
        Some(address) => address,
        None => configured(config)?,
    };
    if let (None, true, Some(tls)) = (&address.trust, address.is_here(config), &config.http.tls) {
        address.trust = tls.cert.clone().map(Trust::Certificate);
    }
    Ok(address)
}

fn configured(config: &Config) -> Result<Address, Failure> {
    let place = config.http.address.as_ref().ok_or_else(|| {
        Failure::Arguments(
            "the operations port is closed (http.address): name another broker with --http".to_owned(),
        )
    })?;
    Ok(Address { place: place.clone(), trust: None })
}

impl Address {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::Arguments(format!(
                "--http {text:?}: must be host:port, such as 127.0.0.1:18083, or http:// or https:// with a host"
            ))
        };
        if !text.contains("://") {
            let place = HostPort::parse(text).ok_or_else(wrong)?;
            return Ok(Self { place, trust: None });
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let (trust, port) = match uri.scheme_str() {
            Some("http") => (Trust::Nobody, 80),
            Some("https") => (Trust::Authorities(None), 443),
            _ => return Err(wrong()),
        };
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(port);
        let place = HostPort::parse(&format!("{}:{port}", authority.host())).ok_or_else(wrong)?;
        Ok(Self { place, trust: Some(trust) })
    }

    /// Where questions go; who listens on every address also does so on loopback.
    fn url(&self) -> String {
        let host = match self.place.host.parse() {
            Ok(IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
            Ok(IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
            _ => self.place.host.clone(),
        };
        let scheme = match self.trust {
            None | Some(Trust::Nobody) => "http",
            Some(Trust::Authorities(_) | Trust::Certificate(_)) => "https",
        };
        format!("{scheme}://{}", HostPort::new(&host, self.place.port))
    }

    /// The token that is there for it without being named.
    fn token(&self, config: &Config) -> Result<Token, Failure> {
        if self.is_here(config) {
            return token_of(config);
        }
        Err(Failure::Arguments(format!(
            "{} is asked with a token only: name its file with --token-file, or set {TOKEN_VARIABLE}; `dunlin token \
             create` makes one there",
            self.url()
        )))
    }

    /// Whether it is on this machine as far as is known: only then the token of the data directory is for it.
    fn is_here(&self, config: &Config) -> bool {
        self.place.is_loopback() || Some(&self.place) == config.http.address.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> String {
        Address::parse(text).unwrap().url()
    }

    #[test]
    fn an_address_may_be_a_url_or_host_and_port() {
        assert_eq!(url("http://127.0.0.1:18083"), "http://127.0.0.1:18083");
        assert_eq!(url("http://broker.example"), "http://broker.example:80");
        assert_eq!(url("https://broker.example"), "https://broker.example:443");
        assert_eq!(url("http://[::1]:8/"), "http://[::1]:8");
        assert_eq!(url("http://0.0.0.0:8"), "http://127.0.0.1:8");
        let bare = Address::parse("127.0.0.1:18083").unwrap();
        assert_eq!(bare, Address { place: HostPort::new("127.0.0.1", 18083), trust: None });
        for wrong in ["", "18083", "ftp://a", "http://a/api", "http://u:p@a", "https://a/?x", "http://"] {
            assert!(matches!(Address::parse(wrong), Err(Failure::Arguments(_))), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_that_is_none_is_refused_without_repeating_it() {
        for wrong in ["", "  \n", "two words", "line\nline", "umläut"] {
            let Err(Failure::Arguments(text)) =
                Token::judged(Zeroizing::new(wrong.to_owned()), "file".into())
            else {
                panic!("{wrong:?}");
            };
            assert!(text.starts_with("file: must be") && !text.contains("two words"), "{text}");
        }
        let token = Token::judged(Zeroizing::new(" abc\n".to_owned()), "file".into()).ok().unwrap();
        assert_eq!(*token.text, "abc");
    }
}
