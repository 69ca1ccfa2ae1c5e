//! The configuration as a user meets it: layers, messages, sample files, reference.
//!
//! Messages are compared word by word, because they are what a user has when something is wrong. The
//! generated files are compared with the declarations; with `DUNLIN_BLESS=1` they are written instead (`cargo
//! xtask docs`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use dunlin::config::{
    ByteSize, Config, Flags, HostPort, ListenerOptions, ListenerUrl, LogFormat, Seconds, SectionDoc,
    SignatureAlgorithm, Sources, reference, sections,
};
use dunlin_core::settings::{OverflowPolicy, SessionExpiryInterval};

/// Reads a text as the file `dunlin.toml`.
fn load(text: &str) -> Config {
    Config::from_toml("dunlin.toml", text).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"))
}

/// What is said about a text that is the file `dunlin.toml`.
fn complaint(text: &str) -> String {
    match Config::from_toml("dunlin.toml", text) {
        Ok(_) => panic!("nothing is wrong with\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// The same configuration without the places its values came from.
fn values(config: Config) -> Config {
    Config { places: Default::default(), ..config }
}

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let environment =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn flags(flags: Flags) -> Sources {
    Sources { flags, ..Sources::default() }
}

fn urls(config: &Config) -> Vec<String> {
    config.listeners().iter().map(|listener| listener.url.to_string()).collect()
}

#[test]
fn without_configuration_only_this_machine_can_connect_and_may_do_so_without_a_user() {
    let config = Sources::default().load().unwrap();
    let listeners = config.listeners();
    assert_eq!(urls(&config), ["mqtt://127.0.0.1:1883"]);
    assert!(listeners[0].allow_anonymous);
    assert_eq!(config.store.path, Some("dunlin-data".into()));
    assert_eq!(config.http.address, Some(HostPort::new("127.0.0.1", 18083)));
    assert!(!config.is_set("http.address"));
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file_which_wins_over_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dunlin.toml");
    let text = "[store]\npath = 'from-file'\n[http]\naddress = '127.0.0.1:1'\n[session]\nmax_inflight = 10\n\
                receive_maximum = 11\n";
    std::fs::write(&file, text).unwrap();
    let sources = Sources {
        program: None,
        file: Some(file),
        environment: vec![
            ("DUNLIN__SESSION__MAX_INFLIGHT".to_owned(), "20".to_owned()),
            ("DUNLIN__STORE__PATH".to_owned(), "from-environment".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ],
        flags: Flags { data_dir: Some("from-flag".to_owned()), ..Flags::default() },
    };
    let config = sources.load().unwrap();
    assert_eq!(config.store.path, Some("from-flag".into()));
    assert_eq!(config.session.max_inflight, 20);
    assert_eq!(config.session.receive_maximum, 11);
    assert_eq!(config.http.address, Some(HostPort::new("127.0.0.1", 1)));
    assert!(config.is_set("http.address"));
    assert_eq!(config.ban, Config::default().ban);
}

#[test]
fn listeners_of_a_flag_replace_those_of_the_environment_and_the_file() {
    let text = "[[listener]]\nurl = 'mqtt://0.0.0.0:1'\nallow_anonymous = true\n";
    assert_eq!(urls(&load(text)), ["mqtt://0.0.0.0:1"]);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dunlin.toml");
    std::fs::write(&file, text).unwrap();
    let mut sources = environment(&[("DUNLIN__LISTENER", "mqtt://0.0.0.0:2, ws://[::1]")]);
    sources.file = Some(file);
    let config = sources.load().unwrap();
    assert_eq!(urls(&config), ["mqtt://0.0.0.0:2", "ws://[::1]:8083/mqtt"]);
    assert!(!config.listeners()[0].allow_anonymous, "nothing of the replaced listener stays");

    sources.flags.listen = vec!["unix:///run/dunlin.sock".to_owned()];
    assert_eq!(urls(&sources.load().unwrap()), ["unix:///run/dunlin.sock"]);
}

#[test]
fn every_kind_of_value_is_read_from_a_file() {
    let config = load(
        r#"
        [[listener]]
        url = "mqtts://0.0.0.0"
        allow_anonymous = true
        max_connections = 5
        max_packet_size = "1KiB"
        tls = { cert = "c", key = "k", client_ca = "a", require_client_cert = true }
        [session]
        max_queued_bytes = "4GB"
        max_expiry = "1h"
        overflow = "disconnect"
        max_keep_alive = "90s"
        [limits]
        max_packet_size = 1_000_000
        connect_timeout = "500ms"
        [log]
        level = "info,dunlin::auth=debug"
        format = "json"
        [http]
        address = ""
        [store]
        path = ""
        "#,
    );
    let listener = &config.listeners()[0];
    assert_eq!(listener.url, ListenerUrl::Mqtts(HostPort::new("0.0.0.0", 8883)));
    assert!(listener.allow_anonymous);
    assert_eq!(listener.max_connections, Some(5));
    assert_eq!(listener.max_packet_size, ByteSize(1024));
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!((tls.cert.as_deref(), tls.require_client_cert), (Some(Path::new("c")), true));
    assert_eq!(config.session.max_queued_bytes, ByteSize(4 << 30));
    assert_eq!(config.session.max_expiry, SessionExpiryInterval::After(3600));
    assert_eq!(config.session.overflow, OverflowPolicy::Disconnect);
    assert_eq!(config.session.max_keep_alive, Some(Seconds(90)));
    assert_eq!(config.limits.max_packet_size, ByteSize(1_000_000));
    assert_eq!(config.limits.connect_timeout, Duration::from_millis(500));
    assert_eq!(config.log.level.as_str(), "info,dunlin::auth=debug");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.http.address, None);
    assert_eq!(config.store.path, None);
}

#[test]
fn a_number_in_a_variable_is_the_place_of_a_listener_in_whatever_order_they_come() {
    let config = environment(&[
        ("DUNLIN__LISTENER__1__URL", "mqtts://0.0.0.0"),
        ("DUNLIN__LISTENER__1__TLS__CERT", "cert.pem"),
        ("DUNLIN__LISTENER__1__TLS__KEY", "key.pem"),
        ("DUNLIN__LISTENER__0__URL", "mqtt://0.0.0.0"),
        ("DUNLIN__LISTENER__0__AUTH__PASSWORD_FILE", "passwords"),
    ])
    .load()
    .unwrap();
    let urls: Vec<_> = config.listener.iter().map(|listener| listener.url.to_string()).collect();
    assert_eq!(urls, ["mqtt://0.0.0.0:1883", "mqtts://0.0.0.0:8883"]);
    let listeners = config.listeners();
    assert_eq!(listeners[0].auth.password_file.as_deref(), Some(Path::new("passwords")));
    assert_eq!(listeners[1].tls.as_ref().unwrap().cert.as_deref(), Some(Path::new("cert.pem")));
}

#[test]
fn a_list_of_urls_in_the_environment_can_have_further_options_of_its_listeners() {
    let config = environment(&[
        ("DUNLIN__LISTENER__1__ALLOW_ANONYMOUS", "true"),
        ("DUNLIN__LISTENER", "mqtt://0.0.0.0,ws://0.0.0.0"),
    ])
    .load()
    .unwrap();
    let admitted: Vec<_> = config.listeners().iter().map(|listener| listener.allow_anonymous).collect();
    assert_eq!(admitted, [false, true]);
}

#[test]
fn listeners_of_the_environment_are_a_list_without_gaps_and_each_has_a_url() {
    let complaint = |name: &str| environment(&[(name, "mqtt://[::1]")]).load().unwrap_err().to_string();
    assert_eq!(
        complaint("DUNLIN__LISTENER__1__URL"),
        "DUNLIN__LISTENER__1__URL: listener.1.url: there is no item 0 before it; items count from 0"
    );
    let without_number =
        environment(&[("DUNLIN__LISTENER", "mqtt://[::1]"), ("DUNLIN__LISTENER__MAX_CONNECTIONS", "5")]);
    assert_eq!(
        without_number.load().unwrap_err().to_string(),
        "DUNLIN__LISTENER__MAX_CONNECTIONS: listener.max_connections: stands for nothing in a list: put the number of the \
         item before it, from 0 on"
    );
    assert_eq!(
        complaint("DUNLIN__LISTENER__0__URLS"),
        "DUNLIN__LISTENER__0__URLS: listener.url: must be set; for example url = \"mqtt://127.0.0.1:1883\"\n\
         DUNLIN__LISTENER__0__URLS: listener.urls: unknown option; did you mean listener.url?"
    );
}

#[test]
fn every_kind_of_value_is_read_from_the_environment() {
    let config = environment(&[
        ("DUNLIN__SESSION__MAX_EXPIRY", "never"),
        ("DUNLIN__LIMITS__MAX_PACKET_SIZE", "100000"),
        ("DUNLIN__LIMITS__MAX_MEMORY", "1GB"),
        ("DUNLIN__AUTH__ALLOW_ANONYMOUS", "true"),
        ("DUNLIN__TLS__REQUIRE_CLIENT_CERT", "false"),
        ("DUNLIN__AUTH__ACL_FILE", ""),
        ("DUNLIN__STORE__PATH", ""),
    ])
    .load()
    .unwrap();
    assert_eq!(config.session.max_expiry, SessionExpiryInterval::Never);
    assert_eq!(config.limits.max_packet_size, ByteSize(100_000));
    assert_eq!(config.limits.max_memory, ByteSize(1 << 30));
    assert_eq!(config.auth.allow_anonymous, Some(true));
    assert_eq!(config.auth.acl_file, None);
    assert_eq!(config.store.path, None);
}

#[test]
fn a_list_is_an_array_in_a_file_and_a_text_with_commas_in_the_environment() {
    let shown = |config: &Config| config.ban.allow.iter().map(ToString::to_string).collect::<Vec<_>>();
    let from_file = load("[ban]\nallow = ['192.0.2.0/24', '2001:db8::7']");
    let from_environment =
        environment(&[("DUNLIN__BAN__ALLOW", "192.0.2.0/24, 2001:db8::7")]).load().unwrap();
    assert_eq!(shown(&from_file), ["192.0.2.0/24", "2001:db8::7"]);
    assert_eq!(from_file.ban, from_environment.ban);
    assert!(environment(&[("DUNLIN__BAN__ALLOW", "")]).load().unwrap().ban.allow.is_empty());
    let wrong = environment(&[("DUNLIN__BAN__ALLOW", "192.0.2.0/24,home")]).load().unwrap_err().to_string();
    assert!(wrong.starts_with("DUNLIN__BAN__ALLOW: ban.allow = \"home\": must be a network"), "{wrong}");
}

#[test]
fn strangers_are_refused_wherever_others_can_connect_until_somebody_allows_them() {
    let admitted = |text: &str| -> Vec<bool> {
        load(text).listeners().iter().map(|listener| listener.allow_anonymous).collect()
    };
    let listeners = "
        listener = [{ url = 'mqtt://0.0.0.0' }, { url = 'mqtt://[::]' }, { url = 'mqtt://broker.example' },
                    { url = 'ws://192.168.1.2' }, { url = 'mqtt://127.0.0.2' }, { url = 'mqtt://[::1]' },
                    { url = 'mqtt://localhost' }, { url = 'unix:///s' }, { url = 'mqtt://[::ffff:127.0.0.1]:2' }]
    ";
    assert_eq!(admitted(listeners), [false, false, false, false, true, true, true, true, true]);
    assert_eq!(admitted(&format!("{listeners}\n[auth]\nallow_anonymous = true")), [true; 9]);
    assert_eq!(admitted(&format!("{listeners}\n[auth]\nallow_anonymous = false")), [false; 9]);
    let one_open = "[[listener]]\nurl = 'mqtt://0.0.0.0:1'\nallow_anonymous = true\n[[listener]]\nurl = 'mqtt://0.0.0.0:2'";
    assert_eq!(admitted(one_open), [true, false]);
}

#[test]
fn localhost_is_this_machine_whatever_a_resolver_says() {
    let address = HostPort::new("LocalHost", 7);
    assert!(address.is_loopback());
    assert_eq!(address.resolve().unwrap().to_string(), "127.0.0.1:7");
}

#[test]
fn a_wrong_value_is_reported_with_its_place_and_what_would_be_right() {
    let cases = [
        (
            "[session]\n\nmax_inflight = 0",
            "dunlin.toml:3: session.max_inflight = 0: must be 1 to 65535 (default 1000)",
        ),
        (
            "[session]\nmax_inflight = 65536",
            "dunlin.toml:2: session.max_inflight = 65536: must be a whole number, 1 to 65535 (default 1000)",
        ),
        (
            "[session]\nmax_inflight = -1",
            "dunlin.toml:2: session.max_inflight = -1: must be a whole number, 1 to 65535 (default 1000)",
        ),
        (
            "[session]\nmax_inflight = 'many'",
            "dunlin.toml:2: session.max_inflight = \"many\": must be a whole number, 1 to 65535 (default 1000)",
        ),
        (
            "session.max_inflight = 1.5",
            "dunlin.toml:1: session.max_inflight = 1.5: must be a whole number, 1 to 65535 (default 1000)",
        ),
        (
            "session = { max_inflight = [1] }",
            "dunlin.toml:1: session.max_inflight = [...]: must be a whole number, 1 to 65535 (default 1000)",
        ),
        (
            "[session]\nmax_queued_messages = 0",
            "dunlin.toml:2: session.max_queued_messages = 0: must be 1 to 1_000_000_000 (default 100_000)",
        ),
        (
            "[limits]\nmax_packet_size = '256MB'",
            "dunlin.toml:2: limits.max_packet_size = \"256MB\": must be 128B to 255MB (default \"2MB\")",
        ),
        (
            "[limits]\nmax_packet_size = 'huge'",
            "dunlin.toml:2: limits.max_packet_size = \"huge\": must be a size such as \"64KB\" or \"2MB\", 128B to 255MB \
             (default \"2MB\")",
        ),
        (
            "[limits]\nmax_packet_size = '99999999999999TB'",
            "dunlin.toml:2: limits.max_packet_size = \"99999999999999TB\": must be a size such as \"64KB\" or \"2MB\", \
             128B to 255MB (default \"2MB\")",
        ),
        (
            "[limits]\nconnect_timeout = '1h'",
            "dunlin.toml:2: limits.connect_timeout = \"1h\": must be 100ms to 10m (default \"10s\")",
        ),
        (
            "[limits]\nconnect_timeout = 10",
            "dunlin.toml:2: limits.connect_timeout = 10: must be a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \
             \"7d\", 100ms to 10m (default \"10s\")",
        ),
        (
            "[session]\nmax_expiry = 'forever'",
            "dunlin.toml:2: session.max_expiry = \"forever\": must be \"never\" or a duration in whole seconds such \
             as \"1h\" or \"30d\", 0s to 36500d (default \"never\")",
        ),
        (
            "[session]\nmax_keep_alive = '1500ms'",
            "dunlin.toml:2: session.max_keep_alive = \"1500ms\": must be a duration in whole seconds such as \"30s\", \
             \"5m\" or \"1h\", 1s to 65535s",
        ),
        (
            "[session]\noverflow = 'drop'",
            "dunlin.toml:2: session.overflow = \"drop\": must be \"drop-oldest\", \"drop-newest\" or \"disconnect\" \
             (default \"drop-oldest\")",
        ),
        (
            "[auth]\nallow_anonymous = 'yes'",
            "dunlin.toml:2: auth.allow_anonymous = \"yes\": must be true or false",
        ),
        (
            "[log]\nlevel = 'infoo'",
            "dunlin.toml:2: log.level = \"infoo\": must be off, error, warn, info, debug, trace, or directives such as \
             \"info,dunlin::auth=debug\" (default \"info\")",
        ),
        (
            "[http]\naddress = '18083'",
            "dunlin.toml:2: http.address = \"18083\": must be an address and a port such as \"127.0.0.1:18083\" (default \
             \"127.0.0.1:18083\")",
        ),
        (
            "[ban]\nallow = ['10.0.0.0/8',\n  '10.1.0.0/8']",
            "dunlin.toml:3: ban.allow = \"10.1.0.0/8\": has bits beyond its prefix: write \"10.0.0.0/8\" for the network or \
             \"10.1.0.0\" for the address",
        ),
        (
            "[ban]\nallow = 1",
            "dunlin.toml:2: ban.allow = 1: must be a list, each a network such as \"10.0.0.0/8\" or an address",
        ),
        (
            "[ban]\nwindow = '10'",
            "dunlin.toml:2: ban.window = \"10\": must be a duration such as \"500ms\", \"30s\", \"5m\", \"1h\" or \"7d\", 1s to 1d \
             (default \"10m\")",
        ),
        (
            "[limits]\nconnect_rate_per_address = 0",
            "dunlin.toml:2: limits.connect_rate_per_address = 0: must be 1 to 1_000_000",
        ),
        (
            "[[listener]]\nurl = 'mqtt://[::1]'\ndeny = [\n  'localhost',\n]",
            "dunlin.toml:4: listener.deny = \"localhost\": must be a network such as \"10.0.0.0/8\" or \"fd00::/8\", or an \
             address",
        ),
        (
            "[[listener]]\nurl = 'unix:///s'\nproxy_protocol = ['10.0.0.0/8']",
            "dunlin.toml:3: listener.proxy_protocol: needs a listener on the network: clients of a Unix socket have no address",
        ),
        ("[tls]\ncert = 1", "dunlin.toml:2: tls.cert = 1: must be a path"),
        ("session = 5", "dunlin.toml:1: session = 5: must be a section, [session]"),
        (
            "[listener]\nurl = 'mqtt://[::1]'",
            "dunlin.toml:1: listener: must be a list of sections, [[listener]]",
        ),
        (
            "listener = ['mqtt://[::1]']",
            "dunlin.toml:1: listener = \"mqtt://[::1]\": must be a list of sections, [[listener]]",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(text), expected);
    }
}

#[test]
fn an_unknown_key_is_reported_with_the_nearest_known_one() {
    let cases = [
        (
            "[session]\nmax_inflght = 1",
            "dunlin.toml:2: session.max_inflght: unknown option; did you mean session.max_inflight?",
        ),
        ("[sesion]\nmax_inflight = 1", "dunlin.toml:1: [sesion]: unknown section; did you mean [session]?"),
        ("[log]\n\ncolour = true", "dunlin.toml:3: log.colour: unknown option; known here: level, format"),
        (
            "[[listener]]\nurl = 'mqtts://[::1]'\ntls = { cert = 'c', kay = 'k' }",
            "dunlin.toml:3: listener.tls.kay: unknown option; did you mean listener.tls.key?",
        ),
        (
            "port = 1883",
            "dunlin.toml:1: port: unknown option; known here: server, listener, tls, auth, session, limits, ban, store, log, otlp, http, sys",
        ),
        ("\"a.b\" = 1", "dunlin.toml:1: a.b: unknown option"),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(text), expected);
    }
}

#[test]
fn a_wrong_listener_is_reported() {
    let url = |url: &str| complaint(&format!("[[listener]]\nurl = '{url}'"));
    let about = |url: &str, problem: &str| format!("dunlin.toml:2: listener.url = \"{url}\": {problem}");
    let cases = [
        ("0.0.0.0:1883", "must start with mqtt://, mqtts://, ws://, wss:// or unix://"),
        ("http://localhost", "must start with mqtt://, mqtts://, ws://, wss:// or unix://"),
        ("tcp://localhost", "must start with mqtt:// (MQTT over TCP) rather than tcp://"),
        ("ssl://localhost", "must start with mqtts:// (MQTT over TLS) rather than ssl://"),
        ("mqtt://:1883", "must name an address; 0.0.0.0 and [::] mean every address"),
        ("mqtt://*:1883", "must name an address; 0.0.0.0 and [::] mean every address"),
        ("mqtt://localhost:70000", "must have a port of 0 to 65535 rather than \"70000\""),
        (
            "mqtt://::1:1883",
            "must have a host name, an IPv4 address or an IPv6 address in brackets rather than \"::1\"",
        ),
        ("mqtt://localhost/mqtt", "must end after the port, without /mqtt"),
        ("ws://localhost/ws", "must have the path /mqtt rather than /ws"),
        ("unix://", "must name the socket's path, such as unix:///run/dunlin.sock"),
    ];
    for (text, problem) in cases {
        assert_eq!(url(text), about(text, problem));
    }
    assert_eq!(
        complaint("[[listener]]\nallow_anonymous = true"),
        "dunlin.toml:1: listener.url: must be set; for example url = \"mqtt://127.0.0.1:1883\""
    );
    assert_eq!(
        complaint("[[listener]]\nurl = 'mqtt://[::1]'\n[[listener]]\nurl = 'mqtt://[::1]:1883'"),
        "dunlin.toml:4: listener.url = \"mqtt://[::1]:1883\": is the URL of an earlier listener too; each needs its own"
    );
    load("[[listener]]\nurl = 'mqtt://[::1]:0'\n[[listener]]\nurl = 'mqtt://[::1]:0'");
}

#[test]
fn a_listener_where_the_operations_port_shall_be_is_reported() {
    let both = |http: &str, url: &str| format!("http.address = '{http}'\n[[listener]]\nurl = '{url}'");
    assert_eq!(
        complaint(&both("127.0.0.1:1883", "ws://localhost:1883")),
        "dunlin.toml:1: http.address = \"127.0.0.1:1883\": is taken by a listener, listener.url = \
         \"ws://localhost:1883/mqtt\"; each needs its own port"
    );
    assert!(complaint(&both("127.0.0.1:1883", "mqtt://0.0.0.0")).contains("is taken by a listener"));
    // The listener that is there without being written.
    assert!(
        complaint("http.address = 'localhost:1883'").contains("listener.url = \"mqtt://127.0.0.1:1883\"")
    );
    for (http, url) in [
        ("127.0.0.1:0", "mqtt://127.0.0.1:0"),
        ("127.0.0.1:1884", "mqtt://127.0.0.1:1883"),
        ("127.0.0.1:1883", "mqtt://192.0.2.7:1883"),
        ("", "unix:///s"),
    ] {
        load(&both(http, url));
    }
    // Left to its default, the operations port gives way.
    load("[[listener]]\nurl = 'mqtt://127.0.0.1:18083'");
}

#[test]
fn tls_without_what_it_needs_is_reported() {
    assert_eq!(
        complaint("[[listener]]\nurl = 'wss://[::1]'\n[tls]\nclient_ca = 'ca.pem'"),
        "dunlin.toml:2: listener.url = \"wss://[::1]:8084/mqtt\": needs a certificate: set cert and key in [tls] or in \
         this listener's tls table (for development, cargo xtask certs makes some)"
    );
    assert_eq!(
        complaint("[tls]\ncert = 'server.pem'"),
        "dunlin.toml:2: tls.cert: needs the private key beside it: set key"
    );
    assert_eq!(
        complaint("[tls]\nkey = 'server-key.pem'"),
        "dunlin.toml:2: tls.key: needs the certificate beside it: set cert"
    );
    assert_eq!(
        complaint("[tls]\nrequire_client_cert = true"),
        "dunlin.toml:2: tls.require_client_cert: needs the authorities to trust: set client_ca"
    );
    assert_eq!(
        complaint(
            "[[listener]]\nurl = 'mqtts://[::1]'\n[listener.tls]\ncert = 'c'\nkey = 'k'\nrequire_client_cert = true"
        ),
        "dunlin.toml:6: listener.tls.require_client_cert: needs the authorities to trust: set client_ca"
    );
    assert_eq!(
        complaint("[http.tls]\ncert = 'c'"),
        "dunlin.toml:1: http.tls.key: must be set: HTTPS needs cert and key"
    );
    assert_eq!(
        complaint("[http.tls]\ncert = 'c'\nkey = 'k'\nrequire_client_cert = true"),
        "dunlin.toml:4: http.tls.require_client_cert: needs the authorities to trust: set client_ca"
    );
    assert_eq!(
        complaint("[[listener]]\nurl = 'mqtt://[::1]'\ntls = { cert = 'c', key = 'k' }"),
        "dunlin.toml:2: listener.url = \"mqtt://[::1]:1883\": speaks no TLS but has a tls table: use mqtts:// or wss://, \
         or remove the table"
    );
}

#[test]
fn lists_of_revoked_certificates_and_users_in_certificates_need_an_authority() {
    assert_eq!(
        complaint("[tls]\nclient_crl = 'crl.pem'"),
        "dunlin.toml:2: tls.client_crl: needs the authorities whose certificates it revokes: set client_ca"
    );
    let needs_one = "certificate_user: needs a listener that asks clients for certificates: mqtts:// or wss://, with \
                     client_ca in its tls table or in [tls]";
    assert_eq!(
        complaint("[auth]\ncertificate_user = 'common-name'"),
        format!("dunlin.toml:2: auth.{needs_one}")
    );
    let general = "[tls]\ncert = 'c'\nkey = 'k'\nclient_ca = 'a'";
    for (url, is_asked) in [("mqtts://[::1]", true), ("mqtt://[::1]", false)] {
        let text =
            format!("[[listener]]\nurl = '{url}'\n[listener.auth]\ncertificate_user = 'uri'\n{general}");
        let expected = format!("dunlin.toml:4: listener.auth.{needs_one}");
        if is_asked {
            load(&text);
        } else {
            assert_eq!(complaint(&text), expected);
        }
    }
}

#[test]
fn further_certificates_are_a_list_of_tables() {
    let listener = "[[listener]]\nurl = 'mqtts://[::1]'\n[listener.tls]\ncert = 'c'\nkey = 'k'\n";
    let config = load(&format!(
        "{listener}[[listener.tls.certificate]]\ncert = 'c1'\nkey = 'k1'\n\
         [tls]\ncertificate = [{{ cert = 'c2', key = 'k2' }}, {{ cert = 'c3', key = 'k3' }}]"
    ));
    let certs = |tls: &dunlin::config::TlsOptions| {
        let certs = tls.certificate.iter().map(|further| further.cert.clone().unwrap().display().to_string());
        certs.collect::<Vec<_>>()
    };
    assert_eq!(certs(config.listener[0].tls.as_ref().unwrap()), ["c1"]);
    assert_eq!(certs(&config.tls), ["c2", "c3"]);
    assert_eq!(
        complaint(&format!("{listener}[[listener.tls.certificate]]\ncert = 'c'")),
        "dunlin.toml:6: listener.tls.certificate.key: must be set: each certificate needs cert and key"
    );
    assert_eq!(
        complaint("[[tls.certificate]]\ncert = 'c'\nkey = 'k'\nname = 'n'"),
        "dunlin.toml:4: tls.certificate.name: unknown option; known here: cert, key"
    );
    assert_eq!(
        complaint("[tls]\ncertificate = 'c'"),
        "dunlin.toml:2: tls.certificate: must be a list of sections, [[tls.certificate]]"
    );
}

#[test]
fn a_listener_without_its_own_certificates_uses_those_of_the_section_tls() {
    let config = load(
        "[[listener]]\nurl = 'mqtts://[::1]:1'\n[[listener]]\nurl = 'mqtts://[::1]:2'\ntls = { cert = 'own', key = 'k' }\n\
         [[listener]]\nurl = 'mqtt://[::1]:3'\n[tls]\ncert = 'shared'\nkey = 'k'\nclient_ca = 'a'",
    );
    let certificates: Vec<_> = config
        .listeners()
        .iter()
        .map(|listener| listener.tls.clone().map(|tls| (tls.cert, tls.client_ca)))
        .collect();
    assert_eq!(
        certificates,
        [Some((Some("shared".into()), Some("a".into()))), Some((Some("own".into()), None)), None]
    );
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    assert_eq!(
        complaint("[session]\nmax_inflight = 0\nfoo = 1\n[nothing]\n"),
        "dunlin.toml:2: session.max_inflight = 0: must be 1 to 65535 (default 1000)\n\
         dunlin.toml:3: session.foo: unknown option; known here: max_queued_messages, max_queued_bytes, overflow, \
         max_inflight, receive_maximum, max_expiry, max_subscriptions, max_subscription_bytes, max_keep_alive, topic_alias_maximum, \
         server_topic_aliases, response_information\n\
         dunlin.toml:4: [nothing]: unknown section; known here: server, listener, tls, auth, session, limits, ban, store, \
         log, otlp, http, sys"
    );
}

#[test]
fn a_file_that_is_not_toml_is_reported_with_its_line() {
    let text = complaint("[session]\nmax_inflight 5\n");
    assert!(text.starts_with("dunlin.toml:2: not valid TOML: "), "{text}");
    assert!(!text.contains('\n'), "{text}");
    let text = complaint("[log]\nlevel = 'info'\nlevel = 'warn'\n");
    assert!(text.starts_with("dunlin.toml:3: not valid TOML: duplicate key"), "{text}");
}

#[test]
fn what_can_be_read_of_a_wrong_configuration_is_there_with_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("dunlin.toml");
    let readable = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Sources { file: Some(file.clone()), ..Sources::default() }.load_readable().unwrap()
    };
    let (config, errors) =
        readable("http.address = '127.0.0.1:1'\nstore.path = 'a'\nnonsense = 1\nlog.level = 5\n");
    assert_eq!(config.http.address, Some(HostPort::new("127.0.0.1", 1)));
    assert_eq!((config.store.path, errors.len()), (Some("a".into()), 2));
    // One that is no TOML keeps what stands before and after.
    let (config, errors) = readable("store.path = 'a'\n[log]\nlevel = \n[http]\naddress = '127.0.0.1:1'\n");
    assert_eq!(config.http.address, Some(HostPort::new("127.0.0.1", 1)));
    assert_eq!(config.store.path, Some("a".into()));
    assert!(errors[0].to_string().contains("dunlin.toml:3: not valid TOML"), "{errors:?}");
    let (config, errors) = readable("http = 5\nstore.path = 7\n");
    assert_eq!(config.http, Config::default().http);
    assert!(errors[0].is_about("http.address") && !errors[0].is_about("store.path"), "{errors:?}");
    assert!(errors[1].is_about("store.path") && !errors[1].is_about("store.pat"), "{errors:?}");
    let missing = Sources { file: Some("missing.toml".into()), ..Sources::default() };
    assert!(missing.load_readable().is_err(), "nobody knows what it says");
}

