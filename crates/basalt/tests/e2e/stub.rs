//! A small server that answers as a test wants, and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What was asked: the first line, the other lines of the head, the body.
pub type Asked = (String, Vec<String>, Vec<u8>);

/// See the module. It goes on until the test's process ends.
pub struct Stub {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Answers every request with a status, further lines of the head, and a body, by the request's first line.
    pub fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let remembered = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                // A client that breaks off is of no interest here.
                let _ = serve(socket, &answer, &remembered);
            }
        });
        Stub { address, asked }
    }

    /// What was asked until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

fn serve(
    socket: TcpStream,
    answer: &impl Fn(&str) -> (u16, String),
    remembered: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(socket);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if lines.is_empty() {
        return Ok(());
    }
    let first = lines.remove(0);
    let (status, text) = answer(&first);
    remembered.lock().expect("nobody panics").push((first, lines, body));
    let head =
        format!("HTTP/1.1 {status} Said\r\nX-Stub: yes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
    reader.into_inner().write_all(format!("{head}{text}").as_bytes())
}
