//! A block of integers on disk.
//!
//! ```text
//! flags (in the caller's byte):  bits 0-1 kind; bit 2 a divisor follows; bit 3 groups start with a tANS stream
//! | divisor varint? | origin zigzag | slope zigzag (delta2) | checkpoints | group 0 | group 1 | …
//! checkpoints, one for each group but the first:
//!   | length of the group before varint | previous zigzag (delta, delta2) | slope zigzag (delta2) |
//! group:  | length varint, tANS stream (if flagged; length 0: no vector uses it) | vectors of 256, at most eight |
//! ```
//!
//! 1. The kind is chosen by how many bits the residuals of a few stretches are away from their middle.
//! 2. Every vector is planned; with `squeeze`, a tANS form is asked for too and taken where it saves enough to be worth
//!    its slower decoding.
//! 3. Checkpoints hold the decoder's state in front of a group, as differences to the checkpoint before, so that a
//!    range of a long block costs at most eight vectors more than it has.

use std::ops::Range;

use super::divisor::{Divisor, common_divisor};
use super::plan::{self, Fold, Plan, Planner};
use super::residual::{self, Kind, State};
use super::squeeze;
use super::tans;
use super::vector::{self, Next, RUN_MAX, VectorScratch};
use crate::bitpack::Vector;
use crate::bytes::{Malformed, Reader, put_varint, put_zigzag, varint_len, zigzag};
use crate::{MAX_BLOCK_SAMPLES, VECTOR_SAMPLES};

/// Vectors of one group.
const GROUP_VECTORS: usize = 8;
/// Numbers of one group.
pub(crate) const GROUP_SAMPLES: usize = GROUP_VECTORS * VECTOR_SAMPLES;
/// Groups of the longest block.
const GROUPS_MAX: usize = MAX_BLOCK_SAMPLES / GROUP_SAMPLES;
/// The most stretches that are looked at in every kind before one is chosen.
const KIND_PROBES: usize = 4;
/// Numbers of one such stretch.
const KIND_PROBE_SAMPLES: usize = 192;
/// There is one stretch for so many numbers.
const KIND_PROBE_SHARE: usize = 512;
/// A tANS vector must be smaller by one part in this many.
const SQUEEZE_SHARE: usize = 64;
/// What a stream costs besides its symbols: states, length, rounding.
const STREAM_BITS: usize = 96;

/// The bits of the flags byte that belong to the integers.
pub(crate) const FLAGS_MASK: u8 = 0x0f;
const KIND_MASK: u8 = 0x03;
const FLAG_DIVISOR: u8 = 1 << 2;
const FLAG_TANS: u8 = 1 << 3;

const _: () = assert!(GROUP_VECTORS <= RUN_MAX, "a constant run can fill a group");
const _: () = assert!(GROUPS_MAX * GROUP_SAMPLES == MAX_BLOCK_SAMPLES, "groups divide the longest block");

static ZEROS: Vector = [0; VECTOR_SAMPLES];

/// What codes the numbers of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coder {
    /// All vectors are packed.
    Packed,
    /// Some vectors are tANS.
    Tans,
}

/// Buffers of the integer coder.
#[derive(Debug)]
pub(crate) struct IntScratch {
    residuals: [i64; VECTOR_SAMPLES],
    numbers: [i64; VECTOR_SAMPLES],
    planner: Planner,
    plans: Vec<Plan>,
    vector: VectorScratch,
    symbols: tans::Symbols,
    decoder: tans::Decoder,
    group: Vec<u8>,
    stream: Vec<u8>,
    payload: Vec<u8>,
}

impl Default for IntScratch {
    fn default() -> Self {
        Self {
            residuals: [0; VECTOR_SAMPLES],
            numbers: [0; VECTOR_SAMPLES],
            planner: Planner::default(),
            plans: Vec::new(),
            vector: VectorScratch::default(),
            symbols: tans::Symbols::default(),
            decoder: tans::Decoder::default(),
            group: Vec::new(),
            stream: Vec::new(),
            payload: Vec::new(),
        }
    }
}

