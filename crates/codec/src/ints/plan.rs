//! Finds the cheapest form of one vector of residuals.
//!
//! 1. Residuals are *folded* to unsigned numbers: as the distance from a base, or as a zigzag around a center.
//!    Candidates are the distance from the least residual; if there are negative ones, zigzag around zero, and, if
//!    there are few (a counter that was reset), the distance from the least one that is not negative.
//! 2. A histogram of bit widths says for every width how many numbers would be exceptions, and so the exact size of
//!    the vector at that width: Σ width + exceptions · (position + the bits above the width).
//! 3. If many numbers are zero, the same is asked of the others alone, behind a bitmap.
//! 4. The smallest wins.

use crate::VECTOR_SAMPLES;
use crate::bitpack::{Vector, packed_len};
use crate::bytes::{unzigzag, varint_len, zigzag};
use crate::wide::wide;

/// The most exceptions of one vector: their number is one byte.
pub(crate) const EXCEPTIONS_MAX: usize = 255;
/// Residuals below zero are taken for resets of a counter if they are at most one in this many.
const RESETS_SHARE: usize = 16;
/// Residuals this much wider upwards than downwards have outliers.
const OUTLIER_BITS: usize = 2;
/// Bits of one exception besides its excess: the position.
const POSITION_BITS: usize = 8;
/// Bits that any exceptions cost: their number and their width.
const EXCEPTIONS_BITS: usize = 16;

/// How residuals become unsigned numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fold {
    /// Zigzag around `base` instead of distance above it.
    pub(crate) folded: bool,
    /// What is subtracted first.
    pub(crate) base: i64,
}

impl Fold {
    /// The unsigned number for a residual.
    #[inline(always)]
    pub(crate) const fn number(self, residual: i64) -> u64 {
        let distance = residual.wrapping_sub(self.base);
        if self.folded { zigzag(distance) } else { distance as u64 }
    }

    /// The residual behind an unsigned number.
    #[inline(always)]
    pub(crate) const fn residual(self, number: u64) -> i64 {
        let distance = if self.folded { unzigzag(number) } else { number as i64 };
        distance.wrapping_add(self.base)
    }

    /// Bytes that the base takes in the head of a vector.
    pub(crate) const fn base_len(self) -> usize {
        if self.base == 0 { 0 } else { varint_len(zigzag(self.base)) }
    }
}

/// What carries the low bits of a vector's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// All bits up to `width` are packed.
    Packed {
        /// Bits of each number.
        width: u8,
    },
    /// Four bits above `shift` go through a static table, those below are packed.
    Tans {
        /// Bits of each number that are packed.
        shift: u8,
        /// Which static table.
        table: u8,
    },
}

impl Carrier {
    /// Bits of a number that are carried; what is above is an exception's excess.
    pub(crate) const fn width(self) -> u32 {
        match self {
            Self::Packed { width } => width as u32,
            Self::Tans { shift, .. } => shift as u32 + super::tans::SYMBOL_BITS,
        }
    }
}

/// The form of one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How residuals become numbers.
    pub(crate) fold: Fold,
    /// All residuals are the base: nothing else is stored.
    pub(crate) constant: bool,
    /// Only the numbers that are not zero are stored, behind a bitmap.
    pub(crate) sparse: bool,
    /// What carries the numbers.
    pub(crate) carrier: Carrier,
    /// How many numbers do not fit the carrier.
    pub(crate) exceptions: u8,
    /// Bits of the widest excess.
    pub(crate) excess_width: u8,
    /// Size of the whole vector in bits.
    pub(crate) bits: usize,
}

/// How many numbers have each bit width.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: [u16; 65],
}

impl Histogram {
    /// Counts the first `count` numbers.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        Self { counts: widths(numbers) }
    }

    /// The widest number.
    pub(crate) fn width_max(&self) -> usize {
        self.counts.iter().rposition(|&count| count > 0).unwrap_or(0)
    }
}

/// Scratch of the planner.
#[derive(Debug)]
pub(crate) struct Planner {
    pub(crate) numbers: Vector,
}

impl Default for Planner {
    fn default() -> Self {
        Self { numbers: [0; VECTOR_SAMPLES] }
    }
}

/// The cheapest packed form of these residuals.
pub(crate) fn packed(residuals: &[i64], planner: &mut Planner) -> Plan {
    debug_assert!((1..=VECTOR_SAMPLES).contains(&residuals.len()));
    let (least, greatest, negatives) = extent(residuals);
    if least == greatest {
        return constant(least);
    }
    let above_least = Fold { folded: false, base: least };
    if negatives == 0 {
        return with_fold(residuals, above_least, planner);
    }
    let mut best = with_fold(residuals, Fold { folded: true, base: 0 }, planner);
    // Above the least residual all others are within this width, so that only outliers upwards ask for a histogram.
    let width = width_of(greatest.wrapping_sub(least) as u64);
    if width <= best.carrier.width() as usize + 1 {
        best = cheaper(best, without_exceptions(residuals.len(), above_least, width));
    } else if width_of(least.unsigned_abs()) + OUTLIER_BITS <= width {
        best = cheaper(best, with_fold(residuals, above_least, planner));
    }
    if negatives * RESETS_SHARE <= residuals.len() && greatest >= 0 {
        let base = least_not_negative(residuals);
        best = cheaper(best, with_fold(residuals, Fold { folded: false, base }, planner));
    }
    best
}

