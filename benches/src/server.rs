//! A server under measurement: started from a command, watched through `/proc`, ended with its owner.
//!
//! 1. The command is split at spaces; `$PORT`, `$DATADIR` and `$CONFIG` (a file for Prometheus) are filled in. It is ready when `/health` answers 200, or
//!    `/-/ready` where there is no such path.
//! 2. CPU is user plus system time of the process, from `/proc/<pid>/stat` in ticks of 10 ms.
//! 3. Background work counts: [`Server::settle`] waits until the process has used less than 2 % of a core for a while.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::Client;

/// Debian's VictoriaMetrics, as it is run for comparison.
pub const VICTORIA_METRICS_COMMAND: &str =
    "/usr/bin/victoria-metrics -retentionPeriod=100y -httpListenAddr=127.0.0.1:$PORT -storageDataPath=$DATADIR";

/// Basalt's release build, with the same flags.
pub const BASALT_COMMAND: &str =
    "target/release/basalt single -retentionPeriod=100y -httpListenAddr=127.0.0.1:$PORT -storageDataPath=$DATADIR";

/// Debian's Prometheus as a receiver of remote write, without anything to scrape. Bodies of two connections overtake each other when churn moves series
/// from one to the other, so it must be allowed to take samples out of order.
pub const PROMETHEUS_COMMAND: &str = "/usr/bin/prometheus --config.file=$CONFIG --storage.tsdb.path=$DATADIR \
    --storage.tsdb.retention.time=100y --web.listen-address=127.0.0.1:$PORT --web.enable-remote-write-receiver";

const PROMETHEUS_CONFIG: &str = "storage: {tsdb: {out_of_order_time_window: 100y}}\n";

/// The kernel's tick for `/proc/<pid>/stat` on every Linux that Basalt runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const START_WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);
/// Background work has ended when the process uses less than this much of a core.
const IDLE_CPU_SHARE: f64 = 0.02;

/// How the end of background work is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The process must be idle for so long.
    pub idle: Duration,
    /// The longest to wait.
    pub most: Duration,
}

impl Default for Patience {
    /// Idle for two seconds, within two minutes.
    fn default() -> Self {
        Self { idle: Duration::from_secs(2), most: Duration::from_secs(120) }
    }
}

/// Whose requests a server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// It flushes and merges on request.
    VictoriaMetrics,
    /// It has no such requests: what came in the last hours stays in its memory, and its figures lack the cost of writing it out.
    Prometheus,
}

impl Family {
    const ALL: [Self; 2] = [Self::VictoriaMetrics, Self::Prometheus];

    fn ready_path(self) -> &'static str {
        match self {
            Self::VictoriaMetrics => "/health",
            Self::Prometheus => "/-/ready",
        }
    }

    /// The beginning of the metrics whose sum is the number of stored samples.
    fn samples_metric(self) -> &'static str {
        match self {
            Self::VictoriaMetrics => "vm_rows{type=\"storage",
            Self::Prometheus => "prometheus_tsdb_head_samples_appended_total",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    family: Family,
    ready_in: Duration,
}

impl Server {
    /// Starts `command` on a free port of the loopback over the empty or existing folder `data`. Its output goes to the
    /// file `<data>.log`.
    pub fn start(command: &str, data: &Path) -> io::Result<Self> {
        if !command.contains("$PORT") {
            return Err(io::Error::other(format!(
                "the command {command:?} does not say $PORT: nobody would find the server"
            )));
        }
        fs::create_dir_all(data)?;
        let address = free_address()?;
        let log = File::create(data.with_extension("log"))?;
        let begin = Instant::now();
        let config = data.with_extension("yml");
        if command.contains("$CONFIG") {
            fs::write(&config, PROMETHEUS_CONFIG)?;
        }
        let mut words = command.split_whitespace().map(|word| {
            let word = word.replace("$PORT", &address.port().to_string());
            word.replace("$DATADIR", &data.display().to_string()).replace("$CONFIG", &config.display().to_string())
        });
        let program = words.next().ok_or_else(|| io::Error::other("the command is empty"))?;
        let child = Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
        let (data, family) = (data.to_owned(), Family::VictoriaMetrics);
        let mut server = Self { child, address, data, family, ready_in: Duration::ZERO };
        server.family = server.wait_until_ready()?;
        server.ready_in = begin.elapsed();
        Ok(server)
    }

    /// Whose requests it knows.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The time from its start until it was ready.
    pub fn ready_in(&self) -> Duration {
        self.ready_in
    }

    /// A new connection to it.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// CPU seconds of the process since its start.
    pub fn cpu_s(&self) -> io::Result<f64> {
        let stat = self.proc_file("stat")?;
        cpu_ticks(&stat).map(|ticks| ticks as f64 / TICKS_PER_SECOND).ok_or_else(|| io::Error::other("broken stat"))
    }

