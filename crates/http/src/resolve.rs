//! Names of hosts to addresses, without the system's library.
//!
//! The program is linked statically, and the system's own resolver would load libraries of one exact version at run time. What is needed is little:
//!
//! 1. An address is itself; `localhost` is this machine; then `/etc/hosts` is looked at.
//! 2. `/etc/resolv.conf` names the servers, the domains that are tried behind a short name, and how patient one is.
//! 3. Each candidate is asked for at one server after the other, for addresses of both versions at once, over UDP, and over TCP if the answer did not
//!    fit ([`message`]). The first candidate that has addresses wins; those of version 4 come first.
//!
//! Files are read through a function of the operator's side, for this crate touches none. They are read anew for each name: they change while the
//! process runs, and names are asked for seldom.

mod message;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use message::{ADDRESS_4, ADDRESS_6, Answer};

pub use message::fuzz;

const HOSTS: &str = "/etc/hosts";
const CONFIG: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// More servers than this are not asked.
const SERVERS_MAX: usize = 3;
/// More domains than this are not tried.
const SEARCH_MAX: usize = 6;
/// One server's time for one question.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How often all servers are asked.
const ATTEMPTS: usize = 2;
/// What a server may send over UDP.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Reads a file of the system; `None` if there is none.
pub type ReadFile = fn(&str) -> Option<String>;

/// See the module.
#[derive(Clone)]
pub struct Resolver {
    read: ReadFile,
    port: u16,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// There is no such host.
    Unknown(String),
    /// No server of names answered.
    Silent(String),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(host) => write!(f, "there is no host {host:?}"),
            Self::Silent(host) => write!(f, "no server of names answered the question for host {host:?}"),
        }
    }
}

impl std::error::Error for ResolveError {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver(port {})", self.port)
    }
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, PartialEq, Eq)]
struct Config {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    dots_min: usize,
}

impl Resolver {
    /// A resolver that reads the system's files through `read`.
    pub fn new(read: ReadFile) -> Self {
        Self { read, port: PORT }
    }

    /// The addresses of a host, best first; never none.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let unknown = || ResolveError::Unknown(host.to_string());
        if !message::is_name(host) {
            return Err(unknown());
        }
        let known = in_hosts(&(self.read)(HOSTS).unwrap_or_default(), host);
        if !known.is_empty() {
            return Ok(known);
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        }
        let config = Config::parse(&(self.read)(CONFIG).unwrap_or_default());
        for name in config.candidates(host) {
            let found = self.ask_servers(&config.servers, &name).await;
            let found = found.ok_or_else(|| ResolveError::Silent(host.to_string()))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(unknown())
    }

