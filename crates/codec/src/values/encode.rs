//! Chooses and writes the form of a block.

use super::{ABOVE, DIGITS_RAW, Effort, Encoded, FLAG_DIGITS, FLAG_PATCHES, Scratch, ValueCodec};
use crate::bytes::put_zigzag;
use crate::decimal::{self, Scale, to_keys};
use crate::ints::{self, Coder};
use crate::summary::{self, Summary};
use crate::wide::wide;
use crate::{MAX_BLOCK_SAMPLES, SHORT_BLOCK_SAMPLES, cold, patches};

/// pco must save one part in this many.
const COLD_SHARE: usize = 20;
/// A decimal block above this many bits a sample is compared with its float bits when merged.
const WIDE_BITS: usize = 40;
/// Integers below this are exact, and so are their differences.
const EXACT_LIMIT: f64 = 9_007_199_254_740_992.0;

/// Appends a block of 1 to [`MAX_BLOCK_SAMPLES`] values.
pub fn encode_values(values: &[f64], effort: Effort, scratch: &mut Scratch, out: &mut Vec<u8>) -> Encoded {
    assert!((1..=MAX_BLOCK_SAMPLES).contains(&values.len()), "a block has 1 to 8192 values");
    if is_constant(values) {
        return encode_constant(values, scratch, out);
    }
    let effort = worth_while(effort, values);
    let scale = decimal::find(values, &mut scratch.mantissas, &mut scratch.odd);
    let summary = summary::of_block(values, scale, &scratch.mantissas, &scratch.odd);
    let start = out.len();
    let mut codec = match scale {
        Some(scale) => encode_decimal(values, scale, effort, scratch, out),
        None => encode_float_bits(values, effort, scratch, out),
    };
    if effort >= Effort::Merge && scale.is_some() && (out.len() - start) * 8 > values.len() * WIDE_BITS {
        codec = try_float_bits(values, effort, start, codec, scratch, out);
    }
    if effort == Effort::Cold {
        codec = try_pco(values, scale, start, codec, scratch, out);
    }
    Encoded { codec, summary }
}

