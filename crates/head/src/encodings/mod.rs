//! Encodings: what the raw label bytes of a row mean, without parsing them.
//!
//! 1. A row's label bytes are hashed with a key ([`hash`]); rows are taken in groups of [`GROUP`], so that hashes, table lines and entries of a
//!    group are under way at the same time.
//! 2. Senders repeat series in the same order, so the entry that followed the row before last time is compared first, then the one behind it (a
//!    row was left out). After two rows in a row that were not guessed, the rest of the group is looked up.
//! 3. The lookup asks for the table lines of all such rows, then for the entries that they name, then compares ([`table`]), then for the slots.
//! 4. What is not found goes the slow way, outside of here and of any lock; its outcome is remembered afterwards, also "drop" and "refused".
//! 5. Entries that nobody used for [`AGES_KEPT`] ages go, and so do those whose slot was freed. There is a limit; at it an old entry makes room.
//!
//! A hit takes one read lock for the whole batch and allocates nothing.

mod entries;
mod hash;
mod meaning;
mod table;

use model::Tenant;
use parking_lot::RwLock;
use storage_api::EncodedSeries;

use self::{
    entries::{AGES, ENTRIES_MAX, Entries, NO_ENTRY},
    hash::{BatchHasher, RowHash, Secrets},
    meaning::Meaning,
    table::{Home, Table},
};
use crate::slots::Slots;

pub use meaning::ResolvedRow;

/// Rows that are looked up together.
const GROUP: usize = 32;
/// Guesses that may fail one after another before the rest of a group is looked up.
const MISSED_GUESSES_MAX: usize = 2;
/// An entry with a number so near is in the same cache lines, or in the next.
const NEAR: u32 = 4;
/// An entry that was not used for more ages is forgotten.
const AGES_KEPT: u32 = 4;
/// Entries that are looked at under one write lock when old ones are forgotten.
const SWEEP_STEP: usize = 16 << 10;
/// Entries that are looked at for one that makes room.
const HAND_STEPS_MAX: usize = 64;

/// What raw label bytes mean.
#[derive(Debug)]
pub(crate) struct Encodings {
    secrets: Secrets,
    entries_max: usize,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    entries: Entries,
    table: Table,
    /// Where the search for an entry that makes room goes on.
    hand: u32,
}

/// A row whose encoding is not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missed {
    /// Number of the row in its batch.
    pub(crate) row: u32,
    hash: RowHash,
}

/// Results of one batch, and its buffers.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// What is known of each row; of a missed one this is a placeholder.
    pub(crate) rows: Vec<ResolvedRow>,
    /// The rows that are not known, ascending.
    pub(crate) missed: Vec<Missed>,
    /// The entry of each row, or [`NO_ENTRY`].
    entries: Vec<u32>,
}

impl Encodings {
    /// Remembers up to `entries_max` encodings.
    pub(crate) fn new(key: &[u8; 32], entries_max: usize) -> Self {
        let inner = Inner { entries: Entries::default(), table: Table::new(), hand: 0 };
        Self { secrets: Secrets::new(key), entries_max: entries_max.clamp(1, ENTRIES_MAX), inner: RwLock::new(inner) }
    }

