//! The head of a block: everything about a run of samples of one series but the samples.

use codec::Summary;
use model::ValueKind;

/// A run of bytes in the columns file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Where it starts.
    pub offset: u64,
    /// How long it is, without the checksum behind it.
    pub len: u32,
}

impl Span {
    /// Where the checksum behind it ends.
    pub fn end(self) -> u64 {
        self.offset + u64::from(self.len) + CHECKSUM_BYTES as u64
    }
}

/// Each span of the columns file is followed by its CRC-32C.
pub const CHECKSUM_BYTES: usize = 4;

/// A time column: where it is and what can be said without decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeSpan {
    /// Where it is.
    pub span: Span,
    /// How many timestamps.
    pub count: u32,
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
}

/// How a page names a time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// By its place in the part's directory of shared columns.
    Shared(u32),
    /// In full, as no other block had the same times when it was written.
    Own(TimeSpan),
}

/// Where the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueSource {
    /// In the columns file.
    Columns(Span),
    /// In the page itself, because they are few bytes; start and length in [`crate::Page`]'s store.
    Inline {
        /// Start in the page's inline bytes.
        start: u32,
        /// Length.
        len: u32,
    },
}

/// The head of a block.
#[derive(Debug, Clone)]
pub struct BlockHead {
    /// The time column.
    pub time: TimeSpan,
    /// Where the values are.
    pub values: ValueSource,
    /// What they are.
    pub kind: ValueKind,
    /// Whether the values are stored as the difference to the same block of the series before, the next lower bucket.
    pub above: bool,
    /// Whether two samples have the same time.
    pub equal_times: bool,
    /// What the samples come to.
    pub summary: Summary,
}

impl BlockHead {
    /// How many samples.
    pub fn count(&self) -> usize {
        self.time.count as usize
    }
}
