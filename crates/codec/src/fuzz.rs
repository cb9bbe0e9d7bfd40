//! Fuzz entry points: every reader of this crate on arbitrary bytes.
//!
//! Strategy: the first bytes choose the number of samples, the range and the lower bucket, the rest is the input.
//! Invariants: no panic; nothing is appended on an error and exactly what was asked for otherwise; no buffer grows
//! beyond what the number of samples allows; decoded timestamps ascend; a summary that was read can be written and read
//! again.

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testdata::{SHAPES, column};
    use crate::{Effort, encode_times, encode_values, encode_values_above, summarize};

    const BUDGET: Duration = Duration::from_millis(1500);

    /// The parameters that [`parameters`] reads.
    fn with_parameters(count: usize, bytes: &[u8]) -> Vec<u8> {
        [&(count as u16 - 1).to_le_bytes()[..], &[50, 100], bytes].concat()
    }

    #[test]
    fn values() {
        let mut scratch = Scratch::new();
        let mut corpus = Vec::new();
        for effort in [Effort::Flush, Effort::Merge, Effort::Cold] {
            for shape in 0..SHAPES {
                for count in [3, 300, 2500] {
                    let values = column(shape, 5, count);
                    let mut bytes = Vec::new();
                    encode_values(&values, effort, &mut scratch, &mut bytes);
                    corpus.push(with_parameters(count, &bytes));
                    let mut above = Vec::new();
                    if encode_values_above(&values, &column(1, 9, count), effort, &mut scratch, &mut above).is_some() {
                        corpus.push(with_parameters(count, &above));
                    }
                }
            }
        }
        testkit::fuzz::run("codec-values", &corpus, BUDGET, fuzz_values);
    }

    #[test]
    fn times() {
        let mut random = crate::testdata::noise(4);
        let corpus: Vec<Vec<u8>> = [(0, 1), (10, 1), (10, 7), (40_000, 3)]
            .into_iter()
            .map(|(jitter, keep)| {
                let mut times: Vec<i64> = (0..3000)
                    .map(|index| 1_753_000_000_000 + index * 15_000 + (random() % (jitter + 1)) as i64)
                    .filter(|time| keep == 1 || time / 15_000 % keep != 0)
                    .collect();
                times.sort_unstable();
                let mut bytes = Vec::new();
                encode_times(&times, &mut bytes);
                with_parameters(times.len(), &bytes)
            })
            .collect();
        testkit::fuzz::run("codec-times", &corpus, BUDGET, fuzz_times);
    }

    #[test]
    fn summaries() {
        let corpus: Vec<Vec<u8>> = (0..SHAPES)
            .map(|shape| {
                let mut bytes = Vec::new();
                summarize(&column(shape, 6, 500)).write(&mut bytes);
                bytes
            })
            .collect();
        testkit::fuzz::run("codec-summary", &corpus, BUDGET, fuzz_summary);
    }

    #[test]
    fn readers() {
        let corpus = [(0..200).collect(), vec![0xff; 60], vec![0x80; 60]];
        testkit::fuzz::run("codec-reader", &corpus, BUDGET, fuzz_reader);
    }
}
