//! A small blocking HTTP/1.1 client for end-to-end tests and load.
//!
//! 1. One connection, kept open between requests; a closed one is found before it is used.
//! 2. A request is sent once. It is never repeated by itself, because the test that counts what was
//!    acknowledged must know what it sent.
//! 3. An answer may have a length, come in chunks, or end with the connection.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// An answer's status line and headers together.
const MAX_HEAD_BYTES: u64 = 64 * 1024;
/// An answer's body.
const MAX_BODY_BYTES: u64 = 1 << 30;
/// Bodies up to this go out in one write with their head.
const ONE_WRITE_BYTES: usize = 64 * 1024;
/// Interim answers (1xx) before the real one.
const MAX_INTERIM: usize = 8;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    timeout: Duration,
    connection: Option<BufReader<TcpStream>>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers in the order in which they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its transfer encoding undone.
    pub body: Vec<u8>,
}

/// A question that is on its way.
#[derive(Debug)]
pub struct Begun(BufReader<TcpStream>);

impl Begun {
    /// Waits for its answer.
    pub fn answer(mut self) -> io::Result<Response> {
        receive(&mut self.0, "GET")
    }
}

impl Response {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 shows replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn has_no_body(&self, method: &str) -> bool {
        method == "HEAD" || matches!(self.status, 204 | 304)
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    fn closes_connection(&self, method: &str) -> bool {
        let ends_by_itself = self.has_no_body(method) || self.is_chunked() || self.header("content-length").is_some();
        !ends_by_itself || self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// A client of the server at `address`; it connects with the first request.
    pub fn new(address: SocketAddr) -> Client {
        Client { address, timeout: DEFAULT_TIMEOUT, connection: None }
    }

    /// Gives up when nothing comes or goes for this long.
    pub fn with_timeout(mut self, timeout: Duration) -> Client {
        self.timeout = timeout;
        self
    }

    /// Asks for `path`, which may have a query.
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, &[], &[])
    }

    /// Asks for `path` on a connection of its own; the answer is waited for later.
    pub fn begin_get(&self, path: &str) -> io::Result<Begun> {
        let mut connection = self.open()?;
        send(connection.get_mut(), &self.head("GET", path, &[], 0), &[])?;
        Ok(Begun(connection))
    }

    /// Sends a body.
    pub fn post(
        &mut self,
        path: &str,
        content_type: &str,
        content_encoding: Option<&str>,
        body: &[u8],
    ) -> io::Result<Response> {
        let mut headers = vec![("Content-Type", content_type)];
        headers.extend(content_encoding.map(|encoding| ("Content-Encoding", encoding)));
        self.request("POST", path, &headers, body)
    }

    /// Sends any request.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
        let mut connection = self.connect()?;
        let sent = send(connection.get_mut(), &self.head(method, path, headers, body.len()), body);
        // A server may refuse a long body before it has read all of it: the answer says more than
        // the broken pipe.
        let response = receive(&mut connection, method).map_err(|error| sent.err().unwrap_or(error))?;
        if !response.closes_connection(method) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// The open connection if the server has not closed it, else a new one.
    fn connect(&mut self) -> io::Result<BufReader<TcpStream>> {
        if let Some(connection) = self.connection.take().filter(is_idle) {
            return Ok(connection);
        }
        self.open()
    }