/// Appends the block and returns its flags and what codes it.
pub(crate) fn encode(numbers: &[i64], squeeze: bool, scratch: &mut IntScratch, out: &mut Vec<u8>) -> (u8, Coder) {
    assert!((1..=MAX_BLOCK_SAMPLES).contains(&numbers.len()), "a block has 1 to 8192 numbers");
    let divisor = common_divisor(numbers);
    let exact = (divisor > 1).then(|| Divisor::new(divisor));
    let kind = choose_kind(numbers, exact, scratch);
    let initial = State::before(numbers, kind);
    let coder = plan_all(numbers, kind, initial, exact, squeeze, scratch);

    let mut flags = kind as u8;
    if divisor > 1 {
        flags |= FLAG_DIVISOR;
        put_varint(out, divisor);
    }
    put_zigzag(out, initial.previous);
    if kind == Kind::Delta2 {
        put_zigzag(out, initial.slope);
    }
    if coder == Coder::Tans {
        flags |= FLAG_TANS;
    }
    write_groups(numbers, kind, initial, exact, coder, scratch, out);
    (flags, coder)
}

/// The kind whose residuals lie closest together.
fn choose_kind(numbers: &[i64], divisor: Option<Divisor>, scratch: &mut IntScratch) -> Kind {
    let probes = (numbers.len() / KIND_PROBE_SHARE).clamp(1, KIND_PROBES);
    let cost = |&kind: &Kind| {
        let initial = State::before(numbers, kind);
        let mut bits = if kind == Kind::Delta2 { 8 * varint_len(zigzag(initial.slope)) as u64 } else { 0 };
        for probe in 0..probes {
            let start = numbers.len() * probe / probes;
            let part = &numbers[start..(start + KIND_PROBE_SAMPLES).min(numbers.len())];
            let state = State::at(numbers, start, kind, initial);
            residual::make(part, kind, state, divisor, &mut scratch.residuals);
            bits += residual::spread(&scratch.residuals[..part.len()]);
        }
        bits
    };
    Kind::ALL.into_iter().min_by_key(cost).unwrap_or(Kind::Delta)
}

/// Plans every vector; says whether enough of them are smaller as tANS.
fn plan_all(
    numbers: &[i64],
    kind: Kind,
    initial: State,
    divisor: Option<Divisor>,
    squeeze: bool,
    scratch: &mut IntScratch,
) -> Coder {
    scratch.plans.clear();
    let mut squeezed: [Option<Plan>; MAX_BLOCK_SAMPLES / VECTOR_SAMPLES] = [None; _];
    let mut saved = 0;
    for (index, part) in numbers.chunks(VECTOR_SAMPLES).enumerate() {
        let state = State::at(numbers, index * VECTOR_SAMPLES, kind, initial);
        residual::make(part, kind, state, divisor, &mut scratch.residuals);
        let residuals = &scratch.residuals[..part.len()];
        let packed = plan::packed(residuals, &mut scratch.planner);
        scratch.plans.push(packed);
        if squeeze
            && let Some(tans) = squeeze::tans(residuals, &packed, &mut scratch.planner)
            && tans.bits + packed.bits / SQUEEZE_SHARE < packed.bits
        {
            saved += packed.bits - tans.bits;
            squeezed[index] = Some(tans);
        }
    }
    if saved <= STREAM_BITS * numbers.len().div_ceil(GROUP_SAMPLES) {
        return Coder::Packed;
    }
    for (plan, tans) in scratch.plans.iter_mut().zip(squeezed) {
        *plan = tans.unwrap_or(*plan);
    }
    Coder::Tans
}

