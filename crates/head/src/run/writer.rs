//! Writes a run, slot by slot in ascending order.

use super::{
    GROUP_BITS, GROUP_SLOTS, Group, NO_PAGE, PAGE_BITS, PAGE_GROUPS, Run, RunMeta,
    times::TimeColumnsWriter,
    values::{PADDING, ValueWriter},
};
use crate::tail::Tail;

/// What an entry is expected to take, so that the bytes are rarely moved while they grow.
const ENTRY_BYTES_EXPECTED: usize = 7;

#[derive(Debug)]
pub(crate) struct RunWriter {
    pages: Vec<u32>,
    groups: Vec<Group>,
    bytes: Vec<u8>,
    times: TimeColumnsWriter,
    values: ValueWriter,
    rows: usize,
    slots: usize,
    meta: RunMeta,
    /// The slot that comes next at the earliest.
    next: u32,
    /// The time column of the entry before.
    column: Option<u32>,
}

impl RunWriter {
    /// For about `slots` slots.
    pub(crate) fn new(meta: RunMeta, slots: usize) -> Self {
        Self {
            pages: Vec::new(),
            groups: Vec::new(),
            bytes: Vec::with_capacity(slots * ENTRY_BYTES_EXPECTED),
            times: TimeColumnsWriter::new(meta.times),
            values: ValueWriter::default(),
            rows: 0,
            slots: 0,
            meta,
            next: 0,
            column: None,
        }
    }

    /// Adds the rows of a slot.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, times: &[i64], values: &[f64]) {
        assert!(slot >= self.next && times.len() == values.len(), "BUG: slots out of order or uneven columns");
        self.next = slot + 1;
        let starts_group = self.enter(slot);
        let column = self.times.number(times, self.column);
        let written = (starts_group || self.column != Some(column)).then_some(column);
        self.column = Some(column);
        self.values.write(values, written, &mut self.bytes);
        self.rows += times.len();
        self.slots += 1;
    }

    /// Marks the slot as present; returns whether it is the first of its group.
    #[inline]
    fn enter(&mut self, slot: u32) -> bool {
        let group = (slot >> GROUP_BITS) as usize;
        let page = group >> PAGE_BITS;
        if self.pages.len() <= page {
            self.pages.resize(page, NO_PAGE);
            self.pages.push((self.groups.len() >> PAGE_BITS) as u32);
            self.groups.resize(self.groups.len() + PAGE_GROUPS, Group::default());
        }
        // Slots ascend, so the page is the newest.
        let first = self.groups.len() - PAGE_GROUPS;
        let group = &mut self.groups[first + (group & (PAGE_GROUPS - 1))];
        let starts = group.present == 0;
        if starts {
            let start = u32::try_from(self.bytes.len()).expect("BUG: a run beyond 4 GiB");
            (group.start_low, group.start_high) = (start as u16, (start >> 16) as u16);
        }
        group.present |= 1 << (slot % GROUP_SLOTS);
        starts
    }

    pub(crate) fn finish(mut self) -> Run {
        self.bytes.extend([0; PADDING]);
        self.bytes.shrink_to_fit();
        self.groups.shrink_to_fit();
        Run {
            pages: self.pages,
            groups: self.groups,
            bytes: self.bytes,
            times: self.times.finish(),
            rows: self.rows,
            slots: self.slots,
            meta: self.meta,
        }
    }

    /// Seals a tail that is not written any more.
    pub(crate) fn seal(tail: &Tail, cut: u32) -> Run {
        let meta = RunMeta { times: tail.time_range(), seqs: tail.seq_range(), cut };
        let mut writer = Self::new(meta, tail.slot_count());
        tail.for_each(tail.len(), |slot, rows| writer.push(slot, &rows.times, &rows.values));
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use model::{Columns, TimeRange};

    use super::*;
    use crate::SeqRange;

    const META: RunMeta = RunMeta { times: TimeRange { min: 0, max: 1000 }, seqs: SeqRange { min: 1, max: 2 }, cut: 0 };

    #[test]
    fn every_slot_is_found_and_no_other() {
        let slots = [0, 1, 15, 16, 17, 4095, 4096, 70_000, 1 << 25];
        let mut writer = RunWriter::new(META, slots.len());
        for slot in slots {
            let times: Vec<i64> = (0..=i64::from(slot % 5)).collect();
            let values: Vec<f64> = times.iter().map(|time| f64::from(slot) + *time as f64 * 0.5).collect();
            writer.push(slot, &times, &values);
        }
        let run = writer.finish();
        assert_eq!(run.slots().collect::<Vec<_>>(), slots);
        assert_eq!((run.slot_count(), run.meta()), (slots.len(), META));
        let mut visited = Vec::new();
        run.for_each(|slot, rows| {
            let mut alone = Columns::new();
            assert!(run.read(slot, &mut alone) && alone == *rows && run.has(slot));
            assert_eq!(rows.len(), slot as usize % 5 + 1);
            assert_eq!(rows.values[0], f64::from(slot));
            visited.push(slot);
        });
        assert_eq!(visited, slots);
        for missing in [2, 14, 18, 4094, 4097, 8192, 69_999, (1 << 25) + 1, u32::MAX] {
            assert!(!run.has(missing) && !run.read(missing, &mut Columns::new()), "slot {missing}");
            run.prefetch_group(missing);
            run.prefetch_entry(missing);
        }
    }

    #[test]
    fn a_shared_time_column_costs_its_group_three_bytes() {
        let bytes_with = |slots: u32| {
            let mut writer = RunWriter::new(META, 0);
            (0..slots).for_each(|slot| writer.push(slot, &[5, 20], &[0.0, 0.0]));
            let run = writer.finish();
            assert_eq!(run.time_columns(), 1);
            run.bytes.len() - PADDING
        };
        assert_eq!(bytes_with(16), 16 + 3);
        assert_eq!(bytes_with(32), 2 * (16 + 3));
    }
}
