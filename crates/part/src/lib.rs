//! Immutable parts: columns of samples with their own inverted index, in two files of one folder.
//!
//! 1. A [`PartWriter`] takes series in key order, cuts their samples into blocks, and writes `columns` (time and value columns) and `index` (pages
//!    of block heads, the directory of shared time columns, the label index, a footer).
//! 2. A [`Part`] maps both files and answers: which series ([`Part::search`]), which blocks ([`Part::read_page`]), which samples.
//! 3. [`merge::merge_parts`] walks several parts in key order and writes one.
//!
//! Architecture invariant: knows nothing of the log, of what is in memory, of partitions and their policy, and of queries. A part can be read,
//! copied, verified or removed alone.

mod block;
mod by_hash;
mod cold_trials;
mod error;
pub mod fuzz;
pub mod merge;
mod meta;
mod page;
mod reader;
mod rows;
mod searches;
mod series_name;
mod time_directory;
mod verify;
mod writer;

pub use block::{BlockHead, Span, TimeSource, TimeSpan};
pub use error::PartError;
pub use meta::{Effort, PartMeta};
pub use page::Page;
pub use reader::{Part, ReadScratch};
pub use rows::{deduplicate, one_per_timestamp, sort_rows};
pub use searches::{Searches, SearchesStats};
pub use series_name::SeriesName;
pub use verify::Verified;
pub use writer::{PartWriter, WriterOptions};

/// The file of time and value columns.
pub const COLUMNS_FILE: &str = "columns";
/// The file of block heads and labels.
pub const INDEX_FILE: &str = "index";
/// The most samples of one block.
pub const BLOCK_SAMPLES_MAX: usize = codec::MAX_BLOCK_SAMPLES;
/// Blocks are cut at multiples of this, so that heads can answer for whole spans of time; docs/decisions/2026-11-20-block-lines.md has the price.
pub const BLOCK_LINE_MS: i64 = 6 * 3600 * 1000;
/// Version of the format of both files.
pub const FORMAT_VERSION: u32 = 1;

const COLUMNS_MAGIC: [u8; 8] = *b"BSLTCOLS";
const INDEX_MAGIC: [u8; 8] = *b"BSLTPIDX";
/// Both files begin with their magic, the version and four bytes that are zero.
const HEADER_BYTES: usize = 16;
/// The last bytes of the index file: length of the footer, its checksum, the magic.
const TRAILER_BYTES: usize = 16;
/// A page is closed when it holds so many series, but not between the buckets of one histogram …
const PAGE_SERIES: usize = 64;
/// … unless it has grown to so many.
const PAGE_SERIES_MAX: usize = 128;
/// So many buckets in a row may each be stored as the difference to the one below.
const BUCKET_CHAIN_MAX: usize = 16;

const _: () = assert!(PAGE_SERIES < PAGE_SERIES_MAX && BUCKET_CHAIN_MAX < PAGE_SERIES_MAX);

fn header(magic: [u8; 8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&magic);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header
}

/// What is wrong with the first bytes of a file.
enum WrongHeader {
    /// The version of a program to come.
    Newer(u32),
    Damaged(String),
}

impl WrongHeader {
    fn into_text(self) -> String {
        match self {
            Self::Newer(version) => format!("format version {version}, this program reads up to {FORMAT_VERSION}"),
            Self::Damaged(what) => what,
        }
    }
}

fn check_header(bytes: &[u8], magic: [u8; 8]) -> Result<(), WrongHeader> {
    let damaged = |what: &str| Err(WrongHeader::Damaged(what.into()));
    let Some(header) = bytes.get(..HEADER_BYTES) else { return damaged("the file is shorter than its header") };
    if header[..8] != magic {
        return damaged("wrong magic: not a file of this kind");
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version > FORMAT_VERSION {
        return Err(WrongHeader::Newer(version));
    }
    if version != FORMAT_VERSION || header[12..] != [0; 4] {
        return damaged("damaged header");
    }
    Ok(())
}