fn write_groups(
    numbers: &[i64],
    kind: Kind,
    initial: State,
    divisor: Option<Divisor>,
    coder: Coder,
    scratch: &mut IntScratch,
    out: &mut Vec<u8>,
) {
    scratch.payload.clear();
    let mut checkpoint = initial;
    let mut payload_len = 0;
    for (index, group) in numbers.chunks(GROUP_SAMPLES).enumerate() {
        let start = index * GROUP_SAMPLES;
        let state = State::at(numbers, start, kind, initial);
        if index > 0 {
            put_varint(out, (scratch.payload.len() - payload_len) as u64);
            put_checkpoint(state, checkpoint, kind, out);
            payload_len = scratch.payload.len();
            checkpoint = state;
        }
        write_group(group, start / VECTOR_SAMPLES, kind, state, divisor, scratch);
        if coder == Coder::Tans {
            scratch.stream.clear();
            if !scratch.symbols.is_empty() {
                scratch.symbols.write_stream(&mut scratch.stream);
            }
            put_varint(&mut scratch.payload, scratch.stream.len() as u64);
            scratch.payload.extend_from_slice(&scratch.stream);
        }
        scratch.payload.extend_from_slice(&scratch.group);
    }
    out.extend_from_slice(&scratch.payload);
}

fn put_checkpoint(state: State, before: State, kind: Kind, out: &mut Vec<u8>) {
    if kind != Kind::Raw {
        put_zigzag(out, state.previous.wrapping_sub(before.previous));
    }
    if kind == Kind::Delta2 {
        put_zigzag(out, state.slope.wrapping_sub(before.slope));
    }
}

/// Writes a group's vectors, the first of which has plan number `first`, to the group buffer.
fn write_group(
    group: &[i64],
    first: usize,
    kind: Kind,
    before: State,
    divisor: Option<Divisor>,
    scratch: &mut IntScratch,
) {
    scratch.group.clear();
    let vectors = group.len().div_ceil(VECTOR_SAMPLES);
    let mut index = 0;
    while index < vectors {
        let plan = scratch.plans[first + index];
        if plan.constant {
            let base = plan.fold.base;
            let alike = |plan: &&Plan| plan.constant && plan.fold.base == base;
            let run = scratch.plans[first + index..first + vectors].iter().take_while(alike).count();
            vector::write_constant_run(run, base, &mut scratch.group);
            index += run;
            continue;
        }
        let start = index * VECTOR_SAMPLES;
        let part = &group[start..(start + VECTOR_SAMPLES).min(group.len())];
        let state = State::at(group, start, kind, before);
        residual::make(part, kind, state, divisor, &mut scratch.residuals);
        let residuals = &scratch.residuals[..part.len()];
        vector::write(residuals, &plan, &mut scratch.vector, &mut scratch.symbols, &mut scratch.group);
        index += 1;
    }
}

/// What stands in front of the groups.
struct Header {
    kind: Kind,
    divisor: i64,
    tans: bool,
    state: State,
}

/// Decodes `range` of a block of `count` numbers; `sink` gets them in order, a vector or less at a time. Reads to the
/// end of the block if the range reaches it.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    flags: u8,
    count: usize,
    range: Range<usize>,
    scratch: &mut IntScratch,
    mut sink: impl FnMut(&[i64]),
) -> Result<(), Malformed> {
    assert!(count <= MAX_BLOCK_SAMPLES && range.start <= range.end && range.end <= count);
    let mut header = read_header(reader, flags)?;
    let groups = count.div_ceil(GROUP_SAMPLES);
    let wanted = range.start / GROUP_SAMPLES;
    let mut skipped = 0;
    let mut checkpoint = header.state;
    for group in 1..groups {
        let length = reader.varint_max(u64::from(u32::MAX), "group length")? as usize;
        read_checkpoint(reader, header.kind, &mut checkpoint)?;
        if group <= wanted {
            skipped += length;
            header.state = checkpoint;
        }
    }
    reader.bytes(skipped)?;
    let mut start = wanted * GROUP_SAMPLES;
    while start < range.end {
        let end = (start + GROUP_SAMPLES).min(count);
        decode_group(reader, &mut header, start..end, &range, scratch, &mut sink)?;
        start = end;
    }
    Ok(())
}

