//! One block: a head of a few numbers, then times and values.
//!
//! 1. As many values are taken as fit under one power of ten without rounding. Infinities and NaN have mantissas of their own and fit anywhere.
//! 2. A column that does not change, or changes by the same step, is told by its first number and the step. Times are otherwise the differences of
//!    their differences, values their differences; long ones are packed with zstd where that helps.

use crate::{
    number::decimal,
    varint::{put_varint, zigzag},
};

/// Samples of a block.
const ROWS_MAX: usize = 8192;
/// So many decimal digits always fit into a mantissa.
const DIGITS_MAX: i32 = 18;

const PLUS_INFINITY: i64 = i64::MAX;
const MINUS_INFINITY: i64 = i64::MIN;
/// Of the stale marker, and of any other NaN, which the form cannot tell apart.
const STALE: i64 = i64::MAX - 1;

const ZSTD_DIFFERENCES_2: u8 = 1;
const STEPS: u8 = 2;
const CONSTANT: u8 = 3;
const ZSTD_DIFFERENCES: u8 = 4;
const DIFFERENCES_2: u8 = 5;
const DIFFERENCES: u8 = 6;

/// Columns shorter than this are not packed.
const PACKED_MIN: usize = 128;
const ZSTD_LEVEL: i32 = 1;
/// Of the wide head: values are exact.
const PRECISION_BITS: u8 = 64;

/// What the head of a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockForm {
    /// First time, first value, rows, power, kinds.
    Narrow,
    /// The same with the last time behind the first and the precision behind the kinds, as some versions of VictoriaMetrics have it.
    Wide,
}

/// Writes blocks, in memory that is used again.
#[derive(Debug)]
pub struct BlockWriter {
    form: BlockForm,
    decimals: Vec<(i64, i32)>,
    mantissas: Vec<i64>,
    column: Vec<u8>,
    block: Vec<u8>,
}

impl BlockWriter {
    pub fn new(form: BlockForm) -> Self {
        Self { form, decimals: Vec::new(), mantissas: Vec::new(), column: Vec::new(), block: Vec::new() }
    }

    /// The block of the first samples, and how many it holds. There must be some.
    pub fn next(&mut self, times: &[i64], values: &[f64]) -> (&[u8], usize) {
        debug_assert!(!times.is_empty() && times.len() == values.len(), "BUG: a block without samples");
        let power = self.take(values);
        let rows = self.mantissas.len();
        let times = &times[..rows];
        self.block.clear();
        put_varint(&mut self.block, zigzag(times[0]));
        if self.form == BlockForm::Wide {
            put_varint(&mut self.block, zigzag(times[rows - 1]));
        }
        put_varint(&mut self.block, zigzag(self.mantissas[0]));
        put_varint(&mut self.block, rows as u64);
        put_varint(&mut self.block, zigzag(i64::from(power)));
        let kinds = self.block.len();
        self.block.extend([0, 0]);
        if self.form == BlockForm::Wide {
            self.block.push(PRECISION_BITS);
        }
        self.block[kinds] = put_column(times, DIFFERENCES_2, &mut self.column, &mut self.block);
        self.block[kinds + 1] = put_column(&self.mantissas, DIFFERENCES, &mut self.column, &mut self.block);
        (&self.block, rows)
    }

    /// Takes as many values as have an exact mantissa under one power of ten, which is given.
    fn take(&mut self, values: &[f64]) -> i32 {
        self.decimals.clear();
        let (mut power, mut top) = (None, i32::MIN);
        for value in values.iter().take(ROWS_MAX) {
            if !value.is_finite() {
                self.decimals.push((special(*value), i32::MAX));
                continue;
            }
            let (mantissa, exponent) = decimal(*value);
            if mantissa != 0 {
                let low = power.map_or(exponent, |power: i32| power.min(exponent));
                let high = top.max(digits(mantissa) + exponent);
                if high - low > DIGITS_MAX {
                    break;
                }
                (power, top) = (Some(low), high);
            }
            self.decimals.push((mantissa, exponent));
        }
        let power = power.unwrap_or(0);
        self.mantissas.clear();
        self.mantissas.extend(self.decimals.iter().map(|(mantissa, exponent)| match *exponent {
            i32::MAX => *mantissa,
            _ if *mantissa == 0 => 0,
            exponent => mantissa * 10i64.pow((exponent - power) as u32),
        }));
        power
    }
}

