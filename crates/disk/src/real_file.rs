//! A file of the machine that is open for appending.
//!
//! 1. Every append goes to the kernel at once; whoever writes small pieces collects them first.
//! 2. The first failure of an append or a sync closes the file for good. Its reason is reported
//!    once, every later call says that there was one.
//! 3. A file or folder whose sync failed stays marked in its disk by its inode, so that opening it
//!    again does not turn bytes that the kernel dropped into bytes that count as durable.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{DiskFile, Error, Result};

/// The files and folders of a disk whose sync failed since the process began.
#[derive(Debug, Default)]
pub(crate) struct FailedSyncs(Mutex<HashSet<(u64, u64)>>);

impl FailedSyncs {
    fn inodes(&self) -> MutexGuard<'_, HashSet<(u64, u64)>> {
        // The set is whole after every step, also if a thread died while it held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a file or folder whose sync failed before.
    pub(crate) fn check(&self, file: &Metadata) -> io::Result<()> {
        if self.inodes().contains(&(file.dev(), file.ino())) {
            return Err(io::Error::other("an earlier sync failed, its bytes may be lost"));
        }
        Ok(())
    }

    /// Forgets what an earlier, removed file of this number left behind.
    pub(crate) fn forget(&self, new_file: &Metadata) {
        self.inodes().remove(&(new_file.dev(), new_file.ino()));
    }

    /// Marks `file`, whose sync failed. If even its number cannot be read, the caller's own error
    /// has to do.
    pub(crate) fn mark(&self, file: &File) {
        if let Ok(metadata) = file.metadata() {
            self.inodes().insert((metadata.dev(), metadata.ino()));
        }
    }
}

/// What room is reserved with.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

pub(crate) struct RealFile {
    file: File,
    path: PathBuf,
    len: u64,
    failed: bool,
    failed_syncs: Arc<FailedSyncs>,
}

impl RealFile {
    pub(crate) fn new(file: File, path: PathBuf, len: u64, failed_syncs: Arc<FailedSyncs>) -> RealFile {
        RealFile { file, path, len, failed: false, failed_syncs }
    }

    fn fill(&self, len: u64) -> io::Result<()> {
        let mut end = self.file.metadata()?.len();
        while end < len {
            let zeros = &ZEROS[..ZEROS.len().min((len - end) as usize)];
            self.file.write_all_at(zeros, end)?;
            end += zeros.len() as u64;
        }
        Ok(())
    }

    fn check(&self, op: &'static str) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        let source = io::Error::other("an earlier write or sync of this file failed");
        Err(Error::new(op, &self.path, source))
    }
}

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check("append to")?;
        self.file.write_all_at(bytes, self.len).map_err(|source| {
            self.failed = true;
            Error::new("append to", &self.path, source)
        })?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.check("sync")?;
        self.file.sync_data().map_err(|source| {
            self.failed = true;
            self.failed_syncs.mark(&self.file);
            Error::new("sync", &self.path, source)
        })
    }

    fn reserve(&mut self, len: u64) -> Result<()> {
        self.check("reserve room for")?;
        self.fill(len).map_err(|source| Error::new("reserve room for", &self.path, source))
    }

    fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    /// A file that is always full, and that no one can sync.
    fn full() -> RealFile {
        let file = OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        RealFile::new(file, PathBuf::from("/dev/full"), 0, Arc::default())
    }

    #[test]
    fn a_failed_append_is_told_once_and_ends_the_file() {
        let mut file = full();
        let error = file.append(b"x").unwrap_err();
        assert!(error.is_full(), "{error}");
        for error in [file.append(b"x").unwrap_err(), file.sync().unwrap_err()] {
            assert!(error.to_string().ends_with("an earlier write or sync of this file failed"), "{error}");
            assert!(!error.is_full());
        }
        assert!(file.is_empty());
    }

    #[test]
    fn room_that_cannot_be_reserved_ends_nothing() {
        let mut file = full();
        assert!(file.reserve(1).is_err_and(|why| why.is_full()));
        assert!(file.append(b"x").unwrap_err().source.raw_os_error().is_some(), "it was not given up");
    }

    #[test]
    fn a_failed_sync_is_told_once_and_marks_the_inode() {
        let mut file = full();
        let metadata = file.file.metadata().unwrap();
        assert!(file.failed_syncs.check(&metadata).is_ok());
        let error = file.sync().unwrap_err();
        assert!(error.source.raw_os_error().is_some(), "the first time it is the system's own reason: {error}");
        assert!(file.sync().is_err() && file.append(b"x").is_err());
        assert!(file.failed_syncs.check(&metadata).is_err());
    }
}
