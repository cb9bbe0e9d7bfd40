//! The life of a connection that speaks HTTP.
//!
//! 1. It is accepted ([`crate::accept_each`]); on a listener with TLS it agrees on keys first, in a bounded time.
//! 2. hyper reads a head (bounded in size, count of headers and time; the same timer ends idle connections) and calls the handler.
//! 3. A connection older than `connection_age_max` is closed after its running request, so that clients spread anew over replicas.
//! 4. On stop idle connections close at once, busy ones after their request; after `drain_max` the rest is cut off.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
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
}

/// Serves until it is stopped and drained.
pub async fn serve<H: Handler>(listener: Listener, options: ServerOptions, handler: Arc<H>, stop: Stop) {
    let (options, tls) = (Arc::new(options), listener.tls.clone());
    let connection = {
        let (options, stop) = (Arc::clone(&options), stop.clone());
        move |Accepted { socket, peer }: Accepted| {
            let connection =
                Connection { peer, born: Instant::now(), options: Arc::clone(&options), stats: socket.stats() };
            connection.begin(socket, tls.clone(), Arc::clone(&handler), stop.clone())
        }
    };
    accept_each(listener, &options, stop, connection).await;
}

/// Speaks HTTP on a connection that was accepted for something else, until it ends.
pub async fn serve_accepted<H: Handler>(accepted: Accepted, options: Arc<ServerOptions>, handler: Arc<H>, stop: Stop) {
    let Accepted { socket, peer } = accepted;
    Connection { peer, born: Instant::now(), options, stats: socket.stats() }.begin(socket, None, handler, stop).await;
}

struct Connection {
    peer: SocketAddr,
    born: Instant,
    options: Arc<ServerOptions>,
    stats: Arc<ListenerStats>,
}

impl Connection {
    async fn begin<H: Handler>(self, socket: Counted, tls: Option<Arc<Tls>>, handler: Arc<H>, stop: Stop) {
        socket.send_at_once();
        match tls {
            None => self.run(socket, handler, stop).await,
            Some(tls) => {
                // A client that speaks no TLS, or not ours, is no news.
                if let Ok(socket) = tls.accept(socket).await {
                    self.run(socket, handler, stop).await;
                }
            }
        }
    }

    async fn run<H: Handler>(self, socket: impl AsyncRead + AsyncWrite + Unpin, handler: Arc<H>, mut stop: Stop) {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .keep_alive(self.options.keep_alive)
            .header_read_timeout(self.options.idle_max)
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX);
        let expected = Expected::default();
        let service = service_fn(|request| self.answer(&*handler, request, expected.clone()));
        let socket = Escaping::new(socket, expected.clone());
        let mut running = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), service));
        // What ends a connection early is the client's affair, and is no news.
        tokio::select! {
            _ = running.as_mut() => return,
            () = stop.stopped() => running.as_mut().graceful_shutdown(),
        }
        let _ = tokio::time::timeout(self.options.drain_max, running).await;
    }

    async fn answer<H: Handler>(
        &self,
        handler: &H,
        request: hyper::Request<Incoming>,
        expected: Expected,
    ) -> Result<Response, Infallible> {
        let (head, body) = request.into_parts();
        let request = Request::new(head, RequestBody::network(body, expected), self.peer);
        let mut response = handler.handle(request).await;
        if self.born.elapsed() >= self.age_max() {
            self.stats.aged.add(1);
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
