//! `/api/v1/import/native`: blocks of samples as `/api/v1/export/native` and VictoriaMetrics give them (`docs/formats/native.md`).
//!
//! 1. The body begins with a range of times. Then come records, each a name and a block with their lengths; [`Native::read`] takes one record at
//!    a time from the front of what is there.
//! 2. A block's columns are whole numbers: constant, in equal steps, or differences, plain or packed with zstd.
//! 3. Two forms of the block's head are in use. A record's length is known, so the one under which the columns end where the record ends is right.
//! 4. A mantissa and the block's power of ten become the nearest double; some mantissas stand for infinities and the stale marker.

mod column;

use model::STALE_NAN_BITS;

use self::column::{Bytes, read_column};
use crate::{
    Malformed,
    rows::{NAME, Rows},
};

/// Names and blocks are shorter.
const PART_BYTES_MAX: usize = 1 << 20;
/// No block has more samples.
const ROWS_MAX: u64 = 16_384;
/// A record with its lengths is no longer.
pub const RECORD_BYTES_MAX: usize = 2 * (4 + PART_BYTES_MAX);
const RANGE_BYTES: usize = 16;

const ESCAPE: u8 = 0;
const SEPARATOR: u8 = 1;

const PLUS_INFINITY: i64 = i64::MAX;
const MINUS_INFINITY: i64 = i64::MIN;
const STALE: i64 = i64::MAX - 1;

/// Powers of ten that are exact doubles.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Whole numbers below are exact doubles.
const EXACT_BELOW: u64 = 1 << 53;

/// Reads a body record by record.
#[derive(Debug, Default)]
pub struct Native {
    /// Times outside of it are left out.
    range: Option<(i64, i64)>,
    times: Vec<i64>,
    mantissas: Vec<i64>,
    power: i64,
}

/// What stands before the columns of a block.
struct Head {
    first_time: i64,
    first_value: i64,
    rows: usize,
    power: i64,
    kinds: [u8; 2],
}

impl Native {
    /// Reads what stands at the front of `bytes` into rows and says how long it was; 0 if it is not all there yet.
    pub fn read(&mut self, bytes: &[u8], rows: &mut Rows) -> Result<usize, Malformed> {
        if self.range.is_none() {
            let Some((range, _)) = bytes.split_first_chunk::<RANGE_BYTES>() else {
                return Ok(0);
            };
            let (min, max) = range.split_at(RANGE_BYTES / 2);
            let time = |bytes: &[u8]| {
                let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                unzigzag(number)
            };
            self.range = Some((time(min), time(max)));
            return Ok(RANGE_BYTES);
        }
        let Some((name, rest)) = part(bytes)? else {
            return Ok(0);
        };
        let Some((block, rest)) = part(rest)? else {
            return Ok(0);
        };
        let len = bytes.len() - rest.len();
        self.block(block).map_err(|what| Malformed { what, at: len - block.len() })?;
        labels(name, rows).map_err(|what| Malformed { what, at: 4 })?;
        self.samples(rows);
        rows.finish()?;
        Ok(len)
    }

    /// Reads the columns of a block.
    fn block(&mut self, block: &[u8]) -> Result<(), &'static str> {
        let narrow = self.columns(block, false);
        // The form shows only in that everything fits.
        narrow.or_else(|why| self.columns(block, true).map_err(|_| why))
    }

    fn columns(&mut self, block: &[u8], wide: bool) -> Result<(), &'static str> {
        let mut bytes = Bytes(block);
        let head = head(&mut bytes, wide)?;
        let [times, values] = [bytes.prefixed()?, bytes.prefixed()?];
        if !bytes.0.is_empty() {
            return Err("a block with more behind its columns");
        }
        self.power = head.power;
        read_column(times, head.kinds[0], head.first_time, head.rows, &mut self.times)?;
        read_column(values, head.kinds[1], head.first_value, head.rows, &mut self.mantissas)
    }

    /// Adds the samples of the block that was read last.
    fn samples(&self, rows: &mut Rows) {
        let (min, max) = self.range.unwrap_or((i64::MIN, i64::MAX));
        for (time, mantissa) in self.times.iter().zip(&self.mantissas) {
            if (min..=max).contains(time) {
                rows.sample(*time, value(*mantissa, self.power));
            }
        }
    }
}

fn head(bytes: &mut Bytes<'_>, wide: bool) -> Result<Head, &'static str> {
    let first_time = bytes.signed()?;
    if wide {
        bytes.signed()?;
    }
    let (first_value, rows, power) = (bytes.signed()?, bytes.varint()?, bytes.signed()?);
    let kinds = [bytes.byte()?, bytes.byte()?];
    if wide && !(1..=64).contains(&bytes.byte()?) {
        return Err("a precision that is not there");
    }
    if !(1..=ROWS_MAX).contains(&rows) || i16::try_from(power).is_err() {
        return Err("a block with too many samples, or none, or with a power of ten out of range");
    }
    Ok(Head { first_time, first_value, rows: rows as usize, power, kinds })
}

/// A part of a record, and what stands behind it.
type Parted<'a> = (&'a [u8], &'a [u8]);

/// A length and as many bytes, and what stands behind; `None` if they are not all there.
fn part(bytes: &[u8]) -> Result<Option<Parted<'_>>, Malformed> {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(*len) as usize;
    if len > PART_BYTES_MAX {
        return Err(Malformed { what: "a name or a block over 1 MiB", at: 0 });
    }
    Ok(rest.split_at_checked(len))
}

/// Adds the labels of a name: the metric, then names and values.
fn labels(name: &[u8], rows: &mut Rows) -> Result<(), &'static str> {
    let mut rest = name;
    let mut next = || {
        let end = memchr::memchr(SEPARATOR, rest).ok_or("a name without end")?;
        let text = unescape(&rest[..end])?;
        rest = &rest[end + 1..];
        Ok::<_, &'static str>((text, rest.is_empty()))
    };
    let (metric, mut ended) = next()?;
    rows.label(NAME, &metric);
    while !ended {
        let (label, _) = next()?;
        let (value, last) = next()?;
        rows.label(&label, &value);
        ended = last;
    }
    Ok(())
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            &ESCAPE => match bytes.next() {
                Some(escaped @ b'0'..=b'2') => out.push(escaped - b'0'),
                _ => return Err("a broken escape in a name"),
            },
            byte => out.push(*byte),
        }
    }
    Ok(out)
}

/// The nearest double.
fn value(mantissa: i64, power: i64) -> f64 {
    match mantissa {
        PLUS_INFINITY => return f64::INFINITY,
        MINUS_INFINITY => return f64::NEG_INFINITY,
        STALE => return f64::from_bits(STALE_NAN_BITS),
        _ => {}
    }
    let exact = EXACT_POWERS.get(power.unsigned_abs() as usize).filter(|_| mantissa.unsigned_abs() < EXACT_BELOW);
    match exact {
        // One operation on exact numbers rounds once.
        Some(ten) if power < 0 => mantissa as f64 / ten,
        Some(ten) => mantissa as f64 * ten,
        None => format!("{mantissa}e{power}").parse().expect("BUG: digits and an exponent are a number"),
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests;
