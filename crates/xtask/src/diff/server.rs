//! A server that a command starts, on a port and a folder of its own; it ends with its owner.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use testkit::{http::Client, process::Process};

use super::wire::{self, Series};

/// The longest that a server may take to start.
const START_MAX: Duration = Duration::from_secs(60);
/// How long to wait before it is asked again whether it is there.
const PAUSE: Duration = Duration::from_millis(50);

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    client: Client,
    command: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts a command of the shell and waits until it answers queries.
    pub fn start(command: &str) -> Result<Self, String> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot start {command:?}: {why}");
        let folder = tempfile::tempdir().map_err(|why| failed(&why))?;
        let address = free_address().map_err(|why| failed(&why))?;
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command);
        shell.env("PORT", address.port().to_string()).env("DATADIR", folder.path().join("data"));
        let process = Process::spawn(shell).map_err(|why| failed(&why))?;
        let client = Client::new(address);
        let mut server = Self { process, client, command: command.to_string(), _folder: folder };
        let deadline = Instant::now() + START_MAX;
        while server.ask("/api/v1/query?query=1&time=0").is_err() {
            let ended = server.process.wait_for_end(PAUSE).is_ok();
            if ended || Instant::now() > deadline {
                return Err(failed(&server.process.lines().join("\n")));
            }
            thread::yield_now();
        }
        Ok(server)
    }

    fn ask(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let response = self.client.get(path).map_err(|why| why.to_string())?;
        if response.is_success() { Ok(response.body) } else { Err(response.text()) }
    }

    /// Sends a form to a path of the API; the body of the answer, whatever its status.
    pub fn form(&mut self, path: &str, form: &str) -> Result<Vec<u8>, String> {
        let sent = self.client.post(path, "application/x-www-form-urlencoded", None, form.as_bytes());
        let response = sent.map_err(|why| format!("{} does not answer {form}: {why}", self.command))?;
        Ok(response.body)
    }

    /// Writes series, and makes them visible.
    pub fn write(&mut self, series: &[Series]) -> Result<(), String> {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        let sent = self.client.request("POST", "/api/v1/write", &headers, &wire::body(series));
        let response = sent.map_err(|why| format!("{} takes no samples: {why}", self.command))?;
        if !response.is_success() {
            return Err(format!("{} refuses samples: {}", self.command, response.text()));
        }
        // VictoriaMetrics shows samples to queries with a delay; the others do not know the path.
        let _ = self.ask("/internal/force_flush");
        Ok(())
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
