//! What the options come to for each listener, and what a user should know about it.
//!
//! The rule that keeps strangers out is here and nowhere else: clients without a user name are admitted where
//! the listener says so, else where `[auth]` says so, else only where nobody but this machine can connect.
//! The advice goes to the log at start, one line each, and is true for whoever types what it says.

use std::borrow::Cow;

use super::{
    AuthOptions, ByteSize, Config, HostPort, ListenerOptions, ListenerUrl, Network, Sources, TlsOptions,
};

/// One listener with everything that applies to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Its transport and address.
    pub url: ListenerUrl,
    /// Whether clients without a user name may connect.
    pub allow_anonymous: bool,
    /// Its own bound on connections, beside `limits.max_connections`.
    pub max_connections: Option<u32>,
    /// Messages a second that its clients may publish together.
    pub publish_rate: Option<u32>,
    /// The same in bytes.
    pub publish_bytes_rate: Option<ByteSize>,
    /// The networks whose clients may connect; empty for all.
    pub allow: Vec<Network>,
    /// Networks whose clients may not.
    pub deny: Vec<Network>,
    /// The proxies that say for whom they connect; empty for none.
    pub proxy_protocol: Vec<Network>,
    /// The largest packet a client may send here.
    pub max_packet_size: ByteSize,
    /// Who may connect, and what they may do.
    pub auth: AuthOptions,
    /// The section that says so: `auth` or `listener.0.auth`.
    pub auth_section: String,
    /// Its certificates, when it speaks TLS.
    pub tls: Option<TlsOptions>,
    /// The section its certificates are in: `tls` or `listener.0.tls`.
    pub tls_section: String,
}

impl AuthOptions {
    /// Whether anybody is there to accept credentials.
    fn admits_users(&self) -> bool {
        self.certificate_user.is_some()
            || self.jwt.is_some()
            || self.password_file.is_some()
            || self.http.is_some()
    }
}

/// Which listener before each listener now is, by their URLs: that is how a reload knows them. Two may have the same URL,
/// with a port that the system chooses: then those at the same place belong together.
pub(crate) fn same_listeners<Url: PartialEq>(now: &[Url], before: &[Url]) -> Vec<Option<usize>> {
    let is = |index: usize, url: &Url| before.get(index) == Some(url);
    let at_its_place = |(index, url)| Some(index).filter(|index| is(*index, url));
    let mut same: Vec<_> = now.iter().enumerate().map(at_its_place).collect();
    for (index, url) in now.iter().enumerate() {
        if same[index].is_none() {
            same[index] = (0..before.len()).find(|at| is(*at, url) && !same.contains(&Some(*at)));
        }
    }
    same
}

impl Config {
    /// The listeners to open: those configured, or this machine only.
    pub fn listeners(&self) -> Vec<Listener> {
        let options = self.listener_options();
        options
            .iter()
            .enumerate()
            .map(|(index, options)| self.with_all_that_applies(index, options))
            .collect()
    }

    /// The listeners as written, or the one that is there when none is.
    pub(super) fn listener_options(&self) -> Cow<'_, [ListenerOptions]> {
        match &self.listener[..] {
            [] => vec![ListenerOptions::default()].into(),
            listeners => listeners.into(),
        }
    }

    fn with_all_that_applies(&self, index: usize, options: &ListenerOptions) -> Listener {
        let url = options.url.clone();
        let auth = options.auth.as_ref().unwrap_or(&self.auth);
        let auth_section =
            if options.auth.is_some() { format!("listener.{index}.auth") } else { "auth".to_owned() };
        let admits_anonymous = options.allow_anonymous.or(auth.allow_anonymous);
        let tls_section =
            if options.tls.is_some() { format!("listener.{index}.tls") } else { "tls".to_owned() };
        let tls = options.tls.as_ref().unwrap_or(&self.tls);
        Listener {
            allow_anonymous: admits_anonymous.unwrap_or(url.is_loopback()),
            max_connections: options.max_connections,
            publish_rate: options.publish_rate,
            publish_bytes_rate: options.publish_bytes_rate,
            allow: options.allow.clone(),
            deny: options.deny.clone(),
            proxy_protocol: options.proxy_protocol.clone(),
            max_packet_size: options.max_packet_size.unwrap_or(self.limits.max_packet_size),
            tls: url.is_tls().then(|| tls.clone()),
            tls_section,
            auth: auth.clone(),
            auth_section,
            url,
        }
    }

    /// What the log should tell at start about who can connect: one line each, none when there is nothing to
    /// tell.
    pub fn advice(&self, sources: &Sources) -> Vec<String> {
        let listeners = self.listeners();
        let mut lines = Vec::new();
        if listeners.iter().all(|listener| listener.url.is_loopback()) {
            lines.push(self.how_to_open(sources));
        }
        let closed =
            listeners.iter().find(|listener| !listener.allow_anonymous && !listener.auth.admits_users());
        if let Some(listener) = closed {
            lines.push(format!(
                "{} refuses everyone, because there are no users: set auth.password_file to admit users, or \
                 auth.allow_anonymous = true to admit everyone (docs/configuration.md)",
                listener.url
            ));
        }
        lines
    }

    /// The line that says how others can connect when only this machine can.
    fn how_to_open(&self, sources: &Sources) -> String {
        let port = self.listener.iter().find_map(|listener| match &listener.url {
            ListenerUrl::Mqtt(HostPort { port, .. }) if *port != 0 => Some(*port),
            _ => None,
        });
        let url = ListenerUrl::Mqtt(HostPort::new("0.0.0.0", port.unwrap_or(1883)));
        let file =
            sources.file.as_ref().map(|file| format!(" --config {}", file.display())).unwrap_or_default();
        let program = sources.program.as_deref().unwrap_or("dunlin");
        let command = format!("{program} serve{file} --listen {url}");
        if self.auth.admits_users() || self.auth.allow_anonymous == Some(true) {
            format!("only this machine can connect; to open it: {command}")
        } else {
            format!(
                "only this machine can connect; to open it to everyone: DUNLIN__AUTH__ALLOW_ANONYMOUS=true {command} \
                 (or only to users: DUNLIN__AUTH__PASSWORD_FILE=FILE)"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::same_listeners;

    #[test]
    fn a_listener_is_the_one_with_its_url_and_first_the_one_at_its_place() {
        for (before, now, expected) in [
            (&["any", "ws"][..], &["any", "ws"][..], &[Some(0), Some(1)][..]),
            (&["any", "ws"], &["ws", "any"], &[Some(1), Some(0)]),
            (&["any", "any", "ws"], &["ws", "any"], &[Some(2), Some(1)]),
            (&["any"], &["other", "any", "any"], &[None, Some(0), None]),
            (&["any"], &[], &[]),
        ] {
            assert_eq!(same_listeners(now, before), expected, "{before:?} {now:?}");
        }
    }
}
