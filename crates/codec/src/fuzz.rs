//! Fuzz entry points: every reader of this crate on arbitrary bytes.
//!
//! Strategy: the first bytes choose the number of samples, the range and the lower bucket, the rest is the input.
//! Invariants: no panic; nothing is appended on an error and exactly what was asked for otherwise; no buffer grows
//! beyond what the number of samples allows; what a range decodes is what the whole decodes there.

use crate::bytes::Reader;
use crate::summary::Summary;
use crate::values::Scratch;
use crate::{MAX_BLOCK_SAMPLES, decode_value_range, decode_values, decode_values_above, times};

/// Takes the parameters off the front of the input.
fn parameters(data: &[u8]) -> Option<(usize, [u8; 2], &[u8])> {
    let (head, rest) = data.split_first_chunk::<4>()?;
    let count = usize::from(u16::from_le_bytes([head[0], head[1]])) % MAX_BLOCK_SAMPLES + 1;
    Some((count, [head[2], head[3]], rest))
}

/// [`decode_values`], [`decode_values_above`] and [`decode_value_range`].
pub fn fuzz_values(data: &[u8]) {
    let Some((count, [from, length], bytes)) = parameters(data) else {
        return;
    };
    let mut scratch = Scratch::new();
    let mut whole = Vec::new();
    let decoded = decode_values(bytes, count, &mut scratch, &mut whole);
    assert_eq!(whole.len(), if decoded.is_ok() { count } else { 0 });
    let start = usize::from(from) * count / 256;
    let range = start..(start + usize::from(length)).min(count);
    let mut part = Vec::new();
    let part_decoded = decode_value_range(bytes, count, range.clone(), &mut scratch, &mut part);
    assert_eq!(part.len(), if part_decoded.is_ok() { range.len() } else { 0 });
    let lower = vec![f64::from(from); count];
    let mut above = Vec::new();
    let above_decoded = decode_values_above(bytes, &lower, &mut scratch, &mut above);
    assert_eq!(above.len(), if above_decoded.is_ok() { count } else { 0 });
}

/// [`times::decode_times_with`].
pub fn fuzz_times(data: &[u8]) {
    let Some((count, _, bytes)) = parameters(data) else {
        return;
    };
    let mut times = Vec::new();
    let decoded = times::decode_times_with(bytes, count, &mut Scratch::new(), &mut times);
    assert_eq!(times.len(), if decoded.is_ok() { count } else { 0 });
    assert!(times.is_sorted());
}

/// [`Summary::read`]; what is read can be written and read again.
pub fn fuzz_summary(data: &[u8]) {
    let Ok(summary) = Summary::read(&mut Reader::new(data)) else {
        return;
    };
    let mut again = Vec::new();
    summary.write(&mut again);
    let back = Summary::read(&mut Reader::new(&again)).expect("a written summary can be read");
    assert_eq!(back, summary, "{again:?}");
    let _ = (back.sum.plus(summary.sum).to_f64(), summary.sum.to_f64());
}

/// [`Reader`], call by call.
pub fn fuzz_reader(data: &[u8]) {
    let mut reader = Reader::new(data);
    while let Ok(step) = reader.u8() {
        let _ = match step % 8 {
            0 => reader.varint().map(drop),
            1 => reader.zigzag().map(drop),
            2 => reader.varint128().map(drop),
            3 => reader.len_prefixed(usize::from(step)).map(drop),
            4 => reader.bytes(usize::from(step)).map(drop),
            5 => reader.u64().map(drop),
            6 => reader.zigzag128().map(drop),
            _ => reader.u128().map(drop),
        };
        assert!(reader.position() <= data.len());
    }
}
