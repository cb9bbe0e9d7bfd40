//! What can go wrong: the surroundings, too much at once, or an input that no record can hold.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a record was not logged, or a log not read.
#[derive(Debug)]
pub enum WalError {
    /// The disk refused an operation that concerns no record that was waited for.
    Disk(disk::Error),
    /// A write or sync of this segment failed. What was not acknowledged before never will be; the owner rotates.
    Poisoned {
        /// The segment's number.
        segment: u64,
        /// The first failure, which is the only one that says something.
        cause: Arc<disk::Error>,
    },
    /// More bytes wait to be written than may; nothing of the last request counts as logged.
    Overloaded {
        /// How many bytes wait.
        waiting: u64,
        /// How many may.
        limit: u64,
    },
    /// Bytes that no record takes.
    TooLong {
        /// What they are, as a noun.
        what: &'static str,
        /// How many there are.
        bytes: usize,
        /// How many a record takes.
        limit: usize,
    },
    /// A slot number beyond [`crate::SLOTS_MAX`].
    SlotTooHigh(u32),
    /// A segment of a format that this program does not know; it has to be read by the program that wrote it.
    NewerFormat {
        /// The segment.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The latest version that this program reads.
        supported: u32,
    },
}

/// The result of an operation on the log.
pub type Result<T, E = WalError> = std::result::Result<T, E>;

impl fmt::Display for WalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Poisoned { segment, cause } => write!(f, "log segment {segment:016x} takes no more records: {cause}"),
            Self::Overloaded { waiting, limit } => {
                write!(f, "cannot log: {waiting} bytes wait to be written, at most {limit} may")
            }
            Self::TooLong { what, bytes, limit } => {
                write!(f, "cannot log {what} of {bytes} bytes, at most {limit} are taken")
            }
            Self::SlotTooHigh(slot) => write!(f, "cannot log slot {slot}, there are {}", crate::SLOTS_MAX),
            Self::NewerFormat { path, found, supported } => write!(
                f,
                "cannot read log segment {}: it has format version {found}, this program reads up to version {supported}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for WalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disk(error) => Some(error),
            Self::Poisoned { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

impl From<disk::Error> for WalError {
    fn from(error: disk::Error) -> Self {
        Self::Disk(error)
    }
}
