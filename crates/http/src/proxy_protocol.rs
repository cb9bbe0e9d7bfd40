//! The proxy protocol: whom a balancer speaks for, told before the first byte of its client.
//!
//! ```text
//! version 1   "PROXY TCP4 <from> <to> <port from> <port to>\r\n", or "PROXY UNKNOWN …\r\n"
//! version 2   signature 12 | version and command 1 | family and transport 1 | length 2 | addresses, and what else the length holds
//! ```
//!
//! Exactly the head is read, for what follows is for somebody else. A connection that begins in another way is closed: whoever may come without
//! the head could also say to be anybody.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// A balancer speaks at once.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// A longer head of version 1 is none.
const LINE_BYTES_MAX: usize = 107;
/// Addresses and further fields of version 2.
const REST_BYTES_MAX: usize = 2048;

/// Reads the head; gives the client's address, or `None` if the balancer speaks for itself.
pub async fn read_head(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let reading = async {
        let mut start = [0; SIGNATURE.len()];
        socket.read_exact(&mut start).await?;
        if start == *SIGNATURE { version_2(socket).await } else { version_1(&start, socket).await }
    };
    tokio::time::timeout(HEAD_TIME_MAX, reading).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the connection does not begin with a head of the proxy protocol")
}

async fn version_1(start: &[u8], socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    if !start.starts_with(b"PROXY ") {
        return Err(wrong());
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE_BYTES_MAX {
            return Err(wrong());
        }
        line.push(socket.read_u8().await?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| wrong())?;
    parse_line(line.trim_end()).ok_or_else(wrong)
}

fn parse_line(line: &str) -> Option<Option<SocketAddr>> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, port, _] => {
            let (from, to): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
            let fits = from.is_ipv4() == (family == "TCP4") && to.is_ipv4() == from.is_ipv4();
            fits.then_some(Some(SocketAddr::new(from, port.parse().ok()?)))
        }
        _ => None,
    }
}

async fn version_2(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let [version_and_command, family] = [socket.read_u8().await?, socket.read_u8().await?];
    let len = usize::from(socket.read_u16().await?);
    if version_and_command >> 4 != 2 || len > REST_BYTES_MAX {
        return Err(wrong());
    }
    let mut rest = vec![0; len];
    socket.read_exact(&mut rest).await?;
    match version_and_command & 15 {
        0 => Ok(None),
        1 => addresses(family, &rest).ok_or_else(wrong).map(Some),
        _ => Err(wrong()),
    }
}

/// The client's address out of `from, to, port from, port to`.
fn addresses(family: u8, rest: &[u8]) -> Option<SocketAddr> {
    const STREAM_4: u8 = 0x11;
    const STREAM_6: u8 = 0x21;
    let port = |at: usize| Some(u16::from_be_bytes(*rest.get(at..)?.first_chunk()?));
    match family {
        STREAM_4 if rest.len() >= 12 => Some((Ipv4Addr::from(*rest.first_chunk::<4>()?), port(8)?).into()),
        STREAM_6 if rest.len() >= 36 => Some((Ipv6Addr::from(*rest.first_chunk::<16>()?), port(32)?).into()),
        _ => None,
    }
}

/// Entry points for fuzzers.
pub mod fuzz {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    /// Takes `data` as what a connection begins with.
    pub fn fuzz_proxy_head(data: &[u8]) {
        for with_signature in [data.to_vec(), [super::SIGNATURE, data].concat()] {
            let mut socket = &with_signature[..];
            // A reader of memory never waits; the time limit around it needs a runtime and is left out.
            let reading = async {
                let mut start = [0; super::SIGNATURE.len()];
                tokio::io::AsyncReadExt::read_exact(&mut socket, &mut start).await?;
                match start == *super::SIGNATURE {
                    true => super::version_2(&mut socket).await,
                    false => super::version_1(&start, &mut socket).await,
                }
            };
            let _ = pin!(reading).poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), io::ErrorKind> {
        let mut socket = bytes;
        let peer = read_head(&mut socket).await.map_err(|error| error.kind())?;
        Ok((peer.map(|peer| peer.to_string()), socket.to_vec()))
    }

    fn head(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, family], &(rest.len() as u16).to_be_bytes(), rest, b"GET"].concat()
    }

    #[tokio::test]
    async fn both_versions_are_read_and_nothing_behind_them() {
        let four = [1, 2, 3, 4, 9, 9, 9, 9, 0, 80, 0, 1, 7, 7, 7];
        let six = [&[0; 15][..], &[1], &[0; 16], &[1, 0, 0, 1]].concat();
        for (bytes, peer) in [
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 80 443\r\nGET".to_vec(), Some("1.2.3.4:80")),
            (b"PROXY TCP6 ::1 ::2 80 443\r\nGET".to_vec(), Some("[::1]:80")),
            (b"PROXY UNKNOWN\r\nGET".to_vec(), None),
            (b"PROXY UNKNOWN a b c\r\nGET".to_vec(), None),
            (head(0x21, 0x11, &four), Some("1.2.3.4:80")),
            (head(0x21, 0x21, &six), Some("[::1]:256")),
            (head(0x20, 0, &[]), None),
        ] {
            assert_eq!(read(&bytes).await, Ok((peer.map(str::to_string), b"GET".to_vec())), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = [&b"PROXY TCP4 "[..], &[b'1'; 200], b"\r\n"].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 ::1 80 443\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 443\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 5.6.7.8 80 443\r\n".to_vec(),
            long,
            head(0x31, 0x11, &[0; 12]),
            head(0x22, 0x11, &[0; 12]),
            head(0x21, 0x12, &[0; 12]),
            head(0x21, 0x11, &[0; 11]),
            head(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
        ] {
            assert_eq!(read(&bytes).await, Err(io::ErrorKind::InvalidData), "{bytes:?}");
            fuzz::fuzz_proxy_head(&bytes);
        }
        assert_eq!(read(b"PROXY TCP4 1.2").await, Err(io::ErrorKind::UnexpectedEof));
        fuzz::fuzz_proxy_head(&[0x21, 0x11, 0, 3, 1]);
    }
}
