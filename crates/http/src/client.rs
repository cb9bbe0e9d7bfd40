//! Requests to other servers: configuration that is fetched, metrics that are pushed, requests that are handed on.
//!
//! 1. The host's name is resolved ([`crate::Resolver`]), its addresses are tried in turn, TLS is agreed on if the address says so. The certificates that
//!    are trusted are read through a function of the operator's side.
//! 2. One request goes over the connection, and its answer comes back whole, in memory of a known bound.
//! 3. All of it happens in a bounded time. What is asked here is seldom and small, so that connections are not kept.

use std::{fmt, io, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Body as _,
    client::conn::http1,
    header::{AUTHORIZATION, HOST, HeaderValue, LOCATION, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{
    answer::Response,
    body::Body,
    resolve::{ReadFile, Resolver},
    tls::{ReadRoots, connect_tls},
    url::{Url, UrlError},
};

/// One address's time to answer at all.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;

/// See the module.
pub struct Client {
    resolver: Resolver,
    roots: ReadRoots,
}

/// What is asked.
#[derive(Debug)]
pub struct Asking {
    /// How.
    pub method: Method,
    /// Further headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// A longer answer is refused.
    pub answer_bytes_max: usize,
    /// Everything together takes no longer.
    pub time_max: Duration,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientError {
    /// The server could not be reached.
    Unreachable(String),
    /// The exchange broke off.
    Broken(String),
    /// The answer is longer than allowed.
    TooLong(usize),
    /// It took too long.
    TooSlow(Duration),
    /// The answer was another status than a good one.
    Status(StatusCode),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot connect: {why}"),
            Self::Broken(why) => write!(f, "the exchange broke off: {why}"),
            Self::TooLong(max) => write!(f, "the answer is longer than {max} bytes"),
            Self::TooSlow(max) => write!(f, "no answer within {max:?}"),
            Self::Status(status) => write!(f, "the answer is {status}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<UrlError> for ClientError {
    fn from(error: UrlError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.resolver)
    }
}

impl Asking {
    /// A GET without more.
    pub fn get(answer_bytes_max: usize, time_max: Duration) -> Self {
        Self { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new(), answer_bytes_max, time_max }
    }
}

impl Answered {
    /// The same as an answer of ours.
    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::whole(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// Ends the work for a connection with whoever waits for it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// A client that reads the system's files, and the certificates that it trusts, through functions.
    pub fn new(read: ReadFile, roots: ReadRoots) -> Self {
        Self { resolver: Resolver::new(read), roots }
    }

    /// Fetches what an address names; redirects are followed, and anything but a good status is an error.
    pub async fn fetch(&self, url: &Url, bytes_max: usize, time_max: Duration) -> Result<Vec<u8>, ClientError> {
        let fetching = async {
            let mut url = url.clone();
            for _ in 0..=REDIRECTS_MAX {
                let answered = self.exchange(&url, Asking::get(bytes_max, time_max)).await?;
                match answered.headers.get(LOCATION).filter(|_| answered.status.is_redirection()) {
                    Some(location) => url = url.redirected(location.to_str().unwrap_or_default())?,
                    None if answered.status.is_success() => return Ok(answered.body),
                    None => return Err(ClientError::Status(answered.status)),
                }
            }
            Err(ClientError::Broken(format!("more than {REDIRECTS_MAX} redirects")))
        };
        tokio::time::timeout(time_max, fetching).await.map_err(|_| ClientError::TooSlow(time_max))?
    }

    /// Asks once, and takes whatever comes back.
    pub async fn ask(&self, url: &Url, asking: Asking) -> Result<Answered, ClientError> {
        let time_max = asking.time_max;
        let exchange = self.exchange(url, asking);
        tokio::time::timeout(time_max, exchange).await.map_err(|_| ClientError::TooSlow(time_max))?
    }

    async fn exchange(&self, url: &Url, asking: Asking) -> Result<Answered, ClientError> {
        let broken = |why: hyper::Error| ClientError::Broken(why.to_string());
        let socket = self.connect(url).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
        // What ends the connection is told to whoever waits for the answer.
        let _driver = Driver(tokio::spawn(async move { drop(connection.await) }));
        let max = asking.answer_bytes_max;
        let answer = sender.send_request(request(url, asking)).await.map_err(broken)?;
        let (head, mut incoming) = answer.into_parts();
        let mut body = Vec::new();
        loop {
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut incoming).poll_frame(cx)).await;
            let Some(frame) = frame else { break };
            let data = frame.map_err(broken)?.into_data().unwrap_or_default();
            if body.len() + data.len() > max {
                return Err(ClientError::TooLong(max));
            }
            body.extend_from_slice(&data);
        }
        Ok(Answered { status: head.status, headers: head.headers, body })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Socket>, ClientError> {
        let unreachable = |why: &dyn fmt::Display| ClientError::Unreachable(format!("{}: {why}", url.authority()));
        let addresses = self.resolver.resolve(&url.host).await.map_err(|why| unreachable(&why))?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            let connecting = TcpStream::connect((address, url.port));
            match tokio::time::timeout(CONNECT_MAX, connecting).await {
                Ok(Ok(socket)) if url.tls => {
                    let roots = (self.roots)().map_err(|why| unreachable(&why))?;
                    return Ok(Box::new(
                        connect_tls(socket, &url.host, &roots).await.map_err(|why| unreachable(&why))?,
                    ));
                }
                Ok(Ok(socket)) => return Ok(Box::new(socket)),
                Ok(Err(why)) => last = why,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(unreachable(&last))
    }
}

fn request(url: &Url, asking: Asking) -> hyper::Request<Body> {
    let mut request = hyper::Request::new(Body::whole(asking.body));
    *request.method_mut() = asking.method;
    *request.uri_mut() = url.target.parse().expect("BUG: an address was checked when it was read");
    let host = HeaderValue::try_from(url.authority()).expect("BUG: an address was checked when it was read");
    let headers = request.headers_mut();
    *headers = asking.headers;
    headers.insert(HOST, host);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("basalt"));
    if let Some(authorization) = &url.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    request
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use super::*;
    use crate::{
        Handler, Listener, PemFiles, Request, ServerOptions, Stopper, Tls, TlsOptions, answer::plain, serve,
        stop_signal,
    };

    /// Answers with what it was asked; `/again` leads to `/there`, `/round` to itself.
    struct Echo;

    impl Handler for Echo {
        async fn handle(&self, mut request: Request) -> Response {
            let mut body = Vec::new();
            request.body.read(&mut body, 1 << 20).await.expect("a short body");
            let to = match request.path() {
                "/again" => Some("there?x=1"),
                "/round" => Some("/round"),
                _ => None,
            };
            if let Some(to) = to {
                let mut response = plain(StatusCode::FOUND, "");
                response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
                return response;
            }
            if request.path() == "/hang" {
                std::future::pending::<()>().await;
            }
            let status = if request.path() == "/bad" { StatusCode::IM_A_TEAPOT } else { StatusCode::OK };
            let said = request.header(AUTHORIZATION).unwrap_or("nobody").to_string();
            let body = String::from_utf8(body).expect("text");
            plain(status, format!("{} {} {said} {body}", request.method(), request.head.uri))
        }
    }

    async fn start(tls: Option<Tls>) -> (SocketAddr, Stopper) {
        let listener = Listener::bind("127.0.0.1:0", false).await.expect("a port").with_tls(tls.map(Arc::new));
        let address = listener.address();
        let (stopper, stop) = stop_signal();
        tokio::spawn(serve(listener, ServerOptions::default(), Arc::new(Echo), stop));
        (address, stopper)
    }

    fn client(roots: Vec<u8>) -> Client {
        Client::new(|_| None, Box::new(move || Ok(roots.clone())))
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a good address")
    }

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn it_asks_and_follows() {
        let (address, _stopper) = start(None).await;
        let client = client(Vec::new());
        let fetch = async |path: &str, max| {
            let fetched = client.fetch(&url(&format!("http://u:p@{address}{path}")), max, SOON).await;
            fetched.map(|bytes| String::from_utf8(bytes).expect("text"))
        };
        assert_eq!(fetch("/x?y=z", 1000).await, Ok("GET /x?y=z Basic dTpw ".to_string()));
        assert_eq!(fetch("/again", 1000).await, Ok("GET /there?x=1 Basic dTpw ".to_string()));
        assert!(fetch("/round", 1000).await.is_err_and(|why| why.to_string().contains("redirects")));
        assert_eq!(fetch("/x", 5).await, Err(ClientError::TooLong(5)));
        assert_eq!(fetch("/bad", 1000).await, Err(ClientError::Status(StatusCode::IM_A_TEAPOT)));
        let asking = Asking { method: Method::POST, body: "hello".into(), ..Asking::get(1000, SOON) };
        let answered =
            client.ask(&url(&format!("http://localhost:{}/bad", address.port())), asking).await.expect("one");
        assert_eq!((answered.status.as_u16(), answered.body), (418, b"POST /bad nobody hello".to_vec()));
        let short = Duration::from_millis(50);
        let hanging = client.ask(&url(&format!("http://{address}/hang")), Asking::get(1, short)).await;
        assert!(matches!(hanging, Err(ClientError::TooSlow(max)) if max == short));
        let nobody = client.fetch(&url("http://127.0.0.1:1/"), 1, SOON).await;
        assert!(matches!(nobody, Err(ClientError::Unreachable(_))), "{nobody:?}");
    }

    #[tokio::test]
    async fn it_trusts_only_certificates_that_it_is_told_of() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).expect("a certificate is made");
        let certificates = made.cert.pem().into_bytes();
        let files = PemFiles {
            certificates: certificates.clone(),
            key: made.signing_key.serialize_pem().into_bytes(),
            clients: None,
        };
        let tls = Tls::new(Box::new(move || Ok(files.clone())), TlsOptions::default()).expect("a good pair");
        let (address, _stopper) = start(Some(tls)).await;
        let url = url(&format!("https://localhost:{}/x", address.port()));
        assert_eq!(client(certificates).fetch(&url, 1000, SOON).await, Ok(b"GET /x nobody ".to_vec()));
        let strange = rcgen::generate_simple_self_signed(["localhost".to_string()]).expect("a certificate is made");
        for roots in [Vec::new(), strange.cert.pem().into_bytes()] {
            assert!(matches!(client(roots).fetch(&url, 1000, SOON).await, Err(ClientError::Unreachable(_))));
        }
    }
}
