//! Sockets that were open before the broker: socket activation.
//!
//! A service manager that opens the sockets itself (`dunlin.socket`) hands them over as file descriptors from 3 on,
//! counted by `LISTEN_FDS`. Clients then can connect while the broker restarts, and it needs no privilege for a port
//! below 1024.
//!
//! A socket belongs to the listener with its address: the configuration stays the one place that says what listens
//! where and who may connect, in whatever order and under whatever names the sockets come. A socket that no listener
//! has is an error, because clients would connect to it and wait for ever.

use crate::config::ListenerUrl;
use listenfd::ListenFd;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// An open socket and where it listens.
pub(super) enum Inherited {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

/// The sockets that were handed over and that no listener has taken yet.
#[derive(Default)]
pub struct InheritedSockets(Vec<Inherited>);

impl InheritedSockets {
    /// Takes them over, if this process was given any. It removes the variables from the environment, so it must be
    /// called before there are other threads, and only once. The error is one sentence.
    pub fn from_environment() -> Result<Self, String> {
        let mut descriptors = ListenFd::from_env();
        let count = descriptors.len();
        let sockets = (0..count).map(|index| {
            let explain = |error: io::Error| {
                format!(
                    "socket {} of {count} in LISTEN_FDS is none to listen on ({error}): use ListenStream= and \
                     Accept=no in the socket unit",
                    index + 1
                )
            };
            take(&mut descriptors, index).map_err(explain)
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// The socket with the address of this listener.
    pub(super) fn take(&mut self, url: &ListenerUrl) -> Option<Inherited> {
        let address = url.host_port().and_then(|host_port| host_port.resolve().ok());
        let is_it = |socket: &Inherited| match (socket, url) {
            (Inherited::Unix(_, path), ListenerUrl::Unix(wanted)) => path == wanted,
            (Inherited::Tcp(_, bound), _) => Some(*bound) == address,
            _ => false,
        };
        self.0.iter().position(is_it).map(|position| self.0.swap_remove(position))
    }

    /// Ends the handing out; the error names the sockets that nobody took.
    pub(super) fn finish(self) -> Result<(), String> {
        let left: Vec<_> = self.0.iter().map(Inherited::url).collect();
        match left.first() {
            None => Ok(()),
            Some(example) => Err(format!(
                "no listener has the address of these inherited sockets: {}; add a listener such as url = \"{example}\", \
                 or remove them from the socket unit",
                left.join(", ")
            )),
        }
    }
}

impl Inherited {
    /// The simplest URL that would have it.
    fn url(&self) -> String {
        match self {
            Self::Tcp(_, address) => format!("mqtt://{address}"),
            Self::Unix(_, path) => format!("unix://{}", path.display()),
        }
    }
}

fn take(descriptors: &mut ListenFd, index: usize) -> io::Result<Inherited> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    if let Ok(listener) = descriptors.take_unix_listener(index) {
        let listener = listener.ok_or_else(none)?;
        must_listen(SockRef::from(&listener))?;
        let path = listener.local_addr()?.as_pathname().map(PathBuf::from);
        let path = path.ok_or_else(|| io::Error::other("a Unix socket without a path"))?;
        return Ok(Inherited::Unix(listener, path));
    }
    let listener = descriptors.take_tcp_listener(index)?.ok_or_else(none)?;
    must_listen(SockRef::from(&listener))?;
    let address = listener.local_addr()?;
    Ok(Inherited::Tcp(listener, address))
}

/// It must not be a connection, and must not block the thread that accepts.
fn must_listen(socket: SockRef<'_>) -> io::Result<()> {
    if !socket.is_listener()? {
        return Err(io::Error::other("a connection"));
    }
    socket.set_nonblocking(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (Inherited, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Inherited::Tcp(listener, address), address)
    }

    fn url(text: &str) -> ListenerUrl {
        ListenerUrl::parse(text).unwrap()
    }

    #[test]
    fn a_socket_goes_to_the_listener_with_its_address_whatever_it_speaks() {
        let (first, first_address) = open();
        let (second, second_address) = open();
        let mut sockets = InheritedSockets(vec![first, second]);
        let taken = sockets.take(&url(&format!("wss://localhost:{}", second_address.port())));
        assert!(matches!(taken, Some(Inherited::Tcp(_, address)) if address == second_address));
        assert!(sockets.take(&url(&format!("mqtt://{second_address}"))).is_none(), "it is taken");
        assert!(sockets.take(&url(&format!("mqtt://0.0.0.0:{}", first_address.port()))).is_none());
        assert!(sockets.take(&url(&format!("mqtt://{first_address}"))).is_some());
        assert_eq!(sockets.finish(), Ok(()));
    }

    #[test]
    fn a_unix_socket_goes_to_the_listener_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mqtt.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let mut sockets = InheritedSockets(vec![Inherited::Unix(listener, path.clone())]);
        assert!(sockets.take(&url("unix:///elsewhere.sock")).is_none());
        assert!(sockets.take(&ListenerUrl::Unix(path)).is_some());
    }

    #[test]
    fn sockets_that_nobody_took_are_named_with_the_listener_that_would_have_them() {
        let (socket, address) = open();
        assert_eq!(
            InheritedSockets(vec![socket]).finish().unwrap_err(),
            format!(
                "no listener has the address of these inherited sockets: mqtt://{address}; add a listener such as \
                 url = \"mqtt://{address}\", or remove them from the socket unit"
            )
        );
    }
}
