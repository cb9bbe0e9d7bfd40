//! What a block of values comes to: enough to answer `sum_over_time`, `min_over_time`, `increase` and their like
//! without decoding it.
//!
//! 1. One pass finds least, greatest, the falls from one value to the next and whether there is a NaN; the sum is added
//!    by [`Sum`]: exactly where the block is decimal, else with its rounding error.
//! 2. A block with a NaN or stale marker is not clean: its summary knows count, first and last and nothing else, since
//!    it may not answer for the values.
//! 3. Least and greatest go by the total order in which -0 is less than 0, so that the answer does not depend on the
//!    order of looking.
//!
//! ```text
//! | head u8 | count varint | digits i8? | values | resets varint? | sum? |
//! head: bit 0 clean; 1 sum decimal; 2 all values have the same bits; 3 min is first; 4 max is last; 5 no resets;
//!       6 digits follow; 7 values are raw
//! values, decimal:  | first zigzag | last - first zigzag | first - min varint? | max - last varint? |    mantissas
//! values, raw:      | first 8 | last 8 | min 8? | max 8? |
//! sum, decimal:     | sum - count · first, zigzag of up to 128 bits |                   absent if all are the same
//! sum, float:       | high 8 | low 8 |
//! ```

mod sum;

pub use sum::Sum;

use crate::bytes::{Malformed, Reader, put_varint, put_zigzag, put_zigzag128};
use crate::decimal::{self, Scale, from_key, key};
use crate::values::Scratch;
use crate::wide::wide;

const CLEAN: u8 = 1 << 0;
const SUM_DECIMAL: u8 = 1 << 1;
const SAME: u8 = 1 << 2;
const MIN_IS_FIRST: u8 = 1 << 3;
const MAX_IS_LAST: u8 = 1 << 4;
const NO_RESETS: u8 = 1 << 5;
const DIGITS: u8 = 1 << 6;
const RAW: u8 = 1 << 7;

/// What a run of values comes to.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// How many values there are.
    pub count: u64,
    /// The first value, to the bit.
    pub first: f64,
    /// The last value, to the bit.
    pub last: f64,
    /// The least value; NaN if not clean.
    pub min: f64,
    /// The greatest value; NaN if not clean.
    pub max: f64,
    /// How many values are less than the one before; 0 if not clean.
    pub resets: u64,
    /// The sum of all values; 0 if not clean.
    pub sum: Sum,
    /// No value is a NaN or a stale marker. Only then may the summary stand for the values.
    pub clean: bool,
}

/// Summaries are equal if every number in them has the same bits.
impl PartialEq for Summary {
    fn eq(&self, other: &Self) -> bool {
        let bits = |summary: &Self| [summary.first, summary.last, summary.min, summary.max].map(f64::to_bits);
        let rest = |summary: &Self| (summary.count, summary.resets, summary.sum, summary.clean);
        bits(self) == bits(other) && rest(self) == rest(other)
    }
}

impl Eq for Summary {}

/// What one pass over the bits finds.
struct Extremes {
    least: i64,
    greatest: i64,
    resets: u64,
    nans: u64,
}

/// Summarizes values, of which there must be at least one.
pub fn summarize(values: &[f64]) -> Summary {
    Scratch::with_local(|scratch| summarize_with(values, scratch))
}

/// As [`summarize`], with the caller's buffers.
pub fn summarize_with(values: &[f64], scratch: &mut Scratch) -> Summary {
    let mut chunks = values.chunks(crate::MAX_BLOCK_SAMPLES);
    let mut summarize_block = |block: &[f64]| {
        let scale = decimal::find(block, &mut scratch.mantissas, &mut scratch.odd);
        of_block(block, scale, &scratch.mantissas, &scratch.odd)
    };
    let mut summary = summarize_block(chunks.next().expect("there is a value to summarize"));
    for block in chunks {
        summary.merge(&summarize_block(block));
    }
    summary
}

