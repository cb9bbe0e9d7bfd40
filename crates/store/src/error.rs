//! Why a store cannot be opened or cannot go on.

use std::fmt;

use part::PartError;

use crate::manifest::LoadError;

/// A failure of the store.
#[derive(Debug)]
pub enum StoreError {
    /// The disk failed.
    Disk(disk::Error),
    /// Bytes that nothing can do without are damaged.
    Corrupt(disk::Corrupt),
    /// The log failed.
    Log(wal::WalError),
    /// The folder cannot be used as it is.
    Folder(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Corrupt(corrupt) => corrupt.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Folder(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<disk::Error> for StoreError {
    fn from(error: disk::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<disk::Corrupt> for StoreError {
    fn from(corrupt: disk::Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl From<wal::WalError> for StoreError {
    fn from(error: wal::WalError) -> Self {
        Self::Log(error)
    }
}

impl From<LoadError> for StoreError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Disk(error) => Self::Disk(error),
            LoadError::Corrupt(corrupt) => Self::Corrupt(corrupt),
        }
    }
}

impl From<PartError> for StoreError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Disk(error) => Self::Disk(error),
            PartError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            PartError::Newer { .. } => Self::Folder(error.to_string()),
        }
    }
}