    /// The most memory that was resident since the start or the last [`Server::forget_memory_peak`].
    pub fn memory_peak_bytes(&self) -> io::Result<u64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| io::Error::other("no VmHWM in status"))
    }

    /// Lets the peak begin anew at what is resident now.
    pub fn forget_memory_peak(&self) -> io::Result<()> {
        const RESET_PEAK: &str = "5";
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), RESET_PEAK)
    }

    /// Bytes that the process has caused to be written to disk.
    pub fn written_bytes(&self) -> io::Result<u64> {
        let io_file = self.proc_file("io")?;
        let line = io_file.lines().find_map(|line| line.strip_prefix("write_bytes:"));
        line.and_then(|rest| rest.trim().parse().ok()).ok_or_else(|| io::Error::other("no write_bytes in io"))
    }

    /// Lengths of all files in the data folder; files with several hard links count once.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        folder_bytes(&self.data)
    }

    /// Waits until background work has ended. Tells whether it has.
    pub fn settle(&self, patience: &Patience) -> io::Result<bool> {
        settle(&[self], patience)
    }

    /// The sum of all metrics of `/metrics` whose name with labels begins with `prefix`.
    pub fn metric_sum(&self, prefix: &str) -> io::Result<f64> {
        let answer = self.client().get("/metrics")?.success()?;
        let text = String::from_utf8_lossy(&answer.body);
        let values = text.lines().filter(|line| line.starts_with(prefix));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Writes out what waits in memory and waits for the end of that: a server that puts its work off gets no better
    /// figures for it.
    pub fn flush(&self, patience: &Patience) -> io::Result<bool> {
        self.begin_flush()?;
        self.settle(patience)
    }

    /// Has written out what waits in memory, where the server knows the request.
    pub fn begin_flush(&self) -> io::Result<()> {
        if self.family == Family::VictoriaMetrics {
            self.client().get("/internal/force_flush")?.success()?;
        }
        Ok(())
    }

    /// Samples that it says it holds.
    pub fn stored_samples(&self) -> io::Result<f64> {
        self.metric_sum(self.family.samples_metric())
    }

    /// Makes everything that was acknowledged searchable and packs it as densely as the server does it: flush, merge,
    /// and wait until no merge runs, the process is idle and the folder keeps its size. Tells whether that came.
    pub fn flush_and_merge(&self, patience: &Patience) -> io::Result<bool> {
        if self.family == Family::Prometheus {
            return self.settle(patience);
        }
        let begin = Instant::now();
        let mut client = self.client();
        client.get("/internal/force_flush")?.success()?;
        client.get("/internal/force_merge")?.success()?;
        let mut last_size = None;
        while begin.elapsed() < patience.most {
            let is_idle = self.settle(&Patience { most: Duration::ZERO, ..*patience })?;
            let size = self.disk_bytes()?;
            let merges = self.metric_sum("vm_active_merges")?;
            if is_idle && merges == 0.0 && last_size == Some(size) {
                return Ok(true);
            }
            last_size = Some(size);
        }
        Ok(false)
    }

    fn wait_until_ready(&mut self) -> io::Result<Family> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(self.data.with_extension("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the server ended with {status}: {}", last_line(&log))));
            }
            let is_ready =
                |family: &Family| self.client().get(family.ready_path()).is_ok_and(|answer| answer.status == 200);
            if let Some(family) = Family::ALL.into_iter().find(is_ready) {
                return Ok(family);
            }
            if begin.elapsed() > START_WAIT {
                return Err(io::Error::other("the server is not ready after 30 s"));
            }
            sleep(POLL);
        }
    }

    fn proc_file(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Server {
    /// Ends the process the hard way: its data are thrown away with it.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the background work of all servers has ended: none of them does anything for a while that they share. Tells whether that came.
pub fn settle(servers: &[&Server], patience: &Patience) -> io::Result<bool> {
    let spent = || servers.iter().map(|server| server.cpu_s()).collect::<io::Result<Vec<f64>>>();
    let begin = Instant::now();
    loop {
        let (before, window) = (spent()?, Instant::now());
        sleep(patience.idle);
        let most = IDLE_CPU_SHARE * window.elapsed().as_secs_f64();
        if spent()?.iter().zip(before).all(|(now, before)| now - before < most) {
            return Ok(true);
        }
        if begin.elapsed() > patience.most {
            return Ok(false);
        }
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn last_line(text: &str) -> &str {
    text.lines().next_back().unwrap_or("no output")
}

/// User and system time; the fields stand behind the program's name, which may hold anything but ends with a bracket.
fn cpu_ticks(stat: &str) -> Option<u64> {
    const USER_TIME: usize = 11;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(USER_TIME);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = std::collections::HashSet::new();
    let mut folders = vec![folder.to_owned()];
    let mut sum = 0;
    while let Some(folder) = folders.pop() {
        // Merges remove files and folders while we look: what is gone counts nothing.
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if seen.insert((metadata.dev(), metadata.ino())) {
                sum += metadata.len();
            }
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_found_behind_any_program_name() {
        let stat = "12 (a ) b) S 1 1 1 0 -1 4194560 1000 0 0 0 321 45 0 0 20 0 9 0 100 1 1";
        assert_eq!(cpu_ticks(stat), Some(366));
        assert_eq!(cpu_ticks("12 (x) S 1"), None);
    }

    #[test]
    fn hard_links_count_once() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("part")).expect("a folder inside");
        fs::write(folder.path().join("part/values"), [0; 100]).expect("a file");
        fs::hard_link(folder.path().join("part/values"), folder.path().join("link")).expect("a link");
        assert_eq!(folder_bytes(folder.path()).expect("a size"), 100);
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Server::start("/bin/false $PORT", &folder.path().join("data")).expect_err("it ended");
        assert!(error.to_string().contains("ended with"), "{error}");
        let error = Server::start("/bin/true", &folder.path().join("data")).expect_err("it cannot be found");
        assert!(error.to_string().contains("\"/bin/true\" does not say $PORT"), "{error}");
    }
}