/// The summary of a block whose mantissas are known: if there is a scale, all but the odd values are decimals.
pub(crate) fn of_block(values: &[f64], scale: Option<Scale>, mantissas: &[i64], odd: &[u16]) -> Summary {
    let extremes = extremes(values);
    let mut summary = Summary {
        count: values.len() as u64,
        first: values[0],
        last: values[values.len() - 1],
        min: from_key(extremes.least),
        max: from_key(extremes.greatest),
        resets: extremes.resets,
        sum: Sum::ZERO,
        clean: extremes.nans == 0,
    };
    if !summary.clean {
        summary.forget();
        return summary;
    }
    summary.sum = match scale {
        Some(scale) if odd.iter().all(|&position| values[usize::from(position)] == 0.0) => {
            Sum::of_mantissas(mantissas, odd, scale.digits())
        }
        _ => Sum::of_floats(values),
    };
    summary
}

impl Summary {
    /// Takes in the summary of the values that follow directly.
    pub fn merge(&mut self, next: &Self) {
        // Saturating, because what was read from damaged bytes may be merged too.
        self.resets = self.resets.saturating_add(next.resets).saturating_add(u64::from(next.first < self.last));
        self.count = self.count.saturating_add(next.count);
        self.last = next.last;
        self.min = from_key(key(self.min).min(key(next.min)));
        self.max = from_key(key(self.max).max(key(next.max)));
        self.sum = self.sum.plus(next.sum);
        self.clean &= next.clean;
        if !self.clean {
            self.forget();
        }
    }

    /// Keeps only what is right about values that are not all numbers.
    fn forget(&mut self) {
        self.min = f64::NAN;
        self.max = f64::NAN;
        self.resets = 0;
        self.sum = Sum::ZERO;
    }

    /// Appends the summary.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bits = [self.first, self.last, self.min, self.max].map(f64::to_bits);
        let decimal = self.mantissas();
        let mut head = 0;
        let mut flag = |bit: u8, set: bool| head |= if set { bit } else { 0 };
        let same = if self.clean { bits == [bits[0]; 4] && self.is_multiple(decimal) } else { bits[1] == bits[0] };
        flag(CLEAN, self.clean);
        flag(SAME, same);
        flag(MIN_IS_FIRST, !same && bits[2] == bits[0]);
        flag(MAX_IS_LAST, !same && bits[3] == bits[1]);
        flag(NO_RESETS, self.resets == 0);
        flag(RAW, decimal.is_none());
        if let Sum::Decimal { digits, .. } = self.sum {
            flag(SUM_DECIMAL, true);
            flag(DIGITS, digits != 0);
        }
        out.push(head);
        put_varint(out, self.count);
        if let Sum::Decimal { digits, .. } = self.sum
            && digits != 0
        {
            out.push(digits as u8);
        }
        match decimal {
            Some(mantissas) => put_mantissas(mantissas, head, out),
            None => self.put_raw(head, out),
        }
        if self.resets > 0 {
            put_varint(out, self.resets);
        }
        if self.clean {
            self.put_sum(decimal.map_or(0, |mantissas| mantissas[0]), decimal.is_some() && same, out);
        }
    }

    /// First, last, least and greatest as mantissas of the sum's scale, if they are and their differences fit.
    fn mantissas(&self) -> Option<[i64; 4]> {
        let Sum::Decimal { digits, .. } = self.sum else {
            return None;
        };
        let scale = Scale::new(digits)?;
        if !self.clean {
            return None;
        }
        let first = scale.mantissa(self.first)?;
        Some([first, scale.mantissa(self.last)?, scale.mantissa(self.min)?, scale.mantissa(self.max)?])
    }

    /// Whether the sum is so many times the first value, as it is where all are the same.
    fn is_multiple(&self, decimal: Option<[i64; 4]>) -> bool {
        match (self.sum, decimal) {
            (Sum::Decimal { mantissa, .. }, Some([first, ..])) => {
                Some(mantissa) == i128::from(first).checked_mul(i128::from(self.count))
            }
            _ => true,
        }
    }

    fn put_raw(&self, head: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first.to_le_bytes());
        if head & SAME != 0 {
            return;
        }
        out.extend_from_slice(&self.last.to_le_bytes());
        if self.clean && head & MIN_IS_FIRST == 0 {
            out.extend_from_slice(&self.min.to_le_bytes());
        }
        if self.clean && head & MAX_IS_LAST == 0 {
            out.extend_from_slice(&self.max.to_le_bytes());
        }
    }

    fn put_sum(&self, first: i64, implied: bool, out: &mut Vec<u8>) {
        let times_first = i128::from(first).wrapping_mul(i128::from(self.count));
        match self.sum {
            Sum::Decimal { .. } if implied => {}
            Sum::Decimal { mantissa, .. } => put_zigzag128(out, mantissa.wrapping_sub(times_first)),
            Sum::Float { high, low } => {
                out.extend_from_slice(&high.to_le_bytes());
                out.extend_from_slice(&low.to_le_bytes());
            }
        }
    }

    /// Reads what [`Summary::write`] wrote.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let head = reader.u8()?;
        let count = reader.varint()?;
        let digits = if head & DIGITS != 0 { reader.u8()? as i8 } else { 0 };
        let scale = Scale::new(digits).ok_or(reader.malformed("digits of a summary"))?;
        let clean = head & CLEAN != 0;
        let decimal = head & SUM_DECIMAL != 0;
        let raw = head & RAW != 0;
        if count == 0 || (decimal && !clean) || (!decimal && !raw) {
            return Err(reader.malformed("head of a summary"));
        }
        let (values, first_mantissa) = if raw {
            (read_raw(reader, head)?, 0)
        } else {
            let mantissas = read_mantissas(reader, head)?;
            (mantissas.map(|mantissa| scale.value(mantissa)), mantissas[0])
        };
        let resets = if head & NO_RESETS != 0 { 0 } else { reader.varint()? };
        let times_first = i128::from(first_mantissa).wrapping_mul(i128::from(count));
        let sum = match (clean, decimal) {
            (false, _) => Sum::ZERO,
            (true, true) if head & SAME != 0 && !raw => Sum::Decimal { mantissa: times_first, digits },
            (true, true) => Sum::Decimal { mantissa: reader.zigzag128()?.wrapping_add(times_first), digits },
            (true, false) => Sum::Float { high: reader.f64()?, low: reader.f64()? },
        };
        let [first, last, min, max] = values;
        let mut summary = Self { count, first, last, min, max, resets, sum, clean };
        if !clean {
            summary.forget();
        }
        Ok(summary)
    }
}

