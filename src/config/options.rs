//! Every option of the broker, declared once.
//!
//! The order here is the order of the sample file and of the reference. A documentation comment is what users
//! read, so it says what the option decides and what happens at its limit, not how the code is built. `range`
//! is in the option's measure: a count, bytes (`KB`, `MB`, ...) or milliseconds (`SECOND`, `MINUTE`, ...).
//! `reloads true` marks what SIGHUP applies to a running broker; everything else is read at start.
//!
//! To add an option: declare it here, use it, run `cargo xtask docs`.

use std::path::PathBuf;
use std::time::Duration;

use dunlin_core::settings::{OverflowPolicy, SessionExpiryInterval};

use super::declare::options;
use super::host_port::HostPort;
use super::listener_url::ListenerUrl;
use super::network::Network;
use super::units::{ByteSize, DAY, GB, KB, MB, MINUTE, SECOND, Seconds, TB};
use super::value::{
    DeniedPublish, LogFilter, LogFormat, Scope, SignatureAlgorithm, SyncMode, TlsVersion, WhenDown,
};
use super::web_url::WebUrl;
use crate::auth::{CertificateName, ClientIdentifierPattern};

options! {
    /// The process: its threads and its end.
    ["server"] ServerOptions {
        /// Whether the configuration file, and the files it names for users and rules, are looked at every two seconds,
        /// and everything is reloaded when one of them has changed, as SIGHUP would. Certificates are watched in any
        /// case (`tls.watch`).
        watch: bool = false, reloads true;
        /// Worker threads. 0 means one for each core this process may use.
        workers: u16 = 0, range 0..=64;
        /// How long an orderly stop may take before the remaining connections are cut.
        shutdown_deadline: Duration = Duration::from_secs(5), range 0..=5 * MINUTE, reloads true;
        /// Whether the broker may leave core dumps, and other processes of its user may look into its memory: for
        /// debugging, and for `perf`. What is there (keys, hashes of passwords, messages) is then theirs.
        core_dumps: bool = false;
    }

    /// A place where clients connect. Repeat `[[listener]]` for several; with none, the broker listens on
    /// `mqtt://127.0.0.1:1883` only. `--listen` and `DUNLIN__LISTENER` (URLs separated by commas) replace the
    /// whole list; `DUNLIN__LISTENER__0__ALLOW_ANONYMOUS=true` sets another option of the first of them.
    ["listener"] ListenerOptions {
        /// `mqtt://host:port`, `mqtts://host:port`, `ws://host:port/mqtt`, `wss://host:port/mqtt` or
        /// `unix:///path`. Default ports are 1883, 8883, 8083 and 8084; port 0 lets the system choose;
        /// `0.0.0.0` and `[::]` mean every address.
        url: ListenerUrl = ListenerUrl::local_default(), reloads true;
        /// Whether clients without a user name may connect here. Unset, `auth.allow_anonymous` decides.
        allow_anonymous: Option<bool> = None, example "false", reloads true;
        /// Connections of this listener at once; further ones are closed. Unset, only
        /// `limits.max_connections` counts.
        max_connections: Option<u32> = None, range 1..=10_000_000, unit "connections", example "1000", reloads true;
        /// Messages a second that all clients of this listener together may publish, after as many at once; when they
        /// are faster, each is read more slowly, in turn. Unset, there is no such limit.
        publish_rate: Option<u32> = None, range 1..=10_000_000, unit "messages a second", example "1000", reloads true;
        /// Bytes a second that all clients of this listener together may publish, in the same way.
        publish_bytes_rate: Option<ByteSize> = None, range KB..=TB, example "\"1MB\"", reloads true;
        /// The networks whose clients may connect here; others are closed at once. Empty means all. `deny` wins.
        allow: Vec<Network> = Vec::new(), example "[\"10.0.0.0/8\", \"fd00::/8\"]", reloads true;
        /// Networks whose clients may not connect here.
        deny: Vec<Network> = Vec::new(), example "[\"10.6.0.0/16\"]", reloads true;
        /// The proxies before this listener. Every connection must then come from one of these networks and begin with
        /// the PROXY protocol, version 1 or 2; the address that it gives is the client's from there on. Empty means
        /// that there is no proxy.
        proxy_protocol: Vec<Network> = Vec::new(), example "[\"10.0.0.5\"]", reloads true;
        /// The largest packet a client of this listener may send. Unset, `limits.max_packet_size` applies.
        max_packet_size: Option<ByteSize> = None, range 128..=255 * MB, example "\"64KB\"", reloads true;
        [tables] {
            /// Certificates of this listener alone; when present, it replaces the section `[tls]` as a whole.
            tls: TlsOptions;
            /// Who may connect to this listener, and what its clients may do; when present, it replaces the
            /// section `[auth]` as a whole.
            auth: AuthOptions;
        }
    }

    /// Certificates of the listeners `mqtts://` and `wss://` that bring no `tls` table of their own. Paths are
    /// relative to the working directory.
    ["tls"] TlsOptions {
        /// The server's certificate and its intermediates, as PEM, its own first.
        cert: Option<PathBuf> = None, example "\"certs/server.pem\"", reloads true;
        /// The private key of the certificate, as unencrypted PEM.
        key: Option<PathBuf> = None, example "\"certs/server-key.pem\"", reloads true;
        /// Certificates of the authorities that sign client certificates, as PEM. Unset, clients are not
        /// asked for one.
        client_ca: Option<PathBuf> = None, example "\"certs/ca.pem\"", reloads true;
        /// Lists of the certificates that these authorities have revoked (CRLs), as PEM. A client is refused if its
        /// certificate, or one between it and the authority, is on a list, if its issuer has no list here, or if
        /// the list is older than it says it may be. Unset, nothing counts as revoked.
        client_crl: Option<PathBuf> = None, example "\"certs/revoked.pem\"", reloads true;
        /// Refuse clients that show no certificate signed by `client_ca`.
        require_client_cert: bool = false, reloads true;
        /// The oldest version of TLS that is spoken.
        min_version: TlsVersion = TlsVersion::Tls12, reloads true;
        /// TLS sessions remembered for each listener, so that clients that keep no tickets reconnect cheaply.
        session_cache: u32 = 20_000, range 1..=1_000_000, unit "sessions", reloads true;
        /// Whether these files are looked at every two seconds and read again when they have changed, as SIGHUP
        /// would.
        watch: bool = true, reloads true;
        [lists] {
            /// Further certificates. A client that names a server (SNI) gets the certificate with that DNS name, or
            /// with a `*` for its first part; one that names none, or one that is in no certificate, gets `cert`.
            certificate: TlsCertificateOptions;
        }
    }

    /// One certificate among several.
    ["certificate"] TlsCertificateOptions {
        /// The certificate and its intermediates, as PEM, its own first.
        cert: Option<PathBuf> = None, example "\"certs/other.pem\"", reloads true;
        /// Its private key, as unencrypted PEM.
        key: Option<PathBuf> = None, example "\"certs/other-key.pem\"", reloads true;
    }

    /// Who may connect, and what they may do.
    ["auth"] AuthOptions {
        /// Whether clients without a user name may connect. Unset, they may on listeners that only this
        /// machine reaches (loopback addresses and Unix sockets) and nowhere else.
        allow_anonymous: Option<bool> = None, example "false", reloads true;
        /// Users and their password hashes, as `dunlin passwd` and `mosquitto_passwd` write them; with a verifier for
        /// SCRAM-SHA-256 in it, that method is offered too. Unset, nobody can connect with a password.
        password_file: Option<PathBuf> = None, example "\"passwords\"", reloads true;
        /// Who may publish and subscribe where: a file in mosquitto's ACL format or, if its name ends in `.toml`, in
        /// TOML with roles. Unset, every client may use every topic.
        acl_file: Option<PathBuf> = None, example "\"acl\"", reloads true;
        /// What happens when a 3.1 or 3.1.1 client publishes to a topic that it may not publish to: its message is
        /// acknowledged and dropped, or its connection is closed. A 5.0 client is told (0x87).
        denied_publish: DeniedPublish = DeniedPublish::Drop, reloads true;
        /// The client identifiers that a user may take, so that nobody takes over the Session of another: `%u` for
        /// the user name itself, `%u-*` for all that begin with it and a hyphen. With a pattern, clients without a
        /// user name only get the identifier that the broker gives to who sends none. Unset, all may take any.
        client_identifier: Option<ClientIdentifierPattern> = None, example "\"%u-*\"", reloads true;
        /// What of a client's certificate is its user name: the Common Name of its subject, the first URI, DNS name or
        /// e-mail address among its subject alternative names, or the whole subject (`CN=a,O=b`, as RFC 4514 writes
        /// it). Such a client needs no password, and the User Name and Password it sends count for nothing; one whose
        /// certificate has no such name is refused. Unset, a certificate names no user.
        certificate_user: Option<CertificateName> = None, example "\"common-name\"", reloads true;
        [tables] {
            /// Tokens (JWT) as passwords, and for the Authentication Method `JWT` of MQTT 5.0, with which a client can
            /// renew them. A token needs a key: set `key_file`, `jwks_url` or `secret_file`. A password that does not
            /// look like a token is left to the others.
            jwt: JwtOptions;
            /// A service that is asked, over HTTP, about clients that nothing else here knows, and may say what they
            /// are allowed to do. docs/security.md has the questions and answers.
            http: HttpAuthOptions;
        }
    }

    /// Tokens as passwords.
    ["auth.jwt"] JwtOptions {
        /// Public keys: PEM (RSA, P-256, P-384 or Ed25519; several may follow each other) or a key set in JSON
        /// (JWKS). For the algorithms RS, PS, ES and EdDSA.
        key_file: Option<PathBuf> = None, example "\"token-key.pem\"", reloads true;
        /// The address of a key set (JWKS), `https://` or `http://`. Keys once fetched are used as long as it does not
        /// answer; a token with an unknown `kid` has them fetched again, once a minute at most.
        jwks_url: Option<WebUrl> = None, example "\"https://login.example.com/.well-known/jwks.json\"", reloads true;
        /// How often the keys of `jwks_url` are fetched.
        jwks_refresh: Duration = Duration::from_secs(600), range 10 * SECOND..=7 * DAY, reloads true;
        /// Certificates of the authorities that vouch for an `https://` address in `jwks_url`, as PEM. Unset, those that
        /// the system trusts.
        ca_file: Option<PathBuf> = None, example "\"certs/ca.pem\"", reloads true;
        /// A secret of 32 bytes at least, shared with whoever signs the tokens, for the algorithms HS. White space at
        /// its end does not count.
        secret_file: Option<PathBuf> = None, example "\"token-secret\"", reloads true;
        /// The algorithms that a token may be signed with. Unset, all that fit the keys.
        algorithms: Vec<SignatureAlgorithm> = Vec::new(), example "[\"RS256\", \"ES256\"]", reloads true;
        /// Who must have issued the token (`iss`). Unset, it does not matter.
        issuer: Option<String> = None, example "\"https://login.example.com/\"", reloads true;
        /// Whom the token must be meant for (`aud`): one of these. Unset, a token that names an audience is refused.
        audience: Vec<String> = Vec::new(), example "[\"mqtt\"]", reloads true;
        /// How far the clocks of whoever issues tokens and of this machine may be apart, when `exp` and `nbf` are judged.
        leeway: Duration = Duration::from_secs(10), range 0..=10 * MINUTE, reloads true;
        /// Whether a token without an end (`exp`) is refused. The connection of a client ends `leeway` after its token.
        require_expiry: bool = true, reloads true;
        /// The claim that is the user name.
        user_claim: String = "sub".to_owned(), reloads true;
        /// Whether a token is refused (Not authorized) when CONNECT has another user name than the token. Otherwise
        /// the user name in CONNECT may be anything, and does not count.
        match_user_name: bool = false, reloads true;
        /// The claim with the rights of the client, a role as in an ACL file in TOML; they stand in the place of
        /// `acl_file`, and a token without them is refused. Unset, `acl_file` decides.
        permissions_claim: Option<String> = None, example "\"mqtt\"", reloads true;
    }

    /// A service that is asked about clients.
    ["auth.http"] HttpAuthOptions {
        /// Its address. Without TLS, everybody on the way can read the passwords.
        url: WebUrl = WebUrl::example(), reloads true;
        /// A file with a token that is sent along (`Authorization: Bearer`), so that the service knows who asks.
        bearer_token_file: Option<PathBuf> = None, example "\"service-token\"", reloads true;
        /// Certificates of the authorities that vouch for an `https://` address, as PEM. Unset, those that the system
        /// trusts.
        ca_file: Option<PathBuf> = None, example "\"certs/ca.pem\"", reloads true;
        /// How long an answer may take, waiting for other questions included.
        timeout: Duration = Duration::from_secs(2), range 50..=30 * SECOND, reloads true;
        /// Questions at once.
        max_concurrent: u16 = 16, range 1..=32, unit "questions", reloads true;
        /// How long an answer holds for the same client with the same credentials. 0 asks every time.
        cache_ttl: Duration = Duration::from_secs(10), range 0..=DAY, reloads true;
        /// Answers remembered; beyond it, the oldest are forgotten.
        cache_size: u32 = 10_000, range 1..=1_000_000, unit "answers", reloads true;
        /// When the service does not answer, or with something that is no answer: `deny` refuses the client (Server
        /// unavailable), `ignore` goes on as if it had not been asked.
        when_down: WhenDown = WhenDown::Deny, reloads true;
    }

    /// What one Session may hold, and what the Server grants its client.
    ["session"] SessionOptions {
        /// Messages that may wait in one Session, or in one group of a Shared Subscription. When it is full,
        /// `overflow` decides.
        max_queued_messages: u32 = 100_000, range 1..=1_000_000_000, unit "messages", reloads true;
        /// Bytes of the messages that may wait there. When they are reached, `overflow` decides.
        max_queued_bytes: ByteSize = ByteSize(64 * MB), range KB..=16 * TB, reloads true;
        /// What a full queue does with one more message: drop the oldest waiting one, drop the new one, or
        /// disconnect the client (Quota exceeded; while it is absent, the new one is dropped).
        overflow: OverflowPolicy = OverflowPolicy::DropOldest, reloads true;
        /// QoS 1 and 2 messages sent to one client and not yet acknowledged; the client's Receive Maximum
        /// lowers it.
        max_inflight: u16 = 1000, range 1..=65535, unit "messages", reloads true;
        /// QoS 1 and 2 messages one client may send before the first is acknowledged (the Server's Receive
        /// Maximum).
        receive_maximum: u16 = 1000, range 1..=65535, unit "messages";
        /// The longest time a Session outlives its connection; longer Session Expiry Intervals are shortened
        /// to it.
        max_expiry: SessionExpiryInterval = SessionExpiryInterval::Never, range 0..=36_500 * DAY, reloads true;
        /// Subscriptions of one Session; further ones are refused.
        max_subscriptions: u32 = 10_000, range 1..=10_000_000, unit "subscriptions", reloads true;
        /// Bytes of the Topic Filters of one Session; a subscription beyond it is refused.
        max_subscription_bytes: ByteSize = ByteSize(MB), range KB..=GB, reloads true;
        /// The longest Keep Alive; a 5.0 client that wants a longer one, or none, is told this one (Server
        /// Keep Alive). Unset, the client's is accepted.
        max_keep_alive: Option<Seconds> = None, range SECOND..=65_535 * SECOND, example "\"10m\"", reloads true;
        /// Topic Aliases that a client may set on its connection. 0 allows none.
        topic_alias_maximum: u16 = 32, range 0..=65535, unit "aliases";
        /// Topic Aliases the Server sets towards a client that allows them; the client's Topic Alias Maximum
        /// lowers it.
        server_topic_aliases: u16 = 32, range 0..=65535, unit "aliases", reloads true;
        /// Response Information for clients that request it: a topic under which they may await responses,
        /// where `%c` stands for the client identifier. Unset, they get none.
        response_information: Option<String> = None, example "\"responses/%c\"", reloads true;
    }

    /// Bounds on everything else, so that a hostile or slow client costs only itself.
    ["limits"] LimitOptions {
        /// The largest packet a client may send (the Server's Maximum Packet Size).
        max_packet_size: ByteSize = ByteSize(2 * MB), range 128..=255 * MB, reloads true;
        /// Connections at once; further ones are closed. The process's limit of open files may lower it, with
        /// a warning.
        max_connections: u32 = 100_000, range 1..=10_000_000, unit "connections", reloads true;
        /// Sessions in all, those of absent clients included. A client beyond it gets a Session that ends with its
        /// connection.
        max_sessions: u32 = 1_000_000, range 1..=1_000_000_000, unit "sessions", reloads true;
        /// Subscriptions in all, those of absent clients included; further ones are refused (Quota exceeded).
        max_subscriptions: u32 = 10_000_000, range 1..=1_000_000_000, unit "subscriptions", reloads true;
        /// Subscriptions of all clients of one user, absent ones included; further ones are refused (Quota exceeded).
        /// Clients without a user name are not counted. Unset, there is no such limit.
        max_subscriptions_per_user: Option<u32> = None, range 1..=1_000_000_000, unit "subscriptions", example "1000", reloads true;
        /// Connections at once that have not finished their CONNECT.
        max_pending_handshakes: u32 = 1000, range 1..=1_000_000, unit "connections", reloads true;
        /// The time from accepting a connection to its complete CONNECT, TLS and WebSocket handshakes
        /// included.
        connect_timeout: Duration = Duration::from_secs(10), range 100..=10 * MINUTE, reloads true;
        /// The largest CONNECT packet; nobody is authenticated yet when it is read.
        max_connect_packet_size: ByteSize = ByteSize(16 * KB), range 128..=2 * MB, reloads true;
        /// Connections at once from one address; further ones are closed. Of IPv6, this and every other count by
        /// address is by network of 64 bits, of which one customer has at least one. Unset, there is no such limit.
        max_connections_per_address: Option<u32> = None, range 1..=10_000_000, unit "connections", example "100", reloads true;
        /// Connections at once of one user; a further one is refused (Quota exceeded). Clients without a user name are
        /// not counted. Unset, there is no such limit.
        max_connections_per_user: Option<u32> = None, range 1..=10_000_000, unit "connections", example "10", reloads true;
        /// Connections at once from one address that have not finished their CONNECT; further ones are closed.
        /// Unset, only `max_pending_handshakes` counts.
        max_pending_handshakes_per_address: Option<u32> = None, range 1..=1_000_000, unit "connections", example "20", reloads true;
        /// New connections a second in all, after as many at once; further ones are closed. Unset, there is no such
        /// limit.
        connect_rate: Option<u32> = None, range 1..=1_000_000, unit "connections a second", example "1000", reloads true;
        /// New connections a second from one address, after as many at once; further ones are closed. Unset, there
        /// is no such limit.
        connect_rate_per_address: Option<u32> = None, range 1..=1_000_000, unit "connections a second", example "10", reloads true;
        /// New connections a second of one user, after as many at once; further ones are refused (Connection rate
        /// exceeded). Clients without a user name are not counted. Unset, there is no such limit.
        connect_rate_per_user: Option<u32> = None, range 1..=1_000_000, unit "connections a second", example "10", reloads true;
        /// New connections a second of one client identifier from one address, after as many at once; further ones are
        /// refused (Connection rate exceeded). Unset, there is no such limit.
        connect_rate_per_client: Option<u32> = None, range 1..=1_000_000, unit "connections a second", example "1", reloads true;
        /// Messages a second that one client may publish, after as many at once; a faster one is read more slowly.
        /// Unset, there is no such limit.
        publish_rate: Option<u32> = None, range 1..=10_000_000, unit "messages a second", example "100", reloads true;
        /// Bytes a second that one client may publish, packets as a whole, after as many at once; a faster one is read
        /// more slowly. Less than the size of its messages makes each wait for its turn. Unset, there is no such limit.
        publish_bytes_rate: Option<ByteSize> = None, range KB..=TB, example "\"256KB\"", reloads true;
        /// Messages a second that all clients of one user together may publish, after as many at once; when they are
        /// faster, each is read more slowly, in turn. Clients without a user name are not counted. Unset, there is no
        /// such limit.
        publish_rate_per_user: Option<u32> = None, range 1..=10_000_000, unit "messages a second", example "200", reloads true;
        /// Bytes a second that all clients of one user together may publish, in the same way.
        publish_bytes_rate_per_user: Option<ByteSize> = None, range KB..=TB, example "\"512KB\"", reloads true;
        /// Messages a second that all clients at one address together may publish, after as many at once; when they are
        /// faster, each is read more slowly, in turn. Unset, there is no such limit.
        publish_rate_per_address: Option<u32> = None, range 1..=10_000_000, unit "messages a second", example "1000", reloads true;
        /// Bytes a second that all clients at one address together may publish, in the same way.
        publish_bytes_rate_per_address: Option<ByteSize> = None, range KB..=TB, example "\"1MB\"", reloads true;
        /// Messages a second that all clients together may publish, after as many at once; when they are faster, each is
        /// read more slowly, in turn. Whoever floods then takes from the others, unless it has a limit of its own, too.
        /// Unset, there is no such limit.
        publish_rate_in_all: Option<u32> = None, range 1..=10_000_000, unit "messages a second", example "20_000", reloads true;
        /// Bytes a second that all clients together may publish, in the same way.
        publish_bytes_rate_in_all: Option<ByteSize> = None, range KB..=TB, example "\"50MB\"", reloads true;
        /// The longest Topic Name and Topic Filter.
        max_topic_length: u16 = 65535, range 1..=65535, unit "bytes", reloads true;
        /// Levels of a Topic Name and of a Topic Filter.
        max_topic_levels: u16 = 200, range 1..=65535, unit "levels", reloads true;
        /// Retained Messages in all; a message for one more topic is refused.
        max_retained_messages: u32 = 1_000_000, range 0..=1_000_000_000, unit "messages", reloads true;
        /// Bytes of Retained Messages in all; a message beyond it is refused.
        max_retained_bytes: ByteSize = ByteSize(GB), range 0..=16 * TB, reloads true;
        /// Memory for messages, Sessions, subscriptions and queues in all; beyond it, messages that would have to be
        /// kept are refused (Quota exceeded). 0 means half of the memory this process may use.
        max_memory: ByteSize = ByteSize(0), range 0..=16 * TB, reloads true;
        /// Bytes encoded for one connection and not yet taken by its network. Beyond it, QoS 1 and 2 messages
        /// wait in the Session and QoS 0 messages are dropped.
        max_outbox_bytes: ByteSize = ByteSize(MB), range 4 * KB..=GB, reloads true;
        /// How long a client that reads slowly may slow down those who publish to it, before it is left
        /// behind and its own limits decide.
        slow_consumer_grace: Duration = Duration::from_millis(100), range 0..=10 * SECOND, reloads true;
    }

    /// Shutting out for a while who keeps failing. Bans are kept in memory; `dunlin ban` shows and changes them.
    ["ban"] BanOptions {
        /// Whether the broker bans, and guards user names, by itself. `dunlin ban add` works in any case.
        enabled: bool = true, reloads true;
        /// Failed logins, and connections that break the protocol before CONNECT, after which an address is banned,
        /// when they fall into one `window`.
        failures: u32 = 50, range 1..=1_000_000, unit "failures", reloads true;
        /// Connections of one client identifier from one address after which this identifier is banned at this
        /// address, when they fall into one `window`. Unset, clients may come and go as they like.
        flapping: Option<u32> = Some(600), range 2..=1_000_000, unit "connections", reloads true;
        /// Failed logins with one user name, from all addresses together, after which this name is guarded, when they
        /// fall into one `window`: its passwords are judged one a second then. Who logs in with it from an address that
        /// it has not logged in from waits for up to 5 seconds; while too many wait, more are refused (Connection rate
        /// exceeded). Addresses in `allow` neither count nor wait. Unset, names are not guarded.
        user_failures: Option<u32> = Some(100), range 1..=1_000_000, unit "failures", reloads true;
        /// The time in which they are counted.
        window: Duration = Duration::from_secs(10 * 60), range SECOND..=DAY, reloads true;
        /// How long a ban lasts.
        duration: Duration = Duration::from_secs(15 * 60), range SECOND..=365 * DAY, reloads true;
        /// Networks that are never banned, neither by the broker nor by hand. The default is all private networks: at
        /// home, one device with a wrong password must not shut out the others behind the same router or container
        /// bridge.
        allow: Vec<Network> = private_networks(), reloads true;
    }

    /// Where data lives, and when it is safe.
    ["store"] StoreOptions {
        /// The data directory (`--data-dir`). It is created when missing and locked, so that two brokers
        /// never share one. "" means none: everything is lost when the broker stops.
        path: Option<PathBuf> = Some(PathBuf::from("dunlin-data"));
        /// What comes before the acknowledgement of a message, a subscription or a Retained Message that is
        /// kept. `always`: it is on the disk, and a power cut loses nothing that was acknowledged.
        /// `interval`: it is with the operating system, and on the disk every `sync_interval`; a power cut
        /// or a crash of the system loses at most what was acknowledged in that time. `never`: it is with the
        /// operating system, which decides when to write it; a power cut can lose the last half minute or more.
        /// A crash of the broker alone loses nothing in any of them.
        sync: SyncMode = SyncMode::Always;
        /// How often `sync = "interval"` syncs.
        sync_interval: Duration = Duration::from_millis(100), range 1..=MINUTE;
        /// How long a commit waits for more to commit. It makes commits fewer and larger, and every
        /// acknowledgement this much later; under load they grow by themselves.
        commit_delay: Duration = Duration::ZERO, range 0..=SECOND;
        /// The size of the files of the log. Room comes back a file at a time, and up to two are kept for
        /// later use; a disk with no room for one more counts as full.
        segment_size: ByteSize = ByteSize(16 * MB), range MB..=GB;
        /// Memory for messages, in all, beyond which those that wait in the queues of Sessions give up theirs, all
        /// but 32 bytes each, and are read back when it is their turn. Retained Messages, those of Shared
        /// Subscriptions and those in flight count, but stay.
        memory: ByteSize = ByteSize(64 * MB), range 0..=16 * TB;
    }

    /// Logs, on standard error.
    ["log"] LogOptions {
        /// The least severe level that is logged: `error`, `warn`, `info`, `debug`, `trace` or `off`, or
        /// directives that name modules, such as `info,dunlin::auth=debug`.
        level: LogFilter = LogFilter::info(), reloads true;
        /// `text`: lines for people. `json`: one object a line. `auto`: where systemd has connected standard error
        /// with its journal, entries of the journal, with priorities and fields; elsewhere `text`.
        format: LogFormat = LogFormat::Auto, reloads true;
    }

    /// OpenTelemetry: a span for each PUBLISH with a `traceparent` (W3C Trace Context) among its User Properties.
    ["otlp"] OtlpOptions {
        /// Where the spans go: the address for traces of a collector that takes OTLP over HTTP. Headers for it come from
        /// the environment (`OTEL_EXPORTER_OTLP_HEADERS`). Unset, none are made.
        endpoint: Option<WebUrl> = None, example "\"https://collector.example.com/v1/traces\"";
        /// Certificates of the authorities that vouch for an `https://` address, as PEM. Unset, those that the system
        /// trusts.
        ca_file: Option<PathBuf> = None, example "\"certs/ca.pem\"";
    }

    /// The operations port: `/healthz`, `/readyz` and, for who has a token or a certificate, the API (docs/api.md).
    ["http"] HttpOptions {
        /// Its address (`--http`). "" means none. If the default is taken, the broker warns and runs without;
        /// an address that you set must be free. One that others than this machine reach needs a token
        /// (`dunlin token create`) or `http.tls` with `client_ca`.
        address: Option<HostPort> = Some(HostPort::new("127.0.0.1", 18083));
        /// The largest body of a request; a larger one is refused (413).
        max_body: ByteSize = ByteSize(MB), range KB..=64 * MB;
        /// What who shows a certificate that `http.tls.client_ca` has signed may do: `read` or `admin`.
        certificate_scope: Scope = Scope::Admin;
        /// A file to which a line of JSON is added for every change by the API: who, from where, what, and how it
        /// ended. Unset, changes are in the log only.
        audit_file: Option<PathBuf> = None, example "\"audit.jsonl\"";
        [tables] {
            /// With this table, the operations port speaks HTTPS only.
            tls: HttpTlsOptions;
        }
    }

    /// The certificate of the operations port.
    ["http.tls"] HttpTlsOptions {
        /// The certificate and its intermediates, as PEM, its own first.
        cert: Option<PathBuf> = None, example "\"certs/server.pem\"", reloads true;
        /// Its private key, as unencrypted PEM.
        key: Option<PathBuf> = None, example "\"certs/server-key.pem\"", reloads true;
        /// Certificates of the authorities that sign the certificates of operators, as PEM. Unset, nobody is asked
        /// for one.
        client_ca: Option<PathBuf> = None, example "\"certs/operators.pem\"", reloads true;
        /// Refuse everybody who shows no such certificate, those with a token included.
        require_client_cert: bool = false, reloads true;
    }

    /// What the broker says of itself in topics below `$SYS/broker`.
    ["sys"] SysOptions {
        /// How often. "0s" switches them off.
        interval: Duration = Duration::from_secs(10), range 0..=DAY;
    }
}

/// Loopback, RFC 1918, link-local and unique local addresses: nobody on the Internet has one.
fn private_networks() -> Vec<Network> {
    const PRIVATE: [&str; 8] = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1",
        "fc00::/7",
        "fe80::/10",
    ];
    PRIVATE.iter().filter_map(|network| Network::parse(network).ok()).collect()
}
