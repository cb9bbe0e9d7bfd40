//! Requests, and reading their bodies into memory of a known bound.

use std::{fmt, net::SocketAddr, pin::Pin, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName},
    http::request::Parts,
};

use crate::{multipart, params::Params, percent::plain_path, target::Expected};

/// A sender that is silent for so long in the middle of a body is given up.
const BODY_SILENCE_MAX: Duration = Duration::from_secs(30);
/// A body that takes longer than this as a whole is given up, so that a sender of single bytes cannot hold memory for ever.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);
/// Forms carry queries, not data.
const FORM_BYTES_MAX: usize = 16 << 20;

/// A request.
#[derive(Debug)]
pub struct Request {
    /// Method, address and headers.
    pub head: Parts,
    /// The body, not yet read.
    pub body: RequestBody,
    /// Who asks.
    pub peer: SocketAddr,
    /// The path as handlers see it, if it came in another form.
    plain_path: Option<String>,
    /// Where in it the part begins that they see.
    path_start: usize,
}

/// A body that comes in.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    /// What was given back of the last piece.
    rest: Option<Bytes>,
}

#[derive(Debug)]
enum Source {
    Network(Incoming, Expected),
    Memory(Bytes),
}

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed.
    TooLong {
        /// The limit.
        max: usize,
    },
    /// It came too slowly.
    TooSlow,
    /// The connection broke off.
    Broken(String),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max } => write!(f, "the request body is longer than the allowed {max} bytes"),
            Self::TooSlow => write!(f, "the request body comes too slowly"),
            Self::Broken(why) => write!(f, "cannot read the request body: {why}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl BodyError {
    /// The status of an answer that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl RequestBody {
    /// The body of a request from the network; behind its end the next request is expected.
    pub(crate) fn network(body: Incoming, expected: Expected) -> Self {
        if body.is_end_stream() {
            expected.expect();
        }
        Self { source: Source::Network(body, expected), rest: None }
    }

    /// A body from memory.
    pub fn memory(bytes: impl Into<Bytes>) -> Self {
        Self { source: Source::Memory(bytes.into()), rest: None }
    }

    /// Reads everything behind what `into` holds already; fails as soon as the body turns out longer than `max`.
    pub async fn read(&mut self, into: &mut Vec<u8>, max: usize) -> Result<(), BodyError> {
        tokio::time::timeout(BODY_TIME_MAX, self.read_frames(into, max)).await.map_err(|_| BodyError::TooSlow)?
    }

    /// Gives the rest of a piece back, to be read next.
    pub fn put_back(&mut self, rest: Bytes) {
        debug_assert!(self.rest.is_none(), "BUG: two rests of one piece");
        self.rest = Some(rest);
    }

    async fn read_frames(&mut self, into: &mut Vec<u8>, max: usize) -> Result<(), BodyError> {
        let end = into.len() + max;
        while let Some(data) = self.next_frame().await? {
            if into.len() + data.len() > end {
                return Err(BodyError::TooLong { max });
            }
            into.extend_from_slice(&data);
        }
        Ok(())
    }

    /// The next piece, as it came; `None` at the end.
    pub async fn next_frame(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(rest) = self.rest.take() {
            return Ok(Some(rest));
        }
        let (incoming, expected) = match &mut self.source {
            Source::Memory(bytes) if bytes.is_empty() => return Ok(None),
            Source::Memory(bytes) => return Ok(Some(std::mem::take(bytes))),
            Source::Network(incoming, expected) => (incoming, expected),
        };
        loop {
            let polling = std::future::poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx));
            let frame = tokio::time::timeout(BODY_SILENCE_MAX, polling).await.map_err(|_| BodyError::TooSlow)?;
            if incoming.is_end_stream() {
                expected.expect();
            }
            match frame {
                None => return Ok(None),
                Some(Err(broken)) => return Err(BodyError::Broken(broken.to_string())),
                // Trailers carry nothing for us.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_) => continue,
                },
            }
        }
    }
}

