//! TLS at one listener: what its next handshake uses, and how that is replaced.
//!
//! An endpoint is made of files and can be made again, by SIGHUP ([`TlsEndpoint::replace`]) or because the files
//! have changed ([`TlsEndpoint::look`]). Connections that are open stay as they are. A handshake ends under the
//! rules of its end, not of its beginning: who resumes a session, and who has begun a handshake before the rules
//! changed, is judged again when it is complete. rustls does not do that by itself; it takes the word of the
//! ticket, which could otherwise be renewed for ever.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ServerSessionMemoryCache, danger::ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::client_verification::client_verifier;
use super::error::{TlsError, TlsProblem};
use super::expiry::Expiry;
use super::files::{Digest, Files, fault, stamps_of};
use super::server_certificates::ServerCertificates;
use crate::config::{Config, ConfigError, ConfigErrors, Listener, ListenerUrl, TlsOptions, TlsVersion};
use crate::file_watch::FileWatch;

/// TLS 1.3 tickets given at each handshake. A client keeps one connection, so one ticket is enough.
const TICKETS_PER_HANDSHAKE: usize = 1;

/// What is spoken inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// MQTT.
    Mqtt,
    /// HTTP/1.1, to become a WebSocket.
    WebSocket,
    /// HTTP/1.1, at the operations port.
    Http,
}

impl Application {
    /// That of a listener.
    fn of(url: &ListenerUrl) -> Self {
        if matches!(url, ListenerUrl::Wss(_)) { Self::WebSocket } else { Self::Mqtt }
    }

    /// Its name in ALPN (RFC 7301), as IANA registers it. A client that offers names and not this one is refused;
    /// one that offers none is served.
    fn alpn_name(self) -> &'static [u8] {
        match self {
            Self::Mqtt => b"mqtt",
            Self::WebSocket | Self::Http => b"http/1.1",
        }
    }
}

/// The TLS of one listener.
#[derive(Debug)]
pub struct TlsEndpoint {
    application: Application,
    current: ArcSwap<Served>,
    source: Mutex<Source>,
}

/// What handshakes use.
pub(super) struct Served {
    pub config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
    expiries: Vec<Expiry>,
    contents: Digest,
}

/// Where that has come from.
#[derive(Debug)]
struct Source {
    options: TlsOptions,
    files: FileWatch,
}

impl TlsEndpoint {
    /// Reads the files of a listener.
    pub fn new(application: Application, options: &TlsOptions) -> Result<Self, TlsError> {
        // Before reading: what changes meanwhile is noticed by the next look.
        let files = FileWatch::new(stamps_of(options));
        let served = Served::load(application, options)?;
        let source = Source { options: options.clone(), files };
        Ok(Self { application, current: ArcSwap::from_pointee(served), source: Mutex::new(source) })
    }

    /// Accepts TLS on a connection.
    pub async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let begun = self.current();
        let stream = TlsAcceptor::from(Arc::clone(&begun.config)).accept(stream).await?;
        self.judge(&begun, stream.get_ref().1).map_err(io::Error::other)?;
        Ok(stream)
    }

    /// Becomes what another endpoint is, for the handshakes to come. Sessions can be resumed further if nothing has
    /// changed.
    pub fn replace(&self, fresh: Self) {
        let mut source = self.source();
        let fresh_source = fresh.source.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (served, current) = (fresh.current.into_inner(), self.current());
        if source.options != fresh_source.options || current.contents != served.contents {
            self.current.store(served);
        }
        *source = fresh_source;
    }

    /// Looks whether the files have changed, and reads them again if so: `Some` if that made a difference or
    /// failed, and then everything stays as it was.
    pub fn look(&self) -> Option<Result<(), TlsError>> {
        let mut source = self.source();
        if !source.options.watch {
            return None;
        }
        let stamps = stamps_of(&source.options);
        if !source.files.have_changed(stamps) {
            return None;
        }
        match Served::load(self.application, &source.options) {
            Ok(served) if served.contents == self.current().contents => None,
            Ok(served) => {
                self.current.store(Arc::new(served));
                Some(Ok(()))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// What of its files ends by itself, and when.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.current().expiries.clone()
    }

    /// What the next handshake uses.
    pub(super) fn current(&self) -> Arc<Served> {
        self.current.load_full()
    }

    /// Says whether a handshake that has begun under these rules may stand.
    pub(super) fn judge(&self, begun: &Arc<Served>, session: &ServerConnection) -> Result<(), rustls::Error> {
        let current = self.current();
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        if !is_resumed && Arc::ptr_eq(begun, &current) {
            return Ok(());
        }
        let verifier = &current.verifier;
        match session.peer_certificates() {
            // Nobody vouches for it any more.
            Some(_) if !verifier.offer_client_auth() => {
                Err(rustls::CertificateError::ApplicationVerificationFailure.into())
            }
            Some([own, intermediates @ ..]) => {
                verifier.verify_client_cert(own, intermediates, UnixTime::now()).map(drop)
            }
            _ if verifier.offer_client_auth() && verifier.client_auth_mandatory() => {
                Err(rustls::Error::NoCertificatesPresented)
            }
            _ => Ok(()),
        }
    }

    fn source(&self) -> std::sync::MutexGuard<'_, Source> {
        // It is replaced whole, so a panic leaves nothing half done.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served {
    fn load(application: Application, options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (mut files, mut expiries) = (Files::default(), Vec::new());
        let certificates = ServerCertificates::load(options, &provider, &mut files, &mut expiries)?;
        let verifier = client_verifier(options, &provider, &mut files, &mut expiries)?;
        let setup =
            |error| fault("cert", options.cert.as_deref().unwrap_or("".as_ref()), TlsProblem::Setup(error));
        let versions = match options.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(setup)?
            .with_client_cert_verifier(Arc::clone(&verifier))
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![application.alpn_name().to_vec()];
        let cached_sessions = usize::try_from(options.session_cache).unwrap_or(usize::MAX);
        config.session_storage = ServerSessionMemoryCache::new(cached_sessions);
        // Every six hours it makes a new key; the one before is good for another six.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
        config.send_tls13_tickets = TICKETS_PER_HANDSHAKE;
        Ok(Self { config: Arc::new(config), verifier, expiries, contents: files.digest() })
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").field("expiries", &self.expiries).finish_non_exhaustive()
    }
}

/// Builds what each listener needs, in their order; `None` for those without TLS. The errors name option and
/// place.
pub fn endpoints(config: &Config, listeners: &[Listener]) -> Result<Vec<Option<TlsEndpoint>>, ConfigErrors> {
    let mut endpoints = Vec::new();
    let mut errors: Vec<ConfigError> = Vec::new();
    for listener in listeners {
        let open = |options| TlsEndpoint::new(Application::of(&listener.url), options);
        let endpoint = listener.tls.as_ref().map(open).transpose().unwrap_or_else(|error| {
            let error = error.located(config, &listener.tls_section);
            if !errors.contains(&error) {
                errors.push(error);
            }
            None
        });
        endpoints.push(endpoint);
    }
    if errors.is_empty() { Ok(endpoints) } else { Err(ConfigErrors(errors)) }
}