    /// The addresses of a whole name; `None` if no server answers.
    async fn ask_servers(&self, servers: &[IpAddr], name: &str) -> Option<Vec<IpAddr>> {
        for server in servers.iter().cycle().take(servers.len() * ATTEMPTS) {
            let server = SocketAddr::new(*server, self.port);
            let (four, six) = tokio::join!(ask(server, name, ADDRESS_4), ask(server, name, ADDRESS_6));
            match (four, six) {
                (Ok(four), Ok(six)) => return Some([four, six].concat()),
                // One kind is enough to reach a host.
                (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => return Some(some),
                _ => {}
            }
        }
        None
    }
}

/// Asks one server; an error means that another one should be asked.
async fn ask(server: SocketAddr, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
    let number = RandomState::new().hash_one((name, kind)) as u16;
    let question = message::question(number, name, kind);
    let asking = async {
        match message::read(&over_udp(server, &question).await?, &question) {
            Some(Answer::Addresses(addresses)) => Ok(addresses),
            Some(Answer::Cut) => match message::read(&over_tcp(server, &question).await?, &question) {
                Some(Answer::Addresses(addresses)) => Ok(addresses),
                _ => Err(io::ErrorKind::InvalidData.into()),
            },
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    tokio::time::timeout(ANSWER_MAX, asking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn over_udp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected, the socket takes nothing from anybody else.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let len = socket.recv(&mut answer).await?;
        if answer[..len].get(..2) == question.get(..2) {
            answer.truncate(len);
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = TcpStream::connect(server).await?;
    let len = u16::try_from(question.len()).expect("BUG: a question is short");
    socket.write_all(&[&len.to_be_bytes()[..], question].concat()).await?;
    let mut answer = vec![0; usize::from(socket.read_u16().await?)];
    socket.read_exact(&mut answer).await?;
    Ok(answer)
}

/// The addresses that a file of hosts gives to a name.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let host = host.trim_end_matches('.');
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(of_line).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

impl Config {
    fn parse(text: &str) -> Self {
        let mut config = Self { servers: Vec::new(), search: Vec::new(), dots_min: 1 };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                // The zone behind an address of version 6 names an interface of this machine; such servers are left out.
                Some("nameserver") => config.servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
                Some("search" | "domain") => config.search = words.take(SEARCH_MAX).map(str::to_string).collect(),
                Some("options") => {
                    let dots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    config.dots_min = dots.unwrap_or(config.dots_min).min(15);
                }
                _ => {}
            }
        }
        config.servers.truncate(SERVERS_MAX);
        if config.servers.is_empty() {
            config.servers.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        config
    }

    /// The whole names that a name may mean, in the order in which they are tried.
    fn candidates(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_string()];
        }
        let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_matches('.')));
        let mut names: Vec<String> = searched.filter(|name| message::is_name(name)).collect();
        let own_first = host.bytes().filter(|byte| *byte == b'.').count() >= self.dots_min;
        names.insert(if own_first { 0 } else { names.len() }, host.to_string());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    #[test]
    fn files_of_the_system_are_read() {
        let hosts = "# 1.1.1.1 a\n10.0.0.1 a b # c\n\nfe80::1%eth0 a\n::1 A\nnonsense\n";
        assert_eq!(in_hosts(hosts, "a"), [four(1), "::1".parse().expect("an address")]);
        assert_eq!(in_hosts(hosts, "B."), [four(1)]);
        assert!(in_hosts(hosts, "c").is_empty());
        let config = Config::parse(
            "nameserver 10.0.0.1 # x\nsearch one two.\noptions edns0 ndots:2\nnameserver x\nnameserver ::1\n",
        );
        assert_eq!(config.servers, [four(1), "::1".parse().expect("an address")]);
        assert_eq!(config.candidates("a.b"), ["a.b.one", "a.b.two", "a.b"]);
        assert_eq!(config.candidates("a.b.c"), ["a.b.c", "a.b.c.one", "a.b.c.two"]);
        assert_eq!(config.candidates("a."), ["a"]);
        assert_eq!(Config::parse("").servers, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }

    #[tokio::test]
    async fn what_needs_no_server_is_found_without() {
        let resolver = Resolver::new(|path| (path == HOSTS).then(|| "10.0.0.7 here".to_string()));
        assert_eq!(resolver.resolve("10.0.0.9").await, Ok(vec![four(9)]));
        assert_eq!(resolver.resolve("::1").await.map(|found| found.len()), Ok(1));
        assert_eq!(resolver.resolve("here").await, Ok(vec![four(7)]));
        assert_eq!(resolver.resolve("localhost").await.map(|found| found[0]), Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(resolver.resolve("no host").await, Err(ResolveError::Unknown("no host".into())));
    }

    /// A server that knows `a.zone` by UDP and says that `long.zone` does not fit, which it then tells over TCP; nobody else is known.
    async fn serve_names() -> u16 {
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = tcp.local_addr().expect("it is bound").port();
        let udp = UdpSocket::bind(("127.0.0.1", port)).await.expect("the same port");
        tokio::spawn(async move {
            let mut question = vec![0; 512];
            while let Ok((len, peer)) = udp.recv_from(&mut question).await {
                let _ = udp.send_to(&answer_to(&question[..len], false), peer).await;
            }
        });
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = tcp.accept().await {
                let len = socket.read_u16().await.expect("a length");
                let mut question = vec![0; usize::from(len)];
                socket.read_exact(&mut question).await.expect("a question");
                let answer = answer_to(&question, true);
                socket.write_u16(answer.len() as u16).await.expect("it reads");
                socket.write_all(&answer).await.expect("it reads");
            }
        });
        port
    }

    fn answer_to(question: &[u8], tcp: bool) -> Vec<u8> {
        let asks = |name: &str, kind| message::question(0, name, kind)[2..] == question[2..];
        match () {
            () if asks("a.zone", ADDRESS_4) => message::tests::answer(question, &[four(1)]),
            () if asks("long.zone", ADDRESS_4) && tcp => message::tests::answer(question, &[four(2)]),
            () if asks("long.zone", ADDRESS_4) => message::tests::cut(question),
            () if asks("a.zone", ADDRESS_6) => message::tests::answer(question, &[]),
            () => message::tests::unknown(question),
        }
    }

    #[tokio::test]
    async fn servers_are_asked_over_udp_and_tcp() {
        let read: ReadFile = |path| (path == CONFIG).then(|| "nameserver 127.0.0.1\nsearch zone\n".to_string());
        let resolver = Resolver { read, port: serve_names().await };
        assert_eq!(resolver.resolve("a").await, Ok(vec![four(1)]), "with the domain that is searched");
        assert_eq!(resolver.resolve("a.zone.").await, Ok(vec![four(1)]));
        assert_eq!(resolver.resolve("long.zone").await, Ok(vec![four(2)]));
        assert_eq!(resolver.resolve("b").await, Err(ResolveError::Unknown("b".into())));
        let closed = UdpSocket::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").port();
        let resolver = Resolver { read, port: closed };
        assert_eq!(resolver.resolve("a").await, Err(ResolveError::Silent("a".into())));
    }
}
