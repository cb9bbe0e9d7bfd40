//! Timestamp columns: milliseconds in ascending order.
//!
//! ```text
//! | form u8 | body |
//! form 0, grid:    | t0 zigzag | step zigzag | skips | residuals: flags u8, integers |
//!   skips:         | how many varint | then each: samples since the skip before varint, steps skipped zigzag |
//! form 1, stream:  | flags u8 | integers (see `ints::stream`) |
//! form 2, aligned: | t0 zigzag | step zigzag | skips |                                    all residuals are 0
//! ```
//!
//! 1. A scrape target is asked every `step`: timestamp i is t0 + (i + steps skipped before it) · step + residual. With
//!    exact scrapes all residuals are 0 and the column takes a few bytes; with jitter they take the bits of the jitter,
//!    half of what deltas would, because a late scrape makes two deltas wrong but one residual.
//! 2. A missed scrape is a skip of one step, so that gaps do not widen the residuals.
//! 3. What follows no grid goes through the integer coder as it is, which takes deltas or deltas of deltas and patches
//!    the outliers. Where both are possible, the smaller one stays.

use crate::MAX_BLOCK_SAMPLES;
use crate::bytes::{Malformed, Reader, put_varint, put_zigzag};
use crate::ints::{self, FLAGS_MASK};
use crate::values::Scratch;

const FORM_GRID: u8 = 0;
const FORM_STREAM: u8 = 1;
const FORM_ALIGNED: u8 = 2;
/// Deltas looked at for a first guess of the step.
const PROBES: usize = 63;
/// The longest stretch over which the step is averaged.
const STRETCH_MAX: usize = 256;
/// Skips above one in this many timestamps mean that there is no grid.
const SKIPS_SHARE: usize = 4;
/// No delta longer than this many steps is a skip.
const SKIP_MAX: i64 = 1 << 40;

/// Appends 1 to [`MAX_BLOCK_SAMPLES`] timestamps in ascending order; equal neighbours are allowed.
pub fn encode_times(times: &[i64], out: &mut Vec<u8>) {
    Scratch::with_local(|scratch| encode_times_with(times, scratch, out));
}

/// As [`encode_times`], with the caller's buffers.
pub fn encode_times_with(times: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    assert!((1..=MAX_BLOCK_SAMPLES).contains(&times.len()), "a block has 1 to 8192 timestamps");
    assert!(times.is_sorted(), "timestamps ascend");
    let start = out.len();
    if let Some(step) = find_step(times, &mut scratch.mantissas) {
        let jittered = write_grid(times, step, scratch, out);
        if !jittered {
            return;
        }
    }
    scratch.trial.clear();
    scratch.trial.extend_from_slice(&[FORM_STREAM, 0]);
    let (flags, _) = ints::encode(times, false, &mut scratch.ints, &mut scratch.trial);
    scratch.trial[1] = flags;
    if out.len() == start || scratch.trial.len() < out.len() - start {
        out.truncate(start);
        out.extend_from_slice(&scratch.trial);
    }
}

/// Appends the `count` timestamps of a column.
pub fn decode_times(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), Malformed> {
    Scratch::with_local(|scratch| decode_times_with(bytes, count, scratch, out))
}

/// As [`decode_times`], with the caller's buffers. On an error `out` is as it was.
pub fn decode_times_with(
    bytes: &[u8],
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<i64>,
) -> Result<(), Malformed> {
    let start = out.len();
    let decoded = decode(bytes, count, scratch, out);
    if decoded.is_err() {
        out.truncate(start);
    }
    decoded
}

fn decode(bytes: &[u8], count: usize, scratch: &mut Scratch, out: &mut Vec<i64>) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    if count == 0 || count > MAX_BLOCK_SAMPLES {
        return Err(reader.malformed("number of timestamps"));
    }
    let start = out.len();
    match reader.u8()? {
        FORM_STREAM => decode_ints(&mut reader, count, scratch, |times| out.extend_from_slice(times))?,
        form @ (FORM_GRID | FORM_ALIGNED) => {
            read_grid(&mut reader, count, out)?;
            if form == FORM_GRID {
                let mut at = start;
                decode_ints(&mut reader, count, scratch, |residuals| {
                    for (time, residual) in out[at..].iter_mut().zip(residuals) {
                        *time = time.wrapping_add(*residual);
                    }
                    at += residuals.len();
                })?;
            }
        }
        _ => return Err(reader.malformed("form of timestamps")),
    }
    if !out[start..].is_sorted() {
        return Err(reader.malformed("order of timestamps"));
    }
    reader.finish()
}

