//! A small HTTP/1.1 client for load: one keep-alive connection, blocking, no allocation per request but the answer.
//!
//! It is no general client: it speaks to servers that the measurement itself started on the loopback.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest that a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// The most header lines of an answer.
const HEADER_LINES_MAX: usize = 200;

/// One keep-alive connection; it is opened anew when the server closed it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    head: Vec<u8>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, without its transfer encoding.
    pub body: Vec<u8>,
}

impl Answer {
    /// The answer itself if its status is 2xx, else an error that shows the beginning of the body.
    pub fn success(self) -> io::Result<Self> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(300)]).into_owned();
        Err(io::Error::other(format!("status {}: {}", self.status, text.trim())))
    }
}

impl Client {
    /// Connects with the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, head: Vec::new() }
    }

    /// `GET` of a path with its query.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.request("GET", path, &[], &[])
    }

    /// `POST` of a body with further headers.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        self.request("POST", path, headers, body)
    }

    /// `POST` of a snappy-compressed remote write body.
    pub fn write(&mut self, path: &str, compressed: &[u8]) -> io::Result<Answer> {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", "application/x-protobuf"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.post(path, &headers, compressed)
    }

    fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        self.head.clear();
        write!(self.head, "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", self.address, body.len())?;
        for (name, value) in headers {
            write!(self.head, "{name}: {value}\r\n")?;
        }
        self.head.extend_from_slice(b"\r\n");
        let is_reused = self.connection.is_some();
        match self.exchange(body) {
            // A server may close an idle connection at any time; only then is the request sent once more.
            Err(error) if is_reused && is_closed(&error) => {
                self.connection = None;
                self.exchange(body)
            }
            outcome => outcome,
        }
    }

    fn exchange(&mut self, body: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        connection.get_mut().write_all(&self.head)?;
        connection.get_mut().write_all(body)?;
        let (answer, keeps_alive) = read_answer(&mut connection)?;
        if keeps_alive {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(BufReader::with_capacity(1 << 16, stream))
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Reads one answer; also tells whether the connection may be used again.
fn read_answer(from: &mut impl BufRead) -> io::Result<(Answer, bool)> {
    let line = read_line(from)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| invalid(&format!("no status in {line:?}")))?;
    let (mut length, mut is_chunked, mut keeps_alive) = (None, false, true);
    for number in 0.. {
        if number == HEADER_LINES_MAX {
            return Err(invalid("too many header lines"));
        }
        let line = read_line(from)?;
        let Some((name, value)) = line.split_once(':') else { break };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse::<u64>().map_err(|_| invalid("broken content length"))?),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => keeps_alive = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if status == 204 || status == 304 {
        return Ok((Answer { status, body }, keeps_alive));
    }
    if is_chunked {
        read_chunks(from, &mut body)?;
    } else if let Some(length) = length {
        take(from, length, &mut body)?;
    } else {
        from.take(ANSWER_BYTES_MAX).read_to_end(&mut body)?;
        keeps_alive = false;
    }
    Ok((Answer { status, body }, keeps_alive))
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(from)?;
        let digits = line.split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid("broken chunk length"))?;
        take(from, length, body)?;
        if !read_line(from)?.is_empty() {
            return Err(invalid("a chunk is longer than it says"));
        }
        if length == 0 {
            return Ok(());
        }
    }
}

fn take(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if body.len() as u64 + length > ANSWER_BYTES_MAX {
        return Err(invalid("the answer is too large"));
    }
    if from.take(length).read_to_end(body)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    const LINE_BYTES_MAX: u64 = 64 << 10;
    let mut line = Vec::new();
    from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| invalid("a header is no text"))
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<(Answer, bool)> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn reads_answers_of_each_form() {
        let (answer, keeps) = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("a sized answer");
        assert_eq!((answer.status, &answer.body[..], keeps), (200, &b"hello"[..], true));
        let (answer, keeps) = read("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").expect("an empty answer");
        assert_eq!((answer.status, &answer.body[..], keeps), (204, &b""[..], false));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let (answer, keeps) = read(chunked).expect("a chunked answer");
        assert_eq!((answer.status, &answer.body[..], keeps), (200, &b"abcde"[..], true));
    }

    #[test]
    fn refuses_what_is_cut_short() {
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").is_err());
        assert!(read("HTTP/1.1").is_err());
    }
}
