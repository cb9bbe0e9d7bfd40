//! One connection that sends lines.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use basalt_http::{Accepted, Counted, Handler, ServerOptions, StatusCode, Stop, serve_accepted};
use model::Tenant;
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
    mut stop: Stop,
) {
    accepted.socket.keep_alive_after(KEEP_ALIVE_AFTER);
    if protocol == LineProtocol::OpenTsdb {
        let first = tokio::select! {
            first = accepted.socket.first_byte() => first,
            () = stop.stopped() => return,
        };
        // Puts begin with a small letter, methods of HTTP with a capital one.
        if first.is_some_and(|byte| byte.is_ascii_uppercase()) {
            return serve_accepted(accepted, options, http, stop).await;
        }
    }
    let Accepted { socket, peer } = accepted;
    Lines { protocol, socket, peer }.serve(receiver, stop).await;
}

struct Lines {
    protocol: LineProtocol,
    socket: Counted,
    peer: SocketAddr,
}

impl Lines {
    async fn serve(mut self, receiver: &Receiver, mut stop: Stop) {
        let mut buffer = Vec::new();
        loop {
            buffer.reserve(READ_BYTES);
            let read = tokio::select! {
                read = self.socket.read_buf(&mut buffer) => read,
                () = stop.stopped() => return,
            };
            // What the client sent before it broke off counts as sent.
            let ended = !matches!(read, Ok(1..));
            let end = match memchr::memrchr(b'\n', &buffer) {
                _ if ended => buffer.len(),
                Some(at) => at + 1,
                None if buffer.len() > LINE_BYTES_MAX => {
                    log::warn!("closing {}: a line is longer than {LINE_BYTES_MAX} bytes", self.peer);
                    return;
                }
                None => continue,
            };
            let lines = &buffer[..end];
            tokio::select! {
                () = store_lines(receiver, self.protocol, lines) => {}
                () = given_up(&mut stop) => {
                    log::warn!("{} bytes of lines from {} may not be stored: the process stops", lines.len(), self.peer);
                    return;
                }
            }
            if ended {
                return;
            }
            buffer.drain(..end);
            buffer.shrink_to(READ_BYTES);
        }
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
        if session.enter().await.is_err() {
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
