//! Samples → records in a segment's buffer.
//!
//! 1. Samples are encoded without a lock, each against the base value that its slot has in the segment.
//! 2. If slots are not defined there yet, their definitions are made first, also without a lock. Under the buffer's
//!    lock it is looked at again whether somebody else defined one of them meanwhile (then the batch is made again
//!    without those), the record is appended, and the slots count as defined.
//! 3. So in the file a definition precedes every sample that needs it, whichever thread logs it: what is durable up to
//!    some offset can be decoded.

use crate::KEY_BYTES_MAX;
use crate::error::{Result, WalError};
use crate::format::definitions::DefinitionsEncoder;
use crate::format::encode::{FloatsEncoder, SAMPLES_PER_RECORD_MAX};
use crate::format::{Frame, Kind};
use crate::pool::Pool;
use crate::segment::{Refused, Segment};
use crate::slots::{SLOTS_MAX, SlotStates};
use crate::stats::Counters;

/// Samples as three columns of equal length.
#[derive(Clone, Copy)]
pub(crate) struct Samples<'a> {
    pub slots: &'a [u32],
    pub times: &'a [i64],
    pub values: &'a [f64],
}

impl<'a> Samples<'a> {
    /// The samples cut into what one record takes.
    fn records(self) -> impl Iterator<Item = Samples<'a>> {
        let chunk = SAMPLES_PER_RECORD_MAX;
        let columns = self.slots.chunks(chunk).zip(self.times.chunks(chunk)).zip(self.values.chunks(chunk));
        columns.map(|((slots, times), values)| Samples { slots, times, values })
    }
}

/// Appends the canonical key of a slot's series to an empty buffer.
pub(crate) type KeyOf<'a> = dyn FnMut(u32, &mut Vec<u8>) + 'a;

/// Makes the records of samples, and keeps what they need: the state of the slots, and encoders.
pub(crate) struct SampleRecords {
    pub slots: SlotStates,
    floats: Pool<FloatsEncoder>,
    definitions: Pool<DefinitionsEncoder>,
}

/// Appends a record to `segment`; says where it ends.
pub(crate) fn push(segment: &Segment, frame: Frame, payload: &[u8], counters: &Counters) -> Result<u64, Refused> {
    let end = segment.lock()?.push(frame, payload);
    Counters::add(&counters.records, 1);
    Ok(end)
}

impl SampleRecords {
    pub(crate) fn new() -> Self {
        Self {
            slots: SlotStates::new(),
            floats: Pool::new(FloatsEncoder::default),
            definitions: Pool::new(DefinitionsEncoder::new),
        }
    }

    /// Appends all samples to `segment`, and before them the definitions that it lacks; says where they end.
    pub(crate) fn append(
        &self,
        segment: &Segment,
        samples: Samples<'_>,
        key_of: &mut KeyOf<'_>,
        counters: &Counters,
    ) -> Result<u64, Refused> {
        let mut end = 0;
        for record in samples.records() {
            end = self.append_record(segment, record, key_of, counters)?;
        }
        Ok(end)
    }

    fn append_record(
        &self,
        segment: &Segment,
        samples: Samples<'_>,
        key_of: &mut KeyOf<'_>,
        counters: &Counters,
    ) -> Result<u64, Refused> {
        self.floats.with(|encoder| {
            loop {
                let bases = self.slots.bases(segment.generation);
                if let Some(payload) = encoder.encode(samples.slots, samples.times, samples.values, bases) {
                    return push(segment, Frame::of(Kind::Floats, payload), payload, counters);
                }
                self.define(segment, samples, key_of, counters)?;
            }
        })
    }

    /// Defines the slots of `samples` that `segment` does not define yet; the first value of each is its base.
    fn define(
        &self,
        segment: &Segment,
        samples: Samples<'_>,
        key_of: &mut KeyOf<'_>,
        counters: &Counters,
    ) -> Result<(), Refused> {
        let missing = self.missing(segment, samples)?;
        let mut left = &missing[..];
        self.definitions.with(|batch| {
            while !left.is_empty() {
                let taken = self.fill(batch, segment, left, key_of)?;
                // Every failed attempt means that somebody defined one of these, so there are not many.
                if self.push_definitions(segment, batch, counters)? {
                    left = &left[taken..];
                }
            }
            Ok(())
        })
    }

    /// Fills the batch from `missing` with what is still undefined; says how many it went through.
    fn fill(
        &self,
        batch: &mut DefinitionsEncoder,
        segment: &Segment,
        missing: &[(u32, u64)],
        key_of: &mut KeyOf<'_>,
    ) -> Result<usize> {
        batch.clear();
        let mut key = Vec::new();
        for (taken, (slot, base)) in missing.iter().enumerate() {
            if batch.is_full() {
                return Ok(taken);
            }
            if self.slots.is_defined(*slot, segment.generation) {
                continue;
            }
            key.clear();
            key_of(*slot, &mut key);
            if key.len() > KEY_BYTES_MAX {
                return Err(WalError::TooLong { what: "a series key", bytes: key.len(), limit: KEY_BYTES_MAX });
            }
            batch.push(*slot, *base, &key);
        }
        Ok(missing.len())
    }

    /// Appends a batch of definitions, unless one of its slots was defined meanwhile; says whether it did.
    fn push_definitions(
        &self,
        segment: &Segment,
        batch: &mut DefinitionsEncoder,
        counters: &Counters,
    ) -> Result<bool, Refused> {
        if batch.is_empty() {
            return Ok(true);
        }
        batch.finish();
        let frame = Frame::of(Kind::Definitions, batch.payload());
        let mut appender = segment.lock()?;
        if batch.pairs().any(|(slot, _)| self.slots.is_defined(slot, segment.generation)) {
            return Ok(false);
        }
        appender.push(frame, batch.payload());
        batch.pairs().for_each(|(slot, base)| self.slots.define(slot, segment.generation, base));
        drop(appender);
        Counters::add(&counters.records, 1);
        Counters::add(&counters.definitions, batch.pairs().count() as u64);
        Ok(true)
    }

    /// Slots that `segment` lacks, each once with the bits of its first value, in the order of the samples.
    fn missing(&self, segment: &Segment, samples: Samples<'_>) -> Result<Vec<(u32, u64)>> {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for (at, &slot) in samples.slots.iter().enumerate() {
            if slot >= SLOTS_MAX {
                return Err(WalError::SlotTooHigh(slot));
            }
            if !self.slots.is_defined(slot, segment.generation) && found.last().is_none_or(|last| last.0 != slot) {
                found.push((slot, at as u32));
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|(slot, _)| *slot);
        found.sort_unstable_by_key(|(_, at)| *at);
        Ok(found.into_iter().map(|(slot, at)| (slot, samples.values[at as usize].to_bits())).collect())
    }
}