    fn open(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(BufReader::new(stream))
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], body_len: usize) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if body_len > 0 || method == "POST" || method == "PUT" {
            head.push_str(&format!("Content-Length: {body_len}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Whether a kept connection is open and has nothing to say.
fn is_idle(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    connection.buffer().is_empty() && peek().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn send(stream: &mut TcpStream, head: &[u8], body: &[u8]) -> io::Result<()> {
    if body.len() <= ONE_WRITE_BYTES {
        return stream.write_all(&[head, body].concat());
    }
    stream.write_all(head)?;
    stream.write_all(body)
}

fn receive(from: &mut impl BufRead, method: &str) -> io::Result<Response> {
    for _ in 0..=MAX_INTERIM {
        let mut response = receive_head(from)?;
        if response.status >= 200 {
            response.body = receive_body(from, method, &response)?;
            return Ok(response);
        }
    }
    Err(malformed("too many interim answers"))
}

fn receive_head(from: &mut impl BufRead) -> io::Result<Response> {
    let mut head = from.take(MAX_HEAD_BYTES);
    let status_line = read_line(&mut head)?;
    let mut words = status_line.split(' ');
    let version = words.next().unwrap_or("");
    let status = words.next().and_then(|word| word.parse().ok());
    let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
        return Err(malformed(&format!("status line {status_line:?}")));
    };
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut head)?;
        if line.is_empty() {
            return Ok(Response { status, headers, body: Vec::new() });
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(&format!("header {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn receive_body(from: &mut impl BufRead, method: &str, head: &Response) -> io::Result<Vec<u8>> {
    if head.has_no_body(method) {
        return Ok(Vec::new());
    }
    if head.is_chunked() {
        return receive_chunks(from);
    }
    let mut body = Vec::new();
    match head.header("content-length") {
        Some(length) => {
            let length = length.parse().map_err(|_| malformed(&format!("content length {length:?}")))?;
            read_exactly(from, length, &mut body)?;
        }
        None => {
            from.take(MAX_BODY_BYTES).read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

fn receive_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(&mut from.take(MAX_HEAD_BYTES))?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| malformed(&format!("chunk size {line:?}")))?;
        if size == 0 {
            break;
        }
        read_exactly(from, size, &mut body)?;
        if !read_line(&mut from.take(MAX_HEAD_BYTES))?.is_empty() {
            return Err(malformed("a chunk is longer than it says"));
        }
    }
    let mut trailers = from.take(MAX_HEAD_BYTES);
    while !read_line(&mut trailers)?.is_empty() {}
    Ok(body)
}

/// Appends `length` bytes to `body`, which grows with what comes and not with what is promised.
fn read_exactly(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if length > MAX_BODY_BYTES.saturating_sub(body.len() as u64) {
        return Err(malformed("the body is too long"));
    }
    let read = from.take(length).read_to_end(body)? as u64;
    if read == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\n") else { return Err(ErrorKind::UnexpectedEof.into()) };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec()).map_err(|_| malformed("a header is not UTF-8"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("malformed answer: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpListener};
    use std::thread::{self, JoinHandle};

    fn parse(answer: &str, method: &str) -> io::Result<Response> {
        receive(&mut answer.as_bytes(), method)
    }

    /// A server that gives each connection its answers, one per request, and then closes it. It
    /// tells what it was sent.
    fn serve(connections: Vec<Vec<&'static str>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let mut requests = Vec::new();
            for answers in connections {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    requests.push(receive_request(&mut reader));
                    reader.get_mut().write_all(answer.as_bytes()).unwrap();
                }
                reader.get_ref().shutdown(Shutdown::Both).unwrap();
            }
            requests
        });
        (address, server)
    }

    fn receive_request(from: &mut impl BufRead) -> String {
        let mut request = String::new();
        let mut length = 0;
        loop {
            let line = read_line(from).unwrap();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.parse().unwrap();
            }
            request += &line;
            request += "|";
        }
        let mut body = Vec::new();
        read_exactly(from, length, &mut body).unwrap();
        request + std::str::from_utf8(&body).unwrap()
    }

    #[test]
    fn answers_of_every_kind() {
        let sized = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello rest", "GET").unwrap();
        assert_eq!((sized.status, sized.text().as_str(), sized.header("x-a")), (200, "hello", Some("b")));
        let chunks = "4\r\nwiki\r\n5;ext=1\r\npedia\r\n0\r\nTrailer: x\r\n\r\n";
        let chunked = parse(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), "GET").unwrap();
        assert_eq!(chunked.text(), "wikipedia");
        let to_the_end = parse("HTTP/1.0 503 Busy\r\nRetry-After: 1\r\n\r\nbusy", "GET").unwrap();
        assert_eq!((to_the_end.status, to_the_end.text().as_str()), (503, "busy"));
        assert!(to_the_end.closes_connection("GET") && !to_the_end.is_success());
        let none = parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "POST").unwrap();
        assert!(none.status == 204 && none.body.is_empty() && !none.closes_connection("POST"));
        let head = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD").unwrap();
        assert!(head.body.is_empty());
    }

    #[test]
    fn broken_answers_are_errors() {
        let broken = [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhel\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ];
        for answer in broken {
            assert!(parse(answer, "GET").is_err(), "{answer:?}");
        }
        let endless = "HTTP/1.1 200 OK\r\n".to_owned() + &"a: b\r\n".repeat(20_000);
        assert!(parse(&endless, "GET").is_err());
    }

    #[test]
    fn a_connection_is_kept_and_replaced_when_closed() {
        const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let (address, server) = serve(vec![vec![EMPTY, LAST], vec![EMPTY], vec![LAST]]);
        let mut client = Client::new(address).with_timeout(Duration::from_secs(20));
        assert!(client.get("/health").unwrap().is_success());
        let response = client.post("/api/v1/write", "application/x-protobuf", Some("snappy"), b"body").unwrap();
        assert_eq!(response.text(), "ok");
        client.post("/x?y=1", "text/plain", None, b"").unwrap();
        let begun = client.begin_get("/beside").unwrap();
        assert_eq!(begun.answer().unwrap().text(), "ok");
        let requests = server.join().unwrap();
        assert_eq!(requests[0], format!("GET /health HTTP/1.1|Host: {address}|"));
        let types = "Content-Type: application/x-protobuf|Content-Encoding: snappy|Content-Length: 4|";
        assert_eq!(requests[1], format!("POST /api/v1/write HTTP/1.1|Host: {address}|{types}body"));
        assert!(requests[2].starts_with("POST /x?y=1 ") && requests[2].ends_with("Content-Length: 0|"));
        assert_eq!(requests[3], format!("GET /beside HTTP/1.1|Host: {address}|"));
    }

    #[test]
    fn a_request_is_never_sent_twice() {
        let (address, server) = serve(vec![vec![""]]);
        let mut client = Client::new(address).with_timeout(Duration::from_secs(20));
        assert!(client.post("/api/v1/write", "text/plain", None, b"once").is_err());
        assert_eq!(server.join().unwrap().len(), 1);
    }
}
