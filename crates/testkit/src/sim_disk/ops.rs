//! The disk as the store sees it: every operation passes the fault plan and is recorded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use disk::{Disk, DiskFile, Entry, Error, Lock, Map, Result, check_entry_path, check_path};

use super::SimDisk;
use super::fault::{How, Op};
use super::state::{Call, Fate, Power, State, stopped};
use super::tree::{NodeId, os};

/// What the disk says is free as long as no test has limited it.
const ROOMY_BYTES: u64 = 1 << 40;

impl SimDisk {
    /// Runs one operation: `act` does it, `wreck` does what is left of it when it goes wrong.
    fn run<T>(
        &self,
        call: Call<'_>,
        act: impl FnOnce(&mut State) -> io::Result<T>,
        wreck: impl FnOnce(&mut State, How),
    ) -> Result<T> {
        let hook = self.machine.hook.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            hook(call.op, call.path);
        }
        let mut state = self.state();
        // What was opened while the machine stopped; it is dropped without the lock, which it takes.
        let mut orphan = None;
        let outcome = match state.admit(call) {
            Ok(Fate::Act) => act(&mut state),
            Ok(Fate::Fail(how, error)) => {
                wreck(&mut state, how);
                Err(error)
            }
            Ok(Fate::Stop { done: true }) => {
                orphan = act(&mut state).ok();
                Err(stopped())
            }
            Ok(Fate::Stop { done: false }) => {
                wreck(&mut state, How::WriteShort);
                Err(stopped())
            }
            Err(error) => Err(error),
        };
        state.record(call, outcome.is_ok());
        drop(state);
        drop(orphan);
        outcome.map_err(|source| self.error(call, source))
    }

    /// An operation that leaves nothing behind when it fails.
    fn simply<T>(&self, op: Op, path: &Path, act: impl FnOnce(&mut State) -> io::Result<T>) -> Result<T> {
        self.run(Call { op, path, to: None, bytes: 0 }, act, |_, _| {})
    }

    fn error(&self, call: Call<'_>, source: io::Error) -> Error {
        let root = self.root();
        match call.to {
            Some(to) => Error::new(format!("{} {} to", call.op, root.join(call.path).display()), root.join(to), source),
            None => Error::new(call.op.verb(), root.join(call.path), source),
        }
    }

    fn open(&self, state: &mut State, node: NodeId, path: &Path) -> Box<dyn DiskFile> {
        *state.open.entry(node).or_insert(0) += 1;
        let len = state.tree.file(node).map_or(0, |file| file.cache.len() as u64);
        Box::new(SimFile { disk: self.clone(), node, path: path.to_owned(), len })
    }
}

impl Disk for SimDisk {
    fn root(&self) -> &Path {
        Path::new("/sim")
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        self.simply(Op::Create, path, |state| {
            check_entry_path(path)?;
            let place = state.tree.place(path)?;
            if place.node.is_some() {
                return Err(os(libc::EEXIST));
            }
            let node = state.tree.create_file(place);
            Ok(self.open(state, node, path))
        })
    }

    fn reopen(&self, path: &Path, keep: u64) -> Result<Box<dyn DiskFile>> {
        self.simply(Op::Reopen, path, |state| {
            check_entry_path(path)?;
            let node = state.reopen(path, keep)?;
            Ok(self.open(state, node, path))
        })
    }

