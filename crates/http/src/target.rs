//! Addresses that clients did not escape.
//!
//! `curl 'http://host/api/v1/query?query=up{job="a"}>0'` sends the quotes and the `>` as they are. VictoriaMetrics takes that; hyper answers 400, for the
//! grammar of addresses does not allow them. So they are escaped before hyper sees them:
//!
//! 1. A connection's stream goes through [`Escaping`]. Where a request is expected to begin, it looks at what comes: a method, a blank, and then the
//!    address up to the next blank.
//! 2. In the address `"`, `<`, `>`, the back quote and bytes outside of ASCII become `%22`, `%3C` and so on. Nothing else is touched, no line is
//!    begun or ended, so that no two readers of the stream can differ in where a request ends.
//! 3. A request is expected at the start, and again when hyper has handed out the last byte of the one before. One that was sent together with the
//!    body of the one before is not looked at, which costs it its unescaped quotes and nothing more.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Longer methods there are none.
const METHOD_BYTES_MAX: usize = 16;
/// So much is read to see whether something is there.
const LOOK_BYTES: usize = 1024;

/// Where a connection stands between its requests.
#[derive(Debug, Clone)]
pub struct Expected(Arc<Between>);

#[derive(Debug)]
struct Between {
    /// Whether the next byte that is read begins a request.
    is_next: AtomicBool,
    /// Whether what was not handed out yet belongs to the next request.
    is_behind_body: AtomicBool,
}

impl Default for Expected {
    fn default() -> Self {
        Self(Arc::new(Between { is_next: AtomicBool::new(true), is_behind_body: AtomicBool::new(true) }))
    }
}

impl Expected {
    /// The head of a request was handed out.
    pub fn begin(&self) {
        self.0.is_behind_body.store(false, Ordering::Relaxed);
    }

    /// The last byte of a request was handed out.
    pub fn expect(&self) {
        self.0.is_next.store(true, Ordering::Relaxed);
        self.0.is_behind_body.store(true, Ordering::Relaxed);
    }

    /// Whether all of the last request was handed out, or there was none.
    pub fn is_behind_body(&self) -> bool {
        self.0.is_behind_body.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        self.0.is_next.swap(false, Ordering::Relaxed)
    }
}

/// Where in a request's first line the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In its method, so many bytes of which were seen.
    Method(usize),
    /// In its address.
    Address,
    /// Behind that.
    Elsewhere,
}

/// See the module.
#[derive(Debug)]
pub struct Escaping<S> {
    socket: S,
    expected: Expected,
    place: Place,
    /// Escaped bytes that did not fit into the reader's buffer, and how many of them it has.
    held: Vec<u8>,
    given: usize,
}

impl<S> Escaping<S> {
    /// Escapes addresses in what comes from `socket`.
    pub fn new(socket: S, expected: Expected) -> Self {
        Self { socket, expected, place: Place::Elsewhere, held: Vec::new(), given: 0 }
    }

    /// Puts bytes that were read of it back before those that come next.
    fn give_back(&mut self, bytes: &[u8]) {
        self.held = [bytes, &self.held[self.given..]].concat();
        self.given = 0;
    }

    /// Escapes what was read; `None` if there is nothing to escape.
    fn escape(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !bytes.is_empty() && self.expected.take() {
            self.place = Place::Method(0);
        }
        if self.place == Place::Elsewhere {
            return None;
        }
        let mut out: Option<Vec<u8>> = None;
        for (at, byte) in bytes.iter().enumerate() {
            let needs_it = self.place == Place::Address && (matches!(byte, b'"' | b'<' | b'>' | b'`') || *byte >= 0x80);
            if needs_it {
                let out = out.get_or_insert_with(|| bytes[..at].to_vec());
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else if let Some(out) = &mut out {
                out.push(*byte);
            }
            self.place = behind(self.place, *byte);
            if self.place == Place::Elsewhere {
                if let Some(out) = &mut out {
                    out.extend_from_slice(&bytes[at + 1..]);
                }
                break;
            }
        }
        out
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.held[self.given..];
        let fits = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..fits]);
        self.given += fits;
        if self.given == self.held.len() {
            self.held = Vec::new();
            self.given = 0;
        }
    }
}

