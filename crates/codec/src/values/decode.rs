//! Reads a block, or a part of it.

use std::ops::Range;

use super::{ABOVE, DIGITS_RAW, FLAG_DIGITS, FLAG_PATCHES, Scratch, ValueCodec};
use crate::bytes::{Malformed, Reader};
use crate::decimal::{Scale, from_keys, to_values};
use crate::ints::{self, FLAGS_MASK};
use crate::patches::Patches;
use crate::wide::wide;
use crate::{MAX_BLOCK_SAMPLES, cold};

/// Appends the `count` values of a block.
pub fn decode_values(bytes: &[u8], count: usize, scratch: &mut Scratch, out: &mut Vec<f64>) -> Result<(), Malformed> {
    decode_block(bytes, count, 0..count, None, scratch, out)
}

/// Appends the values of a block that was encoded above `lower`.
pub fn decode_values_above(
    bytes: &[u8],
    lower: &[f64],
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    decode_block(bytes, lower.len(), 0..lower.len(), Some(lower), scratch, out)
}

/// Appends the values of a part of a block of `count`, decoding little more than it where the codec permits.
pub fn decode_value_range(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    assert!(range.start <= range.end && range.end <= count, "the range lies in the block");
    decode_block(bytes, count, range, None, scratch, out)
}

/// Decodes `range`; on an error `out` is as it was.
fn decode_block(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    lower: Option<&[f64]>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    if count > MAX_BLOCK_SAMPLES {
        return Err(reader.malformed("number of values in a block"));
    }
    let whole = range.end == count;
    let start = out.len();
    out.reserve(range.len());
    let mut decoded = decode_body(&mut reader, count, range, lower, scratch, out);
    if whole && decoded.is_ok() {
        decoded = reader.finish();
    }
    if decoded.is_err() {
        out.truncate(start);
    }
    decoded
}

fn decode_body(
    reader: &mut Reader<'_>,
    count: usize,
    range: Range<usize>,
    lower: Option<&[f64]>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let codec = ValueCodec::of(reader.rest()).ok_or(reader.malformed("value codec"))?;
    if (reader.u8()? & ABOVE != 0) != lower.is_some() {
        return Err(reader.malformed("relation to the lower bucket"));
    }
    match codec {
        ValueCodec::Constant => decode_constant(reader, range, lower, out),
        ValueCodec::Decimal | ValueCodec::DecimalTans => decode_decimal(reader, count, range, lower, scratch, out),
        ValueCodec::FloatBits | ValueCodec::FloatBitsTans if lower.is_none() => {
            let flags = read_flags(reader, FLAGS_MASK)?;
            ints::decode(reader, flags, count, range, &mut scratch.ints, |keys| from_keys(keys, out))
        }
        ValueCodec::DecimalPco => decode_decimal_pco(reader, count, range, lower, scratch, out),
        ValueCodec::FloatPco if lower.is_none() => {
            scratch.floats.resize(count, 0.0);
            cold::read(reader, &mut scratch.floats)?;
            out.extend_from_slice(&scratch.floats[range]);
            Ok(())
        }
        ValueCodec::FloatBits | ValueCodec::FloatBitsTans | ValueCodec::FloatPco => {
            Err(reader.malformed("codec above a lower bucket"))
        }
    }
}

fn read_flags(reader: &mut Reader<'_>, mask: u8) -> Result<u8, Malformed> {
    let flags = reader.u8()?;
    if flags & !mask == 0 { Ok(flags) } else { Err(reader.malformed("flags of a block")) }
}

fn decode_constant(
    reader: &mut Reader<'_>,
    range: Range<usize>,
    lower: Option<&[f64]>,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let end = out.len() + range.len();
    let digits = reader.u8()? as i8;
    if digits == DIGITS_RAW {
        out.resize(end, reader.f64()?);
        return Ok(());
    }
    let scale = Scale::new(digits).ok_or(reader.malformed("digits of a constant"))?;
    let mantissa = reader.zigzag()?;
    match lower {
        None => out.resize(end, scale.value(mantissa)),
        Some(lower) => add_constant(&lower[range], mantissa, out),
    }
    Ok(())
}

/// Flags, scale and patches in front of mantissas.
struct Head<'a> {
    flags: u8,
    scale: Scale,
    patches: Patches<'a>,
}

fn read_head<'a>(reader: &mut Reader<'a>, count: usize) -> Result<Head<'a>, Malformed> {
    let flags = read_flags(reader, FLAGS_MASK | FLAG_DIGITS | FLAG_PATCHES)?;
    let digits = if flags & FLAG_DIGITS != 0 { reader.u8()? as i8 } else { 0 };
    let scale = Scale::new(digits).ok_or(reader.malformed("digits of a block"))?;
    let patches = if flags & FLAG_PATCHES != 0 { Patches::read(reader, count)? } else { Patches::none() };
    Ok(Head { flags: flags & FLAGS_MASK, scale, patches })
}

fn decode_decimal(
    reader: &mut Reader<'_>,
    count: usize,
    range: Range<usize>,
    lower: Option<&[f64]>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let head = read_head(reader, count)?;
    let start = out.len();
    let mut lower_left = lower.map_or(&[][..], |lower| &lower[range.clone()]);
    ints::decode(reader, head.flags, count, range.clone(), &mut scratch.ints, |mantissas| {
        if lower.is_none() {
            to_values(mantissas, head.scale, out);
        } else {
            let (part, rest) = lower_left.split_at(mantissas.len());
            add_mantissas(part, mantissas, out);
            lower_left = rest;
        }
    })?;
    head.patches.apply(&range, &mut out[start..])
}

fn decode_decimal_pco(
    reader: &mut Reader<'_>,
    count: usize,
    range: Range<usize>,
    lower: Option<&[f64]>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let head = read_head(reader, count)?;
    scratch.mantissas.resize(count, 0);
    cold::read(reader, &mut scratch.mantissas)?;
    let mantissas = &scratch.mantissas[range.clone()];
    let start = out.len();
    match lower {
        None => to_values(mantissas, head.scale, out),
        Some(lower) => add_mantissas(&lower[range.clone()], mantissas, out),
    }
    head.patches.apply(&range, &mut out[start..])
}

wide! {
    fn add_constant(lower: &[f64], distance: i64, out: &mut Vec<f64>) {
        out.extend(lower.iter().map(|&lower| (lower as i64).wrapping_add(distance) as f64));
    }

    fn add_mantissas(lower: &[f64], distances: &[i64], out: &mut Vec<f64>) {
        out.extend(lower.iter().zip(distances).map(|(&lower, &distance)| (lower as i64).wrapping_add(distance) as f64));
    }
}
