//! A disk in memory that costs as little as can be, so that the log itself is measured.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use disk::{Disk, DiskFile, Entry, Error, Lock, Map, Result};

type Bytes = Arc<Mutex<Arc<Vec<u8>>>>;

/// Keeps files in memory; a clone is the same disk.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    files: Arc<Mutex<BTreeMap<PathBuf, Bytes>>>,
    forgets: bool,
}

impl MemoryDisk {
    /// Keeps no bytes: what memory costs is not measured.
    pub fn null() -> MemoryDisk {
        MemoryDisk { forgets: true, ..MemoryDisk::default() }
    }
}

struct MemoryFile {
    bytes: Bytes,
    forgets: bool,
}

struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no bench panicked")
}

fn refuse<T>(path: &Path) -> Result<T> {
    Err(Error::new("use", path, io::ErrorKind::Unsupported.into()))
}

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.forgets {
            Arc::make_mut(&mut lock(&self.bytes)).extend_from_slice(bytes);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn reserve(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        lock(&self.bytes).len() as u64
    }
}

impl Disk for MemoryDisk {
    fn root(&self) -> &Path {
        Path::new("memory")
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let bytes = Bytes::default();
        lock(&self.files).insert(path.to_path_buf(), Arc::clone(&bytes));
        Ok(Box::new(MemoryFile { bytes, forgets: self.forgets }))
    }

    fn map(&self, path: &Path) -> Result<Map> {
        match lock(&self.files).get(path) {
            Some(bytes) => Ok(Map::from_owner(Shared(Arc::clone(&lock(bytes))))),
            None => refuse(path),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let files = lock(&self.files);
        let inside = files.iter().filter(|(path, _)| path.parent() == Some(dir));
        Ok(inside
            .map(|(path, bytes)| Entry {
                name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                is_dir: false,
                len: lock(bytes).len() as u64,
            })
            .collect())
    }

    fn exists(&self, _: &Path) -> Result<bool> {
        Ok(true)
    }

    fn create_dir_all(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn reopen(&self, path: &Path, _: u64) -> Result<Box<dyn DiskFile>> {
        refuse(path)
    }

    fn read(&self, path: &Path, _: u64) -> Result<Vec<u8>> {
        refuse(path)
    }

    fn rename(&self, from: &Path, _: &Path) -> Result<()> {
        refuse(from)
    }

    fn hard_link(&self, from: &Path, _: &Path) -> Result<()> {
        refuse(from)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        refuse(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<()> {
        refuse(path)
    }

    fn len(&self, path: &Path) -> Result<u64> {
        refuse(path)
    }

    fn free_bytes(&self) -> Result<u64> {
        Ok(u64::MAX)
    }

    fn lock(&self, path: &Path) -> Result<Lock> {
        refuse(path)
    }
}
