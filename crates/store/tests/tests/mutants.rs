//! Each rule of durability broken on purpose: some history must notice.
//!
//! 1. A sync that is skipped: a disk that acknowledges it without making anything durable is what a program without this sync sees.
//! 2. Two steps in the wrong order: a disk that holds a step back until the next one has happened is what a program with swapped steps sees.
//!
//! docs/durability.md lists the mutants with the history that catches each; `cargo test -p store mutants -- --nocapture` prints it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use disk::{Disk, DiskFile, Entry, Error, Lock, Map};
use testkit::SimDisk;

use crate::histories::{History, seeds};

type Result<T> = std::result::Result<T, Error>;

fn catching_history(run: impl Fn(u64) -> std::result::Result<(), String>) -> Option<u64> {
    seeds(600).find(|seed| run(*seed).is_err())
}

#[test]
fn skipped_syncs_are_caught() {
    for pattern in ["wal/*", "wal", "parts/*", "parts", "manifest.tmp", ""] {
        let caught = catching_history(|seed| History::new(seed, true, &|disk| disk.ignore_sync(pattern)).run());
        let seed = caught.unwrap_or_else(|| panic!("nobody notices that syncs of {pattern:?} are skipped"));
        println!("syncs of {pattern:?} skipped: caught by history {seed}");
    }
}

#[test]
fn a_log_dropped_before_the_manifest_is_caught() {
    let wrap = |disk| Arc::new(Swapped::new(disk, Order::LogBeforeManifest)) as Arc<dyn Disk>;
    let seed = catching_history(|seed| History::wrapped(seed, true, &|_| {}, wrap).run());
    println!("log dropped before the manifest: caught by history {}", seed.expect("nobody notices"));
}

#[test]
fn a_rename_before_the_sync_is_caught() {
    let wrap = |disk| Arc::new(Swapped::new(disk, Order::RenameBeforeSync)) as Arc<dyn Disk>;
    let seed = catching_history(|seed| History::wrapped(seed, true, &|_| {}, wrap).run());
    println!("manifest renamed before it is synced: caught by history {}", seed.expect("nobody notices"));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Segments of the log go before the manifest that makes them dispensable is in place.
    LogBeforeManifest,
    /// The manifest gets its name before its bytes are synced.
    RenameBeforeSync,
}

/// A disk that does two steps in the wrong order.
#[derive(Debug)]
struct Swapped {
    disk: SimDisk,
    order: Order,
    /// The rename of a manifest that was held back.
    held: Mutex<Option<(PathBuf, PathBuf)>>,
}

impl Swapped {
    fn new(disk: SimDisk, order: Order) -> Self {
        Self { disk, order, held: Mutex::new(None) }
    }

    fn do_held(&self) -> Result<()> {
        let held = self.held.lock().expect("no test panics in here").take();
        match held {
            Some((from, to)) => {
                self.disk.rename(&from, &to)?;
                self.disk.sync_dir(Path::new(""))
            }
            None => Ok(()),
        }
    }
}

/// A file whose sync happens later, or never.
struct Unsynced(Box<dyn DiskFile>);

impl DiskFile for Unsynced {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn reserve(&mut self, len: u64) -> Result<()> {
        self.0.reserve(len)
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl Disk for Swapped {
    fn root(&self) -> &Path {
        self.disk.root()
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        let late = self.order == Order::RenameBeforeSync && path == Path::new("manifest.tmp");
        Ok(if late { Box::new(Unsynced(file)) } else { file })
    }

    fn reopen(&self, path: &Path, keep: u64) -> Result<Box<dyn DiskFile>> {
        self.disk.reopen(path, keep)
    }

    fn map(&self, path: &Path) -> Result<Map> {
        self.disk.map(path)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        self.disk.read(path, limit)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        if to != Path::new("manifest") {
            return self.disk.rename(from, to);
        }
        match self.order {
            Order::LogBeforeManifest => {
                *self.held.lock().expect("no test panics in here") = Some((from.into(), to.into()));
                Ok(())
            }
            Order::RenameBeforeSync => {
                self.disk.rename(from, to)?;
                self.disk.sync_dir(Path::new(""))?;
                let len = self.disk.len(to)?;
                self.disk.reopen(to, len)?.sync()
            }
        }
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.disk.remove_file(path)?;
        self.disk.sync_dir(Path::new("wal"))?;
        self.do_held()
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.disk.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.do_held()?;
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.disk.exists(path)
    }

    fn len(&self, path: &Path) -> Result<u64> {
        self.disk.len(path)
    }

    fn free_bytes(&self) -> Result<u64> {
        self.disk.free_bytes()
    }

    fn lock(&self, path: &Path) -> Result<Lock> {
        self.disk.lock(path)
    }
}