fn read_header(reader: &mut Reader<'_>, flags: u8) -> Result<Header, Malformed> {
    let kind = Kind::from_number(flags & KIND_MASK).ok_or(reader.malformed("kind of residuals"))?;
    let divisor = if flags & FLAG_DIVISOR != 0 { reader.varint()? as i64 } else { 1 };
    let previous = reader.zigzag()?;
    let slope = if kind == Kind::Delta2 { reader.zigzag()? } else { 0 };
    Ok(Header { kind, divisor, tans: flags & FLAG_TANS != 0, state: State { previous, slope } })
}

fn read_checkpoint(reader: &mut Reader<'_>, kind: Kind, state: &mut State) -> Result<(), Malformed> {
    if kind != Kind::Raw {
        state.previous = state.previous.wrapping_add(reader.zigzag()?);
    }
    if kind == Kind::Delta2 {
        state.slope = state.slope.wrapping_add(reader.zigzag()?);
    }
    Ok(())
}

fn decode_group(
    reader: &mut Reader<'_>,
    header: &mut Header,
    group: Range<usize>,
    range: &Range<usize>,
    scratch: &mut IntScratch,
    sink: &mut impl FnMut(&[i64]),
) -> Result<(), Malformed> {
    if header.tans {
        scratch.decoder.start(reader)?;
    }
    let mut start = group.start;
    let mut run = 0;
    let mut run_fold = Fold::default();
    while start < group.end {
        if start >= range.end {
            return Ok(());
        }
        let count = (group.end - start).min(VECTOR_SAMPLES);
        let (folded, fold) = if run > 0 {
            (&ZEROS, run_fold)
        } else {
            match vector::read(reader, count)? {
                Next::ConstantRun { vectors, base } => {
                    if vectors > (group.end - start).div_ceil(VECTOR_SAMPLES) {
                        return Err(reader.malformed("constant run"));
                    }
                    run = vectors;
                    run_fold = Fold { folded: false, base };
                    (&ZEROS, run_fold)
                }
                Next::Numbers(vector) => {
                    let decoder = header.tans.then_some(&mut scratch.decoder);
                    let unpacked = vector.unpack(count, &mut scratch.vector, decoder);
                    (unpacked.ok_or(reader.malformed("tANS vector"))?, vector.fold())
                }
            }
        };
        run = usize::saturating_sub(run, 1);
        residual::restore(folded, count, fold, header.divisor, header.kind, &mut header.state, &mut scratch.numbers);
        let wanted = range.start.max(start)..range.end.min(start + count);
        if !wanted.is_empty() {
            sink(&scratch.numbers[wanted.start - start..wanted.end - start]);
        }
        start += count;
    }
    if header.tans { scratch.decoder.finish(reader) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coded(numbers: &[i64], squeeze: bool) -> (Vec<u8>, u8, Coder) {
        let mut out = Vec::new();
        let (flags, coder) = encode(numbers, squeeze, &mut IntScratch::default(), &mut out);
        assert_eq!(flags & !FLAGS_MASK, 0);
        (out, flags, coder)
    }

    fn check(numbers: &[i64], ranges: &[Range<usize>]) -> usize {
        let mut scratch = IntScratch::default();
        let mut smallest = usize::MAX;
        for squeeze in [false, true] {
            let (bytes, flags, _) = coded(numbers, squeeze);
            smallest = smallest.min(bytes.len());
            let mut back = Vec::new();
            let mut reader = Reader::new(&bytes);
            decode(&mut reader, flags, numbers.len(), 0..numbers.len(), &mut scratch, |part| {
                back.extend_from_slice(part);
            })
            .unwrap();
            reader.finish().unwrap();
            assert_eq!(back, numbers);
            for range in ranges {
                let mut part = Vec::new();
                decode(&mut Reader::new(&bytes), flags, numbers.len(), range.clone(), &mut scratch, |vector| {
                    part.extend_from_slice(vector);
                })
                .unwrap();
                assert_eq!(part, numbers[range.clone()], "{range:?}");
            }
        }
        smallest
    }

    fn noise(seed: u64) -> impl Iterator<Item = u64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) ^ (state >> 11)
        })
    }

    #[test]
    fn shapes_take_the_form_made_for_them() {
        assert!(check(&[7; 8192], &[5000..5001, 0..0, 8192..8192]) <= 16);
        let ramp: Vec<i64> = (0..8192).map(|i| 1_000_000 + i * 15).collect();
        assert!(check(&ramp, &[2047..2049, 8000..8192]) <= 24);
        let mut reset = ramp.clone();
        reset[3000..].iter_mut().for_each(|x| *x -= 1_040_000);
        assert!(check(&reset, &[2999..3001, 0..0]) <= 50);
        let pages: Vec<i64> = noise(3).take(1440).map(|r| (r % 16) as i64 * 4096).collect();
        assert!(check(&pages, &[1000..1440, 0..0]) <= 1440 / 2 + 30);
        let bursts: Vec<i64> =
            noise(5).take(8192).map(|r| if r % 10 == 0 { (r / 16 % 1024) as i64 } else { 0 }).collect();
        assert!(check(&bursts, &[255..257, 0..0]) < 8192 * 3 / 10);
        let parabola: Vec<i64> = (0..3000).map(|i| i * i * 3 - i).collect();
        assert!(check(&parabola, &[2500..2600, 0..0]) <= 20);
    }

    #[test]
    fn tans_beats_packing_on_a_bell() {
        let bell: Vec<i64> = noise(9)
            .take(8192 * 12)
            .collect::<Vec<_>>()
            .chunks(12)
            .map(|twelve| twelve.iter().map(|r| (r % 1000) as i64).sum())
            .collect();
        let (packed, _, _) = coded(&bell, false);
        let (squeezed, _, coder) = coded(&bell, true);
        assert_eq!(coder, Coder::Tans);
        assert!(squeezed.len() * 100 < packed.len() * 97, "{} {}", squeezed.len(), packed.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_integers_round_trip(
            numbers in proptest::collection::vec(any::<i64>(), 1..700),
            width in 0_u32..64,
            steps in 1_i64..5000,
            cut in 0.0..1.0_f64,
        ) {
            let narrow: Vec<i64> = numbers.iter().map(|number| number >> width).collect();
            let at = (numbers.len() as f64 * cut) as usize;
            check(&narrow, &[at..numbers.len(), 0..at]);
            let scaled: Vec<i64> = narrow.iter().map(|number| number.wrapping_mul(steps)).collect();
            check(&scaled, &[]);
            let summed: Vec<i64> = narrow.iter().scan(0_i64, |sum, &number| { *sum = sum.wrapping_add(number); Some(*sum) }).collect();
            check(&summed, &[at..at, 0..at]);
        }

        #[test]
        fn long_blocks_round_trip(seed: u64, length in 2000_usize..=8192, width in 0_u32..40, spikes in 0_u64..200, start in 0.0..1.0_f64) {
            let numbers: Vec<i64> = noise(seed).take(length)
                .map(|r| if spikes > 0 && r % spikes == 0 { r as i64 } else { (r & ((1 << width) - 1)) as i64 }).collect();
            let from = (length as f64 * start) as usize;
            check(&numbers, &[from..length, from..(from + 300).min(length)]);
            let summed: Vec<i64> = numbers.iter().scan(0_i64, |sum, &number| { *sum = sum.wrapping_add(number); Some(*sum) }).collect();
            check(&summed, &[from..length, 0..from]);
        }

        #[test]
        fn any_bytes_are_refused_or_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..200), flags: u8, count in 1_usize..3000) {
            let mut seen = 0;
            let mut reader = Reader::new(&bytes);
            let _ = decode(&mut reader, flags & FLAGS_MASK, count, 0..count, &mut IntScratch::default(), |part| seen += part.len());
            prop_assert!(seen <= count);
        }
    }
}