    /// The hasher for the rows of one batch.
    pub(crate) fn hasher(&self, tenant: Tenant, generation: u32, scope: &[u8]) -> BatchHasher<'_> {
        self.secrets.batch(tenant, generation, scope)
    }

    /// Looks all rows up, and marks the slots that are found as written. A row whose slot is freed counts as missed.
    pub(crate) fn look_up(
        &self,
        hasher: BatchHasher<'_>,
        bytes: &[u8],
        series: &[EncodedSeries],
        epoch: u32,
        slots: &Slots,
        lookup: &mut Lookup,
    ) {
        lookup.rows.clear();
        lookup.missed.clear();
        lookup.entries.clear();
        lookup.rows.resize(series.len(), ResolvedRow::Drop);
        lookup.entries.resize(series.len(), NO_ENTRY);
        let inner = self.inner.read();
        let mut pass = Pass { inner: &inner, epoch, age: epoch % AGES, slots, lookup, guess: NO_ENTRY };
        for (number, group) in series.chunks(GROUP).enumerate() {
            let mut hashes = [RowHash(0); GROUP];
            for (hash, row) in hashes.iter_mut().zip(group) {
                *hash = hasher.hash(&bytes[row.labels_start as usize..][..row.labels_len as usize]);
            }
            pass.group(number * GROUP, &hashes[..group.len()]);
        }
        // A row that was guessed and whose slot is freed is noticed before the ones that were looked up.
        lookup.missed.sort_by_key(|missed| missed.row);
    }

    /// Remembers what missed rows turned out to mean; `rows` of the lookup already says it. Those for which `keep` is false are left out.
    pub(crate) fn remember(&self, lookup: &mut Lookup, epoch: u32, keep: impl Fn(u32) -> bool) {
        if lookup.missed.is_empty() {
            return;
        }
        let age = epoch % AGES;
        let mut inner = self.inner.write();
        for missed in &lookup.missed {
            if keep(missed.row) {
                let row = missed.row as usize;
                lookup.entries[row] = inner.remember(missed.hash, lookup.rows[row].into(), age, self.entries_max);
            }
        }
        for missed in &lookup.missed {
            let row = missed.row as usize;
            link(&inner.entries, &lookup.entries[row.saturating_sub(1)..lookup.entries.len().min(row + 2)]);
        }
    }

    /// Forgets entries that were not used for long, and all whose slot `is_freed`. Locks in short steps.
    pub(crate) fn sweep(&self, epoch: u32, is_freed: impl Fn(u32) -> bool) {
        let age = epoch % AGES;
        let mut start = 0;
        loop {
            let mut inner = self.inner.write();
            let len = inner.entries.len();
            let end = len.min(start + SWEEP_STEP);
            for number in start..end {
                let entry = inner.entries.get(number as u32).expect("BUG: an entry below the end is missing");
                let goes = entry.idle(age) > AGES_KEPT || entry.meaning().slot().is_some_and(&is_freed);
                if !entry.is_free() && goes {
                    inner.forget(number as u32);
                }
            }
            if end == len {
                inner.entries.sort_free();
                return;
            }
            start = end;
        }
    }

    /// How many encodings are remembered.
    pub(crate) fn len(&self) -> usize {
        self.inner.read().entries.used()
    }

    /// Memory taken.
    pub(crate) fn bytes(&self) -> usize {
        let inner = self.inner.read();
        inner.entries.bytes() + inner.table.bytes()
    }
}

impl Inner {
    fn remember(&mut self, hash: RowHash, meaning: Meaning, age: u32, entries_max: usize) -> u32 {
        let (entries, table) = (&self.entries, &self.table);
        let known = table.candidates(table.home(hash)).find(|number| is_entry_of(entries, *number, hash).is_some());
        // Another thread was faster, or the slot that it meant was freed.
        if let Some(number) = known {
            self.entries.renew(number, meaning, age);
            return number;
        }
        if self.entries.used() >= entries_max {
            self.make_room(age);
        }
        let number = self.entries.add(hash, meaning, age);
        let entries = &self.entries;
        self.table.insert(hash, number, |number| entries.get(number).expect("BUG: a number without its entry").hash());
        number
    }

    /// Forgets an entry: the first that was not used in this age, or any.
    fn make_room(&mut self, age: u32) {
        let len = self.entries.len() as u32;
        let mut victim = None;
        for _ in 0..HAND_STEPS_MAX.max(1) {
            self.hand = (self.hand + 1) % len;
            let entry = self.entries.get(self.hand).filter(|entry| !entry.is_free());
            if let Some(entry) = entry {
                victim = Some(self.hand);
                if entry.idle(age) > 0 {
                    break;
                }
            }
        }
        if let Some(victim) = victim {
            self.forget(victim);
        }
    }

    fn forget(&mut self, number: u32) {
        let hash = self.entries.get(number).expect("BUG: an unknown entry is forgotten").hash();
        let removed = self.table.remove(hash, number);
        assert!(removed, "BUG: an entry that the table does not know");
        self.entries.remove(number);
    }
}

#[inline]
fn is_entry_of(entries: &Entries, number: u32, hash: RowHash) -> Option<Meaning> {
    entries.get(number)?.meaning_of(hash)
}

/// Notes for each entry which one followed.
fn link(entries: &Entries, numbers: &[u32]) {
    for pair in numbers.windows(2) {
        // There is no entry of the number that says that there is none.
        if let (Some(entry), Some(_)) = (entries.get(pair[0]), entries.get(pair[1])) {
            entry.set_next(pair[1]);
        }
    }
}

