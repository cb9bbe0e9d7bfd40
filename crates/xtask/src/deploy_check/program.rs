//! The built program: which flags it takes, and a running one that can be asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Command lines that people have for VictoriaMetrics.
pub const LINES_OF_VICTORIA_METRICS: &[&str] = &[
    "-storageDataPath=/var/lib/victoria-metrics -retentionPeriod=12 -httpListenAddr=127.0.0.1:8428",
    "-loggerTimezone=Asia/Shanghai -storageDataPath=/data -retentionPeriod=30d -search.maxUniqueTimeseries=1000000",
    "--envflag.enable --envflag.prefix=VM_ --loggerFormat=json --storageDataPath=/storage --dedup.minScrapeInterval=30s",
    "-memory.allowedPercent=40 -search.latencyOffset=0s -search.maxQueryDuration=2m -http.pathPrefix=/vm",
];

/// How long the program may take to start, to answer, and to stop.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it writes when it listens.
const LISTENS: &str = "started server at http://";

/// Cuts a command line at blanks.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_string).collect()
}

/// Whether the program takes these flags: it reads all of them, and the files that they name, and ends.
pub fn check_flags(program: &Path, flags: &[String]) -> Result<(), String> {
    let mut command = Command::new(program);
    let output = command.args(flags).arg("-dryRun").stdin(Stdio::null()).output();
    let output = output.map_err(|why| format!("cannot start {}: {why}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{} does not take {flags:?}: {}", program.display(), String::from_utf8_lossy(&output.stderr)))
}

/// The program, running at a free port of this machine.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts it and waits until it listens.
    pub fn start(program: &Path, data: &Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.arg(format!("-storageDataPath={}", data.display()));
        command.args(["-httpListenAddr=127.0.0.1:0", "-search.latencyOffset=0s"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|why| format!("cannot start {}: {why}", program.display()))?;
        let log = BufReader::new(child.stderr.take().expect("BUG: it is piped"));
        let mut running = Self { child, address: String::new() };
        match listening(log) {
            Ok(address) => {
                running.address = address;
                Ok(running)
            }
            Err(why) => {
                running.end();
                Err(why)
            }
        }
    }

    /// Asks for a path; an answer that is no success is an error.
    pub fn get(&self, path: &str) -> Result<String, String> {
        self.ask("GET", path, "")
    }

    /// Sends a body.
    pub fn post(&self, path: &str, body: &str) -> Result<String, String> {
        self.ask("POST", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let failed = |why: std::io::Error| format!("{method} {path}: {why}");
        let mut stream = TcpStream::connect(&self.address).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let form = "Content-Type: application/x-www-form-urlencoded";
        let kind = if path.starts_with("/api/v1/import") { "Content-Type: text/plain" } else { form };
        let len = body.len();
        // HTTP/1.0: the answer comes whole, and the connection ends behind it.
        let head =
            format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n{kind}\r\nContent-Length: {len}\r\n\r\n", self.address);
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(failed)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{method} {path}: no answer"))?;
        let is_good = head.split(' ').nth(1).is_some_and(|status| status.starts_with('2'));
        if is_good { Ok(body.to_string()) } else { Err(format!("{method} {path}: {head}\n{body}")) }
    }

    /// Tells it to stop; it must end by itself, with code 0.
    pub fn stop(mut self) -> Result<(), String> {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        told.map_err(|why| format!("cannot start kill: {why}"))?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the program ended with {status}")),
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Err(why) => return Err(format!("cannot wait for the program: {why}")),
            }
        }
        self.end();
        Err(format!("the program did not stop within {PATIENCE:?}"))
    }

    fn end(&mut self) {
        // It may have ended by itself already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log up to the address; the rest of it is read and left away, so that the program never waits for its reader.
fn listening(mut log: BufReader<ChildStderr>) -> Result<String, String> {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let read = log.read_line(&mut line).map_err(|why| format!("cannot read the program's log: {why}"))?;
        if read == 0 {
            return Err(format!("the program ended at its start:\n{seen}"));
        }
        if let Some((_, behind)) = line.split_once(LISTENS) {
            let address = behind.split('/').next().unwrap_or("").to_string();
            thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
            return Ok(address);
        }
        seen.push_str(&line);
    }
}
