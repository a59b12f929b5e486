//! Where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::HandoverError;

/// Where a server listens: `unix:/path` or `tcp:127.0.0.1:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A Unix socket inside a private directory. Linux only.
    Unix(PathBuf),
    /// A loopback port.
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl FromStr for Address {
    type Err = HandoverError;

    fn from_str(text: &str) -> Result<Self, HandoverError> {
        let refused = |reason| HandoverError::Address { text: text.to_owned(), reason };
        match text.split_once(':') {
            Some(("unix", path)) if path.starts_with('/') && !path.contains('\0') => {
                Ok(Self::Unix(path.into()))
            }
            Some(("unix", _)) => Err(refused("not an absolute path")),
            Some(("tcp", rest)) => match rest.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
                Ok(_) => Err(refused("not a loopback address")),
                Err(_) => Err(refused("not an IP address and port")),
            },
            _ => Err(refused("starts with neither unix: nor tcp:")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in ["unix:/dev/shm/x/control", "tcp:127.0.0.1:80", "tcp:[::1]:80"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "unix:", "unix:relative", "tcp:8.8.8.8:1", "tcp:localhost:1", "http:x"] {
            assert!(
                matches!(text.parse::<Address>(), Err(HandoverError::Address { .. })),
                "{text}"
            );
        }
    }
}
