//! What a replay found.

use std::path::PathBuf;

use disk::Corrupt;

/// No more damages than these are named; all are counted.
pub(crate) const DAMAGED_NAMED_MAX: usize = 1000;

/// What a replay found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Number and bytes of each segment that was looked at, by ascending number.
    pub segments: Vec<(u64, u64)>,
    /// Whole records.
    pub records: u64,
    /// Samples given to the sink.
    pub samples: u64,
    /// Definitions given to the sink.
    pub definitions: u64,
    /// Samples that could not be decoded because the record that defines their slot is damaged.
    pub undefined_samples: u64,
    /// Damage inside segments, with others behind it that are whole; the first [`ReplayReport::damaged_count`] up to
    /// a limit.
    pub damaged: Vec<Corrupt>,
    /// How often there was damage.
    pub damaged_count: u64,
    /// Ends of segments behind which nothing whole follows: what was being written when the power went.
    pub torn: Vec<Torn>,
    /// Entries of the folder that are no segments. They are left alone.
    pub foreign: Vec<PathBuf>,
    /// The number that the next segment gets.
    pub next_number: u64,
}

/// An end of a segment that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub path: PathBuf,
    /// Where the cut is.
    pub offset: u64,
    /// How many bytes are behind it.
    pub bytes: u64,
}

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ends torn: {} bytes from byte {} on are no whole record",
            self.path.display(),
            self.bytes,
            self.offset
        )
    }
}

impl ReplayReport {
    pub(crate) fn add_damage(&mut self, damage: Corrupt) {
        self.damaged_count += 1;
        if self.damaged.len() < DAMAGED_NAMED_MAX {
            self.damaged.push(damage);
        }
    }
}
