//! What goes over a listener's connections, counted for `/metrics`.
//!
//! The runtime hears from the system some time later that something lies in a socket, and until then says that nothing does. After a stop that will not
//! do: what was sent before would be dropped with its connection. So from then on a read that has nothing to give has asked the system itself.

use std::{
    fmt::Display,
    io::{self, ErrorKind, IoSlice, Read},
    mem::MaybeUninit,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    metrics::{Counter, MetricsSource, MetricsText},
    server::Stop,
};

/// Counters of a listener.
#[derive(Debug)]
pub struct ListenerStats {
    name: &'static str,
    address: String,
    pub(crate) accepted: Counter,
    pub(crate) ended: Counter,
    pub(crate) errors: Counter,
    pub(crate) aged: Counter,
    reads: Counter,
    pub(crate) read_bytes: Counter,
    writes: Counter,
    written_bytes: Counter,
}

impl ListenerStats {
    /// Counters of the listener of this name, at an address.
    pub fn new(name: &'static str, address: impl Display) -> Self {
        Self {
            name,
            address: address.to_string(),
            accepted: Counter::default(),
            ended: Counter::default(),
            errors: Counter::default(),
            aged: Counter::default(),
            reads: Counter::default(),
            read_bytes: Counter::default(),
            writes: Counter::default(),
            written_bytes: Counter::default(),
        }
    }

    fn read(&self, bytes: usize) {
        self.reads.add(1);
        self.read_bytes.add(bytes as u64);
    }

    fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.writes.add(1);
            self.written_bytes.add(*bytes as u64);
        }
    }
}

impl MetricsSource for ListenerStats {
    fn write_metrics(&self, out: &mut MetricsText) {
        let (name, address) = (self.name, &self.address);
        let labels = format!("{{name=\"{name}\", addr=\"{address}\"}}");
        let open = self.accepted.get().saturating_sub(self.ended.get());
        out.line(format_args!("vm_tcplistener_conns{labels}"), open);
        for (metric, counter) in [
            ("accepts_total", &self.accepted),
            ("read_calls_total", &self.reads),
            ("read_bytes_total", &self.read_bytes),
            ("write_calls_total", &self.writes),
            ("written_bytes_total", &self.written_bytes),
        ] {
            out.line(format_args!("vm_tcplistener_{metric}{labels}"), counter.get());
        }
        let errors = format!("{{name=\"{name}\", addr=\"{address}\", type=\"accept\"}}");
        out.line(format_args!("vm_tcplistener_errors_total{errors}"), self.errors.get());
        out.line(format_args!("vm_http_conn_timeout_closed_conns_total{labels}"), self.aged.get());
    }
}

/// A connection whose traffic is counted.
#[derive(Debug)]
pub struct Counted {
    socket: TcpStream,
    stats: Arc<ListenerStats>,
    stop: Stop,
}

impl Counted {
    /// Counts from here to the connection's end.
    pub fn new(socket: TcpStream, stats: Arc<ListenerStats>, stop: Stop) -> Self {
        stats.accepted.add(1);
        Self { socket, stats, stop }
    }

    /// The counters of its listener.
    pub fn stats(&self) -> Arc<ListenerStats> {
        Arc::clone(&self.stats)
    }

    /// Waits for the first byte and leaves it where it is; `None` when there will be none, or there was none at a stop.
    pub async fn first_byte(&self) -> Option<u8> {
        let mut stop = self.stop.clone();
        let left_silent = async {
            stop.stopped().await;
            if self.has_arrived() {
                std::future::pending::<()>().await;
            }
        };
        let mut first = [0];
        let peeked = tokio::select! {
            peeked = self.socket.peek(&mut first) => peeked,
            () = left_silent => return None,
        };
        matches!(peeked, Ok(1..)).then_some(first[0])
    }

    /// Whether bytes lie in the socket, be it that the runtime has heard of them or not.
    pub fn has_arrived(&self) -> bool {
        matches!(SockRef::from(&self.socket).peek(&mut [MaybeUninit::uninit()]), Ok(1..))
    }

    /// More bytes than this cannot lie in the socket now.
    pub fn arrived_bytes_max(&self) -> usize {
        // Of a socket that cannot be asked nothing can be read either.
        SockRef::from(&self.socket).recv_buffer_size().unwrap_or(0)
    }

    /// Answers are written whole; waiting to fill packets would only delay small ones.
    pub fn send_at_once(&self) {
        // Without it answers come a little later; nothing else depends on it.
        let _ = self.socket.set_nodelay(true);
    }

    /// Lets the system ask after so much silence whether the other side is still there.
    pub fn keep_alive_after(&self, silence: Duration) {
        // Without it a dead peer is found when the process ends; nothing else depends on it.
        let _ = SockRef::from(&self.socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(silence));
    }

    /// Reads what lies in the socket though the runtime has not heard of it. If that is nothing, the runtime wakes the reader later as ever.
    fn read_unheard(&self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match (&*SockRef::from(&self.socket)).read(buffer.initialize_unfilled()) {
            Ok(len) => buffer.advance(len),
            Err(none) if none.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            Err(why) => return Poll::Ready(Err(why)),
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.ended.add(1);
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut polled = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if polled.is_pending() && self.stop.is_set() {
            polled = self.read_unheard(buffer);
        }
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.stats.read(buffer.filled().len() - before);
        }
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.stats.wrote(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.stats.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
