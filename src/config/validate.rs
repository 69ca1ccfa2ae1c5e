//! What no single option shows: combinations that cannot work.
//!
//! Files are not opened here: whoever uses a file reports what is wrong with it ([`Config::error`]), at start
//! and in `dunlin check` alike.

use super::{AuthOptions, Config, ConfigError, HttpTlsOptions, ListenerOptions, ListenerUrl, TlsOptions};

/// Everything that contradicts itself in a configuration whose options are all valid.
pub(super) fn contradictions(config: &Config) -> Vec<ConfigError> {
    let mut errors = tls_contradictions(config, "tls", "tls", &config.tls);
    errors.extend(auth_contradictions(config, "auth", "auth", &config.auth));
    for (index, listener) in config.listener.iter().enumerate() {
        errors.extend(listener_contradictions(config, index, listener));
    }
    if config.otlp.ca_file.is_some() && config.otlp.endpoint.as_ref().is_none_or(|url| !url.is_https()) {
        errors.push(about(config, "otlp", "otlp")(
            "ca_file",
            "vouches for nobody: endpoint is no https:// address",
        ));
    }
    let anybody_asks =
        config.listener.iter().filter_map(|listener| listener.tls.as_ref()).chain([&config.tls]);
    if config.auth.certificate_user.is_some() && !anybody_asks.into_iter().any(asks_for_certificates) {
        errors.push(no_certificates(config, "auth", "auth"));
    }
    errors.extend(port_taken_twice(config));
    errors.extend(config.http.tls.iter().flat_map(|tls| http_tls_contradictions(config, tls)));
    errors
}

/// A listener where the operations port shall be. One that nobody has written there gives way (`http::bind`).
fn port_taken_twice(config: &Config) -> Option<ConfigError> {
    let address = config.http.address.as_ref().filter(|_| config.is_set("http.address"))?;
    let listeners = config.listeners();
    let is_in_the_way =
        |url: &ListenerUrl| url.host_port().is_some_and(|listener| listener.is_in_the_way_of(address));
    let listener = listeners.iter().find(|listener| is_in_the_way(&listener.url))?;
    let problem =
        format!("is taken by a listener, listener.url = \"{}\"; each needs its own port", listener.url);
    Some(config.error("http.address", Some(format!("\"{address}\"")), problem))
}

/// HTTPS without a certificate, or that asks for certificates of nobody.
fn http_tls_contradictions(config: &Config, tls: &HttpTlsOptions) -> Vec<ConfigError> {
    let about = about(config, "http.tls", "http.tls");
    let mut errors = Vec::new();
    if tls.cert.is_none() || tls.key.is_none() {
        let missing = if tls.cert.is_none() { "cert" } else { "key" };
        errors.push(about(missing, "must be set: HTTPS needs cert and key"));
    }
    if tls.require_client_cert && tls.client_ca.is_none() {
        errors.push(about("require_client_cert", "needs the authorities to trust: set client_ca"));
    }
    errors
}

fn asks_for_certificates(tls: &TlsOptions) -> bool {
    tls.client_ca.is_some()
}

/// Users are named by certificates that no client is asked for.
fn no_certificates(config: &Config, name: &str, path: &str) -> ConfigError {
    about(config, name, path)(
        "certificate_user",
        "needs a listener that asks clients for certificates: mqtts:// or wss://, with client_ca in its tls table or in [tls]",
    )
}