fn decode_ints(
    reader: &mut Reader<'_>,
    count: usize,
    scratch: &mut Scratch,
    sink: impl FnMut(&[i64]),
) -> Result<(), Malformed> {
    let flags = reader.u8()?;
    if flags & !FLAGS_MASK != 0 {
        return Err(reader.malformed("flags of timestamps"));
    }
    ints::decode(reader, flags, count, 0..count, &mut scratch.ints, sink)
}

/// The scrape interval: the median of some deltas, then the median over longer stretches, over which jitter averages
/// out; a gap or a change of phase spoils only the stretches that hold it. Leaves the steps from the first timestamp to
/// each in `steps`.
fn find_step(times: &[i64], steps: &mut Vec<i64>) -> Option<i64> {
    // Then no difference overflows.
    times[times.len() - 1].checked_sub(times[0])?;
    let guess = median_rate(times, 1, |from, to| times[to] - times[from])?;
    steps.clear();
    steps.push(0);
    let mut total = 0_i64;
    for pair in times.windows(2) {
        total = total.checked_add(steps_of(pair[1] - pair[0], guess))?;
        steps.push(total);
    }
    let stretch = (times.len() / 4).clamp(1, STRETCH_MAX);
    median_rate(times, stretch, |from, to| rounded(times[to] - times[from], steps[to] - steps[from]))
}

/// The median of `rate` over some stretches of the column, if it is positive.
fn median_rate(times: &[i64], stretch: usize, rate: impl Fn(usize, usize) -> i64) -> Option<i64> {
    let stretches = times.len().checked_sub(stretch).filter(|&stretches| stretches > 1)?;
    let mut rates = [0_i64; PROBES];
    let mut probes = 0;
    for from in (0..stretches).step_by(stretches.div_ceil(PROBES)) {
        rates[probes] = rate(from, from + stretch);
        probes += 1;
    }
    let (_, &mut median, _) = rates[..probes].select_nth_unstable(probes / 2);
    (median > 0).then_some(median)
}

/// How many steps a delta is nearest to; an ordinary late or early scrape is one.
const fn steps_of(delta: i64, step: i64) -> i64 {
    // A scrape may be late by most of a step; only from one and a half on has one been missed.
    let missed = step.saturating_add(step / 2);
    if delta < missed { 1 } else { rounded(delta, step) }
}

/// The nearest integer of a quotient of positive numbers.
const fn rounded(dividend: i64, divisor: i64) -> i64 {
    dividend / divisor + (dividend % divisor > divisor / 2) as i64
}

/// Appends the grid form; says whether there are residuals. Appends nothing where there is no grid, and then says yes.
fn write_grid(times: &[i64], step: i64, scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut skips = 0;
    scratch.trial.clear();
    scratch.mantissas.clear();
    let (mut expected, mut since, mut all_zero) = (times[0], 0_u64, true);
    for (index, &time) in times.iter().enumerate() {
        if index > 0 {
            let steps = steps_of(time - times[index - 1], step);
            if steps != 1 {
                skips += 1;
                put_varint(&mut scratch.trial, since);
                put_zigzag(&mut scratch.trial, steps - 1);
                since = 0;
            }
            let Some(next) = step.checked_mul(steps).and_then(|ahead| expected.checked_add(ahead)) else {
                return true;
            };
            if steps > SKIP_MAX {
                return true;
            }
            expected = next;
        }
        since += 1;
        all_zero &= time == expected;
        scratch.mantissas.push(time.wrapping_sub(expected));
    }
    if skips * SKIPS_SHARE > times.len() {
        return true;
    }
    out.push(if all_zero { FORM_ALIGNED } else { FORM_GRID });
    put_zigzag(out, times[0]);
    put_zigzag(out, step);
    put_varint(out, skips as u64);
    out.extend_from_slice(&scratch.trial);
    if !all_zero {
        let flags_at = out.len();
        out.push(0);
        let (flags, _) = ints::encode(&scratch.mantissas, false, &mut scratch.ints, out);
        out[flags_at] = flags;
    }
    debug_assert!(out.len() > start);
    !all_zero
}

