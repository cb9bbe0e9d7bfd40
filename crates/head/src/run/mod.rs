//! Runs: sealed samples in memory, a few bytes each, read by slot in constant time.
//!
//! 1. Entries, one for each slot with rows, stand in ascending order of slots in one stretch of bytes. An entry is a head byte, the number of
//!    its time column (3 bytes, left out when the entry before in the same group has the same), and its values (see [`values`]).
//! 2. Sixteen slots are a group: 6 bytes say which of them have an entry and where the first stands. The entries before the wanted one are
//!    stepped over: their length follows from their head.
//! 3. 256 groups are a page. Pages without entries do not exist, so a run over few of many slots is small.
//! 4. Time columns are shared by content (see [`times`]).
//!
//! A run never changes. It knows the range of its times and of the sequence numbers of its rows.

mod join;
mod times;
mod values;
mod writer;

use model::{Columns, TimeRange};

use crate::{SeqRange, prefetch::prefetch};

pub(crate) use join::{can_join, join};
pub(crate) use writer::RunWriter;

/// Bytes of the number of a time column.
const COLUMN_BYTES: usize = 3;
const GROUP_BITS: u32 = 4;
const GROUP_SLOTS: u32 = 1 << GROUP_BITS;
const PAGE_BITS: u32 = 8;
const PAGE_GROUPS: usize = 1 << PAGE_BITS;
/// A page that does not exist.
const NO_PAGE: u32 = u32::MAX;

/// Rows of many slots, sealed.
#[derive(Debug)]
pub(crate) struct Run {
    /// By `slot >> (GROUP_BITS + PAGE_BITS)`: the number of its page.
    pages: Vec<u32>,
    groups: Vec<Group>,
    /// The entries, and [`values::PADDING`] zero bytes.
    bytes: Vec<u8>,
    times: times::TimeColumns,
    rows: usize,
    slots: usize,
    meta: RunMeta,
}

/// What is known of all rows of a run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunMeta {
    pub(crate) times: TimeRange,
    pub(crate) seqs: SeqRange,
    /// How many cuts were made before the first row; runs are joined only with equals.
    pub(crate) cut: u32,
}

/// Sixteen slots side by side: where the entries start and which slots have one.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    start_low: u16,
    start_high: u16,
    present: u16,
}

impl Group {
    #[inline]
    fn start(self) -> usize {
        (u32::from(self.start_high) << 16 | u32::from(self.start_low)) as usize
    }
}

impl Run {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// How many slots have rows.
    pub(crate) fn slot_count(&self) -> usize {
        self.slots
    }

    pub(crate) fn meta(&self) -> RunMeta {
        self.meta
    }

    /// How many different time columns there are.
    #[cfg(test)]
    pub(crate) fn time_columns(&self) -> usize {
        self.times.count()
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> usize {
        let directory = self.pages.capacity() * 4 + self.groups.capacity() * size_of::<Group>();
        directory + self.bytes.capacity() + self.times.bytes() + size_of::<Self>()
    }

    #[inline]
    fn group_of(&self, slot: u32) -> Option<&Group> {
        let group = (slot >> GROUP_BITS) as usize;
        Some(&self.page(group >> PAGE_BITS)?[group & (PAGE_GROUPS - 1)])
    }

    /// The groups of a page, if it exists.
    #[inline]
    fn page(&self, number: usize) -> Option<&[Group]> {
        let page = *self.pages.get(number)?;
        (page != NO_PAGE).then(|| &self.groups[(page as usize) << PAGE_BITS..][..PAGE_GROUPS])
    }

    /// Whether the slot has rows.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.group_of(slot).is_some_and(|group| group.present >> (slot % GROUP_SLOTS) & 1 == 1)
    }

    /// Asks for the memory in which [`Run::prefetch_entry`] will look.
    #[inline]
    pub(crate) fn prefetch_group(&self, slot: u32) {
        if let Some(group) = self.group_of(slot) {
            prefetch(group);
        }
    }

    /// Asks for the memory in which the slot's entry stands.
    #[inline]
    pub(crate) fn prefetch_entry(&self, slot: u32) {
        if let Some(group) = self.group_of(slot) {
            prefetch(&self.bytes[group.start()]);
            if let Some(next) = self.bytes.get(group.start() + 64) {
                prefetch(next);
            }
        }
    }

    /// Adds the slot's rows to `out`, in order of arrival. Returns whether there are any.
    pub(crate) fn read(&self, slot: u32, out: &mut Columns) -> bool {
        let Some(group) = self.group_of(slot) else { return false };
        let place = slot % GROUP_SLOTS;
        if group.present >> place & 1 == 0 {
            return false;
        }
        let before = (group.present & ((1 << place) - 1)).count_ones();
        let mut entries = Entries::new(self, *group);
        for _ in 0..before {
            entries.skip();
        }
        entries.read(out);
        true
    }

    /// The groups that exist, ascending: first slot, presence bits, and a reader at the first entry.
    fn groups(&self) -> impl Iterator<Item = (u32, u16, Entries<'_>)> {
        let existing = (0..self.pages.len()).filter_map(|number| Some((number, self.page(number)?)));
        existing.flat_map(move |(number, groups)| {
            groups.iter().enumerate().filter(|(_, group)| group.present != 0).map(move |(i, group)| {
                let first = ((number << PAGE_BITS | i) as u32) << GROUP_BITS;
                (first, group.present, Entries::new(self, *group))
            })
        })
    }

    /// The slots that have rows, ascending.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.groups().flat_map(|(first, present, _)| bits(present).map(move |place| first + place))
    }

    /// Goes through all slots in ascending order; `visit` gets the rows of each.
    #[cfg(test)]
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u32, &Columns)) {
        let mut rows = Columns::new();
        for (first, present, mut entries) in self.groups() {
            for place in bits(present) {
                rows.clear();
                entries.read(&mut rows);
                visit(first + place, &rows);
            }
        }
    }
}

/// The places of the set bits, ascending.
#[inline]
fn bits(mut present: u16) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let place = present.trailing_zeros();
        (present != 0).then(|| {
            present &= present - 1;
            place
        })
    })
}

/// Reads the entries of a group one after another.
#[derive(Debug, Clone, Copy)]
struct Entries<'a> {
    run: &'a Run,
    at: usize,
    column: u32,
}

impl<'a> Entries<'a> {
    #[inline]
    fn new(run: &'a Run, group: Group) -> Self {
        Self { run, at: group.start(), column: 0 }
    }

    /// Reads the head byte and, if it stands there, the number of the time column.
    #[inline]
    fn head(&mut self) -> u8 {
        let head = self.run.bytes[self.at];
        self.at += 1;
        if head & values::HEAD_TIMES != 0 {
            let column = &self.run.bytes[self.at..self.at + COLUMN_BYTES];
            self.column = u32::from_le_bytes([column[0], column[1], column[2], 0]);
            self.at += COLUMN_BYTES;
        }
        head
    }

    #[inline]
    fn skip(&mut self) {
        let head = self.head();
        self.at = values::skip(&self.run.bytes, head, self.at, self.run.times.len(self.column));
    }

    #[inline]
    fn read(&mut self, out: &mut Columns) {
        let head = self.head();
        self.run.times.read(self.column, &mut out.times);
        let count = self.run.times.len(self.column);
        self.at = values::read(&self.run.bytes, head, self.at, count, &mut out.values);
    }
}

const _: () = assert!(GROUP_SLOTS == u16::BITS && size_of::<Group>() == 6);
