//! The only file IO of the project: publish, sync, map, checksum.
//!
//! 1. Everything that touches a file goes through [`Disk`], so that the same store runs on the
//!    machine's file system ([`RealDisk`]) and on the hostile one that lives in `testkit`.
//! 2. Durability is explicit and has two halves. The bytes of a file are durable after
//!    [`DiskFile::sync`]; its *name* is durable after [`Disk::sync_dir`] of the folder it stands in.
//!    Neither implies the other.
//! 3. Whatever must appear whole or not at all is written beside its place, synced, and renamed
//!    into it: [`publish_file`], [`publish_dir`].
//! 4. A sync that failed is final. The kernel may have dropped the bytes and would answer the next
//!    attempt with success, so nothing here tries a second time: see [`DiskFile::sync`].
//!
//! Architecture invariant: this crate never knows what the bytes mean.

mod checksum;
mod error;
mod map;
mod path;
mod publish;
mod real;
mod real_file;
mod system;
mod unreadable;

use std::any::Any;
use std::fmt;
use std::path::Path;

pub use checksum::{crc32c, crc32c_append};
pub use error::{Corrupt, Error, Result};
pub use map::Map;
pub use path::{check_entry_path, check_path};
pub use publish::{create_dir_durable, publish_dir, publish_file};
pub use real::RealDisk;
pub use unreadable::unreadable_pages;

/// A data folder.
///
/// All paths are relative to its root, `/`-separated, and never leave it; the empty path is the
/// root itself. Several threads may use it at once.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The root as humans know it, for messages.
    fn root(&self) -> &Path;

    /// Makes a new, empty file and opens it for appending; fails if the name is taken.
    ///
    /// The name is durable only after [`Disk::sync_dir`] of its folder.
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>>;

    /// Opens a file for appending, cut to its first `keep` bytes.
    ///
    /// The cut is durable when this returns, so that bytes which were cut off cannot come back
    /// behind bytes that are appended later. Fails if the file is shorter than `keep`, and if a
    /// sync of this file has failed before. No [`Map`] of the file may reach beyond `keep`.
    fn reopen(&self, path: &Path, keep: u64) -> Result<Box<dyn DiskFile>>;

    /// Maps the whole file for reading, at the length that it has now.
    fn map(&self, path: &Path) -> Result<Map>;

    /// Reads the whole file; an error if it is longer than `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>>;

    /// Moves a file or folder. A file replaces a file, a folder replaces an empty folder.
    ///
    /// Durable only after [`Disk::sync_dir`] of the folder that it moved *into*, and gone from the
    /// old place for good only after that of the folder it came from.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives the file `from` the second name `to`, which must be free.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes a folder and all that is in it. This is not atomic: whoever needs that renames the
    /// folder to a name that means "garbage" first.
    fn remove_dir_all(&self, path: &Path) -> Result<()>;

    /// Makes a folder and those above it where they are missing; see [`create_dir_durable`].
    fn create_dir_all(&self, path: &Path) -> Result<()>;

    /// Makes the entries of a folder durable: what was created, renamed, linked, removed in it.
    ///
    /// As with [`DiskFile::sync`] a failure is final for that folder.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// The entries of a folder, sorted by name.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Whether there is a file or folder of this name.
    fn exists(&self, path: &Path) -> Result<bool>;

    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> Result<u64>;

    /// Bytes that this user may still write to the file system of the root.
    fn free_bytes(&self) -> Result<u64>;

    /// Takes the lock file `path` (made if missing) for this process until the answer is dropped.
    ///
    /// A second process, or a second lock in this one, gets an error that names the root.
    fn lock(&self, path: &Path) -> Result<Lock>;
}

/// A file that is open for appending.
///
/// After any error the file must be given up: its last bytes are in doubt. [`RealDisk`] refuses all
/// further calls on it; a double may show what the kernel does instead, which is to say yes.
pub trait DiskFile: Send {
    /// Writes `bytes` behind what is there. After an error a part of them may be in the file.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes every byte appended so far durable (fdatasync); the file's name is not included.
    ///
    /// A failure is final: the kernel reports it once, marks the pages clean and may drop them, so
    /// a second attempt would succeed without the bytes being anywhere.
    fn sync(&mut self) -> Result<()>;

    /// Makes the file this long by zeros behind what is there, which appends write over. A sync of bytes that lie where the file has bytes already costs the system
    /// half: nothing but them has changed. The zeros may be found behind a crash.
    ///
    /// A failure is none of the file's: it is as it was.
    fn reserve(&mut self, len: u64) -> Result<()>;

    /// The bytes in the file, counting only appends that succeeded.
    fn len(&self) -> u64;

    /// Whether nothing is in the file.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file or folder inside a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name inside its folder. Foreign names that are not UTF-8 show replacement characters.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// The length in bytes of a file; 0 for a folder.
    pub len: u64,
}

/// A lock that is held until this is dropped; see [`Disk::lock`].
#[must_use = "the lock is released when this is dropped"]
pub struct Lock {
    _guard: Box<dyn Any + Send + Sync>,
}

impl Lock {
    /// Wraps whatever releases the lock when it is dropped.
    pub fn new(guard: impl Any + Send + Sync) -> Lock {
        Lock { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
