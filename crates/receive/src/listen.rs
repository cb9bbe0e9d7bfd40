//! Lines over plain TCP and UDP: Graphite, Influx, OpenTSDB.
//!
//! 1. Nobody is told what became of his lines, so a connection is read only as fast as the store takes rows: when it cannot, the rows wait and are
//!    tried again, and the sender meets a full socket.
//! 2. Every read of the socket is stored at once, as far as it holds whole lines: what waits while the store writes comes with the next read.
//! 3. Datagrams cannot wait. Those that are there are stored together; what the store refuses then is counted and lost.
//! 4. Connections are bounded in number, the dead ones are found by keep-alive probes. Lines are bounded in length. Balancers may stand before them.

mod connection;
mod datagrams;

use std::{net::SocketAddr, sync::Arc};

use basalt_http::{Accepted, Handler, Listener, ListenerStats, ServerOptions, Stop, accept_each};
use decode::{
    graphite::Graphite,
    influx::{Influx, Precision},
    opentsdb::OpenTsdb,
    rows::LineReader,
};
use tokio::net::UdpSocket;

use crate::{Receiver, stats::Kind};

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

    /// As VictoriaMetrics names the listener in `/metrics`.
    fn metric_name(self) -> &'static str {
        match self {
            Self::Graphite => "graphite",
            Self::Influx => "influx",
            Self::OpenTsdb => "opentsdb",
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
    tcp: Listener,
    udp: UdpSocket,
    address: SocketAddr,
}

impl LineListener {
    /// Takes lines where `listener` is bound, and at the same address over UDP.
    pub async fn bind(protocol: LineProtocol, listener: Listener) -> Result<Self, String> {
        let address = listener.address();
        let udp = UdpSocket::bind(address).await;
        let udp = udp.map_err(|why| format!("cannot listen for datagrams at {address}: {why}"))?;
        Ok(Self { protocol, tcp: listener.named(protocol.metric_name()), udp, address })
    }

    /// The counters of its connections.
    pub fn stats(&self) -> Arc<ListenerStats> {
        self.tcp.stats()
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
    pub async fn serve<H: Handler>(self, receiver: Arc<Receiver>, http: Arc<H>, options: ServerOptions, stop: Stop) {
        let Self { protocol, tcp, udp, address } = self;
        let datagrams = tokio::spawn(datagrams::serve(udp, protocol, Arc::clone(&receiver), stop.clone()));
        let options = Arc::new(options);
        let connection = {
            let (options, stop) = (Arc::clone(&options), stop.clone());
            move |accepted: Accepted| {
                let (receiver, http) = (Arc::clone(&receiver), Arc::clone(&http));
                let (options, stop) = (Arc::clone(&options), stop.clone());
                async move { connection::serve(protocol, accepted, &receiver, http, options, stop).await }
            }
        };
        accept_each(tcp, &options, stop, connection).await;
        if datagrams.await.is_err() {
            log::error!("the task that takes datagrams at {address} ended badly");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpStream};

    use basalt_http::{Request, Response, StatusCode, plain, stop_signal};

    use super::*;
    use crate::testing::{receiver, store};

    struct Greeter;

    impl Handler for Greeter {
        async fn handle(&self, _: Request) -> Response {
            plain(StatusCode::OK, "hello")
        }
    }

    /// Returns as soon as the system has taken the bytes, so that no task of the listener runs meanwhile.
    fn send_at_once(address: SocketAddr, bytes: &str) -> TcpStream {
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.write_all(bytes.as_bytes()).expect("there is room");
        socket
    }

    #[tokio::test]
    async fn lines_that_have_arrived_at_a_stop_are_stored() {
        for (protocol, line, row) in [
            (LineProtocol::Graphite, "m 1 1700000000\n", "0:0 __name__=m 1@1700000000000"),
            (LineProtocol::OpenTsdb, "put m 1700000000 1 a=b\n", "0:0 __name__=m,a=b 1@1700000000000"),
        ] {
            let store = store(100, Ok(()));
            let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
            let listener = LineListener::bind(protocol, listener).await.expect("a free port");
            let address = listener.address;
            let (stopper, stop) = stop_signal();
            let options = ServerOptions::default();
            let serving = tokio::spawn(listener.serve(receiver(&store), Arc::new(Greeter), options, stop));
            let mut before = send_at_once(address, line);
            while store.rows.lock().expect("nobody panics").is_empty() {
                tokio::task::yield_now().await;
            }
            before.write_all(line.as_bytes()).expect("there is room");
            let waiting = [(); 3].map(|()| send_at_once(address, &format!("{line}{line}m 2")));
            stopper.stop();
            serving.await.expect("it ends");
            assert_eq!(store.take(), vec![row; 1 + 1 + 2 * waiting.len()], "whole lines, and no part of one");
        }
    }
}
