//! One request to the operations port of the broker that runs, over one connection, which the broker closes.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::HostPort;

/// How long the broker may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Sends a request, and returns status and body of the answer, or what prevented it in a sentence. `headers` are whole
/// lines.
pub(super) fn ask(
    address: &HostPort,
    method: &str,
    path: &str,
    headers: &[String],
    body: &str,
) -> Result<(u16, String), String> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = address.resolve().and_then(|address| exchange(reachable(address), &request));
    let answer = answer.map_err(|error| format!("no broker answers at http://{address}: {error}"))?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.ok_or_else(|| format!("what answers at http://{address} is no broker"))?, body.to_owned()))
}

fn exchange(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_DEADLINE)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
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
