//! Questions to other machines over HTTP: key sets (`token/`) and the authentication service (`callout/`); traces go out
//! by the same [`agent`] (`src/otlp.rs`).
//!
//! A question blocks its thread, for no longer than its time limit with everything included: the name, the
//! connection, TLS, the answer. An answer counts only with status 200; a redirect is not followed, because what
//! is sent is meant for the configured address alone, and no proxy of the environment is used. Answers are bounded.
//! An error says what went wrong and holds nothing of what was sent.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use super::text_file;
use crate::config::WebUrl;

/// The largest answer: a key set of a hundred keys, or grants many times over.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;

/// Connections that are kept open for the next question.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// Asks one address.
pub(super) struct Web {
    url: WebUrl,
    ca_file: Option<PathBuf>,
    agent: ureq::Agent,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The connection or the time limit.
    Failed(Box<ureq::Error>),
    /// An answer of this status.
    Status(u16),
}

impl Web {
    /// Asks `url`, which the authorities of `ca_file`, or else those of the system, vouch for.
    ///
    /// # Errors
    /// When the file cannot be used, or the system trusts nobody.
    pub fn new(url: &WebUrl, ca_file: Option<&Path>, time_limit: Duration) -> Result<Self, String> {
        let agent = agent(url, ca_file, time_limit)?;
        Ok(Self { url: url.clone(), ca_file: ca_file.map(Path::to_owned), agent })
    }

    /// Who is asked.
    pub fn url(&self) -> &WebUrl {
        &self.url
    }

    /// The file of those who vouch for it, if it is not the system.
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    /// What is there.
    pub fn get(&self) -> Result<Vec<u8>, NoAnswer> {
        let request = self.agent.get(self.url.as_uri()).header("Accept", "application/json");
        answer(request.call())
    }

    /// The answer to a JSON text, within what is left of the time limit.
    pub fn post(
        &self,
        json: &[u8],
        bearer_token: Option<&str>,
        time_limit: Duration,
    ) -> Result<Vec<u8>, NoAnswer> {
        let mut request = self
            .agent
            .post(self.url.as_uri())
            .config()
            .timeout_global(Some(time_limit))
            .build()
            .header("Content-Type", "application/json");
        if let Some(token) = bearer_token {
            request = request.header("Authorization", Zeroizing::new(format!("Bearer {token}")).as_str());
        }
        answer(request.send(json))
    }
}

/// Makes requests to `url`, as [`Web`] does.
pub(crate) fn agent(
    url: &WebUrl,
    ca_file: Option<&Path>,
    time_limit: Duration,
) -> Result<ureq::Agent, String> {
    let roots = if url.is_https() { authorities(ca_file)? } else { Vec::new() };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(time_limit))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
        .user_agent(concat!("dunlin/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(config.new_agent())
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, NoAnswer> {
    let failed = |error| NoAnswer::Failed(Box::new(error));
    let mut response = response.map_err(failed)?;
    match response.status().as_u16() {
        200 => response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(failed),
        status => Err(NoAnswer::Status(status)),
    }
}

/// Whom to trust.
fn authorities(ca_file: Option<&Path>) -> Result<Vec<Certificate<'static>>, String> {
    let found: Vec<CertificateDer<'static>> = match ca_file {
        Some(path) => {
            let (bytes, _) =
                text_file::read::<std::convert::Infallible>(path).map_err(|error| error.to_string())?;
            CertificateDer::pem_slice_iter(&bytes)
                .collect::<Result<_, _>>()
                .map_err(|error| format!("{}: is not PEM: {error}", path.display()))?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    match (found.is_empty(), ca_file) {
        (true, Some(path)) => Err(format!("{}: has no certificate", path.display())),
        (true, None) => {
            Err("the system has no trusted authorities: set it to a file of those to trust".to_owned())
        }
        _ => Ok(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect()),
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the answer has status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A certificate for 127.0.0.1 that vouches for itself, and the server's side of TLS with it.
    fn server() -> (String, Arc<rustls::ServerConfig>) {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (made.cert.pem(), Arc::new(config))
    }

    #[test]
    fn an_https_address_is_asked_only_if_an_authority_vouches_for_it() {
        let (certificate, config) = server();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = WebUrl::parse(&format!("https://{}/", listener.local_addr().unwrap())).unwrap();
        let serving = std::thread::spawn(move || {
            let mut questions = Vec::new();
            for _ in 0..2 {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, listener.accept().unwrap().0);
                let mut buffer = [0; 4096];
                // Who does not trust the certificate leaves.
                if let Ok(count) = stream.read(&mut buffer) {
                    questions.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
            questions
        });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let ask = |authority: &str| {
            std::fs::write(&path, authority).unwrap();
            Web::new(&url, Some(&path), Duration::from_secs(20)).unwrap().get()
        };
        let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
        assert!(matches!(ask(&stranger), Err(NoAnswer::Failed(_))));
        assert_eq!(ask(&certificate).unwrap(), b"ok");
        let questions = serving.join().unwrap();
        assert!(
            matches!(&questions[..], [question] if question.starts_with("GET / HTTP/1.1")),
            "{questions:?}"
        );
    }
}
