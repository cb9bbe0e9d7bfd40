//! A running Basalt, and what a test asks of it.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use testkit::{
    http::{Client, Response},
    process::Process,
};

use crate::ledger::Ledger;

/// Nothing here takes longer unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_basalt");

/// The program for tests that also run long: that of `BASALT_PROGRAM` (an optimized build, see `cargo xtask long`), else the one under test.
pub fn program() -> PathBuf {
    env::var_os("BASALT_PROGRAM").map_or_else(|| PathBuf::from(PROGRAM), PathBuf::from)
}

/// A number that the environment sets for a long run.
pub fn number_of_environment(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// A seed for everything random in a test: that of the variable `name`, which repeats a run, else a new one.
pub fn seed(name: &str) -> u64 {
    let seed = number_of_environment(name)
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64));
    println!("{name}={seed}");
    seed
}

/// A Basalt of its own port on a data folder, killed when dropped.
pub struct Basalt {
    pub process: Process,
    pub address: SocketAddr,
}

impl Basalt {
    /// Starts it on a folder and waits until it listens.
    pub fn start(folder: &Path, flags: &[&str]) -> Basalt {
        let mut command = Command::new(program());
        command.args(usual_flags(folder)).args(flags);
        Basalt::spawn(command)
    }

    /// Starts a prepared command.
    pub fn spawn(command: Command) -> Basalt {
        let process = Process::spawn(command).expect("the program starts");
        let address = process.wait_for_server(PATIENCE).expect("the server starts");
        Basalt { process, address }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address).with_timeout(PATIENCE)
    }

    pub fn get(&self, path: &str) -> Response {
        self.client().get(&path.replace('"', "%22").replace(' ', "%20")).expect("the server answers")
    }

    /// The body of a good answer.
    pub fn ok(&self, path: &str) -> String {
        let response = self.get(path);
        assert!(response.is_success(), "{path}: {} {}", response.status, response.text());
        response.text()
    }

    /// Sends an unpacked remote-write body.
    pub fn write(&self, body: &[u8]) -> Response {
        let packed = snap::raw::Encoder::new().compress_vec(body).expect("snappy packs everything");
        self.client()
            .post("/api/v1/write", "application/x-protobuf", Some("snappy"), &packed)
            .expect("the server answers")
    }

    /// Everything that a selector gives.
    pub fn export(&self, selector: &str) -> Ledger {
        let body = self.ok(&format!("/api/v1/export?end=2200&match[]={selector}"));
        Ledger::from_export(&body)
    }

    /// The value of a line of `/metrics`, named with its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.ok("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().expect("a number")
    }

    /// Stops it as an operator would.
    pub fn stop(mut self) {
        let status = self.process.terminate(PATIENCE).expect("it ends");
        assert!(status.success(), "{status}: {:?}", self.process.lines());
    }

    /// Ends it as nobody should.
    pub fn kill9(mut self) {
        self.process.kill9().expect("it can be killed");
    }
}

/// A free port, the folder, and a retention that keeps the times of all tests.
pub fn usual_flags(folder: &Path) -> Vec<String> {
    vec![
        "-httpListenAddr=127.0.0.1:0".to_string(),
        format!("-storageDataPath={}", folder.display()),
        "-retentionPeriod=100y".to_string(),
    ]
}

/// A new data folder.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}
