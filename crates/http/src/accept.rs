//! The accept loop, the same for whatever is spoken on a listener.
//!
//! 1. A connection is accepted when one of `connections_max` places is free; more wait in the kernel's backlog and cost nothing here.
//! 2. Behind a balancer it says first whom that speaks for, in a bounded time. One that does not is closed.
//! 3. Then it is served, by a task of its own; its place is free when that ends.
//! 4. On stop the loop ends and the listener closes. Connections see the stop themselves; what is not done after `drain_max` is left behind.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    counted::Counted,
    listener::Listener,
    proxy_protocol,
    server::{ServerOptions, Stop},
};

/// Pause after the system refused a connection for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
    let address = listener.address();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.stopped() => break,
        };
        match accepted {
            Ok((socket, peer, place)) => {
                let accepted = Accepted { socket: Counted::new(socket, listener.stats()), peer };
                let (serve, behind_proxy) = (Arc::clone(&serve), listener.behind_proxy);
                tokio::spawn(async move {
                    if let Some(accepted) = introduced(accepted, behind_proxy).await {
                        serve(accepted).await;
                    }
                    drop(place);
                });
            }
            Err(refused) => {
                listener.stats.errors.add(1);
                log::warn!("cannot accept a connection at {address}: {refused}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = u32::try_from(options.connections_max).unwrap_or(u32::MAX);
    if tokio::time::timeout(options.drain_max, places.acquire_many(all)).await.is_err() {
        let open = options.connections_max - places.available_permits();
        log::warn!("{open} connections at {address} did not end within {:?} and are cut off", options.drain_max);
    }
}

/// Takes a connection as soon as there is a place for it.
async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("BUG: the semaphore is never closed");
    let (socket, peer) = listener.socket.accept().await?;
    Ok((socket, peer, place))
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
