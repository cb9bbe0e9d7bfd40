//! One vector on disk.
//!
//! ```text
//! head u8          bits 0-1 form: 0 constant run, 1 packed, 2 tans
//!   constant run   bits 2-4 vectors in the run, less one; bit 5 a base follows        | base zigzag? |
//!   packed, tans   bit 2 sparse; bit 3 exceptions; bits 4-5 fold: 0 plain, 1 base, 2 zigzag, 3 zigzag around a base
//! | width u8 | table u8 (tans) | base zigzag? | bitmap (sparse) | exceptions? | packed low bits |
//! exceptions:  | how many u8 | positions u8 … | excess width u8 | excess bits, rounded up to bytes |
//! ```
//!
//! 1. The width is that of the packed bits; with tANS it is the shift, and four more bits per number come from the
//!    group's tANS stream.
//! 2. An exception's low bits stand with all the others, its excess is or-ed on top.
//! 3. In a sparse vector, positions count only the numbers that are stored.

use super::plan::{Carrier, Fold, Plan, fold_all};
use super::tans;
use crate::bitpack::{Vector, WIDTH_MAX, Words, pack, packed_len, unpack};
use crate::bytes::{Malformed, Reader, put_zigzag};
use crate::lanes::expand;
use crate::{VECTOR_SAMPLES, wide::wide};

const FORM_CONSTANT: u8 = 0;
const FORM_PACKED: u8 = 1;
const FORM_TANS: u8 = 2;
const RUN_SHIFT: u8 = 2;
const RUN_BASE: u8 = 1 << 5;
const SPARSE: u8 = 1 << 2;
const EXCEPTIONS: u8 = 1 << 3;
const FOLD_BASE: u8 = 1 << 4;
const FOLD_ZIGZAG: u8 = 1 << 5;
const HEAD_BITS: u8 = 0x3f;

/// The most vectors of one constant run.
pub(crate) const RUN_MAX: usize = 8;

/// Buffers for one vector.
#[derive(Debug)]
pub(crate) struct VectorScratch {
    numbers: Vector,
    gathered: Vector,
    words: Words,
}

impl Default for VectorScratch {
    fn default() -> Self {
        Self { numbers: [0; VECTOR_SAMPLES], gathered: [0; VECTOR_SAMPLES], words: Words::default() }
    }
}

/// Writes a run of `vectors` vectors whose residuals are all `base`.
pub(crate) fn write_constant_run(vectors: usize, base: i64, out: &mut Vec<u8>) {
    assert!((1..=RUN_MAX).contains(&vectors), "a constant run ends with its group");
    let head = FORM_CONSTANT | ((vectors - 1) as u8) << RUN_SHIFT;
    if base == 0 {
        out.push(head);
    } else {
        out.push(head | RUN_BASE);
        put_zigzag(out, base);
    }
}

/// Writes residuals in the form of `plan`; symbols for the tANS stream are appended to `symbols`.
pub(crate) fn write(
    residuals: &[i64],
    plan: &Plan,
    scratch: &mut VectorScratch,
    symbols: &mut tans::Symbols,
    out: &mut Vec<u8>,
) {
    fold_all(residuals, plan.fold, &mut scratch.numbers);
    out.push(head(plan));
    match plan.carrier {
        Carrier::Packed { width } => out.push(width),
        Carrier::Tans { shift, table } => out.extend_from_slice(&[shift, table]),
    }
    if plan.fold.base != 0 {
        put_zigzag(out, plan.fold.base);
    }
    let mut stored = residuals.len();
    if plan.sparse {
        stored = write_bitmap(&scratch.numbers[..residuals.len()], &mut scratch.gathered, out);
        std::mem::swap(&mut scratch.numbers, &mut scratch.gathered);
    }
    let width = plan.carrier.width();
    if plan.exceptions > 0 {
        write_exceptions(&mut scratch.numbers[..stored], plan, width, out);
    }
    match plan.carrier {
        Carrier::Packed { width } => pack(&scratch.numbers, stored, usize::from(width), &mut scratch.words, out),
        Carrier::Tans { shift, table } => {
            symbols.push(table, &scratch.numbers[..stored], u32::from(shift));
            keep_low_bits(&mut scratch.numbers, u64::MAX.checked_shr(64 - u32::from(shift)).unwrap_or(0));
            pack(&scratch.numbers, stored, usize::from(shift), &mut scratch.words, out);
        }
    }
}