fn read_grid(reader: &mut Reader<'_>, count: usize, out: &mut Vec<i64>) -> Result<(), Malformed> {
    let mut time = reader.zigzag()?;
    let step = reader.zigzag()?;
    let skips = reader.varint_max(count as u64, "number of skips")?;
    let mut left = count;
    for _ in 0..skips {
        let run = reader.varint_max(left as u64, "distance of skips")? as usize;
        let steps = reader.zigzag()?;
        time = push_grid(out, time, step, run).wrapping_add(step.wrapping_mul(steps));
        left -= run;
    }
    push_grid(out, time, step, left);
    Ok(())
}

/// Appends `count` times from `time` on and returns the one behind them.
fn push_grid(out: &mut Vec<i64>, time: i64, step: i64, count: usize) -> i64 {
    out.extend((0..count as i64).map(|index| time.wrapping_add(step.wrapping_mul(index))));
    time.wrapping_add(step.wrapping_mul(count as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(times: &[i64]) -> usize {
        let mut bytes = vec![0xee];
        encode_times(times, &mut bytes);
        let mut back = vec![-1];
        decode_times(&bytes[1..], times.len(), &mut back).unwrap();
        assert_eq!(&back[1..], times);
        bytes.len() - 1
    }

    fn noise(seed: u64) -> impl FnMut(u64) -> i64 {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % below) as i64
        }
    }

    const T0: i64 = 1_753_000_000_123;

    #[test]
    fn aligned_scrapes_cost_a_few_bytes() {
        let times: Vec<i64> = (0..8192).map(|i| T0 + i * 15_000).collect();
        assert!(size(&times) <= 12);
        assert!(size(&times[..1]) <= 12);
        assert!(size(&times[..2]) <= 16);
    }

    #[test]
    fn jitter_costs_half_a_byte_and_gaps_nearly_nothing() {
        let mut random = noise(7);
        let jittered: Vec<i64> = (0..8192).map(|i| T0 + i * 15_000 + random(11) - 5).collect();
        let whole = size(&jittered);
        assert!(whole <= 8192 / 2 + 32 * 3 + 40, "{whole}");
        let gappy: Vec<i64> = jittered
            .iter()
            .enumerate()
            .filter(|(i, _)| i % 97 != 5 && !(3000..3700).contains(i))
            .map(|(_, &t)| t)
            .collect();
        let with_gaps = size(&gappy);
        assert!(with_gaps < whole + 200, "{with_gaps}");
        let aligned_gaps: Vec<i64> = (0..2000).filter(|i| i % 40 != 7).map(|i| T0 + i * 15_000).collect();
        assert!(size(&aligned_gaps) < 50 * 2 + 20);
    }

    #[test]
    fn a_new_phase_does_not_widen_the_column() {
        let mut random = noise(11);
        let times: Vec<i64> =
            (0..4096).map(|i| T0 + i * 15_000 + random(11) - 5 + if i > 1900 { 7_321 } else { 0 }).collect();
        assert!(size(&times) < 4096 * 6 / 10, "{}", size(&times));
    }

    #[test]
    fn extremes_round_trip() {
        size(&[i64::MIN, i64::MIN, 0, i64::MAX, i64::MAX]);
        size(&[i64::MIN, -1, i64::MAX - 1]);
        size(&[5; 1000]);
        size(&[0, 1, 2, 3, i64::MAX]);
    }

    #[test]
    fn unsorted_and_cut_bytes_are_refused() {
        let mut bytes = Vec::new();
        encode_times(&[1, 2, 3, 4], &mut bytes);
        assert!(decode_times(&bytes[..bytes.len() - 1], 4, &mut Vec::new()).is_err());
        assert!(decode_times(&bytes, 0, &mut Vec::new()).is_err());
        assert!(decode_times(&bytes, MAX_BLOCK_SAMPLES + 1, &mut Vec::new()).is_err());
        let backwards = [FORM_ALIGNED, 0, 1, 0];
        assert!(decode_times(&backwards, 3, &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn any_sorted_times_round_trip(mut times in proptest::collection::vec(any::<i64>(), 1..600), shift in 0_u32..64) {
            times.iter_mut().for_each(|time| *time >>= shift);
            times.sort_unstable();
            size(&times);
        }

        #[test]
        fn scrapes_round_trip(seed: u64, count in 1_i64..3000, step in 1_i64..100_000, jitter in 1_u64..100, holes in 1_i64..50) {
            let mut random = noise(seed);
            let mut times: Vec<i64> =
                (0..count).filter(|i| i % holes != 1).map(|i| T0 + i * step + random(jitter)).collect();
            times.sort_unstable();
            prop_assume!(!times.is_empty());
            size(&times);
        }
    }
}
