//! What can be wrong with bytes from outside.

use std::fmt;

/// Bytes that break their protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// At which byte of the unpacked body.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Malformed {}

/// A body that cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnpackError {
    /// It says, or turns out, to be longer than allowed.
    TooLong {
        /// What it says to be, if it says.
        declared: Option<u64>,
        /// The limit.
        max: usize,
    },
    /// It is not what its packing looks like.
    Broken {
        /// The packing.
        packing: &'static str,
        /// What the library says.
        why: String,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { declared: Some(bytes), max } => {
                write!(f, "the body unpacks to {bytes} bytes, at most {max} are allowed")
            }
            Self::TooLong { declared: None, max } => {
                write!(f, "the body unpacks to more than the allowed {max} bytes")
            }
            Self::Broken { packing, why } => write!(f, "cannot unpack the body as {packing}: {why}"),
        }
    }
}

impl std::error::Error for UnpackError {}
