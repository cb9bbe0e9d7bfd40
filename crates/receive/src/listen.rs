//! Lines over plain TCP and UDP: Graphite, Influx, OpenTSDB.
//!
//! 1. Nobody is told what became of his lines, so a connection is read only as fast as the store takes rows: when it cannot, the rows wait and are
//!    tried again, and the sender meets a full socket.
//! 2. Every read of the socket is stored at once, as far as it holds whole lines: what waits while the store writes comes with the next read.
//! 3. Datagrams cannot wait. Those that are there are stored together; what the store refuses then is counted and lost.
//! 4. Connections are bounded in number, the dead ones are found by keep-alive probes. Lines are bounded in length.

mod connection;
mod datagrams;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use basalt_http::{Handler, Listener, ServerOptions, Stop};
use decode::{
    graphite::Graphite,
    influx::{Influx, Precision},
    opentsdb::OpenTsdb,
    rows::LineReader,
};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{Receiver, stats::Kind};

/// Pause after the system refused a connection for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What lines say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineProtocol {
    /// Graphite plaintext.
    Graphite,
    /// Influx line protocol.
    Influx,
    /// OpenTSDB's telnet puts; who begins otherwise speaks HTTP.
    OpenTsdb,
}

impl LineProtocol {
    fn kind(self) -> Kind {
        match self {
            Self::Graphite => Kind::Graphite,
            Self::Influx => Kind::Influx,
            Self::OpenTsdb => Kind::OpenTsdb,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Graphite => "Graphite",
            Self::Influx => "Influx",
            Self::OpenTsdb => "OpenTSDB",
        }
    }

    fn reader(self, receiver: &Receiver) -> Box<dyn LineReader + '_> {
        let (now, doors) = (receiver.clock.now_ms(), &receiver.doors);
        match self {
            Self::Graphite => Box::new(Graphite::new(now, doors.graphite_trim_ms)),
            Self::Influx => Box::new(Influx::new(&doors.influx, String::new(), Precision::Guess, now)),
            Self::OpenTsdb => Box::new(OpenTsdb::new(now, doors.opentsdb_trim_ms)),
        }
    }
}

/// Takes lines at an address.
#[derive(Debug)]
pub struct LineListener {
    protocol: LineProtocol,
    tcp: TcpListener,
    udp: UdpSocket,
    address: SocketAddr,
}

impl LineListener {
    /// Takes lines where `listener` is bound, and at the same address over UDP.
    pub async fn bind(protocol: LineProtocol, listener: Listener) -> Result<Self, String> {
        let address = listener.address();
        let udp = UdpSocket::bind(address).await;
        let udp = udp.map_err(|why| format!("cannot listen for datagrams at {address}: {why}"))?;
        Ok(Self { protocol, tcp: listener.into_socket(), udp, address })
    }

    /// Says in the log that it is there, in the words that scripts wait for.
    pub fn announce(&self) {
        let what = match self.protocol {
            LineProtocol::OpenTsdb => "OpenTSDB collector".to_string(),
            other => format!("{} server", other.name()),
        };
        log::info!("started TCP {what} at \"{}\"", self.address);
        log::info!("started UDP {what} at \"{}\"", self.address);
    }

    /// Serves until it is stopped. Who speaks HTTP at the door of OpenTSDB is handed to `http`.
    pub async fn serve<H: Handler>(
        self,
        receiver: Arc<Receiver>,
        http: Arc<H>,
        options: ServerOptions,
        mut stop: Stop,
    ) {
        let datagrams = datagrams::serve(self.udp, self.protocol, Arc::clone(&receiver), stop.clone());
        let datagrams = tokio::spawn(datagrams);
        let places = Arc::new(Semaphore::new(options.connections_max));
        let options = Arc::new(options);
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.tcp, &places) => accepted,
                () = stop.stopped() => break,
            };
            match accepted {
                Ok((socket, peer, place)) => {
                    let connection = connection::Connection { protocol: self.protocol, socket, peer };
                    let (receiver, http) = (Arc::clone(&receiver), Arc::clone(&http));
                    let (options, stop) = (Arc::clone(&options), stop.clone());
                    tokio::spawn(async move {
                        connection.serve(&receiver, http, options, stop).await;
                        drop(place);
                    });
                }
                Err(refused) => {
                    log::warn!("cannot accept a connection at {}: {refused}", self.address);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        let all = u32::try_from(options.connections_max).unwrap_or(u32::MAX);
        if tokio::time::timeout(options.drain_max, places.acquire_many(all)).await.is_err() {
            log::warn!("connections at {} did not end within {:?} and are cut off", self.address, options.drain_max);
        }
        if datagrams.await.is_err() {
            log::error!("the task that takes datagrams at {} ended badly", self.address);
        }
    }
}

/// Takes a connection as soon as there is a place for it; more wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("BUG: the semaphore is never closed");
    let (socket, peer) = listener.accept().await?;
    Ok((socket, peer, place))
}
