//! A server that a command starts, on a port and a folder of its own, or a cluster of processes; it ends with its owner.

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
    name: String,
    /// Where samples go.
    takes: SocketAddr,
    /// Where queries go.
    answers: SocketAddr,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

/// A connection for questions to a server.
#[derive(Debug)]
pub struct Asker {
    name: String,
    client: Client,
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
        let mut process = Process::spawn(shell).map_err(|why| failed(&why))?;
        let mut asker = Asker { name: command.to_string(), client: Client::new(address) };
        let deadline = Instant::now() + START_MAX;
        while asker.get("/api/v1/query?query=1&time=0").is_err() {
            let ended = process.wait_for_end(PAUSE).is_ok();
            if ended || Instant::now() > deadline {
                return Err(failed(&process.lines().join("\n")));
            }
            thread::yield_now();
        }
        let name = command.to_string();
        Ok(Self { name, takes: address, answers: address, _processes: vec![process], _folder: folder })
    }

    /// Starts storages, each on a host of its own so that the map of shards is the same in each run, and an insert and a select before them.
    pub fn cluster(program: &str, storages: u8, copies: usize) -> Result<Self, String> {
        let name = format!("{storages} storages with -replicationFactor={copies}");
        let failed = |why: &dyn std::fmt::Display| format!("cannot start {name}: {why}");
        let folder = tempfile::tempdir().map_err(|why| failed(&why))?;
        let path = |of: &str| folder.path().join(of).display().to_string();
        let start = |role: &str, flags: &[String]| -> Result<(Process, SocketAddr), String> {
            let process = Process::start(program, [&[role.to_string()], flags].concat()).map_err(|why| failed(&why))?;
            let address = process.wait_for_server(START_MAX).map_err(|why| failed(&why))?;
            Ok((process, address))
        };
        let copies = format!("-replicationFactor={copies}");
        let (mut processes, mut inserts, mut selects) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=storages {
            let flags = [
                "-httpListenAddr=127.0.0.1:0".into(),
                format!("-storageDataPath={}", path(&number.to_string())),
                "-retentionPeriod=100y".into(),
                format!("-vminsertAddr=127.0.1.{number}:0"),
                format!("-vmselectAddr=127.0.1.{number}:0"),
            ];
            let (process, _) = start("storage", &flags)?;
            for (text, addresses) in [("vminsert", &mut inserts), ("vmselect", &mut selects)] {
                let text = format!("accepting {text} conns at");
                let line = process.wait_for_line(&text, START_MAX).map_err(|why| failed(&why))?;
                addresses.extend(line.rsplit(' ').next().map(str::to_string));
            }
            processes.push(process);
        }
        let before = |role: &str, nodes: &[String], more: String| {
            let address = "-httpListenAddr=127.0.0.1:0".into();
            start(role, &[address, format!("-storageNode={}", nodes.join(",")), copies.clone(), more])
        };
        let (insert, takes) = before("insert", &inserts, format!("-hints.path={}", path("hints")))?;
        let (select, answers) = before("select", &selects, "-search.latencyOffset=0s".into())?;
        processes.extend([insert, select]);
        Ok(Self { name, takes, answers, _processes: processes, _folder: folder })
    }

    /// A new connection for questions.
    pub fn asker(&self) -> Asker {
        Asker { name: self.name.clone(), client: Client::new(self.answers) }
    }

    /// Writes series, and makes them visible.
    pub fn write(&self, series: &[Series]) -> Result<(), String> {
        let headers = [
            ("Content-Type", "application/x-protobuf"),
            ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        let sent = Client::new(self.takes).request("POST", "/api/v1/write", &headers, &wire::body(series));
        let response = sent.map_err(|why| format!("{} takes no samples: {why}", self.name))?;
        if !response.is_success() {
            return Err(format!("{} refuses samples: {}", self.name, response.text()));
        }
        // VictoriaMetrics shows samples to queries with a delay; the others do not know the path.
        let _ = self.asker().get("/internal/force_flush");
        Ok(())
    }
}

impl Asker {
    /// What is asked.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The body of a good answer.
    pub fn get(&mut self, path: &str) -> Result<String, String> {
        let response = self.client.get(path).map_err(|why| why.to_string())?;
        if response.is_success() { Ok(response.text()) } else { Err(response.text()) }
    }

    /// Sends a form to a path of the API; the body of the answer, whatever its status.
    pub fn form(&mut self, path: &str, form: &str) -> Result<Vec<u8>, String> {
        let sent = self.client.post(path, "application/x-www-form-urlencoded", None, form.as_bytes());
        let response = sent.map_err(|why| format!("{} does not answer {form}: {why}", self.name))?;
        Ok(response.body)
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
