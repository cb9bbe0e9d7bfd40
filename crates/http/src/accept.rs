//! The accept loop, the same for whatever is spoken on a listener.
//!
//! 1. A connection is accepted when one of `connections_max` places is free; more wait in the kernel's backlog and cost nothing here.
//! 2. Behind a balancer it says first whom that speaks for, in a bounded time. One that does not is closed.
//! 3. Then it is served, by a task of its own; its place is free when that ends.
//! 4. On stop the loop ends and the backlog is emptied: to those who wait there the system has said that they are connected, and what they sent was sent
//!    before the stop. Who has sent nothing yet is closed. Then the listener closes.
//! 5. Connections see the stop themselves; what is not done after `drain_max` is left behind.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    counted::{Counted, ListenerStats},
    listener::Listener,
    proxy_protocol,
    server::{ServerOptions, Stop},
};

/// Pause after the system refused a connection for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// So many are taken from the backlog after a stop: no more wait there unless the system is told to let them (`net.core.somaxconn`), and without an
/// end a crowd that goes on connecting would hold up the stop.
const BACKLOG_MAX: usize = 4096;

/// A connection, and who is on its other side.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub socket: Counted,
    /// The client; behind a balancer the one that it names.
    pub peer: SocketAddr,
}

/// Accepts connections and serves each in a task of its own, until it is stopped and they are done.
pub async fn accept_each<F: Future<Output = ()> + Send + 'static>(
    listener: Listener,
    options: &ServerOptions,
    mut stop: Stop,
    serve: impl Fn(Accepted) -> F + Send + Sync + 'static,
) {
    let places = Arc::new(Semaphore::new(options.connections_max));
    let serve = Arc::new(serve);
    let (address, stats, behind_proxy) = (listener.address(), listener.stats(), listener.behind_proxy);
    let begin = |accepted: Accepted, place: OwnedSemaphorePermit| {
        let serve = Arc::clone(&serve);
        tokio::spawn(async move {
            if let Some(accepted) = introduced(accepted, behind_proxy).await {
                serve(accepted).await;
            }
            drop(place);
        });
    };
    loop {
        let (place, accepted) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.stopped() => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                let socket = Counted::new(socket, listener.stats(), stop.clone());
                begin(Accepted { socket, peer }, place);
            }
            Err(refused) => refused_for_now(&refused, address, &stats).await,
        }
    }
    let all = u32::try_from(options.connections_max).unwrap_or(u32::MAX);
    let drained = async {
        empty_backlog(listener, &places, &stop, begin).await;
        // An error would mean that the semaphore is closed, which it never is.
        let _ = places.acquire_many(all).await;
    };
    if tokio::time::timeout(options.drain_max, drained).await.is_err() {
        let open = options.connections_max - places.available_permits();
        log::warn!("{open} connections at {address} did not end within {:?} and are cut off", options.drain_max);
    }
}

/// Waits until a connection has a place.
async fn free_place(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("BUG: the semaphore is never closed")
}

/// Takes a connection as soon as there is a place for it.
async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>) {
    let place = free_place(places).await;
    (place, listener.socket.accept().await)
}

/// Begins with those who wait in the backlog and have sent something; closes the listener behind them.
async fn empty_backlog(
    listener: Listener,
    places: &Arc<Semaphore>,
    stop: &Stop,
    begin: impl Fn(Accepted, OwnedSemaphorePermit),
) {
    let (address, stats) = (listener.address(), listener.stats());
    // The system itself is asked: the runtime may not have heard yet of who is there.
    let waiting = match listener.socket.into_std() {
        Ok(waiting) => waiting,
        Err(why) => return refused_for_now(&why, address, &stats).await,
    };
    for _ in 0..BACKLOG_MAX {
        let place = free_place(places).await;
        let accepted = waiting.accept().and_then(|(socket, peer)| {
            socket.set_nonblocking(true)?;
            Ok((TcpStream::from_std(socket)?, peer))
        });
        match accepted {
            Ok((socket, peer)) => {
                let socket = Counted::new(socket, Arc::clone(&stats), stop.clone());
                if socket.has_arrived() {
                    begin(Accepted { socket, peer }, place);
                }
            }
            Err(none) if none.kind() == ErrorKind::WouldBlock => return,
            Err(refused) => refused_for_now(&refused, address, &stats).await,
        }
    }
}

/// The system has no descriptors or no memory; there may be some when others have ended.
async fn refused_for_now(refused: &io::Error, address: SocketAddr, stats: &ListenerStats) {
    stats.errors.add(1);
    log::warn!("cannot accept a connection at {address}: {refused}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// The connection with the client that its balancer names, if it stands behind one; `None` if it does not introduce itself.
async fn introduced(mut accepted: Accepted, behind_proxy: bool) -> Option<Accepted> {
    if behind_proxy {
        match proxy_protocol::read_head(&mut accepted.socket).await {
            Ok(Some(client)) => accepted.peer = client,
            Ok(None) => {}
            Err(why) => {
                log::debug!("a connection of {} is closed: {why}", accepted.peer);
                return None;
            }
        }
    }
    Some(accepted)
}