fn put_mantissas([first, last, min, max]: [i64; 4], head: u8, out: &mut Vec<u8>) {
    put_zigzag(out, first);
    if head & SAME != 0 {
        return;
    }
    put_zigzag(out, last.wrapping_sub(first));
    if head & MIN_IS_FIRST == 0 {
        put_varint(out, first.wrapping_sub(min) as u64);
    }
    if head & MAX_IS_LAST == 0 {
        put_varint(out, max.wrapping_sub(last) as u64);
    }
}

fn read_mantissas(reader: &mut Reader<'_>, head: u8) -> Result<[i64; 4], Malformed> {
    let first = reader.zigzag()?;
    if head & SAME != 0 {
        return Ok([first; 4]);
    }
    let last = first.wrapping_add(reader.zigzag()?);
    let min = if head & MIN_IS_FIRST != 0 { first } else { first.wrapping_sub(reader.varint()? as i64) };
    let max = if head & MAX_IS_LAST != 0 { last } else { last.wrapping_add(reader.varint()? as i64) };
    Ok([first, last, min, max])
}

fn read_raw(reader: &mut Reader<'_>, head: u8) -> Result<[f64; 4], Malformed> {
    let clean = head & CLEAN != 0;
    let first = reader.f64()?;
    if head & SAME != 0 {
        return Ok([first; 4]);
    }
    let last = reader.f64()?;
    let min = if clean && head & MIN_IS_FIRST == 0 { reader.f64()? } else { first };
    let max = if clean && head & MAX_IS_LAST == 0 { reader.f64()? } else { last };
    Ok([first, last, min, max])
}

wide! {
    fn extremes(values: &[f64]) -> Extremes {
        let mut extremes = Extremes { least: i64::MAX, greatest: i64::MIN, resets: 0, nans: 0 };
        for &value in values {
            let key = key(value);
            extremes.least = extremes.least.min(key);
            extremes.greatest = extremes.greatest.max(key);
            extremes.nans += u64::from(value.is_nan());
        }
        for (value, before) in values[1..].iter().zip(values) {
            extremes.resets += u64::from(value < before);
        }
        extremes
    }
}

#[cfg(test)]
mod tests;