fn special(value: f64) -> i64 {
    match value {
        f64::INFINITY => PLUS_INFINITY,
        f64::NEG_INFINITY => MINUS_INFINITY,
        _ => STALE,
    }
}

fn digits(mantissa: i64) -> i32 {
    mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log as i32 + 1)
}

/// Appends the length and the bytes of a column; gives its kind. `differences` is the one of a column that has no pattern.
fn put_column(numbers: &[i64], differences: u8, scratch: &mut Vec<u8>, out: &mut Vec<u8>) -> u8 {
    scratch.clear();
    let steps = || numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let mut kind = differences;
    let step = steps().next().unwrap_or(0);
    if steps().all(|next| next == step) {
        if step == 0 {
            kind = CONSTANT;
        } else {
            kind = STEPS;
            put_varint(scratch, zigzag(step));
        }
    } else if differences == DIFFERENCES {
        steps().for_each(|step| put_varint(scratch, zigzag(step)));
    } else {
        put_varint(scratch, zigzag(step));
        steps().zip(steps().skip(1)).for_each(|(one, next)| put_varint(scratch, zigzag(next.wrapping_sub(one))));
    }
    let packed = (scratch.len() >= PACKED_MIN).then(|| zstd::bulk::compress(scratch, ZSTD_LEVEL).ok()).flatten();
    match packed.filter(|packed| packed.len() < scratch.len()) {
        Some(packed) => {
            kind = if differences == DIFFERENCES { ZSTD_DIFFERENCES } else { ZSTD_DIFFERENCES_2 };
            put_varint(out, packed.len() as u64);
            out.extend_from_slice(&packed);
        }
        None => {
            put_varint(out, scratch.len() as u64);
            out.extend_from_slice(scratch);
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(form: BlockForm, times: &[i64], values: &[f64]) -> Vec<Vec<u8>> {
        let mut writer = BlockWriter::new(form);
        let mut blocks = Vec::new();
        let mut start = 0;
        while start < times.len() {
            let (block, len) = writer.next(&times[start..], &values[start..]);
            blocks.push(block.to_vec());
            start += len;
        }
        blocks
    }

    #[test]
    fn blocks_are_those_of_victoriametrics() {
        let times = [0, 1000, 2000, 3000, 4500, 5000, 6000].map(|ms| 1_700_000_000_000 + ms);
        let values = [1.0, 2.5, 3.0, 2.25, 100.0, -7.0, 0.0];
        let want = b"\x80\xa0\xab\xfe\xf9\x62\xc8\x01\x07\x03\x05\x06\x0a\xd0\x0f\0\0\xe8\x07\xcf\x0f\xe8\x07\
            \x0d\xac\x02\x64\x95\x01\xde\x98\x01\x97\xa7\x01\xf8\x0a";
        assert_eq!(write(BlockForm::Narrow, &times, &values), [want.to_vec()]);
        let want = b"\x80\xa0\xab\xfe\xf9\x62\x0a\x03\0\x02\x03\x02\xd0\x0f\0";
        assert_eq!(write(BlockForm::Narrow, &times[..3], &[5.0; 3]), [want.to_vec()]);
        let wide = write(BlockForm::Wide, &times[..3], &[5.0; 3]);
        assert_eq!(
            wide,
            [b"\x80\xa0\xab\xfe\xf9\x62\xa0\xbf\xab\xfe\xf9\x62\x0a\x03\0\x02\x03\x40\x02\xd0\x0f\0".to_vec()]
        );
    }

    #[test]
    fn values_that_share_no_power_are_parted() {
        let times: Vec<i64> = (0..6).collect();
        let values = [1e300, 1e-5, 0.1, f64::INFINITY, f64::NAN, 1e17];
        assert_eq!(write(BlockForm::Narrow, &times, &values).len(), 3);
        let many: Vec<i64> = (0..20_000).collect();
        let values: Vec<f64> = many.iter().map(|n| (n % 977) as f64 * 0.1).collect();
        let blocks = write(BlockForm::Narrow, &many, &values);
        assert!(blocks.iter().all(|block| block.len() < 1 << 20) && blocks.len() >= 3);
    }
}
