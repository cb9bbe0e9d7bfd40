//! What can go wrong: the surroundings ([`Error`]) or the bytes ([`Corrupt`]).

use std::borrow::Cow;
use std::path::PathBuf;
use std::{fmt, io};

/// The result of an operation on a disk.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a file or folder that the surroundings refused.
#[derive(Debug)]
pub struct Error {
    /// What was tried, as it reads after "cannot", for example `create`.
    pub op: Cow<'static, str>,
    /// The file or folder, joined with the root so that a human finds it.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl Error {
    /// An error of `op` on `path`.
    pub fn new(op: impl Into<Cow<'static, str>>, path: impl Into<PathBuf>, source: io::Error) -> Error {
        Error { op: op.into(), path: path.into(), source }
    }

    /// Whether there was no room: the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether the file or folder is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the name was already taken.
    pub fn is_already_there(&self) -> bool {
        self.source.kind() == io::ErrorKind::AlreadyExists
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.op, self.path.display(), self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Bytes that are not what was written, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// The file.
    pub path: PathBuf,
    /// Where in it the damaged unit begins.
    pub offset: u64,
    /// What is wrong there, for example `block checksum differs`.
    pub what: String,
}

impl Corrupt {
    /// Damage in `path` at byte `offset`.
    pub fn new(path: impl Into<PathBuf>, offset: u64, what: impl Into<String>) -> Corrupt {
        Corrupt { path: path.into(), offset, what: what.into() }
    }
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is damaged at byte {}: {}", self.path.display(), self.offset, self.what)
    }
}

impl std::error::Error for Corrupt {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_operation_file_and_cause() {
        let error = Error::new("create", "/data/wal/7", io::Error::from_raw_os_error(libc::ENOSPC));
        assert!(error.to_string().starts_with("cannot create /data/wal/7: No space left"));
        assert!(error.is_full() && !error.is_not_found());
        let quota = Error::new("append to", "x", io::Error::from_raw_os_error(libc::EDQUOT));
        assert!(quota.is_full());
        let gone = Error::new("read", "x", io::Error::from_raw_os_error(libc::ENOENT));
        assert!(gone.is_not_found() && !gone.is_full());
    }

    #[test]
    fn damage_names_file_and_byte() {
        let damage = Corrupt::new("/data/part", 512, "block checksum differs");
        assert_eq!(damage.to_string(), "/data/part is damaged at byte 512: block checksum differs");
    }
}