/// The place behind a byte.
fn behind(place: Place, byte: u8) -> Place {
    match (place, byte) {
        // Some clients send an empty line first.
        (Place::Method(0), b'\r' | b'\n') => Place::Method(0),
        (Place::Method(len), b'A'..=b'Z') if len < METHOD_BYTES_MAX => Place::Method(len + 1),
        (Place::Method(1..), b' ') => Place::Address,
        (Place::Address, byte) if byte > b' ' => Place::Address,
        _ => Place::Elsewhere,
    }
}

impl<S: AsyncRead + Unpin> Escaping<S> {
    /// Gives back what was read of it and not used; says whether anything is there to be read then, without waiting for it.
    pub async fn has_arrived(&mut self, unused: &[u8]) -> bool {
        self.give_back(unused);
        if self.held.is_empty() {
            let mut room = [0; LOOK_BYTES];
            let mut look = ReadBuf::new(&mut room);
            // An error comes again when it is read in earnest.
            let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut *self).poll_read(cx, &mut look))).await;
            self.give_back(look.filled());
        }
        !self.held.is_empty()
    }
}

impl<S: AsyncWrite + Unpin> Escaping<S> {
    /// Ends the connection.
    pub async fn close(mut self) {
        // The client may be gone already.
        let _ = self.socket.shutdown().await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Escaping<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
            let Some(escaped) = this.escape(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            this.held = escaped;
            buffer.set_filled(before);
        }
        this.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Escaping<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Only sends what is left to send: whether the connection ends with hyper's work on it is not for hyper to say, see [`Escaping::close`].
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.poll_flush(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What arrives of a text that comes in pieces of `size` bytes, to a reader of as much at once.
    async fn through(text: &[u8], size: usize) -> Vec<u8> {
        let (mut one, other) = tokio::io::duplex(size);
        let text = text.to_vec();
        let sending = tokio::spawn(async move { tokio::io::AsyncWriteExt::write_all(&mut one, &text).await });
        let mut escaping = Escaping::new(other, Expected::default());
        let mut arrived = Vec::new();
        let mut piece = vec![0; size];
        loop {
            let len = escaping.read(&mut piece).await.expect("it reads");
            if len == 0 {
                break;
            }
            arrived.extend_from_slice(&piece[..len]);
        }
        sending.await.expect("no panic").expect("it writes");
        arrived
    }

    #[tokio::test]
    async fn only_the_address_of_the_first_request_is_escaped() {
        for (text, want) in [
            (
                "GET /q?query=a{b=\"ü\"}>`1 HTTP/1.1\r\nX: \"<ü>\"\r\n\r\nGET /\"",
                "GET /q?query=a{b=%22%C3%BC%22}%3E%601 HTTP/1.1\r\nX: \"<ü>\"\r\n\r\nGET /\"",
            ),
            ("\r\nPOST /\" x", "\r\nPOST /%22 x"),
            ("GET /a\n\"", "GET /a\n\""),
            ("get /\"", "get /\""),
            (" GET /\"", " GET /\""),
            ("AMETHODTHATISTOOLONG /\"", "AMETHODTHATISTOOLONG /\""),
            ("\"\"\"", "\"\"\""),
        ] {
            for size in [1, 2, 3, 7, 1000] {
                let arrived = through(text.as_bytes(), size).await;
                assert_eq!(String::from_utf8_lossy(&arrived), want, "in pieces of {size}");
            }
        }
    }

    #[tokio::test]
    async fn the_next_request_is_looked_at_when_it_is_expected() {
        let expected = Expected::default();
        let mut escaping = Escaping::new(tokio::io::empty(), expected.clone());
        assert_eq!(escaping.escape(b"GET /\" HTTP/1.1\r\n").as_deref(), Some(&b"GET /%22 HTTP/1.1\r\n"[..]));
        assert_eq!(escaping.escape(b"GET /\" HTTP/1.1\r\n"), None, "this may be a body");
        expected.expect();
        assert_eq!(escaping.escape(b""), None);
        assert_eq!(escaping.escape(b"GET /"), None);
        assert_eq!(escaping.escape(b"\">").as_deref(), Some(&b"%22%3E"[..]));
    }
}
