//! The HTTP/2 connection to a node.
//!
//! 1. It is made when a call needs it, and made again by the next call after it broke. Calls that come meanwhile wait for the same attempt and share its failure.
//! 2. The head of a call and its question are handed over together. They leave as one packet, then: each packet wakes threads on both sides, and for small
//!    questions that is most of what a call costs.
//! 3. A node from which nothing is heard is asked for a sign of life. One that stays silent is given up, with all calls that wait for it.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, RecvStream,
    client::{Builder, SendRequest},
};
use http::{Request, Response, Uri};
use http_body::{Body as _, Frame};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    runtime::Handle,
    time::{Instant, sleep_until, timeout},
};
use tonic::body::Body;
use tower_service::Service;

use crate::{ANSWER_WINDOW_BYTES, ANSWERS_WINDOW_BYTES, FRAME_BYTES_MAX, tls::Connector};

/// How often a silent node is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(1);

type Sender = SendRequest<Bytes>;

/// Where a node is and how it is reached.
pub struct Way {
    /// `http://host:port` or `https://host:port`.
    pub origin: Uri,
    /// A connection is made in this time.
    pub connect_time_max: Duration,
    /// A node that is silent for so long after it was asked for a sign is gone.
    pub silence_max: Duration,
    /// Without it what is said is not hidden.
    pub tls: Option<Connector>,
}

/// See the module. A copy is the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    way: Way,
    runtime: Handle,
    /// The connection that stands, and the number of the attempt that made it.
    open: Mutex<Option<(u64, Sender)>>,
    attempts: tokio::sync::Mutex<Attempts>,
    attempts_failed: AtomicU64,
}

#[derive(Default)]
struct Attempts {
    made: u64,
    failure: Broken,
}

/// Why a call could not be made, or not to its end.
#[derive(Debug, Clone, Default)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<h2::Error> for Broken {
    fn from(why: h2::Error) -> Self {
        Self(why.to_string())
    }
}

impl Connection {
    /// Makes none yet. The runtime does the work once there is some.
    pub fn new(way: Way, runtime: Handle) -> Self {
        let (open, attempts, attempts_failed) = Default::default();
        Self(Arc::new(Shared { way, runtime, open, attempts, attempts_failed }))
    }

    /// Where it leads.
    pub fn origin(&self) -> &Uri {
        &self.0.way.origin
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.0.way.origin)
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Answer>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let mut body = pin!(body);
            let mut sender = shared.sender().await?;
            let (answer, mut question) = sender.send_request(Request::from_parts(head, ()), false)?;
            // It is there already, so that nothing is waited for here; how long it may be is up to who asks.
            let mut last = Bytes::new();
            while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                let frame = frame.map_err(|why| Broken(why.to_string()))?;
                if let Ok(data) = frame.into_data() {
                    let before = std::mem::replace(&mut last, data);
                    if !before.is_empty() {
                        question.send_data(before, false)?;
                    }
                }
            }
            // An end of its own would be another packet.
            question.send_data(last, true)?;
            Ok(answer.await?.map(Answer::new))
        })
    }
}

impl Shared {
    /// A connection that stands.
    async fn sender(&self) -> Result<Sender, Broken> {
        let failed_before = self.attempts_failed.load(Ordering::Acquire);
        if let Some(sender) = self.standing().await {
            return Ok(sender);
        }
        let mut attempts = self.attempts.lock().await;
        if let Some(sender) = self.standing().await {
            return Ok(sender);
        }
        if self.attempts_failed.load(Ordering::Acquire) != failed_before {
            return Err(attempts.failure.clone());
        }
        let Way { connect_time_max, .. } = self.way;
        let connected = timeout(connect_time_max, self.connect()).await;
        let connected = connected.unwrap_or_else(|_| Err(format!("no connection within {connect_time_max:?}")));
        match connected {
            Ok(sender) => {
                attempts.made += 1;
                *self.open.lock() = Some((attempts.made, sender.clone()));
                Ok(sender)
            }
            Err(why) => {
                attempts.failure = Broken(why);
                self.attempts_failed.fetch_add(1, Ordering::Release);
                Err(attempts.failure.clone())
            }
        }
    }