fn listener_contradictions(config: &Config, index: usize, listener: &ListenerOptions) -> Vec<ConfigError> {
    let section = format!("listener.{index}");
    let about_url = |problem: &str| ConfigError {
        place: config.places.of(&format!("{section}.url")),
        option: "listener.url".to_owned(),
        value: Some(format!("\"{}\"", listener.url)),
        problem: problem.to_owned(),
    };
    let mut errors = Vec::new();
    let has_own_port = listener.url.host_port().is_none_or(|address| address.port != 0);
    if has_own_port && config.listener[..index].iter().any(|earlier| earlier.url == listener.url) {
        errors.push(about_url("is the URL of an earlier listener too; each needs its own"));
    }
    for (key, networks) in
        [("allow", &listener.allow), ("deny", &listener.deny), ("proxy_protocol", &listener.proxy_protocol)]
    {
        if !networks.is_empty() && matches!(listener.url, ListenerUrl::Unix(_)) {
            errors.push(ConfigError {
                place: config.places.of(&format!("{section}.{key}")),
                option: format!("listener.{key}"),
                value: None,
                problem: "needs a listener on the network: clients of a Unix socket have no address"
                    .to_owned(),
            });
        }
    }
    let tls = listener.tls.as_ref().unwrap_or(&config.tls);
    if listener.url.is_tls() && (tls.cert.is_none() || tls.key.is_none()) {
        errors.push(about_url(
            "needs a certificate: set cert and key in [tls] or in this listener's tls table (for development, cargo \
             xtask certs makes some)",
        ));
    } else if let Some(tls) = &listener.tls {
        if !listener.url.is_tls() {
            errors.push(about_url(
                "speaks no TLS but has a tls table: use mqtts:// or wss://, or remove the table",
            ));
        }
        errors.extend(tls_contradictions(config, "listener.tls", &format!("{section}.tls"), tls));
    }
    let names_users = listener.auth.as_ref().is_some_and(|auth| auth.certificate_user.is_some());
    if names_users && !(listener.url.is_tls() && asks_for_certificates(tls)) {
        errors.push(no_certificates(config, "listener.auth", &format!("{section}.auth")));
    }
    if let Some(auth) = &listener.auth {
        errors.extend(auth_contradictions(config, "listener.auth", &format!("{section}.auth"), auth));
    }
    errors
}

/// Makes errors about the keys of a section; `name` is the section in messages, `path` in the places.
fn about(config: &Config, name: &str, path: &str) -> impl Fn(&str, &str) -> ConfigError {
    move |key, problem| ConfigError {
        place: config.places.of(&format!("{path}.{key}")),
        option: format!("{name}.{key}"),
        value: None,
        problem: problem.to_owned(),
    }
}

fn auth_contradictions(config: &Config, name: &str, path: &str, auth: &AuthOptions) -> Vec<ConfigError> {
    let about = about(config, name, path);
    let mut errors = Vec::new();
    if let Some(jwt) = &auth.jwt {
        if jwt.key_file.is_none() && jwt.jwks_url.is_none() && jwt.secret_file.is_none() {
            errors.push(about(
                "jwt",
                "needs a key to verify tokens with: set key_file, jwks_url or secret_file",
            ));
        }
        if jwt.user_claim.is_empty() {
            errors
                .push(about("jwt.user_claim", "must name the claim that is the user name (default \"sub\")"));
        }
        if jwt.ca_file.is_some() && jwt.jwks_url.as_ref().is_none_or(|url| !url.is_https()) {
            errors.push(about("jwt.ca_file", "vouches for nobody: jwks_url is no https:// address"));
        }
    }
    if let Some(http) = &auth.http
        && http.ca_file.is_some()
        && !http.url.is_https()
    {
        errors.push(about("http.ca_file", "vouches for nobody: url is no https:// address"));
    }
    errors
}

fn tls_contradictions(config: &Config, name: &str, path: &str, tls: &TlsOptions) -> Vec<ConfigError> {
    let about = about(config, name, path);
    let mut errors = Vec::new();
    if tls.cert.is_some() && tls.key.is_none() {
        errors.push(about("cert", "needs the private key beside it: set key"));
    }
    if tls.key.is_some() && tls.cert.is_none() {
        errors.push(about("key", "needs the certificate beside it: set cert"));
    }
    if tls.require_client_cert && tls.client_ca.is_none() {
        errors.push(about("require_client_cert", "needs the authorities to trust: set client_ca"));
    }
    if tls.client_crl.is_some() && tls.client_ca.is_none() {
        errors
            .push(about("client_crl", "needs the authorities whose certificates it revokes: set client_ca"));
    }
    for (index, further) in tls.certificate.iter().enumerate() {
        let missing = match (&further.cert, &further.key) {
            (Some(_), Some(_)) => continue,
            (None, _) => "cert",
            (_, None) => "key",
        };
        errors.push(ConfigError {
            place: config.places.of(&format!("{path}.certificate.{index}.{missing}")),
            option: format!("{name}.certificate.{missing}"),
            value: None,
            problem: "must be set: each certificate needs cert and key".to_owned(),
        });
    }
    errors
}
