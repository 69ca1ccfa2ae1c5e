//! A stream of bytes to the broker, whatever it goes through.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite;

use super::address::{Address, Transport};
use super::error::ClientError;
use super::options::ClientOptions;
use super::tls::TlsHints;
use super::websocket::WebSocket;
use crate::config::WEBSOCKET_PATH;

/// How long one of a host's addresses may take before the next is tried.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The options of `dunlin pub` and `dunlin sub` that could help where TLS fails.
const HINTS: TlsHints = TlsHints { authorities: "--cafile", other_host: Some("--insecure") };

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects.
pub(super) async fn open(options: &ClientOptions) -> Result<Box<dyn Stream>, ClientError> {
    let (transport, host, port) = match &options.address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path).await;
            return Ok(Box::new(stream.map_err(|error| unreachable(&options.address, error))?));
        }
        Address::Network { transport, host, port } => (*transport, host, *port),
    };
    let stream = connect(options, host, port).await?;
    match (transport, &options.tls) {
        (Transport::Mqtt, _) => Ok(Box::new(stream)),
        (Transport::Ws, _) => upgrade(stream, &options.address).await,
        (Transport::Mqtts | Transport::Wss, None) => Err(ClientError::Tls {
            address: options.address.to_string(),
            problem: "no authority is set up".to_owned(),
        }),
        (Transport::Mqtts | Transport::Wss, Some(tls)) => {
            let name = ServerName::try_from(host.clone()).map_err(|error| ClientError::Tls {
                address: options.address.to_string(),
                problem: format!("{host:?} is no name of a host: {error}"),
            })?;
            let stream = TlsConnector::from(tls.config()).connect(name, stream).await;
            let stream = stream.map_err(|error| failed(&options.address, error))?;
            if transport == Transport::Wss {
                upgrade(stream, &options.address).await
            } else {
                Ok(Box::new(stream))
            }
        }
    }
}

async fn connect(options: &ClientOptions, host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let unknown = |error| ClientError::NoSuchHost { host: host.to_owned(), error };
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unknown)?.collect();
    let is_usable =
        |address: &SocketAddr| options.bind.is_none_or(|bind| bind.is_ipv4() == address.is_ipv4());
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address of the right family");
    for address in addresses.into_iter().filter(is_usable) {
        match timeout(ATTEMPT, connect_to(address, options.bind)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(&options.address, last))
}

async fn connect_to(address: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(bind) = bind {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    let stream = socket.connect(address).await?;
    // What is written together leaves together already; Nagle's algorithm would only delay it.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn upgrade(stream: impl Stream + 'static, address: &Address) -> Result<Box<dyn Stream>, ClientError> {
    match WebSocket::open(stream, &format!("{address}{WEBSOCKET_PATH}")).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(tungstenite::Error::Io(error)) => Err(failed(address, error)),
        Err(error) => {
            Err(ClientError::WebSocket { address: address.to_string(), problem: error.to_string() })
        }
    }
}

fn unreachable(address: &Address, error: io::Error) -> ClientError {
    ClientError::Unreachable { address: address.to_string(), error }
}

/// A connection that was there has failed.
pub(super) fn failed(address: &Address, error: io::Error) -> ClientError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => ClientError::Tls { address: address.to_string(), problem: HINTS.explain(error) },
        None => ClientError::Lost(Some(error)),
    }
}