fn head(plan: &Plan) -> u8 {
    let mut head = match plan.carrier {
        Carrier::Packed { .. } => FORM_PACKED,
        Carrier::Tans { .. } => FORM_TANS,
    };
    if plan.sparse {
        head |= SPARSE;
    }
    if plan.exceptions > 0 {
        head |= EXCEPTIONS;
    }
    if plan.fold.base != 0 {
        head |= FOLD_BASE;
    }
    if plan.fold.folded {
        head |= FOLD_ZIGZAG;
    }
    head
}

fn write_bitmap(numbers: &[u64], gathered: &mut Vector, out: &mut Vec<u8>) -> usize {
    let mut bitmap = [0; VECTOR_SAMPLES / 8];
    let stored = gather(numbers, gathered, &mut bitmap);
    out.extend_from_slice(&bitmap[..numbers.len().div_ceil(8)]);
    stored
}

fn write_exceptions(numbers: &mut [u64], plan: &Plan, width: u32, out: &mut Vec<u8>) {
    out.push(plan.exceptions);
    let mut positions = [0; VECTOR_SAMPLES];
    let found = find_wide(numbers, width, &mut positions);
    assert_eq!(found, usize::from(plan.exceptions), "the plan counts the exceptions");
    out.extend_from_slice(&positions[..found]);
    out.push(plan.excess_width);
    let mut bits = 0_u128;
    let mut held = 0;
    for &position in &positions[..found] {
        let number = &mut numbers[usize::from(position)];
        bits |= u128::from(*number >> width) << held;
        held += u32::from(plan.excess_width);
        *number &= (1 << width) - 1;
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits as u8);
    }
}

/// What the head of the next vector says.
pub(crate) enum Next<'a> {
    /// So many vectors of nothing but this residual.
    ConstantRun {
        /// Vectors in the run.
        vectors: usize,
        /// The residual.
        base: i64,
    },
    /// A vector that has to be unpacked.
    Numbers(Stored<'a>),
}

/// A vector whose extent is known and checked, but that is not yet unpacked.
pub(crate) struct Stored<'a> {
    fold: Fold,
    carrier: Carrier,
    stored: usize,
    bitmap: &'a [u8],
    positions: &'a [u8],
    excess_width: u32,
    /// The excess bits, and what follows them: whoever takes some may load a whole word.
    excess: &'a [u8],
    packed: &'a [u8],
}

/// Reads the next vector of `count` numbers up to its end.
pub(crate) fn read<'a>(reader: &mut Reader<'a>, count: usize) -> Result<Next<'a>, Malformed> {
    let head = reader.u8()?;
    let form = head & 3;
    if form == FORM_CONSTANT && head & !HEAD_BITS == 0 {
        let base = if head & RUN_BASE != 0 { reader.zigzag()? } else { 0 };
        let vectors = usize::from(head >> RUN_SHIFT & 7) + 1;
        return Ok(Next::ConstantRun { vectors, base });
    }
    if form > FORM_TANS || head & !HEAD_BITS != 0 || form == FORM_CONSTANT {
        return Err(reader.malformed("vector head"));
    }
    let width = reader.u8()?;
    let carrier = if form == FORM_PACKED {
        Carrier::Packed { width }
    } else {
        Carrier::Tans { shift: width, table: tans::checked_table(reader)? }
    };
    if usize::from(width) > WIDTH_MAX || carrier.width() as usize > WIDTH_MAX {
        return Err(reader.malformed("vector width"));
    }
    let fold = Fold { folded: head & FOLD_ZIGZAG != 0, base: if head & FOLD_BASE != 0 { reader.zigzag()? } else { 0 } };
    let (bitmap, stored) = if head & SPARSE != 0 { read_bitmap(reader, count)? } else { (&[][..], count) };
    let mut vector =
        Stored { fold, carrier, stored, bitmap, positions: &[], excess_width: 0, excess: &[], packed: &[] };
    if head & EXCEPTIONS != 0 {
        vector.read_exceptions(reader)?;
    }
    vector.packed = reader.bytes(packed_len(stored, usize::from(width)))?;
    Ok(Next::Numbers(vector))
}

fn read_bitmap<'a>(reader: &mut Reader<'a>, count: usize) -> Result<(&'a [u8], usize), Malformed> {
    let bitmap = reader.bytes(count.div_ceil(8))?;
    let stored = set_bits(bitmap);
    let unused = bitmap.len() * 8 - count;
    if stored == 0 || bitmap[bitmap.len() - 1].leading_zeros() < unused as u32 {
        return Err(reader.malformed("sparse bitmap"));
    }
    Ok((bitmap, stored))
}

