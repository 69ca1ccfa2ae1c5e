//! One listener of mosquitto as `[[listener]]` tables.
//!
//! `localhost`, and the listener that mosquitto has when none is configured, become two tables, for IPv4 and IPv6. A
//! table stays closed, that is, becomes a comment, where its listener has a protection that Dunlin has not: clients
//! would be admitted, or would see things, which mosquitto kept from them.

use std::path::PathBuf;

use super::Remark;
use super::draft::{Address, Domain, ListenerDraft, Protocol, Security, Written, is_set};
use super::lines::Place;
use super::value::quoted;
use crate::config::ListenerUrl;

/// A line of a TOML table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: &'static str,
    /// As TOML.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// A listener, written.
#[derive(Debug)]
pub(super) struct ListenerTable {
    /// The line that makes it.
    pub place: Place,
    pub entries: Vec<Entry>,
    pub tls: Vec<Entry>,
    pub auth: Vec<Entry>,
    /// What keeps it closed.
    pub closed: Vec<Remark>,
    /// Its URL, to be told apart from others.
    pub url: String,
}

/// What is to be told about a listener.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub remarks: Vec<Remark>,
    pub problems: Vec<Remark>,
}

/// Who may do what where a listener says nothing else.
pub(super) struct General<'a> {
    /// Whether each listener has a table of its own for that.
    pub per_listener: bool,
    pub security: &'a Security,
    /// Whether clients without a user name may connect where no line says so.
    pub anonymous_by_default: bool,
    /// What keeps every listener closed.
    pub closed: &'a [Remark],
}

impl Entry {
    pub fn new(key: &'static str, value: impl Into<String>, origin: impl ToString) -> Self {
        Self { key, value: value.into(), origin: origin.to_string() }
    }
}

/// The tables of a listener.
pub(super) fn tables(draft: &ListenerDraft, general: &General<'_>, told: &mut Told) -> Vec<ListenerTable> {
    if draft.speaks(Protocol::HttpApi) {
        return Vec::new();
    }
    check_pair(draft, told);
    let mut closed = [general.closed, &draft.closed].concat();
    closed.extend(contradictions(draft));
    let tls = if draft.is_tls() { tls(draft, &mut closed, told) } else { without_tls(draft, told) };
    let auth = auth(draft, general, told);
    let mut tables = Vec::new();
    for url in urls(draft) {
        if let Err(problem) = ListenerUrl::parse(&url) {
            told.problems.push(Remark::new(&draft.place, format!("listener: {url} {problem}")));
        }
        tables.push(ListenerTable {
            place: draft.place.clone(),
            entries: entries(draft, &url, general),
            tls: tls.clone(),
            auth: auth.clone(),
            closed: closed.clone(),
            url,
        });
    }
    told.remarks.extend(closed.iter().map(|reason| {
        Remark::new(&reason.place, format!("{}. The listener is in the output as a comment", reason.text))
    }));
    tables
}

/// mosquitto 2.1 refuses half a pair; 2.0 speaks no TLS then, which nobody can have meant.
fn check_pair(draft: &ListenerDraft, told: &mut Told) {
    let (written, problem) = match (&draft.certificate, &draft.key) {
        (Some(certificate), None) => (certificate, "certfile: needs a keyfile beside it"),
        (None, Some(key)) => (key, "keyfile: needs a certfile beside it"),
        _ => return,
    };
    told.problems.push(Remark::new(&written.place, problem));
}

/// Protections which a listener of this kind does not have in Dunlin.
fn contradictions(draft: &ListenerDraft) -> Vec<Remark> {
    let mut closed = Vec::new();
    let mut close = |place: &Place, why: &str| closed.push(Remark::new(place, why));
    if let Address::Unix(_) = draft.address {
        for (place, what) in [
            (
                draft
                    .protocol
                    .as_ref()
                    .filter(|protocol| protocol.value == Protocol::WebSockets)
                    .map(|it| &it.place),
                "protocol: there are no WebSockets",
            ),
            (draft.certificate.as_ref().map(|it| &it.place), "certfile: there is no TLS"),
            (draft.proxy.as_ref().map(|it| &it.place), "enable_proxy_protocol: there is no PROXY protocol"),
        ] {
            if let Some(place) = place {
                close(place, &format!("{what} on Unix sockets"));
            }
        }
    }
    let required = is_set(&draft.require_certificate);
    if let Some(written) =
        draft.require_certificate.as_ref().filter(|written| written.value && !draft.is_tls())
    {
        close(&written.place, "require_certificate: needs TLS, that is, certfile and keyfile");
    }
    for (flag, name) in
        [(&draft.use_identity, "use_identity_as_username"), (&draft.use_subject, "use_subject_as_username")]
    {
        if let Some(flag) = flag.as_ref().filter(|flag| flag.value && !(required && draft.is_tls())) {
            close(
                &flag.place,
                &format!("{name}: needs TLS and require_certificate true; mosquitto admits nobody without"),
            );
        }
    }
    closed
}

