//! Where to listen.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use tokio::net::{TcpListener, lookup_host};

use crate::{counted::ListenerStats, tls::Tls};

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    /// Whether connections begin with a head of the proxy protocol.
    pub(crate) behind_proxy: bool,
    pub(crate) stats: Arc<ListenerStats>,
    address: SocketAddr,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub enum ListenError {
    /// The text is no address.
    Address(String),
    /// No address is known by this name.
    Name(String),
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
                write!(f, "cannot listen at {text:?}: want IP:PORT, HOST:PORT or :PORT")
            }
            Self::Name(name) => write!(f, "cannot listen at {name:?}: no address of that host is known"),
            Self::Bind { address, source } => write!(f, "cannot listen at {address}: {source}"),
        }
    }
}

impl std::error::Error for ListenError {}

/// Reads `IP:PORT`, `[IP6]:PORT`, `localhost:PORT` and `:PORT`, which means all addresses of version 4, and of version 6 too if `tcp6` says so.
pub fn parse_address(text: &str, tcp6: bool) -> Result<SocketAddr, ListenError> {
    let wrong = || ListenError::Address(text.to_string());
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = match host {
        "" if tcp6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => return Err(wrong()),
    };
    Ok(SocketAddr::new(host, port))
}

/// Whether a text can be an address to listen at. Names of hosts are not looked up.
pub fn check_address(text: &str) -> Result<(), ListenError> {
    parse_address(text, false).map(drop).or_else(|wrong| host_and_port(text).map(drop).ok_or(wrong))
}

/// A host by its name, and a port.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let may_be_in_names = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    // Of digits and dots alone are addresses, and broken ones.
    let is_name = host.chars().all(may_be_in_names) && host.chars().any(|c| c.is_ascii_alphabetic());
    is_name.then_some(host).zip(port.parse().ok())
}

/// The address of a host, of version 4 unless `tcp6` says otherwise.
async fn resolve(text: &str, tcp6: bool) -> Result<SocketAddr, ListenError> {
    let named = host_and_port(text).ok_or_else(|| ListenError::Address(text.to_string()))?;
    let unknown = || ListenError::Name(text.to_string());
    let mut found = lookup_host(named).await.map_err(|_| unknown())?;
    found.find(|address| tcp6 || address.is_ipv4()).ok_or_else(unknown)
}

impl Listener {
    /// Binds an address, which may be that of a host by its name; port 0 takes a free one. Must be called inside a runtime.
    pub async fn bind(text: &str, tcp6: bool) -> Result<Self, ListenError> {
        let wanted = match parse_address(text, tcp6) {
            Ok(address) => address,
            Err(_) => resolve(text, tcp6).await?,
        };
        let failed = |source| ListenError::Bind { address: wanted, source };
        let socket = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let stats = Arc::new(ListenerStats::new("http", address));
        Ok(Self { socket, tls: None, behind_proxy: false, stats, address })
    }

    /// The same socket, whose connections begin with a head of the proxy protocol if `behind_proxy` says so.
    #[must_use]
    pub fn behind_proxy(self, behind_proxy: bool) -> Self {
        Self { behind_proxy, ..self }
    }

    /// The counters of its connections.
    pub fn stats(&self) -> Arc<ListenerStats> {
        Arc::clone(&self.stats)
    }

    /// The same socket, on which TLS is spoken if there is any.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// What the address of its pages begins with.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The same socket, which `/metrics` calls by another name than `http`.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { stats: Arc::new(ListenerStats::new(name, self.address)), ..self }
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
            assert_eq!(parse_address(text, false).expect("a good address").to_string(), want);
        }
        for text in ["8428", "", "example.org:80", ":99999", "1.2.3:4"] {
            assert!(parse_address(text, false).is_err(), "{text}");
        }
        assert_eq!(parse_address(":80", true).expect("a good address").to_string(), "[::]:80");
    }

    #[tokio::test]
    async fn hosts_are_found_by_their_names() {
        for text in [":8428", "example.org:80", "my-host_1:0", "[::1]:80"] {
            assert!(check_address(text).is_ok(), "{text}");
        }
        for text in ["foo", "", "1.2.3:4", "host:99999", "host:http", "a b:80", "http://host:80", "::1:80x"] {
            assert!(check_address(text).is_err(), "{text}");
        }
        let found = resolve("localhost:80", false).await.expect("every system knows it");
        assert_eq!(found.to_string(), "127.0.0.1:80");
        let unknown = Listener::bind("no-such-host.invalid:80", false).await.expect_err("nobody has this name");
        assert!(unknown.to_string().contains("no address of that host is known"), "{unknown}");
    }
}
