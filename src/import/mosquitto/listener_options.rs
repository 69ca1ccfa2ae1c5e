//! The options of mosquitto.conf about one listener: the one that the last `listener` line began, or the default one
//! before any.

use std::path::PathBuf;

use super::draft::{Address, Domain, Protocol, Written};
use super::lines::Line;
use super::reading::Reading;
use super::table::{MosquittoOption, missing, missing_if, said, unneeded};
use super::value::{flag, number, one_of, text};

pub(super) static OPTIONS: &[MosquittoOption] = &[
    said(
        &["listener"],
        "listener.url",
        "Without an address, every address, IPv4 and IPv6 ([::]). localhost becomes two listeners, for 127.0.0.1 and ::1. A Unix socket is unix://PATH.",
        |reading, line| {
            let port = number(line, 0..=65_535)?;
            let host = line.value.split(' ').filter(|word| !word.is_empty()).nth(1);
            let host = host.filter(|host| !host.starts_with('#'));
            let address = match (u16::try_from(port).unwrap_or_default(), host) {
                (0, None) => return Err("port 0 must be followed by the path of a Unix socket".to_owned()),
                (0, Some(path)) => Address::Unix(reading.resolve(path)?),
                (port, host) => Address::Port(port, host.map(str::to_owned)),
            };
            reading.begin_listener(line, address);
            Ok(())
        },
    ),
    said(&["port"], "listener.url", "The port of the default listener.", |reading, line| {
        let port = u16::try_from(number(line, 1..=65_535)?).unwrap_or_default();
        reading.change_default_listener(line, |address| *address = Address::Port(port, host_of(address)));
        Ok(())
    }),
    said(&["bind_address"], "listener.url", "The address of the default listener.", |reading, line| {
        let host = text(line)?.to_owned();
        reading.change_default_listener(line, |address| {
            if let Address::Port(port, _) = *address {
                *address = Address::Port(port, Some(host));
            }
        });
        Ok(())
    }),
    said(
        &["socket_domain"],
        "listener.url",
        "ipv4 is 0.0.0.0; ipv6 is [::] with deny = [\"0.0.0.0/0\"].",
        |reading, line| {
            let domain = one_of(line, &[("ipv4", Domain::Ipv4), ("ipv6", Domain::Ipv6)])?;
            reading.listener(line).domain = Some(Written::new(domain, &line.place));
            Ok(())
        },
    ),
    said(
        &["bind_interface"],
        "",
        "The listener stays closed: give the address of the interface in its url.",
        |reading, line| {
            text(line)?;
            reading.close(line, "an interface cannot be named; put its address into the url");
            Ok(())
        },
    ),
    said(
        &["protocol"],
        "listener.url",
        "websockets is ws:// or, with a certificate, wss://; clients must use the path /mqtt. http_api is no listener of MQTT; http.address has health checks.",
        |reading, line| {
            let words = [
                ("mqtt", Protocol::Mqtt),
                ("websockets", Protocol::WebSockets),
                ("http_api", Protocol::HttpApi),
            ];
            let protocol = one_of(line, &words)?;
            match protocol {
                Protocol::Mqtt => {}
                Protocol::WebSockets => {
                    reading.remark(
                        line,
                        "clients must use the path /mqtt, as in ws://HOST:PORT/mqtt; mosquitto accepts any",
                    );
                }
                Protocol::HttpApi => {
                    reading.remark(line, "this listener is left out: it speaks no MQTT. Dunlin's operations port is http.address");
                }
            }
            reading.listener(line).protocol = Some(Written::new(protocol, &line.place));
            Ok(())
        },
    ),
    said(
        &["max_connections"],
        "listener.max_connections",
        "-1, no limit, leaves it out.",
        |reading, line| {
            let connections = number(line, i64::from(i32::MIN)..=i64::from(i32::MAX))?;
            reading.listener(line).max_connections =
                (connections > 0).then(|| Written::new(connections, &line.place));
            Ok(())
        },
    ),
    said(
        &["max_topic_alias"],
        "session.topic_alias_maximum",
        "For all listeners; where they differ, the smallest.",
        |reading, line| {
            let aliases = Written::new(number(line, 0..=65_535)?, &line.place);
            reading.listener(line).topic_aliases = Some(aliases);
            Ok(())
        },
    ),
    said(
        &["max_topic_alias_broker"],
        "session.server_topic_aliases",
        "For all listeners; where they differ, the smallest.",
        |reading, line| {
            let aliases = Written::new(number(line, 0..=65_535)?, &line.place);
            reading.listener(line).server_topic_aliases = Some(aliases);
            Ok(())
        },
    ),
    missing_if(
        &["max_qos", "maximum_qos"],
        "Clients may use every QoS; roles in a TOML file of rules can limit it (docs/security.md).",
        |line| Ok(number(line, 0..=2)? < 2),
    ),
    missing(&["accept_protocol_versions"], "Clients of 3.1, 3.1.1 and 5.0 may connect."),
    said(
        &["mount_point"],
        "",
        "The listener stays closed: without the prefix its clients would see every topic. Rules (auth.acl_file) can keep them to theirs, once they use the full names.",
        |reading, line| {
            text(line)?;
            reading.close(line, "there are no mount points, and without one its clients would see every topic; let rules keep them to theirs (auth.acl_file)");
            Ok(())
        },
    ),
    missing_if(&["mptcp"], "Connections are plain TCP.", flag),
    missing(&["http_dir"], "No files are served; let a web server do it."),
    said(
        &["websockets_origin"],
        "",
        "The listener stays closed: the origin of a page is not checked. A reverse proxy can do it.",
        |reading, line| {
            text(line)?;
            reading.close(line, "the Origin of browsers is not checked; let a reverse proxy do it");
            Ok(())
        },
    ),
    said(&["listener_allow_anonymous"], "listener.allow_anonymous", "The same.", |reading, line| {
        let allow = Written::new(flag(line)?, &line.place);
        reading.listener(line).security.allow_anonymous = Some(allow);
        Ok(())
    }),
    missing(
        &["listener_auto_id_prefix"],
        "Client identifiers that Dunlin gives have no prefix of your own; rules should not rely on it.",
    ),
    said(
        &["use_username_as_clientid"],
        "auth.client_identifier",
        "true becomes \"%u\": clients must send their user name as client identifier, it is not put in its place.",
        |reading, line| {
            let replaces = Written::new(flag(line)?, &line.place);
            if replaces.value {
                reading.remark(line, "clients must send their user name as client identifier; Dunlin refuses them otherwise, where mosquitto replaces it");
            }
            reading.listener(line).use_user_name = Some(replaces);
            Ok(())
        },
    ),
    // The PROXY protocol.
    said(
        &["enable_proxy_protocol"],
        "listener.proxy_protocol",
        "The proxies must be listed; this machine is written. Version 1 and 2 are both understood.",
        |reading, line| {
            let version = Written::new(number(line, 1..=2)?, &line.place);
            reading.remark(line, "proxies are believed by their addresses only: list yours in proxy_protocol, which has those of this machine");
            reading.listener(line).proxy = Some(version);
            Ok(())
        },
    ),
    said(
        &["proxy_protocol_v2_require_tls"],
        "",
        "true keeps the listener closed: whether clients used TLS towards the proxy is not looked at. Let the proxy accept TLS only.",
        |reading, line| {
            if flag(line)? {
                reading.close(line, "whether clients used TLS towards the proxy is not looked at; let the proxy accept TLS only");
            }
            Ok(())
        },
    ),
    // TLS with certificates.
    said(
        &["certfile"],
        "tls.cert",
        "With keyfile, the listener speaks TLS. The file must have the intermediate certificates, too: mosquitto takes missing ones from cafile.",
        |reading, line| {
            let path = written_path(reading, line)?;
            reading.listener(line).certificate = Some(path);
            Ok(())
        },
    ),
    said(&["keyfile"], "tls.key", "The same file; it must not be encrypted.", |reading, line| {
        let path = written_path(reading, line)?;
        reading.listener(line).key = Some(path);
        Ok(())
    }),
    said(
        &["cafile"],
        "tls.client_ca",
        "Only with require_certificate true, for otherwise nobody is asked for a certificate.",
        |reading, line| {
            let path = written_path(reading, line)?;
            reading.listener(line).ca = Some(path);
            Ok(())
        },
    ),
    missing(
        &["capath"],
        "Put the certificates of the authorities into one file and name it in tls.client_ca.",
    ),
    said(
        &["crlfile"],
        "tls.client_crl",
        "Only with require_certificate true. Stricter: every authority in the chain needs a list in the file.",
        |reading, line| {
            let path = written_path(reading, line)?;
            reading.listener(line).crl = Some(path);
            Ok(())
        },
    ),
    said(
        &["require_certificate"],
        "tls.require_client_cert",
        "The same. A listener that requires certificates and names no cafile stays closed.",
        |reading, line| {
            let required = Written::new(flag(line)?, &line.place);
            reading.listener(line).require_certificate = Some(required);
            Ok(())
        },
    ),
    said(
        &["use_identity_as_username"],
        "auth.certificate_user",
        "true becomes \"common-name\".",
        |reading, line| {
            let used = Written::new(flag(line)?, &line.place);
            reading.listener(line).use_identity = Some(used);
            Ok(())
        },
    ),
    said(
        &["use_subject_as_username"],
        "auth.certificate_user",
        "true becomes \"subject\".",
        |reading, line| {
            let used = Written::new(flag(line)?, &line.place);
            reading.listener(line).use_subject = Some(used);
            Ok(())
        },
    ),
    said(
        &["tls_version"],
        "tls.min_version",
        "tlsv1.1 becomes \"1.2\", the oldest there is.",
        |reading, line| {
            let versions = [("tlsv1.3", "1.3"), ("tlsv1.2", "1.2"), ("tlsv1.1", "1.2")];
            let version = Written::new(one_of(line, &versions)?, &line.place);
            if line.word() == "tlsv1.1" {
                reading.remark(line, "TLS 1.1 is not spoken; 1.2 is the oldest");
            }
            reading.listener(line).tls_version = Some(version);
            Ok(())
        },
    ),
    missing(
        &["ciphers", "ciphers_tls1.3"],
        "Ciphers cannot be chosen: with TLS 1.2 and 1.3 those of rustls are used, all with forward secrecy and authenticated encryption.",
    ),
    unneeded(&["dhparamfile"], "Keys are agreed on elliptic curves, which need no parameters."),
    missing_if(
        &["disable_client_cert_date_checks"],
        "Certificates are valid in their time only: give clients new ones.",
        flag,
    ),
    said(
        &["tls_engine"],
        "",
        "The listener stays closed: keys are read from files only.",
        |reading, line| {
            text(line)?;
            reading.close(line, "there are no engines of OpenSSL; keys are read from files");
            Ok(())
        },
    ),
    said(
        &["tls_keyform"],
        "",
        "engine keeps the listener closed: keys are read from files only.",
        |reading, line| {
            if text(line)? == "engine" {
                reading.close(line, "there are no engines of OpenSSL; keys are read from files");
            }
            Ok(())
        },
    ),
    unneeded(&["tls_engine_kpass_sha1"], "See tls_engine."),
    said(
        &["psk_hint"],
        "",
        "The listener stays closed: TLS with pre-shared keys has no equivalent. Give its clients certificates, or the server one and its clients passwords.",
        |reading, line| {
            text(line)?;
            reading.close(line, "TLS with pre-shared keys has no equivalent; use certificates");
            Ok(())
        },
    ),
];

fn host_of(address: &Address) -> Option<String> {
    match address {
        Address::Port(_, host) => host.clone(),
        Address::Unix(_) => None,
    }
}

fn written_path(reading: &Reading, line: &Line) -> Result<Written<PathBuf>, String> {
    Ok(Written::new(reading.path(line)?, &line.place))
}
