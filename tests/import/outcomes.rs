//! What comes of single lines and of some together, where it matters most: who may connect, what they may do, what is
//! kept, and what a person is told.

use std::path::Path;
use std::time::Duration;

use dunlin::auth::CertificateName;

use super::{Conf, listeners};

fn urls(text: &str) -> Vec<String> {
    listeners(text).iter().map(|listener| listener.url.to_string()).collect()
}

#[test]
fn without_a_listener_only_this_machine_can_connect_and_needs_no_user() {
    let found = listeners("persistence true\n");
    assert!(found.iter().all(|listener| listener.url.is_loopback() && listener.allow_anonymous));
    assert_eq!(urls("user root\n"), ["mqtt://127.0.0.1:1883", "mqtt://[::1]:1883"]);
    assert!(listeners("allow_anonymous false\n").iter().all(|listener| !listener.allow_anonymous));
}

#[test]
fn with_a_listener_nobody_connects_without_a_user_unless_a_line_says_so() {
    for (text, admitted) in [
        ("listener 1883\n", false),
        ("listener 1883 127.0.0.1\n", false),
        ("port 1883\n", false),
        ("listener 1883\nallow_anonymous true\n", true),
        ("allow_anonymous true\nlistener 1883\n", true),
        ("listener 1883\nlistener_allow_anonymous true\n", true),
        ("allow_anonymous true\nlistener 1883\nlistener_allow_anonymous false\n", false),
        ("per_listener_settings true\nallow_anonymous true\nlistener 1883\n", false),
        ("per_listener_settings true\nlistener 1883\nallow_anonymous true\n", true),
        // mosquitto 2.0 opens port 1883 to everybody here, which nobody can have meant.
        ("max_connections 5\n", false),
    ] {
        let found = listeners(text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(found[0].allow_anonymous, admitted, "{text}");
    }
}

#[test]
fn a_listener_is_at_the_addresses_that_mosquitto_would_take() {
    for (text, expected) in [
        ("listener 1884\n", vec!["mqtt://[::]:1884"]),
        ("listener 1884 192.168.1.4\n", vec!["mqtt://192.168.1.4:1884"]),
        ("listener 1884 fd00::1\n", vec!["mqtt://[fd00::1]:1884"]),
        ("listener 1884 broker.example.org # here\n", vec!["mqtt://broker.example.org:1884"]),
        ("listener 1884 localhost\n", vec!["mqtt://127.0.0.1:1884", "mqtt://[::1]:1884"]),
        ("listener 1884 localhost\nsocket_domain ipv6\n", vec!["mqtt://[::1]:1884"]),
        ("listener 1884\nsocket_domain ipv4\n", vec!["mqtt://0.0.0.0:1884"]),
        ("listener 0 /run/a b.sock\n", vec!["unix:///run/a"]),
        ("listener 9001\nprotocol websockets\n", vec!["ws://[::]:9001/mqtt"]),
        ("listener 8883\ncertfile /a\nkeyfile /b\n", vec!["mqtts://[::]:8883"]),
        ("listener 9443\nprotocol websockets\ncertfile /a\nkeyfile /b\n", vec!["wss://[::]:9443/mqtt"]),
        ("bind_address 10.0.0.1\n", vec!["mqtt://10.0.0.1:1883"]),
        ("listener 1884\nport 1885\nbind_address ::1\n", vec!["mqtt://[::1]:1885", "mqtt://[::]:1884"]),
    ] {
        assert_eq!(urls(text), expected, "{text}");
    }
    let ipv6 = listeners("listener 1884\nsocket_domain ipv6\n");
    assert_eq!(ipv6[0].deny.len(), 1, "[::] is IPv4 too, which mosquitto leaves out here");
}

#[test]
fn what_has_no_equivalent_and_protects_keeps_its_listener_closed() {
    for line in [
        "mount_point floor/",
        "bind_interface eth0",
        "psk_hint plant",
        "websockets_origin https://example.org",
        "proxy_protocol_v2_require_tls true",
        "tls_engine tpm2",
        "use_identity_as_username true",
        "require_certificate true",
        "certfile a\nkeyfile b\nrequire_certificate true",
        "certfile a\nkeyfile b\nuse_subject_as_username true",
        "clientid_prefixes secure-",
        "plugin /usr/lib/mosquitto_dynamic_security.so",
        "plugin_load a b.so\nplugin_use a",
        "plugin mosquitto_password_file.so",
        "acl_file a\nplugin mosquitto_acl_file.so\nplugin_opt_acl_file b",
    ] {
        let conf = Conf::new(&format!("allow_anonymous true\npassword_file users\nlistener 1883\n{line}\n"));
        let config = conf.config();
        assert_eq!(config.listener.len(), 0, "{line}");
        let found = config.listeners();
        assert!(
            !found[0].allow_anonymous && found[0].auth.password_file.is_none(),
            "{line}: somebody may connect"
        );
        assert!(
            conf.import().unwrap().toml.contains("# url = \"mqtt"),
            "{line}: it should be there as a comment"
        );
        assert!(conf.remarks().contains("The listener is in the output as a comment"), "{line}");
    }
}

#[test]
fn a_listener_that_stays_closed_leaves_the_others_as_they_were() {
    let found = listeners("listener 1883\nmount_point a/\nlistener 1884\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].url.to_string(), "mqtt://[::]:1884");
    assert_eq!(
        listeners("clientid_prefixes a\nlistener 1883\nlistener 1884\n")[0].url.to_string(),
        "mqtt://127.0.0.1:1883"
    );
}

#[test]
fn users_and_rules_are_those_of_the_listener_where_the_file_says_so() {
    let text = "listener 1883\npassword_file /a\nacl_file /b\nlistener 1884\npassword_file /c\n";
    let for_all = listeners(text);
    assert!(for_all.iter().all(|listener| listener.auth.password_file.as_deref() == Some(Path::new("/c"))));
    let each = listeners(&format!("per_listener_settings true\n{text}"));
    let files =
        |index: usize| (each[index].auth.password_file.as_deref(), each[index].auth.acl_file.as_deref());
    assert_eq!(files(0), (Some(Path::new("/a")), Some(Path::new("/b"))));
    assert_eq!(files(1), (Some(Path::new("/c")), None));
}

#[test]
fn the_plugins_for_files_become_the_files() {
    let text = "plugin_load u mosquitto_password_file.so\nplugin_opt_password_file /u\nglobal_plugin mosquitto_acl_file.so\n\
        plugin_opt_acl_file /r\nlistener 1883\nplugin_use u\nlistener 1884\n";
    let found = listeners(text);
    assert_eq!(found[0].auth.password_file.as_deref(), Some(Path::new("/u")));
    assert_eq!(found[1].auth.password_file.as_deref(), None);
    assert!(found.iter().all(|listener| listener.auth.acl_file.as_deref() == Some(Path::new("/r"))));
}

#[test]
fn certificates_name_users_where_they_did() {
    let tls = "listener 8883\ncertfile /c\nkeyfile /k\ncafile /ca\ncrlfile /crl\nrequire_certificate true\n";
    for (line, name) in [
        ("use_identity_as_username true\nuse_subject_as_username true", CertificateName::CommonName),
        ("use_subject_as_username true", CertificateName::Subject),
    ] {
        let found =
            &listeners(&format!("{tls}{line}\npassword_file /p\nallow_anonymous true\nacl_file /a\n"))[0];
        assert_eq!(found.auth.certificate_user, Some(name));
        assert_eq!(found.auth.password_file, None, "mosquitto does not ask it here");
        assert_eq!(found.auth.acl_file.as_deref(), Some(Path::new("/a")));
        assert!(!found.allow_anonymous);
        let tls = found.tls.as_ref().unwrap();
        assert!(tls.require_client_cert);
        assert_eq!(tls.client_crl.as_deref(), Some(Path::new("/crl")));
    }
}

#[test]
fn nobody_is_asked_for_a_certificate_who_was_not() {
    let conf = Conf::new("listener 8883\ncertfile /c\nkeyfile /k\ncafile /ca\ncrlfile /crl\n");
    let tls = conf.config().listeners()[0].tls.clone().unwrap();
    assert_eq!((tls.client_ca, tls.client_crl), (None, None));
    assert!(conf.remarks().contains("mosquitto.conf:4: cafile: not used"), "{}", conf.remarks());
}

#[test]
fn nothing_is_kept_unless_mosquitto_kept_it() {
    let path = |text: &str| Conf::new(text).config().store.path;
    assert_eq!(path("listener 1883\n"), None);
    assert_eq!(path("persistence false\npersistence_location /srv\n"), None);
    assert_eq!(
        path("persistence true\npersistence_location /srv\n").as_deref(),
        Some(Path::new("/srv/dunlin-data"))
    );
    assert_eq!(
        path("persistence true\npersistence_location /var/lib/mosquitto/\n").as_deref(),
        Some(Path::new("/var/lib/dunlin"))
    );
    assert!(path("plugin /usr/lib/mosquitto_persist_sqlite.so\n").is_some());
    assert_eq!(path("persistence true\n").as_deref(), Some(Path::new("dunlin-data")));
}

#[test]
fn limits_are_those_of_mosquitto_or_stricter() {
    let config = |text: &str| Conf::new(text).config();
    let unset = config("listener 1883\n");
    assert_eq!((unset.session.max_inflight, unset.session.max_queued_messages), (20, 1000));
    let set = config(
        "max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 100\nmax_keepalive 600\nmessage_size_limit 5000\n\
         max_packet_size 6000\nmemory_limit 1048576\nglobal_max_connections 7\nglobal_max_clients 9\nretain_available false\n\
         persistent_client_expiration 2h\n",
    );
    assert_eq!((set.session.max_inflight, set.session.max_queued_messages), (65_535, 1_000_000_000));
    assert_eq!(set.session.max_queued_bytes.0, 1024);
    assert_eq!(set.session.max_keep_alive.map(|seconds| seconds.0), Some(600));
    assert_eq!(set.limits.max_packet_size.0, 5000, "the smaller of the two");
    assert_eq!(set.limits.max_memory.0, 1_048_576);
    assert_eq!((set.limits.max_connections, set.limits.max_sessions), (7, 9));
    assert_eq!(set.limits.max_retained_messages, 0);
    let expiry = format!("{:?}", set.session.max_expiry);
    assert!(expiry.contains(&Duration::from_secs(7200).as_secs().to_string()), "{expiry}");
    assert_eq!(config("listener 1\nmax_topic_alias 20\n").session.topic_alias_maximum, 20);
    assert_eq!(config("listener 1\nmax_topic_alias 20\nlistener 2\n").session.topic_alias_maximum, 10);
    assert_eq!(
        config("listener 1\nmax_topic_alias 20\nlistener 2\nmax_topic_alias 5\n").session.topic_alias_maximum,
        5
    );
}

#[test]
fn the_log_has_what_it_had() {
    let level = |text: &str| Conf::new(text).config().log.level.as_str().to_owned();
    for (text, expected) in [
        ("listener 1883\n", "info"),
        ("log_type error\nlog_type warning\n", "warn"),
        ("log_type all\n", "debug"),
        ("log_type error\nlog_type none\n", "off"),
        ("log_type debug\nlog_dest none\n", "off"),
        ("log_dest none\nlog_dest stderr\n", "info"),
        ("connection_messages false\n", "info,dunlin::worker::link=warn"),
        ("connection_messages false\nlog_type error\n", "error"),
    ] {
        assert_eq!(level(text), expected, "{text}");
    }
}

#[test]
fn included_files_come_in_order_and_begin_with_no_listener() {
    let directory = tempfile::tempdir().unwrap();
    let included = directory.path();
    std::fs::write(included.join("b.conf"), "max_inflight_messages 2\n").unwrap();
    std::fs::write(included.join("A.conf"), "max_inflight_messages 1\nlistener 1884\n").unwrap();
    std::fs::write(included.join("c.txt"), "nonsense\n").unwrap();
    let text = format!("listener 1883\ninclude_dir {}\nmax_connections 5\n", included.display());
    let config = Conf::new(&text).config();
    assert_eq!(config.session.max_inflight, 2);
    let connections: Vec<_> = config.listener.iter().map(|listener| listener.max_connections).collect();
    assert_eq!(connections, [Some(5), None], "the line after it is about the listener before it");
    std::fs::write(included.join("d.conf"), format!("include_dir {}\n", included.display())).unwrap();
    assert!(Conf::new(&text).errors().contains("d.conf:1: include_dir: may stand in the main file only"));
}

#[test]
fn what_mosquitto_would_not_accept_is_told_all_at_once_by_file_and_line() {
    let conf = Conf::new(
        "listener 0\nmax_qos 3\nallow_anonymous yes\nport\t1883\n # a comment\nnonsense x\ncertfile\nlog_type some\n\
         topic a\nlistener 70000\nlistener 1883 a/b\n",
    );
    let errors = conf.errors();
    for (line, text) in [
        (1, "listener: port 0 must be followed by the path of a Unix socket"),
        (2, "max_qos: must be a whole number, 0 to 2, not \"3\""),
        (3, "allow_anonymous: must be true or false, not \"yes\""),
        (4, "port: the name of an option must end at a space, not at a tab"),
        (5, "#: a comment must begin in the first column"),
        (6, "nonsense: is no option of mosquitto 2.0 or 2.1"),
        (7, "certfile: must have a value"),
        (8, "log_type: must be one of none, error"),
        (9, "topic: belongs to a bridge"),
        (10, "listener: must be a whole number, 0 to 65535"),
    ] {
        assert!(errors.contains(&format!("mosquitto.conf:{line}: {text}")), "{line}: {errors}");
    }
    for (text, expected) in [
        ("listener 1883 a/b\n", "mosquitto.conf:1: listener: mqtt://a/b:1883 must"),
        ("listener 1883\ncertfile a\n", "mosquitto.conf:2: certfile: needs a keyfile beside it"),
        (
            "listener 1883\nlistener 1883\n",
            "mosquitto.conf:2: listener: mqtt://[::]:1883 is where the listener of mosquitto.conf:1 is already",
        ),
        (
            "listener 1883\nplugin_use a\n",
            "mosquitto.conf:2: plugin_use: no plugin_load line before it names \"a\"",
        ),
        ("include_dir /nowhere\n", "mosquitto.conf:1: include_dir: /nowhere cannot be read"),
    ] {
        let errors = Conf::new(text).errors();
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}

#[test]
fn no_secret_is_repeated() {
    const SECRET: &str = "zwiebelkuchen";
    let text = format!(
        "plugin a.so\nplugin_opt_db_password {SECRET}\nauth_opt_key {SECRET}\nlistener 1883\n\
         tls_engine_kpass_sha1 {SECRET}\nconnection a\naddress b\nremote_password {SECRET}\nbridge_psk {SECRET}\nusername {SECRET}\n"
    );
    let conf = Conf::new(&text);
    let translation = conf.import().unwrap();
    assert!(!format!("{translation:?}").contains(SECRET), "{translation:?}");
    let wrong =
        Conf::new(&format!("remote_password {SECRET}\nremote_password\t{SECRET}\nplugin_opt_a {SECRET}\n"));
    assert!(!wrong.errors().contains(SECRET), "{}", wrong.errors());
    let users = Conf::new("password_file users\n")
        .with("users", &format!("anna:{SECRET}\n{SECRET}\nanna:$7${SECRET}\n"));
    assert!(!users.remarks().contains(SECRET), "{}", users.remarks());
}

#[test]
fn lines_of_users_and_rules_that_dunlin_would_not_load_are_told() {
    let conf = Conf::new("listener 1883\npassword_file users\nacl_file rules\n")
        .with("users", "# users\nanna:secret\n\njust-a-name\n")
        .with("rules", "topic read a/#\nuser anna\ntopic read\nnonsense\npattern read a/%u\n");
    let remarks = conf.remarks();
    for place in ["users:2: ", "users:4: ", "rules:3: ", "rules:4: "] {
        assert_eq!(remarks.matches(place).count(), 1, "{place} {remarks}");
    }
    assert_eq!(remarks.lines().count(), 4, "{remarks}");
    let missing = Conf::new("password_file users\n").remarks();
    assert!(
        missing.contains("mosquitto.conf:1: password_file: ") && missing.contains("cannot be read"),
        "{missing}"
    );
}

#[test]
fn claimed_names_get_no_rights_of_users() {
    let text = "listener 1883\nallow_anonymous true\nacl_file rules\n";
    let remarks = |text: &str| Conf::new(text).with("rules", "topic #\n").remarks();
    assert!(
        remarks(text).contains("mosquitto.conf:3: acl_file: without a password_file"),
        "{}",
        remarks(text)
    );
    assert!(!remarks("listener 1883\nacl_file rules\n").contains("without a password_file"));
}

#[test]
fn relative_paths_start_where_mosquitto_was_started_or_else_beside_the_file() {
    let conf = Conf::new("password_file users\nacl_file Cargo.toml\ncertfile nowhere\nkeyfile nowhere\n")
        .with("users", "");
    let translation = conf.import().unwrap();
    for path in
        [conf.path().join("users"), super::project().join("Cargo.toml"), super::project().join("nowhere")]
    {
        assert!(translation.toml.contains(&format!("\"{}\"", path.display())), "{}", translation.toml);
    }
}