impl<'a> Stored<'a> {
    /// How residuals become of the unpacked numbers.
    pub(crate) const fn fold(&self) -> Fold {
        self.fold
    }

    fn read_exceptions(&mut self, reader: &mut Reader<'a>) -> Result<(), Malformed> {
        let exceptions = usize::from(reader.u8()?);
        self.positions = reader.bytes(exceptions)?;
        self.excess_width = u32::from(reader.u8()?);
        self.excess = reader.rest();
        reader.bytes((exceptions * self.excess_width as usize).div_ceil(8))?;
        let in_range = self.positions.iter().all(|&position| usize::from(position) < self.stored);
        if in_range && self.excess_width + self.carrier.width() <= WIDTH_MAX as u32 && self.excess_width > 0 {
            Ok(())
        } else {
            Err(reader.malformed("vector exceptions"))
        }
    }

    /// Unpacks all numbers; those of a tANS vector take their symbols from `stream`. Returns the buffer they are in,
    /// or nothing if the stream has no such symbols.
    pub(crate) fn unpack<'s>(
        &self,
        count: usize,
        scratch: &'s mut VectorScratch,
        stream: Option<&mut tans::Decoder>,
    ) -> Option<&'s Vector> {
        match self.carrier {
            Carrier::Packed { width } => {
                unpack(self.packed, self.stored, usize::from(width), &mut scratch.words, &mut scratch.numbers);
            }
            Carrier::Tans { shift, table } => {
                unpack(self.packed, self.stored, usize::from(shift), &mut scratch.words, &mut scratch.numbers);
                stream?.read(table, self.stored, u32::from(shift), &mut scratch.numbers)?;
            }
        }
        if !self.positions.is_empty() {
            self.put_excess(&mut scratch.numbers);
        }
        if self.bitmap.is_empty() {
            return Some(&scratch.numbers);
        }
        expand(self.bitmap, count, &scratch.numbers, &mut scratch.gathered);
        Some(&scratch.gathered)
    }

    fn put_excess(&self, numbers: &mut Vector) {
        let (width, excess_width) = (self.carrier.width(), self.excess_width as usize);
        let mask = u64::MAX >> (64 - excess_width);
        let mut bit = 0;
        for &position in self.positions {
            let excess = look(self.excess, bit, excess_width) & mask;
            numbers[usize::from(position)] |= excess << width;
            bit += excess_width;
        }
    }
}

/// At least `width` bits from `bit` on; bytes behind the last one count as zero.
#[inline(always)]
fn look(bytes: &[u8], bit: usize, width: usize) -> u64 {
    let rest = &bytes[bit / 8..];
    if let (Some(word), 0..=56) = (rest.first_chunk(), width) {
        return u64::from_le_bytes(*word) >> (bit % 8);
    }
    let mut padded = [0; 16];
    let len = rest.len().min(padded.len());
    padded[..len].copy_from_slice(&rest[..len]);
    (u128::from_le_bytes(padded) >> (bit % 8)) as u64
}

wide! {
    // Every number is written to the next slot, and only what is not zero moves the slot on: which it is cannot be
    // predicted. A sparse vector has a zero, so the slot stays below the last one.
    fn gather(numbers: &[u64], gathered: &mut Vector, bitmap: &mut [u8; VECTOR_SAMPLES / 8]) -> usize {
        let mut stored = 0;
        for (chunk, bits) in numbers.chunks(8).zip(bitmap) {
            for (bit, &number) in chunk.iter().enumerate() {
                *bits |= u8::from(number != 0) << bit;
                gathered[stored % VECTOR_SAMPLES] = number;
                stored += usize::from(number != 0);
            }
        }
        stored
    }

    // The positions of numbers wider than the carrier, in the same way.
    fn find_wide(numbers: &[u64], width: u32, positions: &mut [u8; VECTOR_SAMPLES]) -> usize {
        let mut found = 0;
        for (position, &number) in numbers.iter().enumerate() {
            positions[found % VECTOR_SAMPLES] = position as u8;
            found += usize::from(number >> width != 0);
        }
        found
    }

    fn set_bits(bitmap: &[u8]) -> usize {
        bitmap.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    fn keep_low_bits(numbers: &mut Vector, mask: u64) {
        for number in numbers {
            *number &= mask;
        }
    }
}