    fn map(&self, path: &Path) -> Result<Map> {
        self.simply(Op::Map, path, |state| {
            check_entry_path(path)?;
            let node = state.tree.find(path)?;
            Ok(state.tree.file(node)?.map())
        })
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        self.simply(Op::Read, path, |state| {
            check_entry_path(path)?;
            let node = state.tree.find(path)?;
            let bytes = &state.tree.file(node)?.cache;
            if bytes.len() as u64 > limit {
                let text = format!("it is longer than the {limit} bytes that are allowed");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
            }
            Ok(bytes.clone())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let call = Call { op: Op::Rename, path: from, to: Some(to), bytes: 0 };
        let act = |state: &mut State| {
            check_entry_path(from)?;
            check_entry_path(to)?;
            state.rename(from, to)
        };
        self.run(call, act, |_, _| {})
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let call = Call { op: Op::HardLink, path: from, to: Some(to), bytes: 0 };
        let act = |state: &mut State| {
            check_entry_path(from)?;
            check_entry_path(to)?;
            state.hard_link(from, to)
        };
        self.run(call, act, |_, _| {})
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.simply(Op::RemoveFile, path, |state| {
            check_entry_path(path)?;
            state.remove_file(path)
        })
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        let call = Call { op: Op::RemoveDirAll, path, to: None, bytes: 0 };
        let act = |state: &mut State| {
            check_entry_path(path)?;
            state.remove_dir_all(path, false)
        };
        let wreck = |state: &mut State, _| {
            if check_entry_path(path).is_ok() {
                // The caller gets the planned error in any case.
                let _ = state.remove_dir_all(path, true);
            }
        };
        self.run(call, act, wreck)
    }

    fn create_dir_all(&self, path: &Path) -> Result<()> {
        self.simply(Op::CreateDirAll, path, |state| {
            check_path(path)?;
            state.create_dir_all(path)
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let call = Call { op: Op::SyncDir, path, to: None, bytes: 0 };
        let act = |state: &mut State| {
            check_path(path)?;
            state.sync_dir(path)
        };
        let wreck = |state: &mut State, how| {
            if let (How::DropDirty, Ok(node)) = (how, state.folder(path)) {
                state.tree.drop_dirty(node);
            }
        };
        self.run(call, act, wreck)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.simply(Op::List, dir, |state| {
            check_path(dir)?;
            let node = state.folder(dir)?;
            let entries = state.tree.entries(node)?.into_iter().map(|(name, node)| {
                let is_dir = state.tree.is_dir(node);
                let len = if is_dir { 0 } else { state.tree.file(node)?.cache.len() as u64 };
                Ok(Entry { name, is_dir, len })
            });
            entries.collect()
        })
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        self.simply(Op::Exists, path, |state| {
            check_path(path)?;
            match state.tree.find(path) {
                Ok(_) => Ok(true),
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    fn len(&self, path: &Path) -> Result<u64> {
        self.simply(Op::Len, path, |state| {
            check_entry_path(path)?;
            let node = state.tree.find(path)?;
            Ok(state.tree.file(node)?.cache.len() as u64)
        })
    }

    fn free_bytes(&self) -> Result<u64> {
        self.simply(Op::FreeBytes, Path::new(""), |state| Ok(state.free_bytes().unwrap_or(ROOMY_BYTES)))
    }

    fn lock(&self, path: &Path) -> Result<Lock> {
        self.simply(Op::Lock, path, |state| {
            check_entry_path(path)?;
            let place = state.tree.place(path)?;
            let node = match place.node {
                Some(node) => node,
                None => state.tree.create_file(place),
            };
            state.tree.file(node)?;
            if !state.locked.insert(node) {
                let text = format!("another process is using {}", self.root().display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            Ok(Lock::new(SimLock { disk: self.clone(), node }))
        })
    }
}

struct SimLock {
    disk: SimDisk,
    node: NodeId,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.node);
    }
}

struct SimFile {
    disk: SimDisk,
    node: NodeId,
    path: PathBuf,
    len: u64,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let (node, end) = (self.node, self.len as usize);
        let call = Call { op: Op::Append, path: &self.path, to: None, bytes: bytes.len() };
        let wreck = |state: &mut State, how| {
            if how == How::WriteShort && !bytes.is_empty() {
                let written = state.rng.index(bytes.len());
                // The caller gets the planned error in any case.
                let _ = state.write(node, end, &bytes[..written]);
            }
        };
        self.disk.run(call, |state| state.write(node, end, bytes), wreck)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let node = self.node;
        let call = Call { op: Op::Sync, path: &self.path, to: None, bytes: 0 };
        let act = |state: &mut State| {
            if !state.is_sync_ignored(&self.path) {
                state.tree.file(node)?.sync();
            }
            Ok(())
        };
        let wreck = |state: &mut State, how| {
            if how == How::DropDirty {
                let mut rng = state.rng.fork();
                if let Ok(file) = state.tree.file(node) {
                    file.drop_dirty(&mut rng);
                }
            }
        };
        self.disk.run(call, act, wreck)
    }

    fn reserve(&mut self, len: u64) -> Result<()> {
        let node = self.node;
        self.disk.simply(Op::Reserve, &self.path, |state| state.reserve(node, len as usize))
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.power == Power::Gone {
            return;
        }
        if let Some(handles) = state.open.get_mut(&self.node) {
            *handles -= 1;
            if *handles == 0 {
                state.open.remove(&self.node);
            }
        }
    }
}
