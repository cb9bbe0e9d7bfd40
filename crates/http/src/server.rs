//! The life of a connection that speaks HTTP.
//!
//! 1. It is accepted ([`crate::accept_each`]); on a listener with TLS it agrees on keys first, in a bounded time.
//! 2. hyper reads a head (bounded in size, count of headers and time; the same timer ends idle connections) and calls the handler.
//! 3. A connection older than `connection_age_max` is closed after its running request, so that clients spread anew over replicas.
//! 4. On stop a busy connection closes after its request. An idle one closes at once, unless bytes of a request have arrived, be they read or not: a
//!    client that was let in before the stop need not know of it, so that request is answered first. After `drain_max` the rest is cut off.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1::{self, Parts},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};

use crate::{
    accept::{Accepted, accept_each},
    answer::Response,
    counted::{Counted, ListenerStats},
    listener::Listener,
    request::{Request, RequestBody},
    target::{Escaping, Expected},
    tls::Tls,
};

/// A head longer than this is refused; queries travel in it, `-search.maxQueryLen` is far below.
const HEAD_BYTES_MAX: usize = 256 << 10;
/// More headers than this are refused.
const HEADERS_MAX: usize = 100;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the client leaves.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// Bounds of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at once.
    pub connections_max: usize,
    /// A connection without a request is closed after this, and so is one whose head takes longer.
    pub idle_max: Duration,
    /// A connection is closed when it is this old.
    pub connection_age_max: Duration,
    /// Running requests may take this long after a stop.
    pub drain_max: Duration,
    /// Whether a connection may serve more than one request.
    pub keep_alive: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            idle_max: Duration::from_secs(60),
            connection_age_max: Duration::from_secs(120),
            drain_max: Duration::from_secs(7),
            keep_alive: true,
        }
    }
}