/// The URLs of a listener.
fn urls(draft: &ListenerDraft) -> Vec<String> {
    let (port, host) = match &draft.address {
        Address::Unix(path) => return vec![format!("unix://{}", path.display())],
        Address::Port(port, host) => (port, host.as_deref()),
    };
    let scheme = match (draft.speaks(Protocol::WebSockets), draft.is_tls()) {
        (false, false) => "mqtt",
        (false, true) => "mqtts",
        (true, false) => "ws",
        (true, true) => "wss",
    };
    let domain = draft.domain.as_ref().map(|domain| domain.value);
    let hosts = match (host, domain) {
        (None, Some(Domain::Ipv4)) => vec!["0.0.0.0"],
        (None, _) => vec!["::"],
        (Some("localhost"), Some(Domain::Ipv4)) => vec!["127.0.0.1"],
        (Some("localhost"), Some(Domain::Ipv6)) => vec!["::1"],
        (Some("localhost"), None) => vec!["127.0.0.1", "::1"],
        (Some(host), _) => vec![host],
    };
    let path = if draft.speaks(Protocol::WebSockets) { "/mqtt" } else { "" };
    let shown = |host: &str| if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    hosts.into_iter().map(|host| format!("{scheme}://{}:{port}{path}", shown(host))).collect()
}

