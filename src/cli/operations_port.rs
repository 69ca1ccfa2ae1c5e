//! One request to the operations port of the broker on this machine.
//!
//! Where the port is and where the token lies is in the configuration, so commands take the flags that the broker was
//! started with ([`BrokerPlace`]). The broker closes the connection after its answer. Over HTTPS its certificate must be
//! the one that the configuration names: that says more than any authority could, and holds for `127.0.0.1`, too.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::sources;
use crate::config::{Config, ConfigErrors, Flags, HttpTlsOptions};
use crate::http::token::{ApiToken, TOKEN_FILE};

/// How long the broker may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Where the broker is.
#[derive(Debug, Args)]
pub struct BrokerPlace {
    /// The broker's configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The broker's data directory [default: the configured one]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The address of its operations port [default: the configured one]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
}

impl BrokerPlace {
    /// The configuration of that broker.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        let flags = Flags { data_dir: self.data_dir.clone(), http: self.http.clone(), ..Flags::default() };
        sources(self.config.clone(), flags).load()
    }
}

/// The operations port of a broker, for the user whose data directory it is.
pub struct OperationsPort<'a> {
    address: SocketAddr,
    tls: Option<&'a HttpTlsOptions>,
    token: Option<ApiToken>,
}

impl<'a> OperationsPort<'a> {
    /// That of the broker with this configuration; the error is one sentence.
    pub fn of(config: &'a Config) -> Result<Self, String> {
        let data_dir = config.store.path.as_deref();
        let data_dir =
            data_dir.ok_or("this needs a data directory (store.path), where the broker leaves a token")?;
        let token = ApiToken::read(data_dir).map_err(|error| {
            let file = data_dir.join(TOKEN_FILE);
            format!(
                "the token of the broker cannot be read from {}: {error}; is it running on this data directory, as \
                 this user?",
                file.display()
            )
        })?;
        Ok(Self { token: Some(token), ..Self::without_token(config)? })
    }

    /// The same for what needs no token.
    pub fn without_token(config: &'a Config) -> Result<Self, String> {
        let address = config.http.address.as_ref().ok_or("the operations port is closed (http.address)")?;
        let resolved = address.resolve().map_err(|error| format!("http.address = \"{address}\": {error}"))?;
        Ok(Self { address: reachable(resolved), tls: config.http.tls.as_ref(), token: None })
    }

    /// Its address, as a browser takes it.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// What opens it.
    pub fn token(&self) -> Option<&ApiToken> {
        self.token.as_ref()
    }

    /// Asks; status and body of the answer, or what prevented it in a sentence. Without a body there is none of JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String), String> {
        let shown = self.token.as_ref().map(|token| format!("Authorization: {}\r\n", token.authorization()));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.address,
            shown.unwrap_or_default(),
            body.len()
        );
        let answer = self
            .exchange(&request)
            .map_err(|error| format!("no broker answers at {}: {error}", self.url()))?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status.ok_or_else(|| format!("what answers at {} is no broker", self.url()))?, body.to_owned()))
    }

    fn exchange(&self, request: &str) -> io::Result<String> {
        let stream = TcpStream::connect_timeout(&self.address, ANSWER_DEADLINE)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
        match self.tls {
            None => answer(stream, request),
            Some(options) => {
                let config = pinned(options.cert.as_deref().unwrap_or(Path::new("")))?;
                let name = ServerName::IpAddress(self.address.ip().into());
                let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
                answer(StreamOwned::new(connection, stream), request)
            }
        }
    }
}

fn answer(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // Whoever closes may leave out TLS's farewell; the length of the body says whether all is there.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !answer.is_empty() => Ok(answer),
        other => other.map(|_| answer),
    }
}

/// Who listens on every address also does so on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// TLS that takes this certificate and no other.
pub(super) fn pinned(cert: &Path) -> io::Result<ClientConfig> {
    let unreadable = |error| io::Error::other(format!("http.tls.cert {}: {error}", cert.display()));
    let certificate = CertificateDer::from_pem_file(cert).map_err(unreadable)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Pinned { certificate, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