#[test]
fn a_missing_file_is_reported() {
    let sources = Sources { file: Some("/nowhere/dunlin.toml".into()), ..Sources::default() };
    assert_eq!(
        sources.load().unwrap_err().to_string(),
        "/nowhere/dunlin.toml: the configuration file cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_wrong_variable_is_reported_by_its_name() {
    let complaint = |name: &str, value: &str| environment(&[(name, value)]).load().unwrap_err().to_string();
    assert_eq!(
        complaint("DUNLIN__SESSION__MAX_INFLIGHT", "0"),
        "DUNLIN__SESSION__MAX_INFLIGHT: session.max_inflight = \"0\": must be 1 to 65535 (default 1000)"
    );
    assert_eq!(
        complaint("DUNLIN__SESSION__MAX_INFLIHT", "1"),
        "DUNLIN__SESSION__MAX_INFLIHT: session.max_infliht: unknown option; did you mean session.max_inflight?"
    );
    assert_eq!(
        complaint("DUNLIN__SESSION", "1"),
        "DUNLIN__SESSION: session = \"1\": must be a section, [session]"
    );
    assert_eq!(
        complaint("DUNLIN__SESSION____X", "1"),
        "DUNLIN__SESSION____X: session..x: unknown option; a name is DUNLIN__SECTION__KEY"
    );
    assert_eq!(
        complaint("DUNLIN__LISTENER", "mqtt://[::1],tcp://[::1]"),
        "DUNLIN__LISTENER: listener.url = \"tcp://[::1]\": must start with mqtt:// (MQTT over TCP) rather than tcp://"
    );
}

#[test]
fn a_wrong_flag_is_reported_by_its_name() {
    let complaint = |wrong: Flags| flags(wrong).load().unwrap_err().to_string();
    assert_eq!(
        complaint(Flags { http: Some("nine".to_owned()), ..Flags::default() }),
        "--http: http.address = \"nine\": must be an address and a port such as \"127.0.0.1:18083\" (default \
         \"127.0.0.1:18083\")"
    );
    assert_eq!(
        complaint(Flags { listen: vec!["localhost".to_owned()], ..Flags::default() }),
        "--listen: listener.url = \"localhost\": must start with mqtt://, mqtts://, ws://, wss:// or unix://"
    );
    assert_eq!(
        complaint(Flags { listen: vec!["mqtts://[::1]".to_owned()], ..Flags::default() }),
        "--listen: listener.url = \"mqtts://[::1]:8883\": needs a certificate: set cert and key in [tls] or in this \
         listener's tls table (for development, cargo xtask certs makes some)"
    );
}

#[test]
fn when_only_this_machine_can_connect_the_advice_says_how_to_open_it() {
    let advice = |sources: &Sources| sources.load().unwrap().advice(sources);
    assert_eq!(
        advice(&Sources::default()),
        [
            "only this machine can connect; to open it to everyone: DUNLIN__AUTH__ALLOW_ANONYMOUS=true dunlin serve \
          --listen mqtt://0.0.0.0:1883 (or only to users: DUNLIN__AUTH__PASSWORD_FILE=FILE)"
        ]
    );
    let users = environment(&[("DUNLIN__AUTH__PASSWORD_FILE", "passwords")]);
    assert_eq!(
        advice(&users),
        ["only this machine can connect; to open it: dunlin serve --listen mqtt://0.0.0.0:1883"]
    );
    let mut from_file = users.clone();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.toml");
    std::fs::write(&file, "[[listener]]\nurl = 'mqtt://localhost:2883'").unwrap();
    from_file.file = Some(file.clone());
    assert_eq!(
        advice(&from_file),
        [format!(
            "only this machine can connect; to open it: dunlin serve --config {} --listen mqtt://0.0.0.0:2883",
            file.display()
        )]
    );
}

#[test]
fn what_the_advice_says_opens_the_broker() {
    let typed = Sources {
        program: None,
        environment: vec![("DUNLIN__AUTH__ALLOW_ANONYMOUS".to_owned(), "true".to_owned())],
        flags: Flags { listen: vec!["mqtt://0.0.0.0:1883".to_owned()], ..Flags::default() },
        file: None,
    };
    let config = typed.load().unwrap();
    let listener = &config.listeners()[0];
    assert!(!listener.url.is_loopback() && listener.allow_anonymous);
    assert_eq!(config.advice(&typed), Vec::<String>::new());
}

#[test]
fn a_listener_that_nobody_can_use_is_told_with_what_to_do() {
    let open = flags(Flags { listen: vec!["mqtt://0.0.0.0:1883".to_owned()], ..Flags::default() });
    assert_eq!(
        open.load().unwrap().advice(&open),
        [
            "mqtt://0.0.0.0:1883 refuses everyone, because there are no users: set auth.password_file to admit users, or \
          auth.allow_anonymous = true to admit everyone (docs/configuration.md)"
        ]
    );
}

#[test]
fn who_brings_users_is_nobody_to_be_told_that_there_are_none() {
    for table in ["[auth.jwt]\nkey_file = 'k'", "[auth.http]\nurl = 'http://localhost/'"] {
        let config = load(&format!("[[listener]]\nurl = 'mqtt://0.0.0.0:1883'\n{table}"));
        assert_eq!(config.advice(&Sources::default()), Vec::<String>::new(), "{table}");
    }
}

#[test]
fn a_nested_table_can_be_set_by_the_environment() {
    let config = environment(&[
        ("DUNLIN__AUTH__JWT__KEY_FILE", "keys.pem"),
        ("DUNLIN__AUTH__JWT__ALGORITHMS", "RS256, ES256"),
        ("DUNLIN__AUTH__HTTP__URL", "https://auth.example.com/mqtt"),
    ])
    .load()
    .unwrap();
    let jwt = config.auth.jwt.unwrap();
    assert_eq!(jwt.key_file, Some("keys.pem".into()));
    assert_eq!(jwt.algorithms, [SignatureAlgorithm::Rs256, SignatureAlgorithm::Es256]);
    assert_eq!(config.auth.http.unwrap().url.to_string(), "https://auth.example.com/mqtt");
}

#[test]
fn a_listener_may_have_tokens_of_its_own() {
    let config = load(
        "[[listener]]\nurl = 'mqtt://[::1]:1'\n[listener.auth.jwt]\nkey_file = 'own'\n\
         [[listener]]\nurl = 'mqtt://[::1]:2'\n[auth.jwt]\nkey_file = 'shared'",
    );
    let keys: Vec<_> =
        config.listeners().iter().map(|listener| listener.auth.jwt.clone()?.key_file).collect();
    assert_eq!(keys, [Some("own".into()), Some("shared".into())]);
}

#[test]
fn tokens_and_services_without_what_they_need_are_reported() {
    let cases = [
        (
            "[auth.jwt]\nissuer = 'me'",
            "dunlin.toml:1: auth.jwt: needs a key to verify tokens with: set key_file, jwks_url or secret_file",
        ),
        (
            "[auth.jwt]\nkey_file = 'k'\nalgorithms = ['RS256', 'none']",
            "dunlin.toml:3: auth.jwt.algorithms = \"none\": must be \"HS256\", \"HS384\", \"HS512\", \"RS256\", \
             \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\" or \"EdDSA\"",
        ),
        (
            "[auth.jwt]\njwks_url = 'file:///keys'",
            "dunlin.toml:2: auth.jwt.jwks_url = \"file:///keys\": must start with http:// or https://",
        ),
        (
            "[auth.jwt]\nkey_file = 'k'\nuser_claim = ''",
            "dunlin.toml:3: auth.jwt.user_claim: must name the claim that is the user name (default \"sub\")",
        ),
        (
            "[auth.jwt]\nkey_file = 'k'\nca_file = 'ca.pem'",
            "dunlin.toml:3: auth.jwt.ca_file: vouches for nobody: jwks_url is no https:// address",
        ),
        (
            "[auth.http]\ntimeout = '1s'",
            "dunlin.toml:1: auth.http.url: must be set; for example url = \"https://auth.example.com/mqtt\"",
        ),
        (
            "[auth.http]\nurl = 'http://localhost/'\nca_file = 'ca.pem'",
            "dunlin.toml:3: auth.http.ca_file: vouches for nobody: url is no https:// address",
        ),
        (
            "[auth.http]\nurl = 'http://me:secret@localhost/'",
            "dunlin.toml:2: auth.http.url: must have no user and no password before its host, because it is shown in logs",
        ),
        (
            "[[listener]]\nurl = 'mqtt://[::1]'\n[listener.auth.http]\nurl = 'http://localhost/'\nwhen_down = 'allow'",
            "dunlin.toml:5: listener.auth.http.when_down = \"allow\": must be \"deny\" or \"ignore\" (default \"deny\")",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(complaint(text), expected);
    }
}

#[test]
fn the_defaults_of_the_reference_are_the_defaults_of_the_program() {
    let mut text = String::new();
    for section in sections() {
        let heading =
            if section.name == "listener" { "[[listener]]" } else { &format!("[{}]", section.name) };
        text += &format!("{heading}\n");
        for option in section.options {
            let example = option.example.filter(|_| option.required);
            if let Some(default) = option.default.or(example) {
                text += &format!("{} = {default}\n", option.name);
            }
        }
    }
    let expected = Config { listener: vec![ListenerOptions::default()], ..Config::default() };
    assert_eq!(values(load(&text)), expected);
}

#[test]
fn every_option_is_explained() {
    let nested = |section: &SectionDoc| section.tables.clone();
    for section in sections().into_iter().flat_map(|section| [nested(&section), vec![section]].concat()) {
        assert!(section.doc.ends_with('.'), "[{}]", section.name);
        for option in &section.options {
            let name = format!("{}.{}", section.name, option.name);
            assert!(option.doc.ends_with('.'), "{name}: {}", option.doc);
            assert!(option.default.is_some() || option.example.is_some(), "{name}");
            assert!(!option.doc.contains('|'), "{name} would break its table");
        }
    }
}

#[test]
fn the_sample_says_nothing_until_a_line_is_uncommented() {
    assert_eq!(values(load(&reference::sample_toml())), Config::default());
}

#[test]
fn every_line_of_the_sample_can_be_uncommented() {
    let uncommented: Vec<String> = reference::sample_toml()
        .lines()
        // A plain listener must have no certificates of its own; an `auth` table, or a list of certificates, is no
        // option by itself.
        .filter(|line| {
            !line.starts_with("#tls = ")
                && !line.starts_with("#auth = ")
                && !line.starts_with("#certificate = ")
        })
        .map(|line| match line.strip_prefix('#') {
            Some(option) if option.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()) => {
                option.to_owned()
            }
            _ => line.to_owned(),
        })
        .collect();
    let config = load(&uncommented.join("\n"));
    let options: usize = sections()
        .iter()
        .map(|section| match section.name {
            "listener" => section.options.len(),
            _ => {
                section.options.len() + section.tables.iter().map(|table| table.options.len()).sum::<usize>()
            }
        })
        .sum();
    let written = uncommented.iter().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
    assert_eq!(written, options);
    assert_eq!(config.listeners().len(), 1);
    assert_eq!(config.ban, Config::default().ban);
    let auth = config.auth;
    assert_eq!(auth.jwt.map(|jwt| jwt.audience), Some(vec!["mqtt".to_owned()]));
    assert_eq!(auth.http.map(|http| http.url.to_string()), Some("https://auth.example.com/mqtt".to_owned()));
}

#[test]
fn the_files_in_config_are_valid() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(in_project("config")).unwrap() {
        let path = entry.unwrap().path();
        Sources { file: Some(path.clone()), ..Sources::default() }
            .load()
            .unwrap_or_else(|errors| panic!("{errors}"));
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["dunlin.toml", "hardened.toml", "home.toml", "tls.toml"]);
}

#[test]
fn the_hardened_file_admits_nobody_without_a_user_and_a_certificate() {
    let config =
        Sources { file: Some(in_project("config/hardened.toml")), ..Sources::default() }.load().unwrap();
    for listener in config.listeners() {
        assert!(!listener.allow_anonymous);
        assert!(listener.tls.is_some_and(|tls| tls.require_client_cert));
    }
}

#[test]
fn the_generated_files_are_up_to_date() {
    let files = [
        ("config/dunlin.toml", reference::sample_toml()),
        ("docs/configuration.md", reference::markdown()),
        ("docs/metrics.md", dunlin::metrics::markdown()),
        ("docs/openapi.json", dunlin::http::api::document()),
    ];
    for (name, text) in files {
        if std::env::var_os("DUNLIN_BLESS").is_some() {
            std::fs::write(in_project(name), &text).unwrap();
        }
        let found = std::fs::read_to_string(in_project(name)).unwrap_or_default();
        assert!(found == text, "{name} is stale: run cargo xtask docs");
    }
}
