//! The real binary as a child of the test.
//!
//! 1. Its stderr is read line by line by a thread of ours, so that it never blocks on a full pipe
//!    and a failing test can show what it said.
//! 2. Waiting is waiting for such a line, or for the end of stderr, which is the end of the child.
//! 3. The child never outlives its [`Process`].

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that are kept; of a child that says more the oldest are forgotten.
const MAX_LINES: usize = 10_000;
/// A line is cut here.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// Lines shown in an error.
const SHOWN_LINES: usize = 40;
/// The unit of CPU time in /proc, a constant of the Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

const SERVER_STARTED: &str = "started server at http://";

/// A child process, killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stderr: Arc<Stderr>,
}

#[derive(Debug, Default)]
struct Stderr {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: VecDeque<String>,
    ended: bool,
}

impl Stderr {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `found` gives something, the child's stderr ended, or the time is over.
    fn wait<T>(&self, timeout: Duration, found: impl Fn(&Said) -> Option<T>) -> io::Result<T> {
        let deadline = Instant::now() + timeout;
        let mut said = self.said();
        loop {
            if let Some(found) = found(&said) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if said.ended || left.is_zero() {
                let kind = if said.ended { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::TimedOut };
                return Err(io::Error::new(kind, said.tail()));
            }
            said = self.changed.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn collect(&self, pipe: impl Read) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            let mut said = self.said();
            if said.lines.len() == MAX_LINES {
                said.lines.pop_front();
            }
            said.lines.push_back(text);
            self.changed.notify_all();
        }
        self.said().ended = true;
        self.changed.notify_all();
    }
}

impl Said {
    fn tail(&self) -> String {
        let skipped = self.lines.len().saturating_sub(SHOWN_LINES);
        let lines: Vec<&str> = self.lines.iter().skip(skipped).map(String::as_str).collect();
        format!("the process {} and said:\n{}", if self.ended { "ended" } else { "goes on" }, lines.join("\n"))
    }
}

impl Process {
    /// Starts `program` with `arguments`.
    pub fn start<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> io::Result<Process> {
        let mut command = Command::new(program);
        command.args(arguments);
        Process::spawn(command)
    }

    /// Starts a prepared command. Its stdin and stdout lead nowhere, its stderr is collected.
    pub fn spawn(mut command: Command) -> io::Result<Process> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let pipe = child.stderr.take().expect("BUG: stderr was asked to be piped");
        let stderr = Arc::new(Stderr::default());
        let collector = Arc::clone(&stderr);
        thread::spawn(move || collector.collect(pipe));
        Ok(Process { child, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn lines(&self) -> Vec<String> {
        self.stderr.said().lines.iter().cloned().collect()
    }

    /// The first line, of all since the start, that contains `text`.
    ///
    /// The error says whether the time was over or the process ended, and what it said last.
    pub fn wait_for_line(&self, text: &str, timeout: Duration) -> io::Result<String> {
        self.stderr.wait(timeout, |said| said.lines.iter().find(|line| line.contains(text)).cloned())
    }

    /// Where it listens, from its line `started server at http://HOST:PORT/`. A server that listens
    /// everywhere is reached over the loopback.
    pub fn wait_for_server(&self, timeout: Duration) -> io::Result<SocketAddr> {
        let line = self.wait_for_line(SERVER_STARTED, timeout)?;
        parse_server(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, line))
    }

    /// Waits for its end.
    pub fn wait_for_end(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        self.stderr.wait(timeout, |said| said.ended.then_some(()))?;
        self.child.wait()
    }

    /// Ends it with SIGKILL, which no program can delay or notice.
    pub fn kill9(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to end with SIGTERM and waits until it has.
    #[expect(unsafe_code, reason = "the standard library sends no signal but SIGKILL")]
    pub fn terminate(&mut self, timeout: Duration) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = libc::pid_t::try_from(self.pid()).expect("BUG: a process id fits its type");
        // SAFETY: kill touches no memory of ours. The child has not been waited for, so its id
        // cannot belong to somebody else yet.
        if unsafe { libc::kill(pid, libc::SIGTERM) } != 0 {
            return Err(io::Error::last_os_error());
        }
        self.wait_for_end(timeout)
    }

    /// The seconds of CPU that it used so far, in user and kernel mode.
    pub fn cpu_seconds(&self) -> io::Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        parse_cpu_ticks(&stat).map(|ticks| ticks as f64 / TICKS_PER_SECOND).ok_or_else(|| unreadable(&stat))
    }