fn entries(draft: &ListenerDraft, url: &str, general: &General<'_>) -> Vec<Entry> {
    let mut entries = vec![Entry::new("url", quoted(url), &draft.place)];
    let own = draft.security.allow_anonymous.as_ref();
    if let Some(own) = own.filter(|_| !has_own_auth(draft, general)) {
        entries.push(Entry::new("allow_anonymous", own.value.to_string(), &own.place));
    }
    if let Some(connections) = &draft.max_connections {
        let bounded = connections.value.min(10_000_000);
        entries.push(Entry::new("max_connections", bounded.to_string(), &connections.place));
    }
    if let Some(domain) =
        draft.domain.as_ref().filter(|domain| domain.value == Domain::Ipv6 && url.contains("[::]"))
    {
        // Dunlin's [::] is every address, of IPv4 as well.
        entries.push(Entry::new("deny", r#"["0.0.0.0/0"]"#, &domain.place));
    }
    if let Some(proxy) = &draft.proxy {
        entries.push(Entry::new("proxy_protocol", r#"["127.0.0.0/8", "::1"]"#, &proxy.place));
    }
    entries
}

fn tls(draft: &ListenerDraft, closed: &mut Vec<Remark>, told: &mut Told) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (key, file) in [("cert", &draft.certificate), ("key", &draft.key)] {
        entries.extend(file.as_ref().map(|file| path_entry(key, file)));
    }
    match (&draft.ca, draft.require_certificate.as_ref().filter(|required| required.value)) {
        (Some(ca), Some(required)) => {
            entries.push(path_entry("client_ca", ca));
            entries.push(Entry::new("require_client_cert", "true", &required.place));
            entries.extend(draft.crl.as_ref().map(|crl| path_entry("client_crl", crl)));
        }
        (None, Some(required)) => {
            // Whoever uncomments the table as it is must not open it to all.
            entries.push(Entry::new("require_client_cert", "true", &required.place));
            closed.push(Remark::new(
                &required.place,
                "require_certificate: needs the certificates of the authorities in one file; name it in client_ca",
            ));
        }
        (ca, None) => {
            told.remarks.extend(ca.as_ref().map(|ca| {
                Remark::new(
                    &ca.place,
                    "cafile: not used, because require_certificate is not true. If certfile lacks the intermediate certificates, add them to it: mosquitto took them from here",
                )
            }));
            told.remarks.extend(draft.crl.as_ref().map(|crl| {
                Remark::new(&crl.place, "crlfile: not used, because require_certificate is not true")
            }));
        }
    }
    entries.extend(
        draft
            .tls_version
            .as_ref()
            .map(|version| Entry::new("min_version", quoted(version.value), &version.place)),
    );
    entries
}

/// What was said about the TLS of a listener that speaks none.
fn without_tls(draft: &ListenerDraft, told: &mut Told) -> Vec<Entry> {
    let said = [
        ("cafile", draft.ca.as_ref().map(|ca| &ca.place)),
        ("crlfile", draft.crl.as_ref().map(|crl| &crl.place)),
        ("tls_version", draft.tls_version.as_ref().map(|version| &version.place)),
    ];
    told.remarks.extend(said.into_iter().filter_map(|(name, place)| {
        Some(Remark::new(
            place?,
            format!("{name}: not used, because the listener has no certfile and keyfile"),
        ))
    }));
    Vec::new()
}

/// Whether a listener needs an `auth` table of its own.
fn has_own_auth(draft: &ListenerDraft, general: &General<'_>) -> bool {
    general.per_listener
        || certificate_user(draft).is_some()
        || is_set(&draft.use_user_name)
        || draft.security.password_file.is_some()
        || draft.security.acl_file.is_some()
}

/// What of a certificate is the user name. The Common Name goes before the subject, as in mosquitto.
fn certificate_user(draft: &ListenerDraft) -> Option<(&'static str, &Place)> {
    let used = |flag: &'static str, written: &'_ Option<Written<bool>>| is_set(written).then_some(flag);
    let (name, written) = match used("common-name", &draft.use_identity) {
        Some(name) => (name, &draft.use_identity),
        None => (used("subject", &draft.use_subject)?, &draft.use_subject),
    };
    Some((name, &written.as_ref()?.place))
}

fn auth(draft: &ListenerDraft, general: &General<'_>, told: &mut Told) -> Vec<Entry> {
    if !has_own_auth(draft, general) {
        return Vec::new();
    }
    let security = draft.security.or(general.security);
    let by_certificate = certificate_user(draft);
    let mut entries = match by_certificate {
        // Whoever has a certificate has a user name by it, and password files are not asked.
        Some((name, place)) => vec![
            Entry::new("allow_anonymous", "false", place),
            Entry::new("certificate_user", quoted(name), place),
        ],
        None => {
            security_entries(&Security { acl_file: None, ..security.clone() }, general.anonymous_by_default)
        }
    };
    if let Some(acl_file) = &security.acl_file {
        entries.push(path_entry("acl_file", acl_file));
    }
    if by_certificate.is_none() {
        told.remarks.extend(users_without_proof(&security, general.anonymous_by_default));
    }
    if let Some(replaces) = draft.use_user_name.as_ref().filter(|replaces| replaces.value) {
        entries.push(Entry::new("client_identifier", quoted("%u"), &replaces.place));
    }
    entries
}

/// The entries of an `auth` table.
pub(super) fn security_entries(security: &Security, anonymous_by_default: bool) -> Vec<Entry> {
    let mut entries = vec![match &security.allow_anonymous {
        Some(allow) => Entry::new("allow_anonymous", allow.value.to_string(), &allow.place),
        None => Entry::new("allow_anonymous", anonymous_by_default.to_string(), "mosquitto's default"),
    }];
    entries.extend(security.password_file.as_ref().map(|file| path_entry("password_file", file)));
    entries.extend(security.acl_file.as_ref().map(|file| path_entry("acl_file", file)));
    entries
}

/// mosquitto believes user names when it has no password file, and gives who claims one the rights of that user.
pub(super) fn users_without_proof(security: &Security, anonymous_by_default: bool) -> Option<Remark> {
    let acl_file = security.acl_file.as_ref().filter(|_| security.password_file.is_none())?;
    let anonymous = security.allow_anonymous.as_ref().map_or(anonymous_by_default, |allow| allow.value);
    anonymous.then(|| {
        Remark::new(
            &acl_file.place,
            "acl_file: without a password_file nobody proves a user name; Dunlin takes all clients for anonymous ones, and rules of users hold for nobody",
        )
    })
}

fn path_entry(key: &'static str, file: &Written<PathBuf>) -> Entry {
    Entry::new(key, quoted(&file.value.to_string_lossy()), &file.place)
}
