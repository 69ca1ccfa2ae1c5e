//! The URL of `-L`: `mqtt://[user[:password]@]host[:port][/topic]`, or `unix://PATH`.
//!
//! The part after the host is the topic, also for `ws://` and `wss://`, as in mosquitto's clients; the path of a
//! WebSocket is always `/mqtt`. User and password may hold percent-encoded characters.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::client::{Address, Secret, Transport};

/// What a URL says.
#[derive(Debug)]
pub struct BrokerUrl {
    /// Where the broker is.
    pub address: Address,
    /// The user name.
    pub user_name: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The topic, or Topic Filter.
    pub topic: Option<String>,
}

/// The port that is usual for a transport: where `dunlin` listens for WebSockets, too.
pub fn usual_port(transport: Transport) -> u16 {
    match transport {
        Transport::Mqtt => 1883,
        Transport::Mqtts => 8883,
        Transport::Ws => 8083,
        Transport::Wss => 8084,
    }
}

impl BrokerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, without any part of it that may be a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let schemes = "must start with mqtt://, mqtts://, ws://, wss:// or unix://";
        let (scheme, rest) = url.split_once("://").ok_or(schemes)?;
        let transport = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => Transport::Mqtt,
            "mqtts" => Transport::Mqtts,
            "ws" => Transport::Ws,
            "wss" => Transport::Wss,
            "unix" if rest.is_empty() => {
                return Err("must name a path, such as unix:///run/dunlin.sock".into());
            }
            "unix" => {
                let address = Address::Unix(PathBuf::from(rest));
                return Ok(Self { address, user_name: None, password: None, topic: None });
            }
            _ => return Err(schemes.into()),
        };
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic).filter(|topic| !topic.is_empty())),
            None => (rest, None),
        };
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (user_name, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            None => (None, None),
            Some((name, password)) => {
                let name = percent_decode_str(name).decode_utf8();
                let name = name.map_err(|_| "must have a user name that is UTF-8")?.into_owned();
                let has_password = user.is_some_and(|user| user.contains(':'));
                let password: Vec<u8> = percent_decode_str(password).collect();
                (Some(name), has_password.then(|| Secret::new(password)))
            }
        };
        let (host, port) = host_and_port(place)?;
        let port = port.unwrap_or(usual_port(transport));
        let address = Address::Network { transport, host, port };
        Ok(Self { address, user_name, password, topic: topic.map(str::to_owned) })
    }
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or("must have : before the port")?)),
        None => match place.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err("must have an IPv6 address in brackets".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    if host.is_empty() {
        return Err("must name a host, such as mqtt://localhost/topic".into());
    }
    let port = port.map(|port| port.parse().map_err(|_| "must have a port of 0 to 65535")).transpose()?;
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, Option<String>, Option<Vec<u8>>, Option<String>) {
        let url = BrokerUrl::parse(url).unwrap();
        let password = url.password.map(|password| password.as_bytes().to_vec());
        (url.address.to_string(), url.user_name, password, url.topic)
    }

    #[test]
    fn a_url_says_where_who_and_what() {
        let all = parts("mqtts://anna:se%40cret@broker.example:1234/a/b/#");
        let expected = ("mqtts://broker.example:1234", Some("anna"), Some(&b"se@cret"[..]), Some("a/b/#"));
        assert_eq!((all.0.as_str(), all.1.as_deref(), all.2.as_deref(), all.3.as_deref()), expected);
        assert_eq!(parts("mqtt://h"), ("mqtt://h:1883".into(), None, None, None));
        assert_eq!(parts("MQTTS://h/"), ("mqtts://h:8883".into(), None, None, None));
        assert_eq!(
            parts("ws://u@[::1]/t"),
            ("ws://[::1]:8083".into(), Some("u".into()), None, Some("t".into()))
        );
        assert_eq!(parts("wss://h:1/t").0, "wss://h:1");
        assert_eq!(parts("unix:///run/x.sock"), ("unix:///run/x.sock".into(), None, None, None));
    }

    #[test]
    fn a_wrong_url_is_refused_without_its_password() {
        for (url, problem) in [
            ("localhost/t", "must start with mqtt://, mqtts://, ws://, wss:// or unix://"),
            ("http://localhost", "must start with mqtt://, mqtts://, ws://, wss:// or unix://"),
            ("mqtt://u:p@/t", "must name a host, such as mqtt://localhost/topic"),
            ("mqtt://u:p@h:65536/t", "must have a port of 0 to 65535"),
            ("mqtt://[::1]1/t", "must have : before the port"),
            ("mqtt://::1/t", "must have an IPv6 address in brackets"),
            ("unix://", "must name a path, such as unix:///run/dunlin.sock"),
        ] {
            let error = BrokerUrl::parse(url).err();
            assert_eq!(error.as_deref(), Some(problem), "{url}");
        }
    }
}
