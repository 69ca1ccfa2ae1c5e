//! The PROXY protocol, versions 1 and 2 (haproxy's proxy-protocol.txt): for whom a proxy connects.
//!
//! The header comes before everything else, TLS too, so not a byte beyond it may be read: version 2 says how long
//! it is, version 1 is read byte by byte up to its line end. Both are bounded; how long the header may take is
//! `limits.connect_timeout`, as for all that comes before CONNECT. The parsers are plain functions of bytes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE_V2: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, its line end included.
const V1_BYTES_MAX: usize = 107;

/// Addresses and TLVs of version 2 that are read; proxies send a few hundred bytes.
const V2_BYTES_MAX: usize = 2048;

/// Reads the header: the address of the client, or none if the proxy speaks for itself (its health check) or does
/// not know. An error of kind `InvalidData` means that there is no header.
pub async fn read_proxy_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; SIGNATURE_V2.len()];
    stream.read_exact(&mut start).await?;
    let parsed = if start == SIGNATURE_V2 {
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        let [version_and_command, family, high, low] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > V2_BYTES_MAX {
            return Err(invalid("the PROXY header is too long"));
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        parse_v2(version_and_command, family, &body)
    } else if start.starts_with(b"PROXY ") {
        let mut line = start.to_vec();
        while !line.ends_with(b"\r\n") {
            if line.len() >= V1_BYTES_MAX {
                return Err(invalid("the PROXY header is too long"));
            }
            line.push(stream.read_u8().await?);
        }
        parse_v1(&line)
    } else {
        Err("the connection does not begin with a PROXY header")
    };
    parsed.map_err(invalid)
}

fn invalid(problem: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Parses a header of version 1, line end included.
pub fn parse_v1(line: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    const WRONG: &str = "the PROXY header of version 1 is malformed";
    let text = std::str::from_utf8(line).map_err(|_| WRONG)?;
    let fields: Vec<_> = text.strip_suffix("\r\n").ok_or(WRONG)?.split(' ').collect();
    match fields[..] {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", protocol @ ("TCP4" | "TCP6"), source, destination, source_port, destination_port] => {
            let address = |text: &str| {
                let address = text.parse::<IpAddr>().ok();
                address.filter(|address| address.is_ipv4() == (protocol == "TCP4"))
            };
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let port = |text: &str| text.parse::<u16>().ok().filter(|_| is_number(text));
            address(destination).ok_or(WRONG)?;
            port(destination_port).ok_or(WRONG)?;
            let source = (address(source).ok_or(WRONG)?, port(source_port).ok_or(WRONG)?);
            Ok(Some(SocketAddr::from(source)))
        }
        _ => Err(WRONG),
    }
}

/// Parses what follows the signature of version 2: the two bytes, and what the length covers. TLVs are skipped.
pub fn parse_v2(
    version_and_command: u8,
    family: u8,
    body: &[u8],
) -> Result<Option<SocketAddr>, &'static str> {
    match version_and_command {
        // LOCAL: whatever else it says is to be ignored.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err("the PROXY header is of an unknown version or command"),
    }
    let short = "the PROXY header of version 2 is too short for its addresses";
    match family >> 4 {
        1 => {
            let [a, b, c, d, _, _, _, _, high, low, ..] = *body else { return Err(short) };
            Ok(Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
        }
        2 => {
            let address = body.first_chunk::<16>().ok_or(short)?;
            let ports = body.get(32..36).ok_or(short)?;
            let port = ports.first_chunk::<2>().ok_or(short)?;
            Ok(Some((Ipv6Addr::from(*address), u16::from_be_bytes(*port)).into()))
        }
        // UNSPEC and Unix sockets have no address that could be used.
        0 | 3 => Ok(None),
        _ => Err("the PROXY header is of an unknown address family"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these bytes, and what is left behind.
    async fn read(mut bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, usize) {
        let result = read_proxy_header(&mut bytes).await;
        (result.map(|address| address.map(|it| it.to_string())).map_err(|error| error.kind()), bytes.len())
    }

    fn v2(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        [&SIGNATURE_V2[..], &[version_and_command, family], &length, body, b"rest"].concat()
    }

    #[tokio::test]
    async fn version_1_gives_the_source_and_leaves_what_follows() {
        let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\nrest";
        assert_eq!(read(line).await, (Ok(Some("192.0.2.7:56324".to_owned())), 4));
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\nrest";
        assert_eq!(read(line).await, (Ok(Some("[2001:db8::7]:56324".to_owned())), 4));
        assert_eq!(read(b"PROXY UNKNOWN\r\nrest").await, (Ok(None), 4));
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nrest").await, (Ok(None), 4));
    }

    #[tokio::test]
    async fn version_2_gives_the_source_skips_tlvs_and_leaves_what_follows() {
        let ipv4 = [192, 0, 2, 7, 198, 51, 100, 1, 0xDC, 4, 7, 91, 0x04, 0, 2, 9, 9];
        assert_eq!(read(&v2(0x21, 0x11, &ipv4)).await, (Ok(Some("192.0.2.7:56324".to_owned())), 4));
        let ipv6 = [&[0x20, 1, 0xD, 0xB8][..], &[0; 11], &[7], &[0; 16], &[0xDC, 4, 7, 91]].concat();
        assert_eq!(read(&v2(0x21, 0x21, &ipv6)).await, (Ok(Some("[2001:db8::7]:56324".to_owned())), 4));
        // LOCAL, UNSPEC, a Unix socket.
        for (command, family) in [(0x20, 0x11), (0x21, 0x00), (0x21, 0x31)] {
            assert_eq!(read(&v2(command, family, &[0; 216])).await, (Ok(None), 4));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200], b"\r\n"].concat();
        let lines: [&[u8]; 9] = [
            b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a",
            b"GET /mqtt HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            b"PROXY TCP4 2001:db8::7 198.51.100.1 56324 1883\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 +56324 1883\r\n",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 70000\r\n",
            b"PROXY TCP4 192.0.2.7  56324 1883\r\n",
            b"PROXY TCP4 \xff\xff\xff\xff 1 2 3\r\n",
            &long,
        ];
        for line in lines {
            assert_eq!(read(line).await.0, Err(io::ErrorKind::InvalidData), "{line:?}");
        }
        for (command, family, length) in [
            (0x11, 0x11, 12),
            (0x22, 0x11, 12),
            (0x21, 0x41, 12),
            (0x21, 0x11, 9),
            (0x21, 0x21, 35),
            (0x20, 0, 2049),
        ] {
            let read = read(&v2(command, family, &vec![0; length])).await.0;
            assert_eq!(read, Err(io::ErrorKind::InvalidData), "{command:x} {family:x} {length}");
        }
    }

    #[tokio::test]
    async fn a_header_that_ends_early_is_an_end_at_every_length() {
        let whole = v2(0x21, 0x11, &[7; 12]);
        for length in 0..whole.len() - 4 {
            assert_eq!(read(&whole[..length]).await.0, Err(io::ErrorKind::UnexpectedEof), "{length}");
        }
    }
}
