//! What is known of a part without reading it.

use codec::bytes::{Malformed, Reader, put_varint, put_zigzag};
use model::TimeRange;

/// How much work went into a part's columns. The number is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Effort {
    /// Written by a flush: packed.
    Flush = 0,
    /// Written by a merge: also entropy coded.
    Merge = 1,
    /// The dense final form of a cold partition.
    Cold = 2,
}

impl Effort {
    /// The effort with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Flush, Self::Merge, Self::Cold].get(usize::from(number)).copied()
    }

    /// What the codec is told.
    pub fn codec(self) -> codec::values::Effort {
        match self {
            Self::Flush => codec::values::Effort::Flush,
            Self::Merge => codec::values::Effort::Merge,
            Self::Cold => codec::values::Effort::Cold,
        }
    }
}

/// The description of a part; stands in its index file's footer and in the store's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMeta {
    /// The part's number, never used twice in one data folder.
    pub id: u64,
    /// From the first to the last sample.
    pub range: TimeRange,
    /// Samples inside.
    pub samples: u64,
    /// Series inside.
    pub series: u32,
    /// The samples arrived between these sequence numbers.
    pub seq_min: u64,
    /// See `seq_min`.
    pub seq_max: u64,
    /// Tombstones up to this sequence number were applied when the part was written; those above hide rows if they are above `seq_max`, too.
    pub tombstones_applied: u64,
    /// Length of the columns file.
    pub columns_bytes: u64,
    /// Length of the index file.
    pub index_bytes: u64,
    /// How densely it is written.
    pub effort: Effort,
    /// The dedup interval that was applied to all of it, 0 for none.
    pub dedup_interval_ms: i64,
}

impl PartMeta {
    /// Appends the description.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.id);
        put_zigzag(out, self.range.min);
        put_zigzag(out, self.range.max);
        put_varint(out, self.samples);
        put_varint(out, u64::from(self.series));
        put_varint(out, self.seq_min);
        put_varint(out, self.seq_max);
        put_varint(out, self.tombstones_applied);
        put_varint(out, self.columns_bytes);
        put_varint(out, self.index_bytes);
        out.push(self.effort as u8);
        put_zigzag(out, self.dedup_interval_ms);
    }

    /// Reads what [`PartMeta::write`] wrote.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let id = reader.varint()?;
        let range = TimeRange::new(reader.zigzag()?, reader.zigzag()?);
        let samples = reader.varint()?;
        let series = reader.varint()?;
        let (seq_min, seq_max) = (reader.varint()?, reader.varint()?);
        let tombstones_applied = reader.varint()?;
        let (columns_bytes, index_bytes) = (reader.varint()?, reader.varint()?);
        let effort = reader.u8()?;
        let dedup_interval_ms = reader.zigzag()?;
        let wrong = |what| Malformed { what, offset: reader.position() };
        Ok(Self {
            id,
            range,
            samples,
            series: u32::try_from(series).map_err(|_| wrong("too many series"))?,
            seq_min,
            seq_max,
            tombstones_applied,
            columns_bytes,
            index_bytes,
            effort: Effort::from_number(effort).ok_or_else(|| wrong("unknown effort"))?,
            dedup_interval_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back() {
        let meta = PartMeta {
            id: 77,
            range: TimeRange::new(-5, i64::MAX),
            samples: 1 << 40,
            series: u32::MAX,
            seq_min: 3,
            seq_max: u64::MAX,
            tombstones_applied: 9,
            columns_bytes: 16,
            index_bytes: 99,
            effort: Effort::Cold,
            dedup_interval_ms: 15_000,
        };
        let mut bytes = Vec::new();
        meta.write(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(PartMeta::read(&mut reader), Ok(meta));
        assert!(reader.is_empty());
    }
}