const fn width_of(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

fn cheaper(left: Plan, right: Plan) -> Plan {
    if right.bits < left.bits { right } else { left }
}

fn constant(base: i64) -> Plan {
    let fold = Fold { folded: false, base };
    Plan {
        fold,
        constant: true,
        sparse: false,
        carrier: Carrier::Packed { width: 0 },
        exceptions: 0,
        excess_width: 0,
        bits: 8 * (1 + fold.base_len()),
    }
}

/// All numbers dense at one width.
const fn without_exceptions(count: usize, fold: Fold, width: usize) -> Plan {
    Plan {
        fold,
        constant: false,
        sparse: false,
        carrier: Carrier::Packed { width: width as u8 },
        exceptions: 0,
        excess_width: 0,
        bits: 8 * (2 + fold.base_len() + packed_len(count, width)),
    }
}

fn with_fold(residuals: &[i64], fold: Fold, planner: &mut Planner) -> Plan {
    fold_all(residuals, fold, &mut planner.numbers);
    let histogram = Histogram::of(&planner.numbers[..residuals.len()]);
    packed_by_histogram(residuals.len(), fold, &histogram)
}

/// The cheapest packed form of `count` numbers of which only the histogram is known.
fn packed_by_histogram(count: usize, fold: Fold, histogram: &Histogram) -> Plan {
    let head_bits = 8 * (2 + fold.base_len());
    let dense = narrowest(count, histogram);
    let mut plan = Plan {
        fold,
        constant: false,
        sparse: false,
        carrier: Carrier::Packed { width: dense.width as u8 },
        exceptions: dense.exceptions as u8,
        excess_width: dense.excess_width as u8,
        bits: head_bits + dense.bits,
    };
    let zeros = usize::from(histogram.counts[0]);
    let bitmap_bits = 8 * count.div_ceil(8);
    if zeros > 0 && zeros < count && head_bits + bitmap_bits < plan.bits {
        let mut others = histogram.clone();
        others.counts[0] = 0;
        let sparse = narrowest(count - zeros, &others);
        if head_bits + bitmap_bits + sparse.bits < plan.bits {
            plan = Plan {
                sparse: true,
                carrier: Carrier::Packed { width: sparse.width as u8 },
                exceptions: sparse.exceptions as u8,
                excess_width: sparse.excess_width as u8,
                bits: head_bits + bitmap_bits + sparse.bits,
                ..plan
            };
        }
    }
    plan
}

struct Width {
    width: usize,
    exceptions: usize,
    excess_width: usize,
    bits: usize,
}

/// The width at which `count` numbers and their exceptions take the fewest bits.
fn narrowest(count: usize, histogram: &Histogram) -> Width {
    let width_max = histogram.width_max();
    // What packing adds to fill up rows and bytes is left out of the comparison.
    let bits_at = |width: usize| count * width;
    let mut best = Width { width: width_max, exceptions: 0, excess_width: 0, bits: bits_at(width_max) };
    let mut exceptions = 0;
    for width in (0..width_max).rev() {
        exceptions += usize::from(histogram.counts[width + 1]);
        let excess_width = width_max - width;
        let excess_bits = EXCEPTIONS_BITS + exceptions * (POSITION_BITS + excess_width);
        if exceptions > EXCEPTIONS_MAX || excess_bits > best.bits {
            break;
        }
        let bits = bits_at(width) + excess_bits;
        if bits < best.bits {
            best = Width { width, exceptions, excess_width, bits };
        }
    }
    best.bits = 8 * packed_len(count, best.width) + exceptions_bits(best.exceptions, best.excess_width);
    best
}

/// Size of `exceptions` exceptions that reach `excess_width` bits above the carrier.
pub(crate) const fn exceptions_bits(exceptions: usize, excess_width: usize) -> usize {
    if exceptions == 0 {
        0
    } else {
        EXCEPTIONS_BITS + exceptions * POSITION_BITS + (exceptions * excess_width).next_multiple_of(8)
    }
}

wide! {
    /// Least and greatest residual, and how many are negative.
    pub(crate) fn extent(residuals: &[i64]) -> (i64, i64, usize) {
        let mut least = i64::MAX;
        let mut greatest = i64::MIN;
        let mut negatives = 0_i64;
        for &residual in residuals {
            least = least.min(residual);
            greatest = greatest.max(residual);
            negatives += i64::from(residual < 0);
        }
        (least, greatest, negatives as usize)
    }

    fn least_not_negative(residuals: &[i64]) -> i64 {
        let mut least = u64::MAX;
        for &residual in residuals {
            least = least.min(residual as u64);
        }
        least as i64
    }

    /// Folds every residual.
    pub(crate) fn fold_all(residuals: &[i64], fold: Fold, numbers: &mut Vector) {
        if fold.folded {
            for (number, &residual) in numbers.iter_mut().zip(residuals) {
                *number = zigzag(residual.wrapping_sub(fold.base));
            }
        } else {
            for (number, &residual) in numbers.iter_mut().zip(residuals) {
                *number = residual.wrapping_sub(fold.base) as u64;
            }
        }
    }

    // Four histograms side by side, because a counter that is bumped twice in a row waits for its own store.
    fn widths(numbers: &[u64]) -> [u16; 65] {
        let mut parts = [[0_u16; 65]; 4];
        let (rows, rest) = numbers.as_chunks::<4>();
        for row in rows {
            for (part, number) in parts.iter_mut().zip(row) {
                part[64 - number.leading_zeros() as usize] += 1;
            }
        }
        for number in rest {
            parts[0][64 - number.leading_zeros() as usize] += 1;
        }
        let mut counts = [0; 65];
        for (width, count) in counts.iter_mut().enumerate() {
            *count = parts[0][width] + parts[1][width] + parts[2][width] + parts[3][width];
        }
        counts
    }
}
