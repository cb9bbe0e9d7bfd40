//! Patches: the values that a block's mantissas cannot stand for, as runs of equal bits.
//!
//! ```text
//! | runs varint |  then for each run:  | gap since the run before varint | (length - 1) · 8 + class varint | 8 bytes (raw) |
//! class: 0 raw bits, 1 stale marker, 2 the NaN of Prometheus, 3 the default NaN, 4 -0, 5 +Inf, 6 -Inf
//! ```
//!
//! A stale marker at the end of a series costs three bytes, and a quantile that was NaN for hours as many.

use std::ops::Range;

use crate::bytes::{Malformed, Reader, put_varint};

const CLASS_RAW: u64 = 0;
const CLASS_BITS: u32 = 3;
/// The bit patterns of classes 1 to 6.
const CLASSES: [u64; 6] = [
    crate::STALE_NAN_BITS,
    0x7ff8_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
];

/// Appends the values at the positions in `odd`, which ascend.
pub(crate) fn write(values: &[f64], odd: &[u16], out: &mut Vec<u8>) {
    let same_run = |left: &u16, right: &u16| {
        *right == *left + 1 && values[usize::from(*left)].to_bits() == values[usize::from(*right)].to_bits()
    };
    put_varint(out, odd.chunk_by(same_run).count() as u64);
    let mut end = 0;
    for run in odd.chunk_by(same_run) {
        let start = usize::from(run[0]);
        let bits = values[start].to_bits();
        let class = CLASSES.iter().position(|&class| class == bits).map_or(CLASS_RAW, |index| index as u64 + 1);
        put_varint(out, (start - end) as u64);
        put_varint(out, (run.len() as u64 - 1) << CLASS_BITS | class);
        if class == CLASS_RAW {
            out.extend_from_slice(&bits.to_le_bytes());
        }
        end = start + run.len();
    }
}

/// Where a block's patches are, checked.
#[derive(Debug, Clone)]
pub(crate) struct Patches<'a> {
    runs: u64,
    reader: Reader<'a>,
}

impl<'a> Patches<'a> {
    /// No patches.
    pub(crate) const fn none() -> Self {
        Self { runs: 0, reader: Reader::new(&[]) }
    }

    /// Takes the patches of a block of `count` values.
    pub(crate) fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, Malformed> {
        let runs = reader.varint_max(count as u64, "number of patches")?;
        let patches = Self { runs, reader: reader.clone() };
        let mut end = 0;
        for _ in 0..runs {
            let (run, _) = next_run(reader, end, count)?;
            end = run.end;
        }
        Ok(patches)
    }

    /// Puts the patches inside `range` of the block into its values.
    pub(crate) fn apply(&self, range: &Range<usize>, values: &mut [f64]) -> Result<(), Malformed> {
        let mut reader = self.reader.clone();
        let mut end = 0;
        for _ in 0..self.runs {
            let (run, bits) = next_run(&mut reader, end, range.end.max(crate::MAX_BLOCK_SAMPLES))?;
            end = run.end;
            let part = run.start.max(range.start)..run.end.min(range.end);
            if !part.is_empty() {
                values[part.start - range.start..part.end - range.start].fill(f64::from_bits(bits));
            }
        }
        Ok(())
    }
}

fn next_run(reader: &mut Reader<'_>, end: usize, count: usize) -> Result<(Range<usize>, u64), Malformed> {
    let start = end as u64 + reader.varint_max(count as u64, "gap between patches")?;
    let coded = reader.varint_max((count as u64) << CLASS_BITS, "length of a patch")?;
    let run_end = start + (coded >> CLASS_BITS) + 1;
    let class = coded & ((1 << CLASS_BITS) - 1);
    if run_end > count as u64 || class > CLASSES.len() as u64 {
        return Err(reader.malformed("patch"));
    }
    let bits = if class == CLASS_RAW { reader.u64()? } else { CLASSES[class as usize - 1] };
    Ok((start as usize..run_end as usize, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_round_trip_and_are_small() {
        let mut values = vec![1.0; 300];
        values[10..200].fill(f64::from_bits(crate::STALE_NAN_BITS));
        values[200] = -0.0;
        values[250..252].fill(f64::from_bits(0x7ff8_dead_beef_0001));
        let odd: Vec<u16> = (0..300).filter(|&i| values[usize::from(i)].to_bits() != 1_f64.to_bits()).collect();
        let mut bytes = Vec::new();
        write(&values, &odd, &mut bytes);
        assert_eq!(bytes.len(), 1 + 3 + 2 + 2 + 8);
        let mut reader = Reader::new(&bytes);
        let patches = Patches::read(&mut reader, 300).unwrap();
        assert!(reader.is_empty());
        for range in [0..300, 5..205, 199..251, 260..300] {
            let mut back = vec![1.0; range.len()];
            patches.apply(&range, &mut back).unwrap();
            for (left, right) in back.iter().zip(&values[range]) {
                assert_eq!(left.to_bits(), right.to_bits());
            }
        }
        assert!(Patches::read(&mut Reader::new(&bytes), 251).is_err());
    }
}