/// Whether a content type is that of forms as browsers send them.
fn is_form(kind: &str) -> bool {
    let name = kind.split(';').next().unwrap_or_default().trim();
    name.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Request {
    /// A request whose body is not yet read.
    pub(crate) fn new(head: Parts, body: RequestBody, peer: SocketAddr) -> Self {
        let plain_path = plain_path(head.uri.path());
        Self { head, body, peer, plain_path, path_start: 0 }
    }

    /// A request from memory, for tests of handlers.
    pub fn in_memory(method: Method, address: &str, body: impl Into<Bytes>) -> Self {
        let request = hyper::Request::builder().method(method).uri(address).body(());
        let (head, ()) = request.expect("the address is valid").into_parts();
        Self::new(head, RequestBody::memory(body), SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The path in its plain form, without what [`Request::strip_prefix`] took away.
    pub fn path(&self) -> &str {
        &self.plain_path.as_deref().unwrap_or(self.head.uri.path())[self.path_start..]
    }

    /// The path as it came.
    pub fn raw_path(&self) -> &str {
        self.head.uri.path()
    }

    /// Takes a prefix away from the path; false if the path has another one. What is left begins with a slash.
    pub fn strip_prefix(&mut self, prefix: &str) -> bool {
        let has_it = self.path().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        if has_it {
            self.path_start += prefix.len();
        }
        has_it
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The declared length of the body.
    pub fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// The arguments of the query string.
    pub fn query_params(&self) -> Params {
        Params::parse(self.head.uri.query().unwrap_or("").as_bytes())
    }

    /// The arguments of the body, if it is a form, and behind them those of the query string: of two with the same name that of the body counts, as in
    /// VictoriaMetrics.
    pub async fn params(&mut self) -> Result<Params, BodyError> {
        let query = self.query_params();
        let kind = self.header(CONTENT_TYPE).filter(|_| self.head.method == Method::POST).unwrap_or("").to_string();
        let boundary = multipart::boundary(&kind);
        if !is_form(&kind) && boundary.is_none() {
            return Ok(query);
        }
        let mut form = Vec::new();
        self.body.read(&mut form, FORM_BYTES_MAX).await?;
        Ok(match boundary {
            // Here it is the other way round, as in VictoriaMetrics.
            Some(boundary) => query.and(Params::from_pairs(multipart::fields(&form, boundary))),
            None => Params::parse(&form).and(query),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let mut body = RequestBody::memory(vec![0; 11]);
        let mut into = vec![9];
        assert_eq!(body.read(&mut into, 10).await, Err(BodyError::TooLong { max: 10 }));
        assert_eq!(into, [9]);
        let mut body = RequestBody::memory(vec![1; 10]);
        assert_eq!(body.read(&mut into, 10).await, Ok(()));
        assert_eq!(into.len(), 11);
    }

    #[test]
    fn a_prefix_is_taken_away_once_and_only_between_slashes() {
        let mut request = Request::in_memory(Method::GET, "/a/b/c?x=/a", "");
        assert!(!request.strip_prefix("/b") && !request.strip_prefix("/a/b/") && !request.strip_prefix("/a/b/c"));
        assert!(request.strip_prefix("/a") && request.strip_prefix(""));
        assert_eq!(request.path(), "/b/c");
        assert!(request.strip_prefix("/b") && request.path() == "/c");
    }

    #[test]
    fn a_path_is_seen_in_its_plain_form() {
        let mut request = Request::in_memory(Method::GET, "//a//%62/c%2F//d?x=//", "");
        assert!(request.strip_prefix("/a"));
        assert_eq!((request.path(), request.raw_path()), ("/b/c%2F/d", "//a//%62/c%2F//d"));
    }

    #[tokio::test]
    async fn arguments_of_forms_stand_before_those_of_the_query() {
        let mut request = Request::in_memory(Method::POST, "/x?a=1", "a=2&b=3");
        let form = "application/x-www-form-urlencoded; charset=UTF-8".parse().expect("a header value");
        request.head.headers.insert(CONTENT_TYPE, form);
        let params = request.params().await.expect("the form is short");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["2", "1"]);
        assert_eq!((params.get("a"), params.get("b")), (Some("2"), Some("3")));

        let parts = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--x--\r\n";
        let mut request = Request::in_memory(Method::POST, "/x?a=1", parts);
        let form = "multipart/form-data; boundary=x".parse().expect("a header value");
        request.head.headers.insert(CONTENT_TYPE, form);
        let params = request.params().await.expect("the form is short");
        assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }
}
