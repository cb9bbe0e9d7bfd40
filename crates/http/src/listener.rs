//! Where to listen.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use tokio::net::TcpListener;

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    address: SocketAddr,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub enum ListenError {
    /// The text is no address.
    Address(String),
    /// The system refused.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(text) => {
                write!(f, "cannot listen at {text:?}: want IP:PORT, :PORT or localhost:PORT")
            }
            Self::Bind { address, source } => write!(f, "cannot listen at {address}: {source}"),
        }
    }
}

impl std::error::Error for ListenError {}

/// Reads `IP:PORT`, `[IP6]:PORT`, `localhost:PORT` and `:PORT` (all IPv4 addresses).
pub fn parse_address(text: &str) -> Result<SocketAddr, ListenError> {
    let wrong = || ListenError::Address(text.to_string());
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = match host {
        "" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        _ => return Err(wrong()),
    };
    Ok(SocketAddr::new(IpAddr::V4(host), port))
}

impl Listener {
    /// Binds an address; port 0 takes a free one. Must be called inside a runtime.
    pub async fn bind(text: &str) -> Result<Self, ListenError> {
        let wanted = parse_address(text)?;
        let failed = |source| ListenError::Bind { address: wanted, source };
        let socket = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// The address with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_four_forms() {
        for (text, want) in [
            (":8428", "0.0.0.0:8428"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:9", "127.0.0.1:9"),
        ] {
            assert_eq!(parse_address(text).expect("a good address").to_string(), want);
        }
        for text in ["8428", "", "example.org:80", ":99999", "1.2.3:4"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }
}
