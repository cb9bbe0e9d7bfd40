//! Hints: rows that a storage node lacks, durable on this disk until the node has them. `docs/formats/hints.md` describes the files.
//!
//! 1. The folder is locked, and says who this insert is ([`HintStore`]).
//! 2. Each node has a log of its own ([`log`]): segments of the format of the write-ahead log, whose slots are those of the head.
//! 3. A drain hands the oldest closed segment to the node and removes it ([`drain`]).
//! 4. All logs together are bounded; over the bound nothing more is taken.

pub mod drain;
pub mod log;
pub mod metadata;
pub(crate) mod names;

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use disk::{Disk, Lock};
use parking_lot::Mutex;
use wal::Commits;

use self::log::HintLog;
use crate::NodeName;

const LOCK: &str = "LOCK";
/// Who the insert is; a folder of hints has it.
pub const IDENTITY: &str = "insert.id";
const NODES: &str = "nodes";
/// 32 digits and a newline; whatever is longer is no identity.
const IDENTITY_BYTES_MAX: u64 = 64;

/// How hints are kept.
#[derive(Debug, Clone)]
pub struct HintOptions {
    /// Bytes that the hints for all nodes take on disk.
    pub disk_bytes_max: u64,
    /// A file is closed when it is longer.
    pub segment_bytes_max: u64,
    /// Samples that are handed to one node per second.
    pub drain_samples_per_second: u64,
    /// Who commits; a thread for each log but in simulations.
    pub commits: Commits,
}

impl Default for HintOptions {
    fn default() -> Self {
        Self {
            disk_bytes_max: 16 << 30,
            segment_bytes_max: 64 << 20,
            drain_samples_per_second: 5_000_000,
            commits: Commits::InBackground,
        }
    }
}

/// The folder of hints.
pub struct HintStore {
    disk: Arc<dyn Disk>,
    options: HintOptions,
    identity: u128,
    /// Bytes of all logs.
    bytes: Arc<AtomicU64>,
    logs: Mutex<Vec<Arc<HintLog>>>,
    _lock: Lock,
}

impl HintStore {
    /// Opens the folder, and makes it what it should be if it is empty.
    pub fn open(disk: Arc<dyn Disk>, options: HintOptions) -> Result<Self, String> {
        let failed = |why: disk::Error| format!("cannot open the folder of hints: {why}");
        let lock = disk.lock(Path::new(LOCK)).map_err(failed)?;
        let identity = identity(&*disk)?;
        disk::create_dir_durable(&*disk, Path::new(NODES)).map_err(failed)?;
        let store = Self { disk, options, identity, bytes: Arc::default(), logs: Mutex::default(), _lock: lock };
        for entry in store.disk.list(Path::new(NODES)).map_err(failed)? {
            match names::node_of(&entry.name).filter(|_| entry.is_dir) {
                Some(name) => drop(store.log_of(&name)?),
                None => ::log::warn!("{:?} in the folder of hints is not ours, it is left alone", entry.name),
            }
        }
        Ok(store)
    }

    /// Who this insert is for its nodes.
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// The log of a node.
    pub fn log(&self, node: &NodeName) -> Result<Arc<HintLog>, String> {
        self.log_of(&node.to_string())
    }

    fn log_of(&self, name: &str) -> Result<Arc<HintLog>, String> {
        let mut logs = self.logs.lock();
        if let Some(log) = logs.iter().find(|log| log.node() == name) {
            return Ok(Arc::clone(log));
        }
        let dir = Path::new(NODES).join(names::dir_of(name));
        let opened = HintLog::open(Arc::clone(&self.disk), dir, name, self.options.clone(), Arc::clone(&self.bytes));
        let log = Arc::new(opened.map_err(|why| format!("cannot read the hints for {name}: {why}"))?);
        logs.push(Arc::clone(&log));
        Ok(log)
    }

    /// The disk that the folder is on.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// All logs, those of nodes that are in no list any more too.
    pub fn logs(&self) -> Vec<Arc<HintLog>> {
        self.logs.lock().clone()
    }

    /// Bytes of all hints on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// Who nobody was before.
pub(crate) fn random_identity() -> u128 {
    // The standard library keys its hash tables with the system's randomness.
    let half = || u128::from(RandomState::new().hash_one(()));
    half() << 64 | half()
}

/// Reads the identity, or makes one.
fn identity(disk: &dyn Disk) -> Result<u128, String> {
    let path = Path::new(IDENTITY);
    let shown = disk.root().join(path);
    match disk.read(path, IDENTITY_BYTES_MAX) {
        Ok(bytes) => {
            let digits = std::str::from_utf8(&bytes).ok().map(str::trim_end).filter(|digits| digits.len() == 32);
            let read = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
            read.ok_or_else(|| format!("cannot read {}: want 32 hexadecimal digits", shown.display()))
        }
        Err(error) if error.is_not_found() => {
            let identity = random_identity();
            disk::publish_file(disk, path, format!("{identity:032x}\n").as_bytes()).map_err(|why| why.to_string())?;
            Ok(identity)
        }
        Err(error) => Err(error.to_string()),
    }
}
