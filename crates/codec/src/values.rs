//! Value columns: a block of floats in the smallest form that gives every bit back.
//!
//! ```text
//! | codec u8 | body |
//! codec: bits 0-6 the number of a `ValueCodec`; bit 7 the block is minus another one (`…_above`)
//! constant:                | digits i8, -128 for raw bits | mantissa zigzag, or 8 bytes |
//! decimal, float bits:     | flags u8 | digits i8? | patches? | integers (see `ints::stream`) |
//!   flags: bits 0-3 belong to the integers; bit 4 digits follow; bit 5 patches follow
//! pco of mantissas:        | flags u8 | digits i8? | patches? | pco |
//! pco of floats:           | pco |
//! ```
//!
//! 1. Equal bits throughout: constant.
//! 2. Else the block is converted to decimal mantissas, or, where it is none, to keys that order as the floats do, and
//!    these go through the integer coder: packed at flush, with tANS vectors at merge.
//! 3. In the cold form `pco` is tried on mantissas and floats and taken where it saves at least a twentieth.

mod decode;
mod encode;

pub use decode::{decode_value_range, decode_values, decode_values_above};
pub use encode::{encode_values, encode_values_above};

use std::cell::RefCell;

use crate::ints::IntScratch;
use crate::summary::Summary;

/// How much work a block is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// Constant and packed forms only: fast to write and to read.
    Flush,
    /// Also static tANS, where it is smaller.
    Merge,
    /// Also pco, where it saves at least 5 %.
    Cold,
}

/// The form of a block. The numbers are those on disk and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueCodec {
    /// One value throughout.
    Constant = 0,
    // 1 is left to parts, for a reference to an equal column.
    /// Decimal mantissas, packed.
    Decimal = 2,
    /// Decimal mantissas, with tANS vectors.
    DecimalTans = 3,
    /// Order-preserving float bits, packed.
    FloatBits = 4,
    /// Order-preserving float bits, with tANS vectors.
    FloatBitsTans = 5,
    /// Decimal mantissas through pco.
    DecimalPco = 6,
    /// Floats through pco.
    FloatPco = 7,
}

impl ValueCodec {
    /// Every codec.
    pub const ALL: [Self; 7] = [
        Self::Constant,
        Self::Decimal,
        Self::DecimalTans,
        Self::FloatBits,
        Self::FloatBitsTans,
        Self::DecimalPco,
        Self::FloatPco,
    ];

    /// The codec of an encoded block, from its first byte.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let number = bytes.first()? & !ABOVE;
        Self::ALL.into_iter().find(|&codec| codec as u8 == number)
    }
}

/// Whether an encoded block is one that [`decode_values_above`] reads.
pub fn is_above(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|codec| codec & ABOVE != 0)
}

/// What an encoder says about the block that it appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// The form that was chosen.
    pub codec: ValueCodec,
    /// What the values come to.
    pub summary: Summary,
}

/// Buffers that are used from block to block, so that coding allocates nothing once they have grown.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) mantissas: Vec<i64>,
    pub(crate) odd: Vec<u16>,
    pub(crate) floats: Vec<f64>,
    pub(crate) ints: IntScratch,
    pub(crate) trial: Vec<u8>,
}

thread_local! {
    static LOCAL: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// New buffers, about 30 kB and what the first blocks make them grow by.
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffers of this thread, for the calls that take none.
    pub(crate) fn with_local<R>(work: impl FnOnce(&mut Self) -> R) -> R {
        LOCAL.with_borrow_mut(work)
    }
}

/// Set in the codec byte of a block that is minus another one.
const ABOVE: u8 = 0x80;
/// In place of the digits of a constant: its bits follow.
const DIGITS_RAW: i8 = -128;
const FLAG_DIGITS: u8 = 1 << 4;
const FLAG_PATCHES: u8 = 1 << 5;

#[cfg(test)]
mod tests;