    /// The most memory that it ever had resident, in bytes (`VmHWM`).
    pub fn peak_rss_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmHWM")
    }

    /// The memory of its own that is resident now, without mapped files, in bytes (`RssAnon`).
    pub fn anon_rss_bytes(&self) -> io::Result<u64> {
        self.status_bytes("RssAnon")
    }

    fn status_bytes(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        parse_status_bytes(&status, field).ok_or_else(|| unreadable(&status))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is just as well.
        let _ = self.kill9();
    }
}

fn unreadable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot make sense of {text:?}"))
}

fn parse_server(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(SERVER_STARTED)?;
    let address = rest.split(['/', ' ', '"', '\'']).next()?;
    let mut address: SocketAddr = match address.strip_prefix(':') {
        Some(port) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port.parse().ok()?),
        None => address.replace("localhost", "127.0.0.1").parse().ok()?,
    };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(address)
}

/// utime + stime of a line of /proc/<pid>/stat. The program's name may hold blanks and brackets,
/// so the fields are counted behind its last bracket.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn parse_status_bytes(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Process {
        Process::start("sh", ["-c", script]).expect("a shell")
    }

    #[test]
    fn lines_and_the_address_are_found() {
        let script = "echo starting >&2; echo 'info started server at http://0.0.0.0:8428/' >&2; exec sleep 100";
        let mut process = shell(script);
        assert_eq!(process.wait_for_line("start", LONG).unwrap(), "starting");
        assert_eq!(process.wait_for_server(LONG).unwrap(), "127.0.0.1:8428".parse().unwrap());
        let error = process.wait_for_line("never said", Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("starting"), "{error}");
        assert!(!process.kill9().unwrap().success());
    }

    #[test]
    fn an_end_is_noticed_at_once() {
        let mut process = shell("echo oops >&2; exit 3");
        let error = process.wait_for_line("started", LONG).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("oops"));
        assert_eq!(process.wait_for_end(LONG).unwrap().code(), Some(3));
    }

    #[test]
    fn terminate_lets_it_finish() {
        let script = "trap 'echo bye >&2; exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done";
        let mut process = shell(script);
        process.wait_for_line("ready", LONG).unwrap();
        assert_eq!(process.terminate(LONG).unwrap().code(), Some(7));
        assert_eq!(process.lines(), ["ready", "bye"]);
        assert_eq!(process.terminate(LONG).unwrap().code(), Some(7), "a second time it is over");
    }

    #[test]
    fn its_use_of_the_machine_is_measured() {
        let process = shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done >&2; kill -STOP $$");
        process.wait_for_line("done", LONG).unwrap();
        assert!(process.cpu_seconds().unwrap() > 0.0);
        assert!(process.peak_rss_bytes().unwrap() > 100_000);
        assert!(process.anon_rss_bytes().unwrap() > 0);
    }

    #[test]
    fn a_dropped_process_is_dead() {
        let process = shell("exec sleep 100");
        let folder = format!("/proc/{}", process.pid());
        assert!(fs::exists(&folder).unwrap());
        drop(process);
        assert!(!fs::exists(&folder).unwrap());
    }

    #[test]
    fn texts_of_the_system_are_parsed() {
        let stat = "12 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0";
        assert_eq!(parse_cpu_ticks(stat), Some(175));
        assert_eq!(parse_status_bytes("VmPeak:\t 9 kB\nVmHWM:\t  12 kB\n", "VmHWM"), Some(12 * 1024));
        assert_eq!(parse_status_bytes("VmHWMs: 1 kB", "VmHWM"), None);
        let server = |line| parse_server(line).map(|address| address.to_string());
        assert_eq!(server("x started server at http://10.0.0.1:80/ y").unwrap(), "10.0.0.1:80");
        assert_eq!(server("started server at http://[::]:81/").unwrap(), "[::1]:81");
        assert_eq!(server("started server at http://:82/").unwrap(), "127.0.0.1:82");
        assert_eq!(server("started server at http://"), None);
    }
}
