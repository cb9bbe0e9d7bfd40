//! What can go wrong with a part.

use std::{fmt, path::PathBuf};

use crate::FORMAT_VERSION;

/// A failure of the disk, or damaged bytes.
#[derive(Debug)]
pub enum PartError {
    /// The disk failed.
    Disk(disk::Error),
    /// The bytes make no sense.
    Corrupt(disk::Corrupt),
    /// A newer program wrote it: both files say so.
    Newer {
        /// The part.
        folder: PathBuf,
        /// The version of its format.
        found: u32,
    },
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Corrupt(corrupt) => corrupt.fmt(f),
            Self::Newer { folder, found } => write!(
                f,
                "cannot read part {}: format version {found}, this program reads up to {FORMAT_VERSION}; start the newer program again",
                folder.display()
            ),
        }
    }
}

impl std::error::Error for PartError {}

impl From<disk::Error> for PartError {
    fn from(error: disk::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<disk::Corrupt> for PartError {
    fn from(corrupt: disk::Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}
