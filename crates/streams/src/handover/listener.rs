//! The socket on which a server waits for consumers, and how a consumer reaches it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::address::Address;
use super::error::{Attempt, HandoverError};
use super::link::Link;
use super::place::Place;
use super::server::Transport;

/// A bound socket and the private directory that it or its segments live in.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) fd: OwnedFd,
    pub(super) address: Address,
    pub(super) place: Arc<Place>,
}

/// `/dev/shm` if there is one, else the directory for temporary files.
pub(super) fn default_directory() -> PathBuf {
    let shm = Path::new("/dev/shm");
    if cfg!(target_os = "linux") && shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() }
}

impl Listener {
    pub(super) fn bind(transport: Transport, directory: &Path) -> Result<Self, HandoverError> {
        let place = Arc::new(Place::create(directory)?);
        match transport {
            #[cfg(target_os = "linux")]
            Transport::Unix => {
                use rustix::net::{bind, listen};
                let path = place.path().join("control");
                let fd = unix_socket()?;
                bind(&fd, &unix_address(&path)?).attempt("bind a socket")?;
                listen(&fd, 16).attempt("listen")?;
                Ok(Self { fd, address: Address::Unix(path), place })
            }
            Transport::Tcp => {
                let listener =
                    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).attempt("bind a port")?;
                listener.set_nonblocking(true).attempt("set up a socket")?;
                let address = Address::Tcp(listener.local_addr().attempt("inspect a socket")?);
                Ok(Self { fd: listener.into(), address, place })
            }
        }
    }

    /// A connection that waits, if there is one. Those of other users are closed unheard.
    pub(super) fn accept(&self) -> Option<Link> {
        loop {
            let fd = match rustix::net::accept(&self.fd) {
                Ok(fd) => fd,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(_) => return None,
            };
            if rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).is_err() {
                continue;
            }
            if let Some(link) = self.admit(fd) {
                return Some(link);
            }
        }
    }

    fn admit(&self, fd: OwnedFd) -> Option<Link> {
        match self.address {
            Address::Tcp(_) => {
                let stream = TcpStream::from(fd);
                stream.set_nodelay(true).ok()?;
                stream.set_nonblocking(true).ok()?;
                Some(Link::new(stream.into(), true))
            }
            #[cfg(target_os = "linux")]
            Address::Unix(_) => check_user(&fd).ok().map(|()| Link::new(fd, false)),
            #[cfg(not(target_os = "linux"))]
            Address::Unix(_) => None,
        }
    }
}

/// Connects to `address` before `deadline`.
pub(super) fn connect(address: &Address, deadline: Instant) -> Result<Link, HandoverError> {
    match address {
        Address::Tcp(at) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let stream =
                TcpStream::connect_timeout(at, left.max(std::time::Duration::from_millis(1)))
                    .attempt("connect to the server")?;
            stream.set_nodelay(true).attempt("set up a socket")?;
            stream.set_nonblocking(true).attempt("set up a socket")?;
            Ok(Link::new(stream.into(), true))
        }
        #[cfg(target_os = "linux")]
        Address::Unix(path) => {
            let (fd, address) = (unix_socket()?, unix_address(path)?);
            loop {
                match rustix::net::connect(&fd, &address) {
                    Ok(()) => break,
                    // The queue of the server is full.
                    Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                    Err(err) => return Err(err).attempt("connect to the server"),
                }
            }
            check_user(&fd)?;
            Ok(Link::new(fd, false))
        }
        #[cfg(not(target_os = "linux"))]
        Address::Unix(_) => Err(HandoverError::Address {
            text: address.to_string(),
            reason: "Unix sockets carry hand-overs on Linux only; use tcp",
        }),
    }
}

#[cfg(target_os = "linux")]
fn unix_socket() -> Result<OwnedFd, HandoverError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).attempt("make a socket")
}

#[cfg(target_os = "linux")]
fn unix_address(path: &Path) -> Result<rustix::net::SocketAddrUnix, HandoverError> {
    rustix::net::SocketAddrUnix::new(path).map_err(|_| HandoverError::Address {
        text: path.display().to_string(),
        reason: "the path is too long for a socket",
    })
}

/// The process at the other end must be of the same user.
#[cfg(target_os = "linux")]
fn check_user(fd: &OwnedFd) -> Result<(), HandoverError> {
    let peer = rustix::net::sockopt::socket_peercred(fd).attempt("ask who is connected")?;
    if peer.uid == rustix::process::geteuid() {
        Ok(())
    } else {
        Err(HandoverError::Handshake { what: "the other process is of another user" })
    }
}

/// A descriptor that becomes readable when the process at the other end dies, where the system has such a thing.
#[cfg(target_os = "linux")]
pub(super) fn watch_process(link: &Link) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let peer = rustix::net::sockopt::socket_peercred(link.fd()).ok()?;
    pidfd_open(peer.pid, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn watch_process(_link: &Link) -> Option<OwnedFd> {
    None
}
