//! One connection that sends lines.
//!
//! 1. What is read is stored before more is read.
//! 2. On stop the whole lines that lie in the socket are still read and stored: they were sent before, and there is nobody to send them again.

use std::{future::poll_fn, io, net::SocketAddr, pin::pin, sync::Arc, task::Poll, time::Duration};

use basalt_http::{Accepted, Counted, Handler, ServerOptions, StatusCode, Stop, serve_accepted};
use model::Tenant;
use tasks::may_step_aside;
use tokio::io::AsyncReadExt;

use super::LineProtocol;
use crate::{
    Receiver,
    lines::Position,
    session::{Session, Taken},
};

/// Room for each read of the socket.
const READ_BYTES: usize = 64 << 10;
/// No line is longer.
const LINE_BYTES_MAX: usize = 256 << 10;
/// Silence after which the system asks whether the other side is still there.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);
/// Pause before rows that the store could not take are tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Serves a connection until it ends.
pub async fn serve<H: Handler>(
    protocol: LineProtocol,
    accepted: Accepted,
    receiver: &Receiver,
    http: Arc<H>,
    options: Arc<ServerOptions>,
    stop: Stop,
) {
    accepted.socket.keep_alive_after(KEEP_ALIVE_AFTER);
    if protocol == LineProtocol::OpenTsdb {
        let first = accepted.socket.first_byte().await;
        // Puts begin with a small letter, methods of HTTP with a capital one.
        if first.is_some_and(|byte| byte.is_ascii_uppercase()) {
            return serve_accepted(accepted, options, http, stop).await;
        }
    }
    let Accepted { socket, peer } = accepted;
    Lines { protocol, socket, peer, buffer: Vec::new() }.serve(receiver, stop).await;
}

struct Lines {
    protocol: LineProtocol,
    socket: Counted,
    peer: SocketAddr,
    /// What was read and not stored yet.
    buffer: Vec<u8>,
}

impl Lines {
    async fn serve(mut self, receiver: &Receiver, mut stop: Stop) {
        loop {
            self.buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                read = self.socket.read_buf(&mut self.buffer) => read,
                () = stop.stopped() => break,
            };
            if !self.store(read, receiver, &mut stop).await {
                return;
            }
        }
        // What comes meanwhile was sent after the stop; that may never end.
        let mut left = self.socket.arrived_bytes_max();
        while left > 0 {
            self.buffer.reserve(READ_BYTES);
            let Some(read) = self.read_at_once().await else { return };
            left = left.saturating_sub(*read.as_ref().unwrap_or(&0));
            if !self.store(read, receiver, &mut stop).await {
                return;
            }
        }
    }

    /// Reads what lies in the socket, if anything does.
    async fn read_at_once(&mut self) -> Option<io::Result<usize>> {
        let mut reading = pin!(self.socket.read_buf(&mut self.buffer));
        poll_fn(|cx| match reading.as_mut().poll(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Stores the whole lines of what was read; says whether the connection goes on.
    async fn store(&mut self, read: io::Result<usize>, receiver: &Receiver, stop: &mut Stop) -> bool {
        // What the client sent before it broke off counts as sent.
        let ended = !matches!(read, Ok(1..));
        let end = match memchr::memrchr(b'\n', &self.buffer) {
            _ if ended => self.buffer.len(),
            Some(at) => at + 1,
            None if self.buffer.len() > LINE_BYTES_MAX => {
                log::warn!("closing {}: a line is longer than {LINE_BYTES_MAX} bytes", self.peer);
                return false;
            }
            None => return true,
        };
        let lines = &self.buffer[..end];
        tokio::select! {
            () = may_step_aside(store_lines(receiver, self.protocol, lines)) => {}
            () = given_up(stop) => {
                log::warn!("{} bytes of lines from {} may not be stored: the process stops", lines.len(), self.peer);
                return false;
            }
        }
        self.buffer.drain(..end);
        self.buffer.shrink_to(READ_BYTES);
        !ended
    }
}

/// Resolves some time after the stop, so that rows which can be stored still are.
async fn given_up(stop: &mut Stop) {
    stop.stopped().await;
    tokio::time::sleep(2 * RETRY_PAUSE).await;
}

/// Stores lines, however often that takes.
async fn store_lines(receiver: &Receiver, protocol: LineProtocol, lines: &[u8]) {
    let mut session = Session::new(receiver, Tenant::DEFAULT, protocol.kind(), &receiver.labels.rows);
    session.count_bytes(lines.len() as u64);
    let mut position = Position::default();
    let mut rest = lines;
    while !rest.is_empty() {
        if session.enter(rest.len()).await.is_err() {
            // The gate has made it wait already.
            continue;
        }
        let mut workspace = receiver.pool.workspace();
        let rows = &mut workspace.pairs;
        rest = session.read_until_full(rest, &mut position, &mut *protocol.reader(receiver), rows);
        while let Err(why) = session.insert_rows(rows).await {
            session.leave();
            let name = protocol.name();
            if let Some(held_back) = receiver.rejections.admit((name, StatusCode::SERVICE_UNAVAILABLE)) {
                log::warn!("rows that came by {name} wait for the store: {why} ({held_back} such lines held back)");
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
    note(receiver, protocol, &session.end());
}

/// Logs what was refused for good.
pub fn note(receiver: &Receiver, protocol: LineProtocol, taken: &Taken) {
    let _ = receiver.log_refused(taken, protocol.name());
}
