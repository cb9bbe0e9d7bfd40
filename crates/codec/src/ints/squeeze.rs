//! Whether and how static tANS makes a vector smaller than packing.
//!
//! 1. The candidates are the fold that packing chose and a zigzag around the mean of what packing did not except: the
//!    symbols of a bell around any center then fall off like half a bell, which is what the tables describe.
//! 2. For each, one histogram of 64 bins at the finest shift in question gives the sixteen bins of three shifts by
//!    adding neighbours.
//! 3. Of the tables, only those are priced whose mean is near that of the bins.

use super::plan::{Carrier, EXCEPTIONS_MAX, Fold, Plan, Planner, exceptions_bits, fold_all};
use super::tans::{COST_BITS, COSTS, MEANS, SYMBOL_BITS, SYMBOLS};
use crate::bitpack::{WIDTH_MAX, packed_len};
use crate::wide::wide;

/// Bins of the finest histogram.
const BINS: usize = 4 * SYMBOLS;
/// Tables priced on either side of the one with the nearest mean.
const TABLES_AROUND: usize = 5;
/// A center so many bits below the width is taken for zero, which needs no bytes and, where packing folded there too,
/// no second look.
const NEAR_ZERO_BITS: u8 = 6;
/// What an exception's symbol is taken to cost.
const EXCEPTION_SYMBOL_BITS: usize = 5;

/// The cheapest tANS form of residuals whose cheapest packed form is `packed`, if one is known.
pub(crate) fn tans(residuals: &[i64], packed: &Plan, planner: &mut Planner) -> Option<Plan> {
    let Carrier::Packed { width } = packed.carrier else {
        return None;
    };
    if packed.constant || width == 0 {
        return None;
    }
    if packed.sparse {
        return with_fold(residuals, packed.fold, packed, planner);
    }
    let mut around = Fold { folded: true, base: center(residuals, packed.fold, u32::from(width)) };
    if around.base.unsigned_abs() >> width.saturating_sub(NEAR_ZERO_BITS) == 0 {
        around.base = 0;
    }
    let other = if around == packed.fold { None } else { with_fold(residuals, around, packed, planner) };
    let same = with_fold(residuals, packed.fold, packed, planner);
    match (same, other) {
        (Some(same), Some(other)) => Some(if other.bits < same.bits { other } else { same }),
        (same, other) => same.or(other),
    }
}

fn with_fold(residuals: &[i64], fold: Fold, packed: &Plan, planner: &mut Planner) -> Option<Plan> {
    fold_all(residuals, fold, &mut planner.numbers);
    let finest = packed.carrier.width().saturating_sub(SYMBOL_BITS + 1);
    let numbers = &planner.numbers[..residuals.len()];
    let (mut bins, union, zeros) = bins(numbers, finest);
    let mut count = residuals.len();
    let mut head_bits = 8 * (3 + fold.base_len());
    if packed.sparse {
        bins[0] -= zeros as u16;
        count -= zeros;
        head_bits += 8 * residuals.len().div_ceil(8);
    }
    let width_max = (u64::BITS - union.leading_zeros()) as usize;
    let mut best: Option<Plan> = None;
    for scale in 0..3 {
        let shift = finest + scale;
        let width = (shift + SYMBOL_BITS) as usize;
        if width > WIDTH_MAX || (scale > 0 && width > width_max + 1) {
            break;
        }
        let (symbols, exceptions) = symbols(&bins, scale, count);
        let excess_width = width_max.saturating_sub(width);
        if exceptions > EXCEPTIONS_MAX || exceptions == count {
            continue;
        }
        let (table, symbol_bits) = cheapest_table(&symbols);
        let bits = head_bits
            + symbol_bits
            + exceptions * EXCEPTION_SYMBOL_BITS
            + exceptions_bits(exceptions, excess_width)
            + 8 * packed_len(count, shift as usize);
        if best.is_none_or(|best| bits < best.bits) {
            best = Some(Plan {
                fold,
                constant: false,
                sparse: packed.sparse,
                carrier: Carrier::Tans { shift: shift as u8, table: table as u8 },
                exceptions: exceptions as u8,
                excess_width: if exceptions > 0 { excess_width as u8 } else { 0 },
                bits,
            });
        }
    }
    best
}

/// The sixteen bins at `scale` bits above the finest shift, and how many numbers are above them.
fn symbols(bins: &[u16; BINS + 1], scale: u32, count: usize) -> ([i16; SYMBOLS], usize) {
    let mut symbols = [0; SYMBOLS];
    for (symbol, part) in symbols.iter_mut().zip(bins.chunks(1 << scale)) {
        *symbol = part.iter().map(|&bin| bin as i16).sum();
    }
    let inside: i16 = symbols.iter().sum();
    (symbols, count - inside as usize)
}

wide! {
    // The table in which these symbols take the fewest bits, and the bits.
    fn cheapest_table(symbols: &[i16; SYMBOLS]) -> (usize, usize) {
        let (mut total, mut weighted) = (0, 0);
        for (&count, symbol) in symbols.iter().zip(0..) {
            total += i32::from(count);
            weighted += i32::from(count) * symbol;
        }
        let mean = weighted as u32 * 256 / (total as u32).max(1);
        let nearest = MEANS.partition_point(|&table_mean| table_mean < mean);
        let first = nearest.saturating_sub(TABLES_AROUND);
        let last = (nearest + TABLES_AROUND).min(COSTS.len());
        let mut best = (first, i32::MAX);
        for (table, costs) in COSTS.iter().enumerate().take(last).skip(first) {
            let mut cost = 0;
            for (&count, &cost_each) in symbols.iter().zip(costs) {
                cost += i32::from(count) * i32::from(cost_each);
            }
            if cost < best.1 {
                best = (table, cost);
            }
        }
        (best.0, (best.1 >> COST_BITS) as usize + 1)
    }

    // The mean of what lies inside the packed window.
    fn center(residuals: &[i64], fold: Fold, width: u32) -> i64 {
        let inside_max = u64::MAX >> (64 - width);
        let mut sum = 0_i64;
        let mut count = 0_i64;
        for &residual in residuals {
            let inside = fold.number(residual) <= inside_max;
            sum = sum.wrapping_add(if inside { residual.wrapping_sub(fold.base) } else { 0 });
            count += i64::from(inside);
        }
        fold.base.wrapping_add(sum / count.max(1))
    }

    // Bins of 2^shift numbers each, the last for all that is above; the or of all numbers; how many are zero.
    fn bins(numbers: &[u64], shift: u32) -> ([u16; BINS + 1], u64, usize) {
        let mut parts = [[0_u16; BINS + 1]; 4];
        let (mut union, mut zeros) = (0, 0);
        let (rows, rest) = numbers.as_chunks::<4>();
        for row in rows {
            for (part, number) in parts.iter_mut().zip(row) {
                part[(number >> shift).min(BINS as u64) as usize] += 1;
            }
        }
        for number in rest {
            parts[0][(number >> shift).min(BINS as u64) as usize] += 1;
        }
        for &number in numbers {
            union |= number;
            zeros += u64::from(number == 0);
        }
        let mut bins = [0; BINS + 1];
        for (index, bin) in bins.iter_mut().enumerate() {
            *bin = parts[0][index] + parts[1][index] + parts[2][index] + parts[3][index];
        }
        (bins, union, zeros as usize)
    }
}