/// The way through a batch.
struct Pass<'a> {
    inner: &'a Inner,
    epoch: u32,
    age: u32,
    slots: &'a Slots,
    lookup: &'a mut Lookup,
    /// The entry that should come next.
    guess: u32,
}

impl Pass<'_> {
    fn group(&mut self, start: usize, hashes: &[RowHash]) {
        let mut missed = [0_u8; GROUP];
        let mut missed_count = 0;
        let mut surprises = 0;
        let mut in_a_row = 0;
        for (i, hash) in hashes.iter().enumerate() {
            let found = if in_a_row < MISSED_GUESSES_MAX { self.try_guesses(*hash) } else { None };
            match found {
                Some((number, meaning, expected)) => {
                    in_a_row = 0;
                    surprises += usize::from(!expected);
                    self.take(start + i, number, meaning, *hash);
                }
                None => {
                    in_a_row += 1;
                    missed[missed_count] = i as u8;
                    missed_count += 1;
                }
            }
        }
        if missed_count > 0 {
            self.look_up(start, hashes, &missed[..missed_count]);
        }
        if missed_count + surprises > 0 {
            let end = start + hashes.len();
            link(&self.inner.entries, &self.lookup.entries[start.saturating_sub(1)..end]);
            self.restart(self.lookup.entries[end - 1]);
        }
    }

    /// Guesses on from this entry.
    fn restart(&mut self, last: u32) {
        if let Some(entry) = self.inner.entries.get(last) {
            self.guess = entry.next();
            self.inner.entries.prefetch(self.guess);
        }
    }

    /// The entry of a row if it is the expected one or that behind it, and whether it is the expected one.
    #[inline]
    fn try_guesses(&mut self, hash: RowHash) -> Option<(u32, Meaning, bool)> {
        let guessed = self.inner.entries.get(self.guess)?;
        if let Some(meaning) = guessed.meaning_of(hash) {
            let number = self.guess;
            self.guess = guessed.next();
            return Some((number, meaning, true));
        }
        let number = guessed.next();
        // Where the order is not that of first sight, the way to memory costs more than a lookup with its group.
        if number.abs_diff(self.guess) > NEAR {
            return None;
        }
        let behind = self.inner.entries.get(number)?;
        let meaning = behind.meaning_of(hash)?;
        self.guess = behind.next();
        Some((number, meaning, false))
    }

    /// Notes what a row means; it counts as missed if the slot is not given any more.
    #[inline]
    fn take(&mut self, row: usize, number: u32, meaning: Meaning, hash: RowHash) {
        let usable = meaning.slot().is_none_or(|slot| self.slots.enter(slot, self.epoch));
        match meaning.row() {
            Some(resolved) if usable => {
                self.lookup.rows[row] = resolved;
                self.lookup.entries[row] = number;
                if let Some(entry) = self.inner.entries.get(number) {
                    entry.touch(self.age);
                }
            }
            _ => self.lookup.missed.push(Missed { row: row as u32, hash }),
        }
    }

    /// Looks up the rows of a group that were not guessed.
    fn look_up(&mut self, start: usize, hashes: &[RowHash], missed: &[u8]) {
        let Inner { entries, table, .. } = self.inner;
        let mut homes = [Home::default(); GROUP];
        let mut firsts = [NO_ENTRY; GROUP];
        for (home, i) in homes.iter_mut().zip(missed) {
            *home = table.home(hashes[usize::from(*i)]);
        }
        for (first, home) in firsts.iter_mut().zip(&homes[..missed.len()]) {
            if let Some(number) = table.candidates(*home).next() {
                *first = number;
                entries.prefetch(number);
            }
        }
        let mut found = [None; GROUP];
        for (((found, i), home), first) in found.iter_mut().zip(missed).zip(&homes).zip(&firsts) {
            let hash = hashes[usize::from(*i)];
            let is_it = |number| Some((number, is_entry_of(entries, number, hash)?));
            *found = is_it(*first).or_else(|| table.candidates(*home).skip(1).find_map(is_it));
            if let Some(slot) = found.and_then(|(_, meaning)| meaning.slot()) {
                self.slots.prefetch(slot);
            }
        }
        for (found, i) in found.iter().zip(missed) {
            let (row, hash) = (start + usize::from(*i), hashes[usize::from(*i)]);
            match found {
                Some((number, meaning)) => self.take(row, *number, *meaning, hash),
                None => self.lookup.missed.push(Missed { row: row as u32, hash }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
