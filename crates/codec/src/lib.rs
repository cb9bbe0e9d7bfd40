//! Numbers to bytes and back: the columns of a part, without a word about files or labels.
//!
//! 1. [`bytes`] reads and writes bounded little-endian numbers and varints; every format of the project uses it.
//! 2. [`times`] codes timestamp columns as a scrape grid with residuals.
//! 3. [`values`] codes value columns as constants, exact decimals or float bits: packed, with static tANS or with pco.
//! 4. [`summary`] says what a block of values comes to, so that whole blocks can be answered without decoding.
//!
//! Inside, `decimal` turns floats into integers without losing a bit, `ints` codes integers in vectors of 256, `bitpack`
//! packs one vector, `patches` carries what is no decimal and `cold` wraps pco. The page `docs/formats/columns.md` shows
//! every format byte by byte.
//!
//! Architecture invariant: knows nothing of files, labels or series, and does no IO.

mod bitpack;
pub mod bytes;
mod cold;
mod decimal;
mod floats;
pub mod fuzz;
mod ints;
mod lanes;
mod patches;
pub mod summary;
#[cfg(test)]
mod testdata;
pub mod times;
pub mod values;
mod wide;

pub use summary::{Sum, Summary, summarize};
pub use times::{decode_times, encode_times};
pub use values::{
    Effort, Encoded, Scratch, ValueCodec, decode_value_range, decode_values, decode_values_above, encode_values,
    encode_values_above,
};

/// The most samples of one block.
pub const MAX_BLOCK_SAMPLES: usize = 8192;
/// Blocks of up to so many samples are packed and nothing else, whatever the effort: what denser forms cost at the start of a block is more than they
/// save in one that is so short (with 60 samples a block 1.031 bytes a sample became 1.030), and they took a seventh of the time of a merge.
pub const SHORT_BLOCK_SAMPLES: usize = 128;
/// Samples of one vector, the unit in which integers are packed and may be decoded.
pub const VECTOR_SAMPLES: usize = 256;
/// The bits of the NaN by which Prometheus marks a series as ended.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

const _: () = assert!(MAX_BLOCK_SAMPLES <= 1 << 16, "positions inside a block fit 16 bits");