/// Makes servers stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Tells that a server has to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// A pair of those.
pub fn stop_signal() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Makes every server with the other half stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Resolves when it is time to stop, also when the [`Stopper`] is gone.
    pub async fn stopped(&mut self) {
        // An error means that the sender is gone, which is a stop as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is time to stop.
    pub fn is_set(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// Serves until it is stopped and drained.
pub async fn serve<H: Handler>(listener: Listener, options: ServerOptions, handler: Arc<H>, stop: Stop) {
    let (options, tls) = (Arc::new(options), listener.tls.clone());
    let connection = {
        let (options, stop) = (Arc::clone(&options), stop.clone());
        move |Accepted { socket, peer }: Accepted| {
            let connection = Connection::new(peer, Arc::clone(&options), socket.stats(), stop.clone());
            connection.begin(socket, tls.clone(), Arc::clone(&handler))
        }
    };
    accept_each(listener, &options, stop, connection).await;
}

/// Speaks HTTP on a connection that was accepted for something else, until it ends.
pub async fn serve_accepted<H: Handler>(accepted: Accepted, options: Arc<ServerOptions>, handler: Arc<H>, stop: Stop) {
    let Accepted { socket, peer } = accepted;
    Connection::new(peer, options, socket.stats(), stop).begin(socket, None, handler).await;
}

struct Connection {
    peer: SocketAddr,
    born: Instant,
    options: Arc<ServerOptions>,
    stats: Arc<ListenerStats>,
    stop: Stop,
    /// Whether the client was told that the connection ends behind an answer.
    said_last: AtomicBool,
}

impl Connection {
    fn new(peer: SocketAddr, options: Arc<ServerOptions>, stats: Arc<ListenerStats>, stop: Stop) -> Self {
        Self { peer, born: Instant::now(), options, stats, stop, said_last: AtomicBool::new(false) }
    }

    async fn begin<H: Handler>(self, socket: Counted, tls: Option<Arc<Tls>>, handler: Arc<H>) {
        socket.send_at_once();
        match tls {
            None => self.run(socket, handler).await,
            Some(tls) => {
                // A client that speaks no TLS, or not ours, is no news.
                if let Ok(socket) = tls.accept(socket).await {
                    self.run(socket, handler).await;
                }
            }
        }
    }

    async fn run<H: Handler>(self, socket: impl AsyncRead + AsyncWrite + Unpin, handler: Arc<H>) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .keep_alive(self.options.keep_alive)
            .header_read_timeout(self.options.idle_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX);
        let expected = Expected::default();
        let answer = |request| self.answer(&*handler, request, expected.clone());
        let socket = Escaping::new(socket, expected.clone());
        let mut running = builder.serve_connection(TokioIo::new(socket), service_fn(answer));
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = &mut running => Some(ended),
            () = stop.stopped() => None,
        };
        // What ends a connection early is the client's affair, and is no news.
        if let Some(ended) = ended {
            if ended.is_ok() {
                running.into_parts().io.into_inner().close().await;
            }
            return;
        }
        Pin::new(&mut running).graceful_shutdown();
        // In a box, so that its room is not part of each connection.
        let ending = Box::pin(async {
            if (&mut running).await.is_err() {
                return;
            }
            // Between two requests hyper ends though the next one lies there, and gives back what it has read of that.
            let Parts { io, read_buf, .. } = running.into_parts();
            let mut socket = io.into_inner();
            if !self.said_last.load(Ordering::Relaxed)
                && expected.is_behind_body()
                && socket.has_arrived(&read_buf).await
            {
                builder.keep_alive(false);
                if builder.serve_connection(TokioIo::new(&mut socket), service_fn(answer)).await.is_err() {
                    return;
                }
            }
            socket.close().await;
        });
        let _ = tokio::time::timeout(self.options.drain_max, ending).await;
    }

    async fn answer<H: Handler>(
        &self,
        handler: &H,
        request: hyper::Request<Incoming>,
        expected: Expected,
    ) -> Result<Response, Infallible> {
        expected.begin();
        let (head, body) = request.into_parts();
        let request = Request::new(head, RequestBody::network(body, expected), self.peer);
        let mut response = handler.handle(request).await;
        let is_old = self.born.elapsed() >= self.age_max();
        if is_old {
            self.stats.aged.add(1);
        }
        if is_old || !self.options.keep_alive || self.stop.is_set() {
            self.said_last.store(true, Ordering::Relaxed);
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }

    /// Up to a tenth longer than asked, by the client's port, so that connections made together do not all end together.
    fn age_max(&self) -> Duration {
        let base = self.options.connection_age_max;
        base + base * u32::from(self.peer.port() % 64) / 640
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;
    use crate::{answer::plain, body::Body};

    struct Echo;

    impl Handler for Echo {
        async fn handle(&self, mut request: Request) -> Response {
            let mut body = Vec::new();
            if let Err(error) = request.body.read(&mut body, 1000).await {
                return plain(hyper::StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
            }
            if request.path() == "/hang" {
                std::future::pending::<()>().await;
            }
            hyper::Response::new(Body::whole(body))
        }
    }

    /// Says who asks.
    struct Who;

    impl Handler for Who {
        async fn handle(&self, request: Request) -> Response {
            plain(hyper::StatusCode::OK, request.peer.to_string())
        }
    }

    fn options() -> ServerOptions {
        ServerOptions {
            connections_max: 8,
            idle_max: Duration::from_secs(60),
            connection_age_max: Duration::from_secs(120),
            drain_max: Duration::from_millis(50),
            keep_alive: true,
        }
    }

    async fn start(options: ServerOptions) -> (SocketAddr, Stopper, tokio::task::JoinHandle<()>) {
        let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
        let address = listener.address();
        let (stopper, stop) = stop_signal();
        (address, stopper, tokio::spawn(serve(listener, options, Arc::new(Echo), stop)))
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        socket.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("the server closes");
        answer
    }

    #[tokio::test]
    async fn addresses_may_come_unescaped_on_every_request_of_a_connection() {
        let (address, _stopper, _server) = start(options()).await;
        let first = "POST /a?\"=<ü> HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\"\"";
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        for round in 0..3 {
            socket.write_all(first.as_bytes()).await.expect("the server reads");
            let mut answer = [0; 1000];
            let mut have = 0;
            while !answer[..have].ends_with(b"\"\"") {
                let len = socket.read(&mut answer[have..]).await.expect("the server answers");
                assert!(len > 0, "closed in round {round}");
                have += len;
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "round {round}: {}", String::from_utf8_lossy(&answer));
        }
    }

    #[tokio::test]
    async fn behind_a_balancer_the_client_is_whom_it_names() {
        let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port").behind_proxy(true);
        let (address, stats) = (listener.address(), listener.stats());
        let (_stopper, stop) = stop_signal();
        tokio::spawn(serve(listener, options(), Arc::new(Who), stop));
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let answer = ask(address, &format!("PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n{request}")).await;
        assert!(answer.ends_with("1.2.3.4:90"), "{answer}");
        let answer = ask(address, &format!("PROXY UNKNOWN\r\n{request}")).await;
        assert!(answer.contains("127.0.0.1:"), "{answer}");
        let mut direct = TcpStream::connect(address).await.expect("the server listens");
        direct.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = Vec::new();
        let _ = direct.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "without the head nobody is answered");
        assert_eq!((stats.accepted.get(), stats.ended.get()), (3, 3));
    }

    #[tokio::test]
    async fn more_connections_wait_for_their_place() {
        let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
        let (address, stats) = (listener.address(), listener.stats());
        let (_stopper, stop) = stop_signal();
        tokio::spawn(serve(listener, ServerOptions { connections_max: 1, ..options() }, Arc::new(Echo), stop));
        let mut first = TcpStream::connect(address).await.expect("the server listens");
        first.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
        assert_eq!(first.read_u8().await.expect("the server answers"), b'H');
        let waiting = tokio::spawn(ask(address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        tokio::task::yield_now().await;
        assert_eq!(stats.accepted.get(), 1, "the second waits in the system's queue");
        drop(first);
        assert!(waiting.await.expect("no panic").starts_with("HTTP/1.1 200"));
        assert_eq!(stats.accepted.get(), 2);
    }

    #[tokio::test]
    async fn it_answers_and_drains() {
        let (address, stopper, server) = start(options()).await;
        let answer =
            ask(address, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
        let idle = TcpStream::connect(address).await.expect("the server listens");
        stopper.stop();
        server.await.expect("the server ends though a connection is idle");
        drop(idle);
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// What ends by itself is done long before.
    const LONG: Duration = Duration::from_secs(30);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    /// A client whose calls return as soon as the system has done its part, so that no task of the server runs meanwhile.
    fn connect_at_once(address: SocketAddr, sends: &[u8]) -> std::net::TcpStream {
        let mut socket = std::net::TcpStream::connect(address).expect("the server listens");
        std::io::Write::write_all(&mut socket, sends).expect("there is room");
        socket
    }

    /// Asks on a connection that stays open, and waits for the answers.
    async fn ask_so_often(socket: &mut TcpStream, requests: usize) {
        for _ in 0..requests {
            socket.write_all(REQUEST).await.expect("the server reads");
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                assert!(socket.read_buf(&mut answer).await.expect("the server answers") > 0, "it is kept open");
            }
        }
    }

    /// What comes until the server closes, which it has done.
    fn rest_of(mut socket: std::net::TcpStream) -> String {
        let mut rest = Vec::new();
        // A server that closes while bytes lie there resets the connection.
        let _ = std::io::Read::read_to_end(&mut socket, &mut rest);
        String::from_utf8(rest).expect("plain text")
    }

    fn is_last_answer(answer: &str) -> bool {
        answer.starts_with("HTTP/1.1 200 OK") && answer.matches("connection: close").count() == 1
    }

    #[tokio::test]
    async fn who_waits_in_the_backlog_at_a_stop_is_answered_if_he_has_asked() {
        for connections_max in [1, 8] {
            let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
            let address = listener.address();
            let (idle, asked) = (connect_at_once(address, b""), [(); 3].map(|()| connect_at_once(address, REQUEST)));
            let (stopper, stop) = stop_signal();
            stopper.stop();
            let options = ServerOptions { connections_max, drain_max: LONG, ..options() };
            let stopped = Instant::now();
            serve(listener, options, Arc::new(Echo), stop).await;
            assert!(stopped.elapsed() < LONG, "the idle one is cut off");
            assert_eq!(rest_of(idle), "");
            for answer in asked.map(rest_of) {
                assert!(is_last_answer(&answer), "{answer}");
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_has_arrived_in_part_at_a_stop_is_answered() {
        for (before_the_stop, read_before) in [(REQUEST, false), (&REQUEST[..20], false), (&REQUEST[..20], true)] {
            for earlier_requests in [0, 1, 2] {
                let case = format!("{} bytes after {earlier_requests} requests", before_the_stop.len());
                let listener = Listener::bind("127.0.0.1:0", false).await.expect("a free port");
                let (address, stats) = (listener.address(), listener.stats());
                let (stopper, stop) = stop_signal();
                let options = ServerOptions { drain_max: LONG, ..options() };
                let server = tokio::spawn(serve(listener, options, Arc::new(Echo), stop));
                let mut socket = TcpStream::connect(address).await.expect("the server listens");
                ask_so_often(&mut socket, earlier_requests).await;
                assert_eq!(socket.try_write(before_the_stop).expect("there is room"), before_the_stop.len());
                let sent = (earlier_requests * REQUEST.len() + before_the_stop.len()) as u64;
                while read_before && stats.read_bytes.get() < sent {
                    tokio::task::yield_now().await;
                }
                stopper.stop();
                // The rest comes only when nobody is let in any more.
                while TcpStream::connect(address).await.is_ok() {}
                socket.write_all(&REQUEST[before_the_stop.len()..]).await.expect("it is still read");
                let mut answer = String::new();
                socket.read_to_string(&mut answer).await.expect("the server closes");
                assert!(is_last_answer(&answer), "{case}: {answer:?}");
                server.await.expect("the server ends");
            }
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_at_a_stop_after_any_number_of_requests() {
        for requests in [0, 1, 2] {
            let (address, stopper, server) = start(ServerOptions { drain_max: LONG, ..options() }).await;
            let mut socket = TcpStream::connect(address).await.expect("the server listens");
            ask_so_often(&mut socket, requests).await;
            let stopped = Instant::now();
            stopper.stop();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.expect("the server closes");
            assert_eq!(answer, "");
            server.await.expect("the server ends");
            assert!(stopped.elapsed() < LONG, "it is cut off");
        }
    }

    #[tokio::test]
    async fn a_hanging_request_is_cut_off() {
        let (address, stopper, server) = start(options()).await;
        let mut socket = TcpStream::connect(address).await.expect("the server listens");
        socket.write_all(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("the server reads");
        stopper.stop();
        server.await.expect("the server ends all the same");
    }

    #[tokio::test]
    async fn an_old_connection_is_closed_after_its_answer() {
        let (address, _stopper, _server) =
            start(ServerOptions { connection_age_max: Duration::ZERO, ..options() }).await;
        let answer = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn without_keep_alive_a_connection_serves_one_request() {
        let (address, _stopper, _server) = start(ServerOptions { keep_alive: false, ..options() }).await;
        let answer = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    }

    #[tokio::test]
    async fn an_idle_connection_and_a_slow_head_are_closed() {
        let (address, _stopper, _server) =
            start(ServerOptions { idle_max: Duration::from_millis(20), ..options() }).await;
        assert_eq!(ask(address, "").await, "");
        let slow = ask(address, "GET / HTTP/1.1\r\nHost: x\r\n").await;
        assert!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
    }
}