    /// The connection, unless there is none or it is broken.
    async fn standing(&self) -> Option<Sender> {
        let (made, sender) = self.open.lock().clone()?;
        match sender.ready().await {
            Ok(sender) => Some(sender),
            Err(_) => {
                self.open.lock().take_if(|(other, _)| *other == made);
                None
            }
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        let origin = &self.way.origin;
        let host = origin.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let socket = self.dial(bare, origin.port_u16().unwrap_or_default()).await?;
        // Questions are small packets: none may wait until the one before is confirmed.
        socket.set_nodelay(true).map_err(|why| why.to_string())?;
        match &self.way.tls {
            Some(tls) => self.begin(tls.connect(bare, socket).await?).await,
            None => self.begin(socket).await,
        }
    }

    /// Tries the addresses of a name one after the other; one that does not answer leaves time for the others.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(|why| why.to_string())?.collect();
        let time_max = self.way.connect_time_max / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let mut failure = "the name has no address".to_string();
        for address in addresses {
            match timeout(time_max, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => return Ok(socket),
                Ok(Err(why)) => failure = why.to_string(),
                Err(_) => failure = format!("no answer within {time_max:?}"),
            }
        }
        Err(failure)
    }

    async fn begin<S>(&self, socket: S) -> Result<Sender, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let heard = Arc::new(AtomicBool::new(false));
        let mut builder = Builder::new();
        builder
            .initial_window_size(ANSWER_WINDOW_BYTES)
            .initial_connection_window_size(ANSWERS_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .enable_push(false)
            // Questions are given up all the time, and what was on its way for them still comes. Counted as the other side's misbehaviour it would end the
            // connection, and with it the questions of everybody else.
            .max_local_error_reset_streams(None);
        let socket = Heard { socket, heard: Arc::clone(&heard) };
        let (sender, connection) = builder.handshake(socket).await.map_err(|why| why.to_string())?;
        self.runtime.spawn(drive(connection, heard, self.way.silence_max));
        Ok(sender)
    }
}

/// Does the work of a connection until it is closed, broken or silent for too long. Who waits for an answer then is told by its end.
async fn drive<S>(
    mut connection: h2::client::Connection<Heard<S>, Bytes>,
    heard: Arc<AtomicBool>,
    silence_max: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(mut pings) = connection.ping_pong() else { return };
    let mut is_asked = false;
    let mut look_at = Instant::now() + PING_INTERVAL;
    loop {
        tokio::select! {
            biased;
            _ = &mut connection => return,
            sign = poll_fn(|context| pings.poll_pong(context)), if is_asked => {
                if sign.is_err() {
                    return;
                }
                (is_asked, look_at) = (false, Instant::now() + PING_INTERVAL);
                heard.store(false, Ordering::Relaxed);
            }
            () = sleep_until(look_at) => {
                let has_spoken = heard.swap(false, Ordering::Relaxed);
                if is_asked && !has_spoken {
                    return;
                }
                if !is_asked && !has_spoken {
                    if pings.send_ping(Ping::opaque()).is_err() {
                        return;
                    }
                    is_asked = true;
                }
                look_at = Instant::now() + if is_asked { silence_max } else { PING_INTERVAL };
            }
        }
    }
}

/// A socket that notes when something came.
struct Heard<S> {
    socket: S,
    heard: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, into))?;
        if into.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// What comes back: messages, then the trailers that say how it ended.
pub struct Answer {
    stream: RecvStream,
    has_data: bool,
}

impl Answer {
    fn new(stream: RecvStream) -> Self {
        Self { stream, has_data: true }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.has_data {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    // Whoever polls has taken it: the other side may send as much again.
                    let released = self.stream.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(Broken::from)));
                }
                Some(Err(why)) => return Poll::Ready(Some(Err(why.into()))),
                None => self.has_data = false,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(context))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
