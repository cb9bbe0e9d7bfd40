//! Lines in datagrams.

use std::sync::Arc;

use basalt_http::Stop;
use model::Tenant;
use tasks::may_step_aside;
use tokio::net::UdpSocket;

use super::{LineProtocol, connection::note};
use crate::{Receiver, lines::Position, rejection::Rejection, session::Session};

/// No datagram is longer.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// Datagrams are gathered up to here before they are stored.
const GATHERED_BYTES: usize = 256 << 10;

/// Takes datagrams until it is stopped.
pub async fn serve(socket: UdpSocket, protocol: LineProtocol, receiver: Arc<Receiver>, mut stop: Stop) {
    let mut buffer = vec![0; GATHERED_BYTES + DATAGRAM_BYTES_MAX + 1];
    loop {
        let received = tokio::select! {
            received = socket.recv(&mut buffer) => received,
            () = stop.stopped() => return,
        };
        // Errors of datagrams are about single ones.
        let Ok(mut len) = received else { continue };
        while len < GATHERED_BYTES {
            buffer[len] = b'\n';
            match socket.try_recv(&mut buffer[len + 1..]) {
                Ok(more) => len += 1 + more,
                Err(_) => break,
            }
        }
        if let Err(why) = may_step_aside(store(&receiver, protocol, &buffer[..len])).await
            && let Some(held_back) = receiver.rejections.admit((protocol.metric_name(), why.status()))
        {
            log::warn!(
                "{len} bytes of {} datagrams are lost: {why} ({held_back} such lines held back)",
                protocol.name()
            );
        }
    }
}

async fn store(receiver: &Receiver, protocol: LineProtocol, lines: &[u8]) -> Result<(), Rejection> {
    let mut session = Session::new(receiver, Tenant::DEFAULT, protocol.kind(), &receiver.labels.rows);
    session.count_bytes(lines.len() as u64);
    session.enter(lines.len()).await?;
    let mut workspace = receiver.pool.workspace();
    let rows = &mut workspace.pairs;
    session.read_chunk(lines, &mut Position::default(), &mut *protocol.reader(receiver), rows).await?;
    session.insert_rows(rows).await?;
    note(receiver, protocol, &session.end());
    Ok(())
}