/// Appends a histogram bucket as its distance from the next lower one, whose values must be those at the same times.
/// Only for exact integers below 2^53 on both sides; nothing is appended otherwise.
pub fn encode_values_above(
    values: &[f64],
    lower: &[f64],
    effort: Effort,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Option<Encoded> {
    assert!((1..=MAX_BLOCK_SAMPLES).contains(&values.len()), "a block has 1 to 8192 values");
    assert_eq!(values.len(), lower.len(), "both buckets have the same times");
    let effort = worth_while(effort, values);
    scratch.mantissas.resize(values.len(), 0);
    if !exact_integers(values, &mut scratch.mantissas) {
        return None;
    }
    let summary = summary::of_block(values, Some(Scale::INTEGERS), &scratch.mantissas, &[]);
    if !subtract_exact_integers(lower, &mut scratch.mantissas) {
        return None;
    }
    let start = out.len();
    let codec = if scratch.mantissas.iter().all(|&distance| distance == scratch.mantissas[0]) {
        out.push(ValueCodec::Constant as u8);
        put_constant(Some((Scale::INTEGERS, scratch.mantissas[0])), 0.0, out);
        ValueCodec::Constant
    } else {
        scratch.odd.clear();
        let codec = encode_decimal(values, Scale::INTEGERS, effort, scratch, out);
        if effort == Effort::Cold {
            try_pco_mantissas(values, Scale::INTEGERS, start, codec, scratch, out)
        } else {
            codec
        }
    };
    out[start] |= ABOVE;
    Some(Encoded { codec, summary })
}

/// The effort that a block deserves.
fn worth_while(effort: Effort, values: &[f64]) -> Effort {
    if values.len() <= SHORT_BLOCK_SAMPLES { Effort::Flush } else { effort }
}

fn encode_constant(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> Encoded {
    let value = values[0];
    let Scratch { mantissas, odd, .. } = scratch;
    let scale = decimal::find(&values[..1], mantissas, odd);
    out.push(ValueCodec::Constant as u8);
    put_constant(scale.map(|scale| (scale, mantissas[0])), value, out);
    let one = summary::of_block(&values[..1], scale, mantissas, odd);
    Encoded {
        codec: ValueCodec::Constant,
        summary: Summary { count: values.len() as u64, sum: one.sum.times(values.len() as u64), ..one },
    }
}

fn put_constant(decimal: Option<(Scale, i64)>, value: f64, out: &mut Vec<u8>) {
    if let Some((scale, mantissa)) = decimal {
        out.push(scale.digits() as u8);
        put_zigzag(out, mantissa);
    } else {
        out.push(DIGITS_RAW as u8);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Appends the mantissas in the scratch, with the odd values as patches.
fn encode_decimal(
    values: &[f64],
    scale: Scale,
    effort: Effort,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> ValueCodec {
    let start = out.len();
    put_head(values, ValueCodec::Decimal, scale, &scratch.odd, out);
    let (flags, coder) = ints::encode(&scratch.mantissas, effort >= Effort::Merge, &mut scratch.ints, out);
    out[start + 1] |= flags;
    let codec = match coder {
        Coder::Packed => ValueCodec::Decimal,
        Coder::Tans => ValueCodec::DecimalTans,
    };
    out[start] = codec as u8;
    codec
}

/// Appends codec, flags, digits and patches.
fn put_head(values: &[f64], codec: ValueCodec, scale: Scale, odd: &[u16], out: &mut Vec<u8>) {
    let mut flags = 0;
    if scale != Scale::INTEGERS {
        flags |= FLAG_DIGITS;
    }
    if !odd.is_empty() {
        flags |= FLAG_PATCHES;
    }
    out.extend_from_slice(&[codec as u8, flags]);
    if scale != Scale::INTEGERS {
        out.push(scale.digits() as u8);
    }
    if !odd.is_empty() {
        patches::write(values, odd, out);
    }
}

fn encode_float_bits(values: &[f64], effort: Effort, scratch: &mut Scratch, out: &mut Vec<u8>) -> ValueCodec {
    let start = out.len();
    scratch.mantissas.resize(values.len(), 0);
    to_keys(values, &mut scratch.mantissas);
    out.extend_from_slice(&[ValueCodec::FloatBits as u8, 0]);
    let (flags, coder) = ints::encode(&scratch.mantissas, effort >= Effort::Merge, &mut scratch.ints, out);
    out[start + 1] |= flags;
    let codec = match coder {
        Coder::Packed => ValueCodec::FloatBits,
        Coder::Tans => ValueCodec::FloatBitsTans,
    };
    out[start] = codec as u8;
    codec
}

/// Replaces what was appended from `start` on by `trial` if that is smaller by the share asked.
fn keep_smaller(
    start: usize,
    codec: ValueCodec,
    trial: ValueCodec,
    share: usize,
    scratch: &Scratch,
    out: &mut Vec<u8>,
) -> ValueCodec {
    let length = out.len() - start;
    if scratch.trial.len() + length / share >= length {
        return codec;
    }
    out.truncate(start);
    out.extend_from_slice(&scratch.trial);
    trial
}

fn try_float_bits(
    values: &[f64],
    effort: Effort,
    start: usize,
    codec: ValueCodec,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> ValueCodec {
    let mut trial = std::mem::take(&mut scratch.trial);
    let mantissas = std::mem::take(&mut scratch.mantissas);
    trial.clear();
    let trial_codec = encode_float_bits(values, effort, scratch, &mut trial);
    scratch.trial = trial;
    scratch.mantissas = mantissas;
    keep_smaller(start, codec, trial_codec, COLD_SHARE, scratch, out)
}

fn try_pco(
    values: &[f64],
    scale: Option<Scale>,
    start: usize,
    codec: ValueCodec,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> ValueCodec {
    let mut codec = codec;
    if let Some(scale) = scale {
        codec = try_pco_mantissas(values, scale, start, codec, scratch, out);
        // pco would only find the decimals again, at twice the time.
        if scratch.odd.is_empty() {
            return codec;
        }
    }
    scratch.trial.clear();
    scratch.trial.push(ValueCodec::FloatPco as u8);
    if cold::write(values, &mut scratch.trial) {
        codec = keep_smaller(start, codec, ValueCodec::FloatPco, COLD_SHARE, scratch, out);
    }
    codec
}

fn try_pco_mantissas(
    values: &[f64],
    scale: Scale,
    start: usize,
    codec: ValueCodec,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> ValueCodec {
    scratch.trial.clear();
    put_head(values, ValueCodec::DecimalPco, scale, &scratch.odd, &mut scratch.trial);
    if cold::write(&scratch.mantissas, &mut scratch.trial) {
        keep_smaller(start, codec, ValueCodec::DecimalPco, COLD_SHARE, scratch, out)
    } else {
        codec
    }
}

fn is_constant(values: &[f64]) -> bool {
    let first = values[0].to_bits();
    // Most columns that vary do so early.
    values[values.len() - 1].to_bits() == first && values.chunks(256).all(|chunk| all_equal(chunk, first))
}

wide! {
    fn all_equal(values: &[f64], bits: u64) -> bool {
        values.iter().fold(0, |difference, value| difference | (value.to_bits() ^ bits)) == 0
    }

    fn exact_integers(values: &[f64], mantissas: &mut [i64]) -> bool {
        let mut inexact = 0_u64;
        for (&value, mantissa) in values.iter().zip(mantissas) {
            *mantissa = value as i64;
            let back = *mantissa as f64;
            inexact |= u64::from((back.to_bits() != value.to_bits()) | (value.abs() >= EXACT_LIMIT));
        }
        inexact == 0
    }

    fn subtract_exact_integers(lower: &[f64], mantissas: &mut [i64]) -> bool {
        let mut inexact = 0_u64;
        for (&value, mantissa) in lower.iter().zip(mantissas) {
            let number = value as i64;
            let back = number as f64;
            *mantissa = mantissa.wrapping_sub(number);
            inexact |= u64::from((back.to_bits() != value.to_bits()) | (value.abs() >= EXACT_LIMIT));
        }
        inexact == 0
    }
}
